"""The training loop: a generator that yields one record per epoch."""

from __future__ import annotations

import math
import time
import warnings
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from xpmlp.common.errors import DivergenceError, InputError, XpmlpWarning
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import Shown
from xpmlp.common.wording import MEASURES, brief, measured, measures_text
from xpmlp.data.examples import Examples, StreamedExamples
from xpmlp.nn.network import copy_layers
from xpmlp.training.checks import check_layers, check_sets, sets_of
from xpmlp.training.ensemble import EnsembleTrainer, check_own_functions, joined_orders, seeds_of
from xpmlp.training.step import State
from xpmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.shown import Content
    from xpmlp.common.types import Array
    from xpmlp.data.examples import QuantizedExamples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Layer, Network
    from xpmlp.training.recipe import Recipe
    from xpmlp.training.scoring import Score


@dataclass(frozen=True)
class Record(Shown):
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
        That its last step took.
    loss : float
        Mean loss of its examples, each under the weights of its own step; with the penalty where the recipe says so.
    scores : dict of str to Score
        Of each set that `train` was asked to evaluate, under the weights at the end of the epoch.
    layers : list of Layer
        A copy of these weights, on the backend.
    state : State or PackState
        A copy of what the next step needs beside them. None in a record that was read from a file.
    complete : bool
        False where `should_stop` ended the epoch early.
    members : dict of str to list of Score, optional
        Of an ensemble: the scores of each member, where `scores` are those of their mean.
    best : Record, optional
        Of the epoch with the best validation loss so far, without its state, where the recipe has patience: one of the
        complete epochs, this one included.
    threads : int, optional
        How many threads products took at the end of the epoch; None where the library decided.
    """

    epoch: int
    seconds: float
    examples: int
    examples_per_second: float
    learning_rate: float
    loss: float
    scores: dict[str, Score]
    layers: Sequence[Layer] = field(repr=False)
    state: Any = field(repr=False)
    complete: bool
    best: Record | None = field(default=None, repr=False)
    members: dict[str, list[Score]] | None = field(default=None, repr=False)
    threads: int | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        said = [f"learning rate {self.learning_rate:g}", f"loss {brief(self.loss)}"]
        for part, score in self.scores.items():
            name, value = next(iter(score.measures.items()))
            said.append(f"{part} loss {brief(score.loss)} {measures_text({name: value})}")
        said += [f"best epoch {self.best_epoch}"] * (self.best is not None) + ["stopped early"] * (not self.complete)
        return f"<Record of epoch {self.epoch}: {', '.join(said)}>"

    def _content(self) -> Content:
        scores = list(self.scores.items())
        for part, of_members in (self.members or {}).items():
            scores += [(f"{part}, network {number}", score) for number, score in enumerate(of_members)]
        measures = dict.fromkeys(name for _, score in scores for name in score.measures)
        heads = ("part", "loss", *(MEASURES[name] for name in measures))
        return heads, [
            (part, brief(score.loss), *map(measured, *zip(*score.measures.items(), strict=True)))
            for part, score in scores
        ]

    @property
    def best_epoch(self) -> int | None:
        """The number of the best epoch, where there is one."""
        return None if self.best is None else self.best.epoch

    @property
    def selected(self) -> Record:
        """The record whose weights are the trained ones so far: the best, or this one where there is none."""
        return self if self.best is None else self.best

    def with_best(self, recipe: Recipe) -> Record:
        """Return it with the best record so far, given that with the best one of the earlier epochs."""
        if recipe.patience is None or not self.complete:
            return self
        bar = self.best.scores["validation"].loss - recipe.min_delta if self.best else math.inf
        is_better = self.scores["validation"].loss < bar
        return replace(self, best=replace(self, state=None, best=None)) if is_better else self

    def without_arrays(self) -> Record:
        """Return all that takes little memory: no weights, no state."""
        return replace(self, layers=[], state=None, best=self.best and self.best.without_arrays())


def train(
    backend: Backend,
    network: Network,
    layers: Sequence[Layer],
    X: Array | QuantizedExamples | StreamedExamples,
    T: Array | None,
    recipe: Recipe,
    *,
    evaluate: Mapping[str, tuple[Array | QuantizedExamples | StreamedExamples, Array | None]] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    on_step: Callable[[int], None] = lambda _: None,
    resume: Record | None = None,
    communicator: Communicator | None = None,
    units: Sequence[float] | None = None,
    weights: Array | None = None,
) -> Iterator[Record]:
    """Train a network, or an ensemble of several, one record an epoch.

    Parameters
    ----------
    backend : Backend
        Where to compute; it holds the arrays that follow.
    network : Network
        The architecture.
    layers : sequence of Layer
        The initial weights, on the host or on the backend; they stay as they are. With a leading axis of M they are
        those of an ensemble, whose member k is trained as by itself with the recipe's seed + k.
    X : array of shape (n, d), or QuantizedExamples, or StreamedExamples
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
    resume : Record, optional
        Of a complete epoch, to resume after it in place of the initial weights; its arrays are on the host or on the
        backend. With the same arguments the rest of the run is the same, to the last bit where the library computes
        the same twice.
    communicator : Communicator, optional
        Other processes that train the same network on the same arrays: they share every minibatch, and have the same
        records. `should_stop` then ends all where it is True on any, a step later.
    units : sequence of float, optional
        Of real-valued targets: for each output, what scores are to multiply its errors by. Targets that were divided by
        their standard deviation have their scores in their own unit with it.
    weights : array of shape (n, 1), optional
        What each example counts in training, where `X` is no stream; scores count all alike.

    Returns
    -------
    iterator of Record
        One per epoch that is left. The layers of the last one's `selected` are the trained weights.

    Raises
    ------
    InputError
        For arrays that do not fit the network, are not on the backend in its dtype, or hold NaN or infinite values:
        before anything is trained, or, in chunks, when they are read. For patience without a validation set.
    DivergenceError
        When the loss or a weight is no longer finite; its `record` is the last good one.
    CollectiveError
        On all ranks, where one of them could not read a chunk.
    """
    examples = Examples(X, T, weights)
    check_resume(resume)
    sets = sets_of(evaluate)
    check_sets(backend, network, {"training": examples, **sets})
    if recipe.patience is not None and "validation" not in sets:
        raise InputError("patience waits for a better loss on the set 'validation': give that to `evaluate`.")
    if resume is not None and not (isinstance(resume.state, State) and resume.complete):
        raise InputError(
            f"the record of epoch {resume.epoch} cannot be resumed from: give that of a complete epoch, with its state."
        )
    if recipe.batch_size > X.shape[0]:
        warnings.warn(large_batch(recipe, X.shape[0]), XpmlpWarning, stacklevel=2)
        recipe = replace(recipe, batch_size=X.shape[0])
    stack = check_layers(network, layers)
    trainer: Trainer | EnsembleTrainer
    if stack:
        _check_in_memory(examples)
        check_own_functions(backend, network, layers, examples)
        trainer = EnsembleTrainer(backend, network, recipe, communicator, units, n_members=stack[0])
    else:
        trainer = Trainer(backend, network, recipe, communicator, units)
    if resume is None:
        trainer.start(layers)
    else:
        trainer.start(resume.layers, resume.state, resume.threads)
    stops = should_stop if communicator is None else lambda: communicator.any_rank(flag=should_stop())
    return _records(trainer, examples, sets, stops, on_step, resume)


def check_resume(resume: Any) -> None:
    """Raise an `InputError` for what is no record to resume after."""
    if resume is not None and not isinstance(resume, Record):
        raise InputError(f"resume is {resume!r}, but must be a Record, as `train` gives one after each epoch.")


def _check_in_memory(examples: Examples) -> None:
    if isinstance(examples.X, StreamedExamples):
        raise InputError("examples in chunks are for one network: train the members of an ensemble one by one on them.")


def _records(
    trainer: Trainer | EnsembleTrainer,
    examples: Examples,
    sets: dict[str, Examples],
    should_stop: Callable[[], bool],
    on_step: Callable[[int], None],
    resume: Record | None,
) -> Iterator[Record]:
    n, recipe = examples.X.shape[0], trainer.recipe
    start, done, best = time.perf_counter(), 0, None
    if resume is not None:
        start, done, best = start - resume.seconds, resume.epoch, resume.best
    if best is not None:
        best = replace(best, layers=copy_layers(trainer.backend, best.layers))
    record, trained_on = None, [name for name, each in sets.items() if each.X is examples.X]
    seed = cast("int", recipe.seed)
    seeds = seeds_of(seed, trainer.n_members) if isinstance(trainer, EnsembleTrainer) else seed
    epochs = _epochs(examples, recipe, seeds, done, trainer.communicator)
    chunks = next(epochs)
    for epoch in count(done + 1):
        if recipe.is_over(epoch - 1, None if best is None else best.epoch):
            return
        epoch_start = time.perf_counter()
        seen = _run_chunks(trainer, chunks, should_stop, on_step, refilled=isinstance(examples.X, StreamedExamples))
        # Before the host waits for the device: what it can do, and ask for, while that computes.
        chunks, layers, state = next(epochs), trainer.copy_layers(), trainer.copy_state()
        (reading,) = trainer.read(sets)
        now = time.perf_counter()
        if not reading.is_finite(trained_on):
            raise diverged(epoch, reading.rate, record, best.epoch if best else epoch - 1)
        record = Record(
            epoch=epoch,
            seconds=now - start,
            examples=seen,
            examples_per_second=seen / (now - epoch_start),
            learning_rate=reading.rate,
            loss=reading.loss / seen,
            scores=reading.scores,
            layers=layers,
            state=state,
            complete=seen == n,
            best=best,
            members=reading.members,
            threads=trainer.threads.number,
        ).with_best(recipe)
        best = record.best
        yield record
        if should_stop():
            return


def _epochs(
    examples: Examples, recipe: Recipe, seed: int | list[int], done: int, communicator: Communicator | None
) -> Iterator[Generator[tuple[Examples, Any]]]:
    """Give the chunks of each epoch after the first ones, which are done, with the orders of their examples.

    Of several seeds, there is an order by each.
    """
    if isinstance(examples.X, StreamedExamples):
        for epoch in count(done + 1):
            chunks = examples.X.shuffled(cast("int", seed), epoch, recipe.batch_size)
            yield chunks if communicator is None else communicator.each(chunks)
    n = examples.X.shape[0]
    generators = [make_generator(each, "order") for each in (seed if isinstance(seed, list) else [seed])]
    for _ in range(done):
        for rng in generators:
            rng.permutation(n)
    while True:
        orders = [rng.permutation(n) for rng in generators]
        yield (chunk for chunk in [(examples, joined_orders(orders) if isinstance(seed, list) else orders[0])])


def _run_chunks(
    trainer: Trainer | EnsembleTrainer,
    chunks: Generator[tuple[Examples, Any]],
    should_stop: Callable[[], bool],
    on_step: Callable[[int], None],
    *,
    refilled: bool,
) -> int:
    """Take the steps of an epoch, chunk by chunk: examples seen. Chunks whose memory is refilled are waited for."""
    seen = 0
    with closing(chunks):
        for examples, order in chunks:
            taken = trainer.run_epoch(examples, order, continued=seen > 0, should_stop=should_stop, on_step=on_step)
            seen += taken
            if refilled:
                trainer.backend.synchronize(cast("Trainer", trainer).layers)
            if taken < order.shape[-1]:
                break
    return seen


def large_batch(recipe: Recipe, n: int) -> str:
    """Return the warning for minibatches of more examples than there are."""
    return f"batch size {recipe.batch_size} is above the {n} training examples: taken as {n}."


def diverged(epoch: int, rate: float, record: Record | None, kept_epoch: int) -> DivergenceError:
    """Return the error for an epoch that ended with numbers that are not finite, `record` being the last good one."""
    kept = f"the weights after epoch {kept_epoch} are kept" if kept_epoch else "no epoch was completed"
    return DivergenceError(
        f"training diverged in epoch {epoch}: the loss or a weight is no longer a finite number; {kept}. "
        f"Try a learning rate below {rate:g}, another initialisation, or features on a common scale.",
        record,
    )
