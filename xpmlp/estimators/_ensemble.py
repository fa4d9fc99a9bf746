"""`DeepEnsembleClassifier` and `DeepEnsembleRegressor`: several networks that differ in their random draws alone."""

from __future__ import annotations

from abc import ABC
from dataclasses import KW_ONLY, dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpmlp.data.examples import Examples
from xpmlp.estimators._base import documented, validation_set
from xpmlp.estimators._checks import accuracy
from xpmlp.estimators._compat import Interval, fit_method
from xpmlp.estimators._fitted import Scored
from xpmlp.estimators._mixed import Mixed, MixedClasses, MixedNumbers
from xpmlp.estimators._mlp import MLPClassifier, MLPRegressor
from xpmlp.estimators._parameters import Parameters
from xpmlp.estimators._together import fit_together
from xpmlp.estimators._training import MAX_SEED
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.models.model import Model
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss

SIZE = {"n_estimators": [Interval(Integral, 1, None, closed="left")]}


class DeepEnsemble(Mixed, Scored, Parameters, BaseEstimator, ABC):
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

    @property
    def _first(self) -> Any:
        check_is_fitted(self)
        return self.estimators_[0]

    def _outputs(self, X: Any, method: str) -> tuple[Backend, Array]:
        """Return the caller's backend, and there the outputs of all members, (M, n, m)."""
        check_is_fitted(self)
        own_name = type(self).__name__
        forwards = [each._forward(X, method, whose=own_name) for each in self.estimators_]  # noqa: SLF001 - what they share
        callers, outputs = zip(*forwards, strict=True)
        return callers[0], callers[0].xp.stack(list(outputs))

    @property
    def n_iter_(self) -> np.ndarray:
        """Epochs of each member."""
        return np.array([each.n_iter_ for each in self.estimators_])

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
class DeepEnsembleClassifier(MixedClasses, DeepEnsemble, ClassifierMixin, BaseEstimator):
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
    _measure = staticmethod(accuracy)
    _kind = MLPClassifier


@documented
@dataclass(eq=False, repr=False)
class DeepEnsembleRegressor(MixedNumbers, DeepEnsemble, RegressorMixin, BaseEstimator):
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
