"""Fitting by minibatches with scikit-learn's rules: its orders, its learning rates, its reasons to stop."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.data.examples import Examples
    from xpmlp.nn.network import Layer
    from xpmlp.nn.optimizers import Optimizer
    from xpmlp.training import State, Trainer

__all__ = ["Optimization", "Progress", "Rates", "Rules", "run"]

LEAST_RATE = 1e-6  # below which "adaptive" gives up


@dataclass
class Rates:
    """The learning rate, and how scikit-learn changes it between epochs.

    Attributes
    ----------
    kind : {"constant", "invscaling", "adaptive"}
        How.
    initial, power_t : float
        ``learning_rate_init`` and ``power_t``.
    now : float
        The rate of the next epoch.
    """

    kind: str
    initial: float
    power_t: float
    now: float = field(init=False)

    def __post_init__(self) -> None:
        self.now = float(self.initial)

    def after_epoch(self, seen: int) -> None:
        """Scale the rate by the examples `seen` so far."""
        if self.kind == "invscaling":
            self.now = float(self.initial) / (seen + 1) ** self.power_t

    def without_progress(self) -> str:
        """Divide the rate, or give up: return what to say of it, which ends in "Stopping." where this is the end."""
        if self.kind != "adaptive":
            return "Stopping."
        if self.now <= LEAST_RATE:
            return "Learning rate too small. Stopping."
        self.now /= 5.0
        return f"Setting learning rate to {self.now:f}"


class Optimization(NamedTuple):
    """What `partial_fit` goes on with; parameters that are set in between change nothing of it, as in scikit-learn."""

    optimizer: Optimizer
    state: State
    rates: Rates
    seed: int  # of dropout's masks


@dataclass
class Progress:
    """What scikit-learn keeps of a fit from epoch to epoch, over several calls of `partial_fit` too."""

    watched: str  # "training loss", "validation loss" or "validation score"
    loss_curve: list[float] = field(default_factory=list)
    validation_loss_curve: list[float] = field(default_factory=list)
    validation_scores: list[float] = field(default_factory=list)
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_validation_loss: float = np.inf
    without_improvement: int = 0
    seen: int = 0  # examples
    n_iter: int = 0
    best_layers: list[Layer] | None = None

    def judge(self, tol: float) -> bool:
        """Count the epochs without improvement; return whether this one is the best of the validation set."""
        if self.watched == "validation score":
            self.best_score, failed, best = _judged(self.validation_scores, self.best_score, tol, sign=1)
        elif self.watched == "validation loss":
            self.best_validation_loss, failed, best = _judged(
                self.validation_loss_curve, self.best_validation_loss, tol, sign=-1
            )
        else:
            self.best_loss, failed, best = _judged(self.loss_curve, self.best_loss, tol, sign=-1)
        self.without_improvement = self.without_improvement + 1 if failed else 0
        return best


def _judged(curve: list[float], best: float, tol: float, *, sign: int) -> tuple[float, bool, bool]:
    """Return the best value, the last included, whether that improves by less than `tol`, and whether it is best."""
    now = curve[-1]
    failed = now < best + tol if sign > 0 else now > best - tol
    better = now > best if sign > 0 else now < best
    return now if better else best, failed, better


@dataclass(frozen=True)
class Rules:
    """When to stop, and what to say.

    Attributes
    ----------
    max_iter, tol, n_iter_no_change, shuffle, verbose
        As in the estimators.
    incremental : bool
        Whether one epoch is all, as for `partial_fit`.
    """

    max_iter: int
    tol: float
    n_iter_no_change: float
    shuffle: bool
    verbose: Any
    incremental: bool


def run(
    trainer: Trainer,
    examples: Examples,
    rows: np.ndarray,
    random_state: np.random.RandomState,
    rates: Rates,
    rules: Rules,
    progress: Progress,
    measure: Callable[[Trainer], tuple[float, float | None]] | None,
    around_epoch: Callable[[Callable[[], None]], bool],
) -> None:
    """Train until a rule says stop.

    Parameters
    ----------
    trainer : Trainer
        With the weights to start from; left with the last ones.
    examples : Examples
        All of them, on the trainer's backend.
    rows : ndarray of int
        The examples to train on.
    random_state : RandomState
        Shuffles them anew for each epoch, from the last order: scikit-learn's draws.
    rates, rules, progress
        As their classes say; `rates` and `progress` are updated.
    measure : callable, optional
        ``measure(trainer)`` gives the mean loss of held-out examples, and their score where one is watched.
    around_epoch : callable
        ``around_epoch(epoch)`` calls ``epoch()`` and returns whether a callback asks for an end.
    """
    positions = np.arange(rows.shape[0])

    def epoch() -> None:
        nonlocal positions
        if rules.shuffle:
            positions = positions[random_state.permutation(positions.shape[0])]  # as their `shuffle` draws it
        trainer.run_epoch(examples, rows[positions], rate=rates.now)
        progress.loss_curve.append(trainer.read({}).loss / rows.shape[0])
        progress.n_iter += 1
        progress.seen += rows.shape[0]
        _say(rules, f"Iteration {progress.n_iter}, loss = {progress.loss_curve[-1]:.8f}")
        if measure is not None:
            loss, score = measure(trainer)
            progress.validation_loss_curve.append(loss)
            if score is not None:
                progress.validation_scores.append(score)
                _say(rules, f"Validation score: {progress.validation_scores[-1]:f}")
        if progress.judge(rules.tol) and progress.watched != "training loss":
            progress.best_layers = trainer.copy_layers()

    progress.n_iter = 0
    try:
        for _ in range(rules.max_iter):
            stop = around_epoch(epoch)
            rates.after_epoch(progress.seen)
            if _gives_up(rules, rates, progress) or stop or rules.incremental:
                return
        warnings.warn(
            f"Stochastic Optimizer: Maximum iterations ({rules.max_iter}) "
            "reached and the optimization hasn't converged yet.",
            ConvergenceWarning,
            stacklevel=7,
        )
    except KeyboardInterrupt:
        warnings.warn("Training interrupted by user.", stacklevel=7)


def _gives_up(rules: Rules, rates: Rates, progress: Progress) -> bool:
    """Whether there was no improvement for too long, and no lower rate is left to try."""
    if progress.without_improvement <= rules.n_iter_no_change:
        return False
    said = rates.without_progress()
    _say(
        rules,
        f"{progress.watched.capitalize()} did not improve more than tol={rules.tol:f} for "
        f"{rules.n_iter_no_change:d} consecutive epochs. {said}",
    )
    progress.without_improvement = 0 if not said.endswith("Stopping.") else progress.without_improvement
    return said.endswith("Stopping.")


def _say(rules: Rules, line: str) -> None:
    if rules.verbose:
        print(line)  # noqa: T201 - what `verbose` asks for, as scikit-learn does
