"""The winner of a search: a run of its own, and its score on the test part."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from xpmlp.experiments import load_splits, prepare, score_model
from xpmlp.plots import curves_figure, save_figure
from xpmlp.scoring import Score
from xpmlp.search._trial import without_test

if TYPE_CHECKING:
    from xpmlp.search._folder import SearchFolder
    from xpmlp.search._study import Study
    from xpmlp.search._trial import Trial
    from xpmlp.training import Record

__all__ = ["crown"]


def crown(folder: SearchFolder, study: Study, winner: Trial) -> Score | None:
    """Train the winner as a run of its own, unless that is done, and score it on the test part."""
    named = {"trial": winner.number, "epochs": winner.epochs}
    kept = folder.winner()
    if kept is None or named.items() > kept.items():
        test = _train(folder, study, winner)
        kept = named | {"test": test and asdict(test)}
        folder.crown(kept)
    return Score(**kept["test"]) if kept["test"] else None


def _train(folder: SearchFolder, study: Study, winner: Trial) -> Score | None:
    options = study.options_of(winner.number, winner.epochs if study.halving else None)
    experiment = without_test(prepare(options))
    folder.best.start(experiment)
    records: list[Record] = []
    for record in experiment.records():
        folder.best.add(record)
        records.append(replace(record, layers=[], state=None))
        layers = record.layers
    model = experiment.trained(layers)
    folder.best.save(model)
    save_figure(curves_figure(records, f"{study.name}: trial {winner.number}, the best"), folder.best.curves)
    _, parts = load_splits(options)
    return None if parts.test is None else score_model(model, experiment.backend, *parts.test)
