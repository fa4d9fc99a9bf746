"""Examples as a training step picks them: an array, or 8-bit numbers that become floating in their minibatch alone.

And as a training loop takes them: all at once, or in chunks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.backends.elementwise import elementwise, fuse
from xpmlp.common.shown import line

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from xpmlp.common.types import Array, Namespace


class Examples(NamedTuple):
    """Examples with their targets and weights, on a backend."""

    X: Array | QuantizedExamples | StreamedExamples  # (n, d)
    T: Array | None  # (n, m); None where X is streamed: its chunks have targets of their own
    weights: Array | None = None  # (n, 1), what each example counts, or (M, n, 1) for each member; None for 1

    def __repr__(self) -> str:
        return line(self)


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

    A chunk is `Examples` of arrays, on the backend. Its memory is filled again once the next one
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
    def shuffled(self, seed: int, epoch: int, batch_size: int) -> Generator[tuple[Examples, Any]]:
        """Give the chunks of an epoch, each with the order, an array of the host, in which to take its examples.

        All chunks but the last have a multiple of `batch_size` examples.
        """

    @abstractmethod
    def targets(self) -> Iterator[Any]:
        """Give blocks of the targets alone, (k, m), on the host."""

    @abstractmethod
    def in_order(self) -> Generator[Examples]:
        """Give chunks of all examples, in the order in which they are stored."""


def chunks_of(examples: Examples) -> Generator[Examples]:
    """Give examples chunk by chunk: one chunk where they are arrays."""
    if isinstance(examples.X, StreamedExamples):
        yield from examples.X.in_order()
    else:
        yield examples


def take_rows(xp: Namespace, examples: Examples, rows: Array) -> Examples:
    """Return the minibatch of some rows, (K,), or (M, K) for the members of a stack, as the network is given it."""
    minibatch = _map_arrays(lambda array: take(xp, array, rows), examples)
    return minibatch._replace(X=dequantize(xp, minibatch.X))


def take(xp: Namespace, array: Array, rows: Array) -> Array:
    """Return some rows, (K,) or (M, K), of an array that all members of a stack share, or of each one's own."""
    if rows.ndim == 1:
        return xp.take(array, rows, axis=-2)
    if array.ndim == 2:
        return xp.reshape(xp.take(array, xp.reshape(rows, (-1,)), axis=0), (*rows.shape, -1))
    return xp.take_along_axis(array, rows[..., None], axis=-2)


def slice_rows(examples: Examples, start: int, stop: int) -> Examples:
    """Return the rows from number `start` up to `stop`, where they lie."""
    return _map_arrays(lambda array: array[..., start:stop, :], examples)


def _map_arrays(function: Callable[[Array], Array], examples: Examples) -> Examples:
    X, *others = examples
    x = X._replace(values=function(X.values)) if isinstance(X, QuantizedExamples) else function(X)
    return Examples(x, *(None if array is None else function(array) for array in others))


def dequantize(xp: Namespace, X: Array | QuantizedExamples) -> Array:
    """Return examples as the network is given them, (n, d)."""
    return fuse(xp, _times)(xp, *X) if isinstance(X, QuantizedExamples) else X


@elementwise()
def _times(xp: Namespace, values: Array, scale: Array) -> Array:
    x = xp.astype(values, scale.dtype)
    x *= scale
    return x
