"""Figures, drawn from saved numbers: curves of a run, confusion matrices, gradient checks.

Colours are those of Okabe and Ito, which readers with any kind of colour vision can tell apart; each line has a dash
pattern of its own beside its colour.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xpmlp.files import FIGURE_KINDS, check_place, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from xpmlp.gradcheck import GradientCheck, ParameterCheck
    from xpmlp.training import Record

__all__ = ["confusion_figure", "curves_figure", "gradient_figure", "save_figure"]

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
PART_STYLES = {"train": (BLUE, "-"), "validation": (ORANGE, "--"), "test": (GREEN, "-.")}
MOST_LABELLED = 40  # classes or parameters whose names still fit beside an axis


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's name ends in: png (150 dots per inch), pdf or svg.

    Raises
    ------
    InputError
        Where the file cannot be written, or its name has another ending.
    """
    check_place(path, FIGURE_KINDS)
    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=150)
    write_whole(path, drawn.getvalue())


def curves_figure(records: Sequence[Record], title: str) -> Figure:
    """Draw the mean negative log-likelihood and the accuracy of every part, epoch by epoch (fig. 10)."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    epochs = [record.epoch for record in records]
    for part, (colour, dashes) in PART_STYLES.items():
        if part not in records[0].scores:
            continue
        scores = [record.scores[part] for record in records]
        style = {"color": colour, "linestyle": dashes, "linewidth": 1.8, "marker": "o" if len(epochs) == 1 else ""}
        left.plot(epochs, [score.loss for score in scores], label=f"{part} ({scores[-1].loss:.4f})", **style)
        right.plot(epochs, [score.accuracy for score in scores], label=f"{part} ({scores[-1].accuracy:.4f})", **style)
    left.set(xlabel="epoch", ylabel="mean negative log-likelihood (nats)")
    right.set(xlabel="epoch", ylabel="accuracy")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(title="last value in brackets", title_fontsize="small")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    figure.suptitle(title)
    return figure


def confusion_figure(matrix: np.ndarray, names: Sequence[str], title: str) -> Figure:
    """Draw a confusion matrix.

    Parameters
    ----------
    matrix : ndarray of shape (m, m)
        Numbers of examples: row for the true class, column for the predicted one.
    names : sequence of str
        Of the classes.
    title : str
        Above it.
    """
    n_classes = len(names)
    side = min(4.0 + 0.45 * n_classes, 16.0)
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0.0, vmax=1.0)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    axes.set(xlabel="predicted class", ylabel="true class", title=title)
    if n_classes <= MOST_LABELLED:
        axes.set_xticks(range(n_classes), names, rotation=45, ha="right")
        axes.set_yticks(range(n_classes), names)
        for row, column in np.ndindex(matrix.shape):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, f"{matrix[row, column]:d}", ha="center", va="center", color=colour, fontsize=8)
    return figure


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
