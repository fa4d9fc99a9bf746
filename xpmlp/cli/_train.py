"""`xpmlp train`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._job import Job
from xpmlp.cli._options import (
    check_alone,
    check_resumed_backend,
    check_used,
    given,
    name_again,
    own_parts,
    parse_options,
    takes_options,
)
from xpmlp.cli._run import Run, accompany, check_same, named_folder, telling_how_to_resume
from xpmlp.cli._terminal import introduce, say, warn
from xpmlp.common.errors import InputError
from xpmlp.experiments.options import PLACE, Options

if TYPE_CHECKING:
    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.models.model import Model

RUN = "The run"
# Options that may be given with --resume.
FREE = (
    "resume",
    "epochs",
    "backend",
    "log",
    "data_dir",
    "quiet",
    "checkpoint_every",
    "checkpoint_seconds",
    "distributed",
)


@takes_options()
def train(
    context: typer.Context,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the run.", show_default="runs/<dataset>-<time>", rich_help_panel=RUN),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Use a folder that is not empty, and replace a run in it.", rich_help_panel=RUN
        ),
    ] = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Resume the interrupted run in this folder, with its own options; with --epochs, go on for more.",
            rich_help_panel=RUN,
        ),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option(help="Log epochs for tensorboard or mlflow too; for both, give it twice.", rich_help_panel=RUN),
    ] = None,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="Begin in the folder of --out, resume the run there, or find it complete: again and again the same "
            "command.",
            rich_help_panel=RUN,
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from",
            help="Start from the network, the weights and the preparation of this run or model file.",
            rich_help_panel=RUN,
        ),
    ] = None,
    checkpoint_every: Annotated[
        int, typer.Option(help="Epochs from one checkpoint to the next; 0 for none.", min=0, rich_help_panel=RUN)
    ] = 1,
    checkpoint_seconds: Annotated[
        float, typer.Option(help="Seconds from one checkpoint to the next, at least.", min=0, rich_help_panel=RUN)
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
    **options: Any,
) -> None:
    """Train a network, score it, and save it in a folder with its curves.

    `xpmlp train` alone trains on 1,797 images of digits that come with scikit-learn.
    """
    from datetime import datetime

    from xpmlp.distributed import launched_ranks, open_communicator
    from xpmlp.experiments.experiment import prepare
    from xpmlp.experiments.loggers import choose_logs
    from xpmlp.experiments.recipes import with_network_of
    from xpmlp.experiments.runs import RunFolder

    if not distributed and (ranks := launched_ranks()) > 1:
        warn(f"mpiexec started {ranks} processes, and each trains by itself: give --distributed for one training.")
    with Job(open_communicator() if distributed else None) as job, ExitStack() as held:
        # 1. The options: those given, or those of the run that is resumed.
        asked, _ = job.alike("options", lambda: (_parse(context, options, resume), resume))
        logs = job.first(lambda: choose_logs(log or (), resume))
        quiet = quiet or not job.is_first
        place = named_folder(out, resume, go_on=go_on, overwrite=overwrite)
        folder = None if place is None else RunFolder(place)
        begun = job.first(lambda: resume is not None or (go_on and folder is not None and folder.config.exists()))
        start = job.in_turn(lambda: _start(context, asked, source, folder if begun else None))
        if source is not None and start is not None:
            asked = with_network_of(start, asked, given(context))
        chosen = job.first(lambda: _choose(context, folder, asked, begun=begun, go_on=go_on, overwrite=overwrite))
        if chosen is None:
            if not quiet:
                say(f"The run in {place} is complete: there is nothing left to train.")
            return

        # 2. The data and 3. the network for them, both on the backend.
        experiment = job.in_turn(
            lambda: prepare(chosen, progress=not quiet, communicator=job.communicator, start=start)
        )
        _introduce(job, experiment, is_new=not begun, quiet=quiet)

        # 4. The folder, which no other process may write to until the training has ended.
        found = folder or job.first(lambda: RunFolder.default(asked.dataset, datetime.now().astimezone()))
        writing: Any = {"every": checkpoint_every, "seconds": checkpoint_seconds, "quiet": quiet, "logs": logs}
        run = Run(experiment, found, source=None if source is None else str(source.absolute()), **writing)
        last = job.first(lambda: run.open(held, resume=begun, overwrite=overwrite))

        # 5. The training, which the first rank writes down and the others share.
        with telling_how_to_resume(found):
            code = job.lead(lambda: run.train(last), others=lambda: accompany(experiment, last))
    if code:
        raise typer.Exit(code)


def _parse(context: typer.Context, options: dict[str, Any], resume: Path | None) -> Options:
    if resume is not None:
        check_alone(context, FREE)
    return parse_options(options)


def _choose(
    context: typer.Context, folder: RunFolder | None, asked: Options, *, begun: bool, go_on: bool, overwrite: bool
) -> Options | None:
    """Return the options to train with; None where nothing is left to train.

    Raises
    ------
    InputError
        Where the folder is not free for a new run, and for options that a run that goes on was not begun with.
    """
    if folder is None or not begun:
        if folder is not None:
            folder.check_free(overwrite=overwrite)
        check_used(context, asked)
        return asked
    kept = name_again(folder.options(), asked)
    check_resumed_backend(context, kept.backend, folder.path)
    if go_on:
        check_same(asked, kept, str(folder.path))
    chosen = replace(kept, data_dir=asked.data_dir or kept.data_dir)  # which may be elsewhere by now
    check_used(context, chosen)
    if asked.epochs in {None, kept.epochs} or go_on:
        return None if folder.is_finished() else chosen
    folder.check_extensible(asked.epochs)
    return replace(chosen, epochs=asked.epochs)


def _start(context: typer.Context, asked: Options, source: Path | None, begun: RunFolder | None) -> Model | None:
    """Read the model that a run starts from, or that one which was begun has started from; None where there is none.

    Raises
    ------
    InputError
        For options of what comes with that model, and a run that was begun from another one.
    """
    from xpmlp.experiments.runs import model_at

    own = [each.part for parts in own_parts(asked, "activation", "loss").values() for each in parts]
    fixed = [written for name, written in given(context).items() if name in {"init", "scaling"}]
    if source is not None and fixed:
        raise InputError(f"{fixed[0]} is decided by the model that --from names: leave it out.")
    if begun is None:
        return None if source is None else model_at(source, own)
    if source is not None and str(source.absolute()) != begun.source():
        raise InputError(f"--from is {source}, but the run in {begun.path} was begun from {begun.source() or 'none'}.")
    return begun.start_model(own)


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
