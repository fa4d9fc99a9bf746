"""How contenders compare over many tables, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

OURS, THEIRS = "#0072B2", "#999999"
METRICS = ("log-loss", "R2")


def figure_of(summary: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Draw the mean rank of each contender, with its interval, for classes and for amounts."""
    metrics = [metric for metric in METRICS if metric in summary]
    figure = Figure(figsize=(4.6 * len(metrics), 3.2), layout="constrained")
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        rows = sorted(summary[metric]["contenders"].items(), key=lambda each: -each[1]["rank"])
        for place, (name, row) in enumerate(rows):
            colour = OURS if name.startswith("xpmlp") else THEIRS
            axes.plot(row["rank_95"], [place, place], color=colour, linewidth=2)
            axes.plot(row["rank"], place, "o", color=colour)
            axes.annotate(f"{row['rank']:.1f}", (row["rank"], place), (0, 6), textcoords="offset points", ha="center")
        axes.set(yticks=range(len(rows)), ylim=(-0.6, len(rows) - 0.3), xlim=(1, len(rows)))
        axes.set_yticklabels([name for name, _ in rows])
        axes.set_xlabel("mean rank, 1 is best; the line holds 95 %")
        axes.set_title(f"{metric}, {summary[metric]['tables']} tables", fontsize="medium")
        axes.grid(axis="x", alpha=0.3)
    return figure
