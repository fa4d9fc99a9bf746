"""What more ranks are worth: steps on ranks of this machine, sums by themselves, and what a model predicts.

    python scripts/benchmark_distributed.py --ranks 1,2 --out benchmarks/distributed-my-machine.json
    python scripts/benchmark_distributed.py --page benchmarks/distributed-cpu-2-cores.json

Every number of ranks is a job of its own, and these take turns, so that a slow minute of the machine falls on all of
them. Strong scaling is more ranks on the same minibatch, weak scaling as many examples for each rank. The share of time
in communication is what `add` takes of a step, with the waiting for other ranks. A rank computes on one thread.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark_devices import processor
from commands import run_script
from pages import DOCS, fill
from scaling.model import ASSUMED, Step, fit_compute, fit_link
from scaling.worker import NETWORKS
from xpmlp import InputError, XpmlpError, __version__
from xpmlp.common.files import check_place, write_whole
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCHES = (64, 256, 1024)
WEAK = 256  # examples for each rank
PREDICTED = (8, 64, 512)
WORKER = Path(__file__).parent / "scaling" / "worker.py"
PAGE = DOCS / "scaling.md"
SECONDS = 600  # that a job may take


class JobError(XpmlpError):
    """A job that failed."""


def main(
    ranks: Annotated[str, typer.Option(help="Numbers of ranks, such as 1,2,4; 1 among them.")] = "1,2",
    rounds: Annotated[int, typer.Option(help="Jobs of each number.", min=1)] = 5,
    seconds: Annotated[float, typer.Option(help="Of one measurement, about.")] = 0.5,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write the tables of docs/scaling.md from this .json file; measure nothing.")
    ] = None,
) -> None:
    """Measure, or write what was measured into the page."""
    if page is not None:
        fill(PAGE, tables(json.loads(page.read_text(encoding="utf-8"))))
        return
    if out is not None:
        check_place(out, (".json",))
    numbers = sorted({int(number) for number in ranks.split(",")})
    if numbers[0] != 1 or len(numbers) < 2:
        raise InputError(f"--ranks is {ranks!r}, but must hold 1, which the others are compared with, and another.")
    report = measure(numbers, rounds, seconds)
    print("\n".join(tables(report)))
    if out is not None:
        write_whole(out, (json.dumps(report, indent=1) + "\n").encode())


def measure(numbers: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """Run every job in each round; take medians."""
    found: dict[str, dict[tuple[Any, ...], list[Any]]] = {"steps": defaultdict(list), "sums": defaultdict(list)}
    for turn in range(rounds):
        for number in numbers:
            print(f"\rround {turn + 1}/{rounds}: {number} ranks  ", end="", file=sys.stderr)
            result = job(number, sorted({*BATCHES, WEAK * number}), seconds)
            for step in result["steps"]:
                key = tuple(step[name] for name in ("network", "ranks", "shared", "batch"))
                found["steps"][key].append((step["seconds"], step["communication"]))
            for taken in result["sums"]:
                found["sums"][taken["ranks"], taken["bytes"]].append(taken["seconds"])
    print(file=sys.stderr)
    return {
        "benchmark": "distributed",
        "command": shlex.join(["python", "scripts/benchmark_distributed.py", *sys.argv[1:]]),
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "xpmlp": __version__,
            "mpi": result["library"],
        },
        "rounds": rounds,
        "networks": {name: 4 * (network.n_parameters + 1) for name, (network, *_) in NETWORKS.items()},
        "steps": [
            {
                **dict(zip(("network", "ranks", "shared", "batch"), key, strict=True)),
                "seconds": statistics.median(taken for taken, _ in values),
                "fastest": min(taken for taken, _ in values),
                "slowest": max(taken for taken, _ in values),
                "communication": statistics.median(share for _, share in values),
            }
            for key, values in found["steps"].items()
        ],
        "sums": [
            {"ranks": number, "bytes": size, "seconds": statistics.median(values)}
            for (number, size), values in found["sums"].items()
        ],
    }


def job(number: int, batches: list[int], seconds: float) -> dict[str, Any]:
    """Start so many ranks; return what they measured."""
    beside = Path(sys.executable).parent / "mpiexec"
    mpiexec = str(beside) if beside.exists() else shutil.which("mpiexec")
    if mpiexec is None:
        raise JobError("there is no mpiexec here: pip install mpich, or that of your system.")
    command = [mpiexec, "-n", str(number), sys.executable, str(WORKER), "--batches", ",".join(map(str, batches))]
    env = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603 - our own worker
        [*command, "--seconds", str(seconds)], env=env, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    if done.returncode:
        raise JobError(f"a job of {number} ranks ended with {done.returncode}: {done.stderr.strip()}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def tables(report: dict[str, Any]) -> Iterator[str]:
    """Write what was measured, and what the model makes of it, in Markdown."""
    steps = {(s["network"], s["ranks"], s["shared"], s["batch"]): s for s in report["steps"]}
    machine = report["machine"]
    yield f"Measured on {machine['cores']} cores of {machine['processor']}, {machine['mpi']}, float32, a thread a rank;"
    yield f"medians of {counted(report['rounds'], 'job')}."
    yield ""
    yield "| network | ranks | examples of a step | ms a step | speed-up | efficiency | in communication |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for network in report["networks"]:
        for (of, ranks, shared, batch), step in steps.items():
            if of != network or (not shared and batch not in BATCHES):
                continue
            gains = {}
            if batch in BATCHES:
                gains[""] = steps[network, 1, False, batch]["seconds"] / step["seconds"]
            if batch == WEAK * ranks and ranks > 1:
                gains[" (weak)"] = ranks * steps[network, 1, False, WEAK]["seconds"] / step["seconds"]
            for kind, gain in gains.items():
                cells = [f"{step['seconds'] * 1e3:.3f}", f"{gain:.2f}{kind}", f"{gain / ranks:.0%}"]
                cells += [f"{step['communication']:.0%}"] if shared else [""]
                who = ranks if shared else "one process"
                yield f"| {network} | {who} | {batch:,} | {' | '.join(cells)} |"
    yield ""
    yield "| ranks | bytes of a sum | microseconds |"
    yield "| ---: | ---: | ---: |"
    for taken in report["sums"]:
        yield f"| {taken['ranks']} | {taken['bytes']:,} | {taken['seconds'] * 1e6:,.1f} |"
    yield ""
    yield from predictions(report)


def predictions(report: dict[str, Any]) -> Iterator[str]:
    """Write the model's constants, and where it has more ranks stop paying."""
    ranks = min(taken["ranks"] for taken in report["sums"])
    here = fit_link({taken["bytes"]: taken["seconds"] for taken in report["sums"] if taken["ranks"] == ranks}, ranks)
    links = {"this machine's memory": here, **ASSUMED}
    computes = {}
    yield "| network | bytes a step | fixed, ms | a row, microseconds |"
    yield "| --- | ---: | ---: | ---: |"
    for network, size in report["networks"].items():
        own = {
            step["batch"]: step["seconds"] * (1.0 - step["communication"])
            for step in report["steps"]
            if (step["network"], step["ranks"], step["shared"]) == (network, 1, True)
        }
        computes[network] = fit_compute(own)
        yield f"| {network} | {size:,} | {computes[network].fixed * 1e3:.3f} | {computes[network].row * 1e6:.2f} |"
    yield ""
    heads = [f"{n} ranks pay from" for n in PREDICTED]
    heads = ["network", "between ranks", "latency, us", "GB/s", "fastest at 256", "fastest at 4,096", *heads]
    yield f"| {' | '.join(heads)} |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |" + " ---: |" * len(PREDICTED)
    for network, size in report["networks"].items():
        for name, link in links.items():
            step = Step(computes[network], link, size)
            least = " | ".join(f"{step.least_batch(n):,.0f}" for n in PREDICTED)
            fastest = " | ".join(f"{step.fastest(batch)}" for batch in (256, 4096))
            constants = f"{link.latency * 1e6:.1f} | {link.bandwidth / 1e9:.1f}"
            yield f"| {network} | {name} | {constants} | {fastest} | {least} |"


if __name__ == "__main__":
    run_script(main)
