"""Gradient checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from xpmlp.plots._style import BLUE, GREY, MOST_LABELLED, ORANGE, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from xpmlp.gradcheck import GradientCheck, ParameterCheck

__all__ = ["gradient_figure"]


def gradient_figure(check: GradientCheck, title: str) -> Figure:
    """Draw finite-difference against `bprop` gradients for every parameter, and the errors (figs. 1, 2, 6-9)."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_gradients(left, _drawable(check))
    judged = check.judged
    names = [parameter.name for parameter in judged]
    errors = [min(max(parameter.error, 1e-17), 1.0) for parameter in judged]  # an infinite one stands at the top
    right.scatter(range(len(names)), errors, color=BLUE, s=28, zorder=3)
    right.axhline(check.tolerance, color=VERMILION, linestyle="--", label=f"bar: {check.tolerance:g}")
    right.set(yscale="log", ylabel="relative error, bprop against central differences")
    if len(names) <= MOST_LABELLED:
        right.set_xticks(range(len(names)), names, rotation=90)
    else:
        right.set_xlabel("parameter number")
    right.grid(alpha=0.3)
    right.legend()
    figure.suptitle(
        f"{title}\nworst relative error {check.worst.error:.1e} ({check.worst.name}), "
        f"worst ratio {check.worst_ratio.ratio:.5f} ({check.worst_ratio.name})"
    )
    return figure


def _drawable(check: GradientCheck) -> list[ParameterCheck]:
    finite = (p for p in check.judged if np.isfinite([p.bprop, p.forward, p.bprop * p.bprop]).all())
    return list(finite)


def _name_points(axes: Axes, parameters: Sequence[ParameterCheck]) -> None:
    """Write the parameters' names in a column beside the axes, each with a line to its point."""
    by_height = sorted(parameters, key=lambda parameter: parameter.forward)
    for rank, parameter in enumerate(by_height):
        axes.annotate(
            parameter.name,
            (parameter.bprop, parameter.forward),
            xytext=(1.04, (rank + 0.5) / len(by_height)),
            textcoords="axes fraction",
            va="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5},
        )


def _draw_gradients(axes: Axes, parameters: Sequence[ParameterCheck]) -> None:
    bprop = np.array([parameter.bprop for parameter in parameters])
    forward = np.array([parameter.forward for parameter in parameters])
    largest = 1.15 * max(float(np.abs(bprop).max(initial=0.0)), 1e-12)
    line = np.array([-largest, largest])
    axes.fill_between(line, line * 0.99, line * 1.01, color=ORANGE, alpha=0.5, label="ratio within 0.99 to 1.01")
    axes.plot(line, line, color=GREY, linewidth=1.0, label="identity")
    axes.scatter(bprop, forward, color=BLUE, s=28, zorder=3, label="one parameter")
    if len(parameters) <= MOST_LABELLED:
        _name_points(axes, parameters)
    axes.set(xlabel="gradient from bprop", ylabel="gradient from forward differences", xlim=line, ylim=line)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
