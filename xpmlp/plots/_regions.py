"""Decision regions of classifiers in the plane of two features."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xpmlp.common.shown import line
from xpmlp.plots._common import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, literal, put_title, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matplotlib.axes import Axes

CLASS_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MAX_REGIONS = len(CLASS_COLOURS)  # classes that can be told apart
PART_MARKERS = {"train": "o", "validation": "s", "test": "^"}
ALPHA = 0.5  # of the shading, so that points of the same colour stand out from it
SHADES = LinearSegmentedColormap.from_list("classes", [BLUE, "#FFFFFF", VERMILION])


class Regions(NamedTuple):
    """What a classifier says of a rectangle of the plane, and the data in it."""

    title: str  # above the panel
    probabilities: np.ndarray  # (n, n, m): of each class, at the points of `plane_grid`
    extent: tuple[float, float, float, float]  # the lowest and highest values of the two features
    parts: Mapping[str, tuple[np.ndarray, np.ndarray]]  # "train", "validation", "test": points (n, 2), classes from 0

    def __repr__(self) -> str:
        return line(self)


def plane_grid(extent: tuple[float, float, float, float], n: int) -> np.ndarray:
    """Return the n * n points of a regular grid over a rectangle of the plane, (n * n, 2), row by row from below."""
    left, right, bottom, top = extent
    return np.stack(np.meshgrid(np.linspace(left, right, n), np.linspace(bottom, top, n)), axis=-1).reshape(-1, 2)


def regions_figure(
    panels: Sequence[Regions],
    title: str,
    *,
    columns: int = 1,
    side: float = 5.0,
    features: tuple[str, str] = ("x0", "x1"),
    classes: Sequence[str] = ("class 0", "class 1"),
) -> Figure:
    """Draw decision regions: shaded by the most probable class and its probability, with the data and the boundaries.

    The shading is white where all classes are as probable, and the colour of a class where it is certain.

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
    features : tuple of str
        Below and beside the panels.
    classes : sequence of str
        Two to six names.

    Returns
    -------
    Figure
        With one legend for all panels, and for two classes a scale of probability.
    """
    rows = math.ceil(len(panels) / columns)
    columns = min(columns, len(panels))
    scales = 1.9 if len(classes) == 2 else 1.0  # inches
    size = (max(columns * side + scales, 5.4), rows * (side + 0.4) + (1.1 if title else 0.8))
    figure = Figure(figsize=size, layout="compressed")
    every = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    crowded = side < 4.0
    for axes, panel in zip(every, panels, strict=False):
        _draw(axes, panel, 5.0 if crowded else 14.0)
        axes.set_title(literal(panel.title), fontsize="small" if crowded else "medium")
        axes.set(xlabel=short(features[0]), ylabel=short(features[1]))
        axes.label_outer()
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    if len(classes) == 2:
        scale: dict[str, Any] = {"shrink": min(1.0, 2.0 / rows), "anchor": (0.0, 1.0), "aspect": 25}
        scale |= {"ticks": [0.0, 0.25, 0.5, 0.75, 1.0], "alpha": ALPHA}
        shading = ScalarMappable(Normalize(0.0, 1.0), SHADES)
        figure.colorbar(shading, ax=every, label=f"probability of {short(classes[1])}", **scale)
    parts = dict.fromkeys(part for panel in panels for part in panel.parts)
    handles = _legend_handles(parts, [short(name) for name in classes])
    legend_columns = len(handles) if columns * side > 7.0 else 3
    figure.legend(handles=handles, loc="outside lower center", ncols=legend_columns, fontsize="small")
    if title:
        put_title(figure, title)
    return figure


def _draw(axes: Axes, panel: Regions, size: float) -> None:
    p, (left, right, bottom, top) = panel.probabilities, panel.extent
    axes.imshow(_shades(p), extent=panel.extent, origin="lower", alpha=ALPHA, aspect=(right - left) / (top - bottom))
    lines = np.linspace(left, right, p.shape[1]), np.linspace(bottom, top, p.shape[0])
    for lead in np.moveaxis(p - _best_other(p), -1, 0)[1:]:  # the boundary of class 0 is one of the others'
        if lead.min() < 0.0 < lead.max():
            axes.contour(*lines, lead, levels=[0.0], colors="black", linewidths=1.2)
    for part, (X, y) in panel.parts.items():
        held_out = part != "train"
        style: dict[str, Any] = {"s": size * (1.6 if held_out else 1.0), "marker": PART_MARKERS[part]}
        style |= {"edgecolors": "black" if held_out else "white", "linewidths": 0.06 * size**0.5 + 0.1}
        for label, colour in enumerate(CLASS_COLOURS[: p.shape[-1]]):
            axes.scatter(X[y == label, 0], X[y == label, 1], c=colour, **style)


def _shades(p: np.ndarray) -> np.ndarray:
    """Return the colours of probabilities, (n, n, m) to (n, n, 3)."""
    m = p.shape[-1]
    certainty = (p.max(axis=-1, keepdims=True) - 1.0 / m) / (1.0 - 1.0 / m)
    colours = np.array([to_rgb(colour) for colour in CLASS_COLOURS[:m]])[p.argmax(axis=-1)]
    shades: np.ndarray = np.clip(1.0 + certainty * (colours - 1.0), 0.0, 1.0)
    return shades


def _best_other(p: np.ndarray) -> np.ndarray:
    """Return the largest probability of the other classes, for each class."""
    own = np.eye(p.shape[-1], dtype=bool)
    best: np.ndarray = np.where(own, -np.inf, p[..., None, :]).max(axis=-1)
    return best


def _legend_handles(parts: Iterable[str], classes: Sequence[str]) -> list[Line2D]:
    points = [
        Line2D([], [], linestyle="", marker=PART_MARKERS[part], color=colour, label=f"{name}, {part}")
        for part in parts
        for name, colour in zip(classes, CLASS_COLOURS, strict=False)
    ]
    for point in points:
        point.set_markeredgecolor("white" if point.get_marker() == PART_MARKERS["train"] else "black")
    boundary = "probability one half" if len(classes) == 2 else "boundary"
    return [*points, Line2D([], [], color="black", label=boundary)]
