"""A network in training, epoch by epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.backends.purity import is_pure
from xpmlp.backends.rehearsal import mapped
from xpmlp.common.errors import InputError
from xpmlp.nn.members import lengths
from xpmlp.nn.network import copy_layers, naming_own_functions
from xpmlp.training.checks import check_layers
from xpmlp.training.scoring import N_SUMS, Score, Spread, make_scorer, score_rows, spread_of, to_score
from xpmlp.training.step import State, flat, make_step
from xpmlp.training.threads import ThreadChoice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Layer, Network
    from xpmlp.training.recipe import Recipe


class Reading(NamedTuple):
    """What the host learns of an epoch."""

    loss: float  # summed over the examples
    finite: bool  # whether the loss and all weights are
    rate: float  # of the last step
    scores: dict[str, Score]  # of each set
    members: dict[str, list[Score]] | None = None  # of each set, those of each member of an ensemble

    def is_finite(self, trained_on: Sequence[str]) -> bool:
        """Whether all weights are finite, and the losses of the sets that are trained on."""
        return self.finite and all(math.isfinite(self.scores[name].loss) for name in trained_on)


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
    units : sequence of float, optional
        As for `train`.

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
        self,
        backend: Backend,
        network: Network,
        recipe: Recipe,
        communicator: Communicator | None = None,
        units: Sequence[float] | None = None,
    ) -> None:
        self.backend, self.network, self.recipe, self.communicator = backend, network, recipe, communicator
        self.units = units
        self._spreads: dict[str, Spread | None] = {}
        self._what = f"{network}, in minibatches of {recipe.batch_size:,} examples"
        self._is_pure = is_pure((network, recipe))
        self.threads = ThreadChoice(backend, network, recipe)
        self._can_try = self._is_pure and communicator is None  # other ranks would wait for the steps of a trial
        self._prepare()

    def __repr__(self) -> str:
        return f"<Trainer of {self.network} on {self.backend!r}>"

    def _prepare(self) -> None:
        """Make the steps and the scores fast: what a backend keeps of them lasts as long as the functions made here."""
        backend, network, recipe, communicator = self.backend, self.network, self.recipe, self.communicator
        step, in_parts = make_step(backend, network, recipe, communicator), recipe.mode == "loop" or communicator
        self.steps = backend.epoch_runner(step, compile_whole=not in_parts)
        self.score = make_scorer(backend, network, self.units)
        self.summarise = backend.compile(self._summary)

    def start(self, layers: Sequence[Layer], state: State | None = None, threads: int | None = None) -> None:
        """Take initial weights, from the host or the backend, which stay as they are.

        Parameters
        ----------
        layers : sequence of Layer
            The weights.
        state : State, optional
            Of an earlier run, to resume; from the host or the backend, and it stays as it is.
        threads : int, optional
            How many threads that run's steps took last, where it is resumed.

        Raises
        ------
        InputError
            For weights that do not fit the network or the number of members, and a state of another kind of optimiser.
        """
        backend = self.backend
        stack = check_layers(self.network, layers)
        if wrong := lengths((self.network, self.recipe)) - set(stack):
            given = f"a stack of {stack[0]}" if stack else "one network"
            raise InputError(
                f"the weights are those of {given}, but the recipe or the dropout is of {wrong.pop()} members."
            )

        self.threads.resume(threads)

        def of_each(number: float) -> Any:
            return [number] * stack[0] if stack else number

        with backend.computing(self._what):
            self.layers = copy_layers(backend, layers)
            steps: Any = of_each(0)
            optimizer = self.recipe.optimizer.init(backend.xp, flat(self.layers))
            if state is not None:
                if type(state.optimizer) is not type(optimizer):
                    kinds = f"{type(state.optimizer).__name__}, but the recipe's has {type(optimizer).__name__}"
                    raise InputError(f"the state to resume from is of an optimiser with {kinds}.")
                optimizer = self._copy(state.optimizer)
                steps = backend.to_numpy(state.t) if backend.holds(state.t) else state.t
            sums = (backend.copy_to_device(of_each(number)) for number in (0.0, 1.0, 0.0))
            self.state = State(optimizer, backend.xp.asarray(backend.asindex(steps), copy=True), *sums)

    def run_epoch(
        self,
        examples: Examples,
        order: Any,
        *,
        rate: float | Sequence[float] = 1.0,
        continued: bool = False,
        should_stop: Callable[[], bool] = lambda: False,
        on_step: Callable[[int], None] = lambda _: None,
    ) -> int:
        """Take the steps of an epoch, or of one chunk of it, without waiting for them.

        Parameters
        ----------
        examples : Examples
            Of arrays, on the backend.
        order : ndarray of int
            The rows to take, on the host: (n,), or (M, n) with an order for each member of a stack.
        rate : float or sequence of float
            What the schedule's learning rate is multiplied by: one number, or one for each member.
        continued : bool
            Whether the epoch has begun, so that its sums and its rate are kept.
        should_stop, on_step : callable
            As for `train`.

        Returns
        -------
        int
            Examples seen: fewer than in `order` where `should_stop` ended it.
        """
        backend, seen = self.backend, 0
        with backend.computing(self._what):
            if not continued:
                if not self._is_pure:
                    self._prepare()  # a function of the user's own may give something else in this epoch
                scales = rate if isinstance(rate, int | float) else backend.asarray(rate)
                loss, scale = backend.refill(self.state.loss, 0.0), backend.refill(self.state.scale, scales)
                if examples.T is not None:  # whose dtype may be wider than that of the weights
                    loss = backend.xp.astype(loss, examples.T.dtype, copy=False)
                self.state = self.state._replace(loss=loss, scale=scale)
            steps = self._taken(examples, order)
            with self.threads.in_steps():
                for self.layers, self.state, rows in steps:
                    seen += rows
                    if self._can_try and self.threads.is_due():
                        self.threads.choose(lambda: self._steps_of_copies(examples, order))
                    on_step(rows)
                    if should_stop():
                        break
        return seen

    def _taken(self, examples: Examples, order: Any) -> Iterator[Any]:
        """Take the steps; what the caller does in between is not theirs, and so no error of the user's functions."""
        with naming_own_functions(self.network, schedule=self.recipe.schedule, optimizer=self.recipe.optimizer):
            yield from self.steps(self.layers, self.state, examples, order, self.recipe.batch_size)

    def _steps_of_copies(self, examples: Examples, order: Any) -> Iterator[Any]:
        """Take the steps of copies, epoch after epoch, whose results are dropped."""
        now = mapped(lambda p: self.backend.xp.asarray(p, copy=True), (self.layers, self.state))
        while True:
            for now in self.steps(now[0], now[1], examples, order, self.recipe.batch_size):  # noqa: B020 - goes on there
                yield now

    def copy_layers(self) -> list[Layer]:
        """Copy the weights, on the backend."""
        with self.backend.computing(self._what):
            layers: list[Layer] = self.backend.settle(copy_layers(self.backend, self.layers))
            return layers

    def copy_state(self) -> State:
        """Copy the state, on the backend."""
        backend, state = self.backend, self.state
        with backend.computing(self._what):
            t = backend.xp.asarray(state.t, copy=True)
            return State(self._copy(state.optimizer), t, *map(backend.copy_to_device, state[2:]))

    def _copy(self, optimizer: Any) -> Any:
        return type(optimizer)(*([self.backend.copy_to_device(p) for p in arrays] for arrays in optimizer))

    def read(self, sets: Mapping[str, Examples]) -> list[Reading]:
        """Read the epoch's sums and the scores of some sets, of each member: the one synchronisation with the host.

        The reading of a network that is no stack is the only one.

        A name stands for the same set in each call, as the spread of real-valued targets is measured once.
        """
        backend, ranks = self.backend, self.communicator
        for name in sets.keys() - self._spreads.keys():
            self._spreads[name] = spread_of(backend, self.network, sets[name], self.units)
        with backend.computing(self._what), self.threads.in_scores():
            sums = [
                total
                for examples in sets.values()
                for total in score_rows(backend, self.score, self.layers, examples, ranks)
            ]
            summary = backend.to_numpy(self.summarise(self.layers, self.state, sums))
        return [self._reading(sets, numbers) for numbers in summary.reshape(-1, summary.shape[-1]).tolist()]

    def _reading(self, sets: Mapping[str, Examples], numbers: list[float]) -> Reading:
        loss, finite, rate, *scored = numbers
        scored = scored if self.communicator is None else self.communicator.total(scored)
        by_set = zip(*[iter(scored)] * N_SUMS, strict=True)  # as many at a time
        scores = {
            name: to_score(sums, examples.X.shape[-2], self._spreads[name], self.network.n_targets)
            for (name, examples), sums in zip(sets.items(), by_set, strict=True)
        }
        return Reading(loss, bool(finite), rate, scores)

    def _summary(self, layers: list[Layer], state: State, sums: list[Array]) -> Array:
        """Put what the host wants to know into one array: loss, whether all is finite, rate, then the scores."""
        xp, dtype = self.backend.xp, state.loss.dtype
        own = [(p, tuple(range(state.loss.ndim - p.ndim, 0))) for p in flat(layers)]  # each with its axes in a stack
        checks = [xp.all(xp.isfinite(p), axis=axes) for p, axes in own]
        finite = xp.all(xp.stack([xp.isfinite(state.loss), *checks], axis=-1), axis=-1)
        return xp.stack([state.loss, xp.astype(finite, dtype), xp.astype(state.rate, dtype), *sums], axis=-1)
