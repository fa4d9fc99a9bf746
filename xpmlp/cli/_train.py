"""`xpmlp train`."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpmlp.cli._job import Job
from xpmlp.cli._options import (
    DATA,
    L1,
    L2,
    PLACE,
    TRAINING,
    Activation,
    BackendName,
    DataDir,
    Device,
    Dropout,
    Hidden,
    Init,
    InputDropout,
    Mode,
    Seed,
    Target,
    check_alone,
    check_used,
    parse_options,
)
from xpmlp.cli._terminal import (
    INTERRUPTED,
    introduce,
    listed,
    print_table,
    say,
    stopping_on_interrupt,
    warn,
)
from xpmlp.errors import DivergenceError, InputError, OutOfMemoryError
from xpmlp.options import DEFAULT_RATES, DEFAULT_SCHEDULES, Options
from xpmlp.wording import brief, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.experiments import Experiment
    from xpmlp.network import Layer
    from xpmlp.runs import RunFolder
    from xpmlp.training import Best, Record, Resumption

__all__ = ["train"]


DEFAULTS = Options()
RUN = "The run"
FREE = (
    "resume",
    "data_dir",
    "quiet",
    "checkpoint_every",
    "checkpoint_seconds",
    "distributed",
    "communicator",
)  # options that may be given with --resume


def train(
    context: typer.Context,
    dataset: Annotated[
        str,
        typer.Argument(
            help="digits, circles, fashion-mnist, or your own: a .npz (X, y) or .csv file; or, read from disk while it "
            "trains, a folder of X.npy and y.npy, an .h5 file or a .zarr group.",
            metavar="DATASET",
        ),
    ] = DEFAULTS.dataset,
    *,
    target: Target = DEFAULTS.target,
    data_dir: DataDir = None,
    validation: Annotated[
        float, typer.Option(help="Share of what the test part leaves, held out to watch.", rich_help_panel=DATA)
    ] = DEFAULTS.validation,
    test: Annotated[
        float, typer.Option(help="Share held out for the end, where the data bring no test set.", rich_help_panel=DATA)
    ] = DEFAULTS.test,
    scaling: Annotated[
        str,
        typer.Option(help="none, range (to 0..1), standard, or auto: what suits the data.", rich_help_panel=DATA),
    ] = DEFAULTS.scaling,
    hidden: Hidden = listed(DEFAULTS.hidden),
    activation: Activation = listed(DEFAULTS.activation),
    dropout: Dropout = listed(DEFAULTS.dropout),
    input_dropout: InputDropout = DEFAULTS.input_dropout,
    init: Init = DEFAULTS.init,
    l1: L1 = listed(DEFAULTS.l1),
    l2: L2 = listed(DEFAULTS.l2),
    epochs: Annotated[
        int | None,
        typer.Option(
            help="Passes over the examples.", show_default="30; more for few examples", rich_help_panel=TRAINING
        ),
    ] = DEFAULTS.epochs,
    patience: Annotated[
        int | None,
        typer.Option(
            help="End after so many epochs without a better validation loss, and keep the best epoch's weights.",
            show_default="all epochs",
            rich_help_panel=TRAINING,
        ),
    ] = DEFAULTS.patience,
    min_delta: Annotated[
        float | None,
        typer.Option(
            help="By how much more than this a better loss is lower.", show_default="0", rich_help_panel=TRAINING
        ),
    ] = DEFAULTS.min_delta,
    batch_size: Annotated[
        int, typer.Option(help="Examples of a minibatch.", rich_help_panel=TRAINING)
    ] = DEFAULTS.batch_size,
    optimizer: Annotated[str, typer.Option(help="sgd, adam or adamw.", rich_help_panel=TRAINING)] = DEFAULTS.optimizer,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The highest rate.",
            show_default=f"{DEFAULTS.highest_rate:g}; {DEFAULT_RATES['sgd']:g} for sgd",
            rich_help_panel=TRAINING,
        ),
    ] = DEFAULTS.learning_rate,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="constant; step: a tenth after each third; cosine: 5 % warm-up, then down to 0.",
            show_default=f"cosine; {DEFAULT_SCHEDULES['sgd']} for sgd",
            rich_help_panel=TRAINING,
        ),
    ] = DEFAULTS.schedule,
    momentum: Annotated[
        float | None, typer.Option(help="Of sgd, 0 to 1.", show_default="0", rich_help_panel=TRAINING)
    ] = DEFAULTS.momentum,
    nesterov: Annotated[
        bool, typer.Option("--nesterov", help="Nesterov's momentum, for sgd.", rich_help_panel=TRAINING)
    ] = DEFAULTS.nesterov,
    weight_decay: Annotated[
        float | None, typer.Option(help="Of adamw.", show_default="0.01", rich_help_panel=TRAINING)
    ] = DEFAULTS.weight_decay,
    mode: Mode = DEFAULTS.mode,
    seed: Seed = DEFAULTS.seed,
    backend: BackendName = DEFAULTS.backend,
    device: Device = DEFAULTS.device,
    dtype: Annotated[str, typer.Option(help="float32 or float64.", rich_help_panel=PLACE)] = DEFAULTS.dtype,
    precision: Annotated[
        str,
        typer.Option(
            help="Of products in float32: highest, or tf32, which is faster on NVIDIA GPUs.", rich_help_panel=PLACE
        ),
    ] = DEFAULTS.precision,
    no_graph: Annotated[
        bool,
        typer.Option(
            "--no-graph", help="On a GPU, ask for one step at a time: no CUDA graphs, no scans.", rich_help_panel=PLACE
        ),
    ] = not DEFAULTS.graph,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the run.", show_default="runs/<dataset>-<time>", rich_help_panel=RUN),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Take a folder that is not empty, and replace a run in it.", rich_help_panel=RUN
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(help="Go on with the interrupted run in this folder, as it was begun.", rich_help_panel=RUN),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(help="Epochs from one checkpoint to the next; 0 for none.", min=0, rich_help_panel=RUN)
    ] = 1,
    checkpoint_seconds: Annotated[
        float, typer.Option(help="Least time from one checkpoint to the next.", min=0, rich_help_panel=RUN)
    ] = 0.0,
    distributed: Annotated[
        bool,
        typer.Option(
            "--distributed",
            help="Share every minibatch among the processes that mpiexec has started.",
            rich_help_panel=PLACE,
        ),
    ] = False,
    communicator: Annotated[
        str, typer.Option(help="What sums their gradients: mpi, or nccl between CuPy's GPUs.", rich_help_panel=PLACE)
    ] = "mpi",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings alone.")] = False,
) -> None:
    """Train a network, score it, and leave it in a folder with its curves.

    `xpmlp train` alone trains on 1,797 images of digits that come with scikit-learn.
    """
    from datetime import datetime

    from xpmlp.communicators import open_communicator
    from xpmlp.experiments import prepare
    from xpmlp.runs import RunFolder

    def read() -> tuple[Options, Path | None]:
        if resume is not None:
            check_alone(context, FREE)
        given = parse_options(
            dataset=dataset,
            target=target,
            data_dir=data_dir,
            validation=validation,
            test=test,
            scaling=scaling,
            hidden=hidden,
            activation=activation,
            dropout=dropout,
            input_dropout=input_dropout,
            init=init,
            l1=l1,
            l2=l2,
            optimizer=optimizer,
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            schedule=schedule,
            mode=mode,
            epochs=epochs,
            patience=patience,
            min_delta=min_delta,
            batch_size=batch_size,
            seed=seed,
            backend=backend,
            device=device,
            dtype=dtype,
            precision=precision,
            no_graph=no_graph,
        )
        return given, resume

    if not distributed and communicator != "mpi":
        raise InputError(f"--communicator {communicator} is of several processes: give --distributed too, or neither.")
    with Job(open_communicator(communicator) if distributed else None) as job:
        options, _ = job.alike("options", read)
        if resume is not None:
            folder = RunFolder(resume)
            kept = job.first(folder.options)
            options = replace(kept, data_dir=options.data_dir or kept.data_dir)
        else:
            folder = RunFolder(out) if out is not None else RunFolder.default(dataset, datetime.now().astimezone())
            job.first(lambda: folder.check_free(overwrite=overwrite))
        job.first(lambda: check_used(context, options))
        quiet = quiet or not job.is_first
        experiment = job.in_turn(lambda: prepare(options, progress=not quiet, communicator=job.communicator))
        _introduce(job, experiment, is_new=resume is None, quiet=quiet)
        records: list[Record] = []
        with ExitStack() as held:
            begin = partial(_begin, held, experiment, folder, records, new=resume is None, overwrite=overwrite)
            resumption = job.first(begin)
            checkpoints = _Checkpoints(experiment, folder, checkpoint_every, checkpoint_seconds)
            with _telling_how_to_go_on(folder):
                code = job.lead(
                    lambda: _run(experiment, folder, records, resumption, checkpoints, quiet=quiet),
                    others=lambda: _accompany(experiment, resumption),
                )
    if code:
        raise typer.Exit(code)


def _introduce(job: Job, experiment: Experiment, *, is_new: bool, quiet: bool) -> None:
    """Say what was decided for a new run, and who trains; see that all have the same data."""
    if is_new and job.is_first:
        introduce(experiment, quiet=quiet)
    if (ranks := job.communicator) is None:
        return
    ranks.check_same("data", experiment.data_sha256)
    if not quiet and ranks.size == 1:
        say("A job of one rank: for more, start it with mpiexec -n N xpmlp train ... --distributed")
    elif not quiet:
        say("; ".join(filter(None, [f"{ranks.size} ranks, by {ranks.library}", ranks.route(experiment.backend)])))


def _begin(
    held: ExitStack, experiment: Experiment, folder: RunFolder, records: list[Record], *, new: bool, overwrite: bool
) -> Resumption | None:
    """Take the folder, as long as `held` holds it, for a new run or for one that goes on."""
    held.enter_context(folder.locked())
    if not new:
        return _take_up(experiment, folder, records)
    folder.check_free(overwrite=overwrite)  # again: another run may have begun there
    folder.start(experiment)
    return None


def _take_up(experiment: Experiment, folder: RunFolder, records: list[Record]) -> Resumption:
    """Find where an interrupted run goes on, and the records before; the last one with its weights.

    They are what is to be saved where no epoch is left, or the next one does not end well.
    """
    from xpmlp.network import Layer

    checkpoint, passed_over = folder.resume(experiment)
    if passed_over:
        warn(f"{passed_over} The checkpoint before it is taken.")
    resumption, best = checkpoint.resumption, checkpoint.resumption.best

    def own(layers: Sequence[Layer]) -> list[Layer]:
        return [Layer(experiment.backend.own(W), experiment.backend.own(b)) for W, b in layers]

    best = best and best._replace(layers=own(best.layers))
    records += [*checkpoint.records[:-1], replace(checkpoint.records[-1], layers=own(resumption.layers), best=best)]
    say(f"Going on after epoch {resumption.epoch} of {experiment.recipe.epochs}.")
    return resumption


def _run(
    experiment: Experiment,
    folder: RunFolder,
    records: list[Record],
    resumption: Resumption | None,
    checkpoints: _Checkpoints,
    *,
    quiet: bool,
) -> int:
    """Train, save what was learnt and say how it ended: return the exit code."""
    failure: DivergenceError | OutOfMemoryError | None = None
    try:
        _follow(experiment, folder, records, resumption, checkpoints, quiet=quiet)
    except (DivergenceError, OutOfMemoryError) as error:
        failure = error
        folder.write_log(f"failed: {failure}")
    except KeyboardInterrupt:
        _say_how_to_go_on(folder)
        raise
    except InputError:  # a full disk, or data on it that cannot be read
        with suppress(InputError):
            checkpoints.write_last(records)
        raise
    done = not failure and records[-1].complete and experiment.recipe.is_over(len(records), records[-1].best_epoch)
    if not done:
        checkpoints.write_last(records)
    _save(experiment, folder, records)
    if records and records[-1].best:
        folder.write_log(f"weights {_choice(records[-1].best)}")
    if done:
        folder.finish()
    if not quiet:
        _summarise(experiment, folder, records)
    if failure:
        raise failure
    if not done:
        say(f"Interrupted {_point(records[-1])}; what was learnt so far is saved.")
        _say_how_to_go_on(folder)
        return INTERRUPTED
    _check_learnt(experiment, _kept(records))
    return 0


def _kept(records: list[Record]) -> Record:
    """Return the record of the epoch whose weights are saved."""
    return records[records[-1].kept[0] - 1]


@contextmanager
def _telling_how_to_go_on(folder: RunFolder) -> Iterator[None]:
    """Say after an error what is left to do once its cause is mended."""
    try:
        yield
    except InputError as error:
        if not folder.checkpoint.exists():
            raise
        raise InputError(f"{error} Once that is mended, go on with `xpmlp train --resume {folder.path}`.") from error


def _say_how_to_go_on(folder: RunFolder) -> None:
    if folder.checkpoint.exists():
        say(f"To go on: xpmlp train --resume {folder.path}")
    else:
        say("There is no checkpoint to go on from: one is written at the end of an epoch.")


def _check_learnt(experiment: Experiment, kept: Record) -> None:
    """Warn where the network does worse on what it was trained on than to find all classes equally probable."""
    loss, m = kept.scores["train"].loss, experiment.model.classes.shape[0]
    if loss > math.log(m):
        warn(
            f"the training loss, {brief(loss)}, is above that of guessing among {m} classes, {brief(math.log(m))}. Try "
            "a lower learning rate where it grew (see curves.png), more epochs or a higher rate where it fell."
        )


def _accompany(experiment: Experiment, resumption: Resumption | None) -> None:
    """Train as one of the ranks that write and say nothing."""
    with stopping_on_interrupt(quiet=True) as should_stop:
        for _ in experiment.records(should_stop, resume=resumption):
            pass


class _Checkpoints:
    """Writes checkpoints: after every so many whole epochs, but no more often than so many seconds, or never for 0."""

    def __init__(self, experiment: Experiment, folder: RunFolder, every: int, seconds: float) -> None:
        self._experiment, self._folder, self._every, self._seconds = experiment, folder, every, seconds
        self._ended, self._epoch = time.monotonic(), 0

    def write_if_due(self, records: list[Record]) -> None:
        """Write one after the last record where it is time for it."""
        last, passed = records[-1], time.monotonic() - self._ended
        if self._every and last.complete and not last.epoch % self._every and passed >= self._seconds:
            self._write(records)

    def write_last(self, records: list[Record]) -> None:
        """Write one after the last whole epoch, at the end of a run that is not done."""
        whole = [record for record in records if record.complete]
        if self._every and whole and whole[-1].epoch > self._epoch and whole[-1].state is not None:
            self._write(whole)

    def _write(self, records: list[Record]) -> None:
        self._folder.save_checkpoint(self._experiment, records)
        self._ended, self._epoch = time.monotonic(), records[-1].epoch


def _follow(
    experiment: Experiment,
    folder: RunFolder,
    records: list[Record],
    resumption: Resumption | None,
    checkpoints: _Checkpoints,
    *,
    quiet: bool,
) -> None:
    """Train, and write each epoch down as it ends."""
    from xpmlp.cli._progress import TrainingProgress

    n = experiment.sets["train"][0].shape[0]
    folder.write_log(_headline(experiment))
    with TrainingProgress(experiment.recipe.epochs, n, quiet=quiet) as progress, stopping_on_interrupt() as should_stop:
        for record in experiment.records(should_stop, progress.advance, resumption):
            if records and record.complete:  # then its copy of the weights is enough
                records[-1] = records[-1].without_arrays()
            records.append(record)
            checkpoints.write_if_due(records)
            folder.add(record)
            line = _line(record, experiment.recipe.epochs)
            folder.write_log(line)
            progress.show(record, line)


def _save(experiment: Experiment, folder: RunFolder, records: list[Record]) -> None:
    if not records:
        return
    from xpmlp.plots import curves_figure, save_figure

    folder.save(experiment.trained(records[-1].kept[1]))
    save_figure(curves_figure(records, _headline(experiment)), folder.curves)


def _headline(experiment: Experiment) -> str:
    sizes = "-".join(map(str, experiment.model.network.sizes))
    options, backend = experiment.options, experiment.backend
    batch_size = min(options.batch_size, experiment.sets["train"][0].shape[0])
    ranks = "" if experiment.communicator is None else f", {counted(experiment.communicator.size, 'rank')}"
    return (
        f"{experiment.dataset.name}: {sizes}, {options.optimizer} at {options.highest_rate:g}, "
        f"K = {batch_size}, {backend.name} on {backend.device_name} in {backend.dtype}{ranks}"
    )


def _line(record: Record, epochs: int) -> str:
    scores = ", ".join(
        f"{part} loss {brief(score.loss)} accuracy {score.accuracy:.4f}" for part, score in record.scores.items()
    )
    cut = "" if record.complete else f", stopped after {counted(record.examples, 'example')}"
    return f"epoch {record.epoch}/{epochs}: {scores}, {record.examples_per_second:,.0f} examples/s{cut}"


def _point(record: Record) -> str:
    """Say in words how far a run has come."""
    return f"after epoch {record.epoch}" if record.complete else f"in epoch {record.epoch}"


def _choice(best: Best) -> str:
    return f"of epoch {best.epoch}, which has the best validation loss"


def _summarise(experiment: Experiment, folder: RunFolder, records: list[Record]) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    if records:
        last = records[-1]
        for part, score in _kept(records).scores.items():
            n = experiment.sets[part][0].shape[0]
            examples = counted(n, "example")
            table.add_row(f"{part} accuracy", f"{score.accuracy:.4f}  (NLL {brief(score.loss)}, {examples})")
        part = counted(last.examples, "example")
        whole = f"{last.epoch}" if last.complete else f"{last.epoch - 1}, and {part} of the next,"
        table.add_row("epochs", f"{whole} in {last.seconds:.1f} s")
        if last.best:
            table.add_row("weights", _choice(last.best))
    table.add_row("parameters", f"{experiment.model.network.n_parameters:,}")
    table.add_row("folder", str(folder.path))
    table.add_row("files", ", ".join(file.name for file in folder.files))
    print_table(table, _headline(experiment))
