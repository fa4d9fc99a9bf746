"""What a trained model does on data it has not seen: probabilities, errors of amounts, and which columns matter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from xpmlp.plots._common import BLUE, CHARACTER, GREEN, GREY, PURPLE, VERMILION, literal, put_title, short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLES = [(colour, dashes) for dashes in ("-", "--", ":") for colour in (BLUE, VERMILION, GREEN, PURPLE)]
COUNTS = LinearSegmentedColormap.from_list("counts", ["#B5D6EC", "#0072B2", "#002B49"])
MAX_CURVES = 8  # of classes, that can still be told apart
MAX_POINTS = 3_000  # that are drawn one by one
MAX_BARS = 30  # columns whose names fit below each other


def probabilities_figure(
    roc: Mapping[str, tuple[np.ndarray, np.ndarray, float]],
    calibration: tuple[np.ndarray, np.ndarray, str],
    title: str,
) -> Figure:
    """Draw the ROC curves of classes, and how often predictions of some probability come true.

    Parameters
    ----------
    roc : mapping of str to (false positive rates, true positive rates, area)
        Of classes, each against all others. Of more than eight, those with the smallest areas are drawn.
    calibration : (predicted, found, meaning)
        Mean probabilities, the shares that came true, and what the probabilities are of.
    title : str
        Above the figure.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    put_title(figure, title)
    shown = sorted(roc.items(), key=lambda each: each[1][2])[:MAX_CURVES]
    for (colour, dashes), (name, (x, y, area)) in zip(STYLES, shown, strict=False):
        left.plot(x, y, color=colour, linestyle=dashes, linewidth=1.8, label=f"{short(name)} ({area:.4f})")
    few = f"smallest {MAX_CURVES} of {len(roc)} areas" if len(roc) > MAX_CURVES else "area under the curve"
    if shown:
        left.legend(loc="lower right", title=f"class ({few})", fontsize="small", title_fontsize="small")
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC curve of each class")
    predicted, found, meaning = calibration
    right.plot(predicted, found, color=BLUE, marker="o", linewidth=1.8)
    right.set(xlabel=literal(meaning), ylabel="share that comes true", title="calibration (tenths of the examples)")
    top = min(1.0, 1.1 * float(max(predicted.max(), found.max())))  # of what is rare, all probabilities are small
    for axes, end in ((left, 1.0), (right, top)):
        axes.plot([0, end], [0, end], color=GREY, linestyle=":", linewidth=1.0)
        axes.set(xlim=(-0.02 * end, 1.02 * end), ylim=(-0.02 * end, 1.02 * end), aspect="equal")
        axes.title.set_fontsize("medium")
        axes.grid(alpha=0.3)
    return figure


def residuals_figure(true: np.ndarray, predicted: np.ndarray, target: str, title: str) -> Figure:
    """Draw what is predicted against what is true, and the errors against what is predicted.

    Parameters
    ----------
    true, predicted : ndarray of shape (n,)
        In the unit of the target. More than 3,000 are counted in cells.
    target : str
        What it is called.
    title : str
        Above the figure.
    """
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    put_title(figure, title)
    name = short(target)
    low, high = (float(f([true.min(), predicted.min(), true.max(), predicted.max()])) for f in (np.min, np.max))
    left.plot([low, high], [low, high], color=GREY, linestyle="--", linewidth=1.2, zorder=3)
    right.axhline(0.0, color=GREY, linestyle="--", linewidth=1.2, zorder=3)
    for axes, x, y in ((left, true, predicted), (right, predicted, predicted - true)):
        if true.shape[0] <= MAX_POINTS:
            alpha = float(np.clip(60.0 / true.shape[0] ** 0.7, 0.15, 0.8))
            axes.scatter(x, y, s=14, color=BLUE, alpha=alpha, linewidths=0, zorder=2)
        else:
            cells = axes.hexbin(x, y, gridsize=40, bins="log", mincnt=1, cmap=COUNTS, linewidths=0.1)
            figure.colorbar(cells, ax=axes, label="examples")
        axes.grid(alpha=0.3)
        axes.set_axisbelow(True)
        axes.locator_params(nbins=6)
        axes.ticklabel_format(scilimits=(-3, 5), useMathText=True)  # their numbers would run into each other
    left.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
    right.set(xlabel=f"predicted {name}", ylabel="error (predicted - true)")
    return figure


def importance_figure(
    names: Sequence[str], means: Sequence[float], deviations: Sequence[float], measure: str, title: str
) -> Figure:
    """Draw the importance of columns as bars, the most important one on top.

    Parameters
    ----------
    names : sequence of str
        Of the columns, the most important one first; the first 30 are drawn.
    means, deviations : sequence of float
        Of the importances over some shuffles.
    measure : str
        What an importance is.
    title : str
        Above the figure.
    """
    shown = [short(name) for name in names[:MAX_BARS]]
    n = len(shown)
    width = 6.0 + CHARACTER * max(map(len, shown))
    figure = Figure(figsize=(width, 1.4 + 0.26 * n), layout="constrained")
    axes = figure.subplots()
    style: dict[str, Any] = {"color": BLUE, "error_kw": {"ecolor": VERMILION, "capsize": 2, "linewidth": 1.2}}
    axes.barh(range(n), means[:n], xerr=deviations[:n], height=0.7, **style)
    axes.axvline(0.0, color=GREY, linewidth=1.0)
    axes.set_yticks(range(n), shown)
    axes.set(ylim=(n - 0.4, -0.6), xlabel=literal(measure))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    more = f" (the first {n} of {len(names)})" if len(names) > n else ""
    put_title(figure, f"{title}{more}")
    return figure
