"""Fits of many estimators to the same examples: those whose networks can share their steps are trained as stacks."""
# ruff: noqa: SLF001 - the stations are the estimators' own; here several of them pass each one together

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils import _safe_indexing  # documented, in spite of its name

from xpmlp.data.examples import Examples
from xpmlp.estimators._base import as_before_where_it_fails
from xpmlp.estimators._minibatches import Stack
from xpmlp.estimators._placement import PlacedExamples, place, readable
from xpmlp.estimators._training import Problem
from xpmlp.training import Trainer
from xpmlp.training.stacks import numbers_of_stacks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.estimators._base import BaseMLP
    from xpmlp.estimators._minibatches import MinibatchFit


def fit_together(
    estimators: Sequence[BaseMLP],
    given: Examples,
    given_val: Examples | None = None,
    rows: Sequence[np.ndarray] | None = None,
) -> list[Exception | None]:
    """Fit each of some estimators as its own `fit` does, to rounding.

    One that cannot share the steps of the others is fitted by itself: by L-BFGS, to sparse examples, with callbacks, or
    on another device or in another dtype than the first; and with dropout to some of the rows, as the masks are
    functions of their numbers.

    Parameters
    ----------
    estimators : sequence of MLPClassifier or MLPRegressor
        Of one class; they may differ in any parameter.
    given, given_val : Examples
        As `fit` is given them.
    rows : sequence of ndarray of int, optional
        Which of the examples each is fitted to; all of them by default.

    Returns
    -------
    list of (Exception or None)
        What was raised for each of them.

    Raises
    ------
    ValueError
        For examples that the first could not be fitted to, if all rows were its own.
    """
    given, given_val = Examples(*map(readable, given)), given_val and Examples(*map(readable, given_val))
    whole, fits = _Whole(estimators[0], given, given_val), {}
    errors: list[Exception | None] = [None] * len(estimators)
    for number, each in enumerate(estimators):
        try:
            fit = whole.begin(each, None if rows is None else rows[number])
            if fit is not None:
                fits[number] = fit
        except Exception as error:  # noqa: BLE001 - the caller decides what becomes of it
            errors[number] = error
    for numbers in whole.stacks(list(fits.items())):
        whole.train([fits[number] for number in numbers])
        for number in numbers:
            try:
                whole.keep(estimators[number], fits[number])
            except ValueError as error:
                errors[number] = error
    return errors


class _Whole:
    """All the examples, checked and placed once: as the first of the estimators would have them."""

    def __init__(self, first: BaseMLP, given: Examples, given_val: Examples | None) -> None:
        self._given, self._given_val, self._first = given, given_val, clone(first)
        self._checked, checked_val = self._first._check(given, given_val, continues=False, one_epoch=False)
        X = self._checked.X
        self._placement = place(X, first.device, self._first._dtype_for(X, continues=False))
        self._training = self._placement.examples(self._checked)
        self._validation = checked_val and self._placement.examples(checked_val, "_val")

    def begin(self, each: BaseMLP, rows: np.ndarray | None) -> MinibatchFit | None:
        """Begin the fit of one of them; or fit it, and return None, where it cannot share the steps of others."""
        each._validate_params()
        given = self._given if rows is None else Examples(*(_taken(array, rows) for array in self._given))
        with as_before_where_it_fails(each):
            continues = each.__sklearn_is_fitted__() and each.warm_start
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are those of the first check
                checked, _ = each._check(given, self._given_val, continues=continues, one_epoch=False)
            if not self._can_share(each, checked, rows, continues=continues):
                each._fit(given, self._given_val)
                return None
            training = self._weighted(checked.weights, rows)
            network, layers = each._describe(self._placement, training, continues=continues)
            rows = np.arange(training.T.shape[0]) if rows is None else rows
            return each._begin(Problem(self._placement, network, layers, training, self._validation, rows))

    def _can_share(self, each: BaseMLP, checked: Examples, rows: np.ndarray | None, *, continues: bool) -> bool:
        T = self._training.T if rows is None else self._training.T[rows]
        return (
            each.solver != "lbfgs"
            and not sparse.issparse(checked.X)
            and not getattr(each, "_skl_callbacks", None)
            and each.device == self._first.device
            and each._dtype_for(checked.X, continues=continues) == self._placement.backend.dtype
            and not (rows is not None and (np.any(each.dropout) or each.input_dropout))
            and np.array_equal(np.asarray(checked.T), T)  # not where a fold lacks a class
        )

    def _weighted(self, weights: np.ndarray | None, rows: np.ndarray | None) -> PlacedExamples:
        """Return all the examples, where some rows have these weights."""
        shared, own = self._training, slice(None) if rows is None else rows
        if weights is None:
            return shared._replace(weights=None, examples=shared.examples._replace(weights=None))
        if shared.weights is not None and np.array_equal(weights, shared.weights[own]):
            return shared
        whole = np.zeros((shared.T.shape[0], 1))
        whole[own] = weights
        placed = self._placement.examples(self._checked._replace(weights=whole))
        return placed._replace(examples=placed.examples._replace(X=shared.examples.X, T=shared.examples.T))

    def stacks(self, fits: Sequence[tuple[int, MinibatchFit]]) -> list[list[int]]:
        """Return the numbers of the fits that are trained together."""
        members = [fit.member for _, fit in fits]
        found = numbers_of_stacks(self._placement.backend, members, self._training.T.shape[0])
        return [[fits[place][0] for place in places] for places in found]

    def train(self, fits: Sequence[MinibatchFit]) -> None:
        """Train the fits of one stack to their ends."""
        backend = self._placement.backend
        stack = Stack(backend, self._training.examples, fits, partial(Trainer, backend))
        while stack.is_running:
            stack.run_epoch()

    def keep(self, each: BaseMLP, fit: MinibatchFit) -> None:
        """Make an estimator a fitted one."""
        fit.check_convergence(stacklevel=6)
        with as_before_where_it_fails(each):
            each._keep(self._placement, each._end(fit))


def _taken(array: Any, rows: np.ndarray) -> Any:
    return None if array is None else _safe_indexing(array, rows)
