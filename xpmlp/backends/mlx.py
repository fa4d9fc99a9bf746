"""MLX, Apple's array library, by way of its CPU build: on Apple's GPUs it is untried."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends.base import Status
from xpmlp.backends.elementwise import replacing
from xpmlp.backends.rehearsal import leaves
from xpmlp.backends.standard import StandardBackend

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from xpmlp.common.types import Array, Namespace


class MlxBackend(StandardBackend):
    """MLX, on the CPU unless told otherwise: its GPUs have no float64.

    Its arrays belong to no device: functions do, which `computing` sees to. It computes when it is asked for values, so
    each step is settled.
    """

    name = "mlx"
    module = "mlx.core"
    install = "pip install 'xpmlp[mlx]'"
    integers_wrap = True
    arrays_are_standard = False  # functions take no `device`
    memory_errors = ("[malloc", "Unable to allocate", "Attempting to allocate")

    @classmethod
    def namespace(cls) -> Namespace:
        """In float64, `exp`, `sin`, `cos` and `logaddexp` by others, as MLX's have the digits of float32."""
        mx = super().namespace()
        return replacing(
            mx,
            exp=partial(_exp, mx),
            sin=partial(_sin, mx),
            cos=partial(_cos, mx),
            logaddexp=partial(_logaddexp, mx),
            asarray=partial(_asarray, mx),
            astype=partial(_astype, mx),
        )

    @classmethod
    def _devices(cls) -> dict[str, Any]:
        devices = cls.namespace().__array_namespace_info__().devices()
        return dict(sorted((cls._title(device), device) for device in devices))  # cpu first

    @staticmethod
    def _title(device: Any) -> str:
        return str(device.type).rpartition(".")[2]

    @classmethod
    def status(cls) -> Status:
        """Name MLX's version and devices."""
        status = super().status()
        return Status(status.name, status.version, status.devices, "lazy; Apple's GPUs are untried")

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        mx = sys.modules.get(cls.module)
        return "cpu" if mx is not None and isinstance(values, mx.array) else None

    def on_device(self, x: Array) -> bool:  # noqa: ARG002 - arrays belong to no device
        return True

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:  # noqa: ARG002 - it always copies
        name = "bool_" if values.dtype == bool else values.dtype.name
        with self._translating():  # it takes no negative strides
            return self.xp.array(values.copy(order="C"), dtype=getattr(self.xp, name))

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy, having it computed."""
        with self._translating():
            return np.array(x)

    def settle(self, arrays: Any) -> Any:
        """Begin to compute the arrays, beside what Python does next."""
        self.xp.async_eval(list(leaves(arrays)))
        return arrays

    def synchronize(self, results: Any) -> None:
        """Compute them."""
        self.xp.eval(results)

    def _context(self) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.xp.stream(self.device)
        return context


def _asarray(mx: Namespace, values: Any, /, *, dtype: Any = None, copy: bool | None = None) -> Array:
    return mx.asarray(values, dtype, copy=copy)


def _astype(mx: Namespace, x: Array, dtype: Any, /, *, copy: bool = True) -> Array:  # noqa: ARG001 - none is written to
    return x.astype(dtype)


def _exp(mx: Namespace, x: Array, /) -> Array:
    if x.dtype != mx.float64:
        return mx.exp(x)
    grown = 1.0 + mx.expm1(mx.abs(x))
    return mx.where(x < 0, 1.0 / grown, grown)


def _sin(mx: Namespace, x: Array, /) -> Array:
    if x.dtype != mx.float64:
        return mx.sin(x)
    tangent = mx.tan(0.5 * x)
    return 2.0 * tangent / (1.0 + mx.square(tangent))


def _cos(mx: Namespace, x: Array, /) -> Array:
    if x.dtype != mx.float64:
        return mx.cos(x)
    square = mx.square(mx.tan(0.5 * x))
    return (1.0 - square) / (1.0 + square)


def _logaddexp(mx: Namespace, x: Array, y: Array, /) -> Array:
    if x.dtype != mx.float64:
        return mx.logaddexp(x, y)
    return mx.maximum(x, y) + mx.log1p(_exp(mx, -mx.abs(x - y)))
