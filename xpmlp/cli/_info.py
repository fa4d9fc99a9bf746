"""`xpmlp info`."""

from __future__ import annotations

from xpmlp.cli._terminal import print_table


def info() -> None:
    """List the backends: version, devices, BLAS or CUDA; usable here, or why not."""
    import platform

    from rich.table import Table

    from xpmlp import __version__
    from xpmlp.backends import statuses

    table = Table("backend", "version", "devices", "usable", "details, or why not")
    title = f"xpmlp {__version__}, Python {platform.python_version()}, {platform.platform()}"
    for status in statuses():
        usable, style = ("no", "dim") if status.problem else ("yes", None)
        devices = ", ".join(status.devices) or "-"
        table.add_row(
            status.name, status.version or "-", devices, usable, status.problem or status.details, style=style
        )
    print_table(table, title)
