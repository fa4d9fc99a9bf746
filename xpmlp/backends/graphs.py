"""Graphs of device work: what a function of arrays did once is replayed without Python, for CuPy and torch on CUDA.

A library launches one kernel an operation, which takes the host longer than a small kernel takes the device. A graph is
captured from a function while it is called, and launched as one. It works on the very memory that it was captured on:
it is replayed only for arguments in the same buffers, and its results may be overwritten by the next replay, its own or
another graph's.
"""

from __future__ import annotations

import functools
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends.rehearsal import leaves
from xpmlp.common.errors import XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from xpmlp.common.types import Array

    Call = Callable[..., Any]
    Rehearse = Callable[..., tuple[Any, bool]]
    Taken = Iterator[tuple[Any, Any, int]]  # layers, state and how many rows, after each piece of work
    Steps = Callable[[Any, Any, Any, np.ndarray, int], Taken]

MAX_GRAPHS = 64  # of one function; the one that was not used for longest makes room
MAX_STEPS = 256  # of one graph: their nodes take memory, and an epoch can have thousands


class Capturer(ABC):
    """A stream of a device on which work is captured into graphs; not the default one, which cannot be captured.

    ``current()`` gives the library's current stream, ``entered(stream)`` a context in which a stream is that, and
    ``wait(stream, other)`` lets a stream wait for what another one has been given so far.

    What is allocated while work is captured belongs to the graph, so a subclass takes it from a pool of its own, which
    is never emptied: graphs share it, as they are replayed one after the other. Threads take turns: what one asks for
    while another captures would become a part of its graph.
    """

    def __init__(self, stream: Any, *, current: Call, entered: Call, wait: Call) -> None:
        self._stream, self._current, self._entered, self._wait = stream, current, entered, wait
        self._turn = threading.RLock()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current stream: after what is under way on the caller's, and before what it is given next."""
        with self._turn:
            callers = self._current()
            if callers == self._stream:
                yield
                return
            self._wait(self._stream, callers)
            with self._entered(self._stream):
                try:
                    yield
                finally:
                    self._wait(callers, self._stream)

    @abstractmethod
    def address(self, array: Array) -> Hashable:
        """Return what tells an array's buffer and layout from others: address, shape, strides, dtype."""

    @abstractmethod
    def fill(self, array: Array, values: np.ndarray) -> None:
        """Copy values of the host, of the array's shape and dtype, to its buffer, after the work that is under way."""

    @abstractmethod
    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Call a function, recording the work that it asks for: return what does that work, and the results."""


class Captured:
    """A function of arrays that is replayed where it is called again on the same buffers.

    Parameters
    ----------
    function : callable
        Takes and gives arrays, and lists and named tuples of them. It asks nothing of an array's values.
    capturer : Capturer
        Of the library that holds the arrays.
    rehearse : callable
        `Backend.rehearse`.
    written : int
        How many of its arguments, the first ones, it may write to.

    Notes
    -----
    The first call on some buffers is plain, as a library compiles kernels in it; the second is captured. Launches are
    rehearsed until a graph was right twice, the second time on values that it was not captured with: they must leave
    the same bytes, as they are the same kernels on the same numbers. What cannot be captured, or leaves something else,
    is warned of once, and called as it is from then on.
    """

    def __init__(
        self, function: Callable[..., Any], capturer: Capturer, rehearse: Rehearse, *, written: int = 0
    ) -> None:
        self.function = function
        self._capturer, self._rehearse, self._written = capturer, rehearse, written
        self._graphs: OrderedDict[Hashable, tuple[Callable[[], None], Any] | None] = OrderedDict()  # None: seen once
        self._trusted = self._failed = False

    def __call__(self, *arguments: Any) -> Any:
        """Call the function, or replay what it did."""
        if self._failed:
            return self.function(*arguments)
        key = tuple(map(self._capturer.address, leaves(arguments)))
        if key not in self._graphs:
            self._graphs[key] = None
            if len(self._graphs) > MAX_GRAPHS:
                self._graphs.popitem(last=False)
            return self.function(*arguments)
        self._graphs.move_to_end(key)
        launch, is_new, handled = partial(self._launch, key), self._graphs[key] is None, sys.exception()
        try:
            if self._trusted:
                return launch(*arguments)
            results, same = self._rehearse(launch, self.function, arguments, self._written)
        except Exception as error:
            if self._graphs[key] is not None:  # it was launched, if not now
                raise
            cause = _first(error, handled)  # nothing was done yet: whatever the library cannot capture, it can do
            self._give_up("could not be captured into a graph", f": {type(cause).__name__}: {cause}")
            return self.function(*arguments)
        if not same:
            self._give_up("gives other results in a graph")
        self._trusted = not is_new
        return results

    def _launch(self, key: Hashable, *arguments: Any) -> Any:
        """Replay the graph of these buffers, which is captured where there is none."""
        graph = self._graphs[key] or self._capturer.capture(lambda: self.function(*arguments))
        replay, results = graph
        replay()
        self._graphs[key] = graph
        return results

    def _give_up(self, problem: str, cause: str = "") -> None:
        self._failed = True
        self._graphs.clear()
        warnings.warn(
            f"the work {problem}, and is asked for operation by operation, which takes longer{cause}. Graphs are not "
            "tried with --no-graphs (graphs=False).",
            XpmlpWarning,
            stacklevel=3,
        )


def _first(error: BaseException, handled: BaseException | None) -> BaseException:
    """Return the error that others came of: the end of a capture that has failed fails too, and says less."""
    while error.__context__ is not None and error.__context__ is not handled:
        error = error.__context__
    return error


def epoch_runner_in_graphs(
    step: Callable[..., Any], capturer: Capturer, rehearse: Rehearse, asindex: Callable[[np.ndarray], Array]
) -> Steps:
    """As `Backend.epoch_runner`: up to `MAX_STEPS` steps in one graph, on rows that lie where the last ones lay.

    `capturer` and `rehearse` are as for `Captured`, and `asindex` is the backend's.
    """

    @functools.lru_cache(MAX_GRAPHS)
    def buffer(shape: tuple[int, ...]) -> Array:
        return asindex(np.zeros(shape))

    @functools.cache
    def captured(size: int) -> Captured:
        def several(layers: Any, state: Any, examples: Any, rows: Array) -> tuple[Any, Any]:
            n = rows.shape[-1]
            for start in range(0, n, size):
                layers, state = step(layers, state, examples, rows[..., start : min(start + size, n)])
            return layers, state

        return Captured(several, capturer, rehearse, written=2)

    def steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Taken:
        for start in range(0, order.shape[-1], MAX_STEPS * size):
            rows = order[..., start : start + MAX_STEPS * size]
            on_device = buffer(rows.shape)
            capturer.fill(on_device, np.ascontiguousarray(rows, dtype=np.int64))
            layers, state = captured(size)(layers, state, examples, on_device)
            yield layers, state, rows.shape[-1]

    return steps
