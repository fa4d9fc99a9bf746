"""What the estimators' parameters may be, in the one table that scikit-learn reads."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils._param_validation import Interval, Options, StrOptions

from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.initializers import INITIALIZERS
from xpmlp.nn.schedules import SCHEDULES

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONSTRAINTS", "SOLVERS", "keep_parameters", "positive"]

SOLVERS = ("lbfgs", "sgd", "adam", "adamw")

_not_negative = Interval(Real, 0, None, closed="left")
positive = Interval(Real, 0, None, closed="neither")
_share = Interval(Real, 0, 1, closed="left")
_count = Interval(Integral, 1, None, closed="left")

CONSTRAINTS: dict[str, list[Any]] = {
    "hidden_layer_sizes": ["array-like", _count],
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, list, tuple],
    "solver": [StrOptions(set(SOLVERS))],
    "alpha": [_not_negative],
    "batch_size": [StrOptions({"auto"}), _count],
    "learning_rate": [StrOptions({"constant", "invscaling", "adaptive"})],
    "learning_rate_init": [positive],
    "power_t": [_not_negative],
    "max_iter": [_count],
    "shuffle": ["boolean"],
    "random_state": ["random_state"],
    "tol": [_not_negative],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "momentum": [Interval(Real, 0, 1, closed="both")],
    "nesterovs_momentum": ["boolean"],
    "early_stopping": ["boolean"],
    "validation_fraction": [_share],
    "beta_1": [_share],
    "beta_2": [_share],
    "epsilon": [positive],
    "n_iter_no_change": [_count, Options(Real, {np.inf})],
    "max_fun": [_count],
    "l1": [_not_negative, "array-like"],
    "l2": [_not_negative, "array-like"],
    "dropout": [_share, "array-like"],
    "input_dropout": [_share],
    "weight_decay": [_not_negative],
    "schedule": [StrOptions(set(SCHEDULES)), None],
    "init": [StrOptions({"auto", *INITIALIZERS})],
    "scoring": [str, callable, None],
    "stratify_validation": ["boolean"],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "device": [str, None],
}


def keep_parameters(estimator: Any, given: Mapping[str, Any]) -> None:
    """Set every argument of a constructor as the attribute of its name, as scikit-learn asks, unchecked."""
    for name, value in given.items():
        if name not in {"self", "__class__"}:
            setattr(estimator, name, value)
