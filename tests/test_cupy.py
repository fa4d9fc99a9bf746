"""How CuPy is opened: with products of our own that can be captured, and as it is where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from devices import Cupy, Library, on_device

from xpmlp import SGD, XpmlpWarning, get_backend
from xpmlp.backends.cupy.graphs import CupyStream
from xpmlp.common.errors import BackendError
from xpmlp.nn.optimizers import SGDState


@pytest.fixture
def install(monkeypatch):
    """Put a CuPy on the machine, with this cuBLAS, or what comes of loading none."""

    def install(library):
        def load(_):
            if isinstance(library, Exception):
                raise library
            return library

        monkeypatch.setattr("xpmlp.backends.cupy.backend.load_cublas", load)
        return Cupy().install(monkeypatch)

    return install


def test_products_are_captured_by_a_stream_of_their_own(install):
    cupy = install(Library())
    backend = get_backend("cupy")
    assert isinstance(backend.capturer, CupyStream)
    x, before = on_device(np.arange(6, dtype=np.float32).reshape(2, 3)), cupy.fell_back
    np.testing.assert_array_equal(backend.xp.matmul(x, x.T), np.matmul(x, x.T))
    assert cupy.fell_back == before
    assert get_backend("cupy").capturer is backend.capturer
    assert cupy.streams == 1


def test_without_graphs_there_is_no_stream_and_the_products_are_the_same(install):
    cupy = install(Library())
    backend = get_backend("cupy", graphs=False)
    assert backend.capturer is None
    assert cupy.streams == 0
    assert backend.xp.matmul == get_backend("cupy").xp.matmul


@pytest.mark.filterwarnings("ignore:training steps are not captured")
@pytest.mark.parametrize("library", [Library(), OSError("no cuBLAS")], ids=["with products", "without"])
def test_elementwise_work_is_fused(install, library):
    install(library)
    first, second = (get_backend("cupy").xp for _ in range(2))
    p, g = np.ones(3, dtype=np.float32), np.ones(3, dtype=np.float32)
    ((moved,), _) = SGD().update(first, [p], [g], SGDState([]), 0.5, np.ones(()))
    assert moved is p
    assert moved.tolist() == [0.5] * 3
    assert first.fused is second.fused  # kernels are compiled once for the process


@pytest.mark.parametrize("axis", [None, 0, 1, -1, -2, (-2, -1), (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_a_sum_is_numpys(install, axis, keepdims, dtype):
    install(Library())
    x = on_device(np.arange(12, dtype=dtype).reshape(4, 3))
    found, expected = get_backend("cupy").xp.sum(x, axis=axis, keepdims=keepdims), x.sum(axis=axis, keepdims=keepdims)
    np.testing.assert_array_equal(found, expected)
    assert np.shape(found) == np.shape(expected)


LACKING = {
    "missing": (OSError("libcublas.so.13: cannot open shared object file"), "OSError: libcublas.so.13: cannot open"),
    "failing": (Library(failing="cublasCreate_v2"), "cuBLAS: cublasCreate_v2 failed with status 1"),
    "wrong": (Library(wrong=1.0), "cuBLAS computes wrongly: a product is"),
}


@pytest.mark.parametrize("case", LACKING)
def test_without_cublas_graphs_are_off_with_the_reason_and_products_are_cupys(install, case):
    library, reason = LACKING[case]
    cupy = install(library)
    with pytest.warns(XpmlpWarning, match=f"not captured into graphs, which takes longer: .*{reason}"):
        backend = get_backend("cupy")
    assert backend.capturer is None
    assert backend.xp.matmul == cupy.matmul
    assert get_backend("cupy", graphs=False).capturer is None  # without a warning
    with pytest.raises(BackendError, match=f"precision tf32 needs products that cannot be had: .*{reason}"):
        get_backend("cupy", precision="tf32")


@pytest.mark.parametrize(("precision", "mode"), [("highest", 0), ("tf32", 3)])
def test_the_precision_is_that_of_products_and_sums_are_in_float32(install, precision, mode):
    library = Library()
    install(library)
    backend = get_backend("cupy", precision=precision)
    assert backend.precision == precision
    modes = {handle: found for name, handle, found in filter(of_mode, library.calls)}
    x = on_device(np.ones((2, 3), dtype=np.float32))
    for compute, expected in (
        (lambda: backend.xp.matmul(x, x.T), mode),
        (lambda: backend.xp.sum(x, axis=0), 0),
        (lambda: backend.xp.sum(x, axis=1), 0),
        (lambda: backend.xp.sum(x, axis=(-2, -1)), 0),
    ):
        compute()
        name, handle = library.calls[-1]
        assert (name, modes[handle]) == ("cublasSgemm_v2", expected)


def of_mode(call):
    return call[0] == "cublasSetMathMode"


def test_the_training_loops_context_is_that_of_the_stream_where_there_are_graphs(install, monkeypatch):
    install(Library())
    entered = []
    backend, without = get_backend("cupy"), get_backend("cupy", graphs=False)
    monkeypatch.setattr(backend, "capturer", Entered(entered))
    with without.computing():
        assert entered == []
    with backend.computing():
        assert entered == ["in"]
    assert entered == ["in", "out"]


class Entered:
    """A stream that writes down when it is made the current one."""

    def __init__(self, entered):
        self.entered = entered

    def current(self):
        return self

    def __enter__(self):
        self.entered.append("in")

    def __exit__(self, *_):
        self.entered.append("out")
