"""What all figures share: colours, titles, texts that fit into their places, and the way into a file.

The colours are those of Okabe and Ito that stand out from white, which readers with any kind of colour vision can tell
apart. Each line has a dash pattern and each set of points a marker of its own beside its colour.
"""

from __future__ import annotations

import io
import warnings
from textwrap import wrap
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg

from xpmlp.common.files import FIGURE_KINDS, check_place, write_whole
from xpmlp.plots._fonts import use_fonts_with_all_characters

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREEN, VERMILION, PURPLE, GREY = "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#666666"
ORANGE, SKY = "#E69F00", "#56B4E9"
PART_STYLES = {"train": (BLUE, "-"), "validation": (VERMILION, "--"), "test": (GREEN, "-.")}
MAX_LABELLED = 40  # classes or parameters whose numbers or names still fit beside each other
TITLE_CHARACTERS = 9.0  # of a title, in an inch
TITLE_LINE = 0.2  # inches of a line of it
CHARACTER = 0.075  # inches of a digit or a letter beside an axis, on average
MAX_NAME_LENGTH = 28  # characters of a name beside an axis


def put_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as its width asks for; the figure grows by them."""
    width = int(TITLE_CHARACTERS * figure.get_figwidth())
    lines = [part for line in title.splitlines() for part in wrap(line, width)]
    figure.suptitle(literal("\n".join(lines)))
    figure.set_figheight(figure.get_figheight() + TITLE_LINE * max(len(lines) - 1, 0))


def legend_above(axes: Axes, columns: int, title: str | None = None) -> None:
    """Put the legend between the title and the axes, where it covers nothing."""
    text = {"title": title, "fontsize": "small", "title_fontsize": "small"}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False, **text)


def short(name: str) -> str:
    """Put a name into a line, and cut a long one in its middle: names differ more often at their ends."""
    name = " ".join(name.split())
    if len(name) > MAX_NAME_LENGTH:
        half = MAX_NAME_LENGTH // 2
        name = f"{name[:half]}…{name[1 - half :]}"
    return literal(name)


def literal(text: str) -> str:
    """Have dollar signs drawn as they are; two of them would enclose mathematics."""
    return text.replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the file's name ends in: png (150 dots per inch), pdf or svg.

    Raises
    ------
    InputError
        Where the file cannot be written, or its name has another ending.

    Warns
    -----
    XpmlpWarning
        For characters that no installed font has, once in a process.
    """
    check_place(path, FIGURE_KINDS)
    FigureCanvasAgg(figure)
    drawn = io.BytesIO()
    use_fonts_with_all_characters(figure)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph .* missing from font", UserWarning)  # which was said in our words
        figure.savefig(drawn, format=path.suffix[1:].lower(), dpi=150)
    write_whole(path, drawn.getvalue())
