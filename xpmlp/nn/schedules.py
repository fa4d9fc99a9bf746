"""Learning-rate schedules: the rate of step `t`, computed on the device that counts the steps.

A schedule is called with the number of steps taken before this one, a 0-d floating array, or (M,) of a stack, and gives
the rate of this step: a Python number where it never changes, else an array like that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from xpmlp.backends.elementwise import elementwise, fuse
from xpmlp.common.validation import check_choice
from xpmlp.nn.members import at_least_one, check_own, log

if TYPE_CHECKING:
    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.members import Number


class Schedule(Protocol):
    """What a training step asks of a schedule."""

    def __call__(self, xp: Namespace, t: Array) -> Array | float:
        """Return the learning rate after `t` steps."""


@dataclass(frozen=True)
class Constant:
    """The same rate at every step."""

    OWN: ClassVar = ("rate",)

    rate: Number

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_own("learning rate", self.rate, above=0))

    def __call__(self, xp: Namespace, t: Array) -> Number:
        """Return the rate."""
        return self.rate


@dataclass(frozen=True)
class StepDecay:
    """The rate times `factor` after every `every` steps."""

    OWN: ClassVar = ("rate", "every", "factor")

    rate: Number
    every: Number
    factor: Number = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_own("learning rate", self.rate, above=0))
        object.__setattr__(self, "every", check_own("every", self.every, at_least=1, integer=True))
        object.__setattr__(self, "factor", check_own("factor", self.factor, above=0))

    def __call__(self, xp: Namespace, t: Array) -> Array:
        """Return ``rate * factor ** floor(t / every)``."""
        return fuse(xp, _step_decay)(xp, t, self.rate, self.every, log(xp, self.factor))


@elementwise()
def _step_decay(xp: Namespace, t: Array, rate: Number, every: Number, log_factor: Number) -> Array:
    # The half keeps the quotient off whole numbers, where a compiler's t * (1 / every) may fall short.
    return rate * xp.exp(log_factor * xp.floor((t + 0.5) / every))


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up over `warmup` steps, then half a cosine down to 0 at `total` (Loshchilov & Hutter, 2017)."""

    OWN: ClassVar = ("rate", "total", "warmup")

    rate: Number
    total: Number
    warmup: Number = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_own("learning rate", self.rate, above=0))
        object.__setattr__(self, "total", check_own("total", self.total, at_least=1, integer=True))
        object.__setattr__(self, "warmup", check_own("warmup", self.warmup, at_least=0, integer=True))

    def __call__(self, xp: Namespace, t: Array) -> Array:
        """Return the rate; never 0 before `total` steps are done, and 0 from then on."""
        return fuse(xp, _cosine)(xp, t, self.rate, self.warmup, at_least_one(xp, self.total - self.warmup))


@elementwise()
def _cosine(xp: Namespace, t: Array, rate: Number, warmup: Number, falling: Number) -> Array:
    rising = (t + 1.0) / (warmup + 1.0)
    progress = (t - warmup) / falling
    progress = xp.minimum(progress, xp.ones_like(progress))
    return rate * xp.where(t < warmup, rising, 0.5 + 0.5 * xp.cos(math.pi * progress))


SCHEDULES = ("constant", "step", "cosine")


def build_schedule(name: str, learning_rate: float, total_steps: int) -> Schedule:
    """Fit a schedule to a run: step decays tenfold after each third, cosine warms up for 5 %.

    Parameters
    ----------
    name : {"constant", "step", "cosine"}
        Which one.
    learning_rate : float
        The highest rate.
    total_steps : int
        Steps of the whole run: minibatches an epoch times epochs.

    Raises
    ------
    InputError
        For an unknown name, or a rate that is not positive.
    """
    check_choice("schedule", name, SCHEDULES)
    if name == "step":
        return StepDecay(learning_rate, every=max(1, math.ceil(total_steps / 3)))
    if name == "cosine":
        return Cosine(learning_rate, total=total_steps, warmup=total_steps // 20)
    return Constant(learning_rate)
