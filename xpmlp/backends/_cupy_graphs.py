"""Graphs of CuPy's work: a stream on which it is captured, with memory of its own."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from types import ModuleType

    import numpy as np

    from xpmlp.types import Array

__all__ = ["CupyStream", "stream_of"]


class CupyStream:
    """A stream of the current device, a `Capturer`.

    Parameters
    ----------
    cupy : module
        The library.

    Notes
    -----
    The default stream cannot be captured. What is allocated while work is captured belongs to the graph, so it comes
    from a pool that nothing else takes from. Threads take turns: what one asks for while another captures would
    become a part of its graph.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pool = cupy.cuda.MemoryPool()
        self._turn = threading.RLock()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current stream: after what is under way on the caller's, and before what it is given next."""
        with self._turn:
            callers = self._cupy.cuda.get_current_stream()
            if callers == self._stream:
                yield
                return
            self._stream.wait_event(callers.record())
            with self._stream:
                try:
                    yield
                finally:
                    callers.wait_event(self._stream.record())

    def address(self, array: Array) -> Hashable:
        """Return address, shape, strides and dtype."""
        return array.data.ptr, array.shape, array.strides, array.dtype

    def fill(self, array: Array, values: np.ndarray) -> None:
        """Copy values of the host to a buffer, in the order of the stream."""
        array.set(values, stream=self._cupy.cuda.get_current_stream())

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Record what a function asks for; what does it keeps the memory that it works on."""
        with self.current(), self._cupy.cuda.using_allocator(self._pool.malloc):
            self._stream.begin_capture()
            try:
                results = call()
            except BaseException:
                with suppress(Exception):  # of the capture that is given up, which the first error says more about
                    self._stream.end_capture()
                raise
            graph = self._stream.end_capture()
        return graph.launch, results


@functools.cache
def stream_of(cupy: ModuleType, device: int) -> CupyStream:
    """Return the one stream for a device, which stays with its handles and memory until the process ends."""
    with cupy.cuda.Device(device):
        return CupyStream(cupy)
