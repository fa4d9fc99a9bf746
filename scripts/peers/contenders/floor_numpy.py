"""What no training by NumPy can go below: its matrix products, into memory that is there, and gathering its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Task


class Peer(Contender):
    """Forward products, products for every dW, and products for the deltas of all but the first layer."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        rng = np.random.default_rng(0)
        rows = task.workload.rows or task.workload.batch_size

        def numbers(*shape: int) -> np.ndarray:
            return rng.random(shape, dtype=np.float32)

        self.targets = task.onehot()
        self.t = np.empty((rows, task.sizes[-1]), np.float32)
        self.W = [W.copy() for W, _ in task.layers]
        self.dW = [np.empty_like(W) for W in self.W]
        self.a = [numbers(rows, units) for units in task.sizes[:-1]]
        self.delta = [numbers(rows, units) for units in task.sizes[1:]]
        self.z = [np.empty((rows, units), np.float32) for units in task.sizes[1:]]
        self.da = [np.empty((rows, units), np.float32) for units in task.sizes[1:-1]]

    def train(self) -> None:
        """Gather and multiply for every minibatch; what the products say is not used."""
        size = self.task.workload.batch_size
        for order in self.task.orders:
            for first in self.task.starts:
                self._step(order[first : first + size])

    def _step(self, rows: np.ndarray) -> None:
        k = len(rows)
        np.take(self.task.X, rows, axis=0, out=self.a[0][:k], mode="clip")  # "raise" would go through a buffer
        np.take(self.targets, rows, axis=0, out=self.t[:k], mode="clip")
        self._forward(self.a[0][:k])
        for i, (W, dW, a, delta) in enumerate(zip(self.W, self.dW, self.a, self.delta, strict=True)):
            np.matmul(a[:k].T, delta[:k], out=dW)
            if i:
                np.matmul(delta[:k], W.T, out=self.da[i - 1][:k])

    def _forward(self, X: np.ndarray) -> None:
        k = X.shape[0]
        for a, W, z in zip([X, *self.a[1:]], self.W, self.z, strict=True):
            np.matmul(a[:k], W, out=z[:k])

    def predict(self, X: Any) -> Any:
        """Take the forward products alone."""
        self._forward(X)
