"""Fits in minibatches, with scikit-learn's orders, learning rates and reasons to stop: one, or a stack of many."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from xpmlp.backends.rehearsal import mapped
from xpmlp.nn.network import Layer, copy_layers
from xpmlp.training.stacks import MAX_RUNNING, Member, joined, joined_weights, members_at, stacked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.data.examples import Examples
    from xpmlp.estimators._parameters import Parameters
    from xpmlp.estimators._progress import Optimization, Progress
    from xpmlp.nn.network import Network
    from xpmlp.training import Recipe, State, Trainer

Nest = TypeVar("Nest")


class Trained(NamedTuple):
    """What a fit leaves on the backend."""

    layers: list[Layer]
    state: State


@dataclass(kw_only=True)
class MinibatchFit:
    """The fit of an estimator, epoch by epoch: what its rules ask for before an epoch, and decide after it."""

    parameters: Parameters
    draw: np.random.RandomState
    member: Member  # its rows are those to train on, in the order of the last epoch
    optimization: Optimization
    progress: Progress
    measure: Callable[[Sequence[Layer]], dict[str, float]] | None  # of the validation set
    is_over: bool = False  # by a rule
    is_last: bool = False  # by the number of epochs, so that it has not converged
    trained: Trained | None = field(default=None, init=False)  # once it has ended

    def next_order(self) -> np.ndarray:
        """Draw the order of the next epoch; that of the last one where the fit has ended."""
        rows: np.ndarray = self.member.rows
        if self.parameters.shuffle and self.trained is None:
            rows = rows[self.draw.permutation(rows.shape[0])]  # as scikit-learn's `shuffle` draws it
            self.member = self.member._replace(rows=rows)
        return rows

    def after_epoch(self, loss: float, layers: Sequence[Layer], copy: Callable[[Sequence[Layer]], list[Layer]]) -> None:
        """Judge an epoch by its summed loss and the weights that it has ended with, which `copy` copies."""
        progress, n = self.progress, self.member.rows.shape[0]
        values = {"training loss": loss / n} | (self.measure(layers) if self.measure else {})
        for name, value in values.items():
            progress.curves[name].append(value)
        progress.n_iter += 1
        progress.seen += n
        self._print(f"Iteration {progress.n_iter}, loss = {values['training loss']:.8f}")
        if "validation score" in values:
            self._print(f"Validation score: {values['validation score']:f}")
        if progress.judge(self.parameters.tol) and progress.watched != "training loss":
            progress.best_layers = copy(layers)
        self.optimization.after_epoch(progress.seen)
        if progress.without_improvement > self.parameters.n_iter_no_change:
            outcome = self.optimization.without_progress()
            self._print(
                f"{progress.watched.capitalize()} did not improve more than tol={self.parameters.tol:f} for "
                f"{self.parameters.n_iter_no_change:d} consecutive epochs. {outcome}"
            )
            self.is_over = outcome.endswith("Stopping.")
            if not self.is_over:
                progress.without_improvement = 0
        self.is_last = progress.n_iter >= self.parameters.max_iter and not self.is_over

    def check_convergence(self, stacklevel: int) -> None:
        """Warn where the number of epochs has ended the fit."""
        if self.is_last:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({self.parameters.max_iter}) "
                "reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=stacklevel,
            )

    def _print(self, line: str) -> None:
        if self.parameters.verbose:
            print(line)  # noqa: T201 - what `verbose` asks for, as scikit-learn does


class Stack:
    """Fits that are trained by the same steps: those of a stack, or a lone one.

    Parameters
    ----------
    backend : Backend
        Where to compute.
    examples : Examples
        What all of them are trained on, but for its weights: each member has its own.
    fits : sequence of MinibatchFit
        Their members fit into one stack.
    trainer_for : callable
        Makes a `Trainer` of a network and a recipe.
    state : State, optional
        For a lone fit to go on from.
    """

    def __init__(
        self,
        backend: Backend,
        examples: Examples,
        fits: Sequence[MinibatchFit],
        trainer_for: Callable[[Network, Recipe], Trainer],
        state: State | None = None,
    ) -> None:
        self._backend, self._shared, self._fits, self._trainer_for = backend, examples, list(fits), trainer_for
        pairs = zip(*(fit.member.layers for fit in fits), strict=True)
        self._start([Layer(*(stacked(backend, p) for p in zip(*layers, strict=True))) for layers in pairs], state)

    def _start(self, layers: Sequence[Layer], state: State | None) -> None:
        members = [fit.member for fit in self._fits]
        self.trainer = self._trainer_for(*joined(members))
        self.trainer.start(layers, state)
        weights = joined_weights(self._backend, [member.weights for member in members])
        self._examples = self._shared._replace(weights=weights)

    @property
    def is_running(self) -> bool:
        """Whether a fit has not ended yet."""
        return any(fit.trained is None for fit in self._fits)

    def run_epoch(self) -> None:
        """Train all of them for one more epoch, of which each decides whether it is its last."""
        fits, trainer = self._fits, self.trainer
        orders, rates = [fit.next_order() for fit in fits], [fit.optimization.learning_rate for fit in fits]
        order = np.stack(orders) if len(fits) > 1 else orders[0]
        trainer.run_epoch(self._examples, order, rate=rates if len(set(rates)) > 1 else rates[0])
        for place, (fit, reading) in enumerate(zip(fits, trainer.read({}), strict=True)):
            if fit.trained is None:
                fit.after_epoch(reading.loss, self._at(place, trainer.layers), self._copy)
                if fit.is_over or fit.is_last:
                    fit.trained = self._trained(place)
        running = [place for place, fit in enumerate(fits) if fit.trained is None]
        if 0 < len(running) <= MAX_RUNNING * len(fits):
            self._fits = [fits[place] for place in running]
            self._start(*members_at(self._backend, (trainer.layers, trainer.state), running))

    def end(self) -> None:
        """Leave the fits as they are now."""
        for place, fit in enumerate(self._fits):
            fit.trained = fit.trained or self._trained(place)

    def _trained(self, place: int) -> Trained:
        if len(self._fits) == 1:
            return Trained(self.trainer.copy_layers(), self.trainer.state)
        with self._backend.computing():
            state = mapped(lambda p: self._backend.xp.asarray(p, copy=True), self._at(place, self.trainer.state))
            return Trained(self._copy(self._at(place, self.trainer.layers)), state)

    def _at(self, place: int, nest: Nest) -> Nest:
        """Return what a member has of the arrays of the stack, where they lie."""
        return nest if len(self._fits) == 1 else members_at(self._backend, nest, [place])

    def _copy(self, layers: Sequence[Layer]) -> list[Layer]:
        with self._backend.computing():
            return copy_layers(self._backend, layers)
