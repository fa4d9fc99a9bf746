"""What was measured, as tables of the terminal."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

from rich.table import Table

from peers.comparison import reference_of
from peers.contenders import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["tables_of"]

MIB = 2**20


def tables_of(report: Mapping[str, Any]) -> Iterator[Table]:
    """Lay out each workload, the growth and the targets."""
    for comparison in report["workloads"].values():
        yield workload_table(comparison)
    for axis, growth in report["growth"].items():
        yield growth_table(axis, growth)
    yield target_table(report["targets"], report["load"])


def workload_table(comparison: Mapping[str, Any]) -> Table:
    """Lay out a workload: a row for each contender, the fastest first, then the floors."""
    workload = comparison["workload"]
    floors, over = FIELDS[workload["device"]].floors, f"over {reference_of(comparison)}"
    table = Table(title=title_of(workload), title_justify="left")
    table.add_column("contender", no_wrap=True)
    for name in ("time", over, "over its floor", "loss", "cores", "peak MiB", "increase / data"):
        table.add_column(name, justify="right")
    ordered = sorted(comparison["results"].items(), key=lambda item: (item[0] in floors, item[1]["time"]["median"]))
    for name, result in ordered:
        loss = "" if name in floors else f"{result['losses'][-1]:.4f}{'' if result['agrees'] else ' differs'}"
        table.add_row(
            name,
            duration(result["time"]["median"]),
            times(result["to_xpmlp"]),
            times(result["to_floor"]) if "to_floor" in result else "",
            loss,
            f"{statistics.median(result['cores']):.1f}",
            f"{result['peak_bytes'] / MIB:,.0f}",
            f"{result['increase_over_data']:.2f}",
        )
    table.caption = "medians (and quartiles) of the repetitions; increase: of the peak, over libraries and data"
    return table


def title_of(workload: Mapping[str, Any]) -> str:
    """Describe a workload in a line."""
    units = "-".join(map(str, [784, *workload["hidden"], 10]))
    if workload["rows"]:
        return f"{workload['name']}: {units}, {workload['rows']:,} image{'s' if workload['rows'] > 1 else ''} a call"
    return (
        f"{workload['name']}: {units}, {workload['optimizer']}, K = {workload['batch_size']}, "
        f"{workload['epochs']} x {workload['images']:,} images"
    )


def duration(seconds: float) -> str:
    """Write a time in its unit."""
    if seconds >= 1:
        return f"{seconds:.3f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} µs"


def times(ratio: Mapping[str, float]) -> str:
    """Write a ratio with its spread."""
    return f"{ratio['median']:.2f} ({ratio['lower']:.2f}-{ratio['upper']:.2f})"


def growth_table(axis: str, growth: Mapping[str, Any]) -> Table:
    """Lay out an axis of growth: a row for each size, and the exponents last."""
    table = Table(title=f"time of an epoch by {axis}", title_justify="left")
    table.add_column(axis, justify="right")
    for name in growth["contenders"]:
        table.add_column(name, justify="right")
    columns = list(growth["contenders"].values())
    for number, size in enumerate(growth["sizes"]):
        table.add_row(f"{size:,}", *(duration(column["seconds"][number]["median"]) for column in columns))
    table.add_section()
    table.add_row("exponent", *(f"{column['exponent']:.2f}" for column in columns))
    return table


def target_table(targets: list[dict[str, Any]], load: Mapping[str, Any]) -> Table:
    """Lay out the targets that were measured, and say whether the machine was quiet."""
    table = Table(title="targets", title_justify="left")
    table.add_column("target")
    table.add_column("measured", justify="right")
    table.add_column("")
    for target in targets:
        if target["met"] is not None:
            table.add_row(target["target"], times(target["measured"]), "met" if target["met"] else "not met")
    share, unmeasured = load["disturbed"], sum(target["met"] is None for target in targets)
    told = "this system does not tell which" if share is None else f"{share:.0%}"
    table.caption = f"repetitions disturbed by other programs: {told}; targets not measured: {unmeasured}"
    return table
