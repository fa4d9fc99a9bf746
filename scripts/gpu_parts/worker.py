"""A part of `gpu_check.py` in a process of its own.

python -m gpu_parts.worker NAME OPTIONS FILE
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import cpu_count

from gpu_parts.plan import SCRIPTS
from peers.turns import POOLS
from reproduction.reference import INDEPENDENT_ACCURACY
from xpmlp import InputError, Member, XpmlpWarning, get_backend, initialize, train_many
from xpmlp.backends import statuses
from xpmlp.common.files import write_whole
from xpmlp.data.examples import Examples, slice_rows
from xpmlp.experiments.experiment import check_circles, prepare
from xpmlp.experiments.options import CIRCLES, Options
from xpmlp.training import steps_per_epoch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.backends import Backend

COMPARED_STEPS = 1000  # in graphs as long as an epoch: as many epochs as make these
COMPARED_REPLAYS = 1000  # of short graphs
WARM_UP = 2  # epochs after which an epoch counts as one of many
MAX_CAPTURED = 8  # graphs of a training: its steps are one or two, each of its three sets is one
AGREEMENT = 1e-4  # of float32 weights after a thousand steps or more
STACKS, STACK_ROWS = (1, 8, 64, 512), 5120  # networks trained together, and on how many examples
MAX_OF_64 = 3.0  # times the time of one
SIDE = 512  # of the matrices whose product shows the precision
# How far a product has to be, and may be, from float64's, as a share of the largest entry.
PRECISIONS = {"highest": (0.0, 1e-5), "tf32": (1e-5, 1e-2)}
EPOCHS = 100  # of the report's final model, that the targets are for
LATER_SECONDS, START_SECONDS = 0.5, 2.5  # that they may take: once all is warm, and from the start
SEED_NOISE = 0.01  # of the test accuracy
SUITES = 12  # processes that share the tests, at most: one a core
SUITE_SECONDS = 105  # that they may take: less than the part, which says what they said
NO_TESTS = 5  # pytest's exit code where it has collected none


def machine(options: Options) -> dict[str, Any]:  # noqa: ARG001 - every part takes them
    """Say what there is of every backend here."""
    return {"backends": [vars(status) for status in statuses()]}


def report(options: Options) -> dict[str, Any]:
    """Train the report's final model, scored on every part after each epoch: the time of all, and of a later epoch."""
    experiment = prepare(options)
    experiment.backend.synchronize(experiment.sets)
    start, ends, tests = time.perf_counter(), [], []
    for record in experiment.records():
        ends.append(time.perf_counter() - start)
        tests.append(record.scores["test"])
    later = later_epoch(ends)
    accuracy, whole = tests[-1].accuracy, len(ends) == EPOCHS
    return {
        "epochs": len(ends),
        "seconds_from_start": ends[-1],
        "seconds_of_first_epochs": ends[: WARM_UP + 1],
        "seconds_of_a_later_epoch": later,
        "seconds_of_100_later_epochs": EPOCHS * later,
        "test_accuracy": accuracy,
        "test_loss": tests[-1].loss,
        "targets": {
            f"{EPOCHS} later epochs in at most {LATER_SECONDS} s": later * EPOCHS <= LATER_SECONDS,
            f"{EPOCHS} epochs from the start in at most {START_SECONDS} s": ends[-1] <= START_SECONDS,
            f"test accuracy within {SEED_NOISE} of that on a CPU": abs(accuracy - INDEPENDENT_ACCURACY[EPOCHS])
            <= SEED_NOISE,
        }
        if whole
        else {},
    }


def members(options: Options) -> dict[str, Any]:
    """Train stacks of more and more networks of the report's shape: the seconds of an epoch of each."""
    experiment = prepare(options)
    backend, model = experiment.backend, experiment.model
    training = slice_rows(Examples(*experiment.sets["train"]), 0, STACK_ROWS)
    seconds = {}
    for count in STACKS:
        recipes = [replace(experiment.recipe, seed=seed, epochs=WARM_UP + 3) for seed in range(count)]
        stack = [Member(model.network, initialize(model.network, seed=each.seed), each) for each in recipes]
        seconds[count] = later_epoch([time.perf_counter() for _ in train_many(backend, stack, training.X, training.T)])
    over = {count: each / seconds[1] for count, each in seconds.items()}
    return {
        "examples": training.X.shape[0],
        "seconds_of_a_later_epoch": seconds,
        "times_that_of_one": over,
        "targets": {"64 networks in at most 3 times the time of one": over[64] <= MAX_OF_64},
    }


def later_epoch(ends: Sequence[float]) -> float:
    """Return the mean seconds of an epoch for which all was compiled and captured before, by when each one ended."""
    return (ends[-1] - ends[WARM_UP]) / (len(ends) - 1 - WARM_UP)


def compare(options: Options) -> dict[str, Any]:
    """Train with graphs and without: for a thousand steps, and for a thousand epochs of a few steps with dropout."""
    experiment = prepare(options)
    steps = steps_per_epoch(experiment.sets["train"][0].shape[0], options.batch_size)
    long = replace(options, epochs=max(math.ceil(COMPARED_STEPS / steps), WARM_UP + 2))
    short = replace(options, dataset="digits", dropout=(0.3,), epochs=COMPARED_REPLAYS + 1)  # the first is no replay
    found = {"long graphs": with_and_without(long), "short graphs": with_and_without(short)}
    return {"passed": all(each["passed"] for each in found.values()), **found}


def with_and_without(options: Options) -> dict[str, Any]:
    """Train without graphs and with them: how far the weights are apart, the time of an epoch, the number of graphs.

    Graphs that were never captured, or again and again, have not passed either.
    """
    weights: list[list[np.ndarray]] = []
    seconds: dict[str, float] = {}
    said: list[str] = []
    for graph in (False, True):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            experiment = prepare(replace(options, graphs=graph))
            captured = noted_graphs(experiment.backend)
            layers, ends = [], []
            for record in experiment.records():
                layers = record.layers
                ends.append(time.perf_counter())
            seconds["graphs" if graph else "eager"] = later_epoch(ends)
        said += [str(warning.message) for warning in caught if issubclass(warning.category, XpmlpWarning)]
        to_numpy = experiment.backend.to_numpy
        weights.append([to_numpy(p) for layer in layers for p in layer])
    apart = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(*weights, strict=True))
    return {
        "passed": apart <= AGREEMENT and not said and (captured is None or 0 < len(captured) <= MAX_CAPTURED),
        "captured": None if captured is None else len(captured),
        "epochs": options.epochs,
        "steps": options.epochs * steps_per_epoch(experiment.sets["train"][0].shape[0], options.batch_size),
        "apart": apart,
        "warnings": said,
        "seconds_of_a_later_epoch": seconds,
        "eager_over_graphs": seconds["eager"] / seconds["graphs"],
    }


def noted_graphs(backend: Backend) -> list[Any] | None:
    """Return a list that grows with every graph that a backend captures; None where it captures none."""
    capturer: Any = backend.capturer
    if capturer is None:
        return None
    noted: list[Any] = []
    capture = capturer.capture

    def capture_and_note(call: Any) -> Any:
        noted.append(call)
        return capture(call)

    capturer.capture = capture_and_note
    return noted


def gradients(options: Options) -> dict[str, Any]:
    """Check the gradients of the circles by differences, in matrix form and row by row, with dropout."""
    backend = get_backend(options.backend, options.device, "float64")
    worst = {}
    for mode in ("matrix", "loop"):
        network = replace(CIRCLES, mode=mode, l1=(0.01,), l2=(0.01,), dropout=(0.3,), hidden=(5,))
        check = check_circles(backend, network)
        worst[mode] = check.worst.error
    return {"passed": max(worst.values()) < check.tolerance, "worst_relative_error": worst}


def precision(options: Options) -> dict[str, Any]:
    """Multiply the same matrices in each precision: how far the products are from that in float64."""
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal((SIDE, SIDE)).astype(np.float32) for _ in range(2))
    expected = np.matmul(a, b, dtype=np.float64)
    apart = {}
    for name in PRECISIONS:
        backend = get_backend(options.backend, options.device, precision=name)
        with backend.computing():
            product = backend.xp.matmul(backend.asarray(a), backend.asarray(b))
        apart[name] = float(np.abs(backend.to_numpy(product) - expected).max() / np.abs(expected).max())
    passed = all(least <= apart[name] <= most for name, (least, most) in PRECISIONS.items())
    return {"passed": passed, "apart": apart}


def memory(options: Options) -> dict[str, Any]:
    """Say what the device holds before the final model is trained and after three epochs: eager, captured, replayed."""
    before = device_bytes(get_backend(options.backend, options.device))
    experiment = prepare(replace(options, epochs=WARM_UP + 1))
    *_, _ = experiment.records()
    return {"bytes_before": before, "bytes": device_bytes(experiment.backend)}


def device_bytes(backend: Backend) -> dict[str, int]:
    """Return what the library says that it holds on the device, where it does, and what the driver says that all hold.

    The memory of CuPy's graphs is in the driver's count alone.
    """
    if backend.name == "cupy":
        import cupy  # noqa: PLC0415 - where it is the backend alone

        pool = cupy.get_default_memory_pool()
        free, total = cupy.cuda.runtime.memGetInfo()
        return {"used": pool.used_bytes(), "held": pool.total_bytes(), "on_device": total - free}
    if backend.name == "torch" and "cuda" in backend.device_name:
        import torch  # noqa: PLC0415 - as above

        free, total = torch.cuda.mem_get_info(backend.device)
        used, held = torch.cuda.memory_allocated(backend.device), torch.cuda.memory_reserved(backend.device)
        return {"used": used, "held": held, "on_device": total - free}
    if backend.name == "jax":
        found = backend.device.memory_stats() or {}  # none on a CPU
        return {"used": found["bytes_in_use"], "held": found["peak_bytes_in_use"]} if found else {}
    return {}


def tests(options: Options) -> dict[str, Any]:
    """Run the suite with this backend required, dealt to a few processes: the largest files first."""
    if find_spec("pytest") is None:
        raise InputError("the tests need pytest, not installed here: pip install 'xpmlp[test]'.")
    end = time.monotonic() + SUITE_SECONDS
    files = sorted((SCRIPTS.parent / "tests").glob("test_*.py"), key=lambda file: -file.stat().st_size)
    shares = min(SUITES, cpu_count(), len(files))
    threads = dict.fromkeys(POOLS, str(cpu_count() // shares))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backend", options.backend]
    with tempfile.TemporaryDirectory() as folder:  # pipes would fill up, and may be left to others
        suites = {}
        for number in range(shares):
            output = Path(folder) / f"{number}.txt"
            with output.open("w") as file:
                suites[output] = subprocess.Popen(  # noqa: S603 - our own suite
                    [*command, *map(str, files[number::shares])],
                    cwd=SCRIPTS.parent,
                    env={**os.environ, **threads},
                    stdout=file,
                )
        lines = [said_by(suite, output, end) for output, suite in suites.items()]
    failed = [line for told in lines for line in told if line.startswith(("FAILED", "ERROR"))]
    passed = all(suite.returncode in {0, NO_TESTS} for suite in suites.values())
    return {"passed": passed, "summaries": [told[-1] for told in lines if told], "failed": failed}


def said_by(suite: subprocess.Popen[bytes], output: Path, end: float) -> list[str]:
    """Wait for a process until some time, and end it then: the lines that it has said."""
    cut = []
    try:
        suite.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        suite.kill()
        suite.wait()
        cut = [f"cut off after {SUITE_SECONDS} s"]
    return output.read_text(errors="replace").strip().splitlines() + cut


PARTS = {part.__name__: part for part in (machine, report, members, compare, gradients, precision, memory, tests)}


def main(name: str, settings: str, file: str) -> None:
    """Do a part, and write down what it found."""
    options = Options.from_json(json.loads(settings))
    found = PARTS[name](options)
    print(json.dumps(found))
    write_whole(Path(file), json.dumps(found).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
