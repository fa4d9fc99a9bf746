"""What commands say, and how they end: messages, tables, exit codes, and signals."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import DivergenceError, OutOfMemoryError, WorkerError, XpmlpError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.table import Table

    from xpmlp.backends import Backend
    from xpmlp.experiments.experiment import Experiment

# Exit codes: the run failed, the input cannot be used, Ctrl-C, and nobody reads what is printed (128 + SIGPIPE).
MAX_COLUMNS = 40  # of a table that are shown
FAILED, UNUSABLE, INTERRUPTED, UNREAD = 1, 2, 130, 141


# What asks a training to end: Ctrl-C, and a scheduler's notice, which has two forms (on Windows one).
TO_END = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)]


def say(message: str) -> None:
    """Print a message on standard error, where that is possible: no work is lost with it."""
    with suppress(OSError):  # of a worker of a search, whose streams are not those of `lasting_streams`
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


def announce(backend: Backend) -> None:
    """Say which backend `auto` chose, and why."""
    if backend.reason:
        say(f"Backend auto took {backend.name}: {backend.reason}")


def introduce(experiment: Experiment, *, quiet: bool) -> None:
    """Say what was decided about the data, and about where to compute."""
    backend, dataset = experiment.backend, experiment.dataset
    if not backend.graphs and not backend.supports_step_capture:
        warn(f"--no-graphs changes nothing: {backend.name} on {backend.device_name} has no graphs.")
    if quiet:
        return
    announce(backend)
    if dataset.columns:
        preparation = experiment.model.preparation
        print_columns(
            dataset.columns, {} if preparation is None else preparation.became, group=experiment.options.group
        )
    if dataset.task.reason:
        say(str(dataset.task))
    if dataset.note:
        say(dataset.note)


def print_table(table: Table, title: str = "") -> None:
    """Print a title and a table on standard output; square brackets in them are text."""
    from rich.console import Console

    if title:
        print(title)  # noqa: T201 - this is what prints
    Console(markup=False, highlight=False).print(table)


def print_columns(columns: Sequence[Sequence[Any]], became: Mapping[str, str], *, group: str | None) -> None:
    """Print what the columns of a table hold: name, kind, distinct and missing values, and an example of each.

    What they became is printed too, where some are not mere numbers; `group` keeps rows together, and became nothing.
    """
    from rich.table import Table

    table = Table()
    for head in ("column", "kind", "distinct", "missing", "example", *["becomes"] * bool(became)):
        table.add_column(head, overflow="fold")  # a long name is broken, not cut
    for name, kind, n_distinct, n_missing, example in columns[:MAX_COLUMNS]:
        last = [became.get(name, "the group" if name == group else "the target")] * bool(became)
        table.add_row(name, kind, f"{n_distinct:,}", f"{n_missing:,}", example, *last)
    more = f", the first {MAX_COLUMNS}" if len(columns) > MAX_COLUMNS else ""
    print_table(table, f"columns of the table: {len(columns):,}{more}")


@contextmanager
def handling(handler: Callable[[int, Any], Any], *signals: signal.Signals) -> Iterator[Callable[[], None]]:
    """Handle signals, up to the end of the context or a call of the function that it gives.

    Outside the main thread, where Python delivers no signals, they stay as they are.
    """
    in_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in signals} if in_main else {}

    def restore() -> None:
        for number, earlier in before.items():
            signal.signal(number, earlier)

    try:
        yield restore
    finally:
        restore()


@contextmanager
def stopping_on_interrupt(*, quiet: bool = False) -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C, SIGTERM or SIGUSR1 ask for an end, which the function given tells of; the next interrupts.

    The first is answered with a line on standard error, unless `quiet`.
    """
    asked = False

    def ask(*_: object) -> None:
        nonlocal asked
        asked = True
        restore()
        if not quiet:
            with suppress(RuntimeError):  # of a signal that comes while standard error is being written to
                say("\nStopping after this step; press Ctrl-C again to stop without saving.")

    with handling(ask, *TO_END) as restore:
        yield lambda: asked
