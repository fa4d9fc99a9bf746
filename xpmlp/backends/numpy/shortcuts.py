"""Functions of NumPy by a faster way: what each saves is in docs/performance-log.md."""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

# Without NumPy's types, which know no `keepdims` that is a variable.
add_reduce: Any = np.add.reduce
maximum_reduce: Any = np.maximum.reduce

MIN_COPIED_ROWS = 8  # from which on the copy for a maximum pays
MAX_COPIED_COLUMNS = 32  # up to which NumPy's maximum along the rows takes longer than down the columns of a copy
MAX_ONES = 2**16  # more are made anew


def _matmul(x: np.ndarray, y: np.ndarray, /) -> Any:
    """As `numpy.matmul`; of vectors and matrices `numpy.dot`, to the same bits."""
    return np.dot(x, y) if 0 < x.ndim <= 2 and 0 < y.ndim <= 2 else np.matmul(x, y)


def _sum(x: np.ndarray, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """As `numpy.sum`; of floating matrices, over one axis or both, by a product with ones."""
    if dtype is None and x.ndim == 2 and x.dtype.kind == "f":
        if axis in (0, -2):
            total = np.dot(_ones(x.shape[0], x.dtype), x)
            return total[None, :] if keepdims else total
        if axis in (1, -1):
            total = np.dot(x, _ones(x.shape[1], x.dtype))
            return total[:, None] if keepdims else total
        if axis in (None, (-2, -1)) and not keepdims and x.shape[0] * x.shape[1] <= MAX_ONES:
            x = np.reshape(x, -1)
            return np.dot(x, _ones(x.shape[0], x.dtype))
    if dtype is None and x.ndim == 3 and x.dtype.kind == "f" and axis in (-1, -2, (-2, -1)):
        return _sum_of_stack(x, axis, keepdims=keepdims)
    return np.sum(x, axis=axis, dtype=dtype, keepdims=keepdims) if dtype else add_reduce(x, axis, keepdims=keepdims)


def _sum_of_stack(x: np.ndarray, axis: Any, *, keepdims: bool) -> Any:
    """As `_sum`, of several matrices."""
    m, k, n = x.shape
    if axis == -2:
        total = np.matmul(_ones(k, x.dtype), x)
        return total[:, None, :] if keepdims else total
    if axis == -1:
        return np.reshape(_sum(np.reshape(x, (m * k, n)), axis=-1), (m, k, 1) if keepdims else (m, k))
    return np.reshape(_sum(np.reshape(x, (m, k * n)), axis=-1), (m, 1, 1) if keepdims else (m,))


def _max(x: np.ndarray, /, *, axis: Any = None, keepdims: bool = False) -> Any:
    """As `numpy.max`; along short rows of matrices, down the columns of a transposed copy."""
    if axis == -1 and x.ndim == 3:  # of a stack
        m, k, n = x.shape
        return np.reshape(_max(np.reshape(x, (m * k, n)), axis=-1), (m, k, 1) if keepdims else (m, k))
    if axis != -1 or x.ndim != 2 or x.shape[0] < MIN_COPIED_ROWS or x.shape[1] > MAX_COPIED_COLUMNS:
        return maximum_reduce(x, axis, keepdims=keepdims)
    largest = maximum_reduce(x.T.copy())
    return largest[:, None] if keepdims else largest


def _take(x: np.ndarray, indices: np.ndarray, /, *, axis: int | None = None) -> np.ndarray:
    return x.take(indices, axis=axis)


def _astype(x: np.ndarray, dtype: Any, /, *, copy: bool = True, device: Any = None) -> np.ndarray:  # noqa: ARG001 - there is one device
    return x.astype(dtype, copy=copy)


def _ones_like(x: np.ndarray, /, *, dtype: Any = None, device: Any = None) -> np.ndarray:  # noqa: ARG001 - as above
    return np.ones(x.shape, dtype or x.dtype)


def _zeros_like(x: np.ndarray, /, *, dtype: Any = None, device: Any = None) -> np.ndarray:  # noqa: ARG001 - as above
    return np.zeros(x.shape, dtype or x.dtype)


def _full_like(x: np.ndarray, /, fill_value: Any, *, dtype: Any = None, device: Any = None) -> np.ndarray:  # noqa: ARG001 - as above
    filled = np.empty(x.shape, dtype or x.dtype)
    filled.fill(fill_value)
    return filled


def _ones(n: int, dtype: np.dtype) -> np.ndarray:
    return np.ones(n, dtype) if n > MAX_ONES else _kept_ones(n, dtype)


@functools.lru_cache(maxsize=64)
def _kept_ones(n: int, dtype: np.dtype) -> np.ndarray:
    ones = np.ones(n, dtype=dtype)
    ones.flags.writeable = False
    return ones


SHORTCUTS: dict[str, Any] = {
    "astype": _astype,
    "full_like": _full_like,
    "matmul": _matmul,
    "matrix_transpose": operator.attrgetter("mT"),
    "max": _max,
    "ones_like": _ones_like,
    "sum": _sum,
    "take": _take,
    "zeros_like": _zeros_like,
}
