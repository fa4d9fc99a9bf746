"""`MLPClassifier`."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from xpmlp.estimators._base import BaseMLP, documented
from xpmlp.estimators._compat import StrOptions, fit_method
from xpmlp.estimators._losses import bounded_logistic, bounded_softmax
from xpmlp.estimators._parameters import CONSTRAINTS, MINIBATCH_SOLVERS
from xpmlp.estimators._placement import Examples, dispatching, labels_in, library_of, to_host

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sklearn.utils import Tags

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss


@documented
@dataclass(eq=False, repr=False)
class MLPClassifier(BaseMLP, ClassifierMixin, BaseEstimator):
    """A multilayer perceptron that predicts classes or labels, for arrays of any library, on any of their devices.

    It is scikit-learn's `sklearn.neural_network.MLPClassifier` (1.9) with more choices: with NumPy arrays and the same
    ``random_state``, the parameters that both have lead to the same model. The loss is the cross-entropy.

    Parameters
    ----------
    {shared parameters}
    class_weight : dict, "balanced" or None, default=None
        What the examples of each class count: by class, 1 where it is not named; "balanced" is n divided by the number
        of classes and by the examples of the class. None: all count 1.

    Attributes
    ----------
    classes_ : array
        The classes in order, or the numbers of the labels; of y's library where they are numbers.
    {shared attributes}

    See Also
    --------
    MLPRegressor : The same for real numbers.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(hidden_layer_sizes=(64,), dropout=0.2, random_state=0).fit(X / 16, y)
    >>> model.predict(X[:3] / 16)
    array([0, 1, 2])
    """

    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: str | Activation | Sequence[str | Activation] = "relu"
    _: KW_ONLY
    class_weight: Mapping[Any, float] | str | None = None

    _parameter_constraints = CONSTRAINTS | {"class_weight": [dict, StrOptions({"balanced"}), None]}
    _measure = staticmethod(accuracy_score)

    # Fitting.

    def _check_solver(self) -> bool:
        if self.solver not in MINIBATCH_SOLVERS:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @available_if(lambda estimator: estimator._check_solver())  # noqa: SLF001 - its own
    @fit_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None) -> Self:
        """Take the steps of one epoch over some examples, from where the last call left off.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array of shape (n_classes,), optional
            All classes that will ever come; needed in the first call.

        Returns
        -------
        self
            Fitted further.
        """
        if self.class_weight == "balanced":
            raise ValueError(
                "class_weight 'balanced' is not for partial_fit, which sees a part of the examples: give a dict, such "
                "as compute_class_weight('balanced', classes=classes, y=y) of scikit-learn computes from all of them."
            )
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if known is None:
            multilabel = type_of_target(to_host(y)).startswith("multilabel")
            self._learn_classes(y if multilabel else classes, like=classes)
        elif classes is not None and not np.array_equal(to_host(known), unique_labels(to_host(classes))):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")
        return self._fit(Examples(X, y, sample_weight), one_epoch=True)

    def _targets_to_fit(self, y: Any, *, one_epoch: bool) -> np.ndarray:
        labels = self._flat(y)
        if not hasattr(self, "classes_") or not (self.warm_start or one_epoch):
            self._learn_classes(labels, like=y)
        else:
            self._check_classes(unique_labels(labels))
        return self._binarized(labels)

    def _targets(self, y: Any) -> np.ndarray:
        labels = self._flat(y)
        unknown = np.setdiff1d(unique_labels(labels), to_host(self.classes_))
        if unknown.size:
            raise ValueError(f"There are classes that `y` in fit did not have: {unknown.tolist()}.")
        return self._binarized(labels)

    @staticmethod
    def _flat(y: Any) -> Any:
        y = to_host(y)
        return column_or_1d(y, warn=True) if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 else y

    def _binarized(self, labels: Any) -> np.ndarray:
        T = self._label_binarizer.transform(labels)
        return (T.toarray() if sparse.issparse(T) else T).astype(bool)

    def _learn_classes(self, labels: Any, *, like: Any) -> None:
        """Learn the classes; they are an array of the library of `like`, as in scikit-learn, and strings NumPy's."""
        self._label_binarizer = LabelBinarizer().fit(to_host(labels))
        self.classes_ = labels_in(library_of(like) if dispatching() else None, self._label_binarizer.classes_)

    def _check_classes(self, classes: np.ndarray) -> None:
        known = to_host(self.classes_)
        if self.warm_start:
            if set(classes) != set(known):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                    f"Previously got {known}, `y` has {classes}"
                )
        elif len(np.setdiff1d(classes, known, assume_unique=True)):
            raise ValueError(f"`y` has classes not in `self.classes_`. `self.classes_` has {known}. 'y' has {classes}.")

    def _weights_of(self, y: Any, weights: np.ndarray | None) -> np.ndarray | None:
        if self.class_weight is None:
            return weights
        of_classes: np.ndarray = compute_sample_weight(self.class_weight, self._flat(y))
        return of_classes if weights is None else weights * of_classes

    def _output_loss(self) -> tuple[Loss, str]:
        loss = bounded_softmax if self._label_binarizer.y_type_ == "multiclass" else bounded_logistic
        return loss, loss.name

    def _labels(self, T: np.ndarray) -> Any:
        return self._label_binarizer.inverse_transform(T[:, 0] if self.n_outputs_ == 1 else T)

    # Predicting.

    def predict(self, X: Any) -> Any:
        """Predict classes.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        array of shape (n,), or (n, m) for labels
            Classes, or indicators of labels; arrays of X's library where classes are numbers.
        """
        caller, a = self._forward(X, "predict")
        xp, classes = caller.xp, labels_in(caller, self._label_binarizer.classes_)
        on_host = isinstance(classes, np.ndarray)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._labels(to_host(a)) if on_host else xp.astype(a > 0.5, xp.int64)
        if self.n_outputs_ > 1:
            chosen = xp.argmax(a, axis=1)
        else:
            chosen = xp.astype(a[:, 0] > 0.5, xp.int64) * (classes.shape[0] - 1)  # always 0 where there is one class
        return classes[to_host(chosen)] if on_host else xp.take(classes, chosen, axis=0)

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class, (n, n_classes), or of each label; parameters as for `predict`."""
        _, p = self._probabilities(X, "predict_proba")
        return p

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities, -inf where these round to 0; parameters as for `predict`."""
        xp, p = self._probabilities(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return xp.log(p)

    def _probabilities(self, X: Any, method: str) -> tuple[Namespace, Array]:
        """Return the caller's namespace, and there the probability of each class or label."""
        caller, p = self._forward(X, method)
        return caller.xp, caller.xp.concat([1.0 - p, p], axis=1) if p.shape[1] == 1 else p

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
