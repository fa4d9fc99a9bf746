"""What examples, targets and weights may hold."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.metrics import accuracy_score

from xpmlp.common.errors import DtypeError
from xpmlp.estimators._placement import library_of

# Of X, in the machine's order of bytes and the other; NumPy's others become the first.
FLOATS = [np.dtype(name) for name in ("=f8", "=f4", "=f2")] + [np.dtype(f"=f{n}").newbyteorder() for n in (8, 4)]
NUMBERS = re.compile(r"(^|\.)(u?int|float|bool)", re.IGNORECASE)  # names of dtypes that have no `kind`
MISSING = {"NoneType", "NAType"}  # of Python and pandas: scikit-learn says of these that they are not finite


def check_numbers(values: Any, name: str) -> None:
    """Raise a `DtypeError` for anything but real numbers.

    NumPy would turn dates and durations into numbers that depend on their unit, and text into what it spells.
    """
    found = _other_than_numbers(values)
    if found:
        said = "Complex data not supported: " if "complex" in found else ""  # scikit-learn's words
        raise DtypeError(
            f"{said}{name} has {found}, but must hold numbers: such an argument must be encoded first, strings for "
            "example by OneHotEncoder, and dates as numbers of days."
        )


def _other_than_numbers(values: Any) -> str:
    """Say what there is in an array, frame, list or sparse array that is no real number; "" where there is nothing."""
    dtypes = getattr(values, "dtypes", getattr(values, "dtype", None))  # of a frame: of every column
    if values is None or all(map(_is_real, dtypes if isinstance(dtypes, Iterable) else [dtypes])):
        return ""
    if library_of(values) is not None or sparse.issparse(values):
        return f"dtype {values.dtype}"
    array = np.asarray(values)
    if array.dtype.kind != "O":
        return "" if _is_real(array.dtype) else f"dtype {array.dtype}"
    others = {type(value).__name__ for value in array.flat if not _is_number(value)}
    return f"values of type {', '.join(sorted(others))}" if others else ""


def _is_real(dtype: Any) -> bool:
    kind = getattr(dtype, "kind", None)
    return bool(NUMBERS.search(str(dtype))) if kind is None else kind in "fiub"


def _is_number(value: Any) -> bool:
    real = isinstance(value, Real | Decimal | np.bool_) and not isinstance(value, np.timedelta64)
    return real or type(value).__name__ in MISSING


def needs_no_check(X: Any, n_features: int) -> bool:
    """Whether `validate_data`, which takes longer than the network does for a row, would return X itself."""
    if not (type(X) is np.ndarray and X.ndim == 2 and X.dtype in FLOATS and X.shape[1] == n_features and X.shape[0]):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))  # then all of X is finite


def accuracy(y: Any, predicted: Any, *, sample_weight: Any = None) -> float:
    """Return scikit-learn's `accuracy_score`; of plain labels without its checks, which take longer than a network."""
    kind, other = map(_kind_of_labels, (y, predicted))
    if sample_weight is None and kind and kind == other and y.shape == predicted.shape:
        return float(np.mean(y == predicted))
    return float(accuracy_score(y, predicted, sample_weight=sample_weight))


def _kind_of_labels(values: Any) -> str:
    """Return "integers" or "strings" for a vector of such labels, and "" for anything else."""
    if type(values) is np.ndarray and values.ndim == 1 and values.size:
        return {"i": "integers", "u": "integers", "U": "strings"}.get(values.dtype.kind, "")
    return ""
