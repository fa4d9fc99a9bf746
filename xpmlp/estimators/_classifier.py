"""`MLPClassifier`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.callback import with_callbacks
from sklearn.metrics import accuracy_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import _check_partial_fit_first_call, type_of_target, unique_labels
from sklearn.utils.validation import column_or_1d

from xpmlp.estimators._base import STOCHASTIC, BaseMLP
from xpmlp.estimators._inspection import InspectionMixin
from xpmlp.estimators._losses import bounded_logistic, bounded_softmax
from xpmlp.estimators._parameters import CONSTRAINTS, keep_parameters
from xpmlp.estimators._places import NUMBERS, library_of, to_host
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from sklearn.utils import Tags

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.losses import Loss
    from xpmlp.nn.network import Layer, Network

__all__ = ["MLPClassifier"]


class MLPClassifier(InspectionMixin, ClassifierMixin, BaseMLP):
    """scikit-learn's `MLPClassifier`, for arrays of any library, on any of their devices.

    The parameters, methods and attributes of `sklearn.neural_network.MLPClassifier` (1.9) mean the same here, and with
    NumPy's arrays and the same ``random_state`` the fitted model is the same. What follows is what there is beside
    them; docs/estimators.md has the whole list.

    Parameters
    ----------
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, \
    shuffle, random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, \
    validation_fraction, beta_1, beta_2, epsilon, n_iter_no_change, max_fun
        As in scikit-learn. ``activation`` may also be any name from `xpmlp.ACTIVATIONS`, an `xpmlp.Activation` of your
        own, or a list with one for each hidden layer; ``solver`` may also be "adamw".
    class_weight : dict, "balanced" or None
        What the examples of each class count.
    l1, l2 : float or sequence of float
        Elastic net, ``l1 |W| + l2 |W|^2``, for all layers or one for each, beside scikit-learn's ``alpha``.
    dropout, input_dropout : float
        The shares of the hidden units (one for all layers or one for each) and of the inputs dropped in training.
    weight_decay : float
        Of solver "adamw".
    schedule : {"constant", "step", "cosine"}, optional
        Of the learning rate over all ``max_iter`` epochs, times ``learning_rate_init``.
    init : str
        Initial weights: "auto", scikit-learn's, or a name from `xpmlp.INITIALIZERS`.
    scoring : str or callable, optional
        What ``early_stopping`` watches on the validation set: "loss", or a scorer as `sklearn.metrics.check_scoring`
        takes it; by default accuracy, as in scikit-learn.
    stratify_validation : bool
        Whether the share held out for ``early_stopping`` has the classes in the proportions of y where there are more
        than two; scikit-learn's documentation says so, but it does not.
    dtype : {"float32", "float64"}, optional
        To compute in; by default that of X.
    device : str, optional
        Where to send arrays of NumPy to be computed on: "auto", "cpu", "cuda", "cuda:1", "mps", or a backend's name
        with or without a device, such as "torch:cuda:0". Results come back as NumPy arrays. Arrays of other libraries
        are computed on where they are.

    Attributes
    ----------
    coefs_, intercepts_, classes_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, \
    n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_, feature_names_in_
        As in scikit-learn; weights are arrays of X's library, on X's device.
    validation_loss_curve_ : list of float
        Mean loss of the validation set after each epoch, without penalty, where there was one.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from xpmlp import MLPClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> model = MLPClassifier(hidden_layer_sizes=(64,), dropout=0.2, random_state=0).fit(X / 16, y)
    >>> model.predict(X[:3] / 16)
    array([0, 1, 2])
    """

    _parameter_constraints: dict[str, list[Any]] = CONSTRAINTS | {
        "class_weight": [dict, StrOptions({"balanced"}), None]
    }

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: Any = None,
        l1: Any = 0.0,
        l2: Any = 0.0,
        dropout: Any = 0.0,
        input_dropout: float = 0.0,
        weight_decay: float = 0.01,
        schedule: str | None = None,
        init: str = "auto",
        scoring: Any = None,
        stratify_validation: bool = False,
        dtype: str | None = None,
        device: str | None = None,
    ) -> None:
        keep_parameters(self, locals())

    # Fitting.

    def _check_solver(self) -> bool:
        if self.solver not in STOCHASTIC:
            raise AttributeError(
                f"partial_fit is only available for stochastic optimizers. {self.solver} is not stochastic."
            )
        return True

    @available_if(lambda estimator: estimator._check_solver())  # noqa: SLF001 - its own
    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
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
        if _check_partial_fit_first_call(self, to_host(classes)):
            multilabel = type_of_target(to_host(y)).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(to_host(y if multilabel else classes))
            self.classes_ = self._classes_like(y if classes is None else classes)
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _validate(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, np.ndarray]:
        X, y = self._checked(X, y, reset=reset)
        labels = self._flat(y)
        if not hasattr(self, "classes_") or not (self.warm_start or incremental):
            self._label_binarizer = LabelBinarizer().fit(labels)
            self.classes_ = self._classes_like(y)
        else:
            self._check_classes(unique_labels(labels))
        return X, self._binarized(labels)

    def _targets(self, X: Any, y: Any) -> np.ndarray:  # noqa: ARG002 - the regressor's has to look at it
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

    def _classes_like(self, y: Any) -> Any:
        """Return the classes as an array of y's library, as scikit-learn does; strings are always NumPy's."""
        classes = self._label_binarizer.classes_
        library = library_of(y)
        return classes if library is None or classes.dtype.kind not in NUMBERS else library.asarray(classes, dtype=None)

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

    def _loss_of(self, n_outputs: int) -> tuple[Loss, str]:  # noqa: ARG002 - the regressor's depends on it
        loss = bounded_softmax if self._label_binarizer.y_type_ == "multiclass" else bounded_logistic
        return loss, loss.name

    def _labels(self, T: np.ndarray) -> Any:
        return self._label_binarizer.inverse_transform(T[:, 0] if self.n_outputs_ == 1 else T)

    @staticmethod
    def _measure(y: Any, predicted: Any, *, sample_weight: Any) -> float:
        return accuracy_score(y, predicted, sample_weight=sample_weight)

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
        place, a = self._forward(X, "predict", _outputs)
        a, classes = place.give(a), self._label_binarizer.classes_
        xp, in_library = place.home.xp, place.home.name != "numpy" and classes.dtype.kind in NUMBERS
        if self._label_binarizer.y_type_.startswith("multilabel"):
            return xp.astype(a > 0.5, xp.int64) if in_library else self._labels(to_host(a))
        if self.n_outputs_ > 1:
            chosen = xp.argmax(a, axis=1)
        else:
            chosen = xp.astype(a[:, 0] > 0.5, xp.int64) * (classes.shape[0] - 1)  # always 0 where there is one class
        return (
            xp.take(place.home.asarray(classes, dtype=None), chosen, axis=0) if in_library else classes[to_host(chosen)]
        )

    def predict_proba(self, X: Any) -> Any:
        """Predict the probability of each class, (n, n_classes), or of each label; parameters as for `predict`."""
        place, p = self._forward(X, "predict_proba", _probabilities)
        return place.give(p)

    def predict_log_proba(self, X: Any) -> Any:
        """Predict the logarithms of the probabilities, -inf where these round to 0; parameters as for `predict`."""
        with np.errstate(divide="ignore"):
            place, p = self._forward(X, "predict_log_proba", _log_probabilities)
        return place.give(p)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _outputs(xp: Namespace, network: Network, layers: list[Layer], X: Array) -> Array:
    return fprop(xp, network, layers, X).a[-1]


def _probabilities(xp: Namespace, network: Network, layers: list[Layer], X: Array) -> Array:
    p = _outputs(xp, network, layers, X)
    return xp.concat([1.0 - p, p], axis=1) if p.shape[1] == 1 else p


def _log_probabilities(xp: Namespace, network: Network, layers: list[Layer], X: Array) -> Array:
    return xp.log(_probabilities(xp, network, layers, X))
