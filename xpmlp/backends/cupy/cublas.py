"""Products by cuBLAS through ctypes, for CuPy: its own refuse to be captured into a graph.

cuBLAS reads memory column by column, where our arrays lie row by row. So it finds the transpose of each factor, and is
asked for C' = B' A', which it writes as C.
"""

from __future__ import annotations

import ctypes
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from types import ModuleType

    from xpmlp.common.types import Array

WORKSPACE = 32 * 2**20  # bytes; what cuBLAS allocates by itself, it may allocate while work is captured
MATH_MODES = {"highest": 0, "tf32": 3}  # CUBLAS_DEFAULT_MATH, CUBLAS_TF32_TENSOR_OP_MATH
ALLOC_FAILED = 3  # CUBLAS_STATUS_ALLOC_FAILED
MAX_INT = 2**31 - 1  # sizes are C's int

POINTER, INT = ctypes.c_void_p, ctypes.c_int
GEMM = [POINTER, INT, INT, INT, INT, INT, POINTER, POINTER, INT, POINTER, INT, POINTER, POINTER, INT]
PROTOTYPES = {
    "cublasCreate_v2": [ctypes.POINTER(POINTER)],
    "cublasSetStream_v2": [POINTER, POINTER],
    "cublasSetWorkspace_v2": [POINTER, POINTER, ctypes.c_size_t],
    "cublasSetMathMode": [POINTER, INT],
    "cublasSgemm_v2": GEMM,
    "cublasDgemm_v2": GEMM,
}
GEMMS = {"float32": ("cublasSgemm_v2", ctypes.c_float), "float64": ("cublasDgemm_v2", ctypes.c_double)}


class Operand(NamedTuple):
    """How the transpose of a matrix is read from its memory, column by column."""

    transposed: bool  # whether what is read has to be transposed to be that
    leading: int  # elements from the start of a column to that of the next


def operand(shape: tuple[int, int], strides: tuple[int, int], itemsize: int) -> Operand | None:
    """Say how cuBLAS is to read a matrix; None where it cannot, and a contiguous copy is needed.

    `strides` are the bytes from one row to the next, and from one column to the next; `itemsize` those of an element.
    """
    (rows, columns), (down, across) = shape, strides
    if (columns == 1 or across == itemsize) and (rows == 1 or _apart(down, columns, itemsize)):
        return Operand(transposed=False, leading=columns if rows == 1 else down // itemsize)
    if (rows == 1 or down == itemsize) and (columns == 1 or _apart(across, rows, itemsize)):
        return Operand(transposed=True, leading=rows if columns == 1 else across // itemsize)
    return None


def _apart(stride: int, elements: int, itemsize: int) -> bool:
    """Whether so many elements fit from one row, or column, to the next, a whole number of them away."""
    return stride % itemsize == 0 and stride >= elements * itemsize


def load_cublas(cupy: ModuleType) -> Any:
    """Load the library that CuPy was built for; an `OSError` where there is none."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib  # noqa: PLC0415 - comes with CuPy from 14 on

        name = load_nvidia_dynamic_lib("cublas").abs_path
    except (ImportError, RuntimeError):  # there is no pathfinder, or it finds none
        name = f"libcublas.so.{cupy.cuda.runtime.runtimeGetVersion() // 1000}"
    return ctypes.CDLL(name)


class _Handle(NamedTuple):
    pointer: ctypes.c_void_p
    stream: Any  # kept, with the workspace, as long as work that was captured on it
    workspace: Any


class Cublas:
    """Products of CuPy's arrays on the current device and stream, by the library that `load_cublas` gives.

    Each stream has a handle and a workspace of its own: two that share one would write to it at once, and to move a
    handle to another stream takes its workspace away. They are made by the first product on a stream, which must not be
    one that is captured.
    """

    def __init__(self, cupy: ModuleType, library: Any, precision: str) -> None:
        self._cupy, self._library = cupy, library
        self._math_mode = MATH_MODES[precision]
        self._handles: dict[tuple[int, int], _Handle] = {}
        self._lock = threading.Lock()
        for name, arguments in PROTOTYPES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = arguments, INT

    def matmul(self, a: Array, b: Array, /) -> Array:
        """Return the product of two floating matrices of one dtype; of anything else, what CuPy gives."""
        if not (a.ndim == b.ndim == 2 and a.dtype == b.dtype and a.shape[1] == b.shape[0] and a.size and b.size):
            return self._cupy.matmul(a, b)
        (m, k), n = a.shape, b.shape[1]
        if a.dtype.name not in GEMMS or max(m, n, k, *a.strides, *b.strides) > MAX_INT:
            return self._cupy.matmul(a, b)
        (a, read_a), (b, read_b) = self._readable(a), self._readable(b)
        c = self._cupy.empty((m, n), dtype=a.dtype)
        name, number = GEMMS[a.dtype.name]
        one, zero = ctypes.byref(number(1.0)), ctypes.byref(number(0.0))
        transposed, sizes = (int(read_b.transposed), int(read_a.transposed)), (n, m, k)
        factors = b.data.ptr, read_b.leading, a.data.ptr, read_a.leading
        self._call(name, self._handle(), *transposed, *sizes, one, *factors, zero, c.data.ptr, n)
        return c

    def _readable(self, x: Array) -> tuple[Array, Operand]:
        read = operand(x.shape, x.strides, x.dtype.itemsize)
        if read is None:
            return self._cupy.ascontiguousarray(x), Operand(transposed=False, leading=x.shape[1])
        return x, read

    def _handle(self) -> ctypes.c_void_p:
        """Return the handle of the current device and stream."""
        stream = self._cupy.cuda.get_current_stream()
        key = (self._cupy.cuda.runtime.getDevice(), stream.ptr)
        with self._lock:
            if key not in self._handles:
                self._handles[key] = self._new_handle(stream)
        return self._handles[key].pointer

    def _new_handle(self, stream: Any) -> _Handle:
        pointer = ctypes.c_void_p()
        self._call("cublasCreate_v2", ctypes.byref(pointer))
        self._call("cublasSetStream_v2", pointer, stream.ptr)
        workspace = self._cupy.cuda.alloc(WORKSPACE)
        self._call("cublasSetWorkspace_v2", pointer, workspace.ptr, WORKSPACE)  # after the stream, which resets it
        self._call("cublasSetMathMode", pointer, self._math_mode)
        return _Handle(pointer, stream, workspace)

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status == ALLOC_FAILED:
            raise RuntimeError(f"cuBLAS: {name} failed with CUBLAS_STATUS_ALLOC_FAILED")  # told by `memory_errors`
        if status:
            raise BackendError(f"cuBLAS: {name} failed with status {status}.")
