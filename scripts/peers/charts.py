"""What was measured, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter

from peers.contenders import FIELDS
from peers.tables import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

__all__ = ["figure_of"]

OURS, THEIRS, FLOOR = "#0072B2", "#D55E00", "#999999"
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73"), "osD"


def figure_of(report: Mapping[str, Any]) -> Figure:
    """Draw a panel of bars for each workload, and one of curves for each axis of growth."""
    panels = len(report["workloads"]) + len(report["growth"])
    columns = min(2, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(6.5 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.remove()
    for place, comparison in zip(axes, report["workloads"].values(), strict=False):
        draw_bars(place, comparison)
    for place, (axis, growth) in zip(axes[len(report["workloads"]) :], report["growth"].items(), strict=False):
        draw_growth(place, axis, growth)
    figure.suptitle(f"Fashion-MNIST, {report['threads']} threads, median of {report['repetitions']} (least to most)")
    return figure


def draw_bars(axes: Axes, comparison: Mapping[str, Any]) -> None:
    """Draw the seconds of each contender, the fastest on top, the floors at the foot."""
    results, floors = comparison["results"], FIELDS[comparison["workload"]["device"]].floors
    names = sorted(results, key=lambda name: (name not in floors, -results[name]["time"]["median"]))
    spreads = [results[name]["time"] for name in names]
    medians = [spread["median"] for spread in spreads]
    reach = [[s["median"] - s["least"] for s in spreads], [s["most"] - s["median"] for s in spreads]]
    colours = [FLOOR if name in floors else OURS if name.startswith("xpmlp-") else THEIRS for name in names]
    axes.barh(names, medians, xerr=reach, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_title(title_of(comparison["workload"]), fontsize="medium")
    axes.xaxis.set_major_formatter(EngFormatter("s"))
    axes.tick_params(axis="y", labelsize="small")
    axes.grid(axis="x", alpha=0.3)


def draw_growth(axes: Axes, axis: str, growth: Mapping[str, Any]) -> None:
    """Draw the seconds of an epoch against a size, both in logarithms."""
    for (name, column), colour, marker in zip(growth["contenders"].items(), COLOURS, MARKERS, strict=False):
        medians = [seconds["median"] for seconds in column["seconds"]]
        label = f"{name}: exponent {column['exponent']:.2f}"
        axes.plot(growth["sizes"], medians, color=colour, marker=marker, label=label)
    axes.set(xscale="log", yscale="log", xlabel=axis)
    axes.set_title(f"time of an epoch by {axis}", fontsize="medium")
    axes.yaxis.set_major_formatter(EngFormatter("s"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(growth["sizes"], [f"{size:,}" for size in growth["sizes"]], fontsize="small")
    axes.grid(alpha=0.3, which="both")
    axes.legend(fontsize="small")
