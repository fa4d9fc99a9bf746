"""Functions of NumPy, in the words of the standard, by a faster way; docs/performance.md has what each saves."""

from __future__ import annotations

import functools
from typing import Any

import array_api_compat.numpy
import numpy as np

__all__ = ["STANDARD_WITH_SHORTCUTS"]

# Without NumPy's types, which know no `keepdims` that is a variable.
add_reduce: Any = np.add.reduce
maximum_reduce: Any = np.maximum.reduce

FEW = 8  # from so many rows on, the ways around pay
SHORT = 32  # up to so many columns, NumPy's maximum along the rows takes longer than down the columns of a copy


def _sum(x: np.ndarray, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """As `numpy.sum`; over one axis of a floating matrix, by a product with ones."""
    if axis is None or x.ndim != 2 or x.shape[0] < FEW or x.dtype.kind != "f":
        return add_reduce(x, axis=axis, keepdims=keepdims)
    if axis in (0, -2):
        total = np.matmul(_ones(x.shape[0], x.dtype), x)
        return total[None, :] if keepdims else total
    total = np.matmul(x, _ones(x.shape[1], x.dtype))
    return total[:, None] if keepdims else total


def _max(x: np.ndarray, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """As `numpy.max`; along short rows of a matrix, down the columns of a transposed copy."""
    if axis != -1 or x.ndim != 2 or x.shape[0] < FEW or x.shape[1] > SHORT:
        return maximum_reduce(x, axis=axis, keepdims=keepdims)
    largest = maximum_reduce(x.T.copy(), axis=0)
    return largest[:, None] if keepdims else largest


def _take(x: np.ndarray, indices: np.ndarray, /, *, axis: int) -> np.ndarray:
    return x.take(indices, axis=axis)


def _astype(x: np.ndarray, dtype: np.dtype, /, *, copy: bool = True) -> np.ndarray:
    return x.astype(dtype, copy=copy)


def _zeros_like(x: np.ndarray, /) -> np.ndarray:
    return np.zeros(x.shape, x.dtype)


@functools.lru_cache(maxsize=64)
def _ones(n: int, dtype: np.dtype) -> np.ndarray:
    ones = np.ones(n, dtype=dtype)
    ones.flags.writeable = False
    return ones


# NumPy's own functions where it has them, as it follows the standard: the wrappers of array-api-compat take time too.
STANDARD_WITH_SHORTCUTS: dict[str, Any] = {
    **{name: getattr(np, name, function) for name, function in vars(array_api_compat.numpy).items()},
    "astype": _astype,
    "max": _max,
    "sum": _sum,
    "take": _take,
    "zeros_like": _zeros_like,
}
