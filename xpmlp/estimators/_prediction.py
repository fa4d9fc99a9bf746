"""From examples to the outputs of a fitted network."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.utils import assert_all_finite, check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from xpmlp.estimators._places import dispatching, float_dtype, place_of
from xpmlp.nn.activations import Activation
from xpmlp.nn.network import Network
from xpmlp.training.scoring import outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array
    from xpmlp.estimators._places import Place
    from xpmlp.nn.losses import Loss

__all__ = ["PredictionMixin"]

FLOATS = (np.dtype("float32"), np.dtype("float64"))


class PredictionMixin:
    """How `BaseMLP` checks examples and passes them through its network."""

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "coefs_")

    def _checked_targets(self: Any, X: Any, y: Any) -> np.ndarray:
        """Check the targets of examples other than those of the fit, which `_targets` does not."""
        T = self._targets(X, y)
        check_consistent_length(X, T)
        assert_all_finite(T)
        if T.shape[1] != self.n_outputs_:
            raise ValueError(f"The targets have {T.shape[1]} outputs, but the network has {self.n_outputs_}.")
        return T

    def _validated(self: Any, X: Any) -> Any:
        if _passes_as_it_is(X, self.n_features_in_) and not hasattr(self, "feature_names_in_"):
            return X
        return validate_data(self, X, accept_sparse=["csr", "csc"], reset=False)

    def _place_at(self: Any, X: Any, method: str) -> Place:
        place = place_of(X, self.device, float_dtype(self.coefs_[0]))
        self._check_namespace(X, method, place)
        return place

    def _check_namespace(self: Any, X: Any, method: str, place: Place) -> None:
        """Refuse examples of another library or device than the fitted weights', as scikit-learn does."""
        if not dispatching() or sparse.issparse(X):
            return
        fitted = self.coefs_[0]
        if not (place.home.holds(fitted) and place.home.on_device(fitted)):
            raise ValueError(
                f"Inputs passed to {type(self).__name__}.{method}() must use the same namespace and the same device as "
                f"those passed to fit(): these are of {place.home.name} on {place.home.device_name}. Move the "
                f"estimator with estimator.to('{place.home.name}:{place.home.device_name}')."
            )

    def _forward(self: Any, X: Any, method: str, of: Callable[..., Array]) -> tuple[Place, Array]:
        """Return ``of(xp, network, layers, X)`` for validated examples, where they are computed on."""
        check_is_fitted(self)
        X = self._validated(X)
        place = self._place_at(X, method)
        backend = place.backend
        network = self._fitted_network()
        with backend.computing(f"{network}, to predict {X.shape[0]:,} examples", "fewer examples at a time"):
            layers = place.layers(self.coefs_, self.intercepts_)
            return place, outputs(backend, lambda layers, X: of(backend.xp, network, layers, X), layers, place.bring(X))

    def _fitted_network(self: Any) -> Network:
        """Describe the network that the fitted weights are of."""
        sizes = (self.coefs_[0].shape[0], *(W.shape[1] for W in self.coefs_))
        loss, _ = self._loss_of(self.n_outputs_)
        names = (self.activation,) if isinstance(self.activation, str | Activation) else tuple(self.activation)
        activation = names if len(names) > 1 else names[0]
        if all(isinstance(name, str) for name in names):
            return _network(sizes, activation, loss)
        return _network.__wrapped__(sizes, activation, loss)  # functions of one's own: they may have no hash


@functools.lru_cache(maxsize=32)
def _network(sizes: tuple[int, ...], activation: Any, loss: Loss) -> Network:
    return Network.build(sizes[0], sizes[1:-1], sizes[-1], activation=activation, loss=loss)


def _passes_as_it_is(X: Any, n_features: int) -> bool:
    """Whether scikit-learn's validation, which takes longer than the network does for a row, would return X itself."""
    return (
        type(X) is np.ndarray
        and X.ndim == 2
        and X.dtype in FLOATS
        and X.shape[1] == n_features
        and X.shape[0] > 0
        and _is_finite(X)
    )


def _is_finite(X: np.ndarray) -> bool:
    """Whether the sum of X is finite: then X is, and where it is not, X may be."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))
