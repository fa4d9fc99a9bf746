"""Training: by L-BFGS, or in minibatches with scikit-learn's orders, learning rates and reasons to stop."""

from __future__ import annotations

import operator
import warnings
from abc import ABC
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

import numpy as np
from scipy import optimize
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import train_test_split

from xpmlp.backends.purity import is_pure
from xpmlp.common.errors import InputError
from xpmlp.data.examples import Examples
from xpmlp.estimators._compat import check_optimize_result, takes_weights
from xpmlp.estimators._fitted import FittedMLP
from xpmlp.estimators._lbfgs import Objective, in_few_threads
from xpmlp.estimators._minibatches import MinibatchFit, Stack
from xpmlp.estimators._placement import float_dtype, place, to_host
from xpmlp.estimators._progress import Optimization, Progress, plain, rebuilt
from xpmlp.nn.network import copy_layers, fprop
from xpmlp.nn.optimizers import SGD, Adam, AdamW
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import build_schedule
from xpmlp.training import Member, Recipe, Trainer, steps_per_epoch
from xpmlp.training.scoring import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.estimators._compat import RunIteration
    from xpmlp.estimators._minibatches import Trained
    from xpmlp.estimators._placement import PlacedExamples, Placement
    from xpmlp.nn.network import Layer, Network
    from xpmlp.nn.optimizers import Optimizer
    from xpmlp.training import State

MAX_SEED = 2**31 - 1
FIRST_ITERATIONS = 2  # lbfgs that ends in these has not found its way
CONTINUED = ("_optimizer", "_progress")  # by `partial_fit`


class Problem(NamedTuple):
    """What is to be trained, and where."""

    placement: Placement
    network: Network
    layers: list[Layer]  # the weights to start from
    training: PlacedExamples
    validation: PlacedExamples | None
    rows: np.ndarray  # those of the training examples that are its own


class TrainedMLP(FittedMLP, ABC):
    """How both kinds of estimator train."""

    _random_state: np.random.RandomState
    _optimizer: Optimization | None = None
    _progress: Progress | None = None
    _trainer: Trainer | None = None  # of the last fit

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        state.pop("_trainer", None)  # it holds compiled functions
        return state | {name: plain(state[name]) for name in CONTINUED if name in state}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state | {name: rebuilt(state[name]) for name in CONTINUED if name in state})

    @property
    def _watched(self) -> str:
        if not self.early_stopping:
            return "training loss"
        return "validation loss" if self.scoring == "loss" else "validation score"

    def _train(self, problem: Problem, run_iteration: RunIteration, *, one_epoch: bool) -> list[Layer]:
        """Return the weights that the solver ends with."""
        if self.solver == "lbfgs":
            return self._train_by_lbfgs(problem, run_iteration)
        return self._train_in_minibatches(problem, run_iteration, one_epoch=one_epoch)

    def _train_in_minibatches(self, problem: Problem, run_iteration: RunIteration, *, one_epoch: bool) -> list[Layer]:
        """Return the weights that scikit-learn's rules end with."""
        placement, fit = problem.placement, self._begin(problem, one_epoch=one_epoch)

        def trainer_for(network: Network, recipe: Recipe) -> Trainer:
            last = self._trainer
            if last is None or (last.backend, last.network, last.recipe) != (placement.backend, network, recipe):
                last = self._trainer = Trainer(placement.backend, network, recipe)
            return last  # where it would be the same, with what it has compiled

        state = _on_backend(placement.backend, fit.optimization.state)
        stack = Stack(placement.backend, problem.training.examples, [fit], trainer_for, state)
        try:
            while stack.is_running:
                if run_iteration(stack.run_epoch, lambda: placement.fitted(stack.trainer.copy_layers())) or one_epoch:
                    break
            else:
                fit.check_convergence(stacklevel=7)
        except KeyboardInterrupt:
            warnings.warn("Training interrupted by user.", stacklevel=6)
        stack.end()
        return self._end(fit)

    def _begin(self, problem: Problem, *, one_epoch: bool = False) -> MinibatchFit:
        """Prepare a fit in minibatches: its rows, its recipe and what is measured after an epoch."""
        placement, network, layers, training, validation, rows = problem
        backend = placement.backend
        if self.early_stopping and validation is None:
            taken, held_out = self._split(training.T[rows])
            rows, held_out = rows[taken], rows[held_out]
            validation = training.take(backend, held_out)
            if training.weights is not None:
                _check_weight("the share of X that is trained on", training.weights[rows])
        optimization = (self._optimizer if one_epoch else None) or self._new_optimization(network)
        best = copy_layers(backend, layers) if self.early_stopping else None
        progress = self._progress = self._progress or Progress(watched=self._watched, best_layers=best)
        progress.n_iter = 0
        if progress.watched != self._watched:
            progress.watched, progress.without_improvement = self._watched, 0
        return MinibatchFit(
            parameters=self,
            draw=self._random_state,
            member=Member(network, layers, self._recipe(rows.shape[0], optimization), rows, training.examples.weights),
            optimization=optimization,
            progress=progress,
            measure=validation and self._measure_function(placement, network, validation),
        )

    def _end(self, fit: MinibatchFit) -> list[Layer]:
        """Set the attributes of a fit that has ended, and return the weights that count."""
        layers, state = cast("Trained", fit.trained)
        # None are kept from fit to fit: in a warm start, scikit-learn's best weights are the last, until beaten.
        best, fit.progress.best_layers = fit.progress.best_layers, None
        self._set_attributes(fit.progress)
        fit.optimization.state, self._optimizer = state, fit.optimization
        return best if self.early_stopping and best is not None else layers

    def _split(self, T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows to train on, and those held out for `early_stopping`, as scikit-learn draws them."""
        stratify = T if is_classifier(self) and T.shape[1] == 1 else None
        if self.stratify_validation and is_classifier(self) and self.out_activation_ == "softmax":
            stratify = self._labels(T)  # the error names those with too few members
        share, draw = self.validation_fraction, self._random_state
        rows, held_out = train_test_split(np.arange(T.shape[0]), test_size=share, random_state=draw, stratify=stratify)
        if held_out.shape[0] < 2:
            raise ValueError(
                "The validation set is too small. Increase 'validation_fraction' or the size of your dataset."
            )
        return rows, held_out

    def _new_optimization(self, network: Network) -> Optimization:
        optimizer: Optimizer
        if self.solver == "sgd":
            optimizer = SGD(self.momentum, nesterov=self.nesterovs_momentum and self.momentum > 0)
        elif self.solver == "adam":
            optimizer = Adam(self.beta_1, self.beta_2, self.epsilon)
        else:
            optimizer = AdamW(self.beta_1, self.beta_2, self.epsilon, self.weight_decay)
        kind = self.learning_rate if self.solver == "sgd" else "constant"
        # Drawn where there is dropout alone, so that without it the draws are scikit-learn's.
        seed = self._random_state.randint(MAX_SEED) if any(network.dropout) else 0
        rate = float(self.learning_rate_init)
        return Optimization(optimizer, seed, kind, rate, rate, self.power_t)

    def _penalty(self) -> ElasticNet:
        return ElasticNet.build(self.n_layers_ - 1, self.l1, self.l2, self.alpha)

    def _recipe(self, n: int, optimization: Optimization) -> Recipe:
        """Return how `n` examples are trained on."""
        batch_size = min(200, n) if self.batch_size == "auto" else operator.index(cast("int", self.batch_size))
        if batch_size > n:
            message = "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped"
            warnings.warn(message, stacklevel=8)
            batch_size = n
        steps = steps_per_epoch(n, batch_size) * self.max_iter
        return Recipe(
            optimizer=optimization.optimizer,
            schedule=build_schedule(self.schedule or "constant", 1.0, steps),
            penalty=self._penalty(),
            batch_size=batch_size,
            epochs=int(self.max_iter),
            seed=optimization.seed,
            penalised=True,
        )

    def _measure_function(
        self, placement: Placement, network: Network, validation: PlacedExamples
    ) -> Callable[[Sequence[Layer]], dict[str, float]]:
        """Return ``measure(layers)``: the mean loss of the validation set, and its score where that is watched."""
        backend, xp = placement.backend, placement.backend.xp
        X, T, weights = validation.examples
        given = {} if weights is None else {"sample_weight": validation.weights[:, 0]}
        if given:
            _check_weight("the validation set", given["sample_weight"])
        size = float(given["sample_weight"].sum() if given else X.shape[0])
        if self._watched == "validation score" and self.scoring is not None and not takes_weights(self.scoring):
            given = {}

        def forward(layers: Sequence[Layer], X: Array) -> Array:
            return fprop(xp, network, layers, X).u

        if is_pure(network):  # functions of the user's own may change from epoch to epoch
            forward = backend.compile(forward)

        def measure(layers: Sequence[Layer]) -> dict[str, float]:
            with backend.computing():
                u = outputs(backend, forward, layers, X)
                values = {"validation loss": float(backend.to_numpy(network.loss.value(xp, u, T, weights))) / size}
                if self._watched != "validation score":
                    return values
                a = backend.to_numpy(network.loss.outputs(xp, u)) if self.scoring is None else None
            if a is None:
                now = self._on_numpy(placement, copy_layers(backend, layers))
                score = float(check_scoring(now, self.scoring)(now, to_host(X), self._labels(validation.T), **given))
                if np.isnan(score):  # no epoch would ever be the best
                    raise InputError(
                        f"scoring {self.scoring!r} gives nan for the validation set: choose another score, or a "
                        "validation set with examples of every class."
                    )
            else:
                score = self._score_outputs(a, validation.T, **given)
            return values | {"validation score": score}

        return measure

    def _on_numpy(self, placement: Placement, layers: Sequence[Layer]) -> Self:
        """Return an estimator with these weights for NumPy arrays: few of scikit-learn's scorers take others."""
        now = object.__new__(type(self))
        now.__dict__.update(self.__dict__, **placement.fitted(layers))
        if placement.caller.name != "numpy":
            now.device = f"{placement.caller.name}:{placement.caller.device_name}"
        return now.to("cpu")

    def _set_attributes(self, progress: Progress) -> None:
        """Set scikit-learn's fitted attributes to what is known of the fit so far."""
        self.loss_curve_, self.n_iter_, self.t_ = progress.curves["training loss"], progress.n_iter, progress.seen
        self._no_improvement_count = progress.without_improvement  # read by name, as `_optimizer.learning_rate` is
        if self.loss_curve_:
            self.loss_ = self.loss_curve_[-1]
        scored = progress.watched == "validation score"
        self.best_loss_ = None if self.early_stopping else progress.best.get("training loss", np.inf)
        self.validation_scores_ = progress.curves["validation score"] if scored else None
        self.best_validation_score_ = progress.best.get("validation score", -np.inf) if scored else None
        if progress.curves["validation loss"]:
            self.validation_loss_curve_ = progress.curves["validation loss"]
        else:
            self.__dict__.pop("validation_loss_curve_", None)

    def _train_by_lbfgs(self, problem: Problem, run_iteration: RunIteration) -> list[Layer]:
        """Return the weights where SciPy's L-BFGS-B ends."""
        placement, network, layers, training, *_ = problem
        objective = Objective(placement.backend, network, self._penalty(), training)
        stopped = False

        def callback(flat: np.ndarray) -> None:
            nonlocal stopped
            stopped = run_iteration(lambda: None, lambda: placement.fitted(objective.unpack(flat)))
            if stopped:
                raise StopIteration

        with in_few_threads(placement.backend, network, training.T.shape[0]):
            found = optimize.minimize(
                objective,
                objective.pack(layers),
                method="L-BFGS-B",
                jac=True,
                callback=callback,
                options={"maxfun": self.max_fun, "maxiter": self.max_iter, "gtol": self.tol},
            )
        self.loss_, self.n_iter_ = float(found.fun), int(found.nit)
        if not stopped:
            self._check_convergence(found)
        return objective.unpack(found.x)

    def _check_convergence(self, found: optimize.OptimizeResult) -> None:
        """Warn, as of the line that calls `fit`, where L-BFGS has not converged."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.n_iter_ = check_optimize_result("lbfgs", found, self.max_iter)
        messages = [str(each.message) for each in caught]
        if found.success and found.nit <= FIRST_ITERATIONS and np.abs(found.jac).max() > self.tol:
            messages.append(
                f"lbfgs stopped after {found.nit} iteration(s), as no step lowered the loss by more than its rounding, "
                "but its gradient is above tol: scale X and y, or compute in float64."
            )
        for message in messages:
            warnings.warn(message, ConvergenceWarning, stacklevel=7)

    def _loss_grad_lbfgs(self, packed: np.ndarray, X: Any, y: Any, sample_weight: Any, *_: Any) -> Any:
        """Return the loss and its gradient, packed, of checked examples: scikit-learn's tests call it by this name."""
        placement = place(X, self.device, float_dtype(self.coefs_[0]))
        training = placement.examples(Examples(X, y, None if sample_weight is None else sample_weight[:, None]))
        return Objective(placement.backend, self._fitted_network(), self._penalty(), training)(packed)


def _check_weight(what: str, weights: np.ndarray) -> None:
    """Refuse weights that sum to 0: there is neither a mean loss nor a score with them."""
    if weights.sum() == 0:
        raise ValueError(
            f"Sample weights must contain at least one non-zero number, but those of {what} sum to 0: "
            "give weights to more examples, or choose the validation set with X_val and y_val."
        )


def _on_backend(backend: Backend, state: State | None) -> State | None:
    """Return the state of an optimiser on the backend, or else on the host."""
    here = state is None or (backend.holds(state.t) and backend.on_device(state.t))
    return state if here else cast("State", rebuilt(plain(state)))
