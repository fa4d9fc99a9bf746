"""As `floor_numpy`, with the products that JAX compiles, in one call a minibatch: it has no `out`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Task


class Peer(Contender):
    """Forward products, products for every dW, and products for the deltas of all but the first layer."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.device = jax.devices(task.device)[0]
        rng = np.random.default_rng(0)
        rows = task.workload.rows or task.workload.batch_size

        def numbers(units: int) -> Any:
            return jax.device_put(rng.random((rows, units), dtype=np.float32), self.device)

        self.examples = jax.device_put(task.X, self.device)
        self.labels = jax.device_put(task.y.astype(np.int32), self.device)
        self.W = jax.device_put([W for W, _ in task.layers], self.device)
        self.a = [numbers(units) for units in task.sizes[1:-1]]
        self.delta = [numbers(units) for units in task.sizes[1:]]
        self.step = jax.jit(step)
        self.forward = jax.jit(forward)

    def train(self) -> None:
        """Gather and multiply for every minibatch; what the products say is not used."""
        size = self.task.workload.batch_size
        for order in self.task.orders:
            pieces = [order[first : first + size].astype(np.int32) for first in self.task.starts]
            for rows in jax.device_put(pieces, self.device):
                last = self.step(self.examples, self.labels, rows, self.W, self.a, self.delta)
            jax.block_until_ready(last)

    def place(self, X: np.ndarray) -> Any:
        """Move rows to the device."""
        return jax.device_put(X, self.device)

    def predict(self, X: Any) -> Any:
        """Take the forward products alone."""
        jax.block_until_ready(self.forward(X, self.W, self.a))


def forward(X: Any, W: Any, a: Any) -> list[Any]:
    """Return every layer's product; all results are returned, so that none is compiled away."""
    k = X.shape[0]
    return [x[:k] @ w for x, w in zip([X, *a], W, strict=True)]


def step(X: Any, y: Any, rows: Any, W: Any, a: Any, delta: Any) -> tuple[Any, ...]:
    """Return every product of a minibatch, and its labels."""
    x, k = X[rows], rows.shape[0]
    products = [each[:k].T @ d[:k] for each, d in zip([x, *a], delta, strict=True)]
    deltas = [d[:k] @ w.T for d, w in zip(delta[1:], W[1:], strict=True)]
    return forward(x, W, a), products, deltas, y[rows]
