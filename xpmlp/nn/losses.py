"""Output layers with their losses: each pairs an output function with a loss and its derivative by the logits.

A loss is the sum over the rows of a minibatch; whoever calls divides by their number. It is computed by log-softmax and
softplus: never as the logarithm of a clipped probability. What output and loss have in common, `u`, is computed once
from the logits `z`: ln softmax(z) for softmax, `z` itself for the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from xpmlp.backends.elementwise import elementwise, fuse, positives
from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice, check_number
from xpmlp.nn.activations import identity, logistic, sign, softplus

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array, Namespace

MIN_VARIANCE = 1e-6  # of a Gaussian, where targets have a variance of about 1


@dataclass(frozen=True)
class Loss:
    """The output function of a network and the loss that goes with it.

    Losses with the same functions and the same settings are equal.

    Attributes
    ----------
    name : str
        How options and saved models call it.
    output : callable
        ``output(xp, u)``: the network's output, (K, m), from ``u``, (K, m).
    terms : callable
        ``terms(xp, u, T, *settings)``: what each target of each row adds to the loss, (K, m). ``T`` are the targets,
        (K, m).
    correct : callable or None
        ``correct(xp, u, T)``: for each row, whether the prediction is right, (K,) booleans.
        None where the targets are real numbers.
    delta : callable
        ``delta(xp, a, T, *settings)``: dL/dz for each row, (K, m), from the output ``a``.
    kinks : tuple of float
        The errors, ``a - T``, at which the first or second derivative jumps, where finite differences mislead.
    normalise : callable
        ``normalise(xp, z)``: ``u``, (K, m), from the logits ``z``, (K, m).
    settings : tuple of float
        Numbers that the functions take, such as a threshold.
    outputs_per_target : int
        Where a target has several outputs, such as a mean and a variance, these are blocks of columns: `output`,
        `terms` and `delta` take each block of ``u`` or ``a``, (K, m), as an argument, and `output` and `delta` give
        each block. The first one predicts the target.
    """

    name: str
    output: Callable[..., Any] = field(repr=False)
    terms: Callable[..., Array] = field(repr=False)
    correct: Callable[[Namespace, Array, Array], Array] | None = field(repr=False)
    delta: Callable[..., Array] = field(repr=False)
    kinks: tuple[float, ...] = field(default=(), repr=False)
    normalise: Callable[[Namespace, Array], Array] = field(default=identity, repr=False)
    settings: tuple[float, ...] = ()
    outputs_per_target: int = field(default=1, repr=False)

    def blocks(self, x: Array) -> list[Array]:
        """Return the blocks of columns, (K, m) each, of what has all outputs: of ``u``, or of the output ``a``."""
        if self.outputs_per_target == 1:
            return [x]
        m = x.shape[-1] // self.outputs_per_target
        return [x[..., i * m : (i + 1) * m] for i in range(self.outputs_per_target)]

    def outputs(self, xp: Namespace, u: Array) -> Array:
        """Return the network's output, ``a``, from ``u``."""
        return self._joined(xp, self.output(xp, *self.blocks(u)))

    def _joined(self, xp: Namespace, blocks: Any) -> Array:
        return blocks if self.outputs_per_target == 1 else xp.concat(list(blocks), axis=-1)

    def value(self, xp: Namespace, u: Array, T: Array, weights: Array | None = None) -> Array:
        """Return the loss summed over the rows, a 0-d array, or (M,) of a stack; each row times its weight where given.

        Targets may be in float64 where the network computes in float32: the loss is then, too.
        """
        terms = fuse(xp, _terms)(xp, *self.blocks(u), T, *self.settings, terms=self.terms)
        return xp.sum(terms if weights is None else weights * terms, axis=(-2, -1))

    def gradient(self, xp: Namespace, a: Array, T: Array, scale: Array | float = 1.0) -> Array:
        """Return dL/dz for each row, (K, m), from the output ``a``; each times its scale, (K, 1), or all times one.

        It has the dtype of the output; targets in a wider one are subtracted in theirs.
        """
        deltas = fuse(xp, _scaled_delta)(xp, scale, *self.blocks(a), T, *self.settings, delta=self.delta)
        return self._joined(xp, deltas)


@elementwise()
def _terms(xp: Namespace, *arguments: Array | float, terms: Callable[..., Array]) -> Array:
    return terms(xp, *arguments)


@elementwise()
def _scaled_delta(
    xp: Namespace, scale: Array | float, a: Array, *arguments: Array | float, delta: Callable[..., Any]
) -> Array | tuple[Array, ...]:
    found = delta(xp, a, *arguments)
    if isinstance(found, tuple):
        return tuple(_as(xp, each * scale, a) for each in found)
    return _as(xp, found * scale, a)


def _as(xp: Namespace, scaled: Array, a: Array) -> Array:
    return scaled if scaled.dtype == a.dtype else xp.astype(scaled, a.dtype)  # of targets in a wider one


def canonical_delta(xp: Namespace, a: Array, T: Array) -> Array:
    """Return dL/dz: the output minus the target.

    For softmax cross-entropy this is os - onehot(y) (2.16-2.28). The logistic cross-entropy, half the squared error and
    Poisson's loss have the same form, each through its own output function: these are the canonical pairs.
    """
    return a - T


def log_softmax(xp: Namespace, z: Array) -> Array:
    """Return ln softmax(z), row by row, finite for every finite `z`: the maximum is taken away (2.6-2.9, 3.1.1)."""
    u, odds = fuse(xp, _below_largest)(xp, z, xp.max(z, axis=-1, keepdims=True))
    return fuse(xp, _normalised)(xp, u, xp.sum(odds, axis=-1, keepdims=True))


@elementwise()
def _below_largest(xp: Namespace, z: Array, largest: Array) -> tuple[Array, Array]:
    u = z - largest
    return u, xp.exp(u)


@elementwise(inplace=1)
def _normalised(xp: Namespace, u: Array, total: Array) -> Array:
    u -= xp.log(total)
    return u


def softmax_cross_entropy(xp: Namespace, u: Array, T: Array) -> Array:
    """L = -sum_j T_j u_j, with u = ln softmax(z) (2.10)."""
    return -T * u


def logistic_cross_entropy(xp: Namespace, z: Array, T: Array) -> Array:
    """L = sum_j T_j softplus(-z_j) + (1 - T_j) softplus(z_j), since ln sigmoid(z) = -softplus(-z) (1.9-1.12)."""
    return T * softplus(xp, -z) + (1.0 - T) * softplus(xp, z)


def squared_error(xp: Namespace, z: Array, T: Array) -> Array:
    """L = |z - T|^2 / 2."""
    return 0.5 * (z - T) * (z - T)


def exponential(xp: Namespace, u: Array) -> Array:
    """Return e^u: a probability, or the mean of a count, from its logarithm."""
    return xp.exp(u)


def poisson(xp: Namespace, z: Array, T: Array) -> Array:
    """L = sum_j T_j (ln T_j - z_j) - T_j + e^z_j, half the deviance of counts T with means e^z; 0 ln 0 = 0."""
    not_zero = xp.where(T == 0, xp.ones_like(T), T)  # a negative count makes the loss NaN, as it should
    return T * (xp.log(not_zero) - z) - T + xp.exp(z)


def absolute_error(xp: Namespace, z: Array, T: Array) -> Array:
    """L = sum_j |z_j - T_j|."""
    return xp.abs(z - T)


def d_absolute_error(xp: Namespace, a: Array, T: Array) -> Array:
    """dL/dz = sign(z - T)."""
    return sign(xp, a - T)


def huber_error(xp: Namespace, z: Array, T: Array, threshold: float) -> Array:
    """L = sum_j e_j^2 / 2 for errors e = z - T up to the threshold h, and h |e_j| - h^2 / 2 beyond (Huber, 1964)."""
    error = xp.abs(z - T)
    return xp.where(error > threshold, threshold * error - 0.5 * threshold * threshold, 0.5 * error * error)


def d_huber_error(xp: Namespace, a: Array, T: Array, threshold: float) -> Array:
    """dL/dz = e up to the threshold h, and h sign(e) beyond."""
    error = a - T
    return xp.where(xp.abs(error) > threshold, threshold * sign(xp, error), error)


def huber(threshold: float = 1.0) -> Loss:
    """Return Huber's loss, which is squared for errors up to a threshold above 0, and linear beyond."""
    h = check_number("threshold", threshold, above=0)
    return Loss("huber", identity, huber_error, None, d_huber_error, kinks=(-h, h), settings=(h,))


def pinball_error(xp: Namespace, z: Array, T: Array, level: float) -> Array:
    """L = sum_j (1 - q) e_j for errors e = z - T above 0, and -q e_j below, at a level q (Koenker & Bassett, 1978)."""
    error = z - T
    return xp.where(error > 0, (1.0 - level) * error, -level * error)


def d_pinball_error(xp: Namespace, a: Array, T: Array, level: float) -> Array:
    """dL/dz = 1 - q for errors above 0, -q below, and 0 at 0."""
    error = a - T
    return (1.0 - level) * positives(xp, error) - level * positives(xp, -error)


def quantile(level: float = 0.5) -> Loss:
    """Return the pinball loss, which is least at the quantile of a level between 0 and 1."""
    q = check_number("quantile", level, above=0, below=1)
    return Loss("quantile", identity, pinball_error, None, d_pinball_error, kinks=(0.0,), settings=(q,))


def mean_and_variance(xp: Namespace, mean: Array, s: Array) -> tuple[Array, Array]:
    """Return the mean, and the variance v = softplus(s) + 1e-6, which keeps the loss from sinking without end."""
    return mean, softplus(xp, s) + MIN_VARIANCE


def gaussian_likelihood(xp: Namespace, mean: Array, s: Array, T: Array) -> Array:
    """L = sum_j (ln(2 pi v_j) + (mean_j - T_j)^2 / v_j) / 2, -ln p(T) of independent normals (Nix & Weigend, 1994)."""
    error, variance = mean - T, softplus(xp, s) + MIN_VARIANCE
    return 0.5 * (math.log(2.0 * math.pi) + xp.log(variance) + error * error / variance)


def d_gaussian_likelihood(xp: Namespace, mean: Array, variance: Array, T: Array) -> tuple[Array, Array]:
    """dL/dmean = (mean - T) / v, and dL/ds = (1 - (mean - T)^2 / v) / (2 v) times dv/ds = 1 - exp(-softplus(s))."""
    error = mean - T
    ratio, slope = error / variance, -xp.expm1(MIN_VARIANCE - variance)  # below the variance: no overflow
    return ratio, (0.5 - 0.5 * error * ratio) * (slope / variance)


def same_class(xp: Namespace, u: Array, T: Array) -> Array:
    """Whether the most probable class is that of the target."""
    return xp.argmax(u, axis=-1) == xp.argmax(T, axis=-1)


def same_labels(xp: Namespace, z: Array, T: Array) -> Array:
    """Whether every label of the row is on the right side of probability one half."""
    return xp.all((z > 0) == (T > 0.5), axis=-1)


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("softmax", exponential, softmax_cross_entropy, same_class, canonical_delta, normalise=log_softmax),
        Loss("logistic", logistic, logistic_cross_entropy, same_labels, canonical_delta),
        Loss("squared", identity, squared_error, None, canonical_delta),
        Loss("poisson", exponential, poisson, None, canonical_delta),
        Loss("absolute", identity, absolute_error, None, d_absolute_error, kinks=(0.0,)),
        huber(1.0),
        quantile(0.5),
        Loss("gaussian", mean_and_variance, gaussian_likelihood, None, d_gaussian_likelihood, outputs_per_target=2),
    )
}


CLASS_LOSSES = ("softmax",)  # that options may name; those of amounts have scikit-learn's names
REAL_LOSSES = {"squared_error": "squared", "absolute_error": "absolute", "huber": "huber", "quantile": "quantile"}
REAL_LOSSES |= {"poisson": "poisson", "gaussian": "gaussian"}
ADJUSTABLE = {"huber": huber, "quantile": quantile}  # by a number


def build_loss(text: str) -> Loss:
    """Return the loss that an option names, such as "squared_error", "huber:1.35" or "quantile:0.9".

    Raises
    ------
    InputError
        For an unknown loss, a number out of bounds, and one for a loss that takes none.
    """
    name, colon, number = text.partition(":")
    check_choice("loss", name, [*CLASS_LOSSES, *REAL_LOSSES])
    if not colon:
        return LOSSES[REAL_LOSSES.get(name, name)]
    if name not in ADJUSTABLE:
        raise InputError(f"loss is {text!r}, but {name} takes no number: {' and '.join(ADJUSTABLE)} do.")
    try:
        return ADJUSTABLE[name](float(number))
    except ValueError as error:
        what = str(error) if isinstance(error, InputError) else f"{number!r} is no number."
        raise InputError(f"loss is {text!r}: {what}") from error


OUTPUT_NAMES = {
    (log_softmax, exponential): "softmax",
    (identity, logistic): "logistic",
    (identity, identity): "identity",
    (identity, exponential): "exponential",
    (identity, mean_and_variance): "mean and variance",
}


def output_name(loss: Loss) -> str:
    """Return the name of the output function of a network with this loss, such as "softmax" or "identity".

    Raises
    ------
    InputError
        For an output function of one's own.
    """
    functions = (loss.normalise, loss.output)
    if functions not in OUTPUT_NAMES:
        raise InputError(f"loss {loss.name!r} has an output function of its own, which has no name in a file.")
    return OUTPUT_NAMES[functions]
