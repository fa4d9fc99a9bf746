"""`MLPRegressor`."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils.validation import column_or_1d

from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.estimators._base import BaseMLP, documented
from xpmlp.estimators._compat import Interval, StrOptions, fit_method
from xpmlp.estimators._losses import mean_squared
from xpmlp.estimators._parameters import CONSTRAINTS
from xpmlp.estimators._placement import Examples, to_host
from xpmlp.nn.activations import identity
from xpmlp.nn.losses import LOSSES, Loss, exponential, huber, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.nn.activations import Activation

LOSS_NAMES = {"squared_error", "poisson", "huber", "absolute_error", "quantile"}
OUTPUTS: dict[Any, str] = {identity: "identity", exponential: "exp"}  # scikit-learn's names


@documented
@dataclass(eq=False, repr=False)
class MLPRegressor(BaseMLP, RegressorMixin, BaseEstimator):
    """A multilayer perceptron that predicts real numbers, for arrays of any library, on any of their devices.

    It is scikit-learn's `sklearn.neural_network.MLPRegressor` (1.9) with more choices: with NumPy arrays and the same
    ``random_state``, the parameters that both have lead to the same model.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "absolute_error", "quantile"} or Loss, default="squared_error"
        What is minimised: half the squared error; half the Poisson deviance of counts, whose output is an exponential;
        Huber's loss with `huber_threshold`; the absolute error, whose minimum is the median; the pinball loss, whose
        minimum is the `quantile`; or an `xpmlp.Loss` of your own for real targets.
    {shared parameters}
    huber_threshold : float, default=1.0
        The error from which on the loss "huber" grows linearly.
    quantile : float, default=0.5
        The share of the targets, in (0, 1), that lie below the predictions of the loss "quantile".

    Attributes
    ----------
    {shared attributes}

    See Also
    --------
    MLPClassifier : The same for classes.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from xpmlp import MLPRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> model = MLPRegressor(loss="huber", solver="lbfgs", max_iter=2000, random_state=0).fit(X, y)
    >>> round(model.score(X, y), 2)
    1.0
    """

    loss: str | Loss = "squared_error"
    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: str | Activation | Sequence[str | Activation] = "relu"
    _: KW_ONLY
    huber_threshold: float = 1.0
    quantile: float = 0.5

    _parameter_constraints = CONSTRAINTS | {
        "loss": [StrOptions(LOSS_NAMES), Loss],
        "huber_threshold": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }
    _measure = staticmethod(r2_score)

    @fit_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take the steps of one epoch over some examples, from where the last call left off; arguments as for `fit`."""
        return self._fit(Examples(X, y, sample_weight), one_epoch=True)

    def _targets_to_fit(self, y: Any, *, one_epoch: bool) -> np.ndarray:  # noqa: ARG002 - the classifier's learns classes
        for name, loss in (("quantile", "quantile"), ("huber_threshold", "huber")):
            if getattr(self, name) != getattr(MLPRegressor, name) and self.loss != loss:
                message = f"{name} is {getattr(self, name)}, but only loss {loss!r} uses it; the loss is {self.loss!r}."
                warnings.warn(message, XpmlpWarning, stacklevel=6)
        if isinstance(self.loss, Loss) and self.loss.correct is not None:
            raise InputError(f"loss {self.loss.name!r} is for classes: take one for real targets, or MLPClassifier.")
        return self._targets(y)

    def _targets(self, y: Any) -> np.ndarray:
        y = np.asarray(to_host(y), dtype=float)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y[:, None] if y.ndim == 1 else y

    def _labels(self, T: np.ndarray) -> np.ndarray:
        return T[:, 0] if T.shape[1] == 1 else T

    def _output_loss(self) -> tuple[Loss, str]:
        losses = {
            "squared_error": mean_squared(self.n_outputs_),
            "poisson": LOSSES["poisson"],
            "huber": huber(self.huber_threshold),
            "absolute_error": LOSSES["absolute"],
            "quantile": quantile(self.quantile),
        }
        loss = self.loss if isinstance(self.loss, Loss) else losses[self.loss]
        return loss, OUTPUTS.get(loss.output, loss.name)

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
        _, a = self._forward(X, "predict")
        return self._labels(a)
