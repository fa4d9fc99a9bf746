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

from peers.contenders import FIELDS
from peers.scoring import likelihood, training_loss
from peers.task import Task, Workload

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.contender import Contender


def main() -> None:
    """Serve until the input ends, or the contender fails: that is an answer too."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer

    def answer(values: dict[str, Any]) -> None:
        print(json.dumps(values), file=answers, flush=True)

    try:
        serve(*sys.argv[1:], answer)
    except Exception as error:  # noqa: BLE001 - a library may raise anything, and one line says what
        answer({"error": f"{type(error).__name__}: {error}"})


def serve(name: str, folder: str, workload: str, answer: Callable[[dict[str, Any]], None]) -> None:
    """Load what the contender needs, make it, and do a repetition for each line of the input."""
    asked = Workload(**json.loads(workload))
    entry = FIELDS[asked.device].entries[name]
    entry.load()
    task = Task.load(Path(folder), asked)
    answer({"base_bytes": peak_bytes()})
    contender = entry.open(task)
    for _ in sys.stdin:
        answer(repetition(contender, task))


def repetition(contender: Contender, task: Task) -> dict[str, Any]:
    """Do once what the workload says: how long it took, on how many cores, the loss, and what we took in all."""
    cpu, start = time.process_time(), time.perf_counter()
    seconds, predicted = predict(contender, task) if task.workload.rows else train(contender)
    cores = (time.process_time() - cpu) / (time.perf_counter() - start)
    peak = peak_bytes()  # before the scoring, which is ours
    loss = score(contender, task, predicted)
    answered = {"seconds": seconds, "cores": cores, "loss": loss, "peak_bytes": peak, "pools": pools()}
    return answered | {"cpu_seconds": time.process_time() - cpu}


def train(contender: Contender) -> tuple[float, list[Any]]:
    """Train: the time that it takes, and no predictions."""
    start = time.perf_counter()
    contender.train()
    return time.perf_counter() - start, []


def predict(contender: Contender, task: Task) -> tuple[float, list[Any]]:
    """Predict some rows at a time: the median time of a call, and the probabilities of the first images."""
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
    return statistics.median(taken), predicted


def score(contender: Contender, task: Task, predicted: list[Any]) -> float | None:
    """Return the loss of the predictions, or of what was trained; None for a floor."""
    if not task.workload.rows:
        layers = contender.layers()
        return None if layers is None else training_loss(task, layers)
    if predicted[0] is None:
        return None
    together = np.concatenate([np.asarray(probabilities) for probabilities in predicted])
    return likelihood(together, task.y_test) / len(together)


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
