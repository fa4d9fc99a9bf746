"""JAX, on whatever its installation finds; functions are compiled by `jax.jit`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_jax_array

from xpmlp.backends.base import Backend, Function, Status, device_memory, not_installed, unknown_device
from xpmlp.backends.graphs import MOST_STEPS
from xpmlp.backends.staging import FreshSlot
from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from xpmlp.backends.base import Steps
    from xpmlp.backends.staging import Slot
    from xpmlp.common.types import Array

__all__ = ["JaxBackend"]

PRECISIONS = {"highest": "highest", "tf32": "tensorfloat32"}


class JaxBackend(Backend):
    """JAX. Asking for float64 turns on its 64-bit mode, which holds for the whole process."""

    name = "jax"
    memory_errors = ("RESOURCE_EXHAUSTED", "Out of memory")
    prefers_cards = True

    def _open(self, device: str | None) -> None:
        self._jax = _library()
        devices = _devices(self._jax)
        self.device_name = next(iter(devices)) if device is None else device
        if self.device_name == "cuda":
            self.device_name = "cuda:0"
        if self.device_name not in devices:
            raise unknown_device(self.name, self.device_name, list(devices))
        self.device = devices[self.device_name]
        if self.dtype == "float64":
            self._jax.config.update("jax_enable_x64", True)
        self.xp = self._jax.numpy

    @classmethod
    def status(cls) -> Status:
        """Name JAX's version and devices."""
        jax = _library()
        devices = _devices(jax)
        kinds = dict.fromkeys(device.device_kind for device in devices.values())
        return Status(cls.name, jax.__version__, tuple(devices), "; ".join(kinds))

    @classmethod
    def cards(cls) -> Sequence[str]:
        """Name the cards that JAX sees, all of which it opens."""
        return [device for device in _devices(_library()) if device.startswith("cuda")]

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        """Return "cpu", "cuda:0" or the like for an array of JAX."""
        return _name(next(iter(values.devices()))) if is_jax_array(values) else None

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        if values.dtype == np.int64 and not self._jax.config.jax_enable_x64:
            values = values.astype(np.int32)  # what JAX would do, with a warning
        # On the CPU, JAX shares aligned NumPy memory even where it is told not to: copy it here.
        return self._jax.device_put(values.copy() if copy else values, self.device)

    def slot(self, shape: tuple[int, ...], dtype: Any) -> Slot:
        """Give new memory each time: on the CPU, JAX keeps that of the host where it begins as a page does."""
        return FreshSlot(shape, dtype, lambda rows: self._jax.block_until_ready(self._from_host(rows, copy=None)))

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy to the host and wait."""
        return np.array(x)

    def minibatches(self, order: np.ndarray, size: int) -> Sequence[Array]:
        """Cut on the host and move all pieces in one call: slicing on the device dispatches a program a piece."""
        pieces = [order[start : start + size].astype(np.int32) for start in range(0, order.shape[0], size)]
        moved: Sequence[Array] = self._jax.device_put(pieces, self.device)
        return moved

    def compile(self, function: Function, *, donate: tuple[int, ...] = ()) -> Function:
        """Compile with `jax.jit`, once per shape, giving the donated arguments' memory to the results."""
        compiled: Function = self._jax.jit(function, donate_argnums=donate)
        return compiled

    def epoch_runner(self, step: Callable[..., Any], *, compile_whole: bool = True) -> Steps:
        """On CUDA, scan over up to `MOST_STEPS` minibatches in one call; what is left over is a step as elsewhere."""
        single = super().epoch_runner(step, compile_whole=compile_whole)
        return self._scanning(step, single) if compile_whole and self.graphs and self._on_cuda else single

    def _scanning(self, step: Callable[..., Any], single: Steps) -> Steps:
        def several(layers: Any, state: Any, examples: Any, rows: Array) -> Any:
            def one(carried: Any, rows: Array) -> tuple[Any, None]:
                return step(*carried, examples, rows), None

            return self._jax.lax.scan(one, (layers, state), rows)[0]

        scanned = self.compile(several, donate=(0, 1))

        def steps(
            layers: Any, state: Any, examples: Any, order: np.ndarray, size: int
        ) -> Iterator[tuple[Any, Any, int]]:
            full = order.shape[0] // size * size
            for start in range(0, full, MOST_STEPS * size):
                rows = order[start : min(start + MOST_STEPS * size, full)]
                layers, state = scanned(layers, state, examples, self.asindex(rows.reshape(-1, size)))
                yield layers, state, rows.shape[0]
            if full < order.shape[0]:
                yield from single(layers, state, examples, order[full:], size)

        return steps

    def refill(self, x: Array, value: float) -> Array:
        """Return a new array: JAX's cannot be written to."""
        return self.xp.full_like(x, value)

    def _context(self) -> AbstractContextManager[Any]:
        """On CUDA, compute products in the backend's precision: JAX's own choice there is TF32 for float32."""
        if not self._on_cuda:
            return nullcontext()
        context: AbstractContextManager[Any] = self._jax.default_matmul_precision(PRECISIONS[self.precision])
        return context

    def _memory(self) -> str:
        found = self.device.memory_stats() or {}  # none for the CPU
        if "bytes_limit" not in found:
            return super()._memory()
        return device_memory(found["bytes_limit"] - found.get("bytes_in_use", 0), found["bytes_limit"])

    def synchronize(self, results: Any) -> None:
        """Wait for the results."""
        self._jax.block_until_ready(results)


def _library() -> ModuleType:
    try:
        import jax  # noqa: PLC0415 - optional
        import jax.numpy  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise not_installed("JAX", "pip install 'xpmlp[jax]'") from error
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"JAX is installed, but its libraries are missing or do not match: {error}.") from error
    library: ModuleType = jax
    return library


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
