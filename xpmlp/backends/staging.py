"""Memory through which examples get to a device while others are trained on."""

from __future__ import annotations

import math
import mmap
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from xpmlp.common.types import Array

__all__ = ["CupySlot", "FreshSlot", "HostSlot", "Slot", "TorchSlot"]


class Slot(Protocol):
    """An array of the host that is filled again and again, and its place on the device."""

    host: np.ndarray

    def send(self, n: int) -> Array:
        """Give its first `n` rows to the device: when this returns, they are there, and `host` may be filled again.

        Where host and device are one, it may be once the work on these rows is done, as everywhere before the next
        `send`.
        """


class HostSlot:
    """Rows that a library takes from the host by itself.

    Parameters
    ----------
    shape, dtype : tuple of int, dtype
        Of the array.
    move : callable
        Makes rows an array of the device; they may share the memory.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, move: Callable[[np.ndarray], Array]) -> None:
        self.host = np.empty(shape, dtype)
        self._move = move

    def send(self, n: int) -> Array:
        """Move the first `n` rows."""
        return self._move(self.host[:n])


class FreshSlot:
    """Memory that is given away as it is sent, with new memory in its place: for a library that keeps what it reads.

    It is mapped, so that it begins where a page does, takes no room before it is filled, and is given back to the
    system once the library has let go of it. Parameters are those of `HostSlot`.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, move: Callable[[np.ndarray], Array]) -> None:
        self._shape, self._dtype, self._move = shape, np.dtype(dtype), move
        self.host = self._fresh()

    def _fresh(self) -> np.ndarray:
        try:
            memory = mmap.mmap(-1, math.prod(self._shape) * self._dtype.itemsize)
        except OSError as error:
            raise MemoryError(str(error)) from error
        return np.frombuffer(memory, self._dtype).reshape(self._shape)

    def send(self, n: int) -> Array:
        """Give the first `n` rows away."""
        rows, self.host = self.host[:n], self._fresh()
        return self._move(rows)


class CupySlot:
    """Pinned memory, from which a stream of its own copies beside the work of other streams."""

    def __init__(
        self, cupy: ModuleType, pinned: Callable[..., np.ndarray], device: Any, shape: Any, dtype: Any
    ) -> None:
        self._device = cupy.cuda.Device(device)
        with self._device:
            self.host = pinned(shape, dtype)
            self._stream = cupy.cuda.Stream(non_blocking=True)
            with self._stream:
                self._array = cupy.empty(shape, dtype)

    def send(self, n: int) -> Array:
        """Copy the first `n` rows, and wait for the copy."""
        with self._device, self._stream:
            self._array[:n].set(self.host[:n], stream=self._stream)
            self._stream.synchronize()
        return self._array[:n]


class TorchSlot:
    """As `CupySlot`, in PyTorch."""

    def __init__(self, torch: ModuleType, device: Any, shape: Any, dtype: Any) -> None:
        own_dtype = getattr(torch, np.dtype(dtype).name)
        self._torch = torch
        self._pinned = torch.empty(shape, dtype=own_dtype, pin_memory=True)
        self.host = self._pinned.numpy()
        self._stream = torch.cuda.Stream(device)
        with torch.cuda.stream(self._stream):
            self._array = torch.empty(shape, dtype=own_dtype, device=device)

    def send(self, n: int) -> Array:
        """Copy the first `n` rows, and wait for the copy."""
        with self._torch.cuda.stream(self._stream):
            self._array[:n].copy_(self._pinned[:n], non_blocking=True)
        self._stream.synchronize()
        return self._array[:n]
