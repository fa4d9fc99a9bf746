"""Every figure, table and timing of the report's section 3, from scratch, into one folder with a page that shows them.

    XPMLP_DATA=... python scripts/reproduce_report.py
    XPMLP_DATA=... python scripts/reproduce_report.py --quick --out runs/report-quick

The folder then holds `index.html`, one file that can be sent to somebody, `results.json` with all that was measured,
`boundaries.csv`, the pictures, and a run folder with model, configuration and log for each network on Fashion-MNIST.
"""

from __future__ import annotations

import shlex
import sys
import time
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark_devices import machine
from commands import run_script
from html_pages import check_jinja
from reproduction.boundaries import draw_boundaries
from reproduction.fashion import train_fashion
from reproduction.gradients import check_gradients_of_report
from reproduction.inspection import inspect_models
from reproduction.page import write_page
from reproduction.plan import Plan
from reproduction.results import prepare_folder, write_results
from reproduction.speed import compare_speeds
from xpmlp import load_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARIES = ("xpmlp", "numpy", "array-api-compat", "scikit-learn", "scipy", "joblib", "matplotlib", "jinja2")
SECTIONS: dict[str, tuple[str, Callable[[Plan], Any]]] = {
    "gradients": ("gradient checks", check_gradients_of_report),
    "boundaries": ("decision boundaries", draw_boundaries),
    "speed": ("loop against matrix", compare_speeds),
    "fashion": ("Fashion-MNIST", train_fashion),
    "inspection": ("weights, confusion, wrong images", inspect_models),
}


def main(
    backend: Annotated[str, typer.Option(help="Array library to compute with, as in `xpmlp train`.")] = "numpy",
    device: Annotated[str | None, typer.Option(help="One of its devices.", show_default="the first")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for everything.")] = Path("runs/report"),
    jobs: Annotated[
        int | None,
        typer.Option(help="Models to train side by side.", show_default="one a core; 1 on a GPU", min=1),
    ] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="A little of everything, in under a minute.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the report in a folder.")] = False,
) -> None:
    """Reproduce the report: every figure, table and timing of its section 3, on one page."""
    check_jinja()
    plan = Plan.build(backend, device, data_dir, out, quick=quick, jobs=jobs)
    load_dataset("fashion-mnist", data_dir=data_dir, progress=True)  # what is missing is said before an hour's work
    prepare_folder(plan.out, overwrite=overwrite)
    results = describe(plan)
    start = time.perf_counter()
    for name, (title, work) in SECTIONS.items():
        section_start = time.perf_counter()
        print(f"{title} ...", file=sys.stderr, flush=True)
        results[name] = work(plan)
        results["seconds"][name] = time.perf_counter() - section_start
        print(f"{title}: {results['seconds'][name]:.1f} s", file=sys.stderr, flush=True)
        write_results(plan.out, results)
    results["seconds"]["total"] = time.perf_counter() - start
    write_results(plan.out, results)
    page = write_page(plan.out, results)
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB, after {results['seconds']['total']:.0f} s")


def describe(plan: Plan) -> dict[str, Any]:
    """Say what is run, where, and with which versions."""
    return {
        "quick": plan.quick,
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join(["python", "scripts/reproduce_report.py", *sys.argv[1:]]),
        "backend": {"name": plan.backend, "device": plan.device, "dtype": "float32"},
        "jobs": plan.jobs,
        "machine": machine(),
        "versions": {name: version(name) for name in LIBRARIES},
        "seconds": {},
    }


if __name__ == "__main__":
    run_script(main)
