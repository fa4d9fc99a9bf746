"""What no training in float32 can go below on a GPU: its multiplications, at the rate of large products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cupy
import numpy as np

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Task

SIDE = 8192  # of square matrices, whose product a card computes about as fast as it can


class Peer(Contender):
    """Products of large matrices with as many multiplications as the forward products, dW and the deltas have."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        rng = np.random.default_rng(0)
        self.a, self.b = (cupy.asarray(rng.random((SIDE, SIDE), dtype=np.float32)) for _ in range(2))
        self.c = cupy.empty_like(self.a)
        self.rows = -(-multiplications(task) // SIDE**2)

    def train(self) -> None:
        """Multiply so many rows; what the products say is not used."""
        for done in range(0, self.rows, SIDE):
            k = min(SIDE, self.rows - done)
            cupy.matmul(self.a[:k], self.b, out=self.c[:k])
        cupy.cuda.get_current_stream().synchronize()

    def predict(self, X: Any) -> Any:
        """Refuse: nothing is predicted at this rate."""
        raise NotImplementedError


def multiplications(task: Task) -> int:
    """Count those of every epoch: three products for each layer, two for the first, whose input needs no delta."""
    sizes = [fan_in * fan_out for fan_in, fan_out in task.shapes]
    return (3 * sum(sizes) - sizes[0]) * task.workload.images * task.workload.epochs
