"""`MLPClassifier` and `MLPRegressor`: what the targets mean, and which losses go with them."""

from __future__ import annotations

import warnings
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.data.examples import Examples
from xpmlp.estimators._base import BaseMLP, documented
from xpmlp.estimators._checks import accuracy
from xpmlp.estimators._compat import Interval, StrOptions, available_if, fit_method
from xpmlp.estimators._losses import OUTPUTS, bounded_logistic, bounded_softmax, mean_squared
from xpmlp.estimators._parameters import CONSTRAINTS, MINIBATCH_SOLVERS
from xpmlp.estimators._placement import dispatching, labels_in, library_of, to_host
from xpmlp.nn.losses import LOSSES, Loss, huber, quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.nn.activations import Activation


@documented
@dataclass(eq=False, repr=False)
class MLPClassifier(BaseMLP, ClassifierMixin, BaseEstimator):
    """A multilayer perceptron that predicts classes or labels, for arrays of any library, on any of their devices.

    It is scikit-learn's `sklearn.neural_network.MLPClassifier` (1.9) with more choices: with NumPy arrays and the same
    ``random_state``, the parameters that both have lead to the same model. The loss is the cross-entropy. For real
    numbers, there is `MLPRegressor`.

    Parameters
    ----------
    {shared parameters}
    class_weight : dict, list of dict, "balanced" or None, default=None
        What the examples of each class count; a class that is not named counts 1. "balanced": n, divided by the number
        of classes and by the examples of the class. For y of several labels, a list with a dict for each label, of
        what 0 and 1 count; an example counts the product.

    Attributes
    ----------
    classes_ : array
        The classes in order, or the numbers of the labels; of y's library where they are numbers.
    {shared attributes}

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
    class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None

    _parameter_constraints = CONSTRAINTS | {"class_weight": [dict, list, StrOptions({"balanced"}), None]}
    _measure = staticmethod(accuracy)

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
        X, y, sample_weight : array
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
                "class_weight 'balanced' needs all examples, but partial_fit sees some of them: give a dict, such as "
                "dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y))) with the y of all examples."
            )
        known = getattr(self, "classes_", None)
        if known is None and classes is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        if known is None:
            multilabel = type_of_target(to_host(y)).startswith("multilabel")
            self._learn_classes(y if multilabel else classes, like=classes)
        elif classes is not None and not np.array_equal(to_host(known), unique_labels(to_host(classes))):
            raise ValueError(f"`classes={classes!r}` is not the same as on last call to partial_fit, was: {known!r}")
        try:
            return self._fit(Examples(X, y, sample_weight), one_epoch=True)
        except Exception:
            if known is None and not self.__sklearn_is_fitted__():  # the next call is the first
                del self.classes_, self._label_binarizer
            raise

    def _targets_to_fit(self, y: Any, *, one_epoch: bool) -> np.ndarray:
        labels = self._as_vector(y)
        if not hasattr(self, "classes_") or not (self.warm_start or one_epoch):
            self._learn_classes(labels, like=y)
        else:
            self._check_classes(unique_labels(labels))
        return self._one_hot(labels)

    def _targets(self, y: Any) -> np.ndarray:
        labels = self._as_vector(y)
        unknown = np.setdiff1d(unique_labels(labels), to_host(self.classes_))
        if unknown.size:
            raise ValueError(f"y has classes that were not in the y of fit: {unknown.tolist()}.")
        return self._one_hot(labels)

    def _one_hot(self, labels: Any) -> np.ndarray:
        """Turn labels of known classes into truth values, (n, m): one column for two classes or one."""
        classes = self._label_binarizer.classes_
        if labels.ndim == 2:
            if not self._label_binarizer.y_type_.startswith("multilabel"):
                raise ValueError("The object was not fitted with multilabel input.")
            return (labels.toarray() if sparse.issparse(labels) else labels).astype(bool)
        codes = np.searchsorted(classes, labels)
        return codes[:, None] == (np.arange(len(classes)) if len(classes) > 2 else 1)

    @staticmethod
    def _as_vector(y: Any) -> Any:
        y = to_host(y)
        return column_or_1d(y, warn=True) if getattr(y, "ndim", 1) == 2 and y.shape[1] == 1 else y

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

    def _weights_to_fit(self, given: Examples, T: np.ndarray) -> np.ndarray | None:
        weights = super()._weights_to_fit(given, T)
        if self.class_weight is None:
            return weights
        of_classes = self._weights_by_class(T)[:, None]
        weights = of_classes if weights is None else weights * of_classes
        if not weights.any():
            raise ValueError("Sample weights must contain at least one non-zero number, times those of class_weight.")
        return weights

    def _weights_by_class(self, T: np.ndarray) -> np.ndarray:
        """Return what each example counts by its class, (n,); for labels, the product over them."""
        multilabel, named = self._label_binarizer.y_type_.startswith("multilabel"), self.class_weight
        codes = (T.argmax(axis=1)[:, None] if T.shape[1] > 1 and not multilabel else T).astype(int)
        if named == "balanced":
            return np.asarray(compute_sample_weight(named, codes))
        tables: list[Any] = named if isinstance(named, list) else [named]
        if isinstance(named, dict) == multilabel or len(tables) != codes.shape[1]:
            form = f"a list of {codes.shape[1]} dicts, one for each label" if multilabel else "one dict for all classes"
            raise ValueError(f"class_weight must be 'balanced' or {form}, but it is {named!r}.")
        classes = np.arange(2) if multilabel else to_host(self.classes_)
        factors = [_weight_of_each_class(table, classes)[column] for table, column in zip(tables, codes.T, strict=True)]
        return np.asarray(np.prod(factors, axis=0))

    def _output_loss(self) -> tuple[Loss, str]:
        loss = bounded_softmax if self._label_binarizer.y_type_ == "multiclass" else bounded_logistic
        return loss, loss.name

    def _score_outputs(self, a: np.ndarray, T: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        if self._label_binarizer.y_type_ == "multiclass":
            right = a.argmax(axis=1) == T.argmax(axis=1)
        else:
            right = ((a > 0.5) == T).all(axis=1) | (self.classes_.shape[0] == 1)
        return float(np.average(right, weights=sample_weight))

    def _labels(self, T: np.ndarray) -> Any:
        return self._label_binarizer.inverse_transform(T[:, 0] if self.n_outputs_ == 1 else T)

    def predict(self, X: Any) -> np.ndarray:
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
        return self._predicted(*self._forward(X, "predict"))

    def _predicted(self, caller: Backend, a: Array) -> Any:
        """Return the classes, or the indicators of labels, that outputs mean."""
        xp, classes = caller.xp, labels_in(caller, self._label_binarizer.classes_)
        on_host = isinstance(classes, np.ndarray)
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return self._labels(to_host(a)) if on_host else xp.astype(a > 0.5, xp.int64)
        if self.n_outputs_ > 1:
            chosen = xp.argmax(a, axis=1)
        else:
            chosen = xp.astype(a[:, 0] > 0.5, xp.int64) * (classes.shape[0] - 1)  # always 0 where there is one class
        return classes[to_host(chosen)] if on_host else xp.take(classes, chosen, axis=0)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the probability of each class, (n, n_classes), or of each label; parameters as for `predict`."""
        return self._probabilities(*self._forward(X, "predict_proba"))

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of the probabilities, -inf where these round to 0; parameters as for `predict`."""
        caller, p = self._forward(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return caller.xp.log(self._probabilities(caller, p))

    @staticmethod
    def _probabilities(caller: Backend, p: Array) -> Array:
        """Return the probability of each class or label: of two classes, the network gives that of the second."""
        return caller.xp.concat([1.0 - p, p], axis=-1) if p.shape[-1] == 1 else p

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


@documented
@dataclass(eq=False, repr=False)
class MLPRegressor(BaseMLP, RegressorMixin, BaseEstimator):
    """A multilayer perceptron that predicts real numbers, for arrays of any library, on any of their devices.

    It is scikit-learn's `sklearn.neural_network.MLPRegressor` (1.9) with more choices: with NumPy arrays and the same
    ``random_state``, the parameters that both have lead to the same model. For classes, there is `MLPClassifier`.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "absolute_error", "quantile", "gaussian"} or Loss, \
default="squared_error"
        What is minimised: half the squared error; half the Poisson deviance of counts, whose output is an exponential;
        Huber's loss with `huber_threshold`; the absolute error, whose minimum is the median; the pinball loss, whose
        minimum is the `quantile`; the negative log-likelihood of a Gaussian with a mean and a variance for each
        example, which `predict_std` tells (for targets that are about standardised: the variance is at least 1e-6); or
        an `xpmlp.Loss` of your own for real targets.
    {shared parameters}
    huber_threshold : float, default=1.0
        The error from which on the loss "huber" grows linearly.
    quantile : float, default=0.5
        The share of the targets, in (0, 1), that lie below the predictions of the loss "quantile".

    Attributes
    ----------
    {shared attributes}

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
        "loss": [StrOptions({"squared_error", "poisson", "huber", "absolute_error", "quantile", "gaussian"}), Loss],
        "huber_threshold": [Interval(Real, 0, None, closed="neither")],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
    }
    _measure = staticmethod(r2_score)

    @fit_method
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take the steps of one epoch over some examples, from where the last call left off; arguments as for `fit`."""
        return self._fit(Examples(X, y, sample_weight), one_epoch=True)

    def _targets_to_fit(self, y: Any, *, one_epoch: bool) -> np.ndarray:  # noqa: ARG002 - the classifier's learns classes
        return self._targets(y)

    def _check_choices(self) -> None:
        super()._check_choices()
        for name, loss in (("quantile", "quantile"), ("huber_threshold", "huber")):
            if getattr(self, name) != getattr(MLPRegressor, name) and self.loss != loss:
                message = f"{name} is {getattr(self, name)}, but only loss {loss!r} uses it; the loss is {self.loss!r}."
                warnings.warn(message, XpmlpWarning, stacklevel=6)
        if isinstance(self.loss, Loss) and self.loss.correct is not None:
            raise InputError(f"loss {self.loss.name!r} is for classes: use a loss for real targets, or MLPClassifier.")

    def _targets(self, y: Any) -> np.ndarray:
        y = (y.toarray() if sparse.issparse(y) else np.asarray(to_host(y))).astype(float, copy=False)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return y[:, None] if y.ndim == 1 else y

    def _score_outputs(self, a: np.ndarray, T: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        if not np.isfinite(a).all():
            return np.nan
        predicted = a[:, : self.n_outputs_]
        if T.shape[0] == 1:
            return float(r2_score(T, predicted))  # NaN, with a warning
        weights = 1.0 if sample_weight is None else sample_weight[:, None]
        errors = np.sum(weights * (T - predicted) ** 2, axis=0)
        spread = np.sum(weights * (T - np.average(T, axis=0, weights=sample_weight)) ** 2, axis=0)
        varies = spread != 0
        return float(np.mean(np.where(varies, 1.0 - errors / np.where(varies, spread, 1.0), errors == 0)))

    def _labels(self, T: np.ndarray) -> np.ndarray:
        return T[:, 0] if self.n_outputs_ == 1 else T[:, : self.n_outputs_]

    def _output_loss(self) -> tuple[Loss, str]:
        losses = {
            "squared_error": mean_squared(self.n_outputs_),
            "poisson": LOSSES["poisson"],
            "huber": huber(self.huber_threshold),
            "absolute_error": LOSSES["absolute"],
            "quantile": quantile(self.quantile),
            "gaussian": LOSSES["gaussian"],
        }
        loss = self.loss if isinstance(self.loss, Loss) else losses[self.loss]
        return loss, OUTPUTS.get(loss.output, loss.name)

    def predict(self, X: Any) -> np.ndarray:
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

    @available_if(lambda estimator: estimator._has_variance())  # noqa: SLF001 - its own
    def predict_std(self, X: Any) -> np.ndarray:
        """Predict the standard deviation of the targets around their means, by the loss "gaussian" alone.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        array of shape (n,), or (n, m) for several outputs
            Of X's library, on its device.
        """
        caller, a = self._forward(X, "predict_std")
        return self._labels(caller.xp.sqrt(a[:, self.n_outputs_ :]))

    def _has_variance(self) -> bool:
        if getattr(self.loss, "name", self.loss) == "gaussian":
            return True
        raise AttributeError(f"predict_std needs the loss 'gaussian', but the loss is {self.loss!r}.")


def _weight_of_each_class(named: Mapping[Any, float], classes: np.ndarray) -> np.ndarray:
    """Return the weight of each class: 1 where it is not named. A name that is no class is refused, as a misspelling.

    As in scikit-learn, more names are allowed where every class is named: a fold may lack a class.
    """
    known = classes.tolist()
    unknown = [name for name in named if name not in known]
    if unknown and len(named) - len(unknown) < len(known):
        raise ValueError(f"class_weight names {unknown}, which are not in y; its classes are {known}.")
    weights = np.array([named.get(name, 1.0) for name in known], dtype=float)
    if not np.isfinite(weights).all():
        raise InputError(f"class_weight must hold finite numbers, but it is {named!r}.")
    return weights
