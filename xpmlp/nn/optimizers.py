"""Update rules: each is an `init` that makes its state and an `update` that takes one step.

Parameters, gradients and state are lists of arrays. An update may write to what it is given and always returns the
new values: the caller treats what it passed in as used up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from xpmlp.backends.elementwise import add_scaled, elementwise, fuse, subtract_scaled
from xpmlp.common.errors import InputError
from xpmlp.common.shown import line
from xpmlp.common.validation import check_choice, check_number
from xpmlp.nn.members import check_own, is_zero, over

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.members import Number

    Arrays = Sequence[Array]


class Optimizer(Protocol):
    """What a training step asks of an update rule."""

    def init(self, xp: Namespace, params: Arrays) -> Any:
        """Return the state before the first step: a NamedTuple of lists of arrays like `params`."""

    def update(
        self, xp: Namespace, params: Arrays, gradients: Arrays, state: Any, rate: Array | float, t: Array
    ) -> tuple[list[Array], Any]:
        """Take step number `t` (1 for the first; a 0-d floating array) at a learning rate; both (M,) of a stack."""


class SGDState(NamedTuple):
    """The velocity of every parameter; none without momentum."""

    velocity: list[Array]

    def __repr__(self) -> str:
        return line(self)


@dataclass(frozen=True)
class SGD:
    """Gradient descent on minibatches (2.14-2.15), with momentum (Polyak, 1964) or Nesterov's.

    Attributes
    ----------
    momentum : float or PerMember
        What is kept of the velocity at each step, in [0, 1]; 1 keeps all, and seldom converges.
    nesterov : bool
        Whether to step from where the velocity leads (Sutskever et al., 2013).
    """

    OWN: ClassVar = ("momentum",)

    momentum: Number = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "momentum", check_own("momentum", self.momentum, at_least=0, at_most=1))
        if self.nesterov and is_zero(self.momentum):
            raise InputError("Nesterov's variant changes nothing at momentum 0: give a momentum, such as 0.9.")

    def init(self, xp: Namespace, params: Arrays) -> SGDState:
        """Return velocities of 0."""
        return SGDState([] if is_zero(self.momentum) else [xp.zeros_like(p) for p in params])

    def update(
        self, xp: Namespace, params: Arrays, gradients: Arrays, state: SGDState, rate: Array | float, t: Array
    ) -> tuple[list[Array], SGDState]:
        """Step: p <- p - rate g; with momentum v <- momentum v - rate g, and p <- p + v or p + momentum v - rate g."""
        if is_zero(self.momentum):
            descend = fuse(xp, _descend)
            return [descend(xp, p, g, over(rate, p)) for p, g in zip(params, gradients, strict=True)], state
        step, momentum, nesterov = fuse(xp, _momentum_update), self.momentum, self.nesterov
        triples = zip(params, state.velocity, gradients, strict=True)
        moved = [step(xp, p, v, g, over(rate, p), over(momentum, p), nesterov=nesterov) for p, v, g in triples]
        return [p for p, _ in moved], SGDState([v for _, v in moved])


@elementwise(inplace=1)
def _descend(xp: Namespace, p: Array, g: Array, rate: Array | float) -> Array:
    return subtract_scaled(xp, p, rate, g)


@elementwise(inplace=2)
def _momentum_update(
    xp: Namespace, p: Array, v: Array, g: Array, *numbers: Array | float, nesterov: bool
) -> tuple[Array, Array]:
    rate, momentum = numbers
    g *= rate
    v *= momentum
    v -= g
    p += momentum * v - g if nesterov else v
    return p, v


class AdamState(NamedTuple):
    """The running means of the gradients, m, and of their squares, v: one array of each for every parameter."""

    m: list[Array]
    v: list[Array]

    def __repr__(self) -> str:
        return line(self)


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

    def __repr__(self) -> str:
        return line(self)

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta_1", check_number("beta_1", self.beta_1, at_least=0, below=1))
        object.__setattr__(self, "beta_2", check_number("beta_2", self.beta_2, at_least=0, below=1))
        object.__setattr__(self, "epsilon", check_number("epsilon", self.epsilon, above=0))

    def init(self, xp: Namespace, params: Arrays) -> AdamState:
        """Return means of 0."""
        return AdamState([xp.zeros_like(p) for p in params], [xp.zeros_like(p) for p in params])

    def update(
        self, xp: Namespace, params: Arrays, gradients: Arrays, state: AdamState, rate: Array | float, t: Array
    ) -> tuple[list[Array], AdamState]:
        """Step: p <- p - rate sqrt(1 - beta_2^t) / (1 - beta_1^t) * m / (sqrt(v) + epsilon)."""
        betas = self.beta_1, self.beta_2
        rate = fuse(xp, _corrected_rate)(xp, rate, t, *(math.log(beta) if beta else -math.inf for beta in betas))
        step, numbers = fuse(xp, _adam_update), (*betas, *(1.0 - beta for beta in betas), self.epsilon)
        quadruples = zip(params, state.m, state.v, gradients, strict=True)
        moved = [step(xp, p, m, v, g, over(rate, p), *numbers) for p, m, v, g in quadruples]
        return [p for p, _, _ in moved], AdamState([m for _, m, _ in moved], [v for _, _, v in moved])


@dataclass(frozen=True, repr=False)
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019), on the weights alone.

    Attributes
    ----------
    weight_decay : float or PerMember
        Each step first takes ``rate * weight_decay`` of every weight away; biases, and embeddings, keep theirs.
    """

    OWN: ClassVar = ("weight_decay",)

    weight_decay: Number = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight_decay", check_own("weight decay", self.weight_decay, at_least=0))

    def update(
        self, xp: Namespace, params: Arrays, gradients: Arrays, state: AdamState, rate: Array | float, t: Array
    ) -> tuple[list[Array], AdamState]:
        """Step: p <- p - rate weight_decay p for weights, then Adam's step; `params` are W1, b1, W2, b2, ..."""
        decay, strength = fuse(xp, _decay), self.weight_decay
        decayed = [
            p
            for W, b in zip(params[::2], params[1::2], strict=True)
            for p in (decay(xp, W, over(rate, W), over(strength, W)) if W.ndim > b.ndim else W, b)
        ]
        return super().update(xp, decayed, gradients, state, rate, t)


@elementwise()
def _corrected_rate(xp: Namespace, rate: Array | float, t: Array, log_beta_1: float, log_beta_2: float) -> Array:
    """Return the rate, corrected for means that start at 0; by expm1, 1 - beta^t keeps its digits in float32."""
    return rate * xp.sqrt(-xp.expm1(t * log_beta_2)) / -xp.expm1(t * log_beta_1)


@elementwise(inplace=3)
def _adam_update(
    xp: Namespace, p: Array, m: Array, v: Array, g: Array, *numbers: Array | float
) -> tuple[Array, Array, Array]:
    rate, beta_1, beta_2, new_1, new_2, epsilon = numbers  # 1 - beta is computed outside: a kernel would round it
    m *= beta_1
    m = add_scaled(xp, m, new_1, g)
    g *= g
    g *= new_2
    v *= beta_2
    v += g
    root = xp.sqrt(v)
    root += epsilon
    return subtract_scaled(xp, p, rate, m / root), m, v


@elementwise(inplace=1)
def _decay(xp: Namespace, p: Array, rate: Array | float, weight_decay: Array | float) -> Array:
    p -= rate * weight_decay * p
    return p


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
