"""Memory through which examples get to a device while others are trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array

__all__ = ["HostStagingBuffer", "StagingBuffer"]


class StagingBuffer(Protocol):
    """An array of the host that is filled again and again, and its place on the device."""

    host: np.ndarray

    def send(self, n: int) -> Array:
        """Give its first `n` rows to the device: when this returns, they are there, and `host` may be filled again.

        Where host and device are one, it may be once the work on these rows is done, as everywhere before the next
        `send`.
        """


class HostStagingBuffer:
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
