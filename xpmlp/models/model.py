"""A trained model: the network with its weights, and all that it takes to predict from raw features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.backends import get_backend
from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features
from xpmlp.nn.network import Layer, fprop

if TYPE_CHECKING:
    from xpmlp.backends import Backend
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.nn.network import Network

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """A trained classifier, held on the host: it predicts on any backend, whichever one trained it.

    Attributes
    ----------
    network : Network
        The architecture.
    layers : list of Layer
        The weights, as NumPy arrays in the dtype of training.
    classes : ndarray of shape (m,)
        The label that each output stands for.
    scaling : Scaling
        What was done to the features in training.
    feature_names : tuple of str, optional
        The columns of the training data, where they had names.
    class_names : tuple of str, optional
        What to call the classes, where the labels are mere numbers.
    """

    network: Network
    layers: list[Layer]
    classes: np.ndarray
    scaling: Scaling
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None

    @property
    def dtype(self) -> str:
        """The floating dtype of the weights."""
        return str(self.layers[0].W.dtype)

    def check(self, X: np.ndarray) -> None:
        """Check raw features, (n, d).

        Raises
        ------
        InputError
            For another number of features than in training, and for NaN or infinite values.
        """
        if not isinstance(X, np.ndarray):
            raise InputError(f"X is {type(X).__name__}, but must be a NumPy array with the features in order.")
        check_features(X, "X", self.feature_names)
        self.check_count(X.shape[1])

    def check_count(self, d: int) -> None:
        """Raise an `InputError` for another number of features than in training."""
        expected = self.network.sizes[0]
        if d != expected:
            raise InputError(f"X has {d} features, but the model was trained on {expected}.")

    def prepare(self, X: np.ndarray, dtype: str) -> np.ndarray:
        """Scale raw features, (n, d), as in training, into `dtype`; raises as `check`."""
        self.check(X)
        return self.scaling.apply(X, dtype)

    def predict_proba(self, X: np.ndarray, backend: Backend | None = None) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : ndarray of shape (n, d)
            Raw features, as in the training data.
        backend : Backend, optional
            Where to compute; NumPy by default.

        Returns
        -------
        ndarray of shape (n, m)
            In the dtype of the backend; each row sums to 1.

        Raises
        ------
        InputError
            As `prepare`.
        """
        backend = backend or get_backend("numpy", dtype=self.dtype)
        prepared = self.prepare(X, backend.dtype)
        chunks = []
        with backend.computing(f"{self.network}, to predict", "fewer examples at a time"):
            layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in self.layers]
            for start in range(0, prepared.shape[0], backend.rows_at_a_time):
                rows = backend.asarray(prepared[start : start + backend.rows_at_a_time])
                chunks.append(backend.to_numpy(fprop(backend.xp, self.network, layers, rows).a[-1]))
        return np.concatenate(chunks)

    def predict(self, X: np.ndarray, backend: Backend | None = None) -> np.ndarray:
        """Return the most probable class of each row, (n,); parameters as for `predict_proba`."""
        predicted: np.ndarray = self.classes[np.argmax(self.predict_proba(X, backend), axis=1)]
        return predicted
