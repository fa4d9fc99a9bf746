"""Parallel coordinates: a line for each trial, across an axis for each option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from xpmlp.plots._style import GREY, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

__all__ = ["ParallelAxis", "parallel_figure"]

STEP, SPREAD = 0.01, 0.06  # of an axis' height: lines that cross it at one value are drawn so far apart, over so much
MARGIN = 0.05  # likewise, beyond the lowest and the highest value
LABEL = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}


@dataclass(frozen=True)
class ParallelAxis:
    """One axis, and where each line crosses it.

    Attributes
    ----------
    name : str
        Below the axis.
    values : sequence of float or str
        One for each line; some of `names` where the scale is "choice".
    scale : {"linear", "log", "choice"}
        Of the axis.
    names : sequence of str
        What there is to choose from, the lowest first.
    """

    name: str
    values: Sequence[float | str]
    scale: str
    names: Sequence[str] = ()


def parallel_figure(axes: Sequence[ParallelAxis], scores: Sequence[float | None], measure: str, title: str) -> Figure:
    """Draw lines across parallel axes, coloured by their score, which is the last axis too.

    Parameters
    ----------
    axes : sequence of ParallelAxis
        From the left.
    scores : sequence of float or None
        Of each line. The first line is the best one, and highlighted; None is of a line that failed: it is dotted, and
        ends before the last axis. One at least is a number.
    measure : str
        What the score is.
    title : str
        Above the figure.

    Returns
    -------
    Figure
        Lines that cross an axis at the same value are spread a little, the better ones above.
    """
    figure = Figure(figsize=(2.4 + 1.7 * len(axes), 5.0), layout="constrained")
    host = figure.subplots()
    host.set(xlim=(-0.1, len(axes) + 0.1), ylim=(0.0, 1.0), title=title)
    host.set_xticks(range(len(axes) + 1), [*(axis.name for axis in axes), measure])
    host.tick_params(axis="x", length=0, pad=8)
    host.yaxis.set_visible(False)
    host.spines[:].set_visible(False)

    lines = np.stack([_spread(_crossings(host, number, axis)) for number, axis in enumerate(axes)], axis=1)
    known = np.array([score for score in scores if score is not None])
    ends = iter(_crossings(host, len(axes), ParallelAxis(measure, known.tolist(), "linear")))
    lowest = _lowest_colour(known)
    colours = ScalarMappable(Normalize(lowest, known.max()), cmap="viridis_r")  # the best are dark
    for number, (line, score) in enumerate(zip(lines, scores, strict=True)):
        if score is None:
            host.plot(line, color=GREY, linestyle=":", linewidth=1.2, zorder=1.0)
            continue
        (drawn,) = host.plot([*line, next(ends)], color=colours.to_rgba(np.array(score)), linewidth=1.3)
        drawn.set_zorder(3.0 - number / len(scores))  # the better one is in front
        if number == 0:
            drawn.set(linewidth=3.0, solid_capstyle="butt", label=f"the best: {score:.4f}")
            drawn.set_path_effects([Stroke(linewidth=6.0, foreground=VERMILION), Normal()])
    if len(known) < len(scores):
        host.plot([], color=GREY, linestyle=":", label=f"failed: {len(scores) - len(known)}")
    figure.colorbar(colours, ax=host, label=measure, extend="min" if known.min() < lowest else "neither")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _crossings(host: Axes, position: int, axis: ParallelAxis) -> np.ndarray:
    """Draw an axis, and return the height at which each line crosses it, as a share of its own."""
    scale = host.twinx()
    scale.spines[:].set_visible(False)
    scale.spines["right"].set_visible(True)
    scale.spines["right"].set_position(("data", position))
    if axis.scale == "choice":
        values = np.array([axis.names.index(str(value)) for value in axis.values], dtype=float)
        scale.set_ylim(-0.5, len(axis.names) - 0.5)
        scale.set_yticks(range(len(axis.names)), axis.names)
    else:
        values = np.array(axis.values, dtype=float)
        low, high = values.min(), values.max()
        scale.set_yscale(axis.scale)
        scale.yaxis.set_major_locator(
            LogLocator(subs=(1, 2, 5) if high < 1e4 * low else (1,))
            if axis.scale == "log"
            else MaxNLocator(8, steps=[1, 2, 5, 10])
        )
        scale.yaxis.set_minor_locator(NullLocator())
        scale.yaxis.set_major_formatter("{x:g}")
        if axis.scale == "log":
            room = (high / low) ** MARGIN if high > low else 2.0
            scale.set_ylim(low / room, high * room)
        else:
            room = (high - low) * MARGIN or 0.5
            scale.set_ylim(low - room, high + room)
    scale.tick_params(labelsize="small")
    for label in scale.get_yticklabels():
        label.set_bbox(LABEL)
    within = scale.transScale + scale.transLimits
    crossings: np.ndarray = within.transform(np.stack([np.zeros_like(values), values], axis=1))[:, 1]
    return crossings


def _spread(heights: np.ndarray) -> np.ndarray:
    """Move lines at one height apart, the first ones upwards."""
    heights = heights.copy()
    for height in np.unique(heights):
        (shared,) = np.nonzero(heights == height)
        reach = min(STEP * (len(shared) - 1), SPREAD) / 2
        heights[shared] += np.linspace(reach, -reach, len(shared))
    return heights


def _lowest_colour(scores: np.ndarray) -> float:
    """Return the score that gets the first colour: what lies far below the others, by Tukey's rule, shares it."""
    quarter, three_quarters = np.quantile(scores, [0.25, 0.75])
    return float(max(scores.min(), quarter - 1.5 * (three_quarters - quarter)))
