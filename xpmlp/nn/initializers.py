"""Initial weights: drawn on the host from a seeded generator, so that every backend starts from the same ones."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.rng import make_generator
from xpmlp.common.validation import check_choice, check_number
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.nn.network import Network


def report(rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
    """Draw uniformly within 1 / sqrt(fan_in), the report's (3.1.2)."""
    return _uniform(rng, 1.0 / math.sqrt(fan_in), fan_in, fan_out)


def glorot_uniform(rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
    """Draw uniformly within sqrt(6 / (fan_in + fan_out)) (Glorot & Bengio, 2010, eq. 16)."""
    return _uniform(rng, math.sqrt(6.0 / (fan_in + fan_out)), fan_in, fan_out)


def glorot_normal(rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
    """Draw normally with variance 2 / (fan_in + fan_out) (Glorot & Bengio, 2010, eq. 12)."""
    return rng.normal(0.0, math.sqrt(2.0 / (fan_in + fan_out)), (fan_in, fan_out))


def he_uniform(rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
    """Draw uniformly within sqrt(6 / fan_in) (He et al., 2015)."""
    return _uniform(rng, math.sqrt(6.0 / fan_in), fan_in, fan_out)


def he_normal(rng: np.random.Generator, fan_in: int, fan_out: int) -> np.ndarray:
    """Draw normally with variance 2 / fan_in (He et al., 2015, eq. 10)."""
    return rng.normal(0.0, math.sqrt(2.0 / fan_in), (fan_in, fan_out))


def _uniform(rng: np.random.Generator, bound: float, fan_in: int, fan_out: int) -> np.ndarray:
    return rng.uniform(-bound, bound, (fan_in, fan_out))


INITIALIZERS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    initializer.__name__: initializer for initializer in (report, glorot_uniform, glorot_normal, he_uniform, he_normal)
}


def initialize(
    network: Network, *, init: str = "he_uniform", seed: int = 0, frequency_scale: float = 1.0
) -> list[Layer]:
    """Draw the weights of a network; its biases are 0.

    Parameters
    ----------
    network : Network
        The architecture.
    init : str
        A name from `INITIALIZERS`.
    seed : int
        The same seed gives the same weights on every backend.
    frequency_scale : float
        The standard deviation of an embedding's frequencies w, which have mean 0: the larger, the finer what it tells
        apart. Its phases c are uniform between -pi and pi.

    Returns
    -------
    list of Layer
        NumPy arrays in float64, which `train` copies to its backend.

    Raises
    ------
    InputError
        For an unknown name, and a scale that is not above 0.
    """
    check_choice("init", init, INITIALIZERS)
    check_number("frequency scale", frequency_scale, above=0)
    rng = make_generator(seed, "weights")
    draw = INITIALIZERS[init]
    layers = [Layer(draw(rng, fan_in, fan_out), np.zeros(fan_out)) for fan_in, fan_out in network.shapes]
    if not network.frequencies:
        return layers
    rng, shape = make_generator(seed, "frequencies"), (len(network.embedded), network.frequencies)
    return [Layer(rng.normal(0.0, frequency_scale, shape), rng.uniform(-math.pi, math.pi, shape)), *layers]
