"""Scores of a network on a set of examples, computed where the examples are."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpmlp.examples import Chunked, chunks_of, slice_rows
from xpmlp.network import fprop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.communicators import Communicator
    from xpmlp.examples import Scaled
    from xpmlp.network import Layer, Network
    from xpmlp.types import Array

    Scorer = Callable[[Sequence[Layer], Array, Array], tuple[Array, Array]]

__all__ = ["ROWS_AT_A_TIME", "Score", "make_scorer", "outputs", "score_rows", "to_score"]

ROWS_AT_A_TIME = 8192  # bounds the memory that an evaluation takes


@dataclass(frozen=True)
class Score:
    """How well the weights do on a set of examples.

    Attributes
    ----------
    loss : float
        Mean loss of an example, without penalty: its negative log-likelihood in nats, or half its squared error.
    accuracy : float
        Share of the examples predicted rightly, 0 to 1; NaN for real-valued targets.
    """

    loss: float
    accuracy: float


def make_scorer(backend: Backend, network: Network) -> Scorer:
    """Build ``score(layers, X, T)``: the summed loss and the number of right predictions, two 0-d arrays."""
    xp, loss = backend.xp, network.loss

    def score(layers: Sequence[Layer], X: Array, T: Array) -> tuple[Array, Array]:
        u = fprop(xp, network, layers, X).u
        value = loss.value(xp, u, T)
        if loss.correct is None:
            return value, math.nan * value
        return value, xp.sum(xp.astype(loss.correct(xp, u, T), value.dtype))

    return backend.capture(score)


def outputs(backend: Backend, function: Callable[..., Array], layers: Sequence[Layer], X: Array) -> Array:
    """Return ``function(layers, X)``, an array with a row for each of X, computed `ROWS_AT_A_TIME` rows at a time."""
    if X.shape[0] <= ROWS_AT_A_TIME:
        return function(layers, X)
    starts = range(0, X.shape[0], ROWS_AT_A_TIME)
    return backend.xp.concat([function(layers, X[start : start + ROWS_AT_A_TIME, :]) for start in starts])


def score_rows(
    backend: Backend,
    score: Scorer,
    layers: Sequence[Layer],
    X: Array | Scaled | Chunked,
    T: Array | None,
    ranks: Communicator | None = None,
) -> tuple[Array, Array]:
    """Sum what `score` gives over all rows, `ROWS_AT_A_TIME` at a time; the host reads nothing.

    Of several ranks, each takes its share of the rows of every chunk; where one could not read a chunk, a `JointError`
    is raised on all.
    """
    share, refilled = range if ranks is None else ranks.share, isinstance(X, Chunked)

    def add_up() -> tuple[Array, Array]:
        loss = correct = backend.own(0.0)
        with closing(chunks_of(X, T)) as chunks:
            for examples, targets in chunks:
                own = share(examples.shape[0])
                for start in range(own.start, own.stop, ROWS_AT_A_TIME):
                    stop = min(start + ROWS_AT_A_TIME, own.stop)
                    rows = slice_rows(backend.xp, examples, start, stop)
                    more_loss, more_correct = score(layers, rows, targets[start:stop, :])
                    loss, correct = loss + more_loss, correct + more_correct
                if refilled:
                    backend.synchronize((loss, correct))
        return loss, correct

    return add_up() if ranks is None or not refilled else ranks.together(add_up)


def to_score(loss_sum: float, correct: float, n: int) -> Score:
    """Turn the sums over `n` examples into their means."""
    return Score(loss_sum / n, correct / n)
