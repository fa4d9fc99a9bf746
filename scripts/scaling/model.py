"""What a step of N ranks takes: a model of four constants, two of the machine and two of what lies between the ranks.

    seconds(N, K) = fixed + row * K / N  +  2 ceil(log2 N) latency  +  2 (N - 1) / N * bytes / bandwidth

The first two terms are the step without its sum: what each rank does whatever its share (calls, the update), and what
it does for each row of its share. The others are an Allreduce that first adds halves of the buffer up and then hands
them out: in the fewest messages, and with the fewest bytes, that any can do with.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASSUMED", "Compute", "Link", "Step", "fit_compute", "fit_link"]


@dataclass(frozen=True)
class Compute:
    """A rank's own work in a step, in seconds."""

    fixed: float
    row: float


@dataclass(frozen=True)
class Link:
    """What lies between ranks: seconds a message, bytes a second."""

    latency: float
    bandwidth: float

    def sum_seconds(self, ranks: int, size: int) -> float:
        """Return what a sum of `size` bytes over all ranks takes."""
        messages = 2 * math.ceil(math.log2(ranks))
        return messages * self.latency + 2 * (ranks - 1) / ranks * size / self.bandwidth


ASSUMED = {
    "Ethernet, 10 Gbit/s": Link(25e-6, 1.1e9),
    "InfiniBand, 200 Gbit/s": Link(2e-6, 20e9),
}


@dataclass(frozen=True)
class Step:
    """The steps of a network on ranks of one kind, with a sum of `size` bytes."""

    compute: Compute
    link: Link
    size: int

    def seconds(self, ranks: int, batch: float) -> float:
        """Return what a step on `batch` examples takes."""
        return self.compute.fixed + self.compute.row * batch / ranks + self.link.sum_seconds(ranks, self.size)

    def efficiency(self, ranks: int, batch: float) -> float:
        """Return the speed-up over one rank on the same examples, divided by the number of ranks."""
        return self.seconds(1, batch) / (ranks * self.seconds(ranks, batch))

    def least_batch(self, ranks: int) -> float:
        """Return the examples from which on so many ranks are at least half as efficient as one."""
        waiting = self.link.sum_seconds(ranks, self.size)
        return max(0.0, (ranks * (self.compute.fixed + waiting) - 2.0 * self.compute.fixed) / self.compute.row)

    def fastest(self, batch: int, most: int = 4096) -> int:
        """Return the number of ranks, a power of two, whose step on `batch` examples is shortest."""
        return min((2**k for k in range(int(math.log2(most)) + 1)), key=lambda ranks: self.seconds(ranks, batch))


def fit_compute(seconds: Mapping[int, float]) -> Compute:
    """Fit a rank's own work to the seconds of steps of one rank, by the rows of their minibatches."""
    return Compute(*_fit([(1.0, float(rows), taken) for rows, taken in seconds.items()]))


def fit_link(seconds: Mapping[int, float], ranks: int) -> Link:
    """Fit latency and bandwidth to the seconds of sums over so many ranks, by their bytes."""
    messages, passes = 2.0 * math.ceil(math.log2(ranks)), 2.0 * (ranks - 1) / ranks
    latency, per_byte = _fit([(messages, passes * size, taken) for size, taken in seconds.items()])
    return Link(latency, 1.0 / per_byte)


def _fit(rows: list[tuple[float, float, float]]) -> tuple[float, float]:
    """Fit y = p a + q b with p, q > 0, each row counting by its relative error."""
    from scipy.optimize import nnls  # noqa: PLC0415 - needed by the parent process alone

    table = np.array(rows)
    found, _ = nnls(table[:, :2] / table[:, 2:], np.ones(len(rows)))
    first, second = (max(float(x), 1e-15) for x in found)
    return first, second
