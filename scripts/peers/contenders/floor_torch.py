"""As `floor_numpy`, with torch's products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from peers.contender import Contender

if TYPE_CHECKING:
    import numpy as np

    from peers.task import Task


class Peer(Contender):
    """Forward products, products for every dW, and products for the deltas of all but the first layer."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        place = {"device": task.device}
        generator = torch.Generator(task.device).manual_seed(0)
        rows = task.workload.rows or task.workload.batch_size

        def numbers(*shape: int) -> torch.Tensor:
            return torch.rand(shape, generator=generator, **place)

        self.examples = torch.from_numpy(task.X).to(task.device)
        self.labels = torch.from_numpy(task.y).to(task.device)
        self.t = torch.empty(rows, dtype=torch.int64, **place)
        self.W = [torch.tensor(W, **place) for W, _ in task.layers]
        self.dW = [torch.empty_like(W) for W in self.W]
        self.a = [numbers(rows, units) for units in task.sizes[:-1]]
        self.delta = [numbers(rows, units) for units in task.sizes[1:]]
        self.z = [torch.empty((rows, units), **place) for units in task.sizes[1:]]
        self.da = [torch.empty((rows, units), **place) for units in task.sizes[1:-1]]

    @torch.no_grad()
    def train(self) -> None:
        """Gather and multiply for every minibatch; what the products say is not used."""
        for order in self.task.orders:
            for rows in torch.from_numpy(order).to(self.task.device).split(self.task.workload.batch_size):
                self._step(rows)

    def _step(self, rows: torch.Tensor) -> None:
        k = len(rows)
        torch.index_select(self.examples, 0, rows, out=self.a[0][:k])
        torch.index_select(self.labels, 0, rows, out=self.t[:k])
        self._forward(self.a[0][:k])
        for i, (W, dW, a, delta) in enumerate(zip(self.W, self.dW, self.a, self.delta, strict=True)):
            torch.mm(a[:k].T, delta[:k], out=dW)
            if i:
                torch.mm(delta[:k], W.T, out=self.da[i - 1][:k])

    def _forward(self, X: torch.Tensor) -> None:
        k = len(X)
        for a, W, z in zip([X, *self.a[1:]], self.W, self.z, strict=True):
            torch.mm(a[:k], W, out=z[:k])

    def place(self, X: np.ndarray) -> Any:
        """Make a tensor."""
        return torch.from_numpy(X).to(self.task.device)

    @torch.no_grad()
    def predict(self, X: Any) -> Any:
        """Take the forward products alone."""
        self._forward(X)
