"""Hidden features: the activations of any layer, as a transformer of scikit-learn gives them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpmlp.estimators._compat import check_feature_names_in, in_container

if TYPE_CHECKING:
    from xpmlp.backends import Backend
    from xpmlp.common.types import Array


class HiddenFeatures(ABC):
    """Features of any layer, with their names; apart, as scikit-learn wraps `transform` in subclasses of its own.

    There, all columns would have the names of one layer.
    """

    coefs_: list[np.ndarray]
    n_layers_: int

    @abstractmethod
    def _forward(self, X: Any, method: str, layer: int = -1) -> tuple[Backend, Array]:
        """Return the caller's backend, and there the activations of a layer, (n, units)."""

    def transform(self, X: Any, layer: int = -2) -> np.ndarray:
        """Return the activations of a layer: features that the network has learnt.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.
        layer : int
            0 for the input, 1 for the first hidden layer, -1 for the output, -2 for the last hidden layer.

        Returns
        -------
        array of shape (n, units)
            Of X's library, on its device; a frame where `set_output` asks for one.

        Raises
        ------
        IndexError
            For a layer that the network does not have.
        """
        self._check_layer(layer)
        features = self._forward(X, "transform", layer)[1]
        named = object.__new__(type(self))
        vars(named).update(vars(self), get_feature_names_out=partial(self.get_feature_names_out, layer=layer))
        result: np.ndarray = in_container("transform", features, X, named)
        return result

    def get_feature_names_out(self, input_features: Any = None, layer: int = -2) -> np.ndarray:
        """Return the names of the columns of `transform`.

        Parameters
        ----------
        input_features : array-like of str, optional
            The names of X's columns, for the input layer; those of the fit by default.
        layer : int
            As for `transform`.

        Returns
        -------
        ndarray of str
            The name of the class with a number; for the input layer, the names of X's columns.
        """
        self._check_layer(layer)
        names_in: np.ndarray = check_feature_names_in(self, input_features)
        if layer in {0, -self.n_layers_}:
            return names_in
        units = [names_in.shape[0], *(W.shape[1] for W in self.coefs_)][layer]
        return np.array([f"{type(self).__name__.lower()}{unit}" for unit in range(units)], dtype=object)

    def _check_layer(self, layer: int) -> None:
        check_is_fitted(self)
        if not -self.n_layers_ <= layer < self.n_layers_:
            raise IndexError(f"layer is {layer}, but the network has {self.n_layers_}: 0 to {self.n_layers_ - 1}.")
