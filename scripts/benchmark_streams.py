"""Training from disk beside training from memory: how long an epoch takes, and in what memory.

It writes made-up images with labels that can be learnt (784 features, 10 classes) into a folder, unless they are there,
and trains the report's 784-50-10 with K = 256 on them: from disk, and with `--memory` also from memory, each time in a
process of its own, in turns. The first turn only warms up, and brings the files into the system's cache.

    python scripts/benchmark_streams.py /tmp/20GB --gigabytes 20 --limit-mib 1024 --out 20GB.json
    python scripts/benchmark_streams.py /tmp/1GB --gigabytes 1 --memory --epochs 3 --rounds 5 --out 1GB.json
    python scripts/benchmark_streams.py /tmp/floats --gigabytes 1 --dtype float32 --memory --epochs 3 --rounds 5
    python scripts/benchmark_streams.py --page benchmarks/streams-20GB.json --page benchmarks/streams-floats.json
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from benchmark_devices import processor
from commands import run_script
from pages import DOCS, fill
from peers.turns import PAUSE, environment
from streaming.made_up import FEATURES, write
from xpmlp import InputError, XpmlpError, __version__
from xpmlp.common.files import check_place, write_whole
from xpmlp.data.streams import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

MIB = 2**20
PAGE = DOCS / "streams.md"


def main(
    folder: Annotated[Path | None, typer.Argument(help="Where the data are, or are to be written.")] = None,
    gigabytes: Annotated[float, typer.Option(help="Of examples.", min=0)] = 1.0,
    dtype: Annotated[str, typer.Option(help="uint8 or float32.")] = "uint8",
    rounds: Annotated[int, typer.Option(help="Trainings of each kind, after one that warms up; 0: it counts.")] = 0,
    epochs: Annotated[int, typer.Option(help="Of each training.", min=1)] = 1,
    threads: Annotated[int, typer.Option(help="Of the matrix products.", min=1)] = os.cpu_count() or 1,
    chunk_mib: Annotated[float, typer.Option(help="Of a chunk.")] = CHUNK_BYTES / MIB,
    backend: Annotated[str, typer.Option(help="numpy, torch or jax.")] = "numpy",
    limit_mib: Annotated[float | None, typer.Option(help="Resident memory; above it, exit code 1.")] = None,
    least_share: Annotated[float | None, typer.Option(help="Of the speed from memory; below it, exit code 1.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    page: Annotated[
        list[Path] | None, typer.Option(help="Write the table of docs/streams.md from .json files; measure nothing.")
    ] = None,
    *,
    memory: Annotated[bool, typer.Option("--memory", help="Train from memory too.")] = False,
) -> None:
    """Write the data, train in turns, and say what was found; or write it into the page."""
    if page:
        fill(PAGE, table([json.loads(path.read_text(encoding="utf-8")) for path in page]))
        return
    if folder is None:
        raise InputError("name the folder where the data are, or are to be written.")
    if dtype not in {"uint8", "float32"}:
        raise InputError(f"--dtype is {dtype!r}, but must be uint8 or float32.")
    if out is not None:
        check_place(out, (".json",))
    data = made(folder, int(gigabytes * 10**9), dtype)
    kinds = ["stream", "memory"] if memory else ["stream"]
    arguments = [str(epochs), str(int(chunk_mib * MIB)), backend]
    turns: dict[str, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for turn in range(rounds + 1):
        for kind in kinds:
            answer = trained(folder, kind, arguments, threads)
            print(f"{kind}: {', '.join(f'{s:.2f}' for s in answer['seconds'])} s an epoch, {mib(answer)}", flush=True)
            if turn or not rounds:
                turns[kind].append(answer)
    found = {
        "benchmark": "streams",
        "command": shlex.join(["python", "scripts/benchmark_streams.py", *map(without_place, sys.argv[1:])]),
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "machine": {
            "system": platform.platform(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "xpmlp": __version__,
        },
        "data": data,
        "backend": backend,
        "threads": threads,
        "epochs": epochs,
        "chunk_bytes": int(chunk_mib * MIB),
        "turns": turns,
        "summary": summary(turns),
    }
    print(json.dumps(found["summary"], indent=1))
    if out is not None:
        write_whole(out, (json.dumps(found, indent=1) + "\n").encode())
    check(found["summary"], limit_mib, least_share)


def made(folder: Path, size: int, dtype: str) -> dict[str, Any]:
    """Write the data unless they are there: what they are."""
    examples = size // (FEATURES * np.dtype(dtype).itemsize)
    start = time.perf_counter()
    if not (folder / "X.npy").exists():
        write(folder, size, dtype)
    X = np.load(folder / "X.npy", mmap_mode="r")
    if (X.shape, X.dtype) != ((examples, FEATURES), np.dtype(dtype)):
        raise InputError(
            f"{folder} holds {X.shape} of {X.dtype}, and not {examples} examples of {dtype}: name another."
        )
    return {"bytes": X.nbytes, "examples": examples, "dtype": dtype, "written_seconds": time.perf_counter() - start}


def trained(folder: Path, kind: str, arguments: list[str], threads: int) -> dict[str, Any]:
    """Train in a process of its own."""
    command = [sys.executable, "-m", "streaming.worker", str(folder), kind, *arguments]
    done = subprocess.run(  # noqa: S603 - our own module
        command, env=environment(threads), stdout=subprocess.PIPE, text=True, check=False
    )
    time.sleep(PAUSE)
    if done.returncode:
        raise XpmlpError(f"the training from {kind} ended with exit code {done.returncode}.")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def mib(answer: dict[str, Any]) -> str:
    """Say what memory a training took."""
    return f"{answer['peak_bytes'] / MIB:,.0f} MiB at most, {answer['base_bytes'] / MIB:,.0f} before the data"


def summary(turns: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Give the median seconds of an epoch, the highest peak of each kind, and the share of the speed from memory."""
    found: dict[str, Any] = {}
    for kind, answers in turns.items():
        seconds = statistics.median(s for answer in answers for s in answer["seconds"])
        found[kind] = {
            "seconds": seconds,
            "examples_per_second": answers[0]["examples"] / seconds,
            "peak_mib": max(answer["peak_bytes"] for answer in answers) / MIB,
            "above_base_mib": max(answer["peak_bytes"] - answer["base_bytes"] for answer in answers) / MIB,
            "loss": answers[0]["loss"],
        }
    if "memory" in found:
        found["share_of_speed"] = found["memory"]["seconds"] / found["stream"]["seconds"]
    return found


def table(reports: list[dict[str, Any]]) -> Iterator[str]:
    """Write what was measured in Markdown, a row for each report."""
    machine = reports[0]["machine"]
    yield f"Measured on {machine['cores']} cores of {machine['processor']}, NumPy {machine['numpy']}; medians."
    yield ""
    yield "| data | threads | from disk, s | from memory, s | share | resident, MiB | above that without data |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for report in reports:
        data, found = report["data"], report["summary"]
        stream = found["stream"]
        cells = [f"{data['bytes'] / 1e9:.1f} GB of {data['dtype']}", f"{report['threads']}", f"{stream['seconds']:.2f}"]
        in_memory = "memory" in found
        cells += [f"{found['memory']['seconds']:.2f}", f"{found['share_of_speed']:.0%}"] if in_memory else ["", ""]
        cells += [f"{stream['peak_mib']:.0f}", f"{stream['above_base_mib']:.0f}"]
        yield f"| {' | '.join(cells)} |"


def without_place(argument: str) -> str:
    """Leave a file or folder its name alone where it was given with all of its path, which says nothing elsewhere."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def check(found: dict[str, Any], limit_mib: float | None, least_share: float | None) -> None:
    """End with exit code 1 where a bound was not kept."""
    if limit_mib is not None and found["stream"]["peak_mib"] > limit_mib:
        raise XpmlpError(f"{found['stream']['peak_mib']:.0f} MiB were resident, above {limit_mib:.0f}.")
    if least_share is not None and found.get("share_of_speed", 0.0) < least_share:
        raise XpmlpError(f"the share of the speed from memory is below {least_share} (--memory measures it).")


if __name__ == "__main__":
    run_script(main)
