"""What `xpmlp train` says of a training: a line for each epoch, its result, and what went wrong."""

from __future__ import annotations

import math
import shlex
from importlib.util import find_spec
from typing import TYPE_CHECKING

import typer

from xpmlp.cli._options import naming_again
from xpmlp.cli._terminal import print_table, warn
from xpmlp.common.wording import MEASURES, brief, counted, loss_label, measured, measures_text, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.training import Record
    from xpmlp.training.scoring import Score


def epoch_line(record: Record, epochs: int) -> str:
    """Say in a line how an epoch ended."""
    scores = ", ".join(
        f"{part} loss {brief(score.loss)} {measures_text(score.measures)}" for part, score in record.scores.items()
    )
    cut = "" if record.complete else f", stopped after {counted(record.examples, 'example')}"
    members = ""
    if record.members is not None:
        part = list(record.members)[-1]
        members = f", {part} of members {spread(record.members[part])}"
    return f"epoch {record.epoch}/{epochs}: {scores}{members}, {record.examples_per_second:,.0f} examples/s{cut}"


def spread(scores: Sequence[Score]) -> str:
    """Say between what the first measure of some scores lies: "0.9612 to 0.9721"."""
    name, values = next(iter(scores[0].measures)), [score.main for score in scores]
    return f"{measured(name, min(values))} to {measured(name, max(values))}"


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
        saved, loss = _saved_record(records), loss_label(experiment.model.network.loss.name)
        for part, score in saved.scores.items():
            n = experiment.sets[part][0].shape[0]
            members = "" if saved.members is None else f", members {spread(saved.members[part])}"
            table.add_row(*result(score, part, loss, f", {counted(n, 'example')}{members}"))
        part = counted(last.examples, "example")
        whole = f"{last.epoch}" if last.complete else f"{last.epoch - 1}, and {part} of the next,"
        table.add_row("epochs", f"{whole} in {last.seconds:.1f} s")
        if last.best:
            table.add_row("weights", choice(last.best))
    model = experiment.trained(records[-1].selected.layers) if records else experiment.model
    of_each = "" if model.n_members == 1 else f" in each of {model.n_members} networks"
    table.add_row("parameters", f"{model.network.n_parameters:,}{of_each}")
    table.add_row("folder", str(folder.path))
    table.add_row("files", ", ".join(file.name for file in folder.files))
    print_table(table, str(experiment))
    if records:
        _print_next_steps(experiment, folder)


def _print_next_steps(experiment: Experiment, folder: RunFolder) -> None:
    """Print commands that go on from here, with the name of the run."""
    from xpmlp.data.tables import STANDARD_INPUT

    run = shlex.quote(str(folder.path))
    data = " data.csv" if experiment.options.dataset == STANDARD_INPUT else ""
    own = naming_again(experiment.options, "activation", "loss")
    model = "model.onnx" if find_spec("onnx") else "model.onnx  # needs: pip install 'xpmlp[onnx]'"
    for command in (f"evaluate {run}{data}", f"predict {run} new.csv", *([] if own else [f"export {run} {model}"])):
        typer.echo(f"next: xpmlp {command}{own}")


def result(score: Score, part: str, loss: str, more: str = "") -> tuple[str, str]:
    """Return what a score is of, and its measures with the `loss`: "test accuracy" and "0.9312  (NLL 0.2110)"."""
    (name, value), *others = score.measures.items()
    errors = [f"{MEASURES[other]} {measured(other, error)}" for other, error in others]
    rest = ", ".join([*errors, f"{loss} {brief(score.loss)}"])
    return f"{part} {MEASURES[name]}", f"{measured(name, value)}  ({rest}{more})"


def check_learnt(experiment: Experiment, records: list[Record]) -> None:
    """Warn where the network is worse on its training set than guessing, or had no best epoch.

    To guess is to find all classes equally probable, or to predict the mean of the amounts.
    """
    if experiment.recipe.patience is not None and records[-1].best is None:
        warn("the validation loss was not finite after any epoch: the weights are those of the last one.")
    classes, score = experiment.model.classes, _saved_record(records).scores["train"]
    advice = "a lower learning rate where it grew (see curves.png), more epochs or a higher rate where it fell"
    if classes is None:
        is_mean = experiment.model.network.loss.name != "quantile"  # R2 is not what a quantile is good at
        if is_mean and score.r2 is not None and score.r2 <= 0:
            warn(
                f"on the training part R2 is {score.r2:.4f}, no better than to predict the mean. Look at the training "
                f"loss: try {advice}."
            )
        return
    m, is_nll = classes.shape[0], loss_label(experiment.model.network.loss.name) == "NLL"
    if is_nll and score.loss > math.log(m):
        warn(
            f"the training loss, {brief(score.loss)}, is above that of guessing among {m} classes, "
            f"{brief(math.log(m))}. Try {advice}."
        )
    elif missed := experiment.never_predicted(records[-1].selected.layers):
        warn_never_predicted(missed)


def warn_never_predicted(names: Sequence[str]) -> None:
    """Warn of classes that there are examples of, but which are predicted for none."""
    some = f"class {names[0]!r} is" if len(names) == 1 else f"classes {quoted(names)} are"
    warn(f"{some} never predicted, though there are examples. Train with --class-weight balanced where some are rare.")


def _saved_record(records: list[Record]) -> Record:
    """Return the record of the epoch whose weights are saved."""
    return records[records[-1].selected.epoch - 1]
