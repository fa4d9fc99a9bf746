"""`xpmlp search`."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import check_alone, check_used, given, parse_options, with_options_of
from xpmlp.cli._terminal import FAILED, INTERRUPTED, introduce, print_table, say
from xpmlp.cli._train import train
from xpmlp.common.errors import InputError
from xpmlp.common.wording import brief, counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.search import Found, SearchFolder, Space, Study, Trial

__all__ = ["search"]

Tried, Ran = (partial(typer.Option, rich_help_panel=panel) for panel in ("What to try", "Where trials run"))
FREE = ("resume", "data_dir", "engine", "jobs", "scheduler", "quiet")  # options that may be given with --resume
BEST = 10  # trials shown


@with_options_of(train)
def search(
    context: typer.Context,
    *,
    grid: Annotated[
        Path | None,
        Tried(help="A TOML file with a list of values for each option: try them all."),
    ] = None,
    random: Annotated[int | None, Tried(help="Draw so many trials.")] = None,
    space: Annotated[
        Path | None,
        Tried(
            help="A TOML file to draw from, with a list or a distribution for each option.",
            show_default="that of docs/search.md",
        ),
    ] = None,
    halving: Annotated[
        bool,
        Tried(
            "--halving",
            help="Successive halving: all for few epochs, the better third for more, and so on up to --epochs.",
        ),
    ] = False,
    jobs: Annotated[
        int | None, Ran(help="Trials at a time.", show_default="as many as cores with numpy, else 1")
    ] = None,
    engine: Annotated[str, Ran(help="loky (processes), threading, sequential, dask or ray.")] = "loky",
    scheduler: Annotated[
        str | None, Ran(help="Address of a cluster of dask or ray.", show_default="one on this machine")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the search.", show_default="runs/search-<dataset>-<time>")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="Go on with the interrupted search in this folder, as it was begun.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings alone.")] = False,
    **fixed: Any,
) -> None:
    """Train with many options, score on the validation part, and leave a table, a figure and the best run in a folder.

    Options of `xpmlp train` are the same for all trials.
    """
    from datetime import datetime

    from joblib import cpu_count

    from xpmlp.search import SearchFolder, check_engine, plan
    from xpmlp.search import search as run_search

    check_engine(engine, 1 if jobs is None else jobs, scheduler)
    if resume is not None:
        folder = SearchFolder(resume)
        study = _kept(context, folder, fixed["data_dir"])
    else:
        options = parse_options(**fixed)
        check_used(context, options)
        folder = SearchFolder(out) if out else SearchFolder.default(options.dataset, datetime.now().astimezone())
        folder.check_free()
        varied = _space(context, grid, random, space)
        say_more = partial(introduce, quiet=quiet)
        study = plan(options, varied, draws=random, halving=halving, progress=not quiet, on_prepared=say_more)
    if not quiet:
        _say_what_is_to_do(folder, study)
    if jobs is None:
        jobs = cpu_count() if study.options.backend == "numpy" else 1
    try:
        with _interrupted_by_sigterm():
            found = run_search(
                study,
                folder.path,
                resume=resume is not None,
                engine=engine,
                jobs=jobs,
                address=scheduler,
                on_trial=None if quiet else partial(_say_trial, len(study.candidates)),
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


def _kept(context: typer.Context, folder: SearchFolder, data_dir: Path | None) -> Study:
    """Read what is gone on with; its data may be found in another folder."""
    from dataclasses import replace

    check_alone(context, FREE)
    study = folder.study()
    check_used(context, study.options)
    if data_dir is None:
        return study
    there = str(data_dir.absolute())  # workers may have another current folder
    return replace(study, options=replace(study.options, data_dir=there))


def _space(context: typer.Context, grid: Path | None, random: int | None, space: Path | None) -> Space:
    """Read what varies; the command line takes what it fixes out of the default space."""
    from xpmlp.search import DEFAULT_SPACE, SEARCHABLE, Space

    if (grid is None) == (random is None):
        raise InputError(
            "a search needs one of --grid FILE, to try all combinations, and --random N, to draw N trials."
        )
    if grid is not None and space is not None:
        raise InputError("--space is what --random draws from: leave it out, or draw with --random in place of --grid.")
    fixed, file = given(context), grid or space
    if file is None:
        return Space({key: v for key, v in DEFAULT_SPACE.items() if SEARCHABLE[key] not in fixed}, "the default space")
    found = Space.read(file)
    if both := [fixed[dimension.name] for dimension in found.dimensions if dimension.name in fixed]:
        raise InputError(f"{file} varies what {', '.join(both)} fixes: leave it out of the one or the other.")
    return found


def _say_what_is_to_do(folder: SearchFolder, study: Study) -> None:
    names = ", ".join(dimension.name.replace("_", " ") for dimension in study.space.varying)
    ended = len(folder.ended(study)[0])
    done = f"; {counted(ended, 'trial')} ended before" if ended else ""
    say(f"{counted(len(study.candidates), 'candidate')} from {study.space.source}, which differ in {names}{done}.")


def _say_trial(candidates: int, trial: Trial) -> None:
    """Print the line of a trial, in the worker that ran it."""
    ended = f"accuracy {trial.kept.accuracy:.4f}, NLL {brief(trial.kept.nll)}" if trial.kept else trial.status
    head = f"trial {trial.number}/{candidates}, {_early(trial)}{counted(trial.epochs, 'epoch')}: {ended}"
    say(f"{head}, {trial.seconds:.1f} s: {_settings(trial)}")


def _early(trial: Trial) -> str:
    """Say of which epoch the scores are, where patience has kept another than the last one."""
    return f"{trial.kept.epoch} of " if trial.kept and trial.kept.epoch != trial.epochs else ""


def _say_winner(trial: Trial) -> None:
    say(f"Training the best, trial {trial.number}, once more, to keep it as a run.")


def _settings(trial: Trial) -> str:
    from xpmlp.experiments.options import written

    return " ".join(f"{name.replace('_', '-')}={written(value)}" for name, value in trial.settings.items())


def _print_best(study: Study, trials: Sequence[Trial]) -> None:
    from rich.table import Table

    table = Table("trial", "epochs", "accuracy", "NLL")
    table.add_column("options", overflow="fold")
    for trial in trials[:BEST]:
        scores = [f"{trial.kept.accuracy:.4f}", brief(trial.kept.nll)] if trial.kept else [trial.status, ""]
        table.add_row(str(trial.number), f"{_early(trial)}{trial.epochs}", *scores, _settings(trial))
    print_table(table, f"{study.name}: the best of {study.count(trials)}, by their accuracy on the validation part")


def _tell_of_interruption(folder: SearchFolder, study: Study, *, quiet: bool) -> None:
    from xpmlp.search import rank

    if not folder.config.exists():
        say("\nInterrupted before the first trial.")
        return
    ended = rank(folder.ended(study)[0], halving=study.halving)
    if ended and not quiet:
        _print_best(study, ended)
    say(f"\nInterrupted. To go on: xpmlp search --resume {folder.path}")


def _summarise(folder: SearchFolder, study: Study, found: Found) -> None:
    import shlex

    from rich.table import Table

    best = found.trials[0]
    options = study.options_of_trial(best)
    table = Table(show_header=False)
    if found.test is not None:
        table.add_row("test accuracy of the best", f"{found.test.accuracy:.4f}  (NLL {brief(found.test.loss)})")
    table.add_row("folder", str(folder.path))
    table.add_row("files", ", ".join(file.name for file in (folder.results, folder.figure, folder.config)))
    table.add_row("run of the best", str(folder.best.path))
    print_table(table)
    typer.echo(f"To train it again: {shlex.join(['xpmlp', 'train', *options.to_arguments()])}")


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the search as Ctrl-C does; outside the main thread Python delivers no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
