"""What the networks of a stack say together: the mixture of their predictions, with equal weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import identity, logistic, softplus
from xpmlp.nn.losses import MIN_VARIANCE, Loss, exponential, log_softmax, mean_and_variance
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.network import Layer, Network


def mixture(xp: Namespace, loss: Loss, u: Array) -> Array:
    """Return ``u`` of the mixture of the members, (K, m), from theirs, (M, K, m).

    With it, the loss and the outputs are those of one network: `Loss.outputs` gives the mean of the members'
    probabilities or values, and `Loss.value` the loss of that.

    Raises
    ------
    InputError
        For a loss with an output function of one's own.
    """
    return _mixture_of(loss).mixture(xp, u)


def moments(xp: Namespace, loss: Loss, u: Array) -> Array:
    """Return of each member what the mixture has the mean of, (M, K, m): probabilities, values, or first two moments.

    So the mixture of any of the members is `of_moments` of the mean of theirs: ensembles can be compared by sums.
    """
    return _mixture_of(loss).moments(xp, u)


def of_moments(xp: Namespace, loss: Loss, s: Array) -> Array:
    """Return ``u``, (..., K, m), of what has these `moments`."""
    return _mixture_of(loss).of_moments(xp, s)


def outputs_of(xp: Namespace, network: Network, layers: Sequence[Layer], X: Array) -> Array:
    """Return the outputs, (K, m), of a network, or of the mixture of the members of a stack."""
    trace = fprop(xp, network, layers, X)
    if layers[0].W.ndim == 2:
        return trace.a[-1]
    return network.loss.outputs(xp, mixture(xp, network.loss, trace.u))


def entropies(xp: Namespace, p: Array) -> tuple[Array, Array]:
    """Return the entropy of the mean of the members' probabilities, and the mean of their entropies, (K,) in nats.

    ``p`` are the probabilities of the classes, (M, K, m). What the first is above the second is the mutual information
    of the class and the member: how far the members disagree.
    """

    def entropy(p: Array) -> Array:
        return -xp.sum(p * xp.log(xp.where(p > 0.0, p, xp.ones_like(p))), axis=-1)  # 0 ln 0 = 0

    return entropy(xp.mean(p, axis=0)), xp.mean(entropy(p), axis=0)


def _log_mean_exp(xp: Namespace, u: Array) -> Array:
    """Return ln mean_k exp(u_k), of logarithms of probabilities or of means: the largest is taken away."""
    largest = xp.max(u, axis=0)
    return largest + xp.log(xp.mean(xp.exp(u - largest), axis=0))


def _logit_of_mean(xp: Namespace, z: Array) -> Array:
    """Return ln p - ln(1 - p) of the mean p of sigmoid(z_k), whose logarithm is -softplus(-z_k)."""
    return _log_mean_exp(xp, -softplus(xp, -z)) - _log_mean_exp(xp, -softplus(xp, z))


def _mean(xp: Namespace, z: Array) -> Array:
    return xp.mean(z, axis=0)


def _mean_and_variance(xp: Namespace, u: Array) -> Array:
    """Return mean and s of the normal distribution with the mixture's mean and variance, v = mean v_k + var mean_k."""
    m = u.shape[-1] // 2
    means, variances = u[..., :m], softplus(xp, u[..., m:])
    v = xp.mean(variances, axis=0) + xp.var(means, axis=0)  # less the smallest variance, which softplus(s) is without
    s = v + xp.log(-xp.expm1(-v))  # softplus(s) = v
    return xp.concat([xp.mean(means, axis=0), s], axis=-1)


def _logit(xp: Namespace, p: Array) -> Array:
    return xp.log(_positive(xp, p)) - xp.log(_positive(xp, 1.0 - p))


def _log(xp: Namespace, p: Array) -> Array:
    return xp.log(_positive(xp, p))


def _positive(xp: Namespace, p: Array) -> Array:
    """Return probabilities or counts, and in place of 0 the least number that is none: their logarithms are finite."""
    return xp.maximum(p, xp.full_like(p, xp.finfo(p.dtype).smallest_normal))


def _first_and_second(xp: Namespace, u: Array) -> Array:
    """Return the mean and the mean square, m^2 + v, of each normal distribution."""
    m = u.shape[-1] // 2
    means, variances = mean_and_variance(xp, u[..., :m], u[..., m:])
    return xp.concat([means, means * means + variances], axis=-1)


def _normal(xp: Namespace, s: Array) -> Array:
    """Return mean and s of the normal distribution that has these two moments."""
    m = s.shape[-1] // 2
    means = s[..., :m]
    v = _positive(xp, s[..., m:] - means * means - MIN_VARIANCE)
    return xp.concat([means, v + xp.log(-xp.expm1(-v))], axis=-1)


class Mixture(NamedTuple):
    """How predictions of one kind are mixed: `mixture`, `moments` and `of_moments` without the loss."""

    mixture: Callable[[Namespace, Array], Array]
    moments: Callable[[Namespace, Array], Array]
    of_moments: Callable[[Namespace, Array], Array]


MIXTURES = {
    (log_softmax, exponential): Mixture(_log_mean_exp, exponential, _log),
    (identity, exponential): Mixture(_log_mean_exp, exponential, _log),
    (identity, logistic): Mixture(_logit_of_mean, logistic, _logit),
    (identity, identity): Mixture(_mean, identity, identity),
    (identity, mean_and_variance): Mixture(_mean_and_variance, _first_and_second, _normal),
}


def _mixture_of(loss: Loss) -> Mixture:
    functions = (loss.normalise, loss.output)
    if functions not in MIXTURES:
        raise InputError(f"loss {loss.name!r} has an output function of its own, whose mean is not known.")
    return MIXTURES[functions]
