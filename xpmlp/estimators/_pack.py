"""`PackClassifier` and `PackRegressor`: ensembles of networks whose hyperparameters are drawn."""

from __future__ import annotations

import copy
import warnings
from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from xpmlp.common.errors import InputError
from xpmlp.data.examples import Examples
from xpmlp.estimators._base import validation_set
from xpmlp.estimators._checks import accuracy
from xpmlp.estimators._compat import Interval, StrOptions, fit_method
from xpmlp.estimators._fitted import Scored
from xpmlp.estimators._mixed import Mixed, MixedClasses, MixedNumbers
from xpmlp.estimators._mlp import MLPClassifier, MLPRegressor
from xpmlp.estimators._parameters import CONSTRAINTS
from xpmlp.estimators._placement import DeviceMixin, place, readable
from xpmlp.estimators._training import MAX_SEED
from xpmlp.nn.network import Layer
from xpmlp.nn.padding import network_of
from xpmlp.training.packs import train_pack
from xpmlp.training.recipe import MIN_STEPS, MIN_STEPS_OF_CLASSES, default_epochs
from xpmlp.training.settings import divide_pack, draw_settings, numbers_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sklearn.utils import Tags

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.estimators._base import BaseMLP
    from xpmlp.estimators._placement import PlacedExamples
    from xpmlp.models.model import Model
    from xpmlp.nn.network import Network
    from xpmlp.training import Record

PARAMETERS: dict[str, list[Any]] = {
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "max_iter": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "random_state": ["random_state"],
    **{name: CONSTRAINTS[name] for name in ("verbose", "device", "dtype")},
}


class _Stacked:
    """A fitted estimator whose weights are those of all selected networks, with a leading axis."""

    _network: Network

    def _fitted_network(self) -> Network:
        return self._network


class _StackedClassifier(_Stacked, MLPClassifier):
    """Of classes."""


class _StackedRegressor(_Stacked, MLPRegressor):
    """Of real numbers."""


_StackedClassifier.__name__, _StackedRegressor.__name__ = "PackClassifier", "PackRegressor"  # as messages call them


class Pack(Mixed, Scored, DeviceMixin, BaseEstimator, ABC):
    """Base of `PackClassifier` and `PackRegressor`: use these."""

    n_estimators: int
    max_iter: int | str
    batch_size: int
    random_state: Any
    verbose: bool
    device: str | None
    dtype: str | None
    _stack: Any  # a fitted estimator of all selected networks
    _least_steps: ClassVar[int]

    @abstractmethod
    def _new_stack(self) -> BaseMLP:
        """Return an estimator that checks what it is given, and knows the loss."""

    @abstractmethod
    def _target_scale(self, T: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Return what is taken from the targets for training, and what they are divided by then unless it is 0."""

    @fit_method
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
    ) -> Self:
        """Train the networks, and select an ensemble of them.

        Parameters
        ----------
        X : array of shape (n, d)
            Examples, of NumPy or any other library. Columns of numbers should be standardised.
        y : array of shape (n,) or (n, m)
            Labels of classes, indicators of labels, or real numbers.
        sample_weight : array of shape (n,), optional
            What each example counts in training, and where settings are judged by cross-validation.
        X_val, y_val : array, optional
            A validation set, by which the ensemble is selected in place of cross-validation.

        Returns
        -------
        self
            Fitted.

        Raises
        ------
        ValueError
            For parameters, examples or targets that cannot be used.
        BackendError
            Where the device asked for cannot be used.
        """
        if sparse.issparse(X):
            raise InputError("a pack takes dense examples, but X is sparse: make it dense with X.toarray().")
        given, given_val = Examples(*map(readable, (X, y, sample_weight))), validation_set(X_val, y_val, None)
        given_val = given_val and Examples(*map(readable, given_val))
        stack = self._new_stack()
        checked, checked_val = stack._check(given, given_val, continues=False, one_epoch=False)  # noqa: SLF001 - its own kind
        placement = place(checked.X, self.device, stack._dtype_for(checked.X, continues=False))  # noqa: SLF001 - as above
        backend, loss = placement.backend, stack._output_loss()[0]  # noqa: SLF001 - as above
        shift, scale = self._target_scale(np.asarray(checked.T, np.float64), cast("Any", checked.weights))
        divisor = np.where(scale > 0, scale, 1.0)

        def scaled(placed: PlacedExamples) -> Examples:
            weights = placed.weights if placed.weights is None else backend.asarray(placed.weights)
            return Examples(placed.examples.X, backend.asarray((placed.T - shift) / divisor), weights)

        training = scaled(placement.examples(checked))
        sets = {} if checked_val is None else {"validation": scaled(placement.examples(checked_val, "_val"))[:2]}
        numbers = numbers_in(backend, cast("Any", training.X))
        n, seed = training.X.shape[0], int(check_random_state(self.random_state).randint(MAX_SEED))
        size = min(self.batch_size, n)
        epochs = default_epochs(n, size, self._least_steps) if self.max_iter == "auto" else int(self.max_iter)
        settings = draw_settings(divide_pack(self.n_estimators, n, sets)[0], seed)
        records = train_pack(
            backend,
            loss,
            cast("Any", training.X),
            training.T,
            settings,
            epochs=epochs,
            batch_size=size,
            seed=seed,
            embedded=numbers,
            evaluate=cast("Any", sets),
            weights=training.weights,
        )
        record = self._last(records)
        *layers, (W, b) = record.layers
        factor, offset = backend.asarray(scale), backend.asarray(shift)
        layers.append(Layer(W * factor, b * factor + offset))
        stack._network = network_of(loss, layers, numbers)  # noqa: SLF001 - as above
        stack._keep(placement, layers)  # noqa: SLF001 - as above
        stack.n_layers_, stack.n_iter_ = len(stack._network.sizes), record.epoch  # noqa: SLF001 - as above
        self._stack, self.settings_ = stack, [settings[number] for number in record.state.chosen]
        return self

    def _last(self, records: Iterator[Record]) -> Record:
        """Return the last record, or that before an interrupt; each holds the state of all networks, and none stays."""
        last = None
        try:
            for last in records:
                if self.verbose:
                    print(f"Iteration {last.epoch}, loss = {last.loss:.8f}")  # noqa: T201 - what `verbose` asks for, as scikit-learn does
        except KeyboardInterrupt:
            if last is None:
                raise
            warnings.warn("Training interrupted by user.", stacklevel=4)
        return cast("Record", last)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_stack")

    @property
    def _first(self) -> Any:
        check_is_fitted(self)
        return self._stack

    def _outputs(self, X: Any, method: str) -> tuple[Backend, Array]:
        outputs: tuple[Backend, Array] = self._first._forward(X, method, whose=type(self).__name__)  # noqa: SLF001 - its own
        return outputs

    @property
    def n_selected_(self) -> int:
        """Networks of the ensemble."""
        return int(self._first.coefs_[0].shape[0])

    @property
    def n_iter_(self) -> int:
        """Epochs."""
        return int(self._first.n_iter_)

    def to(self, device: str) -> Self:
        """Move the networks to another library or device, as the `to` of a single network does."""
        self._first.to(device)
        return self

    def to_model(self) -> Model:
        """Return the ensemble as an `xpmlp.Model`, which predicts the same; `save_model` and `export_model` write it.

        Raises
        ------
        InputError
            For a classifier that was fitted to a single class.
        """
        model: Model = self._first.to_model()
        return model

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.array_api_support = True
        return tags


@dataclass(eq=False, repr=False)
class PackClassifier(MixedClasses, Pack, ClassifierMixin, BaseEstimator):
    """An ensemble of multilayer perceptrons whose hyperparameters are drawn, so that there are none to tune.

    Depth, width, learning rate, weight decay, dropout and periodic embeddings are drawn for each network. All are
    trained at once. Those that predict best together are kept, each as of the epoch at which it was selected: by
    five-fold cross-validation, in which each setting is trained five times, or by a validation set. The manner is that
    of TabPack (Gorishniy et al., 2026, arXiv:2607.05380); `xpmlp.train_pack` says more.

    Parameters
    ----------
    n_estimators : int, default=64
        Networks that are trained: of a fifth as many settings, one at least; or of as many with a validation set.
    max_iter : int or "auto", default="auto"
        Epochs. "auto": 30, or as many as 500 steps take.
    batch_size : int, default=64
        Examples in a minibatch.
    class_weight : dict, list of dict, "balanced" or None, default=None
        What the examples of each class count, as for `MLPClassifier`.
    random_state : int, RandomState instance or None, default=None
        Of settings, folds, weights, orders and dropout.
    verbose : bool, default=False
        Whether to print the mean loss of all networks after each epoch.
    device : str or None, default=None
        Where to compute on NumPy arrays, as for `MLPClassifier`.
    dtype : {"float32", "float64"} or None, default=None
        What to compute in. None: in X's, where it is one of these, else in float64.

    Attributes
    ----------
    classes_ : array
        The classes in order, or the numbers of the labels; of y's library where they are numbers.
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        The names of X's columns. Only there where X was a frame whose columns all have names.
    n_iter_ : int
        Epochs.
    n_outputs_ : int
        Units of the output layer.
    n_selected_ : int
        Networks of the ensemble: five of each setting that cross-validation has selected.
    settings_ : list of Setting
        The hyperparameters that were selected, in this order; one may be there twice, as of two epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from xpmlp import PackClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), PackClassifier(15, max_iter=20, random_state=0)).fit(X, y)
    >>> model.predict(X[::50])
    array([0, 1, 2])
    """

    n_estimators: int = 64
    _: KW_ONLY
    max_iter: int | str = "auto"
    batch_size: int = 64
    class_weight: dict[Any, float] | list[dict[int, float]] | str | None = None
    random_state: Any = None
    verbose: bool = False
    device: str | None = None
    dtype: str | None = None

    _parameter_constraints: ClassVar = PARAMETERS | {
        "class_weight": MLPClassifier._parameter_constraints["class_weight"]  # noqa: SLF001 - scikit-learn's name
    }
    _measure = staticmethod(accuracy)
    _least_steps = MIN_STEPS_OF_CLASSES

    def _new_stack(self) -> BaseMLP:
        return _StackedClassifier(class_weight=copy.deepcopy(self.class_weight), device=self.device, dtype=self.dtype)

    def _target_scale(
        self,
        T: np.ndarray,
        weights: np.ndarray | None,  # noqa: ARG002 - as of a regressor: indicators of classes stay as they are
    ) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(T.shape[1]), np.ones(T.shape[1])


@dataclass(eq=False, repr=False)
class PackRegressor(MixedNumbers, Pack, RegressorMixin, BaseEstimator):
    """An ensemble of multilayer perceptrons whose hyperparameters are drawn, so that there are none to tune.

    It is for real numbers what `PackClassifier` is for classes. The loss is the squared error. The targets are
    standardised for the training, and the last layer gives them in their own unit.

    Parameters
    ----------
    n_estimators : int, default=64
        Networks that are trained: of a fifth as many settings, one at least; or of as many with a validation set.
    max_iter : int or "auto", default="auto"
        Epochs. "auto": 30, or as many as 1,500 steps take.
    batch_size : int, default=64
        Examples in a minibatch.
    random_state : int, RandomState instance or None, default=None
        Of settings, folds, weights, orders and dropout.
    verbose : bool, default=False
        Whether to print the mean loss of all networks after each epoch.
    device : str or None, default=None
        Where to compute on NumPy arrays, as for `MLPRegressor`.
    dtype : {"float32", "float64"} or None, default=None
        What to compute in. None: in X's, where it is one of these, else in float64.

    Attributes
    ----------
    n_features_in_ : int
        Features of X.
    feature_names_in_ : ndarray of str
        The names of X's columns. Only there where X was a frame whose columns all have names.
    n_iter_ : int
        Epochs.
    n_outputs_ : int
        Units of the output layer.
    n_selected_ : int
        Networks of the ensemble: five of each setting that cross-validation has selected.
    settings_ : list of Setting
        The hyperparameters that were selected, in this order; one may be there twice, as of two epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from xpmlp import PackRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), PackRegressor(15, max_iter=20, random_state=0)).fit(X, y)
    >>> model.predict(X).shape
    (442,)
    """

    n_estimators: int = 64
    _: KW_ONLY
    max_iter: int | str = "auto"
    batch_size: int = 64
    random_state: Any = None
    verbose: bool = False
    device: str | None = None
    dtype: str | None = None

    _parameter_constraints: ClassVar = PARAMETERS
    _measure = staticmethod(r2_score)
    _least_steps = MIN_STEPS

    def _new_stack(self) -> BaseMLP:
        return _StackedRegressor(device=self.device, dtype=self.dtype)

    def _target_scale(self, T: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        unit = np.abs(T).max(axis=0)
        unit[unit == 0] = 1.0
        relative = T / unit  # so that squares neither overflow nor vanish
        weights = np.ones((T.shape[0], 1)) if weights is None else np.abs(weights)  # `train_pack` refuses those below 0
        share = weights / weights.sum()
        mean = (share * relative).sum(axis=0)
        return mean * unit, np.sqrt((share * (relative - mean) ** 2).sum(axis=0)) * unit
