"""A cuBLAS and a CuPy that compute on the host, where there is no GPU to test on."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

__all__ = ["Cupy", "DeviceArray", "Fuser", "Library", "on_device"]


def read(address, read_transposed, leading, rows, columns, dtype):
    """What cuBLAS makes of memory: a matrix column by column, transposed where it is told to."""
    lies = (columns, rows) if read_transposed else (rows, columns)
    assert leading >= lies[0], "cuBLAS refuses columns that overlap"
    n_items = leading * (lies[1] - 1) + lies[0]
    buffer = np.ctypeslib.as_array((ctypes.c_char * (n_items * dtype.itemsize)).from_address(address)).view(dtype)
    matrix = as_strided(buffer, lies, (dtype.itemsize, leading * dtype.itemsize))
    return matrix.T if read_transposed else matrix


def called_as_c(function):
    """Refuse arguments that ctypes refuses, by the types that were set on the function."""

    def called(*arguments):
        assert len(arguments) == len(called.argtypes), "a function of C takes what it takes"
        for kind, argument in zip(called.argtypes, arguments, strict=True):
            kind.from_param(argument)
        return function(*arguments)

    return called


class Library:
    """A cuBLAS that computes with NumPy, on the host's memory, and writes down its calls.

    It refuses a handle that was not made, and sizes that are not those of a matrix.
    """

    def __init__(self, *, failing=None, status=None, wrong=0.0):
        self.calls, self.made = [], 0
        self._status = status
        self._wrong = wrong
        for name in ("cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasSetMathMode"):
            setattr(self, name, called_as_c(self._recording(name, failing)))
        for name, dtype in (("cublasSgemm_v2", np.float32), ("cublasDgemm_v2", np.float64)):
            setattr(self, name, called_as_c(self._gemm(name, np.dtype(dtype), failing)))

    def _check(self, handle):
        assert 1000 < handle.value <= 1000 + self.made, "cuBLAS knows the handles that it has made"

    def _recording(self, name, failing):
        def function(*arguments):
            if name == "cublasCreate_v2":
                self.made += 1
                arguments[0]._obj.value = 1000 + self.made
                arguments = ()
            else:
                self._check(arguments[0])
            self.calls.append((name, *(getattr(argument, "value", argument) for argument in arguments)))
            return (self._status or 1) if name == failing else 0

        return function

    def _gemm(self, name, dtype, failing):
        def gemm(handle, op_a, op_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
            self._check(handle)
            self.calls.append((name, handle.value))
            assert min(m, n, k) > 0
            assert ldc >= m, "cuBLAS refuses columns that overlap"
            assert (alpha._obj.value, beta._obj.value) == (1.0, 0.0)
            product = np.matmul(read(a, op_a, lda, m, k, dtype), read(b, op_b, ldb, k, n, dtype))
            read(c, 0, ldc, m, n, dtype)[...] = product + self._wrong
            return (self._status or 13) if name == failing else 0

        return gemm


class DeviceArray(np.ndarray):
    """An array of NumPy with an address where CuPy has it."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])


def on_device(values):
    return np.asarray(values).view(DeviceArray)


class Variable(np.lib.mixins.NDArrayOperatorsMixin):
    """What `cupy.fuse` calls a function with: elements of an array, without its shape, items or values."""

    def __init__(self, values):
        self._values = values

    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)

    def __bool__(self):
        raise TypeError("Can't cast to bool")

    def astype(self, dtype, *, copy=True):
        return Variable(self._values.astype(dtype, copy=copy))

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **options):
        assert method == "__call__", "only elements can be fused"
        assert not options
        for each in inputs:
            assert isinstance(each, Variable | int | float), f"{type(each)} cannot be fused"
        into = tuple(each._values for each in out)
        made = ufunc(*map(_values, inputs), out=into) if into else ufunc(*map(_values, inputs))
        return out[0] if into else Variable(np.asarray(made))

    def __array_function__(self, function, types, inputs, options):
        assert function is np.where, f"{function} cannot be fused"
        return Variable(np.where(*map(_values, inputs)))


def _variable(each):
    """An array, or what NumPy makes of one without dimensions; anything else is a number of Python, or None."""
    return Variable(np.asarray(each)) if isinstance(each, np.ndarray | np.generic) else each


def _values(each):
    return each._values if isinstance(each, Variable) else each


class Fuser:
    """Stands for CuPy where functions are fused: computes elements with NumPy, and counts kernels."""

    def __init__(self):
        self.kernels = []

    def fuse(self, *, kernel_name):
        def fuse(function):
            def fused(*arrays):
                self.kernels.append(kernel_name)
                made = function(*map(_variable, arrays))
                if isinstance(made, tuple):
                    return tuple(each._values.copy() for each in made)
                return made if made is None else made._values.copy()

            return fused

        return fuse


class Cupy(ModuleType):
    """What the backend and `Cublas` ask of CuPy: NumPy's arrays, one card, and a current stream."""

    float32 = np.float32
    fuse = staticmethod(Fuser().fuse)
    sum, asnumpy = staticmethod(np.sum), staticmethod(np.asarray)

    def __init__(self):
        super().__init__("cupy")
        self.stream, self.allocated, self.fell_back, self.streams = SimpleNamespace(ptr=7), [], 0, 0
        self.cuda = SimpleNamespace(
            Device=Card,
            MemoryPool=lambda allocator: SimpleNamespace(malloc=allocator, set_limit=self._set_limit),
            Stream=self._new_stream,
            alloc=self._alloc,
            get_current_stream=lambda: self.stream,
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
            runtime=SimpleNamespace(
                CUDARuntimeError=RuntimeError,
                deviceSynchronize=lambda: None,
                getDevice=lambda: 0,
                getDeviceCount=lambda: 1,
                memGetInfo=lambda: (2**28, 2**30),
                runtimeGetVersion=lambda: 13020,
            ),
        )

    def _new_stream(self, *, non_blocking):
        self.streams += non_blocking
        return SimpleNamespace(ptr=8)

    def _set_limit(self, *, size):
        assert size == 0, "a pool at its limit gives back what graphs work on"

    def _alloc(self, size):
        self.allocated.append(size)
        return SimpleNamespace(ptr=500 + len(self.allocated))

    @staticmethod
    def asarray(values):
        return on_device(values)

    @staticmethod
    def ones(shape, dtype):
        return on_device(np.ones(shape, dtype))

    @staticmethod
    def empty(shape, dtype):
        return on_device(np.full(shape, np.nan, dtype))

    @staticmethod
    def ascontiguousarray(x):
        return on_device(np.ascontiguousarray(x))

    def matmul(self, a, b):
        self.fell_back += 1
        return np.matmul(a, b)

    def install(self, monkeypatch):
        """Put it on the machine, with the functions of the standard; gives it."""
        standard = ModuleType("array_api_compat.cupy")
        standard.__dict__.update(vars(np), matmul=self.matmul)
        monkeypatch.setitem(sys.modules, "cupy", self)
        monkeypatch.setitem(sys.modules, "array_api_compat.cupy", standard)
        monkeypatch.setattr("array_api_compat.cupy", standard, raising=False)
        return self


class Card:
    """A device that can be made the current one, for good or for a while."""

    def __init__(self, number):
        self.id = number

    def use(self):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass
