"""The hyperparameters of a pack: how many settings there are, how they are drawn, and what they have cosines of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.validation import check_number
from xpmlp.data.examples import QuantizedExamples

if TYPE_CHECKING:
    from collections.abc import Collection

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array

FOLDS = 5  # by which settings are judged where there is no validation set
MAX_EMBEDDED = 128  # numbers: the cosines of more would take most of the time


@dataclass(frozen=True)
class Setting:
    """The hyperparameters of a network of a pack.

    Attributes
    ----------
    hidden : tuple of int
        Units of each hidden layer, of ReLU.
    dropout : float
        The share of the hidden units that is dropped in training.
    learning_rate : float
        The highest, of AdamW with a cosine schedule.
    weight_decayed : float
        The weight decay times the learning rate, summed over the steps: how far the weights of a training decay.
    frequencies : int
        Cosines of each number; see `xpmlp.nn.embeddings`.
    frequency_scale : float
        The standard deviation of their frequencies at the start.

    Raises
    ------
    InputError
        For no hidden layer, a learning rate that is not above 0, and a negative decay.
    """

    hidden: tuple[int, ...] = (128,)
    dropout: float = 0.0
    learning_rate: float = 3e-3
    weight_decayed: float = 2.25
    frequencies: int = 0
    frequency_scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.hidden:
            raise InputError("hidden is (), but a network of a pack needs a hidden layer, such as (128,).")
        check_number("learning rate", self.learning_rate, above=0)
        check_number("weight decayed", self.weight_decayed, at_least=0)


def divide_pack(n_networks: int, n: int, sets: Collection[str]) -> tuple[int, int]:
    """Return how many settings about so many networks are of, and how many of them each has, for `n` examples."""
    n_folds = 1 if "validation" in sets else min(FOLDS, n)
    return max(1, n_networks // n_folds), n_folds


def draw_settings(n: int, seed: int) -> list[Setting]:
    """Draw the settings of a pack: the first has the defaults of `Setting`, and the others lie around it.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        The same seed gives the same ones.

    Raises
    ------
    InputError
        For less than one.
    """
    check_number("the number of settings", n, at_least=1, integer=True)
    rng = make_generator(seed, "candidates", 1)

    def between(low: float, high: float) -> float:
        """Draw a number whose logarithm is uniform."""
        return float(np.exp(rng.uniform(math.log(low), math.log(high))))

    def draw() -> Setting:
        depth, width = int(rng.choice([1, 1, 2])), int(rng.choice([64, 128, 256]))
        return Setting(
            hidden=(width,) * depth,
            dropout=float(rng.choice([0.0, 1.0]) * rng.uniform(0.05, 0.5)),
            learning_rate=between(1e-3, 1e-2),
            weight_decayed=between(1.0, 6.0),
            frequencies=int(rng.choice([0, 8])),
            frequency_scale=between(0.1, 3.0),
        )

    return [Setting(), *(draw() for _ in range(n - 1))]


def numbers_in(backend: Backend, X: Array | QuantizedExamples) -> tuple[int, ...]:
    """Return the columns that have more than two values, so that cosines tell these apart; none of more than 128.

    One-hot columns are no numbers, whatever their scale.
    """
    if isinstance(X, QuantizedExamples) or X.shape[1] > MAX_EMBEDDED:
        return ()
    xp = backend.xp
    between = (xp.min(X, axis=0) < X) & (X < xp.max(X, axis=0))  # noqa: SIM300 - in the order of the numbers
    return tuple(np.flatnonzero(backend.to_numpy(xp.any(between, axis=0))).tolist())
