"""One contender in a process of its own: it answers each line of its input with a line of JSON.

    python -m peers.worker NAME FOLDER WORKLOAD

The first answer says what the process holds before the contender is made; each later one is a repetition.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_info

from peers.contenders import every
from peers.task import Task, Workload

if TYPE_CHECKING:
    from peers.contender import Contender
    from peers.task import Layers

SCORED = 10_000  # training images that a trained network is scored on
ROWS = 2_000  # of these at a time


def main() -> None:
    """Serve until the input ends."""
    name, folder, workload = sys.argv[1:]
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    entry = every()[name]
    entry.load()
    task = Task.load(Path(folder), Workload(**json.loads(workload)))
    answer({"base_bytes": peak_bytes()})
    contender = entry.open(task)
    for _ in sys.stdin:
        answer(repetition(contender, task))


def repetition(contender: Contender, task: Task) -> dict[str, Any]:
    """Do once what the workload says: seconds, the loss that it comes to, and the peak of the memory so far."""
    if task.workload.rows:
        seconds, loss = predict(contender, task)
        peak = peak_bytes()
    else:
        start = time.perf_counter()
        contender.train()
        seconds = time.perf_counter() - start
        peak = peak_bytes()  # before the scoring, which is ours
        layers = contender.layers()
        loss = None if layers is None else loss_of(layers, task.X[:SCORED], task.y[:SCORED])
    return {"seconds": seconds, "loss": loss, "peak_bytes": peak, "pools": pools()}


def predict(contender: Contender, task: Task) -> tuple[float, float | None]:
    """Predict some rows at a time: the median time of a call, and the loss of the probabilities."""
    rows, calls = task.workload.rows, task.workload.calls
    firsts = range(0, min(rows * calls, len(task.X_test)), rows)
    pieces = [contender.place(task.X_test[first : first + rows]) for first in firsts]
    taken, predicted = [], []
    for call in range(calls):
        piece = pieces[call % len(pieces)]
        start = time.perf_counter()
        probabilities = contender.predict(piece)
        taken.append(time.perf_counter() - start)
        if call < len(pieces):
            predicted.append(probabilities)
    if predicted[0] is None:
        return statistics.median(taken), None
    together = np.concatenate([np.asarray(probabilities) for probabilities in predicted])
    return statistics.median(taken), likelihood(together, task.y_test[: len(together)])


def loss_of(layers: Layers, X: np.ndarray, y: np.ndarray) -> float:
    """Return the mean negative log-likelihood, computed here in NumPy whatever has trained the network."""
    total = 0.0
    for first in range(0, len(X), ROWS):
        z = X[first : first + ROWS]
        for W, b in layers[:-1]:
            z = np.maximum(z @ W + b, 0.0)
        W, b = layers[-1]
        z = (z @ W + b).astype(np.float64)
        probabilities = np.exp(z - z.max(axis=1, keepdims=True))
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        total += likelihood(probabilities, y[first : first + ROWS]) * len(z)
    return total / len(X)


def likelihood(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Return the mean negative log-likelihood of labels."""
    return float(-np.log(probabilities[np.arange(len(y)), y].astype(np.float64)).mean())


def peak_bytes() -> int:
    """Return the most memory that this process has held at once.

    Linux's `ru_maxrss` is no less than what the parent held when it started us, hence /proc where there is one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    kibibytes = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kibibytes


def pools() -> list[dict[str, Any]]:
    """Name the thread pools of the libraries that are loaded, with their sizes."""
    return [{key: info[key] for key in ("internal_api", "num_threads")} for info in threadpool_info()]


if __name__ == "__main__":
    main()
