"""Networks that are trained as one ensemble, which differ in their random draws alone."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from xpmlp.backends.purity import is_pure
from xpmlp.backends.rehearsal import is_same, leaves, mapped
from xpmlp.common.errors import InputError
from xpmlp.data.examples import take_rows
from xpmlp.nn.members import join
from xpmlp.nn.network import copy_layers, gradient_function, naming_own_functions
from xpmlp.training.checks import check_layers
from xpmlp.training.scoring import Spread, make_scorer, read_scores, spread_of
from xpmlp.training.stacks import members_at
from xpmlp.training.trainer import Reading, Trainer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from xpmlp.backends import Backend
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Layer, Network
    from xpmlp.training.recipe import Recipe
    from xpmlp.training.step import State
    from xpmlp.training.threads import ThreadChoice

Nest = TypeVar("Nest")

ROUNDINGS = 1_000  # by which gradients of a stack may differ from those of a member, relative to their norm


def seeds_of(seed: int, n_members: int) -> list[int]:
    """Return the seed of each member of an ensemble: that of the recipe, and those that follow it."""
    return [seed + number for number in range(n_members)]


def joined_orders(orders: Sequence[np.ndarray]) -> np.ndarray:
    """Return the orders of the examples of all members, (M, n)."""
    return np.stack(orders)


def check_own_functions(backend: Backend, network: Network, layers: Sequence[Layer], examples: Examples) -> None:
    """Raise an `InputError` where functions of a user's own do not give a stack what they give its members."""
    if is_pure(network):
        return
    rows = min(examples.X.shape[0], layers[-1].W.shape[0] + 1)  # another number than that of the members
    x, t, _ = take_rows(backend.xp, examples, backend.asindex(range(rows)))
    gradients_of = gradient_function(backend.xp, network)
    stack = copy_layers(backend, layers)
    with naming_own_functions(network):
        found, expected = (gradients_of(each, x, t) for each in (stack, members_at(backend, stack, [0])))
    for whole, alone in zip(leaves(found), leaves(expected), strict=True):
        if not is_same(backend.to_numpy(whole)[0], backend.to_numpy(alone), ROUNDINGS):
            raise InputError(
                "an activation or a loss of your own gives the members of an ensemble something else than each by "
                "itself: count axes from the end, axis=-1 for the units and axis=-2 for the examples, or train the "
                "members one by one."
            )


class EnsembleTrainer:
    """An ensemble in training, as a `Trainer` is one network: to a loop over epochs, both are the same.

    Its weights and its state have a leading axis of M. Its members have the seeds of `seeds_of`. They are trained in
    stacks of as many as a backend computes fast together, one stack after the other in each epoch.

    Parameters
    ----------
    backend, network, recipe, communicator, units
        As for `Trainer`.
    n_members : int
        M.
    """

    def __init__(
        self,
        backend: Backend,
        network: Network,
        recipe: Recipe,
        communicator: Communicator | None = None,
        units: Sequence[float] | None = None,
        *,
        n_members: int,
    ) -> None:
        self.backend, self.network, self.recipe, self.communicator = backend, network, recipe, communicator
        self.n_members = n_members
        self._units, self._spreads = units, cast("dict[str, Spread | None]", {})
        most = backend.stack_size(network.widths, recipe.batch_size)
        pieces, seeds = -(-n_members // most), seeds_of(cast("int", recipe.seed), n_members)
        ends = [number * n_members // pieces for number in range(pieces + 1)]
        self._places = [range(start, end) for start, end in pairwise(ends)]
        recipes = [join([replace(recipe, seed=seeds[place]) for place in places]) for places in self._places]
        self._trainers = [Trainer(backend, network, each, communicator, units) for each in recipes]
        self._seen = [0] * pieces
        self._score = make_scorer(backend, network, units, of_mixture=True)

    @property
    def threads(self) -> ThreadChoice:
        """How many threads the first stack's products take."""
        return self._trainers[0].threads

    def start(self, layers: Sequence[Layer], state: State | None = None, threads: int | None = None) -> None:
        """Take initial weights, and the state of an earlier run; arguments and errors are those of `Trainer.start`."""
        stack = check_layers(self.network, layers)
        if stack != (self.n_members,):
            of = f"{stack[0]} networks" if stack else "one network"
            raise InputError(f"the weights are those of {of}, but the ensemble has {self.n_members}.")
        layers, state = mapped(self._on_backend, list(layers)), mapped(self._on_backend, state)
        for trainer, places in zip(self._trainers, self._places, strict=True):
            own = None if state is None else members_at(self.backend, state, places)
            trainer.start(members_at(self.backend, layers, places), own, threads)

    def _on_backend(self, array: Any) -> Any:
        backend = self.backend
        if backend.holds(array) and backend.on_device(array):
            return array
        return backend.asarray(array, dtype=None) if np.asarray(array).dtype.kind in "iu" else backend.asarray(array)

    def run_epoch(
        self,
        examples: Examples,
        order: Any,
        *,
        continued: bool = False,  # noqa: ARG002 - as of a `Trainer`: examples in chunks are refused before
        should_stop: Callable[[], bool],
        on_step: Callable[[int], None],
    ) -> int:
        """Take the steps of an epoch in the orders of the members, (M, n); as `Trainer.run_epoch`."""
        n, done = int(order.shape[-1]), 0
        self._seen = [0] * len(self._trainers)

        def on_rows(rows: int) -> None:
            nonlocal done
            before, done = done // self.n_members, done + rows * len(places)
            on_step(done // self.n_members - before)  # the progress of an epoch of the examples

        for number, (trainer, places) in enumerate(zip(self._trainers, self._places, strict=True)):
            own = order[places.start : places.stop] if len(places) > 1 else order[places.start]
            self._seen[number] = trainer.run_epoch(examples, own, should_stop=should_stop, on_step=on_rows)
            if self._seen[number] < n or (should_stop() and number + 1 < len(self._trainers)):
                return min(n - 1, max(1, done // self.n_members))
        return n

    def copy_layers(self) -> list[Layer]:
        """Copy the weights of all members, on the backend."""
        return self._whole(trainer.copy_layers() for trainer in self._trainers)

    def copy_state(self) -> State:
        """Copy the state of all members, on the backend."""
        return self._whole(trainer.copy_state() for trainer in self._trainers)

    def _whole(self, pieces: Iterator[Nest]) -> Nest:
        """Return the arrays of all pieces as one, with a leading axis of M."""
        xp, nests = self.backend.xp, list(pieces)
        arrays = [
            [p[None, ...] if len(places) == 1 else p for p in leaves(nest)]
            for nest, places in zip(nests, self._places, strict=True)
        ]
        joined = iter([xp.concat(list(parts), axis=0) for parts in zip(*arrays, strict=True)])
        whole: Nest = mapped(lambda _: next(joined), nests[0])
        return whole

    def read(self, sets: Mapping[str, Examples]) -> list[Reading]:
        """Read the epoch's mean loss and the scores of some sets: of the mixture, and of each member."""
        for name in sets.keys() - self._spreads.keys():
            self._spreads[name] = spread_of(self.backend, self.network, sets[name], self._units)
        pieces = [reading for trainer in self._trainers for reading in trainer.read({})]
        seen = [seen for seen, places in zip(self._seen, self._places, strict=True) for _ in places]
        losses = [piece.loss / rows for piece, rows in zip(pieces, seen, strict=True) if rows]
        finite = all(piece.finite for piece in pieces)
        layers = self._whole(iter([trainer.layers for trainer in self._trainers]))
        scores = {
            name: read_scores(
                self.backend, self.network, self._score, layers, examples, self._spreads[name], ranks=self.communicator
            )
            for name, examples in sets.items()
        }
        n = max(1, sum(seen) // self.n_members)
        whole = {name: first for name, (first, *_) in scores.items()}
        members = {name: others for name, (_, *others) in scores.items()}
        return [Reading(n * float(np.mean(losses)), finite, pieces[0].rate, whole, members)]
