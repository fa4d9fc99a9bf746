"""What `xpmlp train` says of a training: a line for each epoch, its result, and what went wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from xpmlp.cli._terminal import print_table, warn
from xpmlp.common.wording import brief, counted

if TYPE_CHECKING:
    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.training import Record


def epoch_line(record: Record, epochs: int) -> str:
    """Say in a line how an epoch ended."""
    scores = ", ".join(
        f"{part} loss {brief(score.loss)} accuracy {score.accuracy:.4f}" for part, score in record.scores.items()
    )
    cut = "" if record.complete else f", stopped after {counted(record.examples, 'example')}"
    return f"epoch {record.epoch}/{epochs}: {scores}, {record.examples_per_second:,.0f} examples/s{cut}"


def point(record: Record) -> str:
    """Say in words how far a run has come."""
    return f"after epoch {record.epoch}" if record.complete else f"in epoch {record.epoch}"


def choice(best: Record) -> str:
    """Say in words which epoch's weights are saved."""
    return f"of epoch {best.epoch}, which has the best validation loss"


def summarise(experiment: Experiment, folder: RunFolder, records: list[Record]) -> None:
    """Print the scores, the size and the files of a run."""
    from rich.table import Table

    table = Table(show_header=False)
    if records:
        last = records[-1]
        for part, score in _saved_record(records).scores.items():
            n = experiment.sets[part][0].shape[0]
            examples = counted(n, "example")
            table.add_row(f"{part} accuracy", f"{score.accuracy:.4f}  (NLL {brief(score.loss)}, {examples})")
        part = counted(last.examples, "example")
        whole = f"{last.epoch}" if last.complete else f"{last.epoch - 1}, and {part} of the next,"
        table.add_row("epochs", f"{whole} in {last.seconds:.1f} s")
        if last.best:
            table.add_row("weights", choice(last.best))
    table.add_row("parameters", f"{experiment.model.network.n_parameters:,}")
    table.add_row("folder", str(folder.path))
    table.add_row("files", ", ".join(file.name for file in folder.files))
    print_table(table, str(experiment))


def check_learnt(experiment: Experiment, records: list[Record]) -> None:
    """Warn where the network is worse on its training set than to find all classes equally probable, or had no best."""
    if experiment.recipe.patience is not None and records[-1].best is None:
        warn("the validation loss was not finite after any epoch: the weights are those of the last one.")
    classes = experiment.model.classes
    if classes is None:
        return
    loss, m = _saved_record(records).scores["train"].loss, classes.shape[0]
    if loss > math.log(m):
        warn(
            f"the training loss, {brief(loss)}, is above that of guessing among {m} classes, {brief(math.log(m))}. Try "
            "a lower learning rate where it grew (see curves.png), more epochs or a higher rate where it fell."
        )


def _saved_record(records: list[Record]) -> Record:
    """Return the record of the epoch whose weights are saved."""
    return records[records[-1].selected.epoch - 1]
