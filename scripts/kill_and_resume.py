"""End trainings by signals at random moments, give their commands again, and compare with ones left alone.

    python scripts/kill_and_resume.py --kills 100

The configurations take turns. Each run is sent SIGKILL, SIGTERM, SIGUSR1 or SIGINT at a moment drawn over the time that
a whole one takes; and the same command, with `--continue`, is given again until it ends by itself. Its model must then
have the same bytes, its metrics the same rows and its log a line an epoch, as those of the run left alone. A checkpoint
is written after each epoch, so that many signals fall into the writing of one.

A run is a process of its own, forked from this one: so it need not import everything again, which takes longer than
the training. The processes are killed by the operating system, as any others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpmlp.cli import main as main_of_xpmlp
from xpmlp.cli._terminal import INTERRUPTED

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

CONFIGURATIONS = {
    "sgd in float32": "--hidden 8 --optimizer sgd",
    "sgd with momentum in float64": "--hidden 8 --optimizer sgd --momentum 0.9 --schedule step --dtype float64",
    "adam in float32": "--hidden 8 --optimizer adam",
    "adam with dropout in float64": "--hidden 8 --optimizer adam --dropout 0.2 --dtype float64",
    "adamw with dropout in float32": "--hidden 8 --optimizer adamw --dropout 0.2 --input-dropout 0.1",
    "an ensemble of three": "--hidden 8 --members 3",
    "adam with early stopping in float32": "--hidden 8 --learning-rate 0.05 --patience 8 --min-delta 0.001",
    "a pack of four": "--pack 4",
}


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class RunError(Exception):
    """A run that did not go on, or not to the same end."""


def begin(*arguments: str) -> BaseProcess:
    """Start a command of ours in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=_command, args=(arguments,))
    process.start()
    return process


def _command(arguments: tuple[str, ...]) -> None:
    try:
        os.dup2(os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        call(*arguments)
    except KeyboardInterrupt:  # which came before the command had begun
        sys.exit(INTERRUPTED)


def call(*arguments: str) -> None:
    """Run a command of ours in this process."""
    sys.argv = ["xpmlp", *arguments]
    main_of_xpmlp()


def has_ended(process: BaseProcess, seconds: float) -> bool:
    """Wait so long for the end of a process."""
    process.join(seconds)
    return process.exitcode is not None


def wait(process: BaseProcess) -> None:
    """Wait for the end of a process, which must be a good one, or that by a signal of ours."""
    process.join()
    if process.exitcode not in {0, INTERRUPTED, *(-number for number in SIGNALS)}:
        raise RunError(f"a run ended with {process.exitcode}: {Path('said.txt').read_text()}")


def rows_of(folder: Path) -> list[list[str]]:
    """Read metrics.csv without its seconds."""
    lines = (folder / "metrics.csv").read_text().splitlines()
    return [[*cells[:1], *cells[2:]] for cells in (line.split(",") for line in lines)]


def logged_epochs(folder: Path) -> list[str]:
    """Return how the lines of epochs in train.log begin, after their time."""
    lines = [line.split()[1:3] for line in (folder / "train.log").read_text().splitlines()]
    return [number for word, number in lines if word == "epoch"]


def check_same(killed: Path, whole: Path) -> None:
    """Compare a run that was killed with the one left alone."""
    if (killed / "model.safetensors").read_bytes() != (whole / "model.safetensors").read_bytes():
        raise RunError(f"{killed}: not the same model")
    if rows_of(killed) != rows_of(whole):
        raise RunError(f"{killed}: not the same metrics")
    if logged_epochs(killed) != logged_epochs(whole):
        raise RunError(f"{killed}: not the same lines of epochs in the log")
    if left := {file.name for file in killed.iterdir()} - {file.name for file in whole.iterdir()}:
        raise RunError(f"{killed}: files are left: {left}")


class Killer:
    """Trains, ends by signals and goes on.

    Parameters
    ----------
    kills : int
        How often to kill.
    epochs : int
        Length of a run.
    seed : int
        Of the moments.
    """

    def __init__(self, kills: int, epochs: int, seed: int) -> None:
        self.left, self._epochs = kills, epochs
        self._rng = random.Random(seed)  # noqa: S311 - moments, not secrets
        self.in_checkpoints = self.before_checkpoints = self.runs = 0

    def train(self, name: str, folder: Path) -> BaseProcess:
        """Give the command of a configuration: it begins a run, goes on with it, or finds it complete."""
        always = ("circles", "--epochs", str(self._epochs), "--continue")
        return begin("train", *always, "--quiet", *CONFIGURATIONS[name].split(), "--out", str(folder))

    def leave_alone(self, name: str) -> float:
        """Train to the end; return the seconds."""
        start = time.perf_counter()
        wait(self.train(name, Path(name)))
        return time.perf_counter() - start

    def follow(self, name: str, seconds: float) -> None:
        """End one run by signals and go on with it until it ends by itself, in about so many seconds."""
        self.runs += 1
        folder = Path(f"{name}, run {self.runs}")
        process = self.train(name, folder)
        while self.left and not has_ended(process, self._rng.uniform(0, seconds)):
            os.kill(process.pid or 0, self._rng.choice(SIGNALS))
            wait(process)
            if process.exitcode:  # else it was quicker
                self.left -= 1
                self.look_at(folder)
            process = self.train(name, folder)
        wait(process)
        check_same(folder, Path(name))

    def look_at(self, folder: Path) -> None:
        """Count in which state a run was ended."""
        files = {file.name for file in folder.iterdir()} if folder.exists() else set()
        self.in_checkpoints += any("next-checkpoint" in file for file in files)
        self.before_checkpoints += not any(file.endswith("checkpoint.safetensors") for file in files)


def main(
    kills: Annotated[int, typer.Option(help="How many signals to send.", min=1)] = 100,
    epochs: Annotated[int, typer.Option(help="Length of a run.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of the random moments.")] = 0,
) -> None:
    """End trainings by signals, go on with them, and compare."""
    killer = Killer(kills, epochs, seed)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        with contextlib.suppress(SystemExit):
            call("train", "circles", "--epochs", "1", "--quiet")  # imports all that the processes would, each again
        try:
            seconds = {name: killer.leave_alone(name) for name in CONFIGURATIONS}
            for name in cycle(CONFIGURATIONS):
                killer.follow(name, seconds[name])
                if not killer.left:
                    break
        except RunError as error:
            sys.exit(f"after {kills - killer.left} signals: {error}")
    print(
        f"{kills} signals to {killer.runs} runs in {len(CONFIGURATIONS)} configurations, {killer.in_checkpoints} while "
        f"a checkpoint was written and {killer.before_checkpoints} before the first: the same models, metrics and logs"
    )


if __name__ == "__main__":
    typer.run(main)
