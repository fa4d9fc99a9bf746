"""What classifier and regressor share of fitting: one way, in five stations."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from scipy import sparse
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from xpmlp.common.errors import InputError
from xpmlp.common.validation import as_tuple
from xpmlp.common.wording import counted
from xpmlp.data.examples import Examples
from xpmlp.estimators import _model, _sklearn
from xpmlp.estimators._checks import FLOATS, check_numbers
from xpmlp.estimators._compat import CallbackSupportMixin, check_sample_weight, fit_method, fit_task
from xpmlp.estimators._fitted import FittedMLP
from xpmlp.estimators._parameters import CONSTRAINTS, Parameters
from xpmlp.estimators._placement import dispatching, float_dtype, library_of, place, readable, to_host
from xpmlp.estimators._training import MAX_SEED, Problem, TrainedMLP
from xpmlp.nn.initializers import initialize
from xpmlp.nn.network import Layer, Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sklearn.base import BaseEstimator

    from xpmlp.estimators._placement import PlacedExamples, Placement

Class = TypeVar("Class", bound=type)


class BaseMLP(TrainedMLP, CallbackSupportMixin, ABC):
    """Base of `MLPClassifier` and `MLPRegressor`: use these."""

    _parameter_constraints: dict[str, list[Any]] = CONSTRAINTS

    @abstractmethod
    def _targets_to_fit(self, y: Any, *, one_epoch: bool) -> np.ndarray:
        """Turn checked targets into what the network is to learn, (n, m), on the host, and learn the classes."""

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
        """Fit the network to examples.

        Parameters
        ----------
        X : array or sparse array of shape (n, d)
            Examples, of NumPy or any other library; see the class for where they are computed on.
        y : array of shape (n,) or (n, m)
            Labels of classes, indicators of labels, or real numbers.
        sample_weight : array of shape (n,), optional
            What each example counts; a classifier multiplies it by ``class_weight``.
        X_val, y_val : array, optional
            A validation set: its loss after each epoch is kept in ``validation_loss_curve_``, and ``early_stopping``
            watches it instead of holding out a share of X.
        sample_weight_val : array, optional
            What each of its examples counts, whatever ``class_weight`` says.

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
        return self._fit(Examples(X, y, sample_weight), validation_set(X_val, y_val, sample_weight_val))

    def _fit(self, given: Examples, given_val: Examples | None = None, *, one_epoch: bool = False) -> Self:
        """Take the way of every fit: examples are checked and placed, a network is described, trained and kept."""
        given = Examples(*map(readable, given))
        given_val = given_val and Examples(*map(readable, given_val))
        with _as_before_where_it_fails(self):
            continues = self.__sklearn_is_fitted__() and (self.warm_start or one_epoch)
            checked, checked_val = self._check(given, given_val, continues=continues, one_epoch=one_epoch)
            placement = place(checked.X, self.device, self._dtype_for(checked.X, continues=continues))
            training, validation = placement.examples(checked), checked_val and placement.examples(checked_val, "_val")
            network, layers = self._describe(placement, training, continues=continues)
        with fit_task(self, given) as run_iteration:
            rows = np.arange(training.T.shape[0])
            problem = Problem(placement, network, layers, training, validation, rows)
            self._keep(placement, self._train(problem, run_iteration, one_epoch=one_epoch))
        return self

    # Checked.

    def _check(
        self, given: Examples, given_val: Examples | None, *, continues: bool, one_epoch: bool
    ) -> tuple[Examples, Examples | None]:
        """Check what a user gives; the targets come back as the network learns them, weights as (n, 1), on the host."""
        if self.solver == "lbfgs" and given_val is not None:
            raise InputError(
                "solver lbfgs has no epochs to measure X_val after: leave X_val out, or use another solver."
            )
        check_numbers(given.X, "X")
        if is_regressor(self):
            check_numbers(given.T, "y")
        X, y = validate_data(
            self,
            given.X,
            given.T,
            accept_sparse=["csr", "csc"],
            multi_output=True,
            y_numeric=is_regressor(self),
            dtype="numeric" if dispatching() and library_of(given.X) else FLOATS,
            reset=not continues,
        )
        T = self._targets_to_fit(y, one_epoch=one_epoch)
        if continues:
            self._check_outputs(T)
        self.n_outputs_ = T.shape[1]
        checked = Examples(X, T, self._weights_to_fit(given, T))
        self._check_choices()
        if self.solver != "lbfgs" and self.early_stopping and one_epoch:
            raise ValueError("partial_fit does not support early_stopping=True")
        return checked, given_val and self._check_validation(given_val, X)

    def _check_choices(self) -> None:
        """Check what scikit-learn's constraints on the parameters cannot say."""
        if self.solver != "lbfgs" and self._watched == "validation score" and self.scoring is not None:
            check_scoring(self, self.scoring)  # an unknown one is said before the first epoch

    def _check_validation(self, given: Examples, X: Any) -> Examples:
        """Check the validation set that goes with X; the errors say that it is meant."""
        try:
            X_val = self._checked_examples(given.X, "X_val")
            T_val = self._checked_targets(X_val, given.T, "y_val")
            weights = self._weights(given, X_val.shape[0], "sample_weight_val")
        except InputError:  # it names the argument
            raise
        except ValueError as error:
            raise InputError(f"the validation set (X_val, y_val) cannot be used: {error}") from error
        if sparse.issparse(X_val) and not sparse.issparse(X):
            raise InputError("X_val is sparse, but X is not: give both in the same form.")
        return Examples(X_val, T_val, weights)

    def _weights(self, given: Examples, n: int, name: str = "sample_weight") -> np.ndarray | None:
        """Return what each example counts, (n, 1), on the host."""
        if given.weights is None:
            return None
        check_numbers(given.weights, name)
        checked: np.ndarray = check_sample_weight(to_host(given.weights), np.broadcast_to(0.0, (n, 1)))
        return checked[:, None]

    def _weights_to_fit(self, given: Examples, T: np.ndarray) -> np.ndarray | None:
        """Return what each example of X counts, (n, 1), on the host."""
        return self._weights(given, T.shape[0])

    # Placed.

    def _dtype_for(self, X: Any, *, continues: bool) -> str:
        """Name the dtype to compute in: that of X, or of the weights that are there already."""
        if self.dtype:
            return self.dtype
        library = library_of(X)
        single = library is not None and library.widest_dtype == "float32"
        return "float32" if single else float_dtype(self.coefs_[0] if continues else X)

    # Described.

    def _describe(
        self, placement: Placement, training: PlacedExamples, *, continues: bool
    ) -> tuple[Network, list[Layer]]:
        """Describe the network, with the weights to start from: new ones, or those of the last fit."""
        n, d = training.examples.X.shape
        self._random_state = check_random_state(self.random_state)
        loss, self.out_activation_ = self._output_loss()
        network = Network.build(
            d,
            self._hidden_sizes(continues=continues),
            self.n_outputs_,
            activation=self.activation,
            loss=loss,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
        )
        self.n_layers_ = len(network.sizes)
        if self.solver == "lbfgs" and any(network.dropout):
            raise InputError("solver lbfgs needs the same loss at every evaluation: use another one, or no dropout.")
        with placement.backend.within_memory(f"{network}, with {n:,} examples", "fewer hidden units, fewer examples"):
            if not continues:
                self._start(network, placement.backend.dtype)
            return network, placement.layers(self.coefs_, self.intercepts_)

    def _hidden_sizes(self, *, continues: bool) -> list[int]:
        """Return the sizes of the hidden layers: where weights are there already, theirs."""
        sizes = list(as_tuple(self.hidden_layer_sizes))
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        kept = [W.shape[1] for W in self.coefs_[:-1]] if continues else sizes
        if len(kept) != len(sizes):
            raise ValueError(
                f"hidden_layer_sizes is {sizes}, but the weights of the last fit have "
                f"{counted(len(kept), 'hidden layer')}: fit without warm_start, or clone the estimator."
            )
        return kept

    def _start(self, network: Network, dtype: str) -> None:
        """Draw initial weights, and forget what an earlier fit has left."""
        if self.init == "auto":
            names = [activation.name for activation in network.activations]
            names.append(names[-1] if names else str(self.activation))  # of the output layer, as in scikit-learn
            layers = [
                _glorot(self._random_state, *shape, logistic=name == "logistic")
                for shape, name in zip(network.shapes, names, strict=True)
            ]
        else:
            layers = initialize(network, init=self.init, seed=self._random_state.randint(MAX_SEED))
        self.coefs_ = [layer.W.astype(dtype) for layer in layers]
        self.intercepts_ = [layer.b.astype(dtype) for layer in layers]
        self.n_iter_ = self.t_ = 0
        self._progress = self._optimizer = None

    # Kept.

    def _keep(self, placement: Placement, layers: Sequence[Layer]) -> None:
        self.__dict__.update(placement.fitted(layers))
        if not all(np.isfinite(to_host(p)).all() for p in (*self.coefs_, *self.intercepts_)):
            raise ValueError(
                "Solver produced non-finite parameter weights. The input data may contain large values and need to "
                "be preprocessed."
            )

    to_model = _model.to_model
    to_sklearn = _sklearn.to_sklearn

    @classmethod
    def from_sklearn(cls, estimator: BaseEstimator) -> Self:
        """Return scikit-learn's fitted `MLPClassifier` or `MLPRegressor` as this one, with equal predictions.

        Raises
        ------
        InputError
            For another kind of estimator.
        """
        return _sklearn.from_sklearn(cls, estimator)


def validation_set(X: Any, y: Any, weights: Any) -> Examples | None:
    """Return the validation set that is given to `fit`, if any."""
    if (X is None) != (y is None):
        raise InputError("a validation set needs both X_val and y_val.")
    if X is None and weights is not None:
        raise InputError("sample_weight_val needs X_val and y_val: the share that fit holds out has sample_weight.")
    return None if X is None else Examples(X, y, weights)


@contextmanager
def _as_before_where_it_fails(estimator: BaseMLP) -> Iterator[None]:
    """Give an estimator its attributes back after an error: new classes or columns do not go with old weights."""
    before = dict(vars(estimator))
    try:
        yield
    except Exception:
        estimator.__dict__ = before
        raise


def _glorot(draw: np.random.RandomState, fan_in: int, fan_out: int, *, logistic: bool) -> Layer:
    """Draw weights and biases uniformly within sqrt(6 / (fan_in + fan_out)), 2 for logistic units: scikit-learn's."""
    bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
    return Layer(draw.uniform(-bound, bound, (fan_in, fan_out)), draw.uniform(-bound, bound, fan_out))


def documented(cls: Class) -> Class:
    """Put the parameters and attributes that both estimators have where a docstring says so."""
    for shared, place_for in ((Parameters, "{shared parameters}"), (FittedMLP, "{shared attributes}")):
        if cls.__doc__ and shared.__doc__:  # Python has none with -OO
            text = inspect.cleandoc(shared.__doc__).rpartition("---\n")[2]
            cls.__doc__ = f"{inspect.cleandoc(cls.__doc__).replace(place_for, text)}\n"
    return cls
