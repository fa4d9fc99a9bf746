"""scikit-learn's searches, in which candidates and folds that can be a stack are trained at once."""

from __future__ import annotations

import copy
import time
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from joblib import effective_n_jobs
from sklearn import get_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.utils.parallel import Parallel, delayed

from xpmlp.data.examples import Examples
from xpmlp.estimators._base import BaseMLP
from xpmlp.estimators._together import fit_together

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Splits = Sequence[tuple[Any, Any]]


class _Handout:
    """An estimator for a search, whose clones are those that were trained before, in the order of the search."""

    def __init__(self, given: Any, fit_params: dict[str, Any]) -> None:
        self.given, self.fit_params = given, fit_params
        self.trained: deque[Any] = deque()  # None for one that the search is to fit itself
        self.estimator, template = copy.copy(given), copy.copy(given)
        # A search clones its estimator once, and the clone for each of its fits.
        self.estimator.__sklearn_clone__ = lambda: template
        template.__sklearn_clone__ = self._next

    def _next(self) -> Any:
        trained = self.trained.popleft() if self.trained else None
        return clone(self.given) if trained is None else trained

    def train(
        self, candidates: Sequence[dict[str, Any]], n_jobs: int | None, X: Any, y: Any, splits: Splits
    ) -> np.ndarray:
        """Train what can be a stack, and return the share of its seconds that a fit of each candidate took, (n,)."""
        start, pairs = time.perf_counter(), [(each, rows) for each in candidates for rows, _ in splits]
        trained: list[Any] = [None] * len(pairs)
        if y is not None and self._may_stack():
            examples = Examples(X, y, self.fit_params.get("sample_weight"))
            with suppress(Exception):  # the search's own fits say what is wrong, in scikit-learn's way
                fits = [clone(self.given).set_params(**clone(each, safe=False)) for each, _ in pairs]
                trained = _fit_in_parts(fits, examples, [_indices(rows) for _, rows in pairs], n_jobs)
            for each in trained:
                if each is not None:
                    each.fit = _no_fit
        self.trained = deque(trained)
        share = np.array([each is not None for each in trained], float).reshape(len(candidates), -1).mean(axis=1)
        return share * (time.perf_counter() - start) / max(1, len(pairs) * share.mean())

    def _may_stack(self) -> bool:
        """Whether the search is over a network of ours, whose `fit` is given what `fit_together` takes."""
        others = self.fit_params.keys() - {"sample_weight", "groups"}
        routed = get_config()["enable_metadata_routing"] and self.fit_params
        return isinstance(self.given, BaseMLP) and not others and not routed


def _fit_in_parts(
    fits: Sequence[BaseMLP], examples: Examples, rows: Sequence[np.ndarray], n_jobs: int | None
) -> list[BaseMLP | None]:
    """Fit what can be a stack, in as many processes as `n_jobs` says; return the fitted ones, None for the others."""
    n_parts = min(effective_n_jobs(n_jobs), len(fits))
    parts = [slice(part, None, n_parts) for part in range(n_parts)]
    work = (delayed(_fit_part)(fits[part], examples, rows[part]) for part in parts)
    fitted: list[BaseMLP | None] = [None] * len(fits)
    for part, found in zip(parts, Parallel(n_jobs=n_parts)(work), strict=True):
        fitted[part] = found
    return fitted


def _fit_part(fits: Sequence[BaseMLP], examples: Examples, rows: Sequence[np.ndarray]) -> list[BaseMLP | None]:
    outcomes = fit_together(fits, examples, rows=rows)
    return [each if outcomes.get(number, ...) is None else None for number, each in enumerate(fits)]


def _no_fit(*_: Any, **__: Any) -> None:
    """Do nothing: the estimator is fitted."""


class _Splitter:
    """A splitter that tells of its splits before the search fits anything."""

    def __init__(self, splitter: Any, on_splits: Callable[[Any, Any, Splits], Any]) -> None:
        self._splitter, self._on_splits = splitter, on_splits

    def split(self, X: Any, y: Any = None, **params: Any) -> Splits:
        """Split as the splitter does; `outcome` is what is made of it then."""
        splits = list(self._splitter.split(X, y, **params))
        self.outcome = self._on_splits(X, y, splits)
        return splits


class _StackedSearch:
    """What both searches do before scikit-learn's: train what can be a stack."""

    estimator: Any
    n_jobs: int | None
    _checked_cv_orig: Any  # scikit-learn documents it for those that override `_run_search`
    _handout: _Handout

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Search, as scikit-learn's class of this name does."""
        given, self._handout = self.estimator, _Handout(self.estimator, params)
        self.estimator = self._handout.estimator
        try:
            super().fit(X, y, **params)  # type: ignore[misc] # of the search that this is mixed into
        finally:
            self._take_back(given)
        return self

    def _take_back(self, given: Any) -> None:
        self.estimator = given
        if handout := vars(self).pop("_handout", None):
            del handout.estimator.__sklearn_clone__  # scikit-learn's scorer has it, and is pickled

    def _run_search(self, evaluate_candidates: Callable[..., Any], *, callback_ctx: Any = None) -> None:
        handout = self._handout
        self._take_back(handout.given)  # it is cloned by now, and other processes are sent this search

        def evaluate(candidates: Any, cv: Any = None, more_results: Any = None, callback_ctx: Any = None) -> Any:
            candidates = list(candidates)
            splitter = _Splitter(cv or self._checked_cv_orig, partial(handout.train, candidates, self.n_jobs))
            results = evaluate_candidates(candidates, splitter, more_results, callback_ctx)
            results["mean_fit_time"][-len(candidates) :] += splitter.outcome
            return results

        super()._run_search(evaluate, callback_ctx=callback_ctx)  # type: ignore[misc] # as above


def _indices(rows: Any) -> np.ndarray:
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype == bool else rows


class StackedGridSearchCV(_StackedSearch, GridSearchCV):
    """Scikit-learn's `GridSearchCV`, whose candidates and folds are trained at once where they can be a stack.

    The parameters, the attributes and, to rounding, the scores are those of `sklearn.model_selection.GridSearchCV` with
    the same estimator. Networks of one shape with one batch size are trained as stacks, for all folds with as many
    examples, in as many processes as ``n_jobs`` says. What cannot be a stack is fitted by scikit-learn one by one: with
    L-BFGS, sparse examples, dropout, networks too large to gain by it, folds that lack a class, and other estimators,
    such as pipelines.
    In ``mean_fit_time``, the time of the stacks is divided among their fits.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpmlp import MLPClassifier, StackedGridSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> network = MLPClassifier((8,), max_iter=50, random_state=0)
    >>> search = StackedGridSearchCV(network, {"learning_rate_init": [0.1, 0.01, 0.0001]}).fit(X, y)
    >>> search.cv_results_["mean_test_score"].shape
    (3,)
    """


class StackedRandomizedSearchCV(_StackedSearch, RandomizedSearchCV):
    """Scikit-learn's `RandomizedSearchCV`, trained as `StackedGridSearchCV` is.

    Examples
    --------
    >>> from scipy.stats import loguniform
    >>> from sklearn.datasets import load_iris
    >>> from xpmlp import MLPClassifier, StackedRandomizedSearchCV
    >>> X, y = load_iris(return_X_y=True)
    >>> rates = {"learning_rate_init": loguniform(1e-3, 1e-1)}
    >>> network = MLPClassifier((8,), max_iter=50, random_state=0)
    >>> search = StackedRandomizedSearchCV(network, rates, n_iter=4, random_state=0).fit(X, y)
    >>> len(search.cv_results_["params"])
    4
    """
