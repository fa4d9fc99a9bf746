"""The search itself: trials on an engine, the winner, and what is left in the folder."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sklearn.utils.parallel import Parallel, delayed

from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.common.shown import Shown
from xpmlp.common.wording import brief, counted, measures_text
from xpmlp.experiments.options import settings_text
from xpmlp.search._engines import STACK, check_engine, running_on
from xpmlp.search._folder import SearchFolder
from xpmlp.search._stacked import Candidate, run_stacked
from xpmlp.search._trial import load_trial, run_trial, save_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from xpmlp.common.shown import Content
    from xpmlp.search._study import Study
    from xpmlp.search._trial import Point, Trial
    from xpmlp.training.scoring import Score

FACTOR = 3  # of successive halving: a third of the candidates goes on, with so many times the epochs


@dataclass(frozen=True)
class SearchResult(Shown):
    """What a search found.

    Attributes
    ----------
    trials : list of Trial
        All that ended, the best one first.
    test : Score or None
        Of the winner, on the test part; None where there is no such part, or no winner.
    """

    trials: list[Trial]
    test: Score | None

    def __repr__(self) -> str:
        best = [f"the best: number {each.number}, {settings_text(each.settings)}" for each in self.trials[:1]]
        test = (
            [] if self.test is None else [f"its test loss {brief(self.test.loss)} {measures_text(self.test.measures)}"]
        )
        return f"<SearchResult of {'; '.join([counted(len(self.trials), 'trial'), *best, *test])}>"

    def _content(self) -> Content:
        heads = ("trial", "settings", "status", "seconds", "epoch kept", "measure", "loss")
        return heads, [
            (each.number, settings_text(each.settings), each.status, f"{each.seconds:.1f}", *_shown(each.kept))
            for each in self.trials
        ]


def _shown(point: Point | None) -> tuple[object, ...]:
    return (point.epoch, f"{point.measure:.4f}", brief(point.loss)) if point else ("", "", "")


def search(
    study: Study,
    path: Path,
    *,
    resume: bool = False,
    engine: str = "loky",
    jobs: int = 1,
    address: str | None = None,
    on_trial: Callable[[Trial], None] | None = None,
    on_winner: Callable[[Trial], None] | None = None,
) -> SearchResult:
    """Run the trials of a study, train the winner, and leave a table, a figure and the winner's run in a folder.

    The test part is looked at once, to score the winner. An exception, `KeyboardInterrupt` among them, leaves the table
    and the figure of the trials that have ended.

    Parameters
    ----------
    study : Study
        What to try, as `plan` made it or the folder kept it.
    path : Path
        The folder. Workers on other machines must find it, and the data, under the same path.
    resume : bool
        Whether to resume the search in the folder: trials that have ended are not repeated.
    engine : {"loky", "threading", "sequential", "dask", "ray", "stack"}
        Where trials run: joblib's backend of that name; or in this process, those of one shape trained at once.
    jobs : int
        Trials at a time; a running cluster has as many as it has cores.
    address : str, optional
        Of a running cluster of Dask's or Ray's; by default the one that this process is connected to, or one of this
        machine that ends with the search.
    on_trial : callable, optional
        Told each trial that has ended, by the worker that ran it, to which it is sent.
    on_winner : callable, optional
        Told the best trial before it is trained once more.

    Returns
    -------
    SearchResult
        The trials and the winner's score on the test part.

    Raises
    ------
    InputError
        For an engine that there is not, a folder that holds something else, that another process searches in or that
        workers do not find, and data that have changed since the search was begun.
    BackendError
        Where the engine's package is not installed.
    WorkerError
        Where a worker is lost: killed for its memory, for example.

    Warns
    -----
    XpmlpWarning
        For the file of a trial that is damaged: the trial is repeated.
    """
    # Workers import this module, and do without matplotlib.
    from xpmlp.search._results import draw, train_winner  # noqa: PLC0415

    check_engine(engine, jobs, address)
    jobs = min(jobs, len(study.candidates))
    folder = SearchFolder(path.resolve())
    if not resume:
        folder.check_free()
    with folder.locked():
        if resume:
            _drop_damaged(folder, study)
        else:
            folder.check_free()  # again: another search may have begun there
            folder.start(study)
        folder.trials.mkdir(exist_ok=True)  # after the file that says what is searched: without it nothing was begun
        try:
            with nullcontext() if engine == STACK else running_on(engine, jobs, address):
                run = _run_all(study, folder, on_trial, stacked=engine == STACK)
        finally:
            trials = rank(folder.ended(study)[0], halving=study.halving, by_loss=study.by_loss)
            folder.write_results(study, trials)
            draw(study, trials, folder.figure)
        missing = sum(not folder.file_of(study.options_of(t.number, t.epochs), study.data).exists() for t in run)
        if missing:
            raise InputError(
                f"{missing} trials were run, but are not in {folder.trials}: all workers must find it under that path."
            )
        return SearchResult(trials, train_winner(folder, study, trials[0], on_winner) if trials[0].kept else None)


def _run_all(
    study: Study, folder: SearchFolder, on_trial: Callable[[Trial], None] | None, *, stacked: bool
) -> list[Trial]:
    """Run all candidates; with halving, each rung for its epochs, and the better third of it in the next."""
    run, numbers, most = [], list(range(1, len(study.candidates) + 1)), study.options.epochs
    for epochs in rungs(len(numbers), most) if study.halving and most else [None]:
        candidates = [
            Candidate(number, study.candidates[number - 1], study.options_of(number, epochs), study.data)
            for number in numbers
        ]
        paths = [folder.file_of(each.options, study.data) for each in candidates]
        if stacked:
            trials = _run_together(paths, candidates, on_trial)
        else:
            calls = zip(paths, candidates, strict=True)
            trials = Parallel()(delayed(_run_once)(path, *each, on_trial=on_trial) for path, each in calls)
        ranked = rank(trials, halving=False, by_loss=study.by_loss)
        numbers = [trial.number for trial in ranked[: -(-len(trials) // FACTOR)]]
        run += trials
    return run


def _run_together(
    paths: Sequence[Path], candidates: Sequence[Candidate], on_trial: Callable[[Trial], None] | None
) -> list[Trial]:
    """Read trials from their files, and run the others as stacks; each is written as its stack ends."""
    trials = {each.number: load_trial(path) for path, each in zip(paths, candidates, strict=True) if path.exists()}
    path_of = {each.number: path for path, each in zip(paths, candidates, strict=True)}
    for trial in run_stacked([each for each in candidates if each.number not in trials]):
        save_trial(trial, path_of[trial.number])
        trials[trial.number] = trial
        if on_trial is not None:
            on_trial(trial)
    return [trials[each.number] for each in candidates]


def _run_once(path: Path, *candidate: Any, on_trial: Callable[[Trial], None] | None) -> Trial:
    """Read a trial from its file, or else run it and write it there."""
    # A worker may outlive the search that was killed: what it is at is waited for, and not done twice.
    with FileLock(path.with_name(f".{path.stem}.lock"), fallback_to_soft=False):
        if path.exists():
            return load_trial(path)
        trial = run_trial(*candidate)
        save_trial(trial, path)
    if on_trial is not None:
        on_trial(trial)
    return trial


def rungs(candidates: int, epochs: int) -> list[int]:
    """Return the epochs of each rung of successive halving, as scikit-learn's `HalvingGridSearchCV` has them.

    There are as many rungs as it takes to leave less than three candidates, and the last one has as many of the
    `epochs` as tripling comes to; with few epochs there are fewer.
    """
    count = next(n for n in range(1, candidates + 2) if FACTOR**n > candidates)
    first = max(1, epochs // FACTOR ** (count - 1))
    return [first * FACTOR**rung for rung in range(count) if first * FACTOR**rung <= epochs]


def rank(trials: Iterable[Trial], *, halving: bool, by_loss: bool = False) -> list[Trial]:
    """Put the best trial first: by accuracy or R2 on the validation part with the weights that are kept, or by loss.

    Of equals in accuracy or R2, the one with the lower loss comes first.

    With halving, those of more epochs come first. Trials that are not finished come last.
    """

    def key(trial: Trial) -> tuple[Any, ...]:
        scores = trial.kept.order[:: -1 if by_loss else 1] if trial.kept else ()
        return (trial.kept is None, -trial.epochs if halving else 0, *scores, trial.number)

    return sorted(trials, key=key)


def _drop_damaged(folder: SearchFolder, study: Study) -> None:
    for path, problem in folder.ended(study)[1].items():
        warnings.warn(f"{problem} The trial is repeated.", XpmlpWarning, stacklevel=3)
        path.unlink()
