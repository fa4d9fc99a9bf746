"""How the scripts run and print: typer reads the arguments, and an error of ours is one line with an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from xpmlp import BackendError, InputError, XpmlpError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

__all__ = ["print_table", "run_script"]

FILE_WIDTH = 140  # of what goes to a file or a pipe


def run_script(main: Callable[..., Any]) -> None:
    """Run a script's function; exit codes as those of `xpmlp`: 1 where the run failed, 2 for unusable input."""
    try:
        typer.run(main)
    except XpmlpError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError | BackendError) else 1)


def print_table(table: Table) -> None:
    """Print a table, as wide as the terminal, or as it needs to be in a file."""
    width = None if sys.stdout.isatty() else FILE_WIDTH
    Console(width=width, markup=False, highlight=False).print(table)
