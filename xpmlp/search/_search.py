"""The search itself: trials on an engine, the winner, and what is left in the folder."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from filelock import FileLock
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - scikit-learn asks for it
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV

from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.search._engines import check_engine, running_on
from xpmlp.search._folder import SearchFolder
from xpmlp.search._trial import load_trial, run_trial, save_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Self

    from xpmlp.search._study import Study
    from xpmlp.search._trial import Trial
    from xpmlp.training.scoring import Score

__all__ = ["SearchResult", "rank", "search"]

# What scikit-learn's searches are given in place of examples: a trial loads its own, and is scored once.
PARTS, ONE_SPLIT = ["training", "validation"], [([0], [1])]


@dataclass(frozen=True)
class SearchResult:
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
    engine : {"loky", "threading", "sequential", "dask", "ray"}
        Where trials run: joblib's backend of that name.
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
        searcher = _searcher(study, _Candidate(study, folder, on_trial))
        try:
            with running_on(engine, jobs, address):
                searcher.fit(PARTS)
        finally:
            trials = rank(folder.ended(study)[0], halving=study.halving)
            folder.write_results(study, trials)
            draw(study, trials, folder.figure)
        run = [study.options_of(**found) for found in searcher.cv_results_["params"]]
        missing = sum(not folder.file_of(options, study.data).exists() for options in run)
        if missing:
            raise InputError(
                f"{missing} trials were run, but are not in {folder.trials}: all workers must find it under that path."
            )
        return SearchResult(trials, train_winner(folder, study, trials[0], on_winner) if trials[0].kept else None)


def rank(trials: Iterable[Trial], *, halving: bool) -> list[Trial]:
    """Put the best trial first: by accuracy on the validation part with the weights that are kept, of equals by NLL.

    With halving, those of more epochs come first. Trials that are not finished come last.
    """

    def key(trial: Trial) -> tuple[Any, ...]:
        scores = trial.kept.order if trial.kept else ()
        return (trial.kept is None, -trial.epochs if halving else 0, *scores, trial.number)

    return sorted(trials, key=key)


class _Candidate(BaseEstimator):
    """A candidate as scikit-learn's searches know it: `fit` looks its trial up, or else runs it."""

    def __init__(
        self,
        study: Study,
        folder: SearchFolder,
        on_trial: Callable[[Trial], None] | None,
        number: int = 1,
        epochs: int | None = None,
    ) -> None:
        self.study = study
        self.folder = folder
        self.on_trial = on_trial
        self.number = number
        self.epochs = epochs

    def __sklearn_clone__(self) -> Self:
        return copy(self)  # with the study itself: a copy of it for each candidate takes long where there are many

    def fit(self, X: object, y: object = None) -> Self:  # noqa: ARG002 - scikit-learn calls it so
        study, options = self.study, self.study.options_of(self.number, self.epochs)
        path = self.folder.file_of(options, study.data)
        # A worker may outlive the search that was killed: what it is at is waited for, and not done twice.
        with FileLock(path.with_name(f".{path.stem}.lock"), fallback_to_soft=False):
            if path.exists():
                self.trial_ = load_trial(path)
                return self
            self.trial_ = run_trial(self.number, study.candidates[self.number - 1], options, study.data)
            save_trial(self.trial_, path)
        if self.on_trial is not None:
            self.on_trial(self.trial_)
        return self

    def score(self, X: object, y: object = None) -> float:  # noqa: ARG002 - as above
        return self.trial_.score


def _searcher(study: Study, candidate: _Candidate) -> GridSearchCV | HalvingGridSearchCV:
    """Return scikit-learn's search over the candidates' numbers."""
    numbers = {"number": range(1, len(study.candidates) + 1)}
    common = {"cv": ONE_SPLIT, "refit": False, "error_score": "raise"}
    if not study.halving:
        return GridSearchCV(candidate, numbers, **common)
    epochs = study.options.epochs
    return HalvingGridSearchCV(
        candidate, numbers, resource="epochs", max_resources=epochs, return_train_score=False, **common
    )


def _drop_damaged(folder: SearchFolder, study: Study) -> None:
    for path, problem in folder.ended(study)[1].items():
        warnings.warn(f"{problem} The trial is repeated.", XpmlpWarning, stacklevel=3)
        path.unlink()
