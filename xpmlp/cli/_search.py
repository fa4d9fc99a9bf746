"""`xpmlp search`."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import (
    check_alone,
    check_resumed_backend,
    check_used,
    given,
    name_again,
    naming_again,
    parse_options,
    takes_options,
)
from xpmlp.cli._report import result
from xpmlp.cli._run import check_same, named_folder
from xpmlp.cli._terminal import FAILED, INTERRUPTED, TO_END, handling, introduce, print_table, say
from xpmlp.common.errors import InputError
from xpmlp.common.wording import MEASURES, brief, counted
from xpmlp.experiments.options import settings_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.experiments.options import Options
    from xpmlp.search import SearchFolder, SearchResult, Space, Study, Trial

Tried, Ran = (partial(typer.Option, rich_help_panel=panel) for panel in ("What to try", "Where trials run"))
# Options that may be given with --resume.
FREE = ("resume", "backend", "data_dir", "engine", "jobs", "scheduler", "quiet")
MAX_SHOWN = 10  # trials in the table


@takes_options(own_first=True)
def search(
    context: typer.Context,
    *,
    grid: Annotated[
        Path | None,
        Tried(help="Try every combination: a TOML file with a list of values for each option."),
    ] = None,
    random: Annotated[int | None, Tried(help="Draw so many trials.")] = None,
    space: Annotated[
        Path | None,
        Tried(
            help="What to draw from: a TOML file with a list or a distribution for each option.",
            show_default="that of docs/hyperparameters.md",
        ),
    ] = None,
    halving: Annotated[
        bool,
        Tried(
            "--halving",
            help="Successive halving: train all for few epochs, the better third for more, and so on up to --epochs.",
        ),
    ] = False,
    jobs: Annotated[
        int | None, Ran(help="Trials at a time.", show_default="as many as cores with numpy, else 1")
    ] = None,
    engine: Annotated[
        str, Ran(help="loky (processes), threading, sequential, dask, ray, or stack: at once in this process.")
    ] = "loky",
    scheduler: Annotated[
        str | None, Ran(help="Address of a cluster of dask or ray.", show_default="one on this machine")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the search.", show_default="runs/search-<dataset>-<time>")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Resume the interrupted search in this folder, with its own options.")
    ] = None,
    go_on: Annotated[
        bool,
        typer.Option(
            "--continue",
            help="Begin in the folder of --out, or go on with the search there: again and again the same command.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings alone.")] = False,
    **options: Any,
) -> None:
    """Train with many options, score on the validation part, and save a table, a figure and the best run in a folder.

    Options of `xpmlp train` are the same for all trials.
    """
    from datetime import datetime

    from joblib import cpu_count

    from xpmlp.search import SearchFolder, check_engine, plan
    from xpmlp.search import search as run_search

    check_engine(engine, 1 if jobs is None else jobs, scheduler)
    place = named_folder(out, resume, go_on=go_on)
    begun = resume is not None or (go_on and place is not None and SearchFolder(place).config.exists())
    if resume is not None:
        folder = SearchFolder(resume)
        study = _begun(context, folder, parse_options(options))
    else:
        fixed = parse_options(options)
        check_used(context, fixed)
        if place is not None and not begun:
            SearchFolder(place).check_free()
        varied = _space(context, grid, random, space, own_rates=fixed.has_own_schedule)
        say_more = partial(introduce, quiet=quiet)
        study = plan(fixed, varied, draws=random, halving=halving, progress=not quiet, on_prepared=say_more)
        folder = SearchFolder(place) if place else SearchFolder.default(fixed.dataset, datetime.now().astimezone())
        if begun:
            _check_same(study, folder)
    if not quiet:
        _say_what_is_to_do(folder, study)
    names = MEASURES[study.measure], study.loss_name, len(study.candidates)
    if jobs is None:
        jobs = cpu_count() if study.options.backend == "numpy" and engine != "stack" else 1
    try:
        with handling(signal.default_int_handler, *TO_END):  # which end the search as Ctrl-C does
            found = run_search(
                study,
                folder.path,
                resume=begun,
                engine=engine,
                jobs=jobs,
                address=scheduler,
                on_trial=None if quiet else partial(_say_trial, *names),
                on_winner=None if quiet else _say_winner,
            )
    except KeyboardInterrupt:
        _tell_of_interruption(folder, study, quiet=quiet)
        raise typer.Exit(INTERRUPTED) from None
    if not quiet:
        _print_best(study, found.trials)
    if found.trials[0].kept is None:
        say(f"Error: no trial was finished; the first of them {found.trials[0].status}: {found.trials[0].reason}")
        raise typer.Exit(FAILED)
    if not quiet:
        _summarise(folder, study, found)


def _begun(context: typer.Context, folder: SearchFolder, asked: Options) -> Study:
    """Read the study that is resumed; its data may be found in another folder, and parts of a user's own are named."""
    check_alone(context, FREE)
    study = folder.study()
    study = replace(study, options=name_again(study.options, asked))
    check_resumed_backend(context, study.options.backend, folder.path)
    check_used(context, study.options)
    if asked.data_dir is None:
        return study
    there = os.path.abspath(asked.data_dir)  # noqa: PTH100 - as `prepare` does; workers may have another current folder
    return replace(study, options=replace(study.options, data_dir=there))


def _check_same(asked: Study, folder: SearchFolder) -> None:
    """Refuse a search in a folder of another one, by what differs."""
    kept = folder.study()
    check_same(asked.options, kept.options, str(folder.path))
    if (asked.candidates, asked.halving) != (kept.candidates, kept.halving):
        raise InputError(
            f"--continue goes on with the search in {folder.path}, but that has other candidates: give the --grid, "
            "--random, --space and --halving that it was begun with, or another --out."
        )


def _space(
    context: typer.Context, grid: Path | None, random: int | None, space: Path | None, *, own_rates: bool
) -> Space:
    """Read what varies; the command line takes what it fixes out of the default space, `own_rates` the rate."""
    from xpmlp.search import DEFAULT_SPACE, SEARCHABLE, Space

    if (grid is None) == (random is None):
        raise InputError("a search needs one of --grid FILE, to try all combinations, and --random N, to draw N.")
    if grid is not None and space is not None:
        raise InputError("--space is what --random draws from: leave it out, or draw with --random in place of --grid.")
    fixed, file = given(context), grid or space
    if file is None:
        left_out = {*fixed, *(["learning_rate"] if own_rates else [])}
        left = {key: v for key, v in DEFAULT_SPACE.items() if SEARCHABLE[key] not in left_out}
        return Space(left, "the default space")
    found = Space.read(file)
    if both := [fixed[dimension.name] for dimension in found.dimensions if dimension.name in fixed]:
        raise InputError(f"{file} varies what {', '.join(both)} fixes: leave it out of one of them.")
    return found


def _say_what_is_to_do(folder: SearchFolder, study: Study) -> None:
    names = ", ".join(dimension.name.replace("_", " ") for dimension in study.space.varying)
    ended = len(folder.ended(study)[0])
    done = f"; {counted(ended, 'trial')} ended before" if ended else ""
    say(f"{counted(len(study.candidates), 'candidate')} from {study.space.source}, which differ in {names}{done}.")


def _say_trial(measure: str, loss: str, candidates: int, trial: Trial) -> None:
    """Print the line of a trial, in the worker that ran it."""
    kept = trial.kept
    ended = f"{measure} {kept.measure:.4f}, {loss} {brief(kept.loss)}" if kept else trial.status
    head = f"trial {trial.number}/{candidates}, {_early(trial)}{counted(trial.epochs, 'epoch')}: {ended}"
    say(f"{head}, {trial.seconds:.1f} s: {settings_text(trial.settings)}")


def _early(trial: Trial) -> str:
    """Say of which epoch the scores are, where patience has kept another than the last one."""
    return f"{trial.kept.epoch} of " if trial.kept and trial.kept.epoch != trial.epochs else ""


def _say_winner(trial: Trial) -> None:
    say(f"Training the best, trial {trial.number}, once more, to keep it as a run.")


def _print_best(study: Study, trials: Sequence[Trial]) -> None:
    from rich.table import Table

    measure = MEASURES[study.measure]
    ranked_by = study.loss_name if study.by_loss else measure
    table = Table("trial", "epochs", measure, study.loss_name)
    table.add_column("options", overflow="fold")
    for trial in trials[:MAX_SHOWN]:
        scores = [f"{trial.kept.measure:.4f}", brief(trial.kept.loss)] if trial.kept else [trial.status, ""]
        table.add_row(str(trial.number), f"{_early(trial)}{trial.epochs}", *scores, settings_text(trial.settings))
    print_table(table, f"{study.name}: the best of {study.count(trials)}, by their {ranked_by} on the validation part")


def _tell_of_interruption(folder: SearchFolder, study: Study, *, quiet: bool) -> None:
    from xpmlp.search import rank

    if not folder.config.exists():
        say("\nInterrupted before the first trial.")
        return
    ended = rank(folder.ended(study)[0], halving=study.halving, by_loss=study.by_loss)
    if ended and not quiet:
        _print_best(study, ended)
    say(f"\nInterrupted. To resume: xpmlp search --resume {folder.path}{naming_again(study.options)}")


def _summarise(folder: SearchFolder, study: Study, found: SearchResult) -> None:
    import shlex

    from rich.table import Table

    best = found.trials[0]
    options = study.options_of(best.number, best.epochs)
    table = Table(show_header=False)
    if found.test is not None:
        name, scores = result(found.test, "test", study.loss_name)
        table.add_row(f"{name} of the best", scores)
    table.add_row("folder", str(folder.path))
    table.add_row("files", ", ".join(file.name for file in (folder.results, folder.figure, folder.config)))
    table.add_row("run of the best", str(folder.best.path))
    print_table(table)
    typer.echo(f"To train it again: {shlex.join(['xpmlp', 'train', *options.to_arguments()])}")
