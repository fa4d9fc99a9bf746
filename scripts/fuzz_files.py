"""Fuzz the readers of files: whatever the bytes are, they load or are refused by an error of ours.

    pip install -e '.[fuzz]'
    python scripts/fuzz_files.py --runs 150000

The fuzzer is coverage-guided (libFuzzer, through atheris): it changes valid files, made here, and keeps the changes
that reach new lines. An exception that is not ours, a crash, more than 1 GiB of memory and more than 10 seconds for one
file are findings; the bytes that made one are kept in `--findings`, and the exit code is then 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from commands import run_script
from fuzzing.targets import TARGETS
from xpmlp.common.validation import check_choice

LIMITS = ("-rss_limit_mb=1024", "-timeout=10", "-max_len=4096", "-print_final_stats=1")
PROGRESS = ("#", "0x", "stat::")  # how lines of libFuzzer begin that say nothing of what was found


def fuzz(name: str, runs: int, seed: int, findings: Path) -> tuple[int, int, str]:
    """Fuzz one target; return executions, executions per second, and what was found, if anything."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={findings.absolute()}/{name}-", *LIMITS]
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "fuzzing.libfuzzer", name, folder, *options],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    stats = dict(re.findall(r"^stat::(\w+):\s+(\d+)$", done.stdout, flags=re.MULTILINE))
    said = [line for line in done.stdout.splitlines() if not line.startswith(PROGRESS)]
    found = "\n".join(said[-40:]) if done.returncode else ""
    return int(stats.get("number_of_executed_units", 0)), int(stats.get("average_exec_per_sec", 0)), found


def main(
    runs: Annotated[int, typer.Option(help="Executions of each target.", min=1)] = 150_000,
    target: Annotated[list[str] | None, typer.Option(help="One target alone; repeatable.", show_default="all")] = None,
    seed: Annotated[int, typer.Option(help="Of the fuzzer; 0 draws one.", min=0)] = 0,
    findings: Annotated[Path, typer.Option(help="Where the bytes of findings are kept.")] = Path("findings"),
) -> None:
    """Fuzz each target in turn, and print a row for each."""
    names = target or list(TARGETS)
    for name in names:
        check_choice("target", name, TARGETS)
    findings.mkdir(exist_ok=True)
    print(f"{'target':<20} {'executions':>12} {'executions/s':>14}  finding")
    reports = []
    for name in names:
        executions, speed, found = fuzz(name, runs, seed, findings)
        print(f"{name:<20} {executions:>12,} {speed:>14,}  {'yes' if found else 'none'}", flush=True)
        if found:
            reports.append(f"\n== {name}\n{found}")
    print("".join(reports), end="")
    if reports:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
