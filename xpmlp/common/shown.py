"""How what a user gets back is shown: in a line or a short table of a console, and as a table of a notebook."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from html import escape
from numbers import Number
from reprlib import Repr
from typing import TYPE_CHECKING, Any, TypeAlias

from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Content: TypeAlias = tuple[Sequence[str], Iterable[Sequence[object]]]  # of a table: the heads of its columns, its rows

MAX_CELL = 64  # characters in a cell of a console
MAX_ROWS, MAX_ROWS_OF_NOTEBOOK = 20, 100


class _Writer(Repr):
    """Writes values without the numbers of arrays and without addresses, and cuts what is long."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = 20
        self.maxstring = 200

    def repr_list(self, x: list[Any], level: int) -> str:
        return f"[{len(x)} arrays]" if len(x) > 2 and all(map(_is_array, x)) else super().repr_list(x, level)

    def repr_instance(self, x: Any, level: int) -> str:  # noqa: ARG002 - the standard library's signature
        if _is_array(x):
            return f"{x.dtype} {tuple(x.shape)}"
        text = repr(x)
        if " at 0x" in text:
            return str(getattr(x, "__name__", f"{type(x).__name__}()"))
        return " ".join(text.split())


def _is_array(x: Any) -> bool:
    return hasattr(x, "shape") and hasattr(x, "dtype") and not isinstance(x, Number)


written: Callable[[Any], str] = _Writer().repr


def line(thing: Any, *always: str) -> str:
    """Write a dataclass or a named tuple as the call that makes it.

    Left out is what has its default value, but for the fields that are `always` there. For an array stand its dtype and
    its shape, for a function of the user's own its name.
    """
    values = [(name, written(value), default) for name, value, default in _fields(thing)]
    said = [f"{name}={text}" for name, text, default in values if name in always or text != default]
    return f"{type(thing).__name__}({', '.join(said)})"


def _fields(thing: Any) -> Iterator[tuple[str, Any, str]]:
    """Give name, value and the default as it is written, "" for none, of each field."""
    if not dataclasses.is_dataclass(thing):
        defaults = {name: written(default) for name, default in thing._field_defaults.items()}
        yield from ((name, getattr(thing, name), defaults.get(name, "")) for name in thing._fields)
        return
    for field in dataclasses.fields(thing):
        default = ""
        if field.default is not dataclasses.MISSING:
            default = written(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            default = written(field.default_factory())
        if field.repr:
            yield field.name, getattr(thing, field.name), default


def as_text(content: Content) -> str:
    """Write a table for a console: its first rows, and how many there are more."""
    heads, rows = content
    cells = [[_cut(" ".join(str(cell).split())) for cell in row] for row in (heads, *rows)]
    shown = cells[: MAX_ROWS + 1]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = ["  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in shown]
    return "\n".join(lines + _more(len(cells) - len(shown)))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL else f"{text[: MAX_CELL - 3]}..."


def _more(n: int) -> list[str]:
    return [f"and {counted(n, 'row')} more"] if n else []


class Shown(ABC):
    """What a notebook shows with a table: below the first line of its `repr`, what `_content` gives."""

    __slots__ = ()

    @abstractmethod
    def _content(self) -> Content:
        """Return what the table has."""

    def _repr_html_(self) -> str:
        """Return the table in HTML; all texts are escaped."""
        heads, rows = self._content()
        cells = [[escape(str(cell)) for cell in row] for row in rows]
        shown = [f"<td>{'</td><td>'.join(row)}</td>" for row in cells[:MAX_ROWS_OF_NOTEBOOK]]
        head = f"<th>{'</th><th>'.join(map(escape, heads))}</th>"
        more = "".join(f"<p>{text}</p>" for text in _more(len(cells) - len(shown)))
        table = f"<table><tr>{'</tr><tr>'.join([head, *shown])}</tr></table>"
        return f"<p>{escape(repr(self).partition(chr(10))[0])}</p>{table}{more}"
