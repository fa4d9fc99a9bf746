"""Examples from disk as a training loop takes them: in chunks, laid out on a backend ahead of time by a thread."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from xpmlp.common.validation import check_features, check_number
from xpmlp.data.examples import Examples, QuantizedExamples, StreamedExamples
from xpmlp.data.preprocessing import encode
from xpmlp.data.streams.shuffle import Chunk, cut, shuffled

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.backends.staging import StagingBuffer
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.data.streams.source import Part

    Buffers = tuple[StagingBuffer, StagingBuffer]  # where the examples of a chunk and their targets are laid out

Memory = TypeVar("Memory")
Task = TypeVar("Task")
Result = TypeVar("Result")

CHUNK_BYTES = 2**27  # of a chunk as it is laid out; two of them are in memory
CHUNKS = 2  # one that is trained on, and one that is read
READER = "xpmlp-reader"  # what the name of the thread begins with
MAX_SCORED = 8192  # examples of a chunk that is scored
SCORED_SHARE = 4  # of a chunk, that is scored at once at most: the two to train on are kept meanwhile


class Stream(StreamedExamples):
    """A part of data on disk, for `train` and for scoring: scaled and encoded, chunk by chunk.

    Parameters
    ----------
    backend : Backend
        Where the chunks go.
    part : Part
        Examples and their targets.
    classes : ndarray of shape (m,), or None
        All labels, sorted: the columns of the targets. None for amounts.
    scaling : Scaling
        Of the features. 8-bit ones stay as they are up to the minibatch, where scaling them only multiplies.
    target_scaling : Scaling, optional
        Of amounts.
    chunk_bytes : int
        What a chunk may take: examples as they are laid out, targets and their order. It holds one minibatch at least.

    Attributes
    ----------
    backend, part
        As above.
    shape : (int, int)
        Examples and features.
    n_outputs : int
        Classes, or 1.
    """

    def __init__(
        self,
        backend: Backend,
        part: Part,
        classes: np.ndarray | None,
        scaling: Scaling,
        *,
        target_scaling: Scaling | None = None,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        self.backend: Backend = backend
        self.part, self.shape = part, part.shape
        self.n_outputs = 1 if classes is None else classes.shape[0]
        self._classes, self._scaling, self._target_scaling = classes, scaling, target_scaling
        self._chunk_bytes: int = check_number("chunk bytes", chunk_bytes, at_least=1, integer=True)
        stored, self._float = part.source.dtype, np.dtype(backend.dtype)
        as_stored = stored.kind in "iu" and stored.itemsize == 1 and scaling.only_scales
        self._dtype = stored if as_stored else self._float
        self._in_place = as_stored or (stored == self._float and scaling.is_identity)
        self._scale = backend.asarray(scaling.factors) if as_stored else None
        self._free: dict[int, list[Buffers]] = {}  # of the last epoch, by the rows of its chunks

    def __repr__(self) -> str:
        learnt = "with amounts" if self._classes is None else f"in {self.n_outputs} classes"
        return f"<Stream of {self.part!r} {learnt}, on {self.backend!r}>"

    def shuffled(self, seed: int, epoch: int, batch_size: int) -> Generator[tuple[Examples, np.ndarray]]:
        """Give the chunks of an epoch, as `StreamedExamples` has it; `shuffle.shuffled` says in what order.

        Raises
        ------
        InputError
            For what cannot be read, NaN and infinite values, and labels that are not among the classes.
        """
        rows = max(1, self._rows_of(self._chunk_bytes, self._dtype) // batch_size) * batch_size
        buffers = self._free.pop(rows, None)
        self._free.clear()
        buffers = buffers or self._allocate(rows)
        yield from prefetch(self._lay_out, shuffled(self.part.blocks, rows, seed, epoch), buffers)
        self._free = {rows: buffers}  # not where the epoch was left: work on it may still be under way

    def in_order(self) -> Generator[Examples]:
        """Give chunks of few enough examples to be scored, as `StreamedExamples` has it; raises as `shuffled`."""
        rows = min(self._rows_of(self._chunk_bytes // SCORED_SHARE, self._float), MAX_SCORED)
        ordered = (Chunk(segments, np.empty(0)) for segments in cut(self.part.blocks, rows))
        with closing(prefetch(self._lay_out, ordered, self._allocate(rows))) as chunks:
            for examples, _ in chunks:
                yield examples

    def targets(self) -> Iterator[np.ndarray]:
        """Read the targets alone, as `StreamedExamples` has it."""
        return map(self._encode, self.part.targets())

    def _encode(self, y: np.ndarray, first_row: int = 0) -> np.ndarray:
        """Return the targets as the network is given them, (rows, m)."""
        if self._classes is not None:
            return encode(y, self._classes, self.part.source.y_name, first_row=first_row)
        return y[:, None] if self._target_scaling is None else self._target_scaling.apply(y[:, None])

    def _rows_of(self, size: int, dtype: np.dtype) -> int:
        """Return how many examples take so many bytes: their targets and two copies of their order count too."""
        example = self.shape[1] * dtype.itemsize + self.n_outputs * self._float.itemsize + 16
        return max(1, size // example)

    def _allocate(self, rows: int) -> list[Buffers]:
        n, d = self.shape
        size, staging_buffer = min(rows, n), self.backend.staging_buffer
        with self._within_memory(size):
            return [
                (staging_buffer((size, d), self._dtype), staging_buffer((size, self.n_outputs), self._float))
                for _ in range(min(CHUNKS, -(-n // size)))
            ]

    def _within_memory(self, rows: int) -> AbstractContextManager[Any]:
        return self.backend.within_memory(f"chunks of {rows:,} examples of {self.shape[1]:,} features")

    def _lay_out(self, buffers: Buffers, chunk: Chunk) -> tuple[Examples, np.ndarray]:
        """Read the rows of a chunk into memory: what a thread of its own does."""
        examples, targets = buffers
        source, stop = self.part.source, 0
        with self._within_memory(examples.host.shape[0]):
            for begin, end in chunk.segments:
                start, stop = stop, stop + end - begin
                X = examples.host[start:stop]
                if self._in_place:
                    source.examples(begin, end, X)
                else:
                    self._scaling.apply(source.examples(begin, end), out=X)
                check_features(X, f"X of {source.name}", first_row=begin)
                targets.host[start:stop] = self._encode(source.targets(begin, end), begin)
            X, T = examples.send(stop), targets.send(stop)
            return Examples(X if self._scale is None else QuantizedExamples(X, self._scale), T), chunk.order


def prefetch(
    fill: Callable[[Memory, Task], Result], tasks: Iterable[Task], memories: Sequence[Memory]
) -> Generator[Result]:
    """Give the results of tasks in their order, each computed by a thread while the ones before are worked on.

    The thread ends with the generator, however that ends; it finishes the task at hand first.

    Parameters
    ----------
    fill : callable
        ``fill(memory, task)``: does a task in the thread. What it raises is raised here, in place of its result.
    tasks : iterable
        What to do. The caller's thread asks for them.
    memories : sequence
        What tasks are done in, in turn: that of a result is filled again once the next one is asked for.
    """
    left = iter(tasks)
    with ThreadPoolExecutor(1, READER) as reader:
        try:
            pending = deque((memory, reader.submit(fill, memory, task)) for memory, task in zip(memories, left))  # noqa: B905 - as many as there are of both
            while pending:
                memory, future = pending.popleft()
                yield future.result()
                for task in islice(left, 1):
                    pending.append((memory, reader.submit(fill, memory, task)))
        finally:
            reader.shutdown(wait=False, cancel_futures=True)
