"""What a machine with a GPU has to show, in one command: tests, graphs against eager steps, gradients, speed, memory.

    XPMLP_DATA=... python scripts/gpu_check.py --out benchmarks/gpu-my-card.json
    XPMLP_DATA=... python scripts/gpu_check.py --backend torch --device cuda --no-suite

Each part is tried whatever became of the others; the exit code is 1 where one has failed.
"""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
import time
import traceback
import warnings
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from benchmark_devices import processor
from commands import run_script
from reproduction.fashion import FINAL
from xpmlp import InputError, get_backend
from xpmlp.backends import statuses
from xpmlp.experiments import check_circles, prepare
from xpmlp.files import check_place, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xpmlp.backends import Backend
    from xpmlp.options import Options

ROOT = Path(__file__).resolve().parent.parent
SUITE_SECONDS = 240  # what the tests may take
COMPARED_EPOCHS, COMPARED_STEPS = 8, 1000  # of graphs with eager steps: as many epochs as make that many steps
WARM_UP = 2  # epochs after which an epoch counts as one of many
AGREEMENT = 1e-4  # of float32 weights after a thousand steps


def main(
    backend: Annotated[str, typer.Option(help="cupy, torch or jax.")] = "cupy",
    device: Annotated[str | None, typer.Option(help="As `xpmlp train` takes it.")] = None,
    epochs: Annotated[int, typer.Option(help="Of the report's final model.", min=WARM_UP + 2)] = 100,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    *,
    suite: Annotated[bool, typer.Option(help="Run the tests, which this backend must then pass.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Try every part, print what it found, and write it down."""
    if out is not None:
        check_place(out, (".json",))
        if out.exists() and not overwrite:
            raise InputError(f"{out} exists: choose another name, or give --overwrite.")
    final = replace(FINAL, backend=backend, device=device, data_dir=data_dir, epochs=epochs)
    get_backend(backend, device)  # where it cannot be used, nothing of the rest can
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "report": lambda: report_run(final),
        "graphs against eager steps": lambda: compare(final),
        "gradients": lambda: gradients(backend, device),
        "memory": lambda: memory(final),
    }
    if suite:
        parts["tests"] = lambda: tests(backend)
    found = {
        "check": "gpu",
        "command": shlex.join(["python", "scripts/gpu_check.py", *sys.argv[1:]]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {"system": platform.platform(), "processor": processor()},
        "backends": [vars(status) for status in statuses()],
        "parts": dict(tried(parts)),
    }
    if out is not None:
        write_whole(out, (json.dumps(found, indent=1) + "\n").encode())
    if not all(part["passed"] for part in found["parts"].values()):
        raise typer.Exit(1)


def tried(parts: dict[str, Callable[[], dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do each part, and say what it found or how it failed."""
    for name, part in parts.items():
        start = time.perf_counter()
        try:
            result = part()
        except Exception as error:  # noqa: BLE001 - one part that fails must not hide the others
            result = {"passed": False, "error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        result["seconds"] = time.perf_counter() - start
        shown = {key: value for key, value in result.items() if key != "trace"}
        print(f"{name}: {json.dumps(shown)}", flush=True)
        yield name, result


def report_run(options: Options) -> dict[str, Any]:
    """Train the report's final model, scored on every part after each epoch: the time of all, and of a later epoch."""
    experiment = prepare(options)
    experiment.backend.synchronize(experiment.sets)
    start, ends = time.perf_counter(), []
    records = experiment.records()
    while (following := next(records, None)) is not None:
        record = following
        ends.append(time.perf_counter() - start)
    later = (ends[-1] - ends[WARM_UP]) / (len(ends) - 1 - WARM_UP)
    return {
        "passed": True,
        "epochs": len(ends),
        "seconds_from_start": ends[-1],
        "seconds_of_first_epochs": ends[: WARM_UP + 1],
        "seconds_of_a_later_epoch": later,
        "seconds_of_100_later_epochs": 100 * later,
        "test_accuracy": record.scores["test"].accuracy,
        "test_loss": record.scores["test"].loss,
    }


def compare(options: Options) -> dict[str, Any]:
    """Train with graphs and without for a thousand steps: how far the weights are apart, and how long each took."""
    ends: dict[bool, Any] = {}
    seconds: dict[str, float] = {}
    said: list[str] = []
    for graph in (False, True):
        experiment = prepare(replace(options, epochs=COMPARED_EPOCHS, graph=graph))
        steps = experiment.recipe.epochs * -(-experiment.sets["train"][0].shape[0] // options.batch_size)
        start = time.perf_counter()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            *_, record = experiment.records()
        seconds["graphs" if graph else "eager"] = time.perf_counter() - start
        said += [str(warning.message) for warning in caught]
        to_numpy = experiment.backend.to_numpy
        ends[graph] = [to_numpy(p) for layer in record.layers for p in layer]
    apart = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(*ends.values(), strict=True))
    return {
        "passed": apart <= AGREEMENT and steps >= COMPARED_STEPS and not said,
        "steps": steps,
        "apart": apart,
        "warnings": said,
        "seconds": seconds,
        "eager_over_graphs": seconds["eager"] / seconds["graphs"],
    }


def gradients(backend: str, device: str | None) -> dict[str, Any]:
    """Check the gradients of the circles by differences, in matrix form and row by row, with dropout."""
    opened = get_backend(backend, device, "float64")
    worst = {}
    for mode in ("matrix", "loop"):
        check = check_circles(opened, mode=mode, l1=(0.01,), l2=(0.01,), dropout=(0.3,), hidden=(5,))
        worst[mode] = check.worst.error
    return {"passed": max(worst.values()) < check.tolerance, "worst_relative_error": worst}


def memory(options: Options) -> dict[str, Any]:
    """Say what the device holds while the final model is trained."""
    experiment = prepare(replace(options, epochs=1))
    *_, _ = experiment.records()
    return {"passed": True, "bytes": device_bytes(experiment.backend)}


def device_bytes(backend: Backend) -> dict[str, int]:
    """Return the library's own count of its memory on the device, where it keeps one."""
    if backend.name == "cupy":
        import cupy  # noqa: PLC0415 - where it is the backend alone

        pool = cupy.get_default_memory_pool()
        return {"used": pool.used_bytes(), "held": pool.total_bytes()}
    if backend.name == "torch" and "cuda" in backend.device_name:
        import torch  # noqa: PLC0415 - as above

        return {"used": torch.cuda.memory_allocated(), "held": torch.cuda.max_memory_reserved()}
    return {}


def tests(backend: str) -> dict[str, Any]:
    """Run the suite with this backend required; one that is cut off has not passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backend", backend]
    try:
        done = subprocess.run(  # noqa: S603 - our own suite
            command, cwd=ROOT, capture_output=True, text=True, timeout=SUITE_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode() if isinstance(error.stdout, bytes) else (error.stdout or "")
        return {"passed": False, "error": f"cut off after {SUITE_SECONDS} s", "end": said[-2000:]}
    lines = done.stdout.strip().splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else "", "failed": failed}


if __name__ == "__main__":
    run_script(main)
