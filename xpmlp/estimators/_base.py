"""What classifier and regressor share: from scikit-learn's parameters to a network that is trained, and back."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, _fit_context
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.metrics import check_scoring
from sklearn.utils import check_random_state
from sklearn.utils._array_api import get_namespace_and_device, supported_float_dtypes
from sklearn.utils.validation import _check_sample_weight, validate_data

from xpmlp.common.errors import InputError
from xpmlp.common.wording import counted
from xpmlp.data.examples import Examples
from xpmlp.estimators._callbacks import Task
from xpmlp.estimators._lbfgs import minimise
from xpmlp.estimators._parameters import CONSTRAINTS
from xpmlp.estimators._places import float_dtype, place_of, to_host
from xpmlp.estimators._prediction import PredictionMixin
from xpmlp.estimators._sklearn import ExchangeMixin
from xpmlp.estimators._stochastic import Optimization, Progress, Rates, Rules, run
from xpmlp.estimators._travel import TravelMixin, on_host
from xpmlp.estimators._validation import ValidationMixin, column, picked
from xpmlp.nn.initializers import initialize
from xpmlp.nn.network import Layer, Network
from xpmlp.nn.optimizers import SGD, Adam, AdamW
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import Constant, build_schedule
from xpmlp.training import Recipe, State, Trainer, steps_per_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.estimators._places import Place
    from xpmlp.nn.losses import Loss
    from xpmlp.nn.optimizers import Optimizer

__all__ = ["BaseMLP"]

MOST_SEEDS = 2**31 - 1
STOCHASTIC = ("sgd", "adam", "adamw")


class BaseMLP(ValidationMixin, PredictionMixin, TravelMixin, ExchangeMixin, CallbackSupportMixin, BaseEstimator, ABC):
    """Base of `MLPClassifier` and `MLPRegressor`: use these."""

    _parameter_constraints: dict[str, list[Any]] = CONSTRAINTS

    # What the kinds of estimator decide.

    @abstractmethod
    def _validate(self, X: Any, y: Any, *, reset: bool, incremental: bool) -> tuple[Any, np.ndarray]:
        """Check examples and targets: the examples, and the targets on the host as the network learns them, (n, m)."""

    @abstractmethod
    def _targets(self, X: Any, y: Any) -> np.ndarray:
        """Turn the targets of a validation set into what the network learns, (n, m), on the host."""

    @abstractmethod
    def _loss_of(self, n_outputs: int) -> tuple[Loss, str]:
        """Return the loss with its output function, and scikit-learn's name of the latter."""

    @staticmethod
    @abstractmethod
    def _measure(y: Any, predicted: Any, *, sample_weight: Any) -> float:
        """Score predictions against targets, on the host: scikit-learn's measure."""

    @abstractmethod
    def _labels(self, T: np.ndarray) -> np.ndarray:
        """Turn targets as the network learns them, or its outputs, into what `predict` gives, on the host."""

    def _weights_of(self, y: Any, weights: np.ndarray | None) -> np.ndarray | None:  # noqa: ARG002 - for classes
        """Return what each example counts, on the host."""
        return weights

    # Fitting.

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
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
            What each example counts.
        X_val, y_val : array, optional
            Held-out examples and their targets: their loss after each epoch is kept in ``validation_loss_curve_``, and
            ``early_stopping`` watches them instead of holding out a share of X.
        sample_weight_val : array, optional
            What each of these counts.

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
        if (X_val is None) != (y_val is None):
            raise InputError("a validation set needs both X_val and y_val.")
        held_out = None if X_val is None else (X_val, y_val, sample_weight_val)
        return self._fit(X, y, sample_weight, held_out, incremental=False)

    @_fit_context(prefer_skip_nested_validation=True)
    @with_callbacks
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Take the steps of one epoch over some examples, from where the last call left off; arguments as for `fit`."""
        return self._fit(X, y, sample_weight, None, incremental=True)

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, held_out: tuple[Any, Any, Any] | None, *, incremental: bool
    ) -> Self:
        sizes = self._hidden_sizes()
        first = not hasattr(self, "coefs_") or not (self.warm_start or incremental)
        given = X, y
        X, T = self._validate(X, y, reset=first, incremental=incremental)
        weights = None if sample_weight is None else self._checked_weights(sample_weight, X.shape[0])
        weights = self._weights_of(y, weights)
        if held_out is not None and self.solver == "lbfgs":
            raise InputError("solver lbfgs has no epochs after which to measure X_val: leave it out, or take another.")
        place = place_of(X, self.device, self.dtype or self._dtype_for(X, first=first))
        self._random_state = check_random_state(self.random_state)
        network = self._network(X.shape[1], sizes if first else self._kept_sizes(sizes), T.shape[1])
        with place.backend.within_memory(
            f"{network}, with {X.shape[0]:,} examples", "fewer hidden units, fewer examples"
        ):
            if first:
                self._start(network, self.dtype or float_dtype(X))
            layers = place.layers(self.coefs_, self.intercepts_)
            examples = Examples(place.bring(X), place.backend.asarray(T), column(place, weights))
        task = Task(self, *given, sample_weight)
        with task.running():
            if self.solver == "lbfgs":
                layers = self._fit_lbfgs(place, network, layers, examples, task)
            else:
                layers = self._fit_stochastic(
                    place, network, layers, examples, T, held_out, task, incremental=incremental
                )
            self._keep(place, layers)
            if not all(np.isfinite(to_host(p)).all() for p in (*self.coefs_, *self.intercepts_)):
                raise ValueError(
                    "Solver produced non-finite parameter weights. The input data may contain large values and need to "
                    "be preprocessed."
                )
        return self

    def _checked(self, X: Any, y: Any, *, reset: bool, **options: Any) -> tuple[Any, Any]:
        xp, _, device = get_namespace_and_device(X)
        floats = supported_float_dtypes(xp, device)
        checked: tuple[Any, Any] = validate_data(
            self, X, y, accept_sparse=["csr", "csc"], multi_output=True, dtype=floats, reset=reset, **options
        )
        return checked

    def _dtype_for(self, X: Any, *, first: bool) -> str:
        """Name the dtype to compute in: that of X, or of weights that are there already where it is wider."""
        return "float64" if not first and float_dtype(self.coefs_[0]) == "float64" else float_dtype(X)

    def _hidden_sizes(self) -> list[int]:
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if hasattr(sizes, "__iter__") else [sizes]
        if np.any(np.array(sizes) <= 0):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return sizes

    def _kept_sizes(self, sizes: Sequence[int]) -> list[int]:
        """Return the hidden sizes of the weights that are gone on with: sizes set since have no effect, as theirs."""
        kept = [W.shape[1] for W in self.coefs_[:-1]]
        if len(kept) != len(sizes):
            raise ValueError(
                f"hidden_layer_sizes is {list(sizes)}, but the weights to go on with have "
                f"{counted(len(kept), 'hidden layer')}: fit without warm_start, or clone the estimator."
            )
        return kept

    def _network(self, n_inputs: int, hidden: Sequence[int], n_outputs: int) -> Network:
        loss, self.out_activation_ = self._loss_of(n_outputs)
        self.n_outputs_ = n_outputs
        self.n_layers_ = len(hidden) + 2
        network = Network.build(
            n_inputs,
            hidden,
            n_outputs,
            activation=self.activation,
            loss=loss,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
        )
        if self.solver == "lbfgs" and any(network.dropout):
            raise InputError(
                "solver lbfgs needs the same loss at every evaluation: leave dropout out, or take another."
            )
        return network

    def _start(self, network: Network, dtype: str) -> None:
        """Draw initial weights and forget what an earlier fit has left."""
        draw = self._random_state
        if self.init == "auto":
            names = [activation.name for activation in network.activations]
            names.append(names[-1] if names else self.activation)  # of the output layer, as in scikit-learn
            layers = [
                _glorot(draw, *shape, logistic=name == "logistic")
                for shape, name in zip(network.shapes, names, strict=True)
            ]
        else:
            layers = initialize(network, init=self.init, seed=draw.randint(MOST_SEEDS))
        self.coefs_ = [layer.W.astype(dtype) for layer in layers]
        self.intercepts_ = [layer.b.astype(dtype) for layer in layers]
        self.n_iter_ = 0
        self.t_ = 0
        self.__dict__.pop("_progress", None)
        self.__dict__.pop("_optimization", None)

    def _checked_weights(self, weights: Any, n: int) -> np.ndarray:
        checked: np.ndarray = _check_sample_weight(to_host(weights), np.broadcast_to(0.0, (n, 1)))
        return checked

    def _penalty(self) -> ElasticNet:
        return ElasticNet.build(self.n_layers_ - 1, self.l1, self.l2, self.alpha)

    def _fit_lbfgs(
        self, place: Place, network: Network, layers: list[Layer], examples: Examples, task: Task
    ) -> list[Layer]:
        def on_iteration(now: list[Layer]) -> bool:
            return task.around(lambda: None, lambda: self._as_fitted(place, now))

        layers, self.loss_, self.n_iter_ = minimise(
            place.backend,
            network,
            layers,
            *examples,
            self._penalty(),
            max_iter=self.max_iter,
            max_fun=self.max_fun,
            tol=self.tol,
            on_iteration=on_iteration,
        )
        return layers

    def _optimizer(self) -> Optimizer:
        if self.solver == "sgd":
            return SGD(self.momentum, nesterov=self.nesterovs_momentum and self.momentum > 0)
        if self.solver == "adam":
            return Adam(self.beta_1, self.beta_2, self.epsilon)
        return AdamW(self.beta_1, self.beta_2, self.epsilon, self.weight_decay)

    def _recipe(self, n: int, optimizer: Optimizer, seed: int) -> Recipe:
        batch_size = min(200, n) if self.batch_size == "auto" else self.batch_size
        if batch_size > n:
            warnings.warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped", stacklevel=7
            )
            batch_size = n
        steps = steps_per_epoch(n, batch_size) * self.max_iter
        return Recipe(
            optimizer=optimizer,
            schedule=build_schedule(self.schedule, 1.0, steps) if self.schedule else Constant(1.0),
            penalty=self._penalty(),
            batch_size=batch_size,
            epochs=self.max_iter,
            seed=seed,
            penalised=True,
        )

    def _fit_stochastic(
        self,
        place: Place,
        network: Network,
        layers: list[Layer],
        examples: Examples,
        T: np.ndarray,
        held_out: tuple[Any, Any, Any] | None,
        task: Task,
        *,
        incremental: bool,
    ) -> list[Layer]:
        if self._watched() == "validation score" and self.scoring is not None:
            check_scoring(self, self.scoring)  # an unknown one is said before the first epoch
        if self.early_stopping and incremental:
            raise ValueError("partial_fit does not support early_stopping=True")
        rows = np.arange(T.shape[0])
        validation = None
        if held_out is not None:
            validation = self._measurement(place, network, *self._held_out(place, examples.X, *held_out))
        elif self.early_stopping:
            rows, val_rows = self._split(T)
            validation = self._measurement(place, network, *picked(place, examples, T, val_rows))
        kept = getattr(self, "_optimization", None) if incremental else None
        optimizer, rates = (kept.optimizer, kept.rates) if kept else (self._optimizer(), self._rates())
        # Drawn where there is dropout alone, so that without it the draws are scikit-learn's.
        seed = kept.seed if kept else self._random_state.randint(MOST_SEEDS) if any(network.dropout) else 0
        recipe = self._recipe(rows.shape[0], optimizer, seed)
        trainer = self._trainer_of(place, network, recipe)
        trainer.start(layers, self._state(place, kept))
        if not hasattr(self, "_progress"):
            self._progress = Progress(self._watched())
            self._progress.best_layers = trainer.copy_layers() if self.early_stopping else None
        elif self._progress.watched != self._watched():
            self._progress.watched, self._progress.without_improvement = self._watched(), 0
        rules = Rules(self.max_iter, self.tol, self.n_iter_no_change, self.shuffle, self.verbose, incremental)

        def around(epoch: Callable[[], None]) -> bool:
            return task.around(epoch, lambda: self._as_fitted(place, trainer.copy_layers()))

        try:
            run(trainer, examples, rows, self._random_state, rates, rules, self._progress, validation, around)
        finally:
            # None are kept from fit to fit: in a warm start, scikit-learn's best weights are the last, until beaten.
            best, self._progress.best_layers = self._progress.best_layers, None
            self._note()
        state = trainer.state
        self._optimization = Optimization(optimizer, state, rates, seed)
        return best if self.early_stopping and best is not None else trainer.copy_layers()

    def _rates(self) -> Rates:
        return Rates(self.learning_rate if self.solver == "sgd" else "constant", self.learning_rate_init, self.power_t)

    def _state(self, place: Place, kept: Optimization | None) -> State | None:
        """Return the state to go on with, where the network computes or on the host."""
        if kept is None:
            return None
        here = place.backend.holds(kept.state.t) and place.backend.on_device(kept.state.t)
        return kept.state if here else on_host(kept.state)

    def _trainer_of(self, place: Place, network: Network, recipe: Recipe) -> Trainer:
        """Return the trainer of the last call where it would be the same: what it has compiled is kept."""
        kept: Trainer | None = getattr(self, "_trainer", None)
        if kept is None or (kept.backend, kept.network, kept.recipe) != (place.backend, network, recipe):
            kept = self._trainer = Trainer(place.backend, network, recipe)
        return kept

    def _note(self) -> None:
        """Write down what scikit-learn's attributes say of the fit so far."""
        progress = self._progress
        self.loss_curve_ = progress.loss_curve
        self.n_iter_ = progress.n_iter
        self.t_ = progress.seen
        if progress.loss_curve:
            self.loss_ = progress.loss_curve[-1]
        stopping = progress.watched == "validation score"
        self.best_loss_ = None if self.early_stopping else progress.best_loss
        self.validation_scores_ = progress.validation_scores if stopping else None
        self.best_validation_score_ = progress.best_score if stopping else None
        if progress.validation_loss_curve:
            self.validation_loss_curve_ = progress.validation_loss_curve
        else:
            self.__dict__.pop("validation_loss_curve_", None)

    def _keep(self, place: Place, layers: Sequence[Layer]) -> None:
        for name, value in self._as_fitted(place, layers).items():
            setattr(self, name, value)

    @staticmethod
    def _as_fitted(place: Place, layers: Sequence[Layer]) -> dict[str, Any]:
        """Return the attributes that hold weights."""
        return {
            "coefs_": [place.give(layer.W) for layer in layers],
            "intercepts_": [place.give(layer.b) for layer in layers],
        }


def _glorot(draw: np.random.RandomState, fan_in: int, fan_out: int, *, logistic: bool) -> Layer:
    """Draw weights and biases uniformly within sqrt(6 / (fan_in + fan_out)), 2 for logistic units: scikit-learn's."""
    bound = np.sqrt((2.0 if logistic else 6.0) / (fan_in + fan_out))
    return Layer(draw.uniform(-bound, bound, (fan_in, fan_out)), draw.uniform(-bound, bound, fan_out))
