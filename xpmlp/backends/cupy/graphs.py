"""Graphs of CuPy's work: a stream on which it is captured, with memory of its own."""

from __future__ import annotations

import functools
from functools import partial
from typing import TYPE_CHECKING, Any

from xpmlp.backends.graphs import Capturer

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import ModuleType

    import numpy as np

    from xpmlp.common.types import Array


class CupyStream(Capturer):
    """A stream of the current device, in CuPy's words."""

    def __init__(self, cupy: ModuleType) -> None:
        super().__init__(
            cupy.cuda.Stream(non_blocking=True),
            current=cupy.cuda.get_current_stream,
            entered=lambda stream: stream,
            wait=lambda stream, other: stream.wait_event(other.record()),
        )
        self._cupy = cupy
        self._pool = cupy.cuda.MemoryPool(partial(_allocate, cupy))
        self._pool.set_limit(size=0)  # none: at its limit, a pool gives back what is free in it

    def address(self, array: Array) -> Hashable:
        return array.data.ptr, array.shape, array.strides, array.dtype

    def fill(self, array: Array, values: np.ndarray) -> None:
        array.set(values, stream=self._current())

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        with self.current(), self._cupy.cuda.using_allocator(self._pool.malloc):
            self._stream.begin_capture()
            try:
                results = call()
            finally:
                graph = self._stream.end_capture()
        return graph.launch, results


def _allocate(cupy: ModuleType, size: int) -> Any:
    """Allocate memory for a pool; CUDA's own error would make that give back what is free in it, and try again."""
    try:
        return cupy.cuda.MemoryPointer(cupy.cuda.Memory(size), 0)
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RuntimeError(str(error)) from error


@functools.cache
def stream_of(cupy: ModuleType, device: int) -> CupyStream:
    """Return the one stream for a device, which stays with its handles and memory until the process ends."""
    with cupy.cuda.Device(device):
        return CupyStream(cupy)
