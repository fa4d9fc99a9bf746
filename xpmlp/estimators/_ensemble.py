"""`DeepEnsembleClassifier` and `DeepEnsembleRegressor`: several networks that differ in their random draws alone."""

from __future__ import annotations

from abc import ABC
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpmlp.data.examples import Examples
from xpmlp.estimators._base import documented, validation_set
from xpmlp.estimators._compat import Interval, fit_method
from xpmlp.estimators._fitted import Scored
from xpmlp.estimators._mlp import MLPClassifier, MLPRegressor
from xpmlp.estimators._together import fit_together
from xpmlp.estimators._training import MAX_SEED
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array, Namespace
    from xpmlp.models.model import Model
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss

SIZE = {"n_estimators": [Interval(Integral, 1, None, closed="left")]}


class Entropy(NamedTuple):
    """How uncertain an ensemble is of each example, in nats: arrays of shape (n,), or (n, m) for m labels.

    Attributes
    ----------
    total : array
        The entropy of the mean of the members' probabilities: ``expected + mutual_information``.
    expected : array
        The mean of the entropies of the members: what all of them are uncertain of, such as classes that overlap
        (aleatoric).
    mutual_information : array
        Of the class and the member: how far the members disagree, such as far from the training examples (epistemic).
    """

    total: np.ndarray
    expected: np.ndarray
    mutual_information: np.ndarray


class Variance(NamedTuple):
    """How uncertain an ensemble of regressions is of each target: arrays of shape (n,), or (n, m) for m outputs.

    Attributes
    ----------
    total : array
        The variance of the mixture of the members: ``expected + disagreement``.
    expected : array
        The mean of the variances that the members predict by the loss "gaussian": of the targets around the means
        (aleatoric). 0 for other losses.
    disagreement : array
        The variance of the members' means: how far they disagree, such as far from the training examples (epistemic).
    """

    total: np.ndarray
    expected: np.ndarray
    disagreement: np.ndarray


class DeepEnsemble(Scored, BaseEstimator, ABC):
    """Base of `DeepEnsembleClassifier` and `DeepEnsembleRegressor`: use these."""

    n_estimators: int
    estimators_: list[Any]
    _kind: ClassVar[type]  # of the members

    @fit_method
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
        """Fit the members to the same examples, at once where they can be a stack.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val : array
            As for the `fit` of a single network.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError, BackendError
            As the `fit` of a single network.
        """
        given, given_val = Examples(X, y, sample_weight), validation_set(X_val, y_val, sample_weight_val)
        parameters = {name: value for name, value in self.get_params(deep=False).items() if name != "n_estimators"}
        continued = self.estimators_[: self.n_estimators] if self.warm_start and hasattr(self, "estimators_") else []
        seeds = check_random_state(self.random_state).randint(MAX_SEED, size=self.n_estimators)
        members = [each.set_params(**parameters | {"random_state": each.random_state}) for each in continued]
        members += [self._kind(**parameters | {"random_state": int(seed)}) for seed in seeds[len(continued) :]]
        outcomes = fit_together(members, given, given_val)
        for number, member in enumerate(members):
            if number not in outcomes:
                member.fit(X, y, sample_weight, X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)
            elif (error := outcomes[number]) is not None:
                raise error
        self.estimators_ = members
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "estimators_")

    def _outputs(self, X: Any, method: str) -> tuple[Backend, Array]:
        """Return the caller's backend, and there the outputs of all members, (M, n, m)."""
        check_is_fitted(self)
        own_name = type(self).__name__
        forwards = [each._forward(X, method, whose=own_name) for each in self.estimators_]  # noqa: SLF001 - what they share
        callers, outputs = zip(*forwards, strict=True)
        return callers[0], callers[0].xp.stack(list(outputs))

    def _mean(self, X: Any, method: str) -> tuple[Backend, Array]:
        caller, outputs = self._outputs(X, method)
        return caller, caller.xp.mean(outputs, axis=0)

    @property
    def n_features_in_(self) -> int:
        """Features of X."""
        return int(self._of_members("n_features_in_"))

    @property
    def feature_names_in_(self) -> np.ndarray:
        """The names of X's columns."""
        names: np.ndarray = self._of_members("feature_names_in_")
        return names

    @property
    def n_outputs_(self) -> int:
        """Units of the output layer."""
        return int(self._of_members("n_outputs_"))

    @property
    def n_iter_(self) -> np.ndarray:
        """Epochs of each member."""
        return np.array([each.n_iter_ for each in self.estimators_])

    def _of_members(self, name: str) -> Any:
        """Return an attribute that all members have alike."""
        return getattr(self.estimators_[0], name)

    def to(self, device: str) -> Self:
        """Move the members to another library or device, as the `to` of a single network does."""
        check_is_fitted(self)
        for each in self.estimators_:
            each.to(device)
        return self

    def to_model(self) -> Model:
        """Return the ensemble as an `xpmlp.Model`, which predicts the same; `save_model` and `export_model` write it.

        Raises
        ------
        InputError
            For a classifier that was fitted to a single class.
        """
        check_is_fitted(self)
        first, *others = [each.to_model() for each in self.estimators_]
        if not others:
            return first
        by_layer = zip(*(model.layers for model in (first, *others)), strict=True)
        return replace(first, layers=[Layer(*map(np.stack, zip(*layers, strict=True))) for layers in by_layer])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.array_api_support = True
        return tags


@documented
@dataclass(eq=False, repr=False)
class DeepEnsembleClassifier(DeepEnsemble, ClassifierMixin, BaseEstimator):
    """Several multilayer perceptrons that predict the mean of their probabilities, trained as one stack.

    They differ in their random draws: first weights, orders, dropout's masks and validation splits. The mean is mostly
    more accurate than each of them and better calibrated, and where they disagree, the ensemble is not sure
    (Lakshminarayanan et al., 2017, "Simple and scalable predictive uncertainty estimation using deep ensembles").

    Parameters
    ----------
    {shared parameters}
    n_estimators : int, default=8
        Networks. The ``random_state`` of each is drawn by that of the ensemble.
    class_weight : dict, list of dict, "balanced" or None, default=None
        What the examples of each class count, as for `MLPClassifier`.

    Attributes
    ----------
    classes_ : array
        The classes in order, or the numbers of the labels; of y's library where they are numbers.
    estimators_ : list of MLPClassifier
        The members: each is the model that it would be alone, with its ``random_state``.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        The names of X's columns. Only there where X was a frame whose columns all have names.
    n_iter_ : ndarray of int
        Epochs of each member, or iterations of "lbfgs".
    n_outputs_ : int
        Units of the output layer.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from xpmlp import DeepEnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = DeepEnsembleClassifier((16,), n_estimators=4, learning_rate_init=0.02, random_state=0).fit(X, y)
    >>> model.predict(X[::50])
    array([0, 1, 2])
    >>> model.entropy(X[::50]).total.shape
    (3,)
    """

    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: str | Activation | Sequence[str | Activation] = "relu"
    _: KW_ONLY
    n_estimators: int = 8
    class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None

    _parameter_constraints = MLPClassifier._parameter_constraints | SIZE  # noqa: SLF001 - scikit-learn's name
    _measure = staticmethod(accuracy_score)
    _kind = MLPClassifier

    @property
    def classes_(self) -> Any:
        """The classes in order."""
        return self._of_members("classes_")

    def predict(self, X: Any) -> np.ndarray:
        """Predict the classes of the largest mean probability; parameters as for `MLPClassifier.predict`."""
        caller, p = self._mean(X, "predict")
        return self.estimators_[0]._predicted(caller, p)  # noqa: SLF001 - it knows the classes

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict the mean of the members' probabilities, (n, n_classes), or (n, m) of m labels."""
        return MLPClassifier._probabilities(*self._mean(X, "predict_proba"))  # noqa: SLF001 - as of one network

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithms of the mean probabilities, -inf where these are 0."""
        caller, p = self._mean(X, "predict_log_proba")
        with np.errstate(divide="ignore"):
            return caller.xp.log(MLPClassifier._probabilities(caller, p))  # noqa: SLF001 - as of one network

    def entropy(self, X: Any) -> Entropy:
        """Tell how uncertain the ensemble is of each example, and whether its members are, or disagree.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        Entropy
            With arrays ``total``, ``expected`` and ``mutual_information`` of shape (n,), or (n, m) for m labels, in
            nats; of X's library, on its device.
        """
        caller, outputs = self._outputs(X, "entropy")
        xp, is_labels = caller.xp, self.estimators_[0]._label_binarizer.y_type_.startswith("multilabel")  # noqa: SLF001 - as above
        p = xp.stack([1.0 - outputs, outputs], axis=-1) if is_labels else MLPClassifier._probabilities(caller, outputs)  # noqa: SLF001 - as above
        total, expected = _entropy(xp, xp.mean(p, axis=0)), xp.mean(_entropy(xp, p), axis=0)
        return Entropy(total, expected, total - expected)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


def _entropy(xp: Namespace, p: Array) -> Array:
    """Return -sum_j p_j ln p_j over the last axis, where 0 ln 0 = 0."""
    return -xp.sum(p * xp.log(xp.where(p > 0.0, p, xp.ones_like(p))), axis=-1)


@documented
@dataclass(eq=False, repr=False)
class DeepEnsembleRegressor(DeepEnsemble, RegressorMixin, BaseEstimator):
    """Several multilayer perceptrons that predict the mean of their real numbers, trained as one stack.

    They differ in their random draws: first weights, orders, dropout's masks and validation splits. For classes, there
    is `DeepEnsembleClassifier`.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "huber", "absolute_error", "quantile", "gaussian"} or Loss, \
default="squared_error"
        What each network minimises, as for `MLPRegressor`.
    {shared parameters}
    n_estimators : int, default=8
        Networks. The ``random_state`` of each is drawn by that of the ensemble.
    huber_threshold : float, default=1.0
        The error from which on the loss "huber" grows linearly.
    quantile : float, default=0.5
        The share of the targets, in (0, 1), that lie below the predictions of the loss "quantile".

    Attributes
    ----------
    estimators_ : list of MLPRegressor
        The members: each is the model that it would be alone, with its ``random_state``.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        The names of X's columns. Only there where X was a frame whose columns all have names.
    n_iter_ : ndarray of int
        Epochs of each member, or iterations of "lbfgs".
    n_outputs_ : int
        Units of the output layer.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from xpmlp import DeepEnsembleRegressor
    >>> X, y = make_regression(n_samples=200, n_features=5, random_state=0)
    >>> model = DeepEnsembleRegressor(n_estimators=4, solver="lbfgs", max_iter=2000, random_state=0).fit(X, y)
    >>> round(model.score(X, y), 2)
    1.0
    >>> model.predict_std(X).shape
    (200,)
    """

    loss: str | Loss = "squared_error"
    hidden_layer_sizes: int | Sequence[int] = (100,)
    activation: str | Activation | Sequence[str | Activation] = "relu"
    _: KW_ONLY
    n_estimators: int = 8
    huber_threshold: float = 1.0
    quantile: float = 0.5

    _parameter_constraints = MLPRegressor._parameter_constraints | SIZE  # noqa: SLF001 - scikit-learn's name
    _measure = staticmethod(r2_score)
    _kind = MLPRegressor

    def predict(self, X: Any) -> np.ndarray:
        """Predict the mean of the members' numbers, (n,) or (n, m); parameters as for `MLPRegressor.predict`."""
        _, values = self._mean(X, "predict")
        return self._columns(values)

    def predict_std(self, X: Any) -> np.ndarray:
        """Predict the standard deviation around the mean: the root of the total of `variance`.

        With the loss "gaussian" it says how far targets lie around the mean. With others it says how far the members
        are apart, and so how uncertain the ensemble is of its mean alone.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        array of shape (n,), or (n, m) for several outputs
            Of X's library, on its device; 0 for a single member of another loss.
        """
        caller, total, _, _ = self._variances(X, "predict_std")
        return caller.xp.sqrt(total)

    def variance(self, X: Any) -> Variance:
        """Tell how uncertain the ensemble is of each target, and whether its members are, or disagree.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples.

        Returns
        -------
        Variance
            With arrays ``total``, ``expected`` and ``disagreement`` of shape (n,), or (n, m) for several outputs; of
            X's library, on its device.
        """
        return Variance(*self._variances(X, "variance")[1:])

    def _variances(self, X: Any, method: str) -> tuple[Backend, Array, Array, Array]:
        """Return the caller's backend, and the variance of the mixture of the members, whole and in its two parts."""
        caller, outputs = self._outputs(X, method)
        xp, m = caller.xp, self.n_outputs_
        means, variances = outputs[..., :m], outputs[..., m:]
        disagreement = xp.var(means, axis=0)
        expected = xp.mean(variances, axis=0) if variances.shape[-1] else xp.zeros_like(disagreement)
        return caller, *map(self._columns, (expected + disagreement, expected, disagreement))

    def _columns(self, values: Array) -> Any:
        return values[:, 0] if self.n_outputs_ == 1 else values[:, : self.n_outputs_]
