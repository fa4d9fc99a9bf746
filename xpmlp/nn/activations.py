"""Activation functions and their derivatives, each pair side by side.

A derivative is given both the pre-activation `z` and the activation `a = f(z)`, and is written in terms
of `a` where that is possible. Equation numbers are those of the report (docs/derivation.md).

Both arguments of `maximum`, `minimum` and `logaddexp` are arrays: a Python number would be copied to the device by some
libraries, which waits for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xpmlp.backends.elementwise import positives

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array, Namespace

LEAKY_SLOPE = 0.01
GELU_SCALE = math.sqrt(2.0 / math.pi)
GELU_CUBIC = 0.044715


@dataclass(frozen=True)
class Activation:
    """An elementwise function with its derivative.

    Attributes
    ----------
    name : str
        How options and saved models call it.
    function : callable
        ``function(xp, z)`` gives ``a``, in the shape, dtype and device of ``z``.
    derivative : callable
        ``derivative(xp, z, a)`` gives da/dz, likewise.
    kink : bool
        Whether the first or second derivative jumps at ``z = 0``, where finite differences mislead.
    """

    name: str
    function: Callable[[Namespace, Array], Array] = field(repr=False)
    derivative: Callable[[Namespace, Array, Array], Array] = field(repr=False)
    kink: bool = field(default=False, repr=False)


def identity(xp: Namespace, z: Array) -> Array:
    """f(z) = z."""
    return z


def d_identity(xp: Namespace, z: Array, a: Array) -> Array:
    """f'(z) = 1."""
    return xp.ones_like(a)


def relu(xp: Namespace, z: Array) -> Array:
    """rect(z) = max(z, 0)."""
    return xp.maximum(z, xp.zeros_like(z))


def d_relu(xp: Namespace, z: Array, a: Array) -> Array:
    """rect'(z) = 1{z > 0}, so 0 at z = 0 (1.33)."""
    return positives(xp, a)


def leaky_relu(xp: Namespace, z: Array) -> Array:
    """f(z) = max(z, 0.01 z)."""
    return xp.maximum(z, LEAKY_SLOPE * z)


def d_leaky_relu(xp: Namespace, z: Array, a: Array) -> Array:
    """f'(z) = 1 where z > 0, and 0.01 elsewhere."""
    return (1.0 - LEAKY_SLOPE) * positives(xp, a) + LEAKY_SLOPE


def elu(xp: Namespace, z: Array) -> Array:
    """f(z) = z where z > 0, and exp(z) - 1 elsewhere (Clevert et al., 2016)."""
    return xp.where(z > 0, z, xp.expm1(xp.minimum(z, xp.zeros_like(z))))


def d_elu(xp: Namespace, z: Array, a: Array) -> Array:
    """f'(z) = 1 where z > 0, and f(z) + 1 elsewhere."""
    return xp.minimum(a, xp.zeros_like(a)) + 1.0


def tanh(xp: Namespace, z: Array) -> Array:
    """f(z) = tanh(z)."""
    return xp.tanh(z)


def d_tanh(xp: Namespace, z: Array, a: Array) -> Array:
    """tanh'(z) = 1 - tanh(z)^2 (1.25-1.29)."""
    return 1.0 - a * a


def logistic(xp: Namespace, z: Array) -> Array:
    """sigmoid(z) = 1 / (1 + exp(-z)) (1.1-1.8), without overflow and precise in both tails."""
    tail = xp.exp(-xp.abs(z))
    return xp.where(z > 0, xp.ones_like(z), tail) / (1.0 + tail)


def d_logistic(xp: Namespace, z: Array, a: Array) -> Array:
    """sigmoid'(z) = sigmoid(z) (1 - sigmoid(z)) (1.13-1.24)."""
    return a * (1.0 - a)


def softplus(xp: Namespace, z: Array) -> Array:
    """softplus(z) = ln(1 + exp(z)), without overflow (1.9-1.12)."""
    return xp.logaddexp(z, xp.zeros_like(z))


def d_softplus(xp: Namespace, z: Array, a: Array) -> Array:
    """softplus'(z) = sigmoid(z) = 1 - exp(-softplus(z))."""
    return -xp.expm1(-a)


def silu(xp: Namespace, z: Array) -> Array:
    """f(z) = z sigmoid(z) (Elfwing et al., 2018)."""
    return z * logistic(xp, z)


def d_silu(xp: Namespace, z: Array, a: Array) -> Array:
    """f'(z) = s + f(z) (1 - s), with s = sigmoid(z)."""
    s = logistic(xp, z)
    return s + a * (1.0 - s)


def gelu(xp: Namespace, z: Array) -> Array:
    """f(z) = z/2 (1 + tanh(c (z + 0.044715 z^3))), c = sqrt(2/pi): the tanh form (Hendrycks & Gimpel, 2016)."""
    return 0.5 * z * (1.0 + xp.tanh(GELU_SCALE * z * (1.0 + GELU_CUBIC * z * z)))


def d_gelu(xp: Namespace, z: Array, a: Array) -> Array:
    """f'(z) = (1 + u)/2 + z/2 (1 - u^2) c (1 + 3 * 0.044715 z^2), u the hyperbolic tangent in f(z)."""
    u = xp.tanh(GELU_SCALE * z * (1.0 + GELU_CUBIC * z * z))
    bump = z * (1.0 - u * u)  # first, so that what it is times may be large: it is 0 there
    return 0.5 * (1.0 + u) + 0.5 * GELU_SCALE * (bump + 3.0 * GELU_CUBIC * bump * z * z)


def sign(xp: Namespace, x: Array) -> Array:
    """Return 1{x > 0} - 1{x < 0}, so sign(0) = 0 (1.30-1.31); `xp.sign` synchronises on CuPy, for the sake of NaN."""
    return positives(xp, x) - positives(xp, -x)


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation("identity", identity, d_identity),
        Activation("relu", relu, d_relu, kink=True),
        Activation("leaky_relu", leaky_relu, d_leaky_relu, kink=True),
        Activation("elu", elu, d_elu, kink=True),
        Activation("tanh", tanh, d_tanh),
        Activation("logistic", logistic, d_logistic),
        Activation("softplus", softplus, d_softplus),
        Activation("silu", silu, d_silu),
        Activation("gelu", gelu, d_gelu),
    )
}
