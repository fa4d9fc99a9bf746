"""Fits of many estimators to the same examples: those whose networks can share their steps are trained as stacks."""
# ruff: noqa: SLF001 - the stations are the estimators' own; here several of them pass each one together

from __future__ import annotations

import warnings
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse
from sklearn.base import clone, is_regressor

from xpmlp.data.examples import Examples
from xpmlp.estimators._compat import rows_of
from xpmlp.estimators._minibatches import Stack
from xpmlp.estimators._placement import PlacedExamples, place, readable
from xpmlp.estimators._training import Problem
from xpmlp.training import Trainer
from xpmlp.training.stacks import numbers_of_stacks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xpmlp.estimators._base import BaseMLP
    from xpmlp.estimators._minibatches import MinibatchFit


def fit_together(
    estimators: Sequence[BaseMLP],
    given: Examples,
    given_val: Examples | None = None,
    rows: Sequence[np.ndarray] | None = None,
) -> dict[int, Exception | None]:
    """Fit those of some estimators that can share their steps with others, each as its own `fit` does, to rounding.

    The others, and those that fail, are left as they were. The others are those that L-BFGS trains, that are given
    sparse examples, have callbacks, or compute on another device or in another dtype than the first; those with dropout
    for some of the rows, as its masks are functions of their numbers; those whose rows lack a class; and those that are
    the only ones of their kind, or too large for a stack to be faster.

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
    dict of int to (Exception or None)
        The numbers of those that were fitted, and what `fit` would have raised for them.

    Raises
    ------
    ValueError
        For examples that the first could not be fitted to.
    """
    given, given_val = Examples(*map(readable, given)), given_val and Examples(*map(readable, given_val))
    whole, fits = _Whole(estimators[0], given, given_val), {}
    outcomes: dict[int, Exception | None] = {}
    before = [dict(vars(each)) for each in estimators]
    for number, each in enumerate(estimators):
        try:
            fit = whole.begin(each, None if rows is None else rows[number])
        except Exception as error:  # noqa: BLE001 - the caller decides what becomes of it
            outcomes[number] = error
        else:
            if fit is not None:
                fits[number] = fit
    for numbers in whole.stacks(fits):
        whole.train([fits[number] for number in numbers])
        for number in numbers:
            outcomes[number] = whole.keep(estimators[number], fits[number])
    for number, each in enumerate(estimators):
        if number not in outcomes or outcomes[number] is not None:
            each.__dict__ = before[number]
    return outcomes


class _Whole:
    """All the examples, checked and placed once: as the first of the estimators would have them."""

    def __init__(self, first: BaseMLP, given: Examples, given_val: Examples | None) -> None:
        self._given, self._given_val, self._first = given, given_val, clone(first)
        parameters = [*vars(self._first)]
        self._checked, checked_val = self._first._check(given, given_val, continues=False, one_epoch=False)
        self._learnt = {name: value for name, value in vars(self._first).items() if name not in parameters}
        X = self._checked.X
        self._placement = place(X, first.device, self._first._dtype_for(X, continues=False))
        self._training = self._placement.examples(self._checked)
        self._validation = checked_val and self._placement.examples(checked_val, "_val")

    def begin(self, each: BaseMLP, rows: np.ndarray | None) -> MinibatchFit | None:
        """Begin the fit of one of them; return None where it cannot share the steps of others."""
        each._validate_params()
        given, T = self._given, self._training.T
        if rows is not None:
            T = T[rows]
            given = given._replace(weights=None if given.weights is None else rows_of(given.weights, rows))
        continues = each.__sklearn_is_fitted__() and each.warm_start
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are those of the first check
            if continues:  # what it knows has to go with these examples
                each._check(self._given, self._given_val, continues=True, one_epoch=False)
            else:
                each.__dict__.update(deepcopy(self._learnt))
                each._check_choices()
            weights = each._weights_to_fit(given, T)
        if not self._can_share(each, T, continues=continues):
            return None
        training = self._weighted(weights, rows)
        network, layers = each._describe(self._placement, training, continues=continues)
        rows = np.arange(T.shape[0]) if rows is None else rows
        return each._begin(Problem(self._placement, network, layers, training, self._validation, rows))

    def _can_share(self, each: BaseMLP, T: np.ndarray, *, continues: bool) -> bool:
        X, whole = self._checked.X, self._training.T
        return (
            each.solver != "lbfgs"
            and not sparse.issparse(X)
            and not getattr(each, "_skl_callbacks", None)
            and each.device == self._first.device
            and each._dtype_for(X, continues=continues) == self._placement.backend.dtype
            and (T is whole or not (np.any(each.dropout) or each.input_dropout or self._lacks_a_class(T)))
        )

    def _lacks_a_class(self, T: np.ndarray) -> bool:
        """Whether the targets of some rows would be others by themselves; each label has an output in any case."""
        if is_regressor(self._first) or self._first._label_binarizer.y_type_.startswith("multilabel"):
            return False
        whole = self._training.T
        return not all(np.array_equal(some(T, axis=0), some(whole, axis=0)) for some in (np.any, np.all))

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

    def stacks(self, fits: Mapping[int, MinibatchFit]) -> list[list[int]]:
        """Return the numbers of the fits that are trained together."""
        numbers, members = list(fits), [fit.member for fit in fits.values()]
        stacks = numbers_of_stacks(self._placement.backend, members, self._training.T.shape[0])
        return [[numbers[place] for place in places] for places in stacks if len(places) > 1]

    def train(self, fits: Sequence[MinibatchFit]) -> None:
        """Train the fits of one stack to their ends."""
        backend = self._placement.backend
        stack = Stack(backend, self._training.examples, fits, partial(Trainer, backend))
        while stack.is_running:
            stack.run_epoch()

    def keep(self, each: BaseMLP, fit: MinibatchFit) -> Exception | None:
        """Make an estimator a fitted one, or return why it cannot be one."""
        fit.check_convergence(stacklevel=6)
        try:
            each._keep(self._placement, each._end(fit))
        except ValueError as error:
            return error
        return None
