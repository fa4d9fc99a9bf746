"""Examples as a training step picks them: an array, or 8-bit numbers that become floating in their minibatch alone.

And as a training loop takes them: all at once, or in chunks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.backends.elementwise import elementwise, fuse

if TYPE_CHECKING:
    from collections.abc import Generator

    from xpmlp.common.types import Array, Namespace

__all__ = ["QuantizedExamples", "StreamedExamples", "chunks_of", "dequantize", "slice_rows", "take_rows"]


class QuantizedExamples(NamedTuple):
    """Examples ``values * scale``, kept as they came: a quarter of the memory of float32, and faster to gather."""

    values: Array  # (n, d), integers
    scale: Array  # (d,), or (1,) for all features, in the dtype that the network computes in

    def __repr__(self) -> str:
        return f"<QuantizedExamples {self.shape} of {self.values.dtype}>"

    @property
    def shape(self) -> tuple[int, int]:
        """Examples and features."""
        n, d = self.values.shape
        return int(n), int(d)

    @property
    def ndim(self) -> int:
        """Two."""
        return 2


class StreamedExamples(ABC):
    """Examples with their targets that come in chunks: `xpmlp.data.streams.Stream`.

    A chunk is examples, (k, d), and their targets, (k, m), on the backend. Its memory is filled again once the next one
    is asked for, and given up with the generator: what is computed of it has to be waited for before. The generators
    are to be closed where they are not run to their end.

    Attributes
    ----------
    backend : Backend
        Where the chunks are.
    shape : (int, int)
        Examples and features, of all chunks together.
    n_outputs : int
        Columns of the targets.
    """

    backend: Any
    shape: tuple[int, int]
    n_outputs: int

    @abstractmethod
    def shuffled(
        self, seed: int, epoch: int, batch_size: int
    ) -> Generator[tuple[Array | QuantizedExamples, Array, Any]]:
        """Give the chunks of an epoch, each with the order, an array of the host, in which to take its examples.

        All chunks but the last have a multiple of `batch_size` examples.
        """

    @abstractmethod
    def in_order(self) -> Generator[tuple[Array | QuantizedExamples, Array]]:
        """Give chunks of all examples, in the order in which they are stored."""


def chunks_of(
    X: Array | QuantizedExamples | StreamedExamples, T: Array | None
) -> Generator[tuple[Array | QuantizedExamples, Array]]:
    """Give examples and targets chunk by chunk: one chunk where they are arrays."""
    if isinstance(X, StreamedExamples):
        yield from X.in_order()
    else:
        yield X, T


def take_rows(xp: Namespace, X: Array | QuantizedExamples, rows: Array) -> Array:
    """Return the examples with some numbers, (K, d), as the network is given them."""
    if isinstance(X, QuantizedExamples):
        return dequantize(xp, X._replace(values=xp.take(X.values, rows, axis=0)))
    return xp.take(X, rows, axis=0)


def slice_rows(X: Array | QuantizedExamples, start: int, stop: int) -> Array | QuantizedExamples:
    """Return the examples from number `start` up to `stop`, (K, d), where they lie."""
    if isinstance(X, QuantizedExamples):
        return X._replace(values=X.values[start:stop, :])
    return X[start:stop, :]


def dequantize(xp: Namespace, X: Array | QuantizedExamples) -> Array:
    """Return examples as the network is given them, (n, d)."""
    return fuse(xp, _times)(xp, *X) if isinstance(X, QuantizedExamples) else X


@elementwise()
def _times(xp: Namespace, values: Array, scale: Array) -> Array:
    x = xp.astype(values, scale.dtype)
    x *= scale
    return x
