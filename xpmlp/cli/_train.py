"""`xpmlp train`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._job import Job
from xpmlp.cli._options import check_alone, check_used, name_again, parse_options, takes_options
from xpmlp.cli._run import Run, accompany, telling_how_to_resume
from xpmlp.cli._terminal import introduce, say
from xpmlp.experiments.options import PLACE, Options

if TYPE_CHECKING:
    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder

RUN = "The run"
# Options that may be given with --resume.
FREE = ("resume", "data_dir", "quiet", "checkpoint_every", "checkpoint_seconds", "distributed")


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
        typer.Option(help="Resume the interrupted run in this folder, with its own options.", rich_help_panel=RUN),
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

    from xpmlp.distributed import open_communicator
    from xpmlp.experiments.experiment import prepare
    from xpmlp.experiments.runs import RunFolder

    with Job(open_communicator() if distributed else None) as job, ExitStack() as held:
        # 1. The options: those given, or those of the run that is resumed.
        asked, _ = job.alike("options", lambda: (_parse(context, options, resume), resume))
        place = resume or out
        folder = RunFolder(place) if place else RunFolder.default(asked.dataset, datetime.now().astimezone())
        chosen = job.first(lambda: _choose(context, folder, asked, resume=resume is not None, overwrite=overwrite))
        quiet = quiet or not job.is_first

        # 2. The data and 3. the network for them, both on the backend.
        experiment = job.in_turn(lambda: prepare(chosen, progress=not quiet, communicator=job.communicator))
        _introduce(job, experiment, is_new=resume is None, quiet=quiet)

        # 4. The folder, which no other process may write to until the training has ended.
        run = Run(experiment, folder, every=checkpoint_every, seconds=checkpoint_seconds, quiet=quiet)
        start = job.first(lambda: run.open(held, resume=resume is not None, overwrite=overwrite))

        # 5. The training, which the first rank writes down and the others share.
        with telling_how_to_resume(folder):
            code = job.lead(lambda: run.train(start), others=lambda: accompany(experiment, start))
    if code:
        raise typer.Exit(code)


def _parse(context: typer.Context, options: dict[str, Any], resume: Path | None) -> Options:
    if resume is not None:
        check_alone(context, (*FREE, "activation") if ":" in options["activation"] else FREE)
    return parse_options(options)


def _choose(context: typer.Context, folder: RunFolder, asked: Options, *, resume: bool, overwrite: bool) -> Options:
    """Return the options to train with, where the folder is free; a run that is resumed may find its data elsewhere."""
    if resume:
        kept = name_again(folder.options(), asked)
        asked = replace(kept, data_dir=asked.data_dir or kept.data_dir)
    else:
        folder.check_free(overwrite=overwrite)
    check_used(context, asked)
    return asked


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
