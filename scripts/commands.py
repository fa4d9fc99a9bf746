"""How the scripts are run: typer reads the arguments, and an error of ours is one line with an exit code."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from xpmlp import BackendError, InputError, XpmlpError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["run_script"]


def run_script(main: Callable[..., Any]) -> None:
    """Run a script's function; exit codes as those of `xpmlp`: 1 where the run failed, 2 for unusable input."""
    try:
        typer.run(main)
    except XpmlpError as error:
        print(f"Error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError | BackendError) else 1)
