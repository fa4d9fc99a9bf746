"""The kind of a column: what its values are, and whether anything can be learnt from them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import MAX_EXACT
from xpmlp.data.tables.table import NUMERIC_KINDS, Column

MIN_ROWS = 20  # with fewer, values that are all different say nothing
MAX_REPEATED = 0.5  # a column of texts with more distinct values than this share of its rows is no category
IDENTIFIER = re.compile(r"(?i)(^|[_\W])(id|ids|index|key|uuid|guid|row ?names?|unnamed: 0)$|[a-z]I[Dd]$")
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


def _plain_kind(values: np.ndarray) -> str:
    if values.dtype.kind == "M":
        return "date"
    if values.dtype.kind == "f":
        whole = np.isnan(values) | ((np.floor(values) == values) & (np.abs(values) <= MAX_EXACT))
        return "whole number" if whole.all() else "number"
    return "text"


def _kind_of(column: Column) -> str:
    n, n_distinct = len(column) - int(column.missing.sum()), len(column.distinct)
    if n_distinct == 0 or (n_distinct == 1 and n == len(column)):
        return "constant"
    if column.kind == "whole number":
        return "identifier" if n == n_distinct and n > MIN_ROWS and _counts(column) else column.kind
    if column.kind != "text":
        return column.kind
    if n == n_distinct and n > MIN_ROWS:
        n_words = np.mean([len(value.split()) for value in column.distinct])
        return "identifier" if n_words <= 4 else "text"
    return "text" if n > MIN_ROWS and n_distinct > MAX_REPEATED * n else "category"


def _counts(column: Column) -> bool:
    """Whether distinct whole numbers do no more than to tell the rows apart: by their name, or by counting them."""
    if IDENTIFIER.search(column.name):
        return True
    start = column.values[0]
    return start in {0.0, 1.0} and bool((np.diff(column.values) == 1).all())


def _converted(column: Column, kind: str) -> Column:
    """Return a column as one of another kind."""
    name, values = column.name, column.values
    if column.missing.all():  # such as texts, where the model knows dates
        empty = np.full(len(column), np.nan) if kind in NUMERIC_KINDS else np.full(len(column), None)
        return Column(name, kind, np.full(len(column), "NaT", "M8[us]") if kind == "date" else empty)
    if kind in NUMERIC_KINDS:
        return Column(name, kind, values if values.dtype.kind == "f" else _numbers(column, kind))
    if kind == "date":
        return Column(name, kind, values.astype("datetime64[us]") if values.dtype.kind == "M" else _dates(column))
    if values.dtype == object:
        return Column(name, kind, values)
    texts = np.array([None if gap else column.text(v) for v, gap in zip(values, column.missing, strict=True)], object)
    return Column(name, kind, texts)


def _numbers(column: Column, kind: str) -> np.ndarray:
    if column.values.dtype != object:
        raise _misfit(column, kind, column.distinct[:1])
    table = TRUTH if kind == "truth value" else {}
    numbers = np.full(len(column), np.nan)
    for row, value in enumerate(column.values):
        if value is None:
            continue
        try:
            numbers[row] = table[value.lower()] if value.lower() in table else float(value)
        except ValueError:
            raise _misfit(column, kind, [value]) from None
    return numbers


def _dates(column: Column) -> np.ndarray:
    """Read texts as ISO 8601 has dates: those of a frame, where the file that was trained on had the same."""
    if column.values.dtype != object:
        raise _misfit(column, "date", column.distinct[:1])
    dates = np.full(len(column), "NaT", "M8[us]")
    for row in np.flatnonzero(~column.missing):
        try:
            dates[row] = np.datetime64(column.values[row], "us")
        except ValueError:
            raise _misfit(column, "date", [column.values[row]]) from None
    return dates


def _misfit(column: Column, kind: str, values: Any) -> InputError:
    return InputError(f"column {column.name!r} is to be of the kind {kind!r}, but holds {str(values[0])!r}.")
