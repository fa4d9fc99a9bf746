"""Examples as a training step picks them: an array, or 8-bit numbers that become floating in their minibatch alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xpmlp.elementwise import at_once, elementwise

if TYPE_CHECKING:
    from xpmlp.types import Array, Namespace

__all__ = ["Scaled", "slice_rows", "take_rows"]


class Scaled(NamedTuple):
    """Examples ``values * scale``, kept as they came: a quarter of the memory of float32, and faster to gather."""

    values: Array  # (n, d), integers
    scale: Array  # (d,), in the dtype that the network computes in

    @property
    def shape(self) -> tuple[int, int]:
        """Examples and features."""
        n, d = self.values.shape
        return int(n), int(d)

    @property
    def ndim(self) -> int:
        """Two."""
        return 2


def take_rows(xp: Namespace, X: Array | Scaled, rows: Array) -> Array:
    """Return the examples with some numbers, (K, d), as the network is given them."""
    if isinstance(X, Scaled):
        return at_once(xp, _floating)(xp, xp.take(X.values, rows, axis=0), X.scale)
    return xp.take(X, rows, axis=0)


def slice_rows(xp: Namespace, X: Array | Scaled, start: int, stop: int) -> Array:
    """Return the examples from number `start` up to `stop`, (K, d), as the network is given them."""
    if isinstance(X, Scaled):
        return at_once(xp, _floating)(xp, X.values[start:stop, :], X.scale)
    return X[start:stop, :]


@elementwise()
def _floating(xp: Namespace, values: Array, scale: Array) -> Array:
    x = xp.astype(values, scale.dtype)
    x *= scale
    return x
