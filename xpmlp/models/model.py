"""A trained model: the network with its weights, and all that it takes to predict from raw features."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends import BACKENDS, Backend, get_backend
from xpmlp.common.errors import InputError
from xpmlp.common.validation import beyond_range, check_features
from xpmlp.data.features import features_to_numpy
from xpmlp.nn.network import Layer, fprop

if TYPE_CHECKING:
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.nn.network import Network


@dataclass(frozen=True, repr=False)
class Model:
    """A trained classifier, held on the host: it predicts on any backend, whichever one trained it.

    It takes raw features, (n, d): an array of NumPy, CuPy, torch or JAX on any device, a frame of pandas or Polars, or
    nested lists. It returns arrays of NumPy, whatever it is given.

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

    def __repr__(self) -> str:
        network = self.network
        sizes, names = "-".join(map(str, network.sizes)), ", ".join(each.name for each in network.activations)
        return (
            f"<Model {sizes} of {network.n_parameters:,} parameters in {self.dtype}, "
            f"activations {names or 'none'}, loss {network.loss.name}, {len(self.classes)} classes>"
        )

    def _repr_html_(self) -> str:
        """Return a table of the layers, as a notebook shows it."""
        network = self.network
        names = [*(activation.name for activation in network.activations), f"output of loss {network.loss.name}"]
        heads = ("layer", "inputs", "dropout", "units", "activation", "parameters")
        rows = [
            (number, f"{n:,}", f"{rate:g}", f"{m:,}", escape(name), f"{(n + 1) * m:,}")
            for number, ((n, m), rate, name) in enumerate(zip(network.shapes, network.dropout, names, strict=True), 1)
        ]
        table = [
            f"<th>{'</th><th>'.join(heads)}</th>",
            *(f"<td>{'</td><td>'.join(map(str, row))}</td>" for row in rows),
        ]
        return f"<p>{escape(repr(self))}</p><table><tr>{'</tr><tr>'.join(table)}</tr></table>"

    def check(self, X: np.ndarray) -> None:
        """Check raw features, (n, d).

        Raises
        ------
        InputError
            For another number of features than in training, and for NaN or infinite values.
        """
        check_features(X, "X", self.feature_names)
        self.check_count(X.shape[1])

    def check_count(self, d: int) -> None:
        """Raise an `InputError` for another number of features than in training."""
        expected = self.network.sizes[0]
        if d != expected:
            raise InputError(f"X has {d} features, but the model was trained on {expected}.")

    def prepare(self, X: Any, dtype: str) -> np.ndarray:
        """Scale raw features, (n, d), as in training, into an array of NumPy in `dtype`; raises as `predict_proba`."""
        features = features_to_numpy(X, self.feature_names)
        self.check(features)
        prepared = self.scaling.apply(features, dtype)
        if features.dtype.kind == "f" and not np.isfinite([prepared.min(), prepared.max()]).all():
            raise beyond_range("X", features.min(), features.max(), dtype)
        return prepared

    def predict_proba(self, X: Any, backend: Backend | str | None = None) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        X : array, tensor, frame or nested lists, (n, d)
            Raw features, as in the training data. Where the training data and the columns of a frame have names,
            columns are taken by name, and others are left alone; else they have to be in the order of training.
        backend : Backend or str, optional
            Where to compute: a backend, or the name of one, which is opened in the dtype of the weights. NumPy by
            default, whatever library `X` is of.

        Returns
        -------
        ndarray of shape (n, m)
            On the host, in the dtype of the backend; each row sums to 1.

        Raises
        ------
        InputError
            For another number of features than in training, columns that are missing, values that are not numbers,
            NaN, infinite or beyond the backend's dtype, and for anything that is not one of these kinds of `X` and
            `backend`.
        BackendError
            Where the backend named cannot be used.
        """
        backend = _opened(backend, self.dtype)
        prepared = self.prepare(X, backend.dtype)
        chunks = []
        with backend.computing(f"{self.network}, to predict", "fewer examples at a time"):
            layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in self.layers]
            for start in range(0, prepared.shape[0], backend.rows_at_a_time):
                rows = backend.asarray(prepared[start : start + backend.rows_at_a_time])
                chunks.append(backend.to_numpy(fprop(backend.xp, self.network, layers, rows).a[-1]))
        return np.concatenate(chunks)

    def predict(self, X: Any, backend: Backend | str | None = None) -> np.ndarray:
        """Return the most probable class of each row, an array of NumPy, (n,); the rest is as for `predict_proba`."""
        predicted: np.ndarray = self.classes[np.argmax(self.predict_proba(X, backend), axis=1)]
        return predicted


def _opened(backend: object, dtype: str) -> Backend:
    if isinstance(backend, Backend):
        return backend
    if backend is None or isinstance(backend, str):
        return get_backend("numpy" if backend is None else backend, dtype=dtype)
    kind, known = type(backend).__name__, ", ".join(BACKENDS)
    raise InputError(f"backend is {kind}, but must be a Backend, or the name of one: {known}.")
