"""Figures into files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg

from xpmlp.common.files import FIGURE_KINDS, check_place, write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

__all__ = ["save_figure"]


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
