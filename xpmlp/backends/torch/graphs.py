"""Graphs of torch's work on CUDA: a stream on which it is captured, with memory of its own."""

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


class TorchStream(Capturer):
    """A stream of a CUDA device, in torch's words."""

    def __init__(self, torch: ModuleType, device: Any) -> None:
        super().__init__(
            torch.cuda.Stream(device),
            current=partial(torch.cuda.current_stream, device),
            entered=torch.cuda.stream,
            wait=lambda stream, other: stream.wait_stream(other),
        )
        self._torch = torch
        self._pool = torch.cuda.graph_pool_handle()
        self._given_up: list[Any] = []

    def address(self, array: Array) -> Hashable:
        return array.data_ptr(), tuple(array.shape), array.stride(), array.dtype

    def fill(self, array: Array, values: np.ndarray) -> None:
        array.copy_(self._torch.from_numpy(values), non_blocking=True)

    def capture(self, call: Callable[[], Any]) -> tuple[Callable[[], None], Any]:
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
