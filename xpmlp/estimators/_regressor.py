"""`MLPRegressor`."""

from __future__ import annotations

import inspect
import warnings
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import column_or_1d

from xpmlp.common.errors import XpmlpWarning
from xpmlp.estimators._base import BaseMLP
from xpmlp.estimators._inspection import InspectionMixin
from xpmlp.estimators._losses import mean_squared
from xpmlp.estimators._parameters import CONSTRAINTS, keep_parameters, positive
from xpmlp.estimators._places import to_host
from xpmlp.nn.losses import LOSSES, huber, quantile
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from xpmlp.nn.losses import Loss

__all__ = ["MLPRegressor"]

LOSS_NAMES = ("squared_error", "poisson", "huber", "absolute_error", "quantile")


class MLPRegressor(InspectionMixin, RegressorMixin, BaseMLP):
    """scikit-learn's `MLPRegressor`, for arrays of any library, on any of their devices.

    The parameters, methods and attributes of `sklearn.neural_network.MLPRegressor` (1.9) mean the same here, and with
    NumPy's arrays and the same ``random_state`` the fitted model is the same. What follows is what there is beside
    them; docs/estimators.md has the whole list.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "absolute_error", "quantile"}
        The last three are not in scikit-learn: Huber's loss with ``huber_threshold``, the absolute error, whose minimum
        is a median, and the pinball loss of ``quantile``.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn.
    huber_threshold : float
        The error from which on Huber's loss grows linearly.
    quantile : float
        The share of the targets that lie below the prediction of loss "quantile".
    l1, l2, dropout, input_dropout, weight_decay, schedule, init, scoring, stratify_validation, dtype, device
        As in `MLPClassifier`; ``scoring`` is the coefficient of determination by default.

    Attributes
    ----------
    coefs_, intercepts_, loss_, best_loss_, loss_curve_, validation_loss_curve_, validation_scores_, \
    best_validation_score_, n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As in `MLPClassifier`.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from xpmlp import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> model = MLPRegressor(loss="huber", solver="lbfgs", max_iter=2000, random_state=0).fit(X, y)
    >>> round(model.score(X, y), 2)
    1.0
    """

    _parameter_constraints: dict[str, list[Any]] = CONSTRAINTS | {
        "loss": [StrOptions(set(LOSS_NAMES))],
        "huber_threshold": [positive],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        loss: str = "squared_error",
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        huber_threshold: float = 1.0,
        quantile: float = 0.5,
        l1: Any = 0.0,
        l2: Any = 0.0,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        weight_decay: float = 0.01,
        schedule: str | None = None,
        init: str = "auto",
        scoring: Any = None,
        stratify_validation: bool = False,
        dtype: str | None = None,
        device: str | None = None,
    ) -> None:
        keep_parameters(self, locals())

    def _validate(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, np.ndarray]:  # noqa: ARG002
        for name, loss in (("quantile", "quantile"), ("huber_threshold", "huber")):
            default = inspect.signature(type(self).__init__).parameters[name].default
            if getattr(self, name) != default and self.loss != loss:
                message = (
                    f"{name} is {getattr(self, name)}, which is of loss {loss!r} alone; the loss is {self.loss!r}."
                )
                warnings.warn(message, XpmlpWarning, stacklevel=7)
        X, y = self._checked(X, y, reset=reset, y_numeric=True)
        return X, self._targets(X, y)

    def _targets(self, X: Any, y: Any) -> np.ndarray:  # noqa: ARG002 - the classifier's has to look at classes
        y = np.asarray(to_host(y), dtype=float)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y[:, None] if y.ndim == 1 else y

    def _loss_of(self, n_outputs: int) -> tuple[Loss, str]:
        if self.loss == "poisson":
            return LOSSES["poisson"], "exp"
        if self.loss == "huber":
            return huber(self.huber_threshold), "identity"
        if self.loss == "quantile":
            return quantile(self.quantile), "identity"
        if self.loss == "absolute_error":
            return LOSSES["absolute"], "identity"
        return mean_squared(n_outputs), "identity"

    def _labels(self, T: np.ndarray) -> np.ndarray:
        return T[:, 0] if T.shape[1] == 1 else T

    @staticmethod
    def _measure(y: Any, predicted: Any, *, sample_weight: Any) -> float:
        return r2_score(y, predicted, sample_weight=sample_weight)

    def predict(self, X: Any) -> Any:
        """Predict real numbers.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        array of shape (n,), or (n, m) for several outputs
            Of X's library, on its device.
        """
        place, a = self._forward(X, "predict", lambda xp, network, layers, X: fprop(xp, network, layers, X).a[-1])
        a = place.give(a)
        return a[:, 0] if a.shape[1] == 1 else a
