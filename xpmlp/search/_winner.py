"""The winner of a search: a run of its own, and its score on the test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.experiments.experiment import load_splits, score_model
from xpmlp.plots import curves_figure, save_figure
from xpmlp.search._folder import Winner
from xpmlp.search._trial import prepare_trial

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.experiments.runs import RunFolder
    from xpmlp.search._folder import SearchFolder
    from xpmlp.search._study import Study
    from xpmlp.search._trial import Trial
    from xpmlp.training import Record
    from xpmlp.training.scoring import Score

__all__ = ["crown"]


def crown(
    folder: SearchFolder, study: Study, best: Trial, on_winner: Callable[[Trial], None] | None = None
) -> Score | None:
    """Train the best trial as a run of its own, unless that is done, and score it on the test part.

    `on_winner` is told the trial before.
    """
    kept = folder.winner()
    if kept is None or (kept.trial, kept.epochs) != (best.number, best.epochs):
        if on_winner is not None:
            on_winner(best)
        kept = Winner(best.number, best.epochs, _train(folder.best, study, best))
        folder.crown(kept)
    return kept.test


def _train(folder: RunFolder, study: Study, best: Trial) -> Score | None:
    """Train a trial into a run folder, and score it on the test part."""
    options = study.options_of_trial(best)
    experiment = prepare_trial(options, study.data)
    folder.start(experiment)
    records: list[Record] = []
    for record in experiment.records():
        folder.add(record)
        records.append(record.without_arrays())  # one copy of the weights is enough
        layers = record.selected.layers
    model = experiment.trained(layers)
    folder.save(model)
    save_figure(curves_figure(records, f"{study.name}: trial {best.number}, the best"), folder.curves)
    _, parts = load_splits(options)
    return None if parts.test is None else score_model(model, experiment.backend, *parts.test)
