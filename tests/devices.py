"""A cuBLAS, a CuPy and a capturer of graphs that compute on the host, where there is no GPU to test on."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from xpmlp.backends import Backend
from xpmlp.backends.numpy.backend import NumpyBackend

__all__ = ["Cupy", "DeviceArray", "Fuser", "GraphNumpy", "Library", "Recorder", "on_device"]


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


class Fuser:
    """Stands for CuPy where kernels are made: each computes with NumPy what would be traced, and is written down."""

    copy, asnumpy = staticmethod(np.copy), staticmethod(np.asarray)

    def __init__(self):
        self.kernels = []

    def fuse(self, *, kernel_name):
        def fuse(function):
            def kernel(*arguments):
                self.kernels.append(kernel_name)
                made = function(*arguments)
                return tuple(map(np.copy, made)) if isinstance(made, tuple) else made if made is None else np.copy(made)

            return kernel

        return fuse


class Cupy(ModuleType):
    """What the backend and `Cublas` ask of CuPy: NumPy's arrays, one card, and a current stream."""

    float32 = np.float32
    fuse = staticmethod(Fuser().fuse)
    copy, sum, asnumpy = staticmethod(np.copy), staticmethod(np.sum), staticmethod(np.asarray)

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
    def _placed(values, *, device, copy):
        assert isinstance(device, Card)
        return on_device(np.array(values) if copy else values)

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
        standard.__dict__.update(vars(np), matmul=self.matmul, asarray=self._placed)
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


class Recorder:
    """A capturer on the host: while it captures nothing is computed, and a replay writes where the results lay.

    As graphs share memory, it also spoils the results of all others, but those that were its arguments.
    """

    def __init__(self):
        self.captures, self.replays, self.fills, self.known = 0, 0, 0, {}
        self.results = []

    @staticmethod
    def memory(array):
        return getattr(array, "_array", array)  # of array-api-strict, or an array of NumPy

    def address(self, array):
        values = self.memory(array)
        address = values.__array_interface__["data"][0]
        self.known[address, values.nbytes] = values
        return address, values.shape, values.strides, values.dtype

    def fill(self, array, values):
        assert values.dtype == self.memory(array).dtype
        self.fills += 1
        self.memory(array)[...] = values

    def capture(self, call):
        self.captures += 1
        before = [(values, values.copy()) for values in self.known.values() if values.flags.writeable]
        results = self._in_memory(call())
        arguments = {id(values) for values, _ in before}
        made = [values for values in self._leaves(results) if id(values) not in arguments and values.flags.writeable]
        for values in made:
            values[...] = 99  # not computed yet
        for values, kept in before:
            values[...] = kept
        self.known.clear()

        def replay():
            self.replays += 1
            for values, new in zip(self._leaves(results), self._leaves(call()), strict=True):
                if values is not new:
                    values[...] = new
            for values in (values for others in self.results if others is not made for values in others):
                if id(values) not in arguments:
                    values[...] = 98

        self.results.append(made)
        return replay, results

    @staticmethod
    def _in_memory(results):
        """As a device has them: a 0-d array where NumPy gives a number."""
        if isinstance(results, tuple) and any(isinstance(part, np.generic) for part in results):
            return tuple(np.asarray(part) for part in results)
        return results

    def _leaves(self, nest):
        if isinstance(nest, tuple | list):
            return [leaf for part in nest for leaf in self._leaves(part)]
        return [np.asarray(self.memory(nest))]


class GraphNumpy(NumpyBackend):
    """NumPy with a capturer in place of its tape."""

    kind = Recorder
    epoch_runner = Backend.epoch_runner

    def _open(self):
        super()._open()
        self.capturer = self.kind() if self.graphs else None

    def to_numpy(self, x):
        return np.array(x)
