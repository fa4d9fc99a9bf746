"""NumPy for examples that are sparse; apart from the other backends, as it needs SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from xpmlp.backends.elementwise import replacing
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.backends.numpy.shortcuts import SHORTCUTS


def _matmul(a: Any, b: Any) -> Any:
    return a.dot(b) if sparse.issparse(a) else SHORTCUTS["matmul"](a, b)


def _concat(arrays: Any, *, axis: int = 0) -> Any:
    return sparse.vstack(arrays) if sparse.issparse(arrays[0]) else np.concatenate(arrays, axis=axis)


def _take(x: Any, rows: np.ndarray, *, axis: int) -> Any:
    return x[rows] if sparse.issparse(x) else SHORTCUTS["take"](x, rows, axis=axis)


def _matrix_transpose(x: Any, /) -> Any:
    return x.T if sparse.issparse(x) else x.mT


def _sum(x: Any, /, *, axis: Any = None, **options: Any) -> Any:
    return x.sum(axis=axis) if sparse.issparse(x) else SHORTCUTS["sum"](x, axis=axis, **options)


class SparseNumpyBackend(NumpyBackend):
    """NumPy, for examples that are sparse (`scipy.sparse.csr_array`): they stay so up to the first layer's products."""

    divides_examples = False  # products with sparse matrices are SciPy's, in one thread
    xp = replacing(
        NumpyBackend.xp, matmul=_matmul, matrix_transpose=_matrix_transpose, concat=_concat, take=_take, sum=_sum
    )

    def holds(self, values: Any) -> bool:
        return isinstance(values, np.ndarray) or sparse.issparse(values)
