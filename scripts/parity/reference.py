"""scikit-learn's estimators with the arguments of ours that can be said in its words.

They let one program run on both: `class_weight` becomes sample weights, and validation data become the rows that early
stopping holds out, as docs/estimators.md defines them; `to_sklearn`, `from_sklearn` and `device` change nothing.
"""

from __future__ import annotations

import contextlib
import inspect
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import numpy as np
from sklearn import neural_network
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_array, validate_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["MLPClassifier", "MLPRegressor", "nudged"]

SPLIT = "sklearn.neural_network._multilayer_perceptron.train_test_split"
_rounding: tuple[np.random.Generator, float] | None = None  # what moves the numbers of a fit now, and how far


@contextlib.contextmanager
def nudged(seed: int, step: float) -> Iterator[None]:
    """Move each initial weight, activation and gradient by a relative `step`, up or down, as rounding might."""
    global _rounding  # noqa: PLW0603 - the estimators are made by a program, which knows nothing of it
    _rounding = np.random.default_rng(seed), step
    try:
        yield
    finally:
        _rounding = None


def _moved(arrays: Iterable[np.ndarray]) -> list[np.ndarray]:
    return list(arrays) if _rounding is None else [_up_or_down(a, *_rounding) for a in arrays]


def _up_or_down(a: np.ndarray, rng: np.random.Generator, step: float) -> np.ndarray:
    return (a * (1 + step * rng.choice([-1, 1], np.shape(a)))).astype(a.dtype)


class Extended:
    """The methods that take more than scikit-learn's, before its own in the order of resolution."""

    def _init_coef(self, *args: Any) -> tuple[np.ndarray, ...]:
        return tuple(_moved(super()._init_coef(*args)))

    def _forward_pass(self, activations: list[Any]) -> list[Any]:
        X, *others = super()._forward_pass(activations)
        return [X, *_moved(others)]

    def _backprop(self, *args: Any) -> tuple[float, list[np.ndarray], list[np.ndarray]]:
        loss, *gradients = super()._backprop(*args)
        if _rounding is not None:
            loss = _up_or_down(loss, _rounding[0], np.finfo(float).eps)  # in double precision, whatever X is in
        return loss, *map(_moved, gradients)

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Fit; with `X_val`, `y_val` and their weights, these are what early stopping watches."""
        weights = self._of_classes(y, sample_weight)
        if X_val is None:
            return super().fit(X, y, weights)

        def held_out(*arrays: Any, **_: Any) -> list[Any]:
            given = self._as_validated(X_val, y_val, sample_weight_val)
            return [part for pair in zip(arrays, given, strict=False) for part in pair]

        with mock.patch(SPLIT, held_out):
            super().fit(X, y, weights)
        if not self.early_stopping:
            self._as_validated(X_val, y_val, sample_weight_val)
        return self

    def _partial_fit(self, X: Any, y: Any, sample_weight: Any = None, **classes: Any) -> Self:
        return super().partial_fit(X, y, self._of_classes(y, sample_weight), **classes)

    partial_fit = available_if(lambda estimator: estimator.solver != "lbfgs")(_partial_fit)

    def _of_classes(self, y: Any, weights: Any) -> Any:
        """Multiply weights by those of the classes; a class that is not named counts 1."""
        chosen = getattr(self, "class_weight", None)
        if chosen is None:
            return weights
        if isinstance(chosen, dict):
            of_classes = np.array([chosen.get(label, 1.0) for label in np.ravel(y).tolist()])
        else:
            of_classes = compute_sample_weight(chosen, y)
        return of_classes if weights is None else of_classes * np.asarray(weights)

    def _as_validated(self, X: Any, y: Any, weights: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False, dtype=self.coefs_[0].dtype)
        if hasattr(self, "classes_"):
            y = check_array(y, ensure_2d=False, accept_sparse=True, dtype=None)
            y = column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y
            if y.ndim == 1 and set(np.unique(y)) - set(self.classes_):
                raise ValueError("There are classes that y did not have.")
            T = self._label_binarizer.transform(y).astype(bool)
        else:
            T = check_array(y, ensure_2d=False, dtype=float)
            T = column_or_1d(T, warn=True) if T.ndim == 2 and T.shape[1] == 1 else T
            T = T.reshape(-1, 1) if T.ndim == 1 else T
        check_consistent_length(X, T)
        if T.shape[1] != self.n_outputs_:
            raise ValueError("y has another number of outputs.")
        T = T[:, 0] if not hasattr(self, "classes_") and T.shape[1] == 1 else T
        return X, T, _check_sample_weight(weights, X)

    def to_sklearn(self) -> Self:
        """Return itself."""
        return self

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        """Return what is given."""
        return estimator


def _initializer(base: type, **more: Any) -> Callable[..., None]:
    """Return an ``__init__`` with more parameters than that of `base`."""

    def initialize(self: Any, **given: Any) -> None:
        for name, default in more.items():
            setattr(self, name, given.pop(name, default))
        base.__init__(self, **given)

    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in more.items()]
    theirs = inspect.signature(base.__init__).parameters.values()
    initialize.__signature__ = inspect.Signature([*theirs, *own])  # which `get_params` reads
    return initialize


class MLPClassifier(Extended, neural_network.MLPClassifier):
    """scikit-learn's, with class weights and validation data."""

    __init__ = _initializer(neural_network.MLPClassifier, class_weight=None, device=None)


class MLPRegressor(Extended, neural_network.MLPRegressor):
    """scikit-learn's, with validation data."""

    __init__ = _initializer(neural_network.MLPRegressor, device=None)
