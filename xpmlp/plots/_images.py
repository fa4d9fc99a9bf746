"""Rows of numbers that are images: weights, and examples."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from xpmlp.plots._common import literal, put_title

if TYPE_CHECKING:
    from collections.abc import Sequence


def weights_figure(W: np.ndarray, image_shape: tuple[int, int], title: str, columns: int = 10) -> Figure:
    """Draw the weights of each unit of a first layer as an image, all on one scale.

    Parameters
    ----------
    W : ndarray of shape (height * width, units)
        The weights, a column for each unit.
    image_shape : (int, int)
        Height and width.
    title : str
        Above them.
    columns : int
        Images in a row; units are counted row by row, from 0.

    Returns
    -------
    Figure
        With a scale from minus to plus the 99.5th percentile of the absolute weights, 0 in white.
    """
    n_units = W.shape[1]
    rows = math.ceil(n_units / columns)
    height, width = image_shape
    above, beside = max(1, height // 5), max(1, width // 14)
    mosaic = np.full((rows * (height + above), columns * (width + beside)), np.nan)
    figure = Figure(figsize=(0.95 * columns + 1.0, 1.05 * rows + 0.6), layout="compressed")
    axes = figure.subplots()
    axes.set_axis_off()
    for unit in range(n_units):
        row, column = divmod(unit, columns)
        top, left = row * (height + above) + above, column * (width + beside)
        mosaic[top : top + height, left : left + width] = W[:, unit].reshape(image_shape)
        axes.text(left + width / 2, top - 0.5 - above / 5, str(unit), ha="center", va="bottom", fontsize=7)
    largest = float(np.percentile(np.abs(W), 99.5)) or 1.0
    image = axes.imshow(mosaic, cmap="PuOr_r", vmin=-largest, vmax=largest)  # as one: fifty axes take seconds
    figure.colorbar(image, ax=axes, label="weight", extend="both", aspect=40)
    put_title(figure, title)
    return figure


def images_figure(
    images: np.ndarray, captions: Sequence[str], image_shape: tuple[int, int], title: str, columns: int = 6
) -> Figure:
    """Draw examples in grey, each with a caption of a few short lines above it.

    Parameters
    ----------
    images : ndarray of shape (n, height * width)
        One image a row.
    captions : sequence of str
        One for each image.
    image_shape : (int, int)
        Height and width.
    title : str
        Above them.
    columns : int
        Images in a row.
    """
    rows = math.ceil(len(captions) / columns)
    lines = max(caption.count("\n") for caption in captions) + 1
    figure = Figure(figsize=(1.7 * columns, rows * (1.5 + 0.17 * lines) + 0.6), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in every:
        axes.set_axis_off()
    for axes, image, caption in zip(every, images, captions, strict=False):
        axes.imshow(image.reshape(image_shape), cmap="gray_r")
        axes.set_title(literal(caption), fontsize=8, pad=3)
    put_title(figure, title)
    return figure
