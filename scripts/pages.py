"""Tables of what was measured, in the pages of docs/ that have a marked place for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DOCS", "fill", "shown"]

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- measured -->\n", "\n<!-- end -->"


def fill(page: Path, lines: Iterable[str]) -> None:
    """Put lines into the marked place of a page, in place of what is there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place between {BEGIN.strip()!r} and {END.strip()!r}.")
    write_whole(page, "".join([before, BEGIN, "\n".join(lines), END, after]).encode())


def shown(page: Path) -> list[str]:
    """Return the lines in the marked place of a page."""
    return page.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].splitlines()
