"""What a machine with a GPU has to show, in one command of less than eight minutes: tests, gradients, graphs, speed.

    XPMLP_DATA=... python scripts/gpu_check.py --out benchmarks/gpu-my-card.json --html my-card.html
    XPMLP_DATA=... python scripts/gpu_check.py --backend torch --device cuda --part report --part memory

Each part is a process with a limit of time. One that fails or is cut off has not passed, and the others are tried all
the same; the exit code is 1 then. The file and the page are written after each part, and list those that are missing.
The targets of speed that a part reports decide nothing.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import tempfile
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark_devices import processor
from commands import run_script
from gpu_parts.page import write_page
from gpu_parts.plan import carry_out, plan_of
from html_pages import check_jinja
from peers.turns import SHARED_GPU
from reproduction.fashion import FINAL
from xpmlp import BackendError, get_backend
from xpmlp.common.files import check_place, write_whole
from xpmlp.common.validation import check_choice

PARTS = list(plan_of(FINAL))
GPUS = ("cuda", "mps", "gpu")  # what the names of their devices begin with


def main(
    backend: Annotated[str, typer.Option(help="cupy, torch or jax.")] = "cupy",
    device: Annotated[str | None, typer.Option(help="As `xpmlp train` takes it.")] = None,
    epochs: Annotated[int, typer.Option(help="Of the report's final model.", min=4)] = 100,
    data_dir: Annotated[str | None, typer.Option(help="Where Fashion-MNIST lies.")] = None,
    part: Annotated[list[str] | None, typer.Option(help=f"{', '.join(PARTS)}; repeatable. All by default.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    html: Annotated[Path | None, typer.Option(help="A page of the same to write.")] = None,
    *,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Try every part, print what it found, and write it down."""
    for name in part or ():
        check_choice("part", name, PARTS)
    _check_places(out, html, overwrite=overwrite)
    os.environ.update(SHARED_GPU)
    opened = get_backend(backend, device)  # where it cannot be used, nothing of the rest can
    if not opened.device_name.startswith(GPUS):
        raise BackendError(
            f"backend {opened.name} computes on {opened.device_name} here, which is no GPU: there is nothing to check. "
            "Give a GPU, such as --device cuda; `xpmlp info` lists what each backend can use on this machine."
        )
    plan = plan_of(replace(FINAL, backend=backend, device=device, data_dir=data_dir, epochs=epochs))
    found: dict[str, Any] = {
        "check": "gpu",
        "command": shlex.join(["python", "scripts/gpu_check.py", *sys.argv[1:]]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "backend": opened.name,
        "device": opened.device_name,
        "machine": {"system": platform.platform(), "processor": processor()},
        "parts": {},
        "not_measured": PARTS,
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, result in carry_out({name: plan[name] for name in part or PARTS}, Path(folder)):
            print(f"{name}: {'passed' if result['passed'] else 'not passed'} in {result['seconds']:.1f} s", flush=True)
            found["parts"][name] = result
            found["not_measured"] = [each for each in PARTS if each not in found["parts"]]
            _write(found, out, html)
    if found["not_measured"]:
        print(f"not measured: {'; '.join(found['not_measured'])}")
    if not all(result["passed"] for result in found["parts"].values()):
        raise typer.Exit(1)


def _check_places(out: Path | None, html: Path | None, *, overwrite: bool) -> None:
    if out is not None:
        check_place(out, (".json",), overwrite=overwrite)
    if html is not None:
        check_place(html, (".html",), overwrite=overwrite)
        check_jinja()


def _write(found: dict[str, Any], out: Path | None, html: Path | None) -> None:
    if out is not None:
        write_whole(out, (json.dumps(found, indent=1) + "\n").encode())
    if html is not None:
        write_page(html, found)


if __name__ == "__main__":
    run_script(main)
