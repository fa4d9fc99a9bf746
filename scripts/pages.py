"""Tables of what was measured, in the pages of docs/ that have a marked place for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DOCS", "fill", "shown"]

DOCS = Path(__file__).parent.parent / "docs"
END = "\n<!-- end -->"


def fill(page: Path, lines: Iterable[str], what: str = "measured") -> None:
    """Put lines into the place of a page that is marked with a name, in place of what is there."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_mark(what))
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no place between {_mark(what).strip()!r} and {END.strip()!r}.")
    write_whole(page, "".join([before, begin, "\n".join(lines), END, after]).encode())


def shown(page: Path, what: str = "measured") -> list[str]:
    """Return the lines in the place of a page that is marked with a name."""
    return page.read_text(encoding="utf-8").partition(_mark(what))[2].partition(END)[0].splitlines()


def _mark(what: str) -> str:
    return f"<!-- {what} -->\n"
