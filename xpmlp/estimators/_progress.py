"""What `partial_fit` continues: the optimiser with its state and rate, and what is known of the epochs so far.

Estimators are pickled with these as plain values, lists and dicts of arrays, numbers and strings: files of skops name
every class that they hold, for their reader to trust, and pickles import it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.estimators._placement import to_host
from xpmlp.nn.network import Layer
from xpmlp.nn.optimizers import SGD, Adam, AdamState, AdamW, SGDState
from xpmlp.training import State

if TYPE_CHECKING:
    from xpmlp.nn.optimizers import Optimizer

WATCHED = ("training loss", "validation loss", "validation score")
MIN_RATE = 1e-6  # "adaptive" stops at a lower one
TYPE = "type"  # the key of a record's type


@dataclass
class Optimization:
    """What `partial_fit` continues; parameters that are set in between do not change it, as in scikit-learn."""

    optimizer: Optimizer
    seed: int  # of dropout's masks
    kind: str  # how the learning rate changes between epochs: "constant", "invscaling" or "adaptive"
    first_rate: float
    learning_rate: float  # of the next epoch
    power_t: float = 0.5
    state: State | None = field(default=None, kw_only=True)  # None before the first step

    def after_epoch(self, seen: int) -> None:
        """Scale the rate by the examples `seen` so far."""
        if self.kind == "invscaling":
            self.learning_rate = self.first_rate / (seen + 1) ** self.power_t

    def without_progress(self) -> str:
        """Divide the rate, or give up: return what to print, which ends in "Stopping." where training ends."""
        if self.kind != "adaptive":
            return "Stopping."
        if self.learning_rate <= MIN_RATE:
            return "Learning rate too small. Stopping."
        self.learning_rate /= 5.0
        return f"Setting learning rate to {self.learning_rate:f}"


@dataclass(kw_only=True)
class Progress:
    """What is known of a fit from epoch to epoch, over several calls of `partial_fit` too."""

    watched: str  # what has to improve, of WATCHED
    curves: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in WATCHED})
    best: dict[str, float] = field(default_factory=dict)  # of the epochs in which it was watched
    without_improvement: int = 0  # epochs in a row
    seen: int = 0  # examples
    n_iter: int = 0  # epochs of the last call
    best_layers: list[Layer] | None = None  # of the best epoch, where a validation set is watched

    def judge(self, tol: float) -> bool:
        """Count the epochs without an improvement of `tol`; return whether the last one is the best."""
        sign = 1.0 if self.watched == "validation score" else -1.0
        now, best = self.curves[self.watched][-1], self.best.get(self.watched, -sign * np.inf)
        self.without_improvement = self.without_improvement + 1 if sign * now < sign * best + tol else 0
        is_best = sign * now > sign * best
        if is_best:
            self.best[self.watched] = now
        return is_best


RECORDS = {
    kind.__name__: kind for kind in (Optimization, Progress, SGD, Adam, AdamW, SGDState, AdamState, State, Layer)
}


def plain(value: Any) -> Any:
    """Copy a nest of lists, dicts and records, a dict for each record, with its arrays as NumPy's."""
    if is_dataclass(value):
        value = {TYPE: type(value).__name__} | {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "_fields"):
        value = {TYPE: type(value).__name__} | value._asdict()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(plain, value))
    return value if isinstance(value, int | float | str) else to_host(value)


def rebuilt(value: Any) -> Any:
    """Return what `plain` was given, of records of the types in `RECORDS`; other values are left as they are."""
    if isinstance(value, list):
        return [rebuilt(each) for each in value]
    if not isinstance(value, dict):
        return value
    built = {name: rebuilt(each) for name, each in value.items()}
    if TYPE not in built:
        return built
    return RECORDS[built.pop(TYPE)](**built)
