"""What a stack is made of: members that can be trained together, their rules as one, and their arrays as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from xpmlp.backends.purity import is_pure
from xpmlp.backends.rehearsal import mapped
from xpmlp.common.wording import counted
from xpmlp.nn.members import join, kind

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.nn.network import Layer, Network
    from xpmlp.training.recipe import Recipe

Nest = TypeVar("Nest")

MAX_RUNNING = 7 / 8  # the share of a stack that still runs from which on the others are taken out of it


class Member(NamedTuple):
    """A network among many that are trained at once: what `train` takes of each.

    Attributes
    ----------
    network : Network
        The architecture.
    layers : sequence of Layer
        The initial weights, on the host or on the backend; they stay as they are.
    recipe : Recipe
        How to train.
    rows : ndarray of int, optional
        Which of the examples it is trained on, such as those of a fold; all of them by default.
    weights : array of shape (n, 1), optional
        What each of all n examples counts in training, on the backend; scores count all alike.
    """

    network: Network
    layers: Sequence[Layer]
    recipe: Recipe
    rows: Any = None
    weights: Array | None = None

    def __repr__(self) -> str:
        rows = "" if self.rows is None else f" on {counted(len(self.rows), 'row')}"
        return f"<Member: {self.network}{rows}, by {self.recipe!r}>"


def numbers_of_stacks(backend: Backend, members: Sequence[Member], n: int) -> list[list[int]]:
    """Return the numbers of the members that are trained together on some of `n` examples."""
    kinds: list[tuple[Any, list[int]]] = []
    for number, member in enumerate(members):
        network, recipe = member.network, _of_steps(member.recipe)
        own = kind(network), kind(recipe), n if member.rows is None else member.rows.shape[0]
        alike = [numbers for other, numbers in kinds if own == other]
        if alike and is_pure((network, recipe)):  # functions of the user's own may count axes from the front
            alike[0].append(number)
        else:
            kinds.append((own, [number]))
    stacks = []
    for _, numbers in kinds:
        first = members[numbers[0]]
        most = backend.stack_size(first.network.widths, first.recipe.batch_size)
        pieces = -(-len(numbers) // most)
        stacks += [numbers[i * len(numbers) // pieces : (i + 1) * len(numbers) // pieces] for i in range(pieces)]
    return stacks


def _of_steps(recipe: Recipe) -> Recipe:
    """Return what steps need of a recipe: when it ends, the loop knows."""
    return replace(recipe, epochs=1, patience=None, min_delta=0.0)


def joined(members: Collection[Member]) -> tuple[Network, Recipe]:
    """Return the network and the recipe by which one trainer takes the steps of all members."""
    return join([each.network for each in members]), join([_of_steps(each.recipe) for each in members])


def joined_weights(backend: Backend, weights: Sequence[Array | None]) -> Array | None:
    """Return the weights of the examples, (n, 1), which all members share; or those of each, (M, n, 1)."""
    if all(each is weights[0] for each in weights):
        return weights[0]
    given = next(each for each in weights if each is not None)
    return stacked(backend, [backend.xp.ones_like(given) if each is None else each for each in weights])


def stacked(backend: Backend, arrays: Sequence[Array]) -> Array:
    """Return the arrays of all members as one, with a leading axis; that of a lone one as it is."""
    return backend.xp.stack(list(arrays)) if len(arrays) > 1 else arrays[0]


def members_at(backend: Backend, nest: Nest, places: Sequence[int]) -> Nest:
    """Return what the members at some places have of a nest of stacked arrays; a lone one without the leading axis."""
    xp, rows = backend.xp, backend.asindex(places)

    def left(p: Array) -> Array:
        return xp.take(p, rows, axis=0) if len(places) > 1 else p[places[0], ...]

    taken: Nest = mapped(left, nest)
    return taken
