"""Checks of what users hand over, each raising an `InputError` that names the offending value."""

from __future__ import annotations

import math
import sys
from collections.abc import Sized
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Value = TypeVar("Value")

MAX_EXACT = 2**53  # the floats up to here include every integer


def check_number(
    name: str,
    value: float,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    integer: bool = False,
) -> Any:
    """Return `value` as a Python number, or raise unless it is a finite one (whole, if asked) within the bounds.

    Raises
    ------
    InputError
        Naming the option, the value and what was expected.
    """
    bounds = (("above", above, gt), ("at least", at_least, ge), ("below", below, lt), ("at most", at_most, le))
    limits = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    good = (
        is_number
        and (abs(value) <= sys.float_info.max if isinstance(value, int) else math.isfinite(value))
        and (not integer or value == int(value))
        and all(holds(value, bound) for _, bound, holds in limits)
    )
    if not good:
        within = " and ".join(f"{word} {bound}" for word, bound, _ in limits)
        expected = f"{'an integer' if integer else 'a number'} {within}".strip()
        raise InputError(f"{name} is {value!r}, but must be {expected}.")
    return int(value) if integer else float(value)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise unless `value` is one of `choices`."""
    known = list(choices)
    if value not in known:
        raise InputError(f"{name} is {value!r}, but must be one of: {', '.join(known)}.")


def as_tuple(given: Value | Sequence[Value], n: int = 1) -> tuple[Value, ...]:
    """Return the values of a sequence, or `n` times a lone value; a string is one."""
    several = isinstance(given, Sized) and not isinstance(given, str)
    return tuple(cast("Sequence[Value]", given)) if several else (cast("Value", given),) * n


def one_for_each(name: str, given: Value | Sequence[Value], n: int, noun: str) -> tuple[Value, ...]:
    """Return `given` as one value for each of `n`: it is one for all of them, or a sequence of as many.

    Raises
    ------
    InputError
        For a sequence of another length, naming the option and, by a `noun`, what there are `n` of.
    """
    values = as_tuple(given, n)
    if len(values) != n:
        found = f"{counted(len(values), 'value')} ({', '.join(map(str, values))})"
        raise InputError(f"{name} gives {found} for {counted(n, noun)}: give one for all, or one for each.")
    return values


def check_features(
    X: np.ndarray,
    name: str = "X",
    feature_names: Sequence[str] | None = None,
    *,
    first_row: int = 0,
    gaps: bool = False,
) -> None:
    """Raise unless `X` is a non-empty numeric matrix of finite values.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        One example per row.
    name : str
        What to call it in the message.
    feature_names : sequence of str, optional
        Names of the columns, for the message, where there is one for each.
    first_row : int
        The number of the first row, for the message, where `X` is a part of more.
    gaps : bool
        Whether NaN may stand for a gap.

    Raises
    ------
    InputError
        For a wrong rank, no rows or columns, a dtype that is not a real number, or NaN or infinite
        values (how many, and where the first one stands).
    """
    check_matrix(X.shape, X.dtype, name)
    if X.dtype.kind != "f":
        return
    bad = np.isinf(X) if gaps else ~np.isfinite(X)
    if bad.any():
        count = int(np.count_nonzero(bad))
        row, column = (int(i) for i in np.argwhere(bad)[0])
        names = feature_names if feature_names is not None and len(feature_names) == X.shape[1] else range(X.shape[1])
        column_name = f"column {names[column]!r}"
        values = "1 value that is" if count == 1 else f"{count} values that are"
        raise InputError(
            f"{name} holds {values} NaN or infinite, the first ({X[row, column]}) at row {first_row + row}, "
            f"{column_name}. Remove or impute such values first."
        )


def beyond_range(name: str, low: float, high: float, dtype: str) -> InputError:
    """Return the error for an array of values from `low` to `high`, some of which are beyond a dtype's numbers."""
    return InputError(
        f"{name} holds {max(low, high, key=abs):.3g}, but is computed with in {dtype}, whose numbers end at "
        f"{np.finfo(dtype).max:.2g}: scale {name}, or train in float64."
    )


def check_matrix(shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    """Raise an `InputError` unless these are the shape and the dtype of a non-empty numeric matrix."""
    if len(shape) != 2:
        raise InputError(f"{name} has shape {shape}, but must have two dimensions: (examples, features).")
    if shape[0] == 0:
        raise InputError(f"{name} has no rows: at least one example is needed.")
    if shape[1] == 0:
        raise InputError(f"{name} has no columns: at least one feature is needed.")
    if dtype.kind not in "fiub":
        raise InputError(f"{name} has dtype {dtype}, but must hold real numbers.")


def check_labels(y: np.ndarray, n: int, name: str = "y", *, min_classes: int = 2, first_row: int = 0) -> None:
    """Raise unless `y` holds `n` labels of two classes or more: integers, booleans, strings or whole floats.

    `min_classes` is 1 where nothing is to be learnt from them; `first_row` is as for `check_features`.

    Raises
    ------
    InputError
        For a wrong rank or length, NaN or infinite values, floats that are no class labels, or one class.
    """
    check_label_column(y.shape, y.dtype, n, name)
    if y.dtype.kind == "f":
        bad = ~np.isfinite(y)
        if bad.any():
            raise InputError(
                f"{name} holds {int(bad.sum())} NaN or infinite labels, "
                f"the first at row {first_row + int(np.argmax(bad))}."
            )
        fractional = y != np.floor(y)
        if fractional.any():
            row = int(np.argmax(fractional))
            raise InputError(
                f"{name} holds {y[row]} at row {first_row + row}, which is no class label: labels are "
                "integers or strings. Real numbers are learnt by a regression (--task regression)."
            )
    if min_classes > 1 and np.unique(y).size < min_classes:
        raise InputError(f"{name} holds one class alone ({y[0]}): at least two are needed to learn from.")


def check_label_column(shape: tuple[int, ...], dtype: np.dtype, n: int, name: str) -> None:
    """Raise an `InputError` unless these are the shape and the dtype of `n` labels."""
    if len(shape) != 1:
        hint = " Choose a column, such as y[:, 0]." if len(shape) == 2 else ""
        raise InputError(f"{name} has shape {shape}, but must have one dimension: one label per example.{hint}")
    if shape[0] != n:
        raise InputError(f"X has {n} rows but {name} has {shape[0]} labels: they must be of the same length.")
    if dtype.kind not in "fiubU":
        raise InputError(f"{name} has dtype {dtype}, but labels must be integers, booleans or strings.")


def whole_labels(y: np.ndarray, name: str = "y") -> np.ndarray:
    """Return labels, (n,), that `check_labels` has passed as integers or strings: booleans and floats become int64.

    Raises
    ------
    InputError
        For floats so large that they do not tell neighbouring integers apart.
    """
    if y.dtype.kind == "f" and np.abs(y).max() > MAX_EXACT:
        raise InputError(
            f"{name} holds floats beyond {MAX_EXACT}, which do not tell neighbouring integers apart: give labels as "
            "integers or strings."
        )
    return y.astype(np.int64) if y.dtype.kind in "fb" else y
