"""Confusion matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure

from xpmlp.plots._common import CHARACTER, MAX_LABELLED, put_title, short

if TYPE_CHECKING:
    from collections.abc import Sequence

# From a colour that no one takes for the white of an empty cell, to one on which black is still easy to read.
SHARES = LinearSegmentedColormap.from_list("shares", ["#D3E6F4", "#3F9BD3"])
MAX_NAMED = 100  # classes whose names still fit beside each other, where there are no numbers in the cells
MIN_SIDE = 3.2  # inches of the matrix
MARGINS = (2.0, 1.4)  # inches beside and above it, besides the names


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

    Returns
    -------
    Figure
        Cells are white where there is no example, and coloured by the square root of the share else, so that single
        mistakes can be seen beside the diagonal. Up to 40 classes have their numbers in the cells; of more than 100,
        only every second, or third, and so on is named.
    """
    n_classes = len(names)
    numbered = n_classes <= MAX_LABELLED
    shown = [short(name) for name in names]
    longest = CHARACTER * max(map(len, shown))
    cell = CHARACTER * (len(str(matrix.max())) + 2) if numbered else 0.15 * min(1.0, MAX_NAMED / n_classes)
    side = max(cell * n_classes, MIN_SIDE)
    upright = longest > side / n_classes
    width, height = (side + longest + MARGINS[0], side + (longest if upright else 0.2) + MARGINS[1])
    figure = Figure(figsize=(width, height), layout="compressed")
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(np.ma.masked_equal(share, 0.0), cmap=SHARES, norm=PowerNorm(0.5, vmin=0.0, vmax=1.0))
    label = "share of the true class (white: none)"
    figure.colorbar(image, ax=axes, label=label, ticks=[0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0], shrink=0.8)
    axes.set(xlabel="predicted class", ylabel="true class")
    step = math.ceil(n_classes / MAX_NAMED)
    ticks, labels = range(0, n_classes, step), shown[::step]
    size = "medium" if numbered else 7
    axes.set_xticks(ticks, labels, rotation="vertical" if upright else "horizontal", fontsize=size)
    axes.set_yticks(ticks, labels, fontsize=size)
    if numbered:
        inside: dict[str, Any] = {"ha": "center", "va": "center", "in_layout": False}  # measuring many takes seconds
        for row, column in np.argwhere(matrix):
            axes.text(column, row, f"{matrix[row, column]:d}", fontsize=8, **inside)
    put_title(figure, title)
    return figure
