"""Fitted estimators to and from scikit-learn's own, with all it takes to go on training there or here."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn import neural_network
from sklearn.base import is_classifier
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer
from sklearn.utils.validation import check_is_fitted

from xpmlp.common.errors import InputError
from xpmlp.estimators._places import to_host
from xpmlp.estimators._stochastic import Optimization, Progress, Rates
from xpmlp.nn.optimizers import SGD, Adam, AdamState, SGDState
from xpmlp.training import State

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

__all__ = ["ExchangeMixin"]

# What a fitted estimator of scikit-learn has beside its weights.
NOTES = (
    "n_features_in_", "feature_names_in_", "classes_", "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_",
    "loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "_label_binarizer",
)  # fmt: skip
ACTIVATIONS = {"identity", "logistic", "tanh", "relu"}
LOSSES = {"squared_error", "poisson", None}


class ExchangeMixin:
    """`to_sklearn` and `from_sklearn` of `BaseMLP`."""

    def to_sklearn(self: Any) -> BaseEstimator:
        """Return the fitted model as scikit-learn's own estimator, with equal predictions.

        What scikit-learn lacks (dropout, penalties, schedules, ...) is left behind: it decided the weights, and is not
        needed to predict.

        Raises
        ------
        InputError
            For activations that scikit-learn does not have.
        """
        check_is_fitted(self)
        theirs = _kind(self)()
        own = self.get_params(deep=False)
        shared = {name: own[name] for name in theirs.get_params(deep=False)}
        names = {activation.name for activation in self._fitted_network().activations}
        if len(names) > 1 or not names <= ACTIVATIONS:
            raise InputError(
                f"scikit-learn has one activation for all layers, of {', '.join(sorted(ACTIVATIONS))}; "
                f"this model has {', '.join(sorted(names))}."
            )
        shared["activation"] = names.pop() if names else "relu"
        shared["solver"] = "adam" if self.solver == "adamw" else self.solver
        if own.get("loss") not in LOSSES:
            shared["loss"] = "squared_error"  # with the same output function
        theirs.set_params(**shared)
        _copy_notes(self, theirs)
        theirs.coefs_ = [np.array(to_host(W)) for W in self.coefs_]
        theirs.intercepts_ = [np.array(to_host(b)) for b in self.intercepts_]
        theirs._best_coefs, theirs._best_intercepts = theirs.coefs_, theirs.intercepts_  # noqa: SLF001 - as theirs does
        if hasattr(self, "classes_"):
            theirs.classes_ = self._label_binarizer.classes_
        if hasattr(self, "_progress"):
            theirs._no_improvement_count = self._progress.without_improvement  # noqa: SLF001 - what theirs goes on with
        if hasattr(self, "_optimization") and (shared["solver"], shared.get("loss")) == (self.solver, own.get("loss")):
            theirs._optimizer = _their_optimizer(self._optimization, theirs)  # noqa: SLF001 - as above
        return theirs

    @classmethod
    def from_sklearn(cls, estimator: BaseEstimator) -> Self:
        """Return scikit-learn's fitted `MLPClassifier` or `MLPRegressor` as this one, with equal predictions.

        Raises
        ------
        InputError
            For another kind of estimator.
        """
        own: Any = cls()
        if not isinstance(estimator, _kind(own)):
            raise InputError(
                f"{cls.__name__}.from_sklearn takes scikit-learn's {_kind(own).__name__}, but this is "
                f"{type(estimator).__name__}."
            )
        check_is_fitted(estimator)
        own.set_params(**estimator.get_params(deep=False))
        _copy_notes(estimator, own)
        own.coefs_ = [W.copy() for W in estimator.coefs_]
        own.intercepts_ = [b.copy() for b in estimator.intercepts_]
        if hasattr(estimator, "loss_curve_"):
            own._progress = _our_progress(estimator, own._watched())  # noqa: SLF001 - its own
        if hasattr(estimator, "_optimizer"):
            own._optimization = _our_optimization(estimator)  # noqa: SLF001 - its own
        return own


def _kind(estimator: Any) -> type[BaseEstimator]:
    return neural_network.MLPClassifier if is_classifier(estimator) else neural_network.MLPRegressor


def _copy_notes(source: Any, target: Any) -> None:
    for name in NOTES:
        if hasattr(source, name):
            setattr(target, name, copy.deepcopy(getattr(source, name)))


def _our_progress(estimator: Any, watched: str) -> Progress:
    progress = Progress(watched, loss_curve=list(estimator.loss_curve_), seen=estimator.t_, n_iter=estimator.n_iter_)
    progress.without_improvement = estimator._no_improvement_count  # noqa: SLF001 - what it goes on with
    if estimator.early_stopping:
        progress.validation_scores = list(estimator.validation_scores_)
        progress.best_score = estimator.best_validation_score_
    else:
        progress.best_loss = estimator.best_loss_
    return progress


def _by_layer(arrays: list[Any]) -> list[Any]:
    """Turn scikit-learn's order, all weights before all biases, into W1, b1, W2, b2, ..."""
    n = len(arrays) // 2
    return [p.copy() for pair in zip(arrays[:n], arrays[n:], strict=True) for p in pair]


def _by_kind(arrays: list[Any]) -> list[np.ndarray]:
    """Turn W1, b1, W2, b2, ... into scikit-learn's order."""
    return [np.array(to_host(p)) for p in [*arrays[::2], *arrays[1::2]]]


def _our_optimization(estimator: Any) -> Optimization:
    theirs = estimator._optimizer  # noqa: SLF001 - what it goes on with
    optimizer: SGD | Adam
    state: SGDState | AdamState
    if isinstance(theirs, SGDOptimizer):
        optimizer = SGD(theirs.momentum, nesterov=theirs.nesterov and theirs.momentum > 0)
        state = SGDState(_by_layer(theirs.velocities) if theirs.momentum else [])
        rates = Rates(theirs.lr_schedule, theirs.learning_rate_init, theirs.power_t)
        rates.now = theirs.learning_rate
        steps = 0  # no rule of its own counts them
    else:
        optimizer = Adam(theirs.beta_1, theirs.beta_2, theirs.epsilon)
        state = AdamState(_by_layer(theirs.ms), _by_layer(theirs.vs))
        rates = Rates("constant", theirs.learning_rate_init, 0.5)
        steps = theirs.t
    return Optimization(optimizer, State(state, *map(np.array, (steps, 0.0, 1.0, 0.0))), rates, 0)


def _their_optimizer(kept: Optimization, estimator: Any) -> SGDOptimizer | AdamOptimizer:
    ours, state, rates, _ = kept
    params = estimator.coefs_ + estimator.intercepts_
    if isinstance(ours, SGD):
        theirs = SGDOptimizer(params, rates.initial, rates.kind, ours.momentum, ours.nesterov, rates.power_t)
        theirs.learning_rate = rates.now
        if ours.momentum:
            theirs.velocities = _by_kind(state.optimizer.velocity)
        return theirs
    assert isinstance(ours, Adam)  # noqa: S101 - or AdamW, which is one
    theirs = AdamOptimizer(params, rates.initial, ours.beta_1, ours.beta_2, ours.epsilon)
    theirs.ms, theirs.vs = _by_kind(state.optimizer.m), _by_kind(state.optimizer.v)
    theirs.t = int(to_host(state.t))
    return theirs
