"""Curves over the epochs of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xpmlp.plots._common import GREY, PART_STYLES, legend_above, put_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes

    from xpmlp.training import Record

MIN_R2 = -1.0  # that is shown: the first epochs may be far below, and would hide the rest
LOG_FROM = 100.0  # times the lowest loss: where the highest is above, a linear axis hides most of the curve


def curves_figure(records: Sequence[Record], title: str, *, is_likelihood: bool = True) -> Figure:
    """Draw the mean negative log-likelihood and the accuracy of every part, epoch by epoch (fig. 10).

    With another loss of classes, not `is_likelihood`, they are its mean and the accuracy; of a regression the mean loss
    and R2. The axis of the loss says whether it is linear or, where the values
    range over two decades, logarithmic. Of an ensemble, a band reaches from its lowest member to its highest. Where the
    weights of the best epoch are kept, that one is marked, and its values are in the legend; otherwise those of the
    last one.
    """
    figure, left, right = loss_and_accuracy(title)
    for part, (colour, dashes) in PART_STYLES.items():
        if part in records[0].scores:
            draw_part(left, right, records, part, part, color=colour, linestyle=dashes, linewidth=1.8)
            _draw_band(left, right, records, part, colour)
    set_scales(left, right, next(iter(records[0].scores.values())).measures, is_likelihood=is_likelihood)
    kept = records[-1].best_epoch
    for axes in (left, right):
        columns = len(axes.lines)
        if kept is not None:
            axes.axvline(kept, color=GREY, linewidth=1.0)
        legend_above(axes, columns, f"{'last epoch' if kept is None else f'epoch {kept}, which is kept,'} in brackets")
    return figure


def loss_and_accuracy(title: str) -> tuple[Figure, Axes, Axes]:
    """Begin a figure with two pairs of axes, and its title."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    put_title(figure, title)
    return figure, left, right


def set_scales(left: Axes, right: Axes, measures: Mapping[str, float], *, is_likelihood: bool) -> None:
    """Name the axes after the measures, choose that of the loss, and let that of the epochs begin with the first one.

    The axis of R2, which has no lower bound, ends at -1.
    """
    losses = np.concatenate([line.get_ydata() for line in left.lines])
    lowest = losses[losses > 0].min(initial=np.inf)
    scale = "log" if losses.min() >= 0 and losses.max() >= LOG_FROM * lowest else "linear"  # a density's may be below
    of_classes = "accuracy" in measures
    loss, unit = ("negative log-likelihood", "nats, ") if of_classes and is_likelihood else ("loss", "")
    left.set(yscale=scale, ylabel=f"mean {loss}\n({unit}{scale} axis)")
    if of_classes:
        right.set(ylabel="accuracy")
    else:
        right.set(ylabel="R2", ylim=(max(right.get_ylim()[0], MIN_R2), right.get_ylim()[1]))
    for axes in (left, right):
        epochs = np.concatenate([line.get_xdata() for line in axes.lines])
        first, last = epochs.min(), epochs.max()
        ticks = MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]).tick_values(first, last)
        axes.set_xticks([first, *ticks[(first < ticks) & (ticks <= last)]])
        axes.set(xlim=(first - 0.5, last + 0.5), xlabel="epoch")
        axes.grid(alpha=0.3)


def _draw_band(left: Axes, right: Axes, records: Sequence[Record], part: str, colour: str) -> None:
    """Shade what lies between the members of an ensemble."""
    members = [record.members[part] for record in records if record.members]
    if not members:
        return
    epochs = [record.epoch for record in records]
    for axes, values in (
        (left, [[score.loss for score in scores] for scores in members]),
        (right, [[score.main for score in scores] for scores in members]),
    ):
        axes.fill_between(epochs, [*map(min, values)], [*map(max, values)], color=colour, alpha=0.15, linewidth=0)


def draw_part(left: Axes, right: Axes, records: Sequence[Record], part: str, name: str, **style: Any) -> None:
    """Draw the losses and the first measure of a part, with those of the epoch that is kept in the legend."""
    epochs, kept = [record.epoch for record in records], records[-1].selected.scores[part]
    scores = [record.scores[part] for record in records]
    marker = "o" if len(epochs) == 1 else ""
    losses, shares = [s.loss for s in scores], [next(iter(s.measures.values())) for s in scores]
    left.plot(epochs, losses, marker=marker, label=f"{name} ({kept.loss:.4g})", **style)
    right.plot(epochs, shares, marker=marker, label=f"{name} ({next(iter(kept.measures.values())):.4f})", **style)
