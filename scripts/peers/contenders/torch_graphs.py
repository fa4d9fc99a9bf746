"""torch with all steps of an epoch in one CUDA graph, captured as its documentation captures a whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from peers.contenders import torch_eager, torch_network

if TYPE_CHECKING:
    from peers.task import Task

WARM_UP = 3  # steps before the capture, on a stream of their own, as torch asks


class Peer(torch_eager.Peer):
    """The eager contender's steps on buffers that stay: an epoch copies its order there, and replays. For SGD alone."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.order = torch.arange(task.workload.images, device=task.device)
        self.total = torch.zeros((), device=task.device)
        self.optimizer = torch_network.optimizer(self.model, task)
        minibatches = self._minibatches()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for picked in (*minibatches[:1] * WARM_UP, minibatches[-1]):
                self._step(picked)
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self._epoch()

    def _minibatches(self) -> tuple[torch.Tensor, ...]:
        return self.order.split(self.task.workload.batch_size)

    def _epoch(self) -> None:
        for picked in self._minibatches():
            self._step(picked)

    def _step(self, picked: torch.Tensor) -> None:
        x, t = self.examples.index_select(0, picked), self.labels.index_select(0, picked)
        loss = functional.cross_entropy(self.model(x), t)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.total += loss.detach() * len(picked)

    def train(self) -> None:
        """Start again, and read the loss of each epoch."""
        torch_network.start(self.model, self.task)
        for order in self.task.orders:
            self.order.copy_(torch.from_numpy(order))
            self.total.zero_()
            self.graph.replay()
            self.total.item()
