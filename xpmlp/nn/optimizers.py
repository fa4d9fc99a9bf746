"""Update rules: each is an `init` that makes its state and an `update` that takes one step.

Parameters, gradients and state are lists of arrays. An update may write to what it is given and always returns the
new values: the caller treats what it passed in as used up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from xpmlp.backends.elementwise import elementwise, fuse, subtract_scaled
from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice, check_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.common.types import Array, Namespace

__all__ = ["OPTIMIZERS", "SGD", "Adam", "AdamState", "AdamW", "Optimizer", "SGDState", "build_optimizer"]


class Optimizer(Protocol):
    """What a training step asks of an update rule."""

    def init(self, xp: Namespace, params: Sequence[Array]) -> Any:
        """Return the state before the first step: a NamedTuple of lists of arrays like `params`."""

    def update(
        self,
        xp: Namespace,
        params: Sequence[Array],
        gradients: Sequence[Array],
        state: Any,
        rate: Array | float,
        t: Array,
    ) -> tuple[list[Array], Any]:
        """Take step number `t` (1 for the first; a 0-d floating array) at a learning rate."""


class SGDState(NamedTuple):
    """The velocity of every parameter; none without momentum."""

    velocity: list[Array]


@dataclass(frozen=True)
class SGD:
    """Gradient descent on minibatches (2.14-2.15), with momentum (Polyak, 1964) or Nesterov's.

    Attributes
    ----------
    momentum : float
        What is kept of the velocity at each step, in [0, 1]; 1 keeps all, and seldom converges.
    nesterov : bool
        Whether to step from where the velocity leads (Sutskever et al., 2013).
    """

    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "momentum", check_number("momentum", self.momentum, at_least=0, at_most=1))
        if self.nesterov and not self.momentum:
            raise InputError("Nesterov's variant changes nothing at momentum 0: give a momentum, such as 0.9.")

    def init(self, xp: Namespace, params: Sequence[Array]) -> SGDState:
        """Return velocities of 0."""
        return SGDState([xp.zeros_like(p) for p in params] if self.momentum else [])

    def update(
        self,
        xp: Namespace,
        params: Sequence[Array],
        gradients: Sequence[Array],
        state: SGDState,
        rate: Array | float,
        t: Array,  # noqa: ARG002 - every optimiser takes the step number
    ) -> tuple[list[Array], SGDState]:
        """Step: p <- p - rate g; with momentum v <- momentum v - rate g, and p <- p + v or p + momentum v - rate g."""
        if not self.momentum:
            descend = fuse(xp, _descend)
            return [descend(xp, p, g, rate) for p, g in zip(params, gradients, strict=True)], state
        roll = fuse(xp, _momentum_update)
        moved = [roll(xp, p, v, g, rate, rule=self) for p, v, g in zip(params, state.velocity, gradients, strict=True)]
        return [p for p, _ in moved], SGDState([v for _, v in moved])


@elementwise(inplace=1)
def _descend(xp: Namespace, p: Array, g: Array, rate: Array | float) -> Array:
    return subtract_scaled(xp, p, rate, g)


@elementwise(inplace=2)
def _momentum_update(
    xp: Namespace,  # noqa: ARG001 - as above
    p: Array,
    v: Array,
    g: Array,
    rate: Array | float,
    *,
    rule: SGD,
) -> tuple[Array, Array]:
    g *= rate
    v *= rule.momentum
    v -= g
    p += rule.momentum * v - g if rule.nesterov else v
    return p, v


class AdamState(NamedTuple):
    """Sums of the gradients and of their squares, of which each step keeps a part.

    The running means m and v of the paper are ``1 - beta_1`` and ``1 - beta_2`` times these.
    """

    sums: list[Array]
    squares: list[Array]


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015), in the form that ends their section 2: epsilon beside the uncorrected root.

    Attributes
    ----------
    beta_1, beta_2 : float
        What the running means keep at each step, in [0, 1).
    epsilon : float
        Added to the root of the mean square, positive.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta_1", check_number("beta_1", self.beta_1, at_least=0, below=1))
        object.__setattr__(self, "beta_2", check_number("beta_2", self.beta_2, at_least=0, below=1))
        object.__setattr__(self, "epsilon", check_number("epsilon", self.epsilon, above=0))

    def init(self, xp: Namespace, params: Sequence[Array]) -> AdamState:
        """Return sums of 0."""
        return AdamState([xp.zeros_like(p) for p in params], [xp.zeros_like(p) for p in params])

    def update(
        self,
        xp: Namespace,
        params: Sequence[Array],
        gradients: Sequence[Array],
        state: AdamState,
        rate: Array | float,
        t: Array,
    ) -> tuple[list[Array], AdamState]:
        """Step: p <- p - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon).

        What turns the sums into the means m and v is in the rate and in epsilon, which saves a pass over each.
        """
        corrected, adapt = fuse(xp, _corrected)(xp, rate, t, rule=self), fuse(xp, _adam_update)
        moved = [
            adapt(xp, p, s, q, g, corrected, rule=self)
            for p, s, q, g in zip(params, state.sums, state.squares, gradients, strict=True)
        ]
        return [p for p, _, _ in moved], AdamState([s for _, s, _ in moved], [q for _, _, q in moved])


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), on the weights alone.

    Attributes
    ----------
    weight_decay : float
        Each step first takes ``rate * weight_decay`` of every weight away; biases (1-d arrays) keep theirs.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight_decay", check_number("weight decay", self.weight_decay, at_least=0))

    def update(
        self,
        xp: Namespace,
        params: Sequence[Array],
        gradients: Sequence[Array],
        state: AdamState,
        rate: Array | float,
        t: Array,
    ) -> tuple[list[Array], AdamState]:
        """Step: p <- p - rate weight_decay p for weights, then Adam's step."""
        decay = fuse(xp, _decay)
        decayed = [decay(xp, p, rate, rule=self) if p.ndim > 1 else p for p in params]
        return super().update(xp, decayed, gradients, state, rate, t)


@elementwise()
def _corrected(xp: Namespace, rate: Array | float, t: Array, *, rule: Adam) -> Array:
    """Return the rate with the corrections of m and v for their start at 0, as it is for sums."""
    rate = rate * ((1.0 - rule.beta_1) / math.sqrt(1.0 - rule.beta_2))
    return rate * xp.sqrt(_one_minus_power(xp, rule.beta_2, t)) / _one_minus_power(xp, rule.beta_1, t)


@elementwise(inplace=3)
def _adam_update(
    xp: Namespace, p: Array, s: Array, q: Array, g: Array, rate: Array, *, rule: Adam
) -> tuple[Array, Array, Array]:
    s *= rule.beta_1
    s += g
    g *= g
    q *= rule.beta_2
    q += g
    root = xp.sqrt(q)
    root += rule.epsilon / math.sqrt(1.0 - rule.beta_2)
    return subtract_scaled(xp, p, rate, s / root), s, q


@elementwise(inplace=1)
def _decay(xp: Namespace, p: Array, rate: Array | float, *, rule: AdamW) -> Array:  # noqa: ARG001 - as above
    p -= rate * rule.weight_decay * p
    return p


def _one_minus_power(xp: Namespace, beta: float, t: Array) -> Array:
    """1 - beta^t, by expm1: it keeps its digits in float32 while beta^t is close to 1."""
    return -xp.expm1(t * (math.log(beta) if beta else -math.inf))


OPTIMIZERS = ("sgd", "adam", "adamw")


def build_optimizer(
    name: str, *, momentum: float | None = None, nesterov: bool = False, weight_decay: float | None = None
) -> Optimizer:
    """Return the update rule called `name`, with its own defaults for what is not given.

    Parameters
    ----------
    name : {"sgd", "adam", "adamw"}
        Which one.
    momentum, nesterov
        Options of sgd.
    weight_decay : float, optional
        Option of adamw.

    Raises
    ------
    InputError
        For an unknown name, a value out of bounds, or an option that the rule does not have.
    """
    check_choice("optimizer", name, OPTIMIZERS)
    if name != "sgd" and (momentum is not None or nesterov):
        raise InputError(f"momentum and nesterov are options of optimizer sgd, but the optimizer is {name}.")
    if name != "adamw" and weight_decay is not None:
        raise InputError(f"weight decay is an option of optimizer adamw, but the optimizer is {name}: use l2 there.")
    if name == "sgd":
        return SGD(momentum or 0.0, nesterov)
    if name == "adam":
        return Adam()
    return AdamW() if weight_decay is None else AdamW(weight_decay=weight_decay)
