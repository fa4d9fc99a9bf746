"""The losses as scikit-learn computes them: of clipped probabilities, with the gradients of the exact ones.

L-BFGS's line search visits points where that decides the path, and the rules to stop compare such losses.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING

from xpmlp.activations import logistic
from xpmlp.losses import LOSSES, softmax

if TYPE_CHECKING:
    from xpmlp.losses import Loss
    from xpmlp.types import Array, Namespace

__all__ = ["bounded_logistic", "bounded_softmax", "mean_squared"]


def _clipped(xp: Namespace, p: Array) -> Array:
    """Bring probabilities into [eps, 1 - eps], by the epsilon of their dtype."""
    epsilon = float(xp.finfo(p.dtype).eps)
    return xp.maximum(xp.minimum(p, xp.full_like(p, 1.0 - epsilon)), xp.full_like(p, epsilon))


def _softmax_terms(xp: Namespace, z: Array, T: Array) -> Array:
    return -T * xp.log(_clipped(xp, softmax(xp, z)))


def _logistic_terms(xp: Namespace, z: Array, T: Array) -> Array:
    p = _clipped(xp, logistic(xp, z))
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
