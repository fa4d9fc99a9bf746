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
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Layer, Network

    Sums = tuple[Array, Array]
    Scorer = Callable[[Sequence[Layer], Examples, Sums | None], Sums]

MAX_PIECES = 256  # of rows at a time, in one graph, as steps of an epoch are


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
    """Build ``score(layers, examples, sums)``: the summed loss and the number of right predictions, two 0-d arrays.

    It adds them to the sums of earlier rows, if there are any, `Backend.rows_at_a_time` rows at a time, at least one.
    """
    xp, loss = backend.xp, network.loss

    def of_some(layers: Sequence[Layer], examples: Examples) -> Sums:
        u, T = fprop(xp, network, layers, dequantize(xp, examples.X)).u, examples.T
        value = loss.value(xp, u, T)
        if loss.correct is None:
            return value, math.nan * value
        return value, xp.sum(xp.astype(loss.correct(xp, u, T), value.dtype))

    of_some = backend.compile(of_some)

    def score(layers: Sequence[Layer], examples: Examples, sums: Sums | None) -> Sums:
        n = examples.X.shape[0]
        for start in range(0, n, backend.rows_at_a_time):
            more = of_some(layers, slice_rows(examples, start, min(start + backend.rows_at_a_time, n)))
            sums = more if sums is None else (sums[0] + more[0], sums[1] + more[1])
        return cast("Sums", sums)

    return backend.capture(score)


def outputs(backend: Backend, function: Callable[..., Array], layers: Sequence[Layer], X: Array) -> Array:
    """Return ``function(layers, X)``, an array with a row for each of X, `Backend.rows_at_a_time` of them at a time."""
    rows, n = backend.rows_at_a_time, X.shape[0]
    if n <= rows:
        return function(layers, X)
    return backend.xp.concat([function(layers, X[start : min(start + rows, n), :]) for start in range(0, n, rows)])


def score_rows(
    backend: Backend, score: Scorer, layers: Sequence[Layer], examples: Examples, ranks: Communicator | None = None
) -> Sums:
    """Sum what `score` gives over all rows, chunk by chunk; the host reads nothing.

    Of several ranks, each takes its share of the rows of every chunk; where one could not read a chunk, a
    `CollectiveError` is raised on all.
    """
    share, refilled = range if ranks is None else ranks.share, isinstance(examples.X, StreamedExamples)
    piece = MAX_PIECES * backend.rows_at_a_time

    def add_up() -> Sums:
        sums = None
        with closing(chunks_of(examples)) as chunks:
            for chunk in chunks:
                own = share(chunk.X.shape[0])
                for start in range(own.start, own.stop, piece):
                    sums = score(layers, slice_rows(chunk, start, min(start + piece, own.stop)), sums)
                if refilled and sums is not None:
                    backend.synchronize(sums)
        loss, correct = sums or (0.0, 0.0)
        # Copies, as the next set may be scored into the same memory.
        return backend.copy_to_device(loss), backend.copy_to_device(correct)

    return add_up() if ranks is None or not refilled else ranks.run_on_all(add_up)


def to_score(loss_sum: float, correct: float, n: int) -> Score:
    """Turn the sums over `n` examples into their means."""
    return Score(loss_sum / n, correct / n)
