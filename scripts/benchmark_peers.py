"""xpmlp beside what else one would train such a network with, and beside what the machine can do at all.

The same network learns the same images of Fashion-MNIST with each library, from the same weights: seconds, memory, and
the loss that it comes to, which must agree, so that nobody wins by doing less. Every contender is a process of its own,
and they take turns. A repetition during which other programs took the processors is made again, `--retries` times at
most, and marked where it stayed disturbed. A floor is the time of the matrix products alone, with gathering the
minibatches; on a GPU, that of as many multiplications at the rate of large products in float32.

    XPMLP_DATA=... python scripts/benchmark_peers.py --out benchmarks/peers-my-machine.json --figure peers.png
    XPMLP_DATA=... python scripts/benchmark_peers.py --workload small --contender scikit-learn --no-growth
    XPMLP_DATA=... python scripts/benchmark_peers.py --device gpu --out benchmarks/peers-my-card.json
    python scripts/benchmark_peers.py --page benchmarks/peers-cpu-2-cores.json
"""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import TIMEOUT_MAX
from typing import Annotated, Any

import typer
from joblib import cpu_count

from benchmark_devices import processor
from commands import print_table, run_script
from machine_load import QUIET, wait_until_quiet
from pages import DOCS, fill
from peers.charts import figure_of
from peers.comparison import OWN_SHUFFLES, SAME_BATCHES, compare, disagreements, disturbed_share, participants
from peers.contenders import FIELDS, Entry
from peers.growth import measure_growth
from peers.markdown import comparison_lines, target_lines
from peers.tables import tables_of
from peers.targets import GPU_TARGETS, TARGETS, judge
from peers.task import Task
from peers.turns import SHARED_GPU, take_turns
from peers.workloads import (
    GPU_WORKLOADS,
    GROWTH_CONTENDERS,
    QUICK_IMAGES,
    WORKLOADS,
    shortened,
    write_data,
    write_start,
)
from xpmlp import BackendError, InputError, get_backend
from xpmlp.backends import BACKENDS, statuses
from xpmlp.common.files import FIGURE_KINDS, check_place, write_whole
from xpmlp.common.validation import check_choice
from xpmlp.plots import save_figure

PAGE, LOG, MARK = DOCS / "performance.md", DOCS / "performance-log.md", "peers"
IMAGES = 60_000
LIBRARIES = (
    "xpmlp",
    "numpy",
    "scipy",
    "scikit-learn",
    "cupy-cuda12x",
    "cupy-cuda13x",
    "torch",
    "jax",
    "thinc",
    "skorch",
)
DEVICES = {"cpu": "cpu", "gpu": "cuda"}
DEVICE_WORKLOADS = {"cpu": WORKLOADS, "cuda": GPU_WORKLOADS}
DEVICE_TARGETS = {"cpu": TARGETS, "cuda": GPU_TARGETS}


def main(
    workload: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(WORKLOADS)}; on a GPU {', '.join(GPU_WORKLOADS)}; repeatable. All by default."),
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option(
            help=f"{', '.join(FIELDS['cpu'].contenders)}; on a GPU {', '.join(FIELDS['cuda'].contenders)}; repeatable. "
            "All that are installed by default."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each library.", show_default="one a core", min=1)
    ] = None,
    repetitions: Annotated[int, typer.Option(help="Of each contender; more of what is short.", min=1)] = 5,
    epochs: Annotated[
        int | None, typer.Option(help="Of each repetition.", show_default="by the workload", min=1)
    ] = None,
    patience: Annotated[
        float,
        typer.Option(
            help="Seconds that a contender may take to start, or for a turn.", show_default="without end", min=1
        ),
    ] = TIMEOUT_MAX,
    retries: Annotated[
        int, typer.Option(help="How often a repetition is made again while other programs take the processors.", min=0)
    ] = 5,
    limit: Annotated[
        float,
        typer.Option(help="Seconds after which no other repetition begins.", show_default="without end", min=1),
    ] = math.inf,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg file to write.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Fill the tables of the pages with the results in this file.")
    ] = None,
    *,
    growth: Annotated[bool, typer.Option(help="Measure larger and larger data and networks too.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="A few hundred images, once.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Measure, and say what was met; exit code 1 where a contender has not done the same work."""
    if page is not None:
        fill_pages(json.loads(page.read_text(encoding="utf-8")))
        return
    end = time.monotonic() + limit
    check_choice("device", device, DEVICES)
    place = DEVICES[device]
    for path, kinds in ((out, (".json",)), (figure, FIGURE_KINDS)):
        if path is not None:
            check_place(path, kinds, overwrite=overwrite)
    chosen, skipped = choose(contender, place)
    for name, why in skipped.items():
        print(f"{name}: skipped, {why}", file=sys.stderr)
    report = benchmark(
        workload or list(DEVICE_WORKLOADS[place]),
        chosen,
        data_dir,
        threads or cpu_count(),
        1 if quick else repetitions,
        epochs,
        retries=0 if quick else retries,
        growth=growth and place == "cpu",
        few=quick,
        device=place,
        patience=patience,
        end=end,
    )
    report["skipped"] = skipped
    for table in tables_of(report):
        print_table(table)
    if out is not None:
        write_whole(out, (json.dumps(report, indent=1) + "\n").encode())
    if figure is not None:
        save_figure(figure_of(report), figure)
    for message in report["disagreements"]:
        print(message, file=sys.stderr)
    if report["disagreements"]:
        raise typer.Exit(1)


def fill_pages(report: dict[str, Any]) -> None:
    """Write the tables of docs/performance.md and docs/performance-log.md."""
    fill(PAGE, comparison_lines(report), MARK)
    fill(LOG, target_lines(report), MARK)


def choose(named: list[str] | None, device: str = "cpu") -> tuple[list[str], dict[str, str]]:
    """Return the contenders that are asked for, or all that can take part, and why each of the others is skipped.

    xpmlp on NumPy, or on CuPy on a GPU, is always one, as the others are compared with it.

    Raises
    ------
    InputError
        For a name that is unknown, or whose library is not installed.
    BackendError
        For a library that finds no GPU to compute on, where it is named or the others are compared with it.
    """
    field = FIELDS[device]
    if device == "cuda":
        os.environ.update(SHARED_GPU)
        get_backend("cupy")
    chosen, skipped = [field.reference], {}
    for name in named or field.contenders:
        check_choice("contender", name, field.contenders)
        entry = field.contenders[name]
        missing = ", ".join(entry.missing)
        if missing and named:
            raise InputError(f"contender {name} needs {missing}, not installed here: pip install 'xpmlp[bench]'.")
        blind = without_gpu(entry) if device == "cuda" and not missing else ""
        if blind and named:
            raise BackendError(f"contender {name} cannot be used here: {blind}")
        if missing:
            skipped[name] = f"{missing} is not installed (pip install 'xpmlp[bench]')"
        elif blind:
            skipped[name] = blind
        elif name not in chosen:
            chosen.append(name)
    return chosen, skipped


def without_gpu(entry: Entry) -> str:
    """Say why a contender's library cannot use an NVIDIA GPU here; "" where it can."""
    for name in BACKENDS.keys() & set(entry.libraries):
        try:
            get_backend(name, "cuda")
        except BackendError as error:
            return str(error)
    return ""


def benchmark(
    workloads: list[str],
    contenders: list[str],
    data_dir: str | None,
    threads: int,
    repetitions: int,
    epochs: int | None,
    *,
    retries: int = 0,
    growth: bool,
    few: bool,
    device: str = "cpu",
    patience: float = TIMEOUT_MAX,
    end: float = math.inf,
) -> dict[str, Any]:
    """Measure the workloads, one after the other, and the growth."""
    known, field = DEVICE_WORKLOADS[device], FIELDS[device]
    # On a GPU, where more can be missing, the others go on without a contender that fails.
    may_fail = field.contenders.keys() - {field.reference} if device == "cuda" else set()
    for name in workloads:
        check_choice("workload", name, known)
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    before = wait_until_quiet(0.0)
    print(f"before: {before}", file=sys.stderr)
    compared: dict[str, Any] = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, data_dir, QUICK_IMAGES if few else IMAGES)
        for name in workloads:
            workload = shortened(known[name]) if few else known[name]
            if epochs is not None:
                workload = replace(workload, epochs=epochs)
            write_start(folder, workload)
            measured, lost = take_turns(
                workload,
                participants(workload, contenders),
                folder,
                threads=threads,
                repetitions=repetitions * workload.rounds,
                retries=retries,
                patience=patience,
                may_fail=may_fail,
                end=end,
                fuse=device != "cpu",
            )
            compared[name] = compare(Task.load(folder, workload), measured)
            failed += [f"{name}: {error}" for error in lost]
        grown = {}
        if growth:
            names = [name for name in GROWTH_CONTENDERS if name in contenders]
            grown = measure_growth(names, folder, threads=threads, repetitions=repetitions, retries=retries, quick=few)
    return {
        "benchmark": "peers",
        "command": shlex.join(["python", "scripts/benchmark_peers.py", *sys.argv[1:]]),
        "started": started,
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": cpu_count(),
            "backends": [vars(status) for status in statuses()] if device == "cuda" else [],
        },
        "device": device,
        "versions": {"python": platform.python_version(), **versions()},
        "threads": threads,
        "repetitions": repetitions,
        "quick": few,
        "tolerances": {"same minibatches": SAME_BATCHES, "own shuffles": OWN_SHUFFLES},
        "workloads": compared,
        "growth": grown,
        "load": {
            "before": before._asdict(),
            "tolerated": QUIET,
            "retries": retries,
            "disturbed": disturbed_share(compared),
        },
        "targets": judge(compared, DEVICE_TARGETS[device]),
        "disagreements": [*failed, *disagreements(compared)],
    }


def versions() -> dict[str, str]:
    """Return the version of every library that is installed."""
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


if __name__ == "__main__":
    run_script(main)
