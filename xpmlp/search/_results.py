"""What is made of a search's trials: its figure, and the winner's run with its score on the test part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpmlp.common.wording import MEASURES
from xpmlp.experiments.experiment import load_splits, score_model
from xpmlp.experiments.options import to_text
from xpmlp.plots import ParallelAxis, curves_figure, parallel_figure, save_figure
from xpmlp.search._folder import Winner
from xpmlp.search._trial import prepare_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from xpmlp.experiments.runs import RunFolder
    from xpmlp.search._folder import SearchFolder
    from xpmlp.search._space import Dimension
    from xpmlp.search._study import Study
    from xpmlp.search._trial import Trial
    from xpmlp.training import Record
    from xpmlp.training.scoring import Score


def draw(study: Study, trials: Sequence[Trial], path: Path) -> None:
    """Draw the trials of a study, the best one first, as parallel coordinates; nothing where none is finished."""
    by_loss = study.by_loss
    scores = [(trial.kept.loss if by_loss else trial.kept.measure) if trial.kept else None for trial in trials]
    if not any(trial.kept for trial in trials):
        return
    axes = [_axis(dimension, trials) for dimension in study.space.varying]
    if study.halving:
        rungs = [str(epochs) for epochs in sorted({trial.epochs for trial in trials})]
        axes.append(ParallelAxis("epochs", [str(trial.epochs) for trial in trials], "choice", rungs))
    measure = f"validation {study.loss_name if by_loss else MEASURES[study.measure]}"
    figure = parallel_figure(axes, scores, measure, f"{study.name}: {study.count(trials)}", lower_is_better=by_loss)
    save_figure(figure, path)


def _axis(dimension: Dimension, trials: Sequence[Trial]) -> ParallelAxis:
    name, values = dimension.name.replace("_", " "), [trial.settings[dimension.name] for trial in trials]
    if dimension.scale == "choice":
        return ParallelAxis(name, list(map(_label, values)), "choice", _labels(dimension.values))
    numbers = [float(value[0] if isinstance(value, tuple) else value) for value in values]  # drawn: one for all layers
    return ParallelAxis(name, numbers, dimension.scale)


def _label(value: Any) -> str:
    return to_text(value) or "none"  # of no hidden layers


def _labels(values: Sequence[Any]) -> list[str]:
    """Write the values of a choice: numbers in their order, words as they were given."""
    words = any(isinstance(part, str) for value in values for part in (value if isinstance(value, tuple) else (value,)))
    return list(dict.fromkeys(map(_label, values if words else sorted(values))))


def train_winner(
    folder: SearchFolder, study: Study, best: Trial, on_winner: Callable[[Trial], None] | None = None
) -> Score | None:
    """Train the best trial as a run of its own, unless that is done, and score it on the test part.

    `on_winner` is told the trial before.
    """
    won = folder.winner()
    if won is None or (won.trial, won.epochs) != (best.number, best.epochs):
        if on_winner is not None:
            on_winner(best)
        won = Winner(best.number, best.epochs, _train(folder.best, study, best))
        folder.save_winner(won)
    return won.test


def _train(folder: RunFolder, study: Study, best: Trial) -> Score | None:
    """Train a trial into a run folder, and score it on the test part."""
    options = study.options_of(best.number, best.epochs)
    experiment = prepare_trial(options, study.data)
    folder.start(experiment)
    records: list[Record] = []
    for record in experiment.records():
        folder.add(record)
        records.append(record.without_arrays())  # one copy of the weights is enough
        layers = record.selected.layers
    model = experiment.trained(layers)
    folder.save(model)
    title, is_likelihood = f"{study.name}: trial {best.number}, the best", study.loss_name == "NLL"
    save_figure(curves_figure(records, title, is_likelihood=is_likelihood), folder.curves)
    folder.finish()
    _, parts = load_splits(options)
    return None if parts.test is None else score_model(model, experiment.backend, *parts.test)
