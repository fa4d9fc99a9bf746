"""What all figures share: colours, titles, and texts that fit into their places.

The colours are those of Okabe and Ito that stand out from white, which readers with any kind of colour vision can tell
apart. Each line has a dash pattern and each set of points a marker of its own beside its colour.
"""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, GREEN, VERMILION, PURPLE, GREY = "#0072B2", "#009E73", "#D55E00", "#CC79A7", "#666666"
PART_STYLES = {"train": (BLUE, "-"), "validation": (VERMILION, "--"), "test": (GREEN, "-.")}
MOST_LABELLED = 40  # classes or parameters whose numbers or names still fit beside each other
TITLE_CHARACTERS = 9.0  # of a title, in an inch
LINE = 0.2  # inches of a line of it
LONGEST_NAME = 28  # characters of a name beside an axis


def put_title(figure: Figure, title: str) -> None:
    """Write a title above a figure, in as many lines as its width asks for; the figure grows by them."""
    width = int(TITLE_CHARACTERS * figure.get_figwidth())
    lines = [part for line in title.splitlines() for part in wrap(line, width)]
    figure.suptitle(literal("\n".join(lines)))
    figure.set_figheight(figure.get_figheight() + LINE * max(len(lines) - 1, 0))


def legend_above(axes: Axes, columns: int, title: str | None = None) -> None:
    """Put the legend between the title and the axes, where it covers nothing."""
    text = {"title": title, "fontsize": "small", "title_fontsize": "small"}
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, frameon=False, **text)


def short(name: str) -> str:
    """Put a name into a line, and cut a long one in its middle: names differ more often at their ends."""
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME:
        half = LONGEST_NAME // 2
        name = f"{name[:half]}…{name[1 - half :]}"
    return literal(name)


def literal(text: str) -> str:
    """Have dollar signs drawn as they are; two of them would enclose mathematics."""
    return text.replace("$", r"\$")
