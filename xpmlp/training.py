"""The training loop: a generator that yields one record per epoch, for the command line and estimators alike.

A step takes the parameters and gives them back. It may update them in place and always returns them: what was passed
in is used up. It never synchronises with the host; the loop does so once an epoch, to read that epoch's sums.
"""

from __future__ import annotations

import time
import warnings
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.checks import check_choice, check_features, check_number
from xpmlp.draws import generator
from xpmlp.dropout import mask_function
from xpmlp.elementwise import at_once, elementwise
from xpmlp.errors import DivergenceError, InputError, XpmlpWarning
from xpmlp.examples import Chunked, Scaled, take_rows
from xpmlp.network import MODES, Layer, gradient_function, total_weight
from xpmlp.optimizers import Adam
from xpmlp.penalties import ElasticNet
from xpmlp.schedules import Constant
from xpmlp.scoring import Score, make_scorer, score_rows, to_score
from xpmlp.sharing import shared_step

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from xpmlp.backends import Backend
    from xpmlp.communicators import Communicator
    from xpmlp.network import Network
    from xpmlp.optimizers import Optimizer
    from xpmlp.schedules import Schedule
    from xpmlp.types import Array, Namespace

    Step = Callable[..., tuple[list[Layer], "State"]]

__all__ = ["Reading", "Recipe", "Record", "Resumption", "State", "Trainer", "make_step", "steps_per_epoch", "train"]


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    schedule : Schedule
        Its learning rate at each step.
    penalty : ElasticNet
        On the weights.
    mode : {"matrix", "loop"}
        All rows of a minibatch at once, or row by row with the gradients averaged: the same gradients.
    batch_size : int
        Examples of a minibatch; the last of an epoch is smaller where this does not divide their number.
    epochs : int
        Passes over the examples, each in an order of its own.
    seed : int
        Of these orders and of dropout's masks: the same ones on every backend.
    penalised : bool
        Whether the loss that is summed over an epoch has the penalty in it, as scikit-learn's has.

    Raises
    ------
    InputError
        For a value out of bounds.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    schedule: Schedule = Constant(1e-3)  # noqa: RUF009 - it is immutable
    penalty: ElasticNet = field(default_factory=ElasticNet)
    mode: str = "matrix"
    batch_size: int = 64
    epochs: int = 20
    seed: int = 0
    penalised: bool = False

    def __post_init__(self) -> None:
        check_choice("mode", self.mode, MODES)
        check_number("batch size", self.batch_size, at_least=1, integer=True)
        check_number("epochs", self.epochs, at_least=1, integer=True)
        check_number("seed", self.seed, at_least=0, integer=True)


@dataclass(frozen=True)
class Record:
    """What an epoch left behind.

    Attributes
    ----------
    epoch : int
        Its number, from 1.
    seconds : float
        Since training began, evaluations included.
    examples : int
        Examples seen in this epoch: all of them, unless it was stopped.
    examples_per_second : float
        Of this epoch, its evaluations included.
    learning_rate : float
        Of its last step.
    loss : float
        Mean loss of its examples, each under the weights of its own step; with the penalty where the recipe says so.
    scores : dict of str to Score
        Of each set that `train` was asked to evaluate, under the weights at the end of the epoch.
    layers : list of Layer
        A copy of these weights, on the backend.
    state : State
        What the next step would go on with: until the next record is asked for, which uses it up. None in a record
        that was read from a file.
    complete : bool
        False where `should_stop` ended the epoch early.
    """

    epoch: int
    seconds: float
    examples: int
    examples_per_second: float
    learning_rate: float
    loss: float
    scores: dict[str, Score]
    layers: list[Layer]
    state: State | None
    complete: bool


class State(NamedTuple):
    """What a step carries on beside the parameters, all of it on the device."""

    optimizer: Any  # the update rule's own state
    t: Array  # steps taken: 0-d, integer
    loss: Array  # loss summed over the examples of the epoch so far: 0-d
    rate: Array  # what the schedule's learning rate is multiplied by: 0-d


class Reading(NamedTuple):
    """What the host learns of an epoch."""

    loss: float  # summed over the examples
    finite: bool  # whether the loss and all weights are
    rate: float  # of the last step
    scores: dict[str, Score]  # of each set


class Resumption(NamedTuple):
    """Where a run is taken up again: what a `Record` of a complete epoch leaves, on the host or on a backend."""

    epoch: int  # epochs that are done
    seconds: float  # that they took
    layers: Sequence[Layer]
    state: State


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Return the number of minibatches of `n` examples, the smaller last one included (3.1.6)."""
    return -(-n // min(batch_size, n))


def make_step(backend: Backend, network: Network, recipe: Recipe, communicator: Communicator | None = None) -> Step:
    """Build a training step, for `Backend.stepping`; with a communicator, a `shared_step` of one rank among others.

    Returns
    -------
    callable
        ``step(layers, state, X, T, rows, weights)`` gives the new ``(layers, state)``, where ``X`` (n, d) and
        ``T`` (n, m) hold all examples, ``weights`` (n, 1) what each counts, and ``rows`` (K,) picks the minibatch. It
        uses up ``layers`` and ``state``.
    """
    xp = backend.xp
    in_loop = recipe.mode == "loop"  # then its parts are compiled, and not the step: unrolled, it would be too long
    gradients_of = gradient_function(xp, network, recipe.mode, backend.compile if in_loop else None)

    def update(
        layers: list[Layer], state: State, loss: Array, gradients: list[Layer], weights: Array | None, n: int
    ) -> tuple[list[Layer], State]:
        size = total_weight(xp, weights, n)
        gradients = recipe.penalty.add_gradient(xp, layers, gradients, size)
        loss = loss if weights is None else loss * (n / size)
        counted = at_once(xp, _counted)
        steps, epoch_loss, t, rate = counted(xp, state.t, state.loss, loss, state.rate, schedule=recipe.schedule)
        if recipe.penalised:
            epoch_loss += n * recipe.penalty.value(xp, layers, size)
        params, optimizer = recipe.optimizer.update(xp, _flat(layers), _flat(gradients), state.optimizer, rate, t)
        return _layered(params), State(optimizer, steps, epoch_loss, state.rate)

    draw_masks = mask_function(backend, network, recipe.seed)
    if in_loop:
        update, draw_masks = backend.compile(update, donate=(0, 1)), backend.compile(draw_masks)

    if communicator is not None:
        return shared_step(backend, communicator, gradients_of, draw_masks, update, whole=not in_loop)

    def step(
        layers: list[Layer], state: State, X: Array | Scaled, T: Array, rows: Array, weights: Array | None
    ) -> tuple[list[Layer], State]:
        masks = draw_masks(state.t, rows)
        weights = None if weights is None else xp.take(weights, rows, axis=0)
        loss, gradients = gradients_of(layers, take_rows(xp, X, rows), xp.take(T, rows, axis=0), masks, weights)
        return update(layers, state, loss, gradients, weights, rows.shape[0])

    return step


@elementwise(updates=2)
def _counted(
    xp: Namespace, steps: Array, epoch_loss: Array, loss: Array, factor: Array, *, schedule: Schedule
) -> tuple[Array, Array, Array, Array]:
    """Return the counters with a step in them, its number in floating point, and its learning rate."""
    steps += 1
    epoch_loss += loss
    t = xp.astype(steps, loss.dtype)
    return steps, epoch_loss, t, factor * schedule(xp, t - 1.0)


def train(
    backend: Backend,
    network: Network,
    layers: Sequence[Layer],
    X: Array | Scaled | Chunked,
    T: Array | None,
    recipe: Recipe,
    *,
    evaluate: Mapping[str, tuple[Array | Scaled | Chunked, Array | None]] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int], None] = lambda _: None,
    resume: Resumption | None = None,
    communicator: Communicator | None = None,
) -> Iterator[Record]:
    """Train a network, one record an epoch.

    Parameters
    ----------
    backend : Backend
        Where to compute; it holds the arrays that follow.
    network : Network
        The architecture.
    layers : sequence of Layer
        The initial weights, on the host or on the backend; they stay as they are.
    X : array of shape (n, d), or Scaled, or Chunked
        Examples. Those in chunks are checked and moved while others are trained on, and the host waits for the device
        at the end of each chunk.
    T : array of shape (n, m), or None
        Their targets: one-hot, 0 or 1 per label, or real numbers; None where `X` comes in chunks, which have theirs.
    recipe : Recipe
        How to train. A batch size above n is taken as n, with a warning.
    evaluate : mapping of str to (X, T), optional
        Sets to score after each epoch; as for `X` and `T`.
    should_stop : callable
        Asked after each step, or many in one graph; True ends the run with a record of the epoch so far.
    on_step : callable
        Told the number of examples of each step, or of many in one graph, once it is under way.
    resume : Resumption, optional
        Where to go on, in place of the initial weights: with the same arguments the rest of the run is the same, to the
        last bit where the library computes the same twice.
    communicator : Communicator, optional
        Other processes that train the same network on the same arrays: they share every minibatch, and have the same
        records. `should_stop` then ends all where it is True on any, a step later.

    Returns
    -------
    iterator of Record
        One per epoch that is left. The last one's `layers` are the trained weights.

    Raises
    ------
    InputError
        For arrays that do not fit the network, are not on the backend in its dtype, or hold NaN or infinite values:
        before anything is trained, or, in chunks, when they are read.
    DivergenceError
        When the loss or a weight is no longer finite; its `record` is the last good one.
    """
    evaluate = dict(evaluate or {})
    for name, (examples, targets) in {"training": (X, T), **evaluate}.items():
        if isinstance(examples, Chunked):
            _check_chunked(backend, name, network, examples, targets)
            continue
        if isinstance(examples, Scaled):
            _check_scaled(backend, name, examples)
        floating = examples.scale[None, :] if isinstance(examples, Scaled) else examples
        _check_arrays(backend, name, floating, targets)
        _check_shapes(name, network, examples, targets)
        _check_finite(backend, f"the {name} examples", floating)
        _check_finite(backend, f"the {name} targets", targets)
    n = X.shape[0]
    if recipe.batch_size > n:
        message = f"batch size {recipe.batch_size} is above the {n} training examples: taken as {n}."
        warnings.warn(message, XpmlpWarning, stacklevel=2)
        recipe = replace(recipe, batch_size=n)
    if communicator is not None:
        should_stop = _agreed(communicator, should_stop)
    trainer = Trainer(backend, network, recipe, communicator)
    if resume is None:
        trainer.start(layers)
    else:
        trainer.start(resume.layers, resume.state)
    return _records(trainer, X, T, evaluate, should_stop, on_step, resume)


class Trainer:
    """A network in training: its parameters and the state of its optimiser, epoch by epoch.

    `train` is a loop over this, with records; a caller with rules of its own (scikit-learn's, in `estimators`) makes
    another.

    Parameters
    ----------
    backend : Backend
        Where to compute.
    network : Network
        The architecture.
    recipe : Recipe
        How to train; its epochs and its seed's orders are the caller's to keep to.
    communicator : Communicator, optional
        Other processes with a trainer of their own that is called as this one is; each step's work is shared.

    Attributes
    ----------
    layers : list of Layer
        The weights, on the backend; the next step uses them up.
    state : State
        Likewise.
    """

    layers: list[Layer]
    state: State

    def __init__(
        self, backend: Backend, network: Network, recipe: Recipe, communicator: Communicator | None = None
    ) -> None:
        self.backend = backend
        self.network = network
        self.recipe = recipe
        self._communicator = communicator
        self._what = f"{network}, in minibatches of {recipe.batch_size:,} examples"
        whole = recipe.mode != "loop" and communicator is None
        self.steps = backend.stepping(make_step(backend, network, recipe, communicator), whole=whole)
        self.score = make_scorer(backend, network)
        self.summarise = backend.compile(self._summary)

    def start(self, layers: Sequence[Layer], state: State | None = None) -> None:
        """Take initial weights, from the host or the backend, which stay as they are.

        Parameters
        ----------
        layers : sequence of Layer
            The weights.
        state : State, optional
            Of an earlier run, to go on with; from the host or the backend, and it stays as it is.
        """
        backend = self.backend
        with backend.computing(self._what):
            self.layers = [Layer(backend.own(W), backend.own(b)) for W, b in layers]
            steps: Any
            if state is None:
                optimizer, steps = self.recipe.optimizer.init(backend.xp, _flat(self.layers)), 0
            else:
                optimizer = type(state.optimizer)(*([backend.own(p) for p in arrays] for arrays in state.optimizer))
                steps = backend.to_numpy(state.t) if backend.holds(state.t) else state.t
            self.state = State(optimizer, backend.asindex(steps), backend.own(0.0), backend.own(1.0))

    def run_epoch(
        self,
        X: Array | Scaled,
        T: Array,
        order: Any,
        *,
        weights: Array | None = None,
        rate: float = 1.0,
        go_on: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Take the steps of an epoch, or of one chunk of it, without waiting for them.

        Parameters
        ----------
        X : array of shape (n, d), or Scaled
            Examples, on the backend.
        T : array of shape (n, m)
            Their targets.
        order : ndarray of int
            The examples to take, on the host.
        weights : array of shape (n, 1), optional
            What each example counts.
        rate : float
            What the schedule's learning rate is multiplied by.
        go_on : bool
            Whether the epoch is under way: its sums and its rate then go on.
        should_stop, on_step : callable
            As for `train`.

        Returns
        -------
        int
            Examples seen: fewer than in `order` where `should_stop` ended it.
        """
        backend, seen = self.backend, 0
        with backend.computing(self._what):
            if not go_on:
                loss, factor = backend.refill(self.state.loss, 0.0), backend.refill(self.state.rate, rate)
                self.state = self.state._replace(loss=loss, rate=factor)
            steps = self.steps(self.layers, self.state, X, T, order, self.recipe.batch_size, weights)
            for self.layers, self.state, rows in steps:
                seen += rows
                on_step(rows)
                if should_stop():
                    break
        return seen

    def copy_layers(self) -> list[Layer]:
        """Copy the weights, on the backend."""
        with self.backend.computing(self._what):
            return [Layer(self.backend.own(W), self.backend.own(b)) for W, b in self.layers]

    def read(self, evaluate: Mapping[str, tuple[Array | Scaled | Chunked, Array | None]]) -> Reading:
        """Read the epoch's sums and the scores of some sets: the one synchronisation with the host."""
        backend, ranks = self.backend, self._communicator
        with backend.computing(self._what):
            share = range if ranks is None else ranks.share
            sums = [
                total
                for X, T in evaluate.values()
                for total in score_rows(backend, self.score, self.layers, X, T, share)
            ]
            loss, finite, rate, *scored = backend.to_numpy(self.summarise(self.layers, self.state, sums)).tolist()
        scored = scored if ranks is None else ranks.total(scored)
        pairs = zip(scored[::2], scored[1::2], strict=True)
        scores = {
            name: to_score(loss_sum, correct, X.shape[0])
            for (name, (X, _)), (loss_sum, correct) in zip(evaluate.items(), pairs, strict=True)
        }
        return Reading(loss, bool(finite), rate, scores)

    def _summary(self, layers: list[Layer], state: State, sums: list[Array]) -> Array:
        """Put what the host wants to know into one array: loss, whether all is finite, rate, then the scores."""
        xp = self.backend.xp
        finite = xp.stack([xp.all(xp.isfinite(p)) for p in [state.loss, *_flat(layers)]])
        rate = state.rate * self.recipe.schedule(xp, xp.astype(state.t, state.loss.dtype) - 1.0)
        return xp.stack([state.loss, xp.astype(xp.all(finite), state.loss.dtype), rate, *sums])


def _records(
    trainer: Trainer,
    X: Array | Scaled | Chunked,
    T: Array | None,
    evaluate: dict[str, tuple[Array | Scaled | Chunked, Array | None]],
    should_stop: Callable[[], bool],
    on_step: Callable[[int], None],
    resume: Resumption | None,
) -> Iterator[Record]:
    n, recipe = X.shape[0], trainer.recipe
    start, record, done = time.perf_counter(), None, 0
    if resume is not None:
        start, done = start - resume.seconds, resume.epoch
    epochs = _epochs(X, T, recipe, done)
    for epoch in range(done + 1, recipe.epochs + 1):
        epoch_start = time.perf_counter()
        examples = _run_chunks(trainer, next(epochs), should_stop, on_step)
        reading = trainer.read(evaluate)
        layers = trainer.copy_layers()
        now = time.perf_counter()
        if not reading.finite:
            raise _diverged(epoch, reading.rate, record)
        record = Record(
            epoch=epoch,
            seconds=now - start,
            examples=examples,
            examples_per_second=examples / (now - epoch_start),
            learning_rate=reading.rate,
            loss=reading.loss / examples,
            scores=reading.scores,
            layers=layers,
            state=trainer.state,
            complete=examples == n,
        )
        yield record
        if should_stop():
            return


def _epochs(
    X: Array | Scaled | Chunked, T: Array | None, recipe: Recipe, done: int
) -> Iterator[Generator[tuple[Array | Scaled, Array, Any]]]:
    """Give the chunks of each epoch after the first ones, which are done, with the orders of their examples."""
    if isinstance(X, Chunked):
        for epoch in count(done + 1):
            yield X.shuffled(recipe.seed, epoch, recipe.batch_size)
    n, rng = X.shape[0], generator(recipe.seed, "order")
    for _ in range(done):
        rng.permutation(n)
    while True:
        yield (chunk for chunk in [(X, T, rng.permutation(n))])


def _run_chunks(
    trainer: Trainer,
    chunks: Generator[tuple[Array | Scaled, Array, Any]],
    should_stop: Callable[[], bool],
    on_step: Callable[[int], None],
) -> int:
    """Take the steps of an epoch, chunk by chunk: examples seen."""
    seen = 0
    with closing(chunks):
        for X, T, order in chunks:
            taken = trainer.run_epoch(X, T, order, go_on=seen > 0, should_stop=should_stop, on_step=on_step)
            seen += taken
            if taken < order.shape[0]:
                break
    return seen


def _agreed(communicator: Communicator, should_stop: Callable[[], bool]) -> Callable[[], bool]:
    return lambda: communicator.agree(wish=should_stop())


def _flat(layers: Sequence[Layer]) -> list[Array]:
    return [p for layer in layers for p in layer]


def _layered(params: list[Array]) -> list[Layer]:
    return [Layer(W, b) for W, b in zip(params[::2], params[1::2], strict=True)]


def _check_arrays(backend: Backend, name: str, *arrays: Array) -> None:
    for array in arrays:
        if not (backend.holds(array) and backend.on_device(array) and array.dtype == backend.float_dtype):
            raise InputError(
                f"the {name} set has an array of {type(array).__module__}, {getattr(array, 'dtype', type(array))}, "
                f"but {backend!r} computes: put it there with `backend.asarray`."
            )


def _check_scaled(backend: Backend, name: str, X: Scaled) -> None:
    values, d = X.values, X.values.shape[1]
    if not (backend.holds(values) and backend.on_device(values) and backend.xp.isdtype(values.dtype, "integral")):
        raise InputError(f"the {name} examples are Scaled, but their values are no integers of {backend!r}.")
    if tuple(X.scale.shape) != (d,):
        raise InputError(f"the {name} examples have {d} features, but a scale of shape {tuple(X.scale.shape)}.")


def _check_chunked(backend: Backend, name: str, network: Network, X: Chunked, T: Array | None) -> None:
    n_inputs, n_outputs = network.sizes[0], network.sizes[-1]
    if T is not None:
        raise InputError(f"the {name} examples come in chunks with targets of their own: give None for the targets.")
    if X.backend != backend:
        raise InputError(f"the {name} examples come in chunks on {X.backend!r}, but {backend!r} computes.")
    if (X.shape[1], X.n_outputs) != (n_inputs, n_outputs):
        raise InputError(
            f"the {name} examples come with {X.shape[1]} features and {X.n_outputs} targets each, but the network "
            f"takes {n_inputs} and gives {n_outputs}."
        )


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    with backend.computing():
        finite = backend.to_numpy(backend.xp.all(backend.xp.isfinite(array))).item()
    if not finite:
        check_features(backend.to_numpy(array), name)


def _check_shapes(name: str, network: Network, X: Array | Scaled, T: Array) -> None:
    n_inputs, n_outputs = network.sizes[0], network.sizes[-1]
    if X.ndim != 2 or X.shape[1] != n_inputs:
        raise InputError(f"the {name} examples have shape {tuple(X.shape)}, but the network takes (n, {n_inputs}).")
    if X.shape[0] == 0:
        raise InputError(f"the {name} set has no examples: at least one is needed.")
    if tuple(T.shape) != (X.shape[0], n_outputs):
        raise InputError(
            f"the {name} targets have shape {tuple(T.shape)}, but {X.shape[0]} examples with {n_outputs} outputs "
            f"need ({X.shape[0]}, {n_outputs})."
        )


def _diverged(epoch: int, rate: float, record: Record | None) -> DivergenceError:
    kept = f"the weights after epoch {record.epoch} are kept" if record else "no epoch was completed"
    return DivergenceError(
        f"training diverged in epoch {epoch}: the loss or a weight is no longer a finite number; {kept}. "
        f"Try a learning rate below {rate:g}, another initialisation, or features on a common scale.",
        record,
    )
