"""Fitted estimators to and from scikit-learn's own, with all it takes to go on training there or here."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from sklearn import neural_network
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from xpmlp.common.errors import InputError
from xpmlp.estimators._compat import AdamOptimizer, SGDOptimizer
from xpmlp.estimators._placement import to_host
from xpmlp.estimators._progress import Optimization, Progress
from xpmlp.estimators._training import TrainedMLP
from xpmlp.models.exports import SKLEARN_ACTIVATIONS, common_activation
from xpmlp.nn.optimizers import SGD, Adam, AdamState, SGDState
from xpmlp.training import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.base import BaseEstimator

Estimator = TypeVar("Estimator", bound=TrainedMLP)

# What fitted estimators of both have beside their weights. Of private attributes, this one has the same name in both.
SHARED_ATTRIBUTES = (
    "n_features_in_", "feature_names_in_", "classes_", "n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_",
    "loss_", "best_loss_", "loss_curve_", "validation_scores_", "best_validation_score_", "_label_binarizer",
)  # fmt: skip
LOSSES_BY_OUTPUT = {"identity": "squared_error", "exp": "poisson"}


def to_sklearn(self: TrainedMLP) -> BaseEstimator:
    """Return the fitted model as scikit-learn's own estimator, with equal predictions.

    What scikit-learn lacks (dropout, penalties, schedules, ...) is left behind: it decided the weights, and is not
    needed to predict.

    Raises
    ------
    InputError
        For activations and output functions that scikit-learn does not have.
    """
    check_is_fitted(self)
    theirs, fitted = _kind(self)(), vars(self)
    shared = {name: getattr(self, name) for name in theirs.get_params(deep=False) if hasattr(self, name)}
    unused = self.activation if self.activation in SKLEARN_ACTIVATIONS else "relu"
    shared["activation"] = common_activation(self._fitted_network()) or unused
    shared["solver"] = "adam" if self.solver == "adamw" else self.solver
    if "loss" in shared and shared["loss"] not in LOSSES_BY_OUTPUT.values():
        if self.out_activation_ not in LOSSES_BY_OUTPUT:
            name = getattr(self.loss, "name", self.loss)
            raise InputError(f"scikit-learn has no output function like that of loss {name!r}.")
        shared["loss"] = LOSSES_BY_OUTPUT[self.out_activation_]
    vars(theirs).update(shared)
    coefs, intercepts = ([np.array(to_host(p)) for p in arrays] for arrays in (self.coefs_, self.intercepts_))
    state = _shared_attributes(fitted) | {"coefs_": coefs, "intercepts_": intercepts}
    # Private attributes of scikit-learn's, with which it goes on training.
    state |= {"_best_coefs": coefs, "_best_intercepts": intercepts}
    if "classes_" in state:
        state["classes_"] = state["_label_binarizer"].classes_
    if fitted.get("_progress"):
        state["_no_improvement_count"] = fitted["_progress"].without_improvement
    same = all(getattr(self, name) == shared[name] for name in {"solver", "loss"} & set(shared))
    if fitted.get("_optimizer") and same:
        state["_optimizer"] = _their_optimizer(fitted["_optimizer"], coefs + intercepts)
    theirs.__dict__.update(state)
    return theirs


def from_sklearn(cls: type[Estimator], estimator: BaseEstimator) -> Estimator:
    """Return a fitted estimator of scikit-learn's as one of a class of ours."""
    ours = cls()
    if not isinstance(estimator, _kind(ours)):
        raise InputError(
            f"{cls.__name__}.from_sklearn takes scikit-learn's {_kind(ours).__name__}, but this is "
            f"{type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    for name, value in estimator.get_params(deep=False).items():
        if hasattr(ours, name):  # a release of scikit-learn, or a subclass, may have more
            setattr(ours, name, value)
    fitted = vars(estimator)
    state = _shared_attributes(fitted)
    state |= {name: [p.copy() for p in fitted[name]] for name in ("coefs_", "intercepts_")}
    if "loss_curve_" in fitted:
        state["_progress"] = _our_progress(estimator)
    if "_optimizer" in fitted:
        state["_optimizer"] = _our_optimization(fitted["_optimizer"])
    ours.__dict__.update(state)
    return ours


def _kind(estimator: Any) -> type[BaseEstimator]:
    return neural_network.MLPClassifier if is_classifier(estimator) else neural_network.MLPRegressor


def _shared_attributes(fitted: Mapping[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(fitted[name]) for name in SHARED_ATTRIBUTES if name in fitted}


def _our_progress(estimator: Any) -> Progress:
    progress = Progress(watched="training loss", seen=estimator.t_, n_iter=estimator.n_iter_)
    progress.without_improvement = vars(estimator)["_no_improvement_count"]
    progress.curves["training loss"] = list(estimator.loss_curve_)
    if estimator.validation_scores_ is not None:
        progress.watched = "validation score"
        progress.curves[progress.watched] = list(estimator.validation_scores_)
        progress.best[progress.watched] = estimator.best_validation_score_
    elif estimator.best_loss_ is not None:  # scikit-learn has none after early stopping
        progress.best[progress.watched] = estimator.best_loss_
    return progress


def _by_layer(arrays: list[Any]) -> list[Any]:
    """Turn scikit-learn's order, all weights before all biases, into W1, b1, W2, b2, ..."""
    n = len(arrays) // 2
    return [p.copy() for pair in zip(arrays[:n], arrays[n:], strict=True) for p in pair]


def _by_kind(arrays: list[Any]) -> list[np.ndarray]:
    """Turn W1, b1, W2, b2, ... into scikit-learn's order."""
    return [np.array(to_host(p)) for p in [*arrays[::2], *arrays[1::2]]]


def _our_optimization(theirs: Any) -> Optimization:
    rate = theirs.learning_rate_init
    if isinstance(theirs, SGDOptimizer):
        rule = SGD(theirs.momentum, nesterov=theirs.nesterov and theirs.momentum > 0)
        ours = Optimization(rule, 0, theirs.lr_schedule, rate, theirs.learning_rate, theirs.power_t)
        state: Any = SGDState(_by_layer(theirs.velocities) if theirs.momentum else [])
        steps = 0  # scikit-learn does not count them, and gradient descent does not need to
    else:
        ours = Optimization(Adam(theirs.beta_1, theirs.beta_2, theirs.epsilon), 0, "constant", rate, rate)
        state, steps = AdamState(_by_layer(theirs.ms), _by_layer(theirs.vs)), theirs.t
    ours.state = State(state, *map(np.array, (steps, 0.0, 1.0, 0.0)))
    return ours


def _their_optimizer(ours: Optimization, params: list[np.ndarray]) -> SGDOptimizer | AdamOptimizer:
    rule: Any = ours.optimizer
    state: Any = ours.state
    if isinstance(rule, SGD):
        theirs = SGDOptimizer(params, ours.first_rate, ours.kind, rule.momentum, rule.nesterov, ours.power_t)
        theirs.learning_rate = ours.learning_rate
        if rule.momentum:
            theirs.velocities = _by_kind(state.optimizer.velocity)
        return theirs
    theirs = AdamOptimizer(params, ours.first_rate, rule.beta_1, rule.beta_2, rule.epsilon)
    theirs.ms, theirs.vs, theirs.t = _by_kind(state.optimizer.m), _by_kind(state.optimizer.v), int(to_host(state.t))
    return theirs
