"""The losses as scikit-learn computes them: of clipped probabilities, with the gradients of the exact ones.

L-BFGS's line search visits points where that decides the path, and the rules to stop compare such losses.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from xpmlp.nn.activations import logistic
from xpmlp.nn.losses import LOSSES

if TYPE_CHECKING:
    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.losses import Loss


def _between(xp: Namespace, x: Array, least: float, most: float) -> Array:
    return xp.maximum(xp.minimum(x, xp.full_like(x, most)), xp.full_like(x, least))


def _softmax_terms(xp: Namespace, u: Array, T: Array) -> Array:
    """L = -sum_j T_j ln p_j, with p = softmax(z) in [eps, 1 - eps], by the epsilon of the dtype."""
    epsilon = float(xp.finfo(u.dtype).eps)
    return -T * _between(xp, u, math.log(epsilon), math.log1p(-epsilon))


def _logistic_terms(xp: Namespace, z: Array, T: Array) -> Array:
    """L = -sum_j T_j ln p_j + (1 - T_j) ln(1 - p_j), with p = sigmoid(z) in [eps, 1 - eps]."""
    epsilon = float(xp.finfo(z.dtype).eps)
    p = _between(xp, logistic(xp, z), epsilon, 1.0 - epsilon)
    return -T * xp.log(p) - (1.0 - T) * xp.log(1.0 - p)


bounded_softmax = replace(LOSSES["softmax"], terms=_softmax_terms)
bounded_logistic = replace(LOSSES["logistic"], terms=_logistic_terms)


@functools.cache
def mean_squared(n_outputs: int) -> Loss:
    """Half the squared error, its mean over the outputs; its gradient is that of their sum."""
    squared = LOSSES["squared"]

    def terms(xp: Namespace, z: Array, T: Array) -> Array:
        return squared.terms(xp, z, T) / n_outputs

    return squared if n_outputs == 1 else replace(squared, terms=terms)
