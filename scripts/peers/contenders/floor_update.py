"""The time that an update by Adam takes at least: the bytes that it touches, at the bandwidth of the main memory.

A network whose parameters and state stay in a cache may be updated faster.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Task

TOUCHED = 7  # of each parameter: p, m and v are read and written, the gradient is read
ENTRIES = 2**25  # of each of two arrays in float32, 256 MiB together: more than a cache holds


class Peer(Contender):
    """Touch as many bytes as all updates of the run must, in a product of two arrays that is written over one of them.

    Like STREAM's it reads two numbers and writes one, but in place, as the updates are: a third array would be fetched
    from memory only to be written over.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        parameters = sum(W.size + b.size for W, b in task.layers)
        self.entries = TOUCHED * parameters * task.workload.steps // 3
        self.threads = int(os.environ["OMP_NUM_THREADS"])
        self.pool = ThreadPoolExecutor(self.threads)
        self.total, self.other = np.ones(ENTRIES, np.float32), np.ones(ENTRIES, np.float32)

    def train(self) -> None:
        """Go over the arrays until so many entries are done, every thread over a part of its own."""
        for done in range(0, self.entries, ENTRIES):
            width = min(ENTRIES, self.entries - done)
            bounds = np.linspace(0, width, self.threads + 1, dtype=int).tolist()
            list(self.pool.map(self._add, bounds[:-1], bounds[1:]))

    def _add(self, first: int, last: int) -> None:
        total = self.total[first:last]
        np.multiply(total, self.other[first:last], out=total)

    def predict(self, X: Any) -> Any:
        """Refuse: predictions update nothing."""
        raise NotImplementedError
