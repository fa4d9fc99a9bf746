"""`xpmlp info`."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from xpmlp.cli._terminal import FAILED, print_table, say
from xpmlp.common.wording import counted

INSTALLATION = re.compile(r"(?: or)? (pip install '[^']+')(?: \(([^)]+)\))?")


def info(
    backend: Annotated[
        str | None, typer.Option(help="Try what the maths asks of this one, ours or any other, call by call.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="A device of that backend.")] = None,
) -> None:
    """List the backends: version, devices, BLAS or CUDA; usable here, or why not."""
    if backend is not None:
        _try_calls(backend, device)
        return
    import platform

    from rich.table import Table

    from xpmlp import __version__
    from xpmlp.backends import statuses

    found = statuses()
    table = Table("backend", "version", "devices", "usable", "details")
    for status in found:
        usable, style = ("no", "dim") if status.problem else ("yes", None)
        devices = ", ".join(status.devices) or "-"
        table.add_row(status.name, status.version or "-", devices, usable, status.details or "-", style=style)
    print_table(table, f"xpmlp {__version__}, Python {platform.python_version()}, {platform.platform()}")
    for status in found:
        if status.problem:
            typer.echo(f"{status.name}: {INSTALLATION.sub(_on_its_own_line, status.problem)}")


def _on_its_own_line(command: re.Match[str]) -> str:
    """Write a command so that its line can be copied into a shell."""
    return f"\n    {command[1]}" + (f"  # {command[2]}" if command[2] else "")


def _try_calls(name: str, device: str | None) -> None:
    """Compare a backend with NumPy, and print each call that is wrong; the exit code says whether there is one."""
    from rich.table import Table

    from xpmlp.backends import get_backend
    from xpmlp.backends.contract import try_calls

    backend = get_backend(name, device)
    verdicts, status = list(try_calls(type(backend), backend.device_name)), type(backend).status()
    wrong: dict[tuple[str, str], list[str]] = {}
    for verdict in verdicts:
        if verdict.problem:
            wrong.setdefault((verdict.call, verdict.problem), []).append(verdict.dtype)
    say(f"{backend.name} {status.version} on {backend.device_name}: {status.details}")
    good = sum(not verdict.problem for verdict in verdicts)
    say(f"{good} of {counted(len(verdicts), 'call')} as the maths makes them give what NumPy gives.")
    if wrong:
        table = Table("call", "dtype", "problem")
        for (call, problem), dtypes in wrong.items():
            table.add_row(call, ", ".join(dtypes), problem)
        print_table(table)
        raise typer.Exit(FAILED)
