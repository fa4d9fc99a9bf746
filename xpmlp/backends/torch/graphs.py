"""Graphs of torch's work on CUDA: a stream on which it is captured, with memory of its own."""

from __future__ import annotations

import functools
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator
    from types import ModuleType

    import numpy as np

    from xpmlp.common.types import Array

__all__ = ["TorchStream", "stream_of"]


class TorchStream:
    """A stream of a CUDA device, a `Capturer`.

    Parameters
    ----------
    torch : module
        The library.
    device : torch.device
        Of the stream.

    Notes
    -----
    As `CupyStream`, in torch's words.
    """

    def __init__(self, torch: ModuleType, device: Any) -> None:
        self._torch, self._device = torch, device
        self._stream = torch.cuda.Stream(device)
        self._pool = torch.cuda.graph_pool_handle()
        self._given_up: list[Any] = []
        self._turn = threading.RLock()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Make this the current stream: after what is under way on the caller's, and before what it is given next."""
        with self._turn:
            callers = self._torch.cuda.current_stream(self._device)
            if callers == self._stream:
                yield
                return
            self._stream.wait_stream(callers)
            with self._torch.cuda.stream(self._stream):
                try:
                    yield
                finally:
                    callers.wait_stream(self._stream)

    def address(self, array: Array) -> Hashable:
        """Return address, shape, strides and dtype."""
        return array.data_ptr(), tuple(array.shape), array.stride(), array.dtype

    def fill(self, array: Array, values: np.ndarray) -> None:
        """Copy values of the host to a buffer, in the order of the stream."""
        array.copy_(self._torch.from_numpy(values), non_blocking=True)

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
        """Record what a function asks for; what does it keeps the memory that it works on."""
        graph = self._torch.cuda.CUDAGraph()
        try:
            with (
                self.current(),
                self._torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                results = call()
        except BaseException:
            # Where its end has failed too, torch's allocator goes on asking this graph and refuses the pool to others.
            self._given_up.append(graph)
            self._pool = self._torch.cuda.graph_pool_handle()
            raise
        return graph.replay, results


@functools.cache
def stream_of(torch: ModuleType, device: Any) -> TorchStream:
    """Return the one stream for a device, which stays with its memory until the process ends."""
    return TorchStream(torch, device)
