"""A table: columns of one length, each of a kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.shown import Shown, as_text
from xpmlp.common.wording import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from xpmlp.common.shown import Content

KINDS = ("number", "whole number", "truth value", "category", "date", "text", "identifier", "constant")
NUMERIC_KINDS = ("number", "whole number", "truth value")
COLUMN_HEADS = ("column", "kind", "distinct", "missing", "example")
MAX_SHOWN = 24  # characters of an example


# Without a generated __eq__: comparing arrays gives an array, which is neither true nor false.
@dataclass(frozen=True, eq=False, repr=False)
class Column:
    """A column of a table.

    Attributes
    ----------
    name : str
        As the header calls it; "column 1" and so on where there is none.
    kind : str
        One of `KINDS`.
    values : ndarray of shape (n,)
        float64, NaN where missing, for "number", "whole number" and "truth value"; datetime64[us], NaT where missing,
        for "date"; else objects, each a str or None where missing.
    date_formats : tuple of str
        Of dates that were read from text: how they are written; then the other formats by which all of them can be
        read, as other dates.
    """

    name: str
    kind: str
    values: np.ndarray
    date_formats: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"<Column {self.name!r}: {self.kind}, {counted(len(self), 'row')}>"

    @property
    def is_numeric(self) -> bool:
        """Whether the values are float64."""
        return self.kind in NUMERIC_KINDS

    @cached_property
    def missing(self) -> np.ndarray:
        """Where there is no value: bool, (n,)."""
        if self.values.dtype == object:
            is_missing: np.ndarray = np.equal(self.values, np.array(None))
        else:
            is_missing = np.isnat(self.values) if self.kind == "date" else np.isnan(self.values)
        return is_missing

    @cached_property
    def counts(self) -> Counter[Any]:
        """How often each text is there, None for a gap among them; of columns whose values are objects."""
        return Counter(self.values.tolist())

    @cached_property
    def distinct(self) -> np.ndarray:
        """The different values that are not missing, in order."""
        if self.values.dtype != object:
            return np.unique(self.values[~self.missing])
        return np.array(sorted(self.counts.keys() - {None}), dtype=object)

    def take(self, rows: Any) -> Column:
        """Return some of the rows: an index array, a mask or a slice."""
        return replace(self, values=self.values[rows])

    def text(self, value: Any) -> str:
        """Write one of the column's values as a person reads it; "" for one that is missing."""
        if value is None or value != value:  # noqa: PLR0124 - so are NaN and NaT
            return ""
        if self.kind == "truth value":
            return str(bool(value))
        if self.kind == "whole number":
            return f"{value:.0f}"
        if self.kind == "date":
            return str(value.astype("datetime64[s]")).replace("T00:00:00", "").replace("T", " ")
        return str(value)


@dataclass(frozen=True, eq=False, repr=False)
class Table(Shown):
    """Columns of one length, each with a name of its own.

    Attributes
    ----------
    name : str
        The stem of the file's name, or "table".
    columns : tuple of Column
        In the order of the file.
    has_header : bool
        Whether the names come with the data.
    notes : tuple of str
        What a user should know of how the table was read, in sentences.
    """

    name: str
    columns: tuple[Column, ...]
    has_header: bool = True
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if len({len(column) for column in self.columns}) > 1:
            lengths = ", ".join(f"{column.name!r} {len(column)}" for column in self.columns)
            raise InputError(f"the columns of a table must be of the same length: {lengths}.")
        if doubled := sorted(name for name, count in Counter(self.names).items() if count > 1):
            raise InputError(f"several columns are called {quoted(doubled)}: give every column a name of its own.")

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    @property
    def n_rows(self) -> int:
        """How many rows there are."""
        return len(self)

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows and columns there are."""
        return len(self), len(self.columns)

    @property
    def names(self) -> list[str]:
        """The names of the columns, in order."""
        return [column.name for column in self.columns]

    @property
    def kinds(self) -> dict[str, str]:
        """The kind of each column, by its name."""
        return {column.name: column.kind for column in self.columns}

    @property
    def known(self) -> dict[str, str]:
        """The kind of each column with the format of its dates, by its name, as `read_table` takes them."""
        dates = (column for column in self.columns if column.kind == "date" and column.date_formats)
        return self.kinds | {column.name: f"date:{column.date_formats[0]}" for column in dates}

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Column:
        for column in self.columns:
            if column.name == name:
                return column
        raise InputError(f"{self.name} has no column {name!r}: it has {quoted(self.names)}.")

    def select(self, names: Sequence[str]) -> Table:
        """Return some of the columns, in the order given.

        Raises
        ------
        InputError
            For a name that no column has.
        """
        return self._with(tuple(self[name] for name in names))

    def without(self, names: Collection[str]) -> Table:
        """Return the other columns; raises as `select`."""
        for name in names:
            self[name]
        return self._with(tuple(column for column in self.columns if column.name not in names))

    def take(self, rows: Any) -> Table:
        """Return some of the rows: an index array, a mask or a slice."""
        return self._with(tuple(column.take(rows) for column in self.columns))

    def _with(self, columns: tuple[Column, ...]) -> Table:
        return Table(self.name, columns, self.has_header, self.notes)

    def summary(self) -> list[tuple[str, str, int, int, str]]:
        """Return name, kind, number of distinct values, number of missing ones and an example of each column."""
        rows = []
        for column in self.columns:
            there = np.flatnonzero(~column.missing)
            example = shortened(column.text(column.values[there[0]])) if there.size else ""
            rows.append((column.name, column.kind, len(column.distinct), int(column.missing.sum()), example))
        return rows

    def _content(self) -> Content:
        rows = [(name, kind, f"{d:,}", f"{m:,}", example) for name, kind, d, m, example in self.summary()]
        return COLUMN_HEADS, rows

    def __repr__(self) -> str:
        return f"<Table {self.name}: {counted(len(self), 'row')}>\n{as_text(self._content())}"


def shortened(example: str) -> str:
    """Return an example of a column as it is shown."""
    return example if len(example) <= MAX_SHOWN else f"{example[: MAX_SHOWN - 3]}..."
