"""Parallel coordinates: a line for each trial, across an axis for each option."""

from __future__ import annotations

from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke, withStroke
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from xpmlp.common.wording import counted
from xpmlp.plots._common import CHARACTER, VERMILION, literal, put_title, short

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

STEP, SPREAD = 0.01, 0.06  # of an axis' height: lines that cross it at one value are drawn so far apart, over so much
MARGIN = 0.05  # likewise, beyond the lowest and the highest value
SCORES = ListedColormap(colormaps["viridis_r"](np.linspace(0.2, 1.0, 256)))  # the best are dark, the worst not yellow
EXPLANATION = "Each line is a trial, and crosses each axis at its value: the darker, the better its {}."
MIN_ROOM = 1.7  # inches from an axis to the next
LAST_ROOM = 0.6  # inches beside the last axis, for its numbers
CROWD = 50  # lines that need be no thinner
HALO = withStroke(linewidth=4.0, foreground="white")


class ParallelAxis(NamedTuple):
    """One axis, and where each line crosses it."""

    name: str  # below the axis
    values: Sequence[float | str]  # one for each line; some of `names` where the scale is "choice"
    scale: str  # "linear", "log" or "choice"
    names: Sequence[str] = ()  # what there is to choose from, the lowest first

    @property
    def numbers(self) -> np.ndarray:
        """The values as floats; of a choice, where they stand in `names`."""
        chosen = self.scale == "choice"
        return np.array([self.names.index(str(v)) if chosen else v for v in self.values], dtype=float)


def parallel_figure(
    axes: Sequence[ParallelAxis],
    scores: Sequence[float | None],
    measure: str,
    title: str,
    *,
    lower_is_better: bool = False,
) -> Figure:
    """Draw lines across parallel axes, coloured by their score, which is the last axis too.

    Parameters
    ----------
    axes : sequence of ParallelAxis
        From the left.
    scores : sequence of float or None
        Of each line. The first line is the best one, and highlighted; None is of a line that failed: it is dotted, and
        ends with a cross before the last axis. One at least is a number.
    measure : str
        What the score is.
    title : str
        Above the figure.
    lower_is_better : bool
        Whether the score is a loss: the last axis then ends with the lowest one above.

    Returns
    -------
    Figure
        Lines that cross an axis at the same value are spread a little, the better ones above. Scores that are far worse
        than the others are drawn at the foot of the last axis, and the legend says how many.
    """
    longest = max((len(short(name)) for axis in axes for name in axis.names), default=0)
    room = max(MIN_ROOM, 0.3 + CHARACTER * longest)
    figure = Figure(figsize=(2.4 + room * len(axes), 5.4), layout="constrained")
    host = figure.subplots()
    host.set(xlim=(-0.1, len(axes) + LAST_ROOM / room), ylim=(0.0, 1.0))
    names = [*(axis.name for axis in axes), measure]
    host.set_xticks(range(len(names)), [fill(literal(name), int(0.7 * room / CHARACTER)) for name in names])
    host.tick_params(axis="x", length=0, pad=8)
    host.yaxis.set_visible(False)
    host.spines[:].set_visible(False)

    sign = -1.0 if lower_is_better else 1.0
    known = sign * np.array([score for score in scores if score is not None])
    quarter, three_quarters = np.quantile(known, [0.25, 0.75])
    lowest = float(max(known.min(), quarter - 1.5 * (three_quarters - quarter)))  # what lies far below, by Tukey's rule
    scored = ParallelAxis(measure, (sign * np.maximum(known, lowest)).tolist(), "linear")
    places = [_draw_axis(host, number, axis) for number, axis in enumerate([*axes, scored])]
    if lower_is_better:
        places[-1].invert_yaxis()
    lines = np.stack([_spread(_heights(*pair)) for pair in zip(places, axes, strict=False)], axis=1)
    ends = iter(_heights(places[-1], scored))
    colours = ScalarMappable(Normalize(*sorted(sign * np.array(places[-1].get_ylim()))), cmap=SCORES)
    width = 1.3 if len(lines) <= CROWD else 0.6
    failed: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": 1.2, "marker": "x"}
    for number, (line, score) in enumerate(zip(lines, scores, strict=True)):
        if score is None:
            host.plot(line, markevery=[-1], zorder=4.0, **failed)
            continue
        (drawn,) = host.plot([*line, next(ends)], color=colours.to_rgba(np.array(sign * score)), linewidth=width)
        drawn.set_zorder(3.0 - number / len(scores))  # the better one is in front
        if number == 0:
            drawn.set(linewidth=3.0, solid_capstyle="butt", zorder=5.0, label=f"the best: {score:.4f}")
            drawn.set_path_effects([Stroke(linewidth=6.0, foreground=VERMILION), Normal()])
    if len(known) < len(scores):
        host.plot([], **failed, label=f"failed: {len(scores) - len(known)}")
    if (below := int((known < lowest).sum())) > 0:
        beyond = "above" if lower_is_better else "below"
        host.plot(
            [], " ", label=f"{counted(below, 'trial')} {beyond} {sign * lowest:.4f}, drawn at the foot of the last axis"
        )
    figure.legend(loc="outside lower center", ncols=3 if len(axes) > 1 else 1)
    put_title(figure, f"{title}\n{EXPLANATION.format(measure)}")
    return figure


def _draw_axis(host: Axes, position: int, axis: ParallelAxis) -> Axes:
    scale = host.twinx()
    scale.spines[:].set_visible(False)
    scale.spines["right"].set_visible(True)
    scale.spines["right"].set_position(("data", position))
    if axis.scale == "choice":
        scale.set_ylim(-0.5, len(axis.names) - 0.5)
        scale.set_yticks(range(len(axis.names)), map(short, axis.names))
    else:
        low, high = axis.numbers.min(), axis.numbers.max()
        scale.set_yscale(axis.scale)
        scale.yaxis.set_major_locator(_locator(low, high, axis.scale))
        scale.yaxis.set_minor_locator(NullLocator())
        scale.yaxis.set_major_formatter("{x:g}")
        if axis.scale == "log":
            factor = (high / low) ** MARGIN if high > low else 2.0
            scale.set_ylim(low / factor, high * factor)
        else:
            room = (high - low) * MARGIN or 0.5
            scale.set_ylim(low - room, high + room)
    scale.tick_params(labelsize="small")
    for label in scale.get_yticklabels():
        label.set_path_effects([HALO])
    return scale


def _locator(low: float, high: float, scale: str) -> Locator:
    if low == high:
        return FixedLocator([low])
    if scale == "linear" or high < 10.0 * low:
        return MaxNLocator(8, steps=[1, 2, 5, 10])
    return LogLocator(subs=(1, 2, 5) if high < 1e4 * low else (1,))


def _heights(place: Axes, axis: ParallelAxis) -> np.ndarray:
    """Return the height at which each line crosses an axis, as a share of its own."""
    within = place.transScale + place.transLimits
    heights: np.ndarray = within.transform(np.stack([np.zeros(len(axis.values)), axis.numbers], axis=1))[:, 1]
    return heights


def _spread(heights: np.ndarray) -> np.ndarray:
    """Move lines at one height apart, the first ones upwards."""
    heights = heights.copy()
    for height in np.unique(heights):
        (shared,) = np.nonzero(heights == height)
        reach = min(STEP * (len(shared) - 1), SPREAD) / 2
        heights[shared] += np.linspace(reach, -reach, len(shared))
    return heights
