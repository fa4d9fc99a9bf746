"""JAX, on whatever its installation finds; functions are compiled by `jax.jit`."""

from __future__ import annotations

import math
import mmap
import sys
import warnings
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from array_api_compat import is_jax_array

from xpmlp.backends.base import Backend, Function, Status, device_memory, load_library
from xpmlp.backends.graphs import MAX_STEPS
from xpmlp.backends.staging import StagingBuffer
from xpmlp.common.errors import BackendError, XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from xpmlp.backends.graphs import Steps, Taken
    from xpmlp.common.types import Array

PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32"}
INSTALL = "pip install 'xpmlp[jax]'"
ROUNDINGS = 10_000  # by which two steps of a scan may differ from two steps: XLA may sum in another order inside it


class JaxBackend(Backend):
    """JAX. Asking for float64 turns on its 64-bit mode, which holds for the whole process, with a warning."""

    name = "jax"
    integers_wrap = True
    memory_errors = ("RESOURCE_EXHAUSTED", "Out of memory")

    def _open(self) -> None:
        self._jax = _library()
        self.device = _devices(self._jax)[self.device_name]
        if self.dtype == "float64" and not self._jax.config.jax_enable_x64:
            self._jax.config.update("jax_enable_x64", True)
            warnings.warn(
                "JAX's 64-bit mode is on now, as float64 needs it: for the whole process, your own arrays included. To "
                "leave it off, compute in float32.",
                XpmlpWarning,
                stacklevel=4,
            )
        self.xp = self._jax.numpy

    @property
    def widest_dtype(self) -> str:
        """float32 while JAX's 64-bit mode is off: it has no float64 then."""
        return "float64" if self._jax.config.jax_enable_x64 else "float32"

    @classmethod
    def devices(cls) -> Sequence[str]:
        return list(_devices(_library()))  # all of which it opens

    @classmethod
    def status(cls) -> Status:
        """Name JAX's version and devices."""
        jax = _library()
        devices = _devices(jax)
        kinds = dict.fromkeys(device.device_kind for device in devices.values())
        return Status(cls.name, jax.__version__, tuple(devices), "; ".join(kinds))

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        return _name(next(iter(values.devices()))) if is_jax_array(values) else None

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        if values.dtype == np.int64 and not self._jax.config.jax_enable_x64:
            values = values.astype(np.int32)  # what JAX would do, with a warning
        # On the CPU, JAX shares aligned NumPy memory even where it is told not to: copy it here.
        return self._jax.device_put(values.copy() if copy else values, self.device)

    def staging_buffer(self, shape: tuple[int, ...], dtype: Any) -> StagingBuffer:
        """Give the memory away, with new in its place: on the CPU, JAX keeps what begins where a page does."""
        fresh = partial(_mapped_memory, shape, np.dtype(dtype))

        def send(n: int) -> Array:
            rows, buffer.host = buffer.host[:n], fresh()
            return self._jax.block_until_ready(self._from_host(rows, copy=None))

        buffer = StagingBuffer(fresh(), send)
        return buffer

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.array(x)

    def minibatches(self, order: np.ndarray, size: int) -> Sequence[Array]:
        """Cut on the host and move all pieces in one call: slicing on the device dispatches a program a piece."""
        pieces = [order[..., start : start + size].astype(np.int32) for start in range(0, order.shape[-1], size)]
        return cast("Sequence[Array]", self._jax.device_put(pieces, self.device))

    def compile(self, function: Function, *, donate: tuple[int, ...] = ()) -> Function:
        """Compile with `jax.jit`, once per shape, giving the donated arguments' memory to the results."""
        return cast("Function", self._jax.jit(function, donate_argnums=donate))

    def epoch_runner(self, step: Callable[..., Any], *, compile_whole: bool = True) -> Steps:
        """On CUDA, scan over up to `MAX_STEPS` minibatches in one call; what is left over is a step as elsewhere.

        The first scan, over two minibatches, is a rehearsal: where it differs by more than rounding, it is the last.
        """
        single = super().epoch_runner(step, compile_whole=compile_whole)
        return self._scanning(step, single) if compile_whole and self.graphs and self._on_cuda else single

    def _scanning(self, step: Callable[..., Any], single: Steps) -> Steps:
        def several(layers: Any, state: Any, examples: Any, rows: Array) -> Any:
            def one(carried: Any, rows: Array) -> tuple[Any, None]:
                return step(*carried, examples, rows), None

            return self._jax.lax.scan(one, (layers, state), rows)[0]

        compiled = self.compile(several, donate=(0, 1))
        trusted: list[bool] = []  # whether the rehearsal went well, once there was one

        def scan(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Any:
            rows = order.reshape(*order.shape[:-1], -1, size)
            return compiled(layers, state, examples, self.asindex(np.moveaxis(rows, -2, 0)))

        def one_by_one(*arguments: Any) -> Any:
            *_, (layers, state, _) = single(*arguments)
            return layers, state

        def steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Taken:
            full, start = order.shape[-1] // size * size, 0
            if full and not trusted:
                start = min(2 * size, full)
                arguments = layers, state, examples, order[..., :start], size
                (layers, state), same = self.rehearse(scan, one_by_one, arguments, 2, roundings=ROUNDINGS)
                trusted.append(same)
                if not same:
                    message = "steps give other results in a scan, and are taken one by one, which takes longer."
                    warnings.warn(message, XpmlpWarning, stacklevel=2)
                yield layers, state, start
            while start < full and trusted[0]:
                rows = order[..., start : min(start + MAX_STEPS * size, full)]
                layers, state = scan(layers, state, examples, rows, size)
                start += rows.shape[-1]
                yield layers, state, rows.shape[-1]
            if start < order.shape[-1]:
                yield from single(layers, state, examples, order[..., start:], size)

        return steps

    def refill(self, x: Array, value: float) -> Array:
        """Return a new array: JAX's cannot be written to."""
        return self.xp.full_like(x, value)

    def _context(self) -> AbstractContextManager[Any]:
        """On CUDA, compute products in the backend's precision: JAX's own choice there is TF32 for float32."""
        within = self._jax.default_matmul_precision
        return within(PRECISIONS[self.precision]) if self._on_cuda else nullcontext()

    def _memory(self) -> str:
        found = self.device.memory_stats() or {}  # none for the CPU
        if "bytes_limit" not in found:
            return super()._memory()
        return device_memory(found["bytes_limit"] - found.get("bytes_in_use", 0), found["bytes_limit"])

    def synchronize(self, results: Any) -> None:
        self._jax.block_until_ready(results)


def _mapped_memory(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Return memory that begins where a page does, takes no room before it is filled, and is given back once unused."""
    try:
        memory = mmap.mmap(-1, math.prod(shape) * dtype.itemsize)
    except OSError as error:
        raise MemoryError(str(error)) from error
    return np.frombuffer(memory, dtype).reshape(shape)


def _library() -> ModuleType:
    if "jax" in sys.modules:
        return load_library("jax", "JAX", INSTALL)
    state = np.random.get_state()  # noqa: NPY002 - the global one, from which JAX draws when it is imported
    try:
        return load_library("jax", "JAX", INSTALL)
    finally:
        np.random.set_state(state)  # noqa: NPY002 - as above


def _devices(jax: ModuleType) -> dict[str, Any]:
    """Name the devices as `--device` takes them: cpu, cuda:0, ...; JAX's own first choice first."""
    try:
        found = list(jax.devices())
    except RuntimeError as error:
        raise BackendError(f"JAX is installed, but finds no usable device: {error}.") from error
    if found[0].platform != "cpu":
        found += jax.devices("cpu")[:1]
    return {_name(device): device for device in found}


def _name(device: Any) -> str:
    if device.platform == "cpu":
        return "cpu" if device.id == 0 else f"cpu:{device.id}"
    return f"{'cuda' if device.platform == 'gpu' else device.platform}:{device.id}"
