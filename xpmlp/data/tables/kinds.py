"""The kind of a column: what its values are, and whether anything can be learnt from them."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import MAX_EXACT
from xpmlp.data.tables.dates import ISO, parse_date
from xpmlp.data.tables.dialect import NUMBER as WRITTEN_NUMBER
from xpmlp.data.tables.table import NUMERIC_KINDS, Column

MIN_ROWS = 20  # with fewer, values that are all different say nothing
MAX_REPEATED = 0.5  # a column of texts with more distinct values than this share of its rows is no category
IDENTIFIER = re.compile(r"(?i:(^|[_\W])(id|ids|index|key|uuid|guid|row ?names?|unnamed: 0)$)|[a-z]I[Dd]$")
TRUTH = {"true": 1.0, "false": 0.0}


def column_of(
    name: str,
    values: np.ndarray,
    kind: str | None = None,
    *,
    date_formats: tuple[str, ...] = (),
    first_row: int = 0,
) -> Column:
    """Return a column of the kind that its values suggest, or of a given one.

    Parameters
    ----------
    name : str
        The column's.
    values : ndarray of shape (n,)
        Numbers (float64, NaN where missing), dates (datetime64, NaT where missing), or objects, each a str or None.
    kind : str, optional
        One of `KINDS`; of dates in text with their format, as "date:%d/%m/%Y".
    date_formats : tuple of str
        By which dates were read, as `Column` has them.
    first_row : int
        The number of the first row, for messages.

    Raises
    ------
    InputError
        For values that are not of the given kind, with the first one and its row, from 0.
    """
    raw = Column(name, _plain_kind(values), values)
    plain, _, date_format = (kind or kind_of(ColumnFacts(raw))).partition(":")
    if plain == "date":
        formats = (date_format,) if date_format else date_formats
        return Column(name, plain, _dates(raw, date_format or ISO, first_row), formats)
    return replace(_converted(raw, plain, first_row), date_formats=date_formats)


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
        return self.n_distinct > 0 and all(value.lower() in TRUTH for value in self.column.distinct)

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


def _converted(column: Column, kind: str, first_row: int) -> Column:
    """Return a column as one of another kind."""
    name, values = column.name, column.values
    if kind in NUMERIC_KINDS:
        return Column(name, kind, _numbers(column, kind, first_row))
    if values.dtype == object:
        return Column(name, kind, values)
    texts = [None if gap else column.text(value) for value, gap in zip(values, column.missing, strict=True)]
    return Column(name, kind, np.array(texts, dtype=object))


def _numbers(column: Column, kind: str, first_row: int) -> np.ndarray:
    """Return the values of a column as numbers; the texts of truth values as 0 and 1."""
    values, there = column.values, np.flatnonzero(~column.missing)
    if values.dtype.kind == "f":
        if kind == "truth value" and (others := ~np.isin(values[there], (0.0, 1.0))).any():
            raise _misfit(column, kind, int(there[np.argmax(others)]), first_row)
        return values
    numbers = np.full(len(column), np.nan)
    if values.dtype != object and there.size:
        raise _misfit(column, kind, int(there[0]), first_row)
    for row in there:
        try:
            numbers[row] = TRUTH[values[row].lower()] if kind == "truth value" else float(values[row])
        except (KeyError, ValueError):
            texts = [other for other in there if not WRITTEN_NUMBER.fullmatch(values[other])]  # but decimal commas
            wrong = texts[0] if texts and kind != "truth value" else row
            raise _misfit(column, kind, int(wrong), first_row) from None
    return numbers


def _dates(column: Column, date_format: str, first_row: int) -> np.ndarray:
    """Return the values of a column as dates; its texts are written in one format."""
    if column.values.dtype.kind == "M":
        return column.values.astype("datetime64[us]")
    dates = np.full(len(column), np.datetime64("NaT"), "datetime64[us]")
    for row in np.flatnonzero(~column.missing):
        try:
            dates[row] = parse_date(column.text(column.values[row]), date_format)
        except ValueError:
            raise _misfit(column, f"date:{date_format}", int(row), first_row) from None
    return dates


def _misfit(column: Column, kind: str, row: int, first_row: int) -> InputError:
    plain, _, date_format = kind.partition(":")
    value, hint = column.values[row], ""
    if date_format:
        hint = f", or say how all dates are written (--kinds {shlex.quote(f'{column.name}=date:FORMAT')})"
    how = {"": "", ISO: ", which is no date of ISO 8601"}.get(date_format, f", which is not written as {date_format}")
    return InputError(
        f"column {column.name!r} is to hold values of the kind {plain!r}, but holds {str(value)!r} in row "
        f"{first_row + row}{how}: mend the value, or make a gap of it (--missing "
        f"{shlex.quote(column.text(value))}){hint}."
    )
