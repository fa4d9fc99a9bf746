"""What the commands share: messages, options that hold lists, and an end on Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from xpmlp.common.errors import DivergenceError, InputError, OutOfMemoryError, WorkerError, XpmlpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType

    from rich.table import Table

    from xpmlp.experiments.experiment import Experiment

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "UNREAD",
    "UNUSABLE",
    "announce",
    "explain",
    "introduce",
    "listed",
    "parse_floats",
    "parse_integers",
    "parse_names",
    "print_table",
    "say",
    "stopping_on_interrupt",
    "warn",
]

Number = TypeVar("Number", int, float)

# Exit codes: the run failed, the input cannot be used, Ctrl-C, and nobody reads what is printed (128 + SIGPIPE).
FAILED, UNUSABLE, INTERRUPTED, UNREAD = 1, 2, 130, 141


def say(message: str) -> None:
    """Print a message on standard error."""
    print(message, file=sys.stderr)  # noqa: T201 - this is what prints


def warn(message: str) -> None:
    """Print a warning on standard error."""
    say(f"Warning: {message}")


def explain(error: Exception) -> tuple[str, int]:
    """Return what to say of an error that ends a command, one of `EXPECTED`, and the exit code."""
    if isinstance(error, MemoryError) and not isinstance(error, XpmlpError):
        cause = str(error) or "the system gave no details"
        return f"out of memory: {cause}. Try fewer hidden units or less data.", FAILED
    failed = isinstance(error, DivergenceError | OutOfMemoryError | WorkerError | OSError)
    return str(error), FAILED if failed else UNUSABLE


def announce(reason: str, taken: str) -> None:
    """Say which backend `auto` took, and why."""
    if reason:
        say(f"Backend auto took {taken}: {reason}")


def introduce(experiment: Experiment, *, quiet: bool) -> None:
    """Say what was decided about the data, and about where to compute."""
    from xpmlp.data.datasets import Dataset

    backend, dataset = experiment.backend, experiment.dataset
    if not backend.graphs and not backend.supports_step_capture:
        warn(f"--no-graph changes nothing: {backend.name} on {backend.device_name} has no graphs.")
    if quiet:
        return
    announce(backend.reason, backend.name)
    if isinstance(dataset, Dataset) and dataset.note:
        say(dataset.note)


def print_table(table: Table, title: str = "") -> None:
    """Print a title and a table on standard output; square brackets in them are text."""
    from rich.console import Console

    if title:
        print(title)  # noqa: T201 - this is what prints
    Console(markup=False, highlight=False).print(table)


def listed(values: Sequence[float | str]) -> str:
    """Write "512,512": what the parsers below read."""
    return ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def parse_names(text: str) -> tuple[str, ...]:
    """Read "relu" or "relu,tanh"."""
    return tuple(part.strip() for part in text.split(","))


def parse_integers(option: str, text: str) -> tuple[int, ...]:
    """Read "50" or "512,512"; nothing at all gives none."""
    return _parse(option, text, int, "whole numbers, such as 50 or 512,512")


def parse_floats(option: str, text: str) -> tuple[float, ...]:
    """Read "0.01" or "0.01,0.001"."""
    return _parse(option, text, float, "numbers, such as 0.01 or 0.01,0.001")


def _parse(option: str, text: str, convert: Callable[[str], Number], wanted: str) -> tuple[Number, ...]:
    try:
        return tuple(convert(part) for part in text.split(",")) if text.strip() else ()
    except ValueError as error:
        raise InputError(f"{option} is {text!r}, but must be {wanted}.") from error


@contextmanager
def stopping_on_interrupt(*, quiet: bool = False) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C or SIGTERM ask for an end, which the function given tells, and the second one interrupt.

    The first is answered with a line on standard error, unless `quiet`. Outside the main thread, where Python delivers
    no signals, they stay as they are.
    """
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a signal handler takes them
        nonlocal asked
        asked = True
        restore()
        if not quiet:
            say("\nStopping after this step; once more to stop without saving.")

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        restore()
