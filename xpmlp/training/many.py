"""Many networks trained at once: those of one shape as stacks, whose steps are the steps of one network."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from xpmlp.backends.rehearsal import leaves, mapped
from xpmlp.common.errors import DivergenceError, InputError, XpmlpWarning
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import line
from xpmlp.data.examples import Examples, StreamedExamples
from xpmlp.nn.network import Layer, copy_layers
from xpmlp.training.checks import check_layers, check_sets, check_weights, sets_of
from xpmlp.training.loop import Record, diverged, large_batch
from xpmlp.training.stacks import MAX_RUNNING, Member, joined, joined_weights, members_at, numbers_of_stacks, stacked
from xpmlp.training.trainer import Trainer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import QuantizedExamples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.losses import Loss
    from xpmlp.nn.network import Network

    Outcome = Record | DivergenceError


def train_many(
    backend: Backend,
    members: Sequence[Member],
    X: Array | QuantizedExamples,
    T: Array,
    *,
    evaluate: Mapping[str, tuple[Array | QuantizedExamples, Array]] | None = None,
    units: Sequence[float] | None = None,
    communicator: Communicator | None = None,
) -> Iterator[list[Record | DivergenceError]]:
    """Train many networks at once, one list of records an epoch.

    Networks of the same sizes, activations and loss are stacked: their weights become arrays of shape (M, fan_in,
    fan_out), and one step trains all of them, by the same functions as one network. Each ends with the weights that
    `train` gives it, to rounding. How many go together is decided by what the backend computes fast.

    Parameters
    ----------
    backend : Backend
        Where to compute; it holds the arrays that follow.
    members : sequence of Member
        The networks. Those of one stack may differ in their dropout, and in the seed, the learning rate and its
        schedule's other numbers, momentum, weight decay, penalties, epochs and patience of their recipes. Those that
        differ in more, such as the batch size, are in different stacks. Those with functions of your own, which may be
        written for one network, are trained one by one.
    X : array of shape (n, d), or QuantizedExamples
        Examples, which all networks share.
    T : array of shape (n, m)
        Their targets.
    evaluate : mapping of str to (X, T), optional
        Sets to score after each epoch; as for `X` and `T`.
    units : sequence of float, optional
        As for `train`.
    communicator : Communicator, optional
        As for `train`.

    Returns
    -------
    iterator of list of (Record or DivergenceError)
        After each epoch, what there is of each member so far. One that has ended, by the number of its epochs or its
        patience, keeps its last record. In place of one that has diverged stands the error that `train` would raise,
        whose `record` is the last good one. The records have no state: a stack is not resumed. Their times are those of
        the stack.

    Raises
    ------
    InputError
        As `train`; for no members, for rows that are not among the examples, and for examples in chunks.

    Notes
    -----
    A member that has ended goes on in its stack, unseen, until an eighth of the stack has ended: then these are taken
    out of it. Dropout's masks are functions of the numbers of the rows in X: a member with dropout and `rows` does not
    end with the weights that `train` gives it with these examples alone.

    Examples
    --------
    Three networks that differ in their first weights, their orders and their learning rates:

    >>> import numpy as np
    >>> from xpmlp import SGD, Constant, Member, Network, Recipe, get_backend, initialize, train_many
    >>> backend = get_backend("numpy", dtype="float64")
    >>> X = np.random.default_rng(0).normal(size=(100, 2))
    >>> T = np.eye(2)[(X.sum(axis=1) > 0).astype(int)]
    >>> network = Network.build(2, 8, 2)
    >>> rates = 0.1, 0.03, 0.01
    >>> members = [
    ...     Member(network, initialize(network, seed=seed), Recipe(SGD(), Constant(rate), seed=seed, epochs=5))
    ...     for seed, rate in enumerate(rates)
    ... ]
    >>> *_, records = train_many(backend, members, X, T, evaluate={"all": (X, T)})
    >>> [record.epoch for record in records]
    [5, 5, 5]
    """
    sets = sets_of(evaluate)
    return _records(Stacks(backend, members, Examples(X, T), sets, units=units, communicator=communicator))


def _records(stacks: Stacks) -> Iterator[list[Outcome]]:
    start = time.perf_counter()
    while stacks.are_running:
        yield stacks.train_epoch(start)


class Stacks:
    """Many networks in training, epoch by epoch: what `train_many` is a loop over.

    Parameters and errors are those of `train_many`, with the examples and the `sets` to score as `Examples`.
    """

    def __init__(
        self,
        backend: Backend,
        members: Sequence[Member],
        examples: Examples,
        sets: Mapping[str, Examples],
        *,
        units: Sequence[float] | None = None,
        communicator: Communicator | None = None,
    ) -> None:
        if not members:
            raise InputError("there are no members: give at least one network to train.")
        if isinstance(examples.X, StreamedExamples):
            raise InputError("examples in chunks are trained on by one network at a time: use `train`.")
        for network in {_examples_of(each.network): each.network for each in members}.values():
            check_sets(backend, network, {"training": examples, **sets})
        n = examples.X.shape[0]
        checked = partial(_checked, backend, n, sets)
        self._members = [*map(checked, members, count())]  # no frame of a comprehension, for the place of warnings
        self._given: Any = (backend, examples, units, communicator)
        self._sets = sets
        self._stacks = [self._stack(numbers) for numbers in numbers_of_stacks(backend, self._members, n)]
        self._outcomes: dict[int, Outcome] = {}

    def _stack(self, numbers: Sequence[int]) -> _Stack:
        return _Stack({number: self._members[number] for number in numbers}, *self._given)

    @property
    def are_running(self) -> bool:
        """Whether any member has not ended."""
        return any(stack.running for stack in self._stacks)

    def train_epoch(self, start: float) -> list[Any]:
        """Return what there is of each member after one more epoch, as `train_many`; `start` is when training began.

        Of a member that had diverged before a training was resumed, there is None.
        """
        for stack in self._stacks:
            if stack.running:
                self._outcomes |= stack.train_epoch(self._sets, start)
        return [self._outcomes.get(number) for number in range(len(self._members))]

    def copy_state(self) -> list[StackState]:
        """Copy what it takes to go on after this epoch."""
        return [state for stack in self._stacks if (state := stack.copy_state()).good]

    def resume(self, epoch: int, states: Sequence[StackState], threads: int | None = None) -> None:
        """Go on after some epochs, with the members that had not diverged then, and as many threads."""
        self._stacks = [self._stack(state.numbers) for state in states]
        for stack, state in zip(self._stacks, states, strict=True):
            stack.resume(epoch, state, threads)


class StackState(NamedTuple):
    """What it takes to go on with a stack.

    Attributes
    ----------
    numbers, good : list of int
        The members in it, and those of them that have not diverged.
    arrays : list of array
        Of their weights, and then of the state of their steps.
    """

    numbers: list[int]
    good: list[int]
    arrays: list[Array]

    def __repr__(self) -> str:
        return line(self)


def _examples_of(network: Network) -> tuple[int, int, Loss]:
    """Return what examples and targets have to fit."""
    return network.sizes[0], network.n_targets, network.loss


def _checked(backend: Backend, n: int, sets: Mapping[str, Examples], member: Member, number: int) -> Member:
    """Return a member whose minibatches have no more examples than there are, or raise an `InputError`."""
    network, layers, recipe, rows, weights = member
    if check_layers(network, layers):
        raise InputError(f"the weights of member {number} are those of a stack: give each network its own.")
    if recipe.patience is not None and "validation" not in sets:
        raise InputError("patience waits for a better loss on the set 'validation': give that to `evaluate`.")
    if weights is not None:
        check_weights(backend, f"the weights of member {number}", weights, n)
    if rows is not None:
        is_whole = getattr(rows, "ndim", 0) == 1 and rows.dtype.kind in "iu"
        if not is_whole or rows.shape[0] == 0 or rows.min() < 0 or rows.max() >= n:
            raise InputError(
                f"the rows of member {number} must be one or more integers from 0 to {n - 1}, in an array."
            )
        n = rows.shape[0]
    if recipe.batch_size > n:
        warnings.warn(large_batch(recipe, n), XpmlpWarning, stacklevel=4)
        recipe = replace(recipe, batch_size=n)
    return member._replace(recipe=recipe)


class _Stack:
    """Members that are trained together: a stack, or a lone network.

    `members` are those that are trained, by their numbers. `running` are the numbers of those that have not ended, and
    `good` of those that have not diverged.
    """

    def __init__(
        self,
        members: dict[int, Member],
        backend: Backend,
        examples: Examples,
        units: Sequence[float] | None,
        communicator: Communicator | None,
    ) -> None:
        self._backend, self._shared, self._units, self._communicator = backend, examples, units, communicator
        self._members, self.running, self._good = members, list(members), list(members)
        self._outcomes: dict[int, Outcome] = {}
        self._epoch = 0
        self._generators = {
            _key(member): make_generator(cast("int", member.recipe.seed), "order") for member in members.values()
        }
        pairs = zip(*(copy_layers(backend, member.layers) for member in members.values()), strict=True)
        self._start([Layer(*(stacked(backend, p) for p in zip(*layers, strict=True))) for layers in pairs])

    def _start(self, layers: Sequence[Layer], state: Any = None, threads: int | None = None) -> None:
        """Train the members from these weights on."""
        backend, members = self._backend, self._members.values()
        self._trainer = Trainer(backend, *joined(members), self._communicator, self._units)
        self._trainer.start(layers, state, threads)
        self._examples = self._shared._replace(weights=joined_weights(backend, [each.weights for each in members]))

    def copy_state(self) -> StackState:
        """Copy what it takes to go on after this epoch."""
        arrays = [*leaves(self._trainer.copy_layers()), *leaves(self._trainer.copy_state())]
        return StackState([*self._members], [number for number in self._members if number in self._good], arrays)

    def resume(self, epoch: int, state: StackState, threads: int | None) -> None:
        """Go on after some epochs."""
        arrays = iter(state.arrays)
        layers, of_steps = mapped(lambda _: next(arrays), (self._trainer.layers, self._trainer.state))
        self._start(layers, of_steps, threads)
        self._epoch, self._good = epoch, [*state.good]
        self.running = [number for number in state.good if not self._members[number].recipe.is_over(epoch, None)]
        for _ in range(epoch):
            self._order()

    def _order(self) -> Any:
        """Draw the order of an epoch for each member; one for all where it is the same."""
        n, members = self._shared.X.shape[0], self._members.values()
        drawn = {
            _key(member): self._generators[_key(member)].permutation(n if member.rows is None else member.rows)
            for member in {_key(member): member for member in members}.values()
        }
        orders = [drawn[_key(member)] for member in members]
        return orders[0] if len(drawn) == 1 else np.stack(orders)

    def train_epoch(self, sets: Mapping[str, Examples], start: float) -> dict[int, Outcome]:
        """Return what there is of each member after one more epoch; `start` is when training began."""
        trainer, begun = self._trainer, time.perf_counter()
        seen = trainer.run_epoch(self._examples, self._order())
        layers, readings, now = trainer.copy_layers(), trainer.read(sets), time.perf_counter()
        self._epoch += 1
        trained_on = [name for name, each in sets.items() if each.X is self._shared.X]
        for place, (number, reading) in enumerate(zip(self._members, readings, strict=True)):
            if number not in self.running:
                continue
            recipe, last = self._members[number].recipe, cast("Record | None", self._outcomes.get(number))
            best = last.best if last else None
            if not reading.is_finite(trained_on):
                kept_epoch = best.epoch if best else self._epoch - 1
                self._outcomes[number] = diverged(self._epoch, reading.rate, last and self._alone(last), kept_epoch)
                self.running.remove(number)
                self._good.remove(number)
                continue
            record = Record(
                epoch=self._epoch,
                seconds=now - start,
                examples=seen,
                examples_per_second=seen / (now - begun),
                learning_rate=reading.rate,
                loss=reading.loss / seen,
                scores=reading.scores,
                layers=layers if len(readings) == 1 else _LayersOfMember(layers, place),
                state=None,
                complete=True,
                best=best,
                threads=trainer.threads.number,
            ).with_best(recipe)
            is_over = recipe.is_over(self._epoch, record.best_epoch)
            if record.best is not None and (is_over or record.best.epoch < self._epoch):
                record = replace(record, best=self._alone(record.best))
            self._outcomes[number] = self._alone(record) if is_over else record
            if is_over:
                self.running.remove(number)
        if 0 < len(self.running) <= MAX_RUNNING * len(self._members):
            self._leave_ended()
        return self._outcomes

    def _alone(self, record: Record) -> Record:
        """Return a record that is kept for epochs with layers of its own: it does not hold those of its stack."""
        is_view = isinstance(record.layers, _LayersOfMember)
        return replace(record, layers=copy_layers(self._backend, record.layers)) if is_view else record

    def _leave_ended(self) -> None:
        """Take the members that have ended out of the stack."""
        places = [place for place, number in enumerate(self._members) if number in self.running]
        left = members_at(self._backend, (self._trainer.layers, self._trainer.state), places)
        self._members = {number: self._members[number] for number in self.running}
        self._start(*left)


def _key(member: Member) -> tuple[Any, int]:
    """Return what an order of examples is drawn by."""
    return member.recipe.seed, id(member.rows)


class _LayersOfMember(Sequence[Layer]):
    """The layers of a member, taken out of its stack's where they are asked for."""

    def __init__(self, layers: Sequence[Layer], place: int) -> None:
        self._layers, self._place = layers, place

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        return Layer(*(p[self._place, ...] for p in self._layers[number]))
