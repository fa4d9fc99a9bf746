"""scikit-learn's estimators with the arguments of ours that can be said in its words.

They let one program run on both: `class_weight` becomes sample weights, and validation data the rows that early stopping
holds out, as docs/estimators.md defines them; `to_sklearn` and `from_sklearn` change nothing; `device` is not heeded.
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
    from collections.abc import Callable, Iterator

__all__ = ["MLPClassifier", "MLPRegressor", "nudged"]

SPLIT = "sklearn.neural_network._multilayer_perceptron.train_test_split"
_nudge: int | None = None  # of the initial weights that are drawn now


@contextlib.contextmanager
def nudged(seed: int) -> Iterator[None]:
    """Move each initial weight and bias by its rounding error, up or down: what then changes is what rounding decides."""
    global _nudge  # noqa: PLW0603 - the estimators are made by a program, which knows nothing of it
    _nudge = seed
    try:
        yield
    finally:
        _nudge = None


class Extended:
    """The methods that take more than scikit-learn's, before its own in the order of resolution."""

    def _init_coef(self: Any, fan_in: int, fan_out: int, dtype: Any) -> tuple[np.ndarray, ...]:
        drawn = super()._init_coef(fan_in, fan_out, dtype)  # type: ignore[misc] # of scikit-learn's class
        if _nudge is None:
            return drawn
        signs = np.random.default_rng([_nudge, fan_in, fan_out])
        step = np.finfo(dtype).eps
        return tuple((p * (1 + step * signs.choice([-1, 1], p.shape))).astype(dtype) for p in drawn)

    def fit(
        self: Any,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        weights = self._of_classes(y, sample_weight)
        if X_val is None:
            return super().fit(X, y, weights)  # type: ignore[misc] # as above

        def held_out(*arrays: Any, **_: Any) -> list[Any]:
            given = self._as_validated(X_val, y_val, sample_weight_val)
            return [part for pair in zip(arrays, given, strict=False) for part in pair]

        with mock.patch(SPLIT, held_out):
            super().fit(X, y, weights)  # type: ignore[misc] # as above
        if not self.early_stopping:
            self._as_validated(X_val, y_val, sample_weight_val)
        return self

    def _partial_fit(self: Any, X: Any, y: Any, sample_weight: Any = None, **classes: Any) -> Self:
        return super().partial_fit(X, y, self._of_classes(y, sample_weight), **classes)  # type: ignore[misc] # as above

    partial_fit = available_if(lambda estimator: estimator.solver != "lbfgs")(_partial_fit)

    def _of_classes(self: Any, y: Any, weights: Any) -> Any:
        """Multiply weights by those of the classes; a class that is not named counts 1."""
        chosen = getattr(self, "class_weight", None)
        if chosen is None:
            return weights
        if isinstance(chosen, dict):
            of_classes = np.array([chosen.get(label, 1.0) for label in np.ravel(y).tolist()])
        else:
            of_classes = compute_sample_weight(chosen, y)
        return of_classes if weights is None else of_classes * np.asarray(weights)

    def _as_validated(self: Any, X: Any, y: Any, weights: Any) -> tuple[Any, np.ndarray, np.ndarray]:
        X = validate_data(self, X, accept_sparse=["csr", "csc"], reset=False, dtype=self.coefs_[0].dtype)
        if hasattr(self, "classes_"):
            y = check_array(y, ensure_2d=False, accept_sparse=True, dtype=None)
            y = column_or_1d(y) if y.ndim == 2 and y.shape[1] == 1 else y
            if y.ndim == 1 and set(np.unique(y)) - set(self.classes_):
                raise ValueError("There are classes that y did not have.")
            T = self._label_binarizer.transform(y).astype(bool)
        else:
            T = check_array(y, ensure_2d=False, accept_sparse=False, dtype=float)
            T = T.reshape(-1, 1) if T.ndim == 1 else T
        check_consistent_length(X, T)
        if T.shape[1] != self.n_outputs_:
            raise ValueError("y has another number of outputs.")
        T = T[:, 0] if not hasattr(self, "classes_") and T.shape[1] == 1 else T
        return X, T, _check_sample_weight(weights, X)

    def to_sklearn(self) -> Self:
        return self

    @classmethod
    def from_sklearn(cls, estimator: Any) -> Any:
        return estimator


def _extended(base: type, **more: Any) -> Callable[..., None]:
    """Return an ``__init__`` with more parameters than scikit-learn's."""

    def __init__(self: Any, **given: Any) -> None:
        for name, default in more.items():
            setattr(self, name, given.pop(name, default))
        base.__init__(self, **given)  # type: ignore[misc] # its own

    own = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value) for name, value in more.items()]
    __init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined] # what get_params reads
        [*inspect.signature(base.__init__).parameters.values(), *own]  # type: ignore[misc] # as above
    )
    return __init__


class MLPClassifier(Extended, neural_network.MLPClassifier):
    """scikit-learn's, with class weights and validation data."""

    __init__ = _extended(neural_network.MLPClassifier, class_weight=None, device=None)


class MLPRegressor(Extended, neural_network.MLPRegressor):
    """scikit-learn's, with validation data."""

    __init__ = _extended(neural_network.MLPRegressor, device=None)
