"""CuPy, on an NVIDIA GPU."""

from __future__ import annotations

import functools
import warnings
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from array_api_compat import is_cupy_array

from xpmlp.backends.base import Backend, Status, device_memory, load_library
from xpmlp.backends.cupy.cublas import Cublas, load_cublas
from xpmlp.backends.cupy.fusion import Fused
from xpmlp.backends.cupy.graphs import stream_of
from xpmlp.backends.elementwise import replacing
from xpmlp.backends.staging import StagingBuffer
from xpmlp.common.errors import BackendError, XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from xpmlp.common.types import Array, Namespace

EXTRAS = "pip install 'xpmlp[cuda13]' (CUDA 13) or pip install 'xpmlp[cuda12]' (CUDA 12)"


class CupyBackend(Backend):
    """CuPy. Opening it on a device other than the first makes that the current device of the thread, as CuPy asks."""

    name = "cupy"
    integers_wrap = True
    memory_errors = ("cudaErrorMemoryAllocation", "ALLOC_FAILED")  # CuPy's own is a MemoryError

    def _open(self) -> None:
        cupy = _library()
        self.device = cupy.cuda.Device(int(self.device_name.removeprefix("cuda:")))
        _check_computing(cupy, self.device)
        self.device.use()

        import array_api_compat.cupy  # noqa: PLC0415 - optional; imports CuPy

        self._cupy, self.xp = cupy, _with_fusion(cupy, array_api_compat.cupy)
        try:
            products, exact = (_products(cupy, self.device.id, each) for each in (self.precision, "highest"))
        except BackendError as error:
            if self.precision != "highest":
                raise BackendError(f"precision {self.precision} needs products that cannot be had: {error}") from error
            if self.graphs:
                message = f"training steps are not captured into graphs, which takes longer: {error}"
                warnings.warn(message, XpmlpWarning, stacklevel=4)
            return
        self.xp = _with_products(cupy, self.xp, products, exact)
        self.capturer = stream_of(cupy, self.device.id) if self.graphs else None

    @classmethod
    def devices(cls) -> Sequence[str]:
        cupy = _library()
        runtime = cupy.cuda.runtime
        try:
            count = runtime.getDeviceCount()
        except runtime.CUDARuntimeError as error:
            driver = runtime.driverGetVersion()
            if driver and "InsufficientDriver" in str(error):
                built_for = _version(runtime.runtimeGetVersion())
                raise _libraries_unfit(f"the driver is for CUDA {_version(driver)}, CuPy for {built_for}") from error
            raise _no_gpu(error) from error
        if not count:
            raise _no_gpu("the driver lists no device")
        return tuple(f"cuda:{number}" for number in range(count))

    @classmethod
    def status(cls) -> Status:
        """Name CuPy's version, the cards, and the CUDA versions of library and driver."""
        cupy, devices = _library(), tuple(cls.devices())
        _check_computing(cupy, cupy.cuda.Device(0))
        runtime = cupy.cuda.runtime
        found = map(runtime.getDeviceProperties, range(len(devices)))
        cards = [f"{card['name'].decode()}, {card['totalGlobalMem'] / 2**30:.0f} GiB" for card in found]
        versions = f"CUDA {_version(runtime.runtimeGetVersion())}, driver for {_version(runtime.driverGetVersion())}"
        return Status(cls.name, cupy.__version__, devices, "; ".join([*cards, versions]))

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        return f"cuda:{values.device.id}" if is_cupy_array(values) else None

    def staging_buffer(self, shape: tuple[int, ...], dtype: Any) -> StagingBuffer:
        """Copy from pinned memory on a stream of its own, beside the work of other streams."""
        from cupyx import empty_pinned  # noqa: PLC0415 - optional, as CuPy is

        device = self._cupy.cuda.Device(self.device.id)
        with device:
            host, stream = empty_pinned(shape, dtype), self._cupy.cuda.Stream(non_blocking=True)
            with stream:
                array = self._cupy.empty(shape, dtype)

        def send(n: int) -> Array:
            with device, stream:
                array[:n].set(host[:n], stream=stream)
                stream.synchronize()
            return array[:n]

        return StagingBuffer(host, send)

    def to_numpy(self, x: Array) -> np.ndarray:
        return cast("np.ndarray", self._cupy.asnumpy(x))  # on the current stream, which it waits for

    @contextmanager
    def _context(self) -> Iterator[None]:
        """Make the backend's device the current one of this thread, and the stream that is captured its stream."""
        stream = nullcontext() if self.capturer is None else self.capturer.current()
        with self._cupy.cuda.Device(self.device.id), stream:
            yield

    def _memory(self) -> str:
        with self._context():
            return device_memory(*self._cupy.cuda.runtime.memGetInfo())

    def synchronize(self, results: Any) -> None:  # noqa: ARG002 - the stream is all there is to wait for
        self._cupy.cuda.get_current_stream().synchronize()


def _library() -> ModuleType:
    return load_library("cupy", "CuPy", EXTRAS, _libraries_unfit)


def _check_computing(cupy: ModuleType, device: Any) -> None:
    """Run an elementwise kernel and a product on a device: what fails, fails here and not in a training run."""
    try:
        with device:
            cupy.cuda.runtime.deviceSynchronize()  # makes the context, for which a card may be too busy or too full
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise _no_gpu(error) from error
    try:
        with device:
            ones = cupy.ones((2, 2), dtype=cupy.float32)
            total = float(cupy.sum(cupy.matmul(ones * 2.0, ones)))
    except cupy.cuda.memory.OutOfMemoryError as error:
        raise BackendError(f"the GPU has no memory left for CuPy: {error}. End what else uses the card.") from error
    except Exception as error:
        raise _libraries_unfit(error) from error
    if total != 16.0:
        raise BackendError(f"the GPU computes wrongly: a product of ones summed to {total} and not to 16.")


@functools.cache
def _products(cupy: ModuleType, device: int, precision: str) -> Cublas:
    """Return products by a cuBLAS of our own, tried on the device: their handles stay until the process ends."""
    a, b = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3), np.arange(12.0, dtype=np.float32).reshape(3, 4)
    try:
        products = Cublas(cupy, load_cublas(cupy), precision)
        with cupy.cuda.Device(device):
            found = cupy.asnumpy(products.matmul(cupy.asarray(a), cupy.asarray(b.T.copy()).T))
    except Exception as error:
        raise BackendError(f"cuBLAS cannot be called here: {type(error).__name__}: {error}") from error
    if not np.array_equal(found, np.matmul(a, b)):
        raise BackendError(f"cuBLAS computes wrongly: a product is {found.tolist()}.")
    return products


@functools.cache
def _with_fusion(cupy: ModuleType, standard: ModuleType) -> Namespace:
    """Return the standard's functions, with elementwise work in one kernel, which is compiled once for the process."""
    return replacing(standard, fused=Fused(cupy, standard, CupyBackend.is_memory_error))


def _with_products(cupy: ModuleType, standard: ModuleType, products: Cublas, exact: Cublas) -> Namespace:
    """Return the standard's functions, with products, and sums of matrices, that can be captured into a graph.

    Sums are products with ones, by `exact`: the precision asked for is that of the caller's products alone.
    """

    @functools.cache  # without bounds: a graph goes on reading what it was captured with
    def ones(shape: tuple[int, int], dtype: Any) -> Array:
        return cupy.ones(shape, dtype=dtype)

    def total(x: Array, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Array:
        if axis not in (0, 1, -1, -2, (-2, -1)) or dtype is not None or x.ndim != 2 or x.dtype.kind != "f":
            return standard.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)
        rows, columns = x.shape
        if axis == (-2, -1):
            sums = exact.matmul(exact.matmul(ones((1, rows), x.dtype), x), ones((columns, 1), x.dtype))
            return sums if keepdims else sums.reshape(())
        if axis in (0, -2):
            sums = exact.matmul(ones((1, rows), x.dtype), x)
            return sums if keepdims else sums[0, :]
        sums = exact.matmul(x, ones((columns, 1), x.dtype))
        return sums if keepdims else sums[:, 0]

    return replacing(standard, matmul=products.matmul, sum=total)


def _libraries_unfit(cause: object) -> BackendError:
    return BackendError(
        f"CuPy is installed, but its CUDA libraries are missing or do not match: {cause}. "
        f"Install the build for your driver's CUDA version together with its libraries: {EXTRAS}"
    )


def _no_gpu(cause: object) -> BackendError:
    return BackendError(
        f"CuPy is installed, but there is no usable NVIDIA GPU or driver: {cause}. "
        "Check that `nvidia-smi` lists a card, or choose another backend, such as --backend numpy."
    )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
