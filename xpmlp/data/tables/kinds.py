"""The kind of a column: what its values are, and whether anything can be learnt from them."""

from __future__ import annotations

import re

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
    if kind is None and values.dtype == object and set(map(str.lower, raw.distinct)) <= set(TRUTH):
        kind = "truth value" if len(raw.distinct) else "constant"
    if kind is None:
        kind = _kind_of(raw)
    return _converted(raw, kind)


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


def _kind_of(column: Column) -> str:
    if column.kind in NUMERIC_KINDS:
        return _kind_of_numbers(column)
    n, n_distinct = len(column) - int(column.missing.sum()), len(column.distinct)
    if n_distinct == 0 or (n_distinct == 1 and n == len(column)):
        return "constant"
    if column.kind != "text":
        return column.kind
    if n == n_distinct and n > MIN_ROWS:
        n_words = np.mean([len(value.split()) for value in column.distinct])
        return "identifier" if n_words <= 4 else "text"
    return "text" if n > MIN_ROWS and n_distinct > MAX_REPEATED * n else "category"


def _kind_of_numbers(column: Column) -> str:
    """Return the kind of a column of numbers, without sorting them where that says nothing."""
    n = len(column) - int(column.missing.sum())
    if not n or column.values.min() == column.values.max():  # NaN where there are gaps
        return "constant"
    may_be_identifier = column.kind == "whole number" and n > MIN_ROWS and _counts(column)
    return "identifier" if may_be_identifier and n == len(column.distinct) else column.kind


def _counts(column: Column) -> bool:
    """Whether distinct whole numbers do no more than to tell the rows apart: by their name, or by counting them."""
    if IDENTIFIER.search(column.name):
        return True
    start = column.values[0]
    return start in {0.0, 1.0} and bool((np.diff(column.values) == 1).all())


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
