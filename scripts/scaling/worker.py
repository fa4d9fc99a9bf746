"""What a rank measures: steps with the share of their sums, and sums by themselves. The first one prints them as JSON.

mpiexec -n 2 python scripts/scaling/worker.py --batches 64,256,512
"""

from __future__ import annotations

import json
import statistics
import time
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from xpmlp import SGD, Adam, Constant, ElasticNet, Network, Recipe, get_backend, initialize
from xpmlp.data.examples import Examples
from xpmlp.distributed import open_communicator
from xpmlp.training import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xpmlp import Backend
    from xpmlp.distributed import Communicator

NETWORKS = {
    "784-50-10": (Network.build(784, [50], 10), SGD(), ElasticNet.build(2, l2=1e-3)),  # the report's
    "784-512-512-10": (Network.build(784, [512, 512], 10), Adam(), ElasticNet()),
}
SIZES = (8, 1024, 8 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024, 4 * 1024 * 1024)  # bytes of the sums by themselves
ROWS = 8192


class Stopwatch:
    """Takes the time of sums, with the waiting for other ranks: stands in the place of a communicator's `adder`."""

    def __init__(self, adder: Callable[[Backend], Callable[[Any], Any]]) -> None:
        self._adder = adder
        self.seconds = 0.0

    def __call__(self, backend: Backend) -> Callable[[Any], Any]:
        add = self._adder(backend)

        def timed(x: Any) -> Any:
            backend.synchronize(x)
            start = time.perf_counter()
            total = add(x)
            self.seconds += time.perf_counter() - start
            return total

        return timed


def made_up() -> tuple[np.ndarray, np.ndarray]:
    """Draw examples like images, and classes for them: what they are does not change the time of a step."""
    rng = np.random.default_rng(0)
    return rng.random((ROWS, 784), dtype=np.float32), np.eye(10, dtype=np.float32)[rng.integers(10, size=ROWS)]


def steps(
    ranks: Communicator,
    stopwatch: Stopwatch,
    data: tuple[Any, Any],
    name: str,
    batch: int,
    seconds: float,
    *,
    shared: bool,
) -> dict[str, Any]:
    """Measure the steps of a network on minibatches of a size, for about so many seconds."""
    network, optimizer, penalty = NETWORKS[name]
    rng = np.random.default_rng(0)
    recipe = Recipe(optimizer, Constant(1e-3), penalty, batch_size=batch)
    trainer = Trainer(get_backend("numpy"), network, recipe, ranks if shared else None)
    trainer.start(initialize(network))

    def take(count: int) -> tuple[float, float]:
        order = rng.integers(ROWS, size=count * batch)
        ranks.allgather(None)
        stopwatch.seconds, start = 0.0, time.perf_counter()
        trainer.run_epoch(Examples(*data), order, should_stop=lambda: shared and ranks.any_rank(wish=False))
        return time.perf_counter() - start, stopwatch.seconds

    count = max(3, round(seconds / ranks.broadcast(take(5)[0] / 5)))
    taken, summed = take(count)
    return {
        "network": name,
        "ranks": ranks.size,
        "shared": shared,
        "batch": batch,
        "seconds": max(ranks.allgather(taken)) / count,
        "communication": statistics.mean(ranks.allgather(summed / taken)),
    }


def sums(ranks: Communicator, seconds: float) -> Iterator[dict[str, Any]]:
    """Measure sums of several sizes, one after the other without work between them."""
    add = ranks.allreduce(get_backend("numpy"))
    for size in SIZES:
        x = np.zeros(size // 4, dtype=np.float32)

        def each(count: int, x: np.ndarray = x) -> float:
            ranks.allgather(None)
            start = time.perf_counter()
            for _ in range(count):
                add(x)
            return ranks.broadcast((time.perf_counter() - start) / count)

        yield {"ranks": ranks.size, "bytes": size, "seconds": each(max(20, round(seconds / each(20))))}


def main(
    batches: Annotated[str, typer.Option(help="Sizes of minibatches, such as 64,256.")] = "64",
    seconds: Annotated[float, typer.Option(help="Of one measurement, about.")] = 0.5,
) -> None:
    """Measure, and print what was found."""
    ranks = open_communicator()
    alone = list(sums(ranks, seconds)) if ranks.size > 1 else []
    stopwatch = ranks.allreduce = Stopwatch(ranks.allreduce)
    cases = product(NETWORKS, map(int, batches.split(",")), (False, True) if ranks.size == 1 else (True,))
    data = made_up()
    found = [steps(ranks, stopwatch, data, name, batch, seconds, shared=shared) for name, batch, shared in cases]
    if ranks.rank == 0:
        print(json.dumps({"library": ranks.library, "steps": found, "sums": alone}))
    ranks.close()


if __name__ == "__main__":
    typer.run(main)
