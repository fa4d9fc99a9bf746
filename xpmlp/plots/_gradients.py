"""Gradient checks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from xpmlp.nn.gradcheck import MAX_RATIO, ZERO
from xpmlp.plots._style import BLUE, GREY, MOST_LABELLED, VERMILION, legend_above, put_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from xpmlp.nn.gradcheck import GradientCheck, ParameterCheck

__all__ = ["gradient_figure"]

LOWEST, HIGHEST = 1e-16, 10.0  # errors between which the axis is logarithmic
DECADES = range(-16, 0, 3)  # with a tick
BPROP: dict[str, Any] = {"s": 55, "marker": "o", "facecolors": "none", "edgecolors": BLUE}
FORWARD: dict[str, Any] = {"s": 30, "marker": "x", "color": VERMILION}
LARGEST = 1e100  # of a gradient that an axis can show


def gradient_figure(check: GradientCheck, title: str) -> Figure:
    """Draw a row for each judged parameter, with its gradients and their errors (figs. 1, 2, 6-9).

    Parameters
    ----------
    check : GradientCheck
        What was found.
    title : str
        Above the figure, over the worst error and the worst ratio.

    Returns
    -------
    Figure
        On the left the gradients from `bprop` and from forward differences. On the right, in logarithms, the relative
        error of `bprop` against central differences, and how far the ratio of forward differences to `bprop` is from
        1, each with its bar; an error of 0 has a place of its own at the left end, one above 10 at the right.
    """
    judged = check.judged
    named = len(judged) <= MOST_LABELLED
    figure = Figure(figsize=(11, 3.0 + 0.22 * min(len(judged), MOST_LABELLED)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_gradients(left, judged)
    _draw_errors(right, judged, check.tolerance)
    if named:
        left.set_yticks(range(len(judged)), [parameter.name for parameter in judged])
    else:
        left.set_ylabel("parameter number, from 0")
    left.invert_yaxis()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    put_title(
        figure,
        f"{title}\nworst relative error {check.worst.error:.1e} ({check.worst.name}), "
        f"worst ratio {check.worst_ratio.ratio:.5f} ({check.worst_ratio.name})",
    )
    return figure


def _draw_gradients(axes: Axes, parameters: Sequence[ParameterCheck]) -> None:
    shown = {row: p for row, p in enumerate(parameters) if math.hypot(p.bprop, p.forward) < LARGEST}
    axes.scatter([p.bprop for p in shown.values()], list(shown), label="bprop", **BPROP)
    axes.scatter([p.forward for p in shown.values()], list(shown), label="forward differences", **FORWARD)
    for row in set(range(len(parameters))) - set(shown):
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
        axes.text(0.5, row, f"not finite, or beyond {LARGEST:g}", fontsize="small", **place)
    axes.set_xlabel("gradient")
    legend_above(axes, 2)


def _draw_errors(axes: Axes, parameters: Sequence[ParameterCheck], tolerance: float) -> None:
    rows = range(len(parameters))
    errors = np.minimum([parameter.error for parameter in parameters], HIGHEST)
    axes.scatter(errors, rows, label="bprop against central differences", **BPROP)
    axes.axvline(tolerance, color=BLUE, linestyle="--", label=f"bar: {tolerance:g}")
    errors = np.minimum([parameter.ratio_error for parameter in parameters], HIGHEST)
    axes.scatter(errors, rows, label="forward differences: |ratio - 1|", **FORWARD)
    bar = MAX_RATIO - 1.0
    axes.axvline(bar, color=VERMILION, linestyle="--", label=f"bar: {bar:g}")
    axes.set_xscale("symlog", linthresh=LOWEST, linscale=2.0)
    axes.set_xlim(-0.3 * LOWEST, 3.0 * HIGHEST)
    axes.set_xticks(
        [0.0, *(10.0**decade for decade in DECADES), HIGHEST],
        ["0", *(f"$10^{{{decade}}}$" for decade in DECADES), rf"$\geq {HIGHEST:g}$"],
    )
    axes.axvline(LOWEST, color=GREY, linewidth=0.8)
    axes.set_xlabel(
        f"relative error: log axis, linear from {LOWEST:g} down to 0\n"
        f"(a ratio is 1 where the difference of gradients is below {ZERO:g})"
    )
    legend_above(axes, 2)
