"""xpmlp beside what else one would train such a network with, and beside what the machine can do at all.

The same network learns the same images of Fashion-MNIST with each library, from the same weights: seconds, memory, and
the loss that it comes to, which must agree, so that nobody wins by doing less. Every contender is a process of its own,
and they take turns. A floor is the time of the matrix products alone, with gathering the minibatches.

    XPMLP_DATA=... python scripts/benchmark_peers.py --out benchmarks/peers-my-machine.json --figure peers.png
    XPMLP_DATA=... python scripts/benchmark_peers.py --workload small --contender scikit-learn --no-growth
"""

from __future__ import annotations

import json
import platform
import shlex
import sys
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer
from joblib import cpu_count

from benchmark_devices import processor
from commands import print_table, run_script
from peers.charts import figure_of
from peers.comparison import OWN_SHUFFLES, SAME_BATCHES, compare, disagreements, participants
from peers.contenders import CONTENDERS, REFERENCE
from peers.growth import measure_growth
from peers.tables import tables_of
from peers.targets import judge
from peers.task import Task
from peers.turns import take_turns
from peers.workloads import GROWTH_CONTENDERS, QUICK_IMAGES, WORKLOADS, shortened, write_data, write_start
from xpmlp import InputError
from xpmlp.checks import check_choice
from xpmlp.files import FIGURE_KINDS, check_place, write_whole
from xpmlp.plots import save_figure

IMAGES = 60_000
LIBRARIES = ("xpmlp", "numpy", "scipy", "scikit-learn", "torch", "jax", "thinc", "skorch")


def main(
    workload: Annotated[
        list[str] | None, typer.Option(help=f"{', '.join(WORKLOADS)}; repeatable. All by default.")
    ] = None,
    contender: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(CONTENDERS)}; repeatable. All that are installed by default."),
    ] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    threads: Annotated[
        int | None, typer.Option(help="Threads of each library.", show_default="one a core", min=1)
    ] = None,
    repetitions: Annotated[int, typer.Option(help="Measurements of each contender.", min=1)] = 5,
    epochs: Annotated[
        int | None, typer.Option(help="Of each repetition.", show_default="3 for small, 1 for others", min=1)
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    figure: Annotated[Path | None, typer.Option(help="A .png, .pdf or .svg file to write.")] = None,
    *,
    growth: Annotated[bool, typer.Option(help="Measure larger and larger data and networks too.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="A few hundred images, once.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Measure, and say what was met; exit code 1 where a contender has not done the same work."""
    for path, kinds in ((out, (".json",)), (figure, FIGURE_KINDS)):
        if path is not None:
            check_place(path, kinds)
            if path.exists() and not overwrite:
                raise InputError(f"{path} exists: choose another name, or give --overwrite.")
    report = benchmark(
        workload or list(WORKLOADS),
        choose(contender),
        data_dir,
        threads or cpu_count(),
        1 if quick else repetitions,
        epochs,
        growth=growth,
        few=quick,
    )
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


def choose(named: list[str] | None) -> list[str]:
    """Return the contenders that are asked for, or all that are installed, with a line for each that is not.

    xpmlp on NumPy is always one, as the others are compared with it.

    Raises
    ------
    InputError
        For a name that is unknown, or whose library is not installed.
    """
    chosen = [REFERENCE]
    for name in named or CONTENDERS:
        check_choice("contender", name, CONTENDERS)
        missing = ", ".join(CONTENDERS[name].missing)
        if missing and named:
            raise InputError(f"contender {name} needs {missing}, not installed here: pip install 'xpmlp[bench]'.")
        if missing:
            print(f"{name}: skipped, {missing} is not installed (pip install 'xpmlp[bench]')", file=sys.stderr)
        elif name not in chosen:
            chosen.append(name)
    return chosen


def benchmark(
    workloads: list[str],
    contenders: list[str],
    data_dir: str | None,
    threads: int,
    repetitions: int,
    epochs: int | None,
    *,
    growth: bool,
    few: bool,
) -> dict[str, Any]:
    """Measure the workloads, one after the other, and the growth."""
    for name in workloads:
        check_choice("workload", name, WORKLOADS)
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    compared = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_data(folder, data_dir, QUICK_IMAGES if few else IMAGES)
        for name in workloads:
            workload = shortened(WORKLOADS[name]) if few else WORKLOADS[name]
            if epochs is not None:
                workload = replace(workload, epochs=epochs)
            write_start(folder, workload)
            names = participants(workload, contenders)
            measured = take_turns(workload, names, folder, threads=threads, repetitions=repetitions)
            compared[name] = compare(Task.load(folder, workload), measured)
        grown = {}
        if growth:
            names = [name for name in GROWTH_CONTENDERS if name in contenders]
            grown = measure_growth(names, folder, threads=threads, repetitions=repetitions, quick=few)
    return {
        "benchmark": "peers",
        "command": shlex.join(["python", "scripts/benchmark_peers.py", *sys.argv[1:]]),
        "started": started,
        "machine": {"system": platform.platform(), "processor": processor(), "cores": cpu_count()},
        "versions": {"python": platform.python_version(), **versions()},
        "threads": threads,
        "repetitions": repetitions,
        "quick": few,
        "tolerances": {"same minibatches": SAME_BATCHES, "own shuffles": OWN_SHUFFLES},
        "workloads": compared,
        "growth": grown,
        "targets": judge(compared),
        "disagreements": disagreements(compared),
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
