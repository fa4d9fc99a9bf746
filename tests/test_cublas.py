"""Products by cuBLAS: how it is told to read our matrices, and in which order it is called."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from devices import Cupy, Library, on_device
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from xpmlp import get_backend
from xpmlp.backends.cupy.cublas import ALLOC_FAILED, WORKSPACE, Cublas, load_cublas, operand
from xpmlp.common.errors import BackendError, OutOfMemoryError

SIZES = st.integers(1, 5)


@st.composite
def matrices(draw, rows, columns, dtype):
    """A matrix that lies in memory in some way: by rows or columns, every other one, backwards, the same one again."""
    down, across = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    values = np.random.default_rng(draw(st.integers(0, 9))).normal(size=(rows * down, columns * across)).astype(dtype)
    matrix = values[::down, ::across]
    kind = draw(st.sampled_from(["as it is", "rows of more", "transposed", "backwards", "repeated", "contiguous"]))
    if kind == "rows of more":
        matrix = np.ascontiguousarray(values)[:rows, :columns]
    elif kind == "transposed":
        matrix = values[:rows, :columns].T.copy().T
    elif kind == "backwards":
        matrix = matrix[::-1]
    elif kind == "repeated":
        matrix = np.broadcast_to(matrix[:1], (rows, columns))
    elif kind == "contiguous":
        matrix = matrix.copy()
    return on_device(matrix)


@settings(deadline=None)
@given(data=st.data(), m=SIZES, n=SIZES, k=SIZES, dtype=st.sampled_from([np.float32, np.float64]))
def test_the_product_is_numpys_however_the_factors_lie_in_memory(data, m, n, k, dtype):
    cupy = Cupy()
    a, b = data.draw(matrices(m, k, dtype)), data.draw(matrices(k, n, dtype))
    c = Cublas(cupy, Library(), "highest").matmul(a, b)
    assert (c.shape, c.dtype, c.flags.c_contiguous) == ((m, n), dtype, True)
    np.testing.assert_allclose(c, np.matmul(np.asarray(a), np.asarray(b)), rtol=1e-4, atol=1e-5)
    assert cupy.fell_back == 0


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (np.ones((4, 3)), (False, 3)),
        (np.ones((4, 3)).T, (True, 3)),
        (np.ones((9, 5))[2:6, 1:4], (False, 5)),
        (np.ones((9, 5))[::2, :], (False, 10)),
        (np.ones((1, 3)), (False, 3)),
        (np.ones((3, 1)), (False, 1)),
        (np.ones((3, 8))[:, ::2], None),
        (np.ones((4, 3))[::-1], None),
        (np.broadcast_to(np.ones(3), (4, 3)), None),
        (as_strided(np.ones(9), (4, 3), (12, 8)), None),
    ],
    ids=[
        "rows",
        "transposed",
        "a part",
        "every other row",
        "a row",
        "a column",
        "columns apart",
        "back",
        "again",
        "odd",
    ],
)
def test_a_matrix_is_read_as_it_lies_or_copied(matrix, expected):
    assert operand(matrix.shape, matrix.strides, matrix.itemsize) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (np.ones((2, 3)), np.ones(3)),
        (np.ones((2, 2, 3)), np.ones((2, 3, 2))),
        (np.ones((2, 3), dtype=np.int64), np.ones((3, 2), dtype=np.int64)),
        (np.ones((2, 3), dtype=np.float32), np.ones((3, 2))),
        (np.ones((0, 3)), np.ones((3, 2))),
        (np.ones((2, 0)), np.ones((0, 2))),
    ],
    ids=["vector", "stack", "integers", "two dtypes", "no rows", "no sum"],
)
def test_what_is_no_product_of_two_floating_matrices_is_left_to_cupy(a, b):
    cupy, library = Cupy(), Library()
    found = Cublas(cupy, library, "highest").matmul(on_device(a), on_device(b))
    np.testing.assert_array_equal(found, np.matmul(a, b))
    assert (cupy.fell_back, library.calls) == (1, [])


def test_factors_that_do_not_fit_are_refused_as_cupy_refuses_them():
    with pytest.raises(ValueError, match="mismatch"):
        Cublas(Cupy(), Library(), "highest").matmul(on_device(np.ones((2, 3))), on_device(np.ones((2, 3))))


@pytest.mark.parametrize(("precision", "mode"), [("highest", 0), ("tf32", 3)])
def test_each_stream_has_a_handle_whose_workspace_is_set_after_the_stream(precision, mode):
    cupy, library = Cupy(), Library()
    products, x = Cublas(cupy, library, precision), on_device(np.ones((2, 2), dtype=np.float32))
    first = [
        ("cublasCreate_v2",),
        ("cublasSetStream_v2", 1001, 7),
        ("cublasSetWorkspace_v2", 1001, 501, WORKSPACE),
        ("cublasSetMathMode", 1001, mode),
        ("cublasSgemm_v2", 1001),
    ]
    products.matmul(x, x)
    products.matmul(x, x)
    assert library.calls == [*first, first[-1]]
    cupy.stream = SimpleNamespace(ptr=8)
    products.matmul(x, x)
    assert library.calls[6:8] == [("cublasCreate_v2",), ("cublasSetStream_v2", 1002, 8)]
    assert library.calls[-1] == ("cublasSgemm_v2", 1002)
    assert cupy.allocated == [WORKSPACE, WORKSPACE]


@pytest.mark.parametrize(
    ("call", "status"), [("cublasCreate_v2", 1), ("cublasSetWorkspace_v2", 1), ("cublasDgemm_v2", 13)]
)
def test_a_call_that_fails_is_an_error_with_its_status(call, status):
    x = on_device(np.ones((2, 2)))
    with pytest.raises(BackendError, match=rf"cuBLAS: {call} failed with status {status}\."):
        Cublas(Cupy(), Library(failing=call), "highest").matmul(x, x)


@pytest.mark.parametrize("call", ["cublasCreate_v2", "cublasSgemm_v2"])
def test_too_little_memory_of_cublas_is_an_error_of_memory(call, monkeypatch):
    cupy, x = Cupy(), on_device(np.ones((2, 2), dtype=np.float32))
    monkeypatch.setattr("xpmlp.backends.cupy.backend.load_cublas", lambda _: Library())
    cupy.install(monkeypatch)
    backend = get_backend("cupy", graphs=False)
    products = Cublas(cupy, Library(failing=call, status=ALLOC_FAILED), "highest")
    message = f"cuBLAS: {call} failed with CUBLAS_STATUS_ALLOC_FAILED"
    with pytest.raises(OutOfMemoryError, match=message), backend.within_memory("products"):
        products.matmul(x, x)


def test_the_library_is_the_one_that_pathfinder_finds_else_that_of_cupys_cuda(monkeypatch):
    loaded = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: loaded.append(name) or name)
    pathfinder = ModuleType("cuda.pathfinder")
    pathfinder.load_nvidia_dynamic_lib = lambda name: SimpleNamespace(abs_path=f"/lib/{name}")
    monkeypatch.setitem(sys.modules, "cuda", ModuleType("cuda"))
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", pathfinder)
    assert load_cublas(Cupy()) == "/lib/cublas"

    def find_none(_):
        raise RuntimeError("not found")

    pathfinder.load_nvidia_dynamic_lib = find_none
    assert load_cublas(Cupy()) == "libcublas.so.13"
    monkeypatch.setitem(sys.modules, "cuda.pathfinder", None)
    assert load_cublas(Cupy()) == "libcublas.so.13"
