"""Trainings on a machine of their own, and beside a program that keeps one core busy: all threads, and as many as pay.

    python scripts/benchmark_threads.py --out benchmarks/threads-cpu-2-cores.json
    python scripts/benchmark_threads.py --quick
    python scripts/benchmark_threads.py --page benchmarks/threads-cpu-2-cores.json

Each training is a process of its own, `xpmlp train fashion-mnist` or the fit of an estimator on the same images, timed
from its start to its end. "all" sets OPENBLAS_NUM_THREADS to the number of cores, which xpmlp leaves as it is; "chosen"
sets nothing; "one" sets it to 1. They take turns, and a repetition that other programs disturb is made again.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from benchmark_devices import processor
from commands import print_table, run_script
from machine_load import wait_until_quiet
from pages import DOCS, fill
from xpmlp.backends.threads import BLAS_VARIABLES
from xpmlp.common.files import check_place, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = DOCS / "performance.md"
MARK = "threads"
PATIENCE = 20.0  # seconds to wait for a quiet machine before a repetition
SMALL = {"hidden": "50", "optimizer": "sgd", "batch_size": "256"}
OPTIONS = {
    "the defaults: 784-128-10, K = 64": {},
    "784-50-10, K = 256": SMALL,
    "784-50-10, K = 16": SMALL | {"batch_size": "16"},
    "784-512-512-10, K = 256": {"hidden": "512,512", "batch_size": "256"},
}
FIT = """
import sys
from xpmlp import MLPClassifier, load_dataset
hidden, solver, size, epochs = sys.argv[1:]
data = load_dataset("fashion-mnist")
model = MLPClassifier([*map(int, hidden.split(","))], solver=solver, batch_size=int(size), max_iter=int(epochs))
model.fit(data.X.astype("float32") / 255, data.y)
"""
BUSY = "while True: pass"


def main(
    rounds: Annotated[int, typer.Option(min=1, help="Repetitions of each.")] = 3,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs of each training.")] = 2,
    out: Annotated[Path | None, typer.Option(help="A JSON file for the results.")] = None,
    page: Annotated[Path | None, typer.Option(help="Fill the table of the page with the results in this file.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One training, once.")] = False,
) -> None:
    """Time trainings, quiet and busy, with all threads, with one, and with as many as xpmlp chooses."""
    if page is not None:
        fill(PAGE, lines(json.loads(page.read_text(encoding="utf-8"))), MARK)
        return
    if out is not None:
        check_place(out)
    trainings = dict(list(commands(epochs).items())[: 1 if quick else None])
    results: dict[str, dict[str, dict[str, list[float]]]] = {}
    for _ in range(1 if quick else rounds):
        for name, command in trainings.items():
            for beside in ("quiet", "busy"):
                for threads in ("all", "one", "chosen"):
                    taken = results.setdefault(name, {}).setdefault(beside, {}).setdefault(threads, [])
                    taken.append(seconds(command, threads, busy=beside == "busy", patience=0 if quick else PATIENCE))
    machine = {"processor": processor(), "cores": os.cpu_count()}
    report = {"machine": machine, "epochs": epochs, "date": time.strftime("%Y-%m-%d"), "results": results}
    table = Table("training", "quiet: all, s", "one", "chosen", "busy: all, s", "one", "chosen")
    for name, found in results.items():
        table.add_row(name, *(f"{statistics.median(each):.2f}" for part in found.values() for each in part.values()))
    print_table(table)
    if out is not None:
        write_json(out, report)


def commands(epochs: int) -> dict[str, list[str]]:
    """Return the commands of all trainings, by name."""
    found = {}
    for name, options in OPTIONS.items():
        flags = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", value)]
        found[f"`train`, {name}"] = ["-m", "xpmlp", "train", "fashion-mnist", "--epochs", str(epochs), *flags]
    for name, options in OPTIONS.items():
        given = options.get("hidden", "128"), options.get("optimizer", "adam"), options.get("batch_size", "64")
        found[f"`fit`, {name}"] = ["-W", "ignore", "-c", FIT, *given, str(epochs)]
    return found


def seconds(command: list[str], threads: str, *, busy: bool, patience: float) -> float:
    """Return how long a command of Python takes, once nothing else is at work but, if `busy`, a loop on one core."""
    environment = {name: value for name, value in os.environ.items() if name not in BLAS_VARIABLES}
    number = {"all": os.cpu_count(), "one": 1}.get(threads)
    if number:
        environment["OPENBLAS_NUM_THREADS"] = str(number)
    wait_until_quiet(patience)
    other = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None  # noqa: S603 - our own
    try:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            python = [sys.executable, *command]
            subprocess.run(python, cwd=folder, env=environment, capture_output=True, check=True)  # noqa: S603 - ours
            return time.perf_counter() - start
    finally:
        if other:
            other.kill()
            other.wait()


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Write seconds and ratios in Markdown."""
    machine, runs = report["machine"], report["results"]
    n = len(next(iter(runs.values()))["quiet"]["all"])
    yield (
        f"Seconds of {report['epochs']} epochs on Fashion-MNIST, from the start of Python to its end, medians of {n}, "
        f"on {machine['cores']} cores of {machine['processor']}, {report['date']}."
    )
    yield ""
    heads = ("training", "quiet: all threads", "one", "chosen", "busy: all threads", "one", "chosen", "busy over quiet")
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * (len(heads) - 1)}"
    for name, found in runs.items():
        cells = [statistics.median(found[part][threads]) for part in found for threads in ("all", "one", "chosen")]
        yield f"| {name} | {' | '.join(f'{each:.1f}' for each in cells)} | {cells[-1] / cells[0]:.2f} |"


if __name__ == "__main__":
    run_script(main)
