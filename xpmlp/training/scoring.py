"""Scores of a network on a set of examples, computed where the examples are."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, cast

from xpmlp.common.shown import line
from xpmlp.data.examples import StreamedExamples, chunks_of, dequantize, slice_rows
from xpmlp.data.targets import total_squares
from xpmlp.nn.mixtures import mixture
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.losses import Loss
    from xpmlp.nn.network import Layer, Network

    Sums = tuple[Array, Array, Array]
    Scorer = Callable[[Sequence[Layer], Examples, Sums | None], Sums]

CLASS_MEASURES, REAL_MEASURES = ("accuracy",), ("r2", "rmse", "mae")  # of a score, beside its loss
N_SUMS = 3  # of a score
MAX_PIECES = 256  # of rows at a time, in one graph, as steps of an epoch are


class Spread(NamedTuple):
    """What the squared errors of real-valued targets are compared with.

    Attributes
    ----------
    squares : float
        The sum of the squared distances from the mean.
    unit : float
        In which these and the errors are counted, so that no square is beyond the numbers of float32.
    """

    squares: float
    unit: float


@dataclass(frozen=True)
class Score:
    """How well the weights do on a set of examples.

    Attributes
    ----------
    loss : float
        Mean loss of an example, without penalty: its negative log-likelihood in nats, or half its squared error.
    accuracy : float
        Share of the examples predicted rightly, 0 to 1; NaN for real-valued targets.
    r2, rmse, mae : float
        For real-valued targets, else None: the coefficient of determination, 1 for a perfect prediction and 0 for that
        of the mean (over several outputs weighted by their variance); the root of the mean squared error; and the mean
        absolute error, both in the unit of the target.
    """

    loss: float
    accuracy: float = math.nan
    r2: float | None = None
    rmse: float | None = None
    mae: float | None = None

    def __repr__(self) -> str:
        return line(self)

    @property
    def measures(self) -> dict[str, float]:
        """What there is beside the loss, by the names of the fields: accuracy, or r2, rmse and mae."""
        names = CLASS_MEASURES if self.r2 is None else REAL_MEASURES
        return {name: getattr(self, name) for name in names}

    @property
    def main(self) -> float:
        """The first of the measures: accuracy, or R2."""
        return next(iter(self.measures.values()))


def measures_of(loss: Loss) -> tuple[str, ...]:
    """Name what scores of a loss have beside it."""
    return REAL_MEASURES if loss.correct is None else CLASS_MEASURES


def make_scorer(
    backend: Backend, network: Network, units: Sequence[float] | None = None, *, of_mixture: bool = False
) -> Scorer:
    """Build ``score(layers, examples, sums)``, which gives three sums over the examples, 0-d, or (M,) of a stack.

    They are the loss, the number of right predictions and 0; of real-valued targets the loss, the squared errors and
    the absolute errors, each output's errors times its unit, where `units` are given, over the largest of these. They
    are added to the sums of earlier rows, if there are any, `Backend.rows_at_a_time` rows at a time, at least one.
    `of_mixture`: of a stack, (1 + M,), those of the mixture of the members before theirs.
    """
    xp, loss = backend.xp, network.loss
    factors = None if units is None else backend.asarray([[unit / max(units) for unit in units]])

    def of_some(layers: Sequence[Layer], examples: Examples) -> Sums:
        trace = fprop(xp, network, layers, dequantize(xp, examples.X))
        sums = sums_of(trace.u, trace.a[-1], examples.T)
        if not of_mixture:
            return sums
        u = mixture(xp, loss, trace.u)
        whole = sums_of(u, loss.outputs(xp, u), examples.T)
        return cast("Sums", tuple(xp.concat([xp.reshape(w, (1,)), s]) for w, s in zip(whole, sums, strict=True)))

    def sums_of(u: Array, a: Array, T: Array) -> Sums:
        value = loss.value(xp, u, T)
        if loss.correct is None:
            errors = loss.blocks(a)[0] - T
            errors = errors if factors is None else errors * factors
            return value, xp.sum(errors * errors, axis=(-2, -1)), xp.sum(xp.abs(errors), axis=(-2, -1))
        return value, xp.sum(xp.astype(loss.correct(xp, u, T), value.dtype), axis=-1), 0.0 * value

    of_some = backend.compile(of_some)

    def score(layers: Sequence[Layer], examples: Examples, sums: Sums | None) -> Sums:
        n = examples.X.shape[-2]
        for start in range(0, n, backend.rows_at_a_time):
            more = of_some(layers, slice_rows(examples, start, min(start + backend.rows_at_a_time, n)))
            sums = more if sums is None else tuple(one + other for one, other in zip(sums, more, strict=True))
        return cast("Sums", sums)

    return backend.capture(score)


def outputs(backend: Backend, function: Callable[..., Array], layers: Sequence[Layer], X: Array) -> Array:
    """Return ``function(layers, X)``, (n, m) or (M, n, m), `Backend.rows_at_a_time` of the n rows of X at a time."""
    rows, n = backend.rows_at_a_time, X.shape[0]
    if n <= rows:
        return function(layers, X)
    parts = [function(layers, X[start : min(start + rows, n), :]) for start in range(0, n, rows)]
    return backend.xp.concat(parts, axis=-2)


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
        # Copies, as the next set may be scored into the same memory.
        return cast("Sums", tuple(map(backend.copy_to_device, sums or (0.0,) * N_SUMS)))

    return add_up() if ranks is None or not refilled else ranks.run_on_all(add_up)


def spread_of(backend: Backend, network: Network, examples: Examples, units: Sequence[float] | None) -> Spread | None:
    """Return what the squared errors of real-valued targets are compared with; None where they are classes."""
    if network.loss.correct is not None:
        return None
    X, T = examples.X, examples.T
    unit = 1.0 if units is None else max(units)
    relative = None if units is None else [each / unit for each in units]
    blocks = X.targets() if isinstance(X, StreamedExamples) else [backend.to_numpy(T)]
    return Spread(total_squares(blocks, relative), unit)


def read_scores(
    backend: Backend,
    network: Network,
    score: Scorer,
    layers: Sequence[Layer],
    examples: Examples,
    spread: Spread | None,
    *,
    ranks: Communicator | None = None,
) -> list[Score]:
    """Score a set, and read it: of one network, of each of a stack, or of their mixture and then of each.

    Several ranks share the rows, and have the same scores.
    """
    with backend.computing(f"{network}, to score {examples.X.shape[0]:,} examples", "fewer examples at a time"):
        sums = backend.to_numpy(backend.xp.stack(list(score_rows(backend, score, layers, examples, ranks)), axis=-1))
    rows: Sequence[Sequence[float]] = sums.reshape(-1, N_SUMS).tolist()
    if ranks is not None:
        n_rows = 1 + sum(layers[-1].W.shape[:-2])  # one more than the members of a stack
        rows = rows if len(rows) == n_rows else [*rows] * n_rows  # of a rank without examples: zeros
        rows = list(zip(*[iter(ranks.total(list(chain.from_iterable(rows))))] * N_SUMS, strict=True))
    return [to_score(each, examples.X.shape[0], spread, network.n_targets) for each in rows]


def to_score(sums: Sequence[float], n: int, spread: Spread | None = None, n_outputs: int = 1) -> Score:
    """Turn the sums over `n` examples into their means; real-valued targets come with what `spread_of` gives."""
    loss, right, absolute = sums
    if spread is None:
        return Score(loss / n, right / n)
    # Without any spread as scikit-learn has it: 1 for a perfect prediction, else 0.
    r2 = 1.0 - right / spread.squares if spread.squares else float(right == 0)
    rmse, mae = math.sqrt(right / (n * n_outputs)), absolute / (n * n_outputs)
    return Score(loss / n, r2=r2, rmse=rmse * spread.unit, mae=mae * spread.unit)
