"""Decision regions of classifiers with two classes in the plane."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xpmlp.plots._common import BLUE, VERMILION, literal, put_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

CLASS_COLOURS = (BLUE, VERMILION)
PART_MARKERS = {"train": "o", "validation": "s", "test": "^"}
ALPHA = 0.5  # of the shading, so that points of the same colour stand out from it
SHADES = LinearSegmentedColormap.from_list("classes", [BLUE, "#FFFFFF", VERMILION])


class Regions(NamedTuple):
    """What a classifier says of a square of the plane, and the data in it."""

    title: str  # above the panel
    probability: np.ndarray  # (n, n): of class 1, at the points of `plane_grid`
    half_width: float  # the square reaches from minus this to plus this in both directions
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]]  # "train", "validation", "test": points (n, 2), classes 0 or 1


def plane_grid(half_width: float, n: int) -> np.ndarray:
    """Return the n * n points of a regular grid over a square around the origin, (n * n, 2), row by row."""
    line = np.linspace(-half_width, half_width, n)
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def regions_figure(panels: Sequence[Regions], title: str, columns: int = 1, side: float = 5.0) -> Figure:
    """Draw decision regions, shaded by probability, with the data over them and the boundary at one half.

    Parameters
    ----------
    panels : sequence of Regions
        One for each classifier, row by row.
    title : str
        Above all of them; may be empty.
    columns : int
        Panels in a row.
    side : float
        Of a panel, in inches.

    Returns
    -------
    Figure
        With one scale of probability and one legend for all panels.
    """
    rows = math.ceil(len(panels) / columns)
    columns = min(columns, len(panels))
    size = (max(columns * side + 1.0, 5.4), rows * (side + 0.4) + (1.1 if title else 0.8))
    figure = Figure(figsize=size, layout="compressed")
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    crowded = side < 4.0
    for axes, panel in zip(every, panels, strict=False):
        shading = _draw(axes, panel, 5.0 if crowded else 14.0)
        axes.set_title(literal(panel.title), fontsize="small" if crowded else "medium")
        axes.set(xlabel="x0", ylabel="x1")
        axes.label_outer()
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    scale: dict[str, Any] = {"shrink": min(1.0, 2.0 / rows), "anchor": (0.0, 1.0), "aspect": 25}
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    figure.colorbar(shading, ax=every, label="probability of class 1", ticks=ticks, **scale)
    handles = _legend_handles(dict.fromkeys(part for panel in panels for part in panel.parts))
    legend_columns = len(handles) if columns * side > 7.0 else 3
    figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns, fontsize="small")
    if title:
        put_title(figure, title)
    return figure


def _draw(axes: Axes, panel: Regions, size: float) -> AxesImage:
    h = panel.half_width
    shading = axes.imshow(
        panel.probability, extent=(-h, h, -h, h), origin="lower", cmap=SHADES, vmin=0.0, vmax=1.0, alpha=ALPHA
    )
    if panel.probability.min() < 0.5 < panel.probability.max():
        line = np.linspace(-h, h, panel.probability.shape[0])
        axes.contour(line, line, panel.probability, levels=[0.5], colors="black", linewidths=1.2)
    for part, (X, y) in panel.parts.items():
        held_out = part != "train"
        style: dict[str, Any] = {"s": size * (1.6 if held_out else 1.0), "marker": PART_MARKERS[part]}
        style |= {"edgecolors": "black" if held_out else "white", "linewidths": 0.06 * size**0.5 + 0.1}
        for label, colour in enumerate(CLASS_COLOURS):
            axes.scatter(X[y == label, 0], X[y == label, 1], c=colour, **style)
    return shading


def _legend_handles(parts: Iterable[str]) -> list[Line2D]:
    points = [
        Line2D([], [], linestyle="", marker=PART_MARKERS[part], color=colour, label=f"class {label}, {part}")
        for part in parts
        for label, colour in enumerate(CLASS_COLOURS)
    ]
    for point in points:
        point.set_markeredgecolor("white" if point.get_marker() == PART_MARKERS["train"] else "black")
    return [*points, Line2D([], [], color="black", label="probability one half")]
