"""Graphs of device work: what a function of arrays did once is replayed without Python, for CuPy and torch on CUDA.

A library launches one kernel an operation, which takes the host longer than a small kernel takes the device. A graph is
captured from a function while it is called, and launched as one. It works on the very memory that it was captured on:
it is replayed only for arguments in the same buffers, and its results may be overwritten by the next replay, its own or
another graph's.
"""

from __future__ import annotations

import functools
import sys
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from xpmlp.common.errors import XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from xpmlp.common.types import Array

__all__ = ["Captured", "Capturer", "epoch_runner_in_graphs"]

SEEN_BEFORE = 1  # calls on the same buffers before they are captured: a library compiles kernels in the first
MOST_GRAPHS = 64  # of one function; the one that was not used for longest makes room
MOST_STEPS = 256  # of one graph: their nodes take memory, and an epoch can have thousands


class Capturer(Protocol):
    """What a library has to offer."""

    def address(self, array: Array) -> Hashable:
        """Return what tells an array's buffer and layout from others: address, shape, strides, dtype."""

    def fill(self, array: Array, values: np.ndarray) -> None:
        """Copy values of the host, of the array's shape and dtype, to its buffer, after the work that is under way."""

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Call a function, recording the work that it asks for: return what does that work, and the results."""


class _Graph(NamedTuple):
    replay: Callable[[], None]
    results: Any


class Captured:
    """A function of arrays that is replayed where it is called again on the same buffers.

    Parameters
    ----------
    function : callable
        Takes and gives arrays, and lists and named tuples of them; it may write to its arguments. It asks nothing of an
        array's values.
    capturer : Capturer
        Of the library that holds the arrays.

    Notes
    -----
    What cannot be captured is warned of once, and called as it is from then on.
    """

    def __init__(self, function: Callable[..., Any], capturer: Capturer) -> None:
        self.function = function
        self._capturer = capturer
        self._seen: OrderedDict[Hashable, int] = OrderedDict()
        self._graphs: OrderedDict[Hashable, _Graph] = OrderedDict()
        self._failed = False

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, or replay what it did."""
        if self._failed:
            return self.function(*arguments)
        key = tuple(self._addresses(arguments))
        graph = self._graphs.get(key)
        if graph is None:
            if self._count(key) < SEEN_BEFORE:
                return self.function(*arguments)
            graph = self._capture(key, arguments)
            return self.function(*arguments) if graph is None else graph.results
        self._graphs.move_to_end(key)
        graph.replay()
        return graph.results

    def _addresses(self, nest: Any) -> Iterator[Hashable]:
        if isinstance(nest, tuple | list):
            yield len(nest)
            for part in nest:
                yield from self._addresses(part)
        else:
            yield None if nest is None else self._capturer.address(nest)

    def _count(self, key: Hashable) -> int:
        """Return how often these buffers were seen before, and count this time."""
        before = self._seen.pop(key, 0)
        self._seen[key] = before + 1
        if len(self._seen) > 2 * MOST_GRAPHS:
            self._seen.popitem(last=False)
        return before

    def _capture(self, key: Hashable, arguments: tuple[Any, ...]) -> _Graph | None:
        """Capture what the function does, and do it; None where that fails, and then nothing was done."""
        handled = sys.exception()
        try:
            replay, results = self._capturer.capture(lambda: self.function(*arguments))
            replay()
        except Exception as error:  # noqa: BLE001 - whatever the library could not capture, it can do
            self._failed = True
            self._graphs.clear()
            cause = _first(error, handled)
            warnings.warn(
                f"the work could not be captured into a graph, and is asked for operation by operation, which takes "
                f"longer: {type(cause).__name__}: {cause}. Graphs are not tried with --no-graph (graphs=False).",
                XpmlpWarning,
                stacklevel=3,
            )
            return None
        self._graphs[key] = graph = _Graph(replay, results)
        if len(self._graphs) > MOST_GRAPHS:
            self._graphs.popitem(last=False)
        return graph


def _first(error: BaseException, handled: BaseException | None) -> BaseException:
    """Return the error that others came of: the end of a capture that has failed fails too, and says less."""
    while error.__context__ is not None and error.__context__ is not handled:
        error = error.__context__
    return error


def epoch_runner_in_graphs(
    step: Callable[..., Any], capturer: Capturer, asindex: Callable[[np.ndarray], Array]
) -> Callable[..., Iterator[tuple[Any, Any, int]]]:
    """As `Backend.epoch_runner`: up to `MOST_STEPS` steps in one graph, on rows that lie where the last ones lay.

    Parameters
    ----------
    step : callable
        As there.
    capturer : Capturer
        Of the library that holds the arrays.
    asindex : callable
        `Backend.asindex`, which moves rows to a new buffer.
    """
    buffers: dict[int, Array] = {}  # by the number of rows in them

    @functools.cache
    def captured(size: int) -> Captured:
        def several(layers: Any, state: Any, examples: Any, rows: Array) -> tuple[Any, Any]:
            n = rows.shape[0]
            for start in range(0, n, size):
                layers, state = step(layers, state, examples, rows[start : min(start + size, n)])
            return layers, state

        return Captured(several, capturer)

    def steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Iterator[tuple[Any, Any, int]]:
        for start in range(0, order.shape[0], MOST_STEPS * size):
            rows = order[start : start + MOST_STEPS * size]
            n = rows.shape[0]
            if n in buffers:
                capturer.fill(buffers[n], np.ascontiguousarray(rows, dtype=np.int64))
            else:
                buffers[n] = asindex(rows)
                if len(buffers) > MOST_GRAPHS:
                    buffers.pop(next(iter(buffers)))
            layers, state = captured(size)(layers, state, examples, buffers[n])
            yield layers, state, n

    return steps
