"""Kill a training with `kill -9` at random moments, resume it each time, and compare the end with one left alone.

    python scripts/kill_and_resume.py --kills 100

The run is a small one on the circles with AdamW and dropout, which writes a checkpoint every few milliseconds, so that
many of the kills fall into the writing of one.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

RUN = ("circles", "--hidden", "8", "--dropout", "0.2", "--optimizer", "adamw", "--quiet")


def xpmlp(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command of ours in a folder."""
    command = [sys.executable, "-m", "xpmlp", *arguments]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)  # noqa: S603 - our own command


def finish(process: subprocess.Popen[str], what: str) -> None:
    """Wait for a command, and end this one where it fails."""
    _, err = process.communicate()
    if process.returncode:
        sys.exit(f"{what} ended with {process.returncode}: {err}")


def rows_of(folder: Path) -> list[list[str]]:
    """Read metrics.csv without its seconds."""
    lines = (folder / "metrics.csv").read_text().splitlines()
    return [[*cells[:1], *cells[2:]] for cells in (line.split(",") for line in lines)]


def main(
    kills: Annotated[int, typer.Option(help="How often to kill.", min=1)] = 100,
    epochs: Annotated[int, typer.Option(help="Length of the run.", min=1)] = 3000,
    seed: Annotated[int, typer.Option(help="Of the random moments.")] = 0,
) -> None:
    """Kill, resume and compare."""
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        finish(xpmlp(folder, "train", *RUN, "--epochs", str(epochs), "--out", "whole"), "the run left alone")
        process = xpmlp(folder, "train", *RUN, "--epochs", str(epochs), "--out", "killed")
        while not (folder / "killed" / "checkpoint.safetensors").exists():
            time.sleep(0.01)
        done = fell_between = 0
        while done < kills:
            time.sleep(rng.uniform(0.0, 0.1))
            if process.poll() is not None:
                sys.exit(f"the run ended after {done} kills: give more --epochs.")
            process.kill()
            process.communicate()
            done += 1
            fell_between += (folder / "killed" / "next-checkpoint.safetensors").exists()
            process = xpmlp(folder, "train", "--resume", "killed", "--quiet")
            said = process.stderr.readline() if process.stderr else ""
            if "Going on" not in said:
                sys.exit(f"after {done} kills it did not go on: {said}")
        finish(process, "the last resumption")
        same_model = (folder / "killed" / "model.safetensors").read_bytes() == (
            folder / "whole" / "model.safetensors"
        ).read_bytes()
        same_rows = rows_of(folder / "killed") == rows_of(folder / "whole")
    print(f"{done} kills, {fell_between} of them while a checkpoint was written: ", end="")
    print("the same model and metrics" if same_model and same_rows else "NOT the same model and metrics")
    if not (same_model and same_rows):
        sys.exit(1)


if __name__ == "__main__":
    typer.run(main)
