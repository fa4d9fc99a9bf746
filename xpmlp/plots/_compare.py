"""Curves of several runs in one pair of axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.plots._common import BLUE, CHARACTER, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, short
from xpmlp.plots._curves import draw_part, loss_and_accuracy, set_scales

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from xpmlp.training import Record

RUN_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, GREY, "black")
MAX_COMPARED = len(RUN_COLOURS)  # runs
PART_DASHES = {"train": ":", "validation": "--", "test": "-"}
LEGEND_LINE, LEGEND_SAMPLE = 0.2, 0.6  # inches: the height of a line, and the width of what stands before its text


def comparison_figure(
    runs: Mapping[str, Sequence[Record]],
    title: str,
    parts: Sequence[str] = ("train", "test"),
    *,
    is_likelihood: bool = True,
) -> Figure:
    """Draw several runs into one pair of axes: a colour for each run, a dash pattern for each part.

    Parameters
    ----------
    runs : mapping of str to sequence of Record
        The records of each run, by its name; eight at most.
    title : str
        Above the figure.
    parts : sequence of str
        Which of "train", "validation" and "test" to draw.
    is_likelihood : bool
        Whether the loss of classes is their negative log-likelihood in all runs.

    Returns
    -------
    Figure
        Mean negative log-likelihood on the left, accuracy on the right, one legend below both; or, of regressions,
        their mean loss and R2. Where a run keeps the weights of its best epoch, that one is marked by a point.
    """
    figure, left, right = loss_and_accuracy(title)
    marks = []
    for colour, (name, records) in zip(RUN_COLOURS, runs.items(), strict=False):
        for part in parts:
            width = 1.2 if part == "train" else 2.0
            style = {"color": colour, "linestyle": PART_DASHES[part], "linewidth": width}
            draw_part(left, right, records, part, f"{short(name)}, {part}", **style)
            if records[-1].best:
                score = records[-1].best.scores[part]
                marks += [
                    (axes, records[-1].best.epoch, value, colour)
                    for axes, value in ((left, score.loss), (right, score.main))
                ]
    measures = next(iter(next(iter(runs.values()))[0].scores.values())).measures
    set_scales(left, right, measures, is_likelihood=is_likelihood)
    for axes, epoch, value, colour in marks:
        axes.plot(epoch, value, marker="o", color=colour)
    handles, labels = right.get_legend_handles_labels()
    which = "kept (where there is a point, else last)" if marks else "last"
    columns = int(figure.get_figwidth() / (LEGEND_SAMPLE + CHARACTER * max(map(len, labels))))
    columns = max(1, min(len(runs), columns))
    figure.set_figheight(figure.get_figheight() + LEGEND_LINE * (-(-len(labels) // columns) - len(parts)))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, title=f"{which} {right.get_ylabel()} in brackets"
    )
    return figure
