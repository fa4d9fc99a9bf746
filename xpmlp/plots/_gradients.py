"""Gradient checks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from xpmlp.nn.gradcheck import MAX_RATIO, ZERO
from xpmlp.plots._common import BLUE, GREY, MAX_LABELLED, VERMILION, legend_above, put_title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from xpmlp.nn.gradcheck import GradientCheck, ParameterCheck

MIN_ERROR, MAX_ERROR = 1e-16, 10.0  # errors between which the axis is logarithmic
TICKS = {0.0: "0", **{10.0**decade: f"$10^{{{decade}}}$" for decade in range(-16, 0, 3)}, MAX_ERROR: r"$\geq 10$"}
BPROP: dict[str, Any] = {"s": 55, "marker": "o", "facecolors": "none", "edgecolors": BLUE}
FORWARD: dict[str, Any] = {"s": 30, "marker": "x", "color": VERMILION}
MAX_GRADIENT = 1e100  # that an axis can show


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
    figure = Figure(figsize=(11, 3.0 + 0.22 * min(len(judged), MAX_LABELLED)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    _draw_gradients(left, judged)
    _draw_errors(right, judged, check.tolerance)
    if len(judged) <= MAX_LABELLED:
        left.set_yticks(range(len(judged)), [parameter.name for parameter in judged])
    else:
        left.set_ylabel("parameter number, from 0")
    left.invert_yaxis()
    for axes in (left, right):
        axes.grid(alpha=0.3)
    worst, ratio = check.worst, check.worst_ratio
    errors = f"worst relative error {worst.error:.1e} ({worst.name}), worst ratio {ratio.ratio:.5f} ({ratio.name})"
    put_title(figure, f"{title}\n{errors}")
    return figure


def _draw_gradients(axes: Axes, parameters: Sequence[ParameterCheck]) -> None:
    shown = {row: p for row, p in enumerate(parameters) if math.hypot(p.bprop, p.forward) < MAX_GRADIENT}
    axes.scatter([p.bprop for p in shown.values()], list(shown), label="bprop", **BPROP)
    axes.scatter([p.forward for p in shown.values()], list(shown), label="forward differences", **FORWARD)
    place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "ha": "center", "va": "center"}
    for row in set(range(len(parameters))) - set(shown):
        axes.text(0.5, row, f"not finite, or beyond {MAX_GRADIENT:g}", fontsize="small", **place)
    axes.set_xlabel("gradient")
    legend_above(axes, 2)


def _draw_errors(axes: Axes, parameters: Sequence[ParameterCheck], tolerance: float) -> None:
    rows, ratio_bar = range(len(parameters)), MAX_RATIO - 1.0
    errors = np.minimum([p.error for p in parameters], MAX_ERROR)
    axes.scatter(errors, rows, label="bprop against central differences", **BPROP)
    axes.axvline(tolerance, color=BLUE, linestyle="--", label=f"bar: {tolerance:g}")
    errors = np.minimum([p.ratio_error for p in parameters], MAX_ERROR)
    axes.scatter(errors, rows, label="forward differences: |ratio - 1|", **FORWARD)
    axes.axvline(ratio_bar, color=VERMILION, linestyle="--", label=f"bar: {ratio_bar:g}")
    axes.set_xscale("symlog", linthresh=MIN_ERROR, linscale=2.0)
    axes.set_xlim(-0.3 * MIN_ERROR, 3.0 * MAX_ERROR)
    axes.set_xticks([*TICKS], [*TICKS.values()])
    axes.axvline(MIN_ERROR, color=GREY, linewidth=0.8)
    axes.set_xlabel(
        f"relative error: log axis, linear from {MIN_ERROR:g} down to 0\n"
        f"(a ratio is 1 where the difference of gradients is below {ZERO:g})"
    )
    legend_above(axes, 2)
