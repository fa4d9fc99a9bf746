"""Examples from disk as a training loop takes them: in chunks, laid out on a backend."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xpmlp.common.validation import check_features, check_number
from xpmlp.data.examples import QuantizedExamples, StreamedExamples
from xpmlp.data.preprocessing import encode
from xpmlp.data.streams._ahead import read_ahead
from xpmlp.data.streams._blocks import Chunk, cut, shuffled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from xpmlp.backends import Backend
    from xpmlp.backends.staging import StagingBuffer
    from xpmlp.common.types import Array
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.data.streams._parts import Part

__all__ = ["CHUNK_BYTES", "Stream"]

CHUNK_BYTES = 2**27  # of a chunk as it is laid out; two of them are in memory
CHUNKS = 2  # one that is trained on, and one that is read
MOST_SCORED = 8192  # examples of a chunk that is scored
SCORED_SHARE = 4  # of a chunk, that is scored at once at most: the two to train on are kept meanwhile


class _Memory(NamedTuple):
    """Where a chunk is laid out."""

    X: StagingBuffer
    T: StagingBuffer


class Stream(StreamedExamples):
    """A part of data on disk, for `train` and for scoring: scaled and one-hot, chunk by chunk.

    Parameters
    ----------
    backend : Backend
        Where the chunks go.
    part : Part
        Examples and labels.
    classes : ndarray of shape (m,)
        All labels, sorted: the columns of the targets.
    scaling : Scaling
        Of the features. 8-bit ones stay as they are up to the minibatch, where scaling them only multiplies.
    chunk_bytes : int
        What a chunk may take: examples as they are laid out, targets and their order. It holds one minibatch at least.

    Attributes
    ----------
    backend : Backend
        As above.
    shape : (int, int)
        Examples and features.
    n_outputs : int
        Classes.
    """

    def __init__(
        self, backend: Backend, part: Part, classes: np.ndarray, scaling: Scaling, *, chunk_bytes: int = CHUNK_BYTES
    ) -> None:
        self.backend = backend
        self.shape = part.shape
        self.n_outputs = classes.shape[0]
        self._part, self._classes, self._scaling = part, classes, scaling
        self._chunk_bytes: int = check_number("chunk bytes", chunk_bytes, at_least=1, integer=True)
        stored = part.source.dtype
        self._float = np.dtype(backend.dtype)
        self._as_stored = stored.kind in "iu" and stored.itemsize == 1 and scaling.only_scales
        self._dtype = stored if self._as_stored else self._float
        self._in_place = self._as_stored or (stored == self._float and scaling.is_identity)
        self._scale = backend.asarray(scaling.factors) if self._as_stored else None
        self._kept: dict[int, list[_Memory]] = {}

    def shuffled(
        self, seed: int, epoch: int, batch_size: int
    ) -> Generator[tuple[Array | QuantizedExamples, Array, np.ndarray]]:
        """Give the chunks of an epoch, as `StreamedExamples` has it; `_blocks.shuffled` says in what order.

        Raises
        ------
        InputError
            For what cannot be read, NaN and infinite values, and labels that are not among the classes.
        """
        rows = self._rows_of(self._chunk_bytes, self._dtype)
        rows = max(1, rows // batch_size) * batch_size
        memories = self._kept.pop(rows, None)
        self._kept.clear()  # of other sizes
        memories = memories or self._memories(rows)
        yield from self._read(shuffled(self._part.blocks, rows, seed, epoch), rows, memories)
        self._kept = {rows: memories}  # not where the epoch was left: work on it may still be under way

    def in_order(self) -> Generator[tuple[Array | QuantizedExamples, Array]]:
        """Give chunks of few enough examples to be scored, as `StreamedExamples` has it; raises as `shuffled`."""
        rows = min(self._rows_of(self._chunk_bytes // SCORED_SHARE, self._float), MOST_SCORED)
        in_place = (Chunk(segments, np.empty(0)) for segments in cut(self._part.blocks, rows))
        with closing(self._read(in_place, rows, self._memories(rows))) as chunks:
            for X, T, _ in chunks:
                yield X, T

    def _rows_of(self, size: int, dtype: np.dtype) -> int:
        """Return how many examples take so many bytes: their targets and two copies of their order count too."""
        example = self.shape[1] * dtype.itemsize + self.n_outputs * self._float.itemsize + 16
        return max(1, size // example)

    def _memories(self, rows: int) -> list[_Memory]:
        n, d = self.shape
        shape = min(rows, n), d
        with self.backend.within_memory(self._what(rows)):
            return [
                _Memory(
                    self.backend.staging_buffer(shape, self._dtype),
                    self.backend.staging_buffer((shape[0], self.n_outputs), self._float),
                )
                for _ in range(min(CHUNKS, -(-n // shape[0])))
            ]

    def _what(self, rows: int) -> str:
        return f"chunks of {min(rows, self.shape[0]):,} examples of {self.shape[1]:,} features"

    def _read(
        self, chunks: Iterable[Chunk], rows: int, memories: list[_Memory]
    ) -> Generator[tuple[Array | QuantizedExamples, Array, np.ndarray]]:
        def lay_out(memory: _Memory, chunk: Chunk) -> tuple[Array | QuantizedExamples, Array, np.ndarray]:
            with self.backend.within_memory(self._what(rows)):
                return self._lay_out(memory, chunk)

        return read_ahead(lay_out, chunks, memories)

    def _lay_out(self, memory: _Memory, chunk: Chunk) -> tuple[Array | QuantizedExamples, Array, np.ndarray]:
        """Read the rows of a chunk into memory: what a thread of its own does."""
        source, stop = self._part.source, 0
        for begin, end in chunk.segments:
            start, stop = stop, stop + end - begin
            X = memory.X.host[start:stop]
            if self._in_place:
                source.examples(begin, end, X)
            else:
                self._scaling.apply(source.examples(begin, end), out=X)
            check_features(X, f"X of {source.name}", first_row=begin)
            y = source.labels(begin, end)
            memory.T.host[start:stop] = encode(y, self._classes, f"y of {source.name}", first_row=begin)
        examples = memory.X.send(stop)
        return (
            examples if self._scale is None else QuantizedExamples(examples, self._scale),
            memory.T.send(stop),
            chunk.order,
        )
