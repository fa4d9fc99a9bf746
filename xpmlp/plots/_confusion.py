"""Confusion matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from xpmlp.plots._style import MOST_LABELLED

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["confusion_figure"]


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
