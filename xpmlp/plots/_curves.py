"""Curves over the epochs of a run, and of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xpmlp.plots._style import BLUE, GREEN, ORANGE, PART_STYLES, VERMILION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from xpmlp.training import Record

__all__ = ["comparison_figure", "curves_figure"]

RUN_COLOURS = (BLUE, VERMILION, GREEN, ORANGE)
PART_DASHES = {"train": ":", "validation": "--", "test": "-"}


def curves_figure(records: Sequence[Record], title: str) -> Figure:
    """Draw the mean negative log-likelihood and the accuracy of every part, epoch by epoch (fig. 10)."""
    figure, left, right = _loss_and_accuracy(title)
    for part, (colour, dashes) in PART_STYLES.items():
        if part in records[0].scores:
            _draw(left, right, records, part, part, color=colour, linestyle=dashes, linewidth=1.8)
    for axes in (left, right):
        axes.legend(title="last value in brackets", title_fontsize="small")
    return figure


def comparison_figure(
    runs: Mapping[str, Sequence[Record]], title: str, parts: Sequence[str] = ("train", "test")
) -> Figure:
    """Draw several runs into one pair of axes: a colour for each run, a dash pattern for each part.

    Parameters
    ----------
    runs : mapping of str to sequence of Record
        The records of each run, by its name; four at most.
    title : str
        Above the figure.
    parts : sequence of str
        Which of "train", "validation" and "test" to draw.

    Returns
    -------
    Figure
        Mean negative log-likelihood on the left, accuracy on the right, one legend below both.
    """
    figure, left, right = _loss_and_accuracy(title)
    for colour, (name, records) in zip(RUN_COLOURS, runs.items(), strict=False):
        for part in parts:
            width = 1.2 if part == "train" else 2.0
            label = f"{name}, {part}"
            _draw(left, right, records, part, label, color=colour, linestyle=PART_DASHES[part], linewidth=width)
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(runs), title="last accuracy in brackets")
    return figure


def _loss_and_accuracy(title: str) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(xlabel="epoch", ylabel="mean negative log-likelihood (nats)")
    right.set(xlabel="epoch", ylabel="accuracy")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.suptitle(title)
    return figure, left, right


def _draw(left: Axes, right: Axes, records: Sequence[Record], part: str, name: str, **style: Any) -> None:
    epochs = [record.epoch for record in records]
    scores = [record.scores[part] for record in records]
    marker = "o" if len(epochs) == 1 else ""
    left.plot(epochs, [s.loss for s in scores], marker=marker, label=f"{name} ({scores[-1].loss:.4f})", **style)
    right.plot(
        epochs, [s.accuracy for s in scores], marker=marker, label=f"{name} ({scores[-1].accuracy:.4f})", **style
    )
