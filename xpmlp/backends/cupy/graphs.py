"""Graphs of CuPy's work: a stream on which it is captured, with memory of its own."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from types import ModuleType

    import numpy as np

    from xpmlp.common.types import Array

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
    from a pool that nothing else takes from. The pool is never emptied: graphs work on what it takes for free. Threads
    take turns: what one asks for while another captures would become a part of its graph.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pool = cupy.cuda.MemoryPool(partial(_allocate, cupy))
        self._pool.set_limit(size=0)  # none: at its limit, a pool gives back what is free in it
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
            finally:
                graph = self._stream.end_capture()
        return graph.launch, results


def _allocate(cupy: ModuleType, size: int) -> Any:
    """Allocate memory for a pool.

    Raises
    ------
    RuntimeError
        In place of CUDA's own error, on which a pool gives back to the device what is free in it, and tries again.
    """
    try:
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(str(error)) from error


@functools.cache
def stream_of(cupy: ModuleType, device: int) -> CupyStream:
    """Return the one stream for a device, which stays with its handles and memory until the process ends."""
    with cupy.cuda.Device(device):
        return CupyStream(cupy)
