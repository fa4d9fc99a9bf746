"""`xpmlp train`."""

from __future__ import annotations

from contextlib import ExitStack
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
from xpmlp.cli._run import Checkpoints, accompany, begin, run, telling_how_to_go_on
from xpmlp.cli._terminal import introduce, listed, say
from xpmlp.experiments.options import DEFAULT_RATES, DEFAULT_SCHEDULES, Options

if TYPE_CHECKING:
    from xpmlp.experiments.experiment import Experiment
    from xpmlp.training import Record

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
            "--no-graph",
            help="Ask for each operation of each step: no CUDA graphs and scans, on NumPy no replay.",
            rich_help_panel=PLACE,
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings alone.")] = False,
) -> None:
    """Train a network, score it, and leave it in a folder with its curves.

    `xpmlp train` alone trains on 1,797 images of digits that come with scikit-learn.
    """
    from datetime import datetime

    from xpmlp.distributed import open_communicator
    from xpmlp.experiments.experiment import prepare
    from xpmlp.experiments.runs import RunFolder

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

    with Job(open_communicator() if distributed else None) as job:
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
            taken = partial(begin, held, experiment, folder, records, new=resume is None, overwrite=overwrite)
            resumption = job.first(taken)
            checkpoints = Checkpoints(experiment, folder, checkpoint_every, checkpoint_seconds)
            with telling_how_to_go_on(folder):
                code = job.lead(
                    lambda: run(experiment, folder, records, resumption, checkpoints, quiet=quiet),
                    others=lambda: accompany(experiment, resumption),
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
        say(f"{ranks.size} ranks, by {ranks.library}")
