"""Held-out examples: where they come from, and what is measured on them after each epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.base import is_classifier
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from xpmlp.common.errors import InputError
from xpmlp.data.examples import Examples
from xpmlp.estimators._places import to_host
from xpmlp.nn.network import fprop
from xpmlp.training.scoring import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.common.types import Array
    from xpmlp.estimators._places import Place
    from xpmlp.nn.network import Layer, Network
    from xpmlp.training import Trainer

__all__ = ["ValidationMixin", "column", "picked"]


class ValidationMixin:
    """How `BaseMLP` holds examples out."""

    if TYPE_CHECKING:  # what `BaseMLP` has: an annotated self does not reach into nested functions
        scoring: Any
        _labels: Any
        _measure: Any

    def _watched(self: Any) -> str:
        if not self.early_stopping:
            return "training loss"
        return "validation loss" if self.scoring == "loss" else "validation score"

    def _split(self: Any, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hold out a share of the examples: the rows to train on, and the others, as scikit-learn draws them."""
        stratify = T if is_classifier(self) and T.shape[1] == 1 else None
        if self.stratify_validation and is_classifier(self) and self.out_activation_ == "softmax":
            stratify = T.argmax(axis=1)
        rows, val_rows = train_test_split(
            np.arange(T.shape[0]),
            random_state=self._random_state,
            test_size=self.validation_fraction,
            stratify=stratify,
        )
        if val_rows.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return rows, val_rows

    def _held_out(
        self: Any, place: Place, X_fit: Any, X: Any, y: Any, weights: Any
    ) -> tuple[Examples, np.ndarray, Any]:
        X = self._validated(X)
        if sparse.issparse(X) and not sparse.issparse(X_fit):
            raise InputError("X_val is sparse, but X is not: give both in the same form.")
        if not (place.home.holds(X) and place.home.on_device(X)):
            raise ValueError(
                "X_val must use the same namespace and the same device as X, which is of "
                f"{place.home.name} on {place.home.device_name}."
            )
        T = self._checked_targets(X, y)
        weights = self._weights_of(y, None if weights is None else self._checked_weights(weights, X.shape[0]))
        return Examples(place.bring(X), place.backend.asarray(T), column(place, weights)), T, X

    def _on_numpy(self: Any, place: Place, layers: Sequence[Layer]) -> Any:
        """Return an estimator with these weights that computes where this one does, but takes and gives NumPy's arrays.

        Few of scikit-learn's scorers take arrays of another library.
        """
        now = object.__new__(type(self))
        now.__dict__.update(self.__dict__, **self._as_fitted(place, layers))
        if place.home.name != "numpy":
            now.device = f"{place.home.name}:{place.home.device_name}"
            now.coefs_, now.intercepts_ = ([to_host(p) for p in arrays] for arrays in (now.coefs_, now.intercepts_))
            if is_classifier(self):
                now.classes_ = to_host(self.classes_)
        return now

    def _measurement(
        self: Any, place: Place, network: Network, examples: Examples, T: np.ndarray, X: Any
    ) -> Callable[[Trainer], tuple[float, float | None]]:
        """Return ``measure(trainer)``: the mean loss of held-out examples, and their score where that is watched."""
        backend = place.backend
        xp = backend.xp
        X_val, T_val, weights = examples
        host_weights = None if weights is None else to_host(weights)[:, 0]
        size = float(X_val.shape[0] if host_weights is None else host_weights.sum())
        forward = backend.compile(lambda layers, X: fprop(xp, network, layers, X).u)

        labels = self._labels(T)
        scored = self._watched() == "validation score"

        def measure(trainer: Trainer) -> tuple[float, float | None]:
            with backend.computing():
                u = outputs(backend, forward, trainer.layers, X_val)
                loss = float(backend.to_numpy(network.loss.value(xp, u, T_val, weights))) / size
                a = backend.to_numpy(network.loss.output(xp, u)) if scored and self.scoring is None else None
            return loss, score(trainer, a) if scored else None

        def score(trainer: Trainer, a: np.ndarray | None) -> float:
            if a is None:
                now = self._on_numpy(place, trainer.copy_layers())
                given = {} if weights is None else {"sample_weight": host_weights}
                return float(check_scoring(now, self.scoring)(now, to_host(X), labels, **given))
            if not np.isfinite(a).all():
                return float("nan")
            return float(self._measure(labels, self._labels(a), sample_weight=host_weights))

        return measure


def column(place: Place, weights: np.ndarray | None) -> Array | None:
    return None if weights is None else place.backend.asarray(weights[:, None])


def picked(place: Place, examples: Examples, T: np.ndarray, rows: np.ndarray) -> tuple[Examples, np.ndarray, Any]:
    backend = place.backend
    indices = backend.asindex(rows)
    picked = [None if array is None else backend.xp.take(array, indices, axis=0) for array in examples]
    X = picked[0] if sparse.issparse(picked[0]) else place.give(picked[0])
    return Examples(*picked), T[rows], X
