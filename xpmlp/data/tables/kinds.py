"""The kind of a column: what its values are, and whether anything can be learnt from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import MAX_EXACT
from xpmlp.data.tables.table import NUMERIC_KINDS, Column

MIN_ROWS = 20  # with fewer, values that are all different say nothing
MAX_REPEATED = 0.5  # a column of texts with more distinct values than this share of its rows is no category
IDENTIFIER = re.compile(r"(?i:(^|[_\W])(id|ids|index|key|uuid|guid|row ?names?|unnamed: 0)$)|[a-z]I[Dd]$")
TRUTH = {"true": 1.0, "false": 0.0}


def column_of(name: str, values: np.ndarray, kind: str | None = None) -> Column:
    """Return a column of the kind that its values suggest, or of a given one.

    Parameters
    ----------
    name : str
        The column's.
    values : ndarray of shape (n,)
        Numbers (float64, NaN where missing), dates (datetime64, NaT where missing), or objects, each a str or None.
    kind : str, optional
        One of `KINDS`.

    Raises
    ------
    InputError
        For values that are not of the given kind, with the first one.
    """
    raw = Column(name, _plain_kind(values), values)
    return _converted(raw, kind or kind_of(ColumnFacts(raw)))


class Facts(Protocol):
    """What the kind of a column depends on."""

    @property
    def name(self) -> str:
        """The column's."""

    @property
    def plain_kind(self) -> str:
        """What its values are: "number", "whole number", "date" or "text"."""

    @property
    def n_rows(self) -> int:
        """How many rows there are."""

    @property
    def n(self) -> int:
        """How many of them have a value."""

    @property
    def is_constant(self) -> bool:
        """Whether no row has a value, or all have the same."""

    @property
    def n_distinct(self) -> int:
        """How many different values there are."""

    @property
    def counts_rows(self) -> bool:
        """Whether the values are 0, 1, 2, ... or 1, 2, 3, ..., for numbers."""

    @property
    def is_truth(self) -> bool:
        """Whether there are values and all are true or false, for texts."""

    @property
    def n_words(self) -> float:
        """How many words a value has in the mean, for texts that are all different."""


def kind_of(facts: Facts) -> str:
    """Return the kind that the values of a column suggest."""
    n, plain = facts.n, facts.plain_kind
    if plain == "text" and facts.is_truth:
        return "truth value"
    if facts.is_constant:
        return "constant"
    if plain == "whole number":  # distinct ones are sought where they may do no more than to tell the rows apart
        tells_apart = n > MIN_ROWS and (IDENTIFIER.search(facts.name) or facts.counts_rows) and n == facts.n_distinct
        return "identifier" if tells_apart else plain
    if plain != "text":
        return plain
    if n == facts.n_distinct and n > MIN_ROWS:
        return "identifier" if facts.n_words <= 4 else "text"
    return "text" if n > MIN_ROWS and facts.n_distinct > MAX_REPEATED * n else "category"


@dataclass(frozen=True)
class ColumnFacts:
    """The facts of a column in memory; they are found out when they are asked for, as not all columns need all."""

    column: Column

    @property
    def name(self) -> str:
        return self.column.name

    @property
    def plain_kind(self) -> str:
        return self.column.kind

    @property
    def n_rows(self) -> int:
        return len(self.column)

    @property
    def n(self) -> int:
        return len(self.column) - int(self.column.missing.sum())

    @property
    def is_constant(self) -> bool:
        if not self.n or self.column.values.dtype == object:
            return self.n_distinct == 0 or (self.n_distinct == 1 and self.n == self.n_rows)
        return self.n == self.n_rows and bool(self.column.values.min() == self.column.values.max())

    @property
    def n_distinct(self) -> int:
        return len(self.column.distinct)

    @property
    def counts_rows(self) -> bool:
        start = self.column.values[0]
        return start in {0.0, 1.0} and bool((np.diff(self.column.values) == 1).all())

    @property
    def is_truth(self) -> bool:
        return self.n_distinct > 0 and set(map(str.lower, self.column.distinct)) <= set(TRUTH)

    @property
    def n_words(self) -> float:
        return float(np.mean([len(value.split()) for value in self.column.distinct]))


def plain_numbers(column: Column) -> np.ndarray | None:
    """Return a column of numbers, or of a constant or an identifier that are numbers, as float64; None for others.

    A text such as 007 is none, as its zeros are part of it.
    """
    if column.kind in {"number", "whole number"}:
        return column.values
    if column.kind not in {"constant", "identifier"} or column.missing.any():
        return None
    try:
        numbers = np.array([float(text) for text in column.values])
    except ValueError:
        return None
    plain = Column(column.name, _plain_kind(numbers), numbers)
    return numbers if all(map(str.__eq__, map(plain.text, numbers), column.values)) else None


def _plain_kind(values: np.ndarray) -> str:
    if values.dtype.kind == "M":
        return "date"
    if values.dtype.kind == "f":
        whole = np.isnan(values) | ((np.floor(values) == values) & (np.abs(values) <= MAX_EXACT))
        return "whole number" if whole.all() else "number"
    return "text"


def _converted(column: Column, kind: str) -> Column:
    """Return a column as one of another kind."""
    name, values = column.name, column.values
    if kind in NUMERIC_KINDS:
        return Column(name, kind, _numbers(column, kind))
    if kind == "date":
        return Column(name, kind, _dates(column))
    if values.dtype == object:
        return Column(name, kind, values)
    texts = [None if gap else column.text(value) for value, gap in zip(values, column.missing, strict=True)]
    return Column(name, kind, np.array(texts, dtype=object))


def _numbers(column: Column, kind: str) -> np.ndarray:
    """Return the values of a column as numbers; the texts of truth values as 0 and 1."""
    if column.values.dtype.kind == "f":
        if kind == "truth value" and not set(column.distinct) <= {0.0, 1.0}:
            raise _misfit(column, kind, column.distinct[-1])
        return column.values
    numbers = np.full(len(column), np.nan)
    if column.values.dtype != object and len(column.distinct):
        raise _misfit(column, kind, column.distinct[0])
    for row in np.flatnonzero(~column.missing):
        text = column.values[row]
        try:
            numbers[row] = TRUTH[text.lower()] if kind == "truth value" else float(text)
        except (KeyError, ValueError):
            raise _misfit(column, kind, text) from None
    return numbers


def _dates(column: Column) -> np.ndarray:
    """Return the values of a column as dates; texts of a frame are read as ISO 8601 has dates."""
    if column.values.dtype.kind == "M":
        return column.values.astype("datetime64[us]")
    dates = np.full(len(column), np.datetime64("NaT"), "datetime64[us]")
    for row in np.flatnonzero(~column.missing):
        value = column.values[row]
        try:
            dates[row] = np.datetime64(value, "us")
        except ValueError:  # of a number too
            raise _misfit(column, "date", value) from None
    return dates


def _misfit(column: Column, kind: str, value: object) -> InputError:
    return InputError(
        f"column {column.name!r} is to hold values of the kind {kind!r}, but holds {str(value)!r}: mend the value, or "
        f"name it as one that is missing (--missing)."
    )
