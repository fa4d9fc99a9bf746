"""`xpmlp info`."""

from __future__ import annotations

import re

import typer

from xpmlp.cli._terminal import print_table

INSTALLATION = re.compile(r"(?: or)? (pip install '[^']+')(?: \(([^)]+)\))?")


def info() -> None:
    """List the backends: version, devices, BLAS or CUDA; usable here, or why not."""
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
