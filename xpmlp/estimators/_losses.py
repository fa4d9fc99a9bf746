"""The losses as scikit-learn computes them: of clipped probabilities, with the gradients of the exact ones.

L-BFGS comes to points where that decides its path, and the rules to stop compare such losses.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xpmlp.nn.activations import identity, logistic
from xpmlp.nn.losses import LOSSES, Loss, canonical_delta, exponential, squared_error

if TYPE_CHECKING:
    from xpmlp.common.types import Array, Namespace

OUTPUTS: dict[Any, str] = {identity: "identity", exponential: "exp"}  # scikit-learn's names


def _clip(xp: Namespace, x: Array, low: float, high: float) -> Array:
    return xp.maximum(xp.minimum(x, xp.full_like(x, high)), xp.full_like(x, low))


def _softmax_terms(xp: Namespace, u: Array, T: Array) -> Array:
    """L = -sum_j T_j ln p_j, with p = softmax(z) in [eps, 1 - eps], by the epsilon of the dtype."""
    epsilon = float(xp.finfo(u.dtype).eps)
    return -T * _clip(xp, u, math.log(epsilon), math.log1p(-epsilon))


def _logistic_terms(xp: Namespace, z: Array, T: Array) -> Array:
    """L = -sum_j T_j ln p_j + (1 - T_j) ln(1 - p_j), with p = sigmoid(z) in [eps, 1 - eps]."""
    epsilon = float(xp.finfo(z.dtype).eps)
    p = _clip(xp, logistic(xp, z), epsilon, 1.0 - epsilon)
    return -T * xp.log(p) - (1.0 - T) * xp.log(1.0 - p)


bounded_softmax = replace(LOSSES["softmax"], terms=_softmax_terms)
bounded_logistic = replace(LOSSES["logistic"], terms=_logistic_terms)


def _mean_squared_terms(xp: Namespace, z: Array, T: Array, n_outputs: float) -> Array:
    return squared_error(xp, z, T) / n_outputs


def _summed_squared_delta(xp: Namespace, a: Array, T: Array, n_outputs: float) -> Array:  # noqa: ARG001 - as the terms
    return canonical_delta(xp, a, T)


def mean_squared(n_outputs: int) -> Loss:
    """Half the squared error, its mean over the outputs; its gradient is that of their sum."""
    squared = LOSSES["squared"]
    if n_outputs == 1:
        return squared
    return replace(squared, terms=_mean_squared_terms, delta=_summed_squared_delta, settings=(float(n_outputs),))
