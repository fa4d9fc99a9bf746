"""Parts as processes, each with a limit of time: what one of them does to itself or the GPU ends with it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xpmlp.experiments.options import Options

__all__ = ["Part", "carry_out", "plan_of"]

SCRIPTS = Path(__file__).resolve().parent.parent
WARNING = "XpmlpWarning: "  # in a line of what is said: how Python prints one
TOLD = 2000  # characters of the output of a part that failed
LAST_ROUND = 20  # seconds that are left to contenders for the round under way, and to start Python before


@dataclass(frozen=True)
class Part:
    """A part of the check.

    Attributes
    ----------
    command : tuple of str
        What to run; the name of the file that its findings go to is put at the end.
    seconds : float
        What it may take.
    """

    command: tuple[str, ...]
    seconds: float


def plan_of(options: Options) -> dict[str, Part]:
    """Name every part for a backend and its device: together they may take less than eight minutes."""

    def own(name: str, seconds: float) -> Part:
        settings = json.dumps(options.to_json())
        return Part((sys.executable, "-m", "gpu_parts.worker", name, settings), seconds)

    def benchmark(script: str, seconds: float, *arguments: str) -> Part:
        data = ("--data-dir", options.data_dir) if options.data_dir else ()
        return Part((sys.executable, str(SCRIPTS / script), *arguments, *data, "--out"), seconds)

    place = ":".join(filter(None, (options.backend, options.device)))

    def peers(workload: str, seconds: float) -> Part:
        limits = ("--patience", "30", "--limit", f"{seconds - LAST_ROUND:g}")
        return benchmark("benchmark_peers.py", seconds, "--device", "gpu", *limits, "--workload", workload)

    return {
        "machine": own("machine", 20),
        "report": own("report", 45),
        "report again": own("report", 25),  # with kernels that are compiled
        "stacks of networks": own("members", 25),
        "graphs against eager steps": own("compare", 40),
        "gradients": own("gradients", 20),
        "precision": own("precision", 15),
        "memory": own("memory", 15),
        "devices": benchmark("benchmark_devices.py", 40, "--backend", place, "--rounds", "3", "--seconds", "0.02"),
        "peers, small": peers("small", 60),
        "peers, wide": peers("wide", 50),
        "tests": own("tests", 120),
    }


def carry_out(parts: Mapping[str, Part], folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Do each part, whatever became of the others: whether it passed, its seconds, what it found, and how it failed."""
    for number, (name, part) in enumerate(parts.items()):
        file = folder / f"{number}.json"
        start = time.perf_counter()
        failed, said = _run(part, file)
        result: dict[str, Any] = {"seconds": time.perf_counter() - start, "limit": part.seconds}
        found = json.loads(file.read_text()) if file.exists() else {}
        result |= {"passed": not failed and found.get("passed", True), "found": found}
        warnings = [line.partition(WARNING)[2] for line in said.splitlines() if WARNING in line]
        result["warnings"] = [*dict.fromkeys(warnings)]
        if failed:
            result["error"] = failed
        yield name, result


def _run(part: Part, file: Path) -> tuple[str, str]:
    """Run a part to its end or its limit; say how it failed, or nothing, and give all that it said."""
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    kernels = str(file.parent / "kernels")  # where CuPy keeps what it compiles: empty at the start of every check
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:  # a pipe may be left to others
        process = subprocess.Popen(  # noqa: S603 - our own scripts
            [*part.command, str(file)],
            env={**os.environ, "PYTHONPATH": path, "CUPY_CACHE_DIR": kernels},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(part.seconds)
            ended = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            ended = f"cut off after {part.seconds:g} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with the processes that it has started and left
            process.wait()
        output.seek(0)
        said = output.read()
    print(said, end="", flush=True)
    return f"{ended}: {said[-TOLD:]}" if ended else "", said
