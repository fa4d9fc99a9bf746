"""Scores of a network on a set of examples, computed where the examples are."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from xpmlp.data.examples import StreamedExamples, chunks_of, dequantize, slice_rows
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import QuantizedExamples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Layer, Network

    Sums = tuple[Array, Array]
    Scorer = Callable[[Sequence[Layer], Array | QuantizedExamples, Array, Sums | None], Sums]

__all__ = ["Score", "make_scorer", "outputs", "score_rows", "to_score"]

MOST_PIECES = 256  # of rows at a time, in one graph: as `MAX_STEPS` of an epoch


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
    """Build ``score(layers, X, T, sums)``: the summed loss and the number of right predictions, two 0-d arrays.

    It adds them to the sums of earlier rows, if there are any, `Backend.rows_at_a_time` rows at a time, at least one.
    """
    xp, loss = backend.xp, network.loss

    def of_some(layers: Sequence[Layer], X: Array | QuantizedExamples, T: Array) -> Sums:
        u = fprop(xp, network, layers, dequantize(xp, X)).u
        value = loss.value(xp, u, T)
        if loss.correct is None:
            return value, math.nan * value
        return value, xp.sum(xp.astype(loss.correct(xp, u, T), value.dtype))

    of_some = backend.compile(of_some)

    def score(layers: Sequence[Layer], X: Array | QuantizedExamples, T: Array, sums: Sums | None) -> Sums:
        for start in range(0, X.shape[0], backend.rows_at_a_time):
            stop = min(start + backend.rows_at_a_time, X.shape[0])
            more = of_some(layers, slice_rows(X, start, stop), T[start:stop, :])
            sums = more if sums is None else (sums[0] + more[0], sums[1] + more[1])
        return cast("Sums", sums)

    return backend.capture(score)


def outputs(backend: Backend, function: Callable[..., Array], layers: Sequence[Layer], X: Array) -> Array:
    """Return ``function(layers, X)``, an array with a row for each of X, `Backend.rows_at_a_time` of them at a time."""
    rows = backend.rows_at_a_time
    if X.shape[0] <= rows:
        return function(layers, X)
    return backend.xp.concat([function(layers, X[start : start + rows, :]) for start in range(0, X.shape[0], rows)])


def score_rows(
    backend: Backend,
    score: Scorer,
    layers: Sequence[Layer],
    X: Array | QuantizedExamples | StreamedExamples,
    T: Array | None,
    ranks: Communicator | None = None,
) -> Sums:
    """Sum what `score` gives over all rows, chunk by chunk; the host reads nothing.

    Of several ranks, each takes its share of the rows of every chunk; where one could not read a chunk, a
    `CollectiveError` is raised on all.
    """
    share, refilled = range if ranks is None else ranks.share, isinstance(X, StreamedExamples)
    most = MOST_PIECES * backend.rows_at_a_time

    def add_up() -> Sums:
        sums = None
        with closing(chunks_of(X, T)) as chunks:
            for examples, targets in chunks:
                own = share(examples.shape[0])
                for start in range(own.start, own.stop, most):
                    stop = min(start + most, own.stop)
                    sums = score(layers, slice_rows(examples, start, stop), targets[start:stop, :], sums)
                if refilled and sums is not None:
                    backend.synchronize(sums)
        loss, correct = sums or (0.0, 0.0)
        return backend.copy_to_device(loss), backend.copy_to_device(
            correct
        )  # copies: the next set may be scored into the same memory

    return add_up() if ranks is None or not refilled else ranks.run_on_all(add_up)


def to_score(loss_sum: float, correct: float, n: int) -> Score:
    """Turn the sums over `n` examples into their means."""
    return Score(loss_sum / n, correct / n)
