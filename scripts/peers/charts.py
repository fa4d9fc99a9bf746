"""What was measured, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, LogLocator

from peers.contenders import FIELDS
from peers.tables import title_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes

__all__ = ["figure_of"]

OURS, THEIRS, FLOOR = "#0072B2", "#D55E00", "#999999"
KINDS = {"xpmlp": OURS, "other libraries": THEIRS, "floors: the matrix products or the update alone": FLOOR}
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73"), "osD"
UNITS = {"s": 1.0, "ms": 1e-3, "µs": 1e-6}
SIZES = {"images": "images of an epoch", "hidden": "hidden units"}


def figure_of(report: Mapping[str, Any]) -> Figure:
    """Draw a panel of bars for each workload, and one of curves for each axis of growth."""
    panels = len(report["workloads"]) + len(report["growth"])
    columns = min(2, panels)
    rows = -(-panels // columns)
    figure = Figure(figsize=(6.5 * columns, 3.6 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[panels:]:
        unused.remove()
    for place, comparison in zip(axes, report["workloads"].values(), strict=False):
        draw_bars(place, comparison)
    for place, (axis, growth) in zip(axes[len(report["workloads"]) :], report["growth"].items(), strict=False):
        draw_growth(place, axis, growth)
    patches = [Patch(color=colour, label=kind) for kind, colour in KINDS.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=1 if columns == 1 else len(patches))
    figure.suptitle(f"Fashion-MNIST, {report['threads']} threads, medians and quartiles")
    return figure


def draw_bars(axes: Axes, comparison: Mapping[str, Any]) -> None:
    """Draw the time of each contender, the fastest on top, the floors at the foot."""
    results, floors = comparison["results"], FIELDS[comparison["workload"]["device"]].floors
    names = sorted(results, key=lambda name: (name not in floors, -results[name]["time"]["median"]))
    slowest = max(results[name]["time"]["upper"] for name in names)
    unit = next((unit for unit, seconds in UNITS.items() if slowest >= seconds), "µs")
    spreads = [{key: value / UNITS[unit] for key, value in results[name]["time"].items()} for name in names]
    medians = [spread["median"] for spread in spreads]
    reach = [[s["median"] - s["lower"] for s in spreads], [s["upper"] - s["median"] for s in spreads]]
    colours = [FLOOR if name in floors else OURS if name.startswith("xpmlp-") else THEIRS for name in names]
    axes.barh(names, medians, xerr=reach, color=colours, error_kw={"elinewidth": 1, "capsize": 2})
    axes.set_title(title_of(comparison["workload"]), fontsize="medium")
    axes.set_xlabel(f"time ({unit})")
    axes.tick_params(axis="y", labelsize="small")
    axes.grid(axis="x", alpha=0.3)


def draw_growth(axes: Axes, axis: str, growth: Mapping[str, Any]) -> None:
    """Draw the time of an epoch against a size, both in logarithms."""
    for (name, column), colour, marker in zip(growth["contenders"].items(), COLOURS, MARKERS, strict=False):
        medians = [seconds["median"] for seconds in column["seconds"]]
        label = f"{name}: exponent {column['exponent']:.2f}"
        axes.plot(growth["sizes"], medians, color=colour, marker=marker, label=label)
    axes.set(xscale="log", yscale="log", xlabel=f"{SIZES[axis]}, log axis", ylabel="time of an epoch, log axis")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(EngFormatter("s"))
    axes.set_xticks(growth["sizes"], [f"{size:,}" for size in growth["sizes"]], fontsize="small")
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False, fontsize="small")
