"""The figure of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpmlp.experiments.options import written
from xpmlp.plots import ParallelAxis, parallel_figure, save_figure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xpmlp.search._space import Dimension
    from xpmlp.search._study import Study
    from xpmlp.search._trial import Trial

__all__ = ["draw"]


def draw(study: Study, trials: Sequence[Trial], path: Path) -> None:
    """Draw the trials of a study, the best one first, as parallel coordinates; nothing where none is finished."""
    accuracy = [trial.kept.accuracy if trial.kept else None for trial in trials]
    if not any(trial.kept for trial in trials):
        return
    axes = [_axis(dimension, trials) for dimension in study.space.varying]
    if study.halving:
        rungs = [str(epochs) for epochs in sorted({trial.epochs for trial in trials})]
        axes.append(ParallelAxis("epochs", [str(trial.epochs) for trial in trials], "choice", rungs))
    figure = parallel_figure(axes, accuracy, "validation accuracy", f"{study.name}: {study.count(trials)}")
    save_figure(figure, path)


def _axis(dimension: Dimension, trials: Sequence[Trial]) -> ParallelAxis:
    name, values = dimension.name.replace("_", " "), [trial.settings[dimension.name] for trial in trials]
    if dimension.scale == "choice":
        return ParallelAxis(name, list(map(_label, values)), "choice", _labels(dimension.values))
    numbers = [float(value[0] if isinstance(value, tuple) else value) for value in values]  # drawn: one for all layers
    return ParallelAxis(name, numbers, dimension.scale)


def _label(value: Any) -> str:
    return written(value) or "none"  # of no hidden layers


def _labels(values: Sequence[Any]) -> list[str]:
    """Write the values of a choice: numbers in their order, words as they were given."""
    words = any(isinstance(part, str) for value in values for part in (value if isinstance(value, tuple) else (value,)))
    return list(dict.fromkeys(map(_label, values if words else sorted(values))))
