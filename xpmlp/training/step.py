"""The training step: gradients, penalty, update, and the sums of the epoch.

A step takes the parameters and gives them back. It may update them in place and always returns them: what was passed
in is used up. It never synchronises with the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.backends.elementwise import elementwise, fuse
from xpmlp.common.shown import line
from xpmlp.data.examples import take_rows
from xpmlp.nn.dropout import mask_function
from xpmlp.nn.members import place
from xpmlp.nn.network import Layer, gradient_function, total_weight
from xpmlp.training.data_parallel import shared_step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array, Namespace
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.network import Network
    from xpmlp.training.recipe import Recipe

    Step = Callable[..., tuple[list[Layer], "State"]]


class State(NamedTuple):
    """What a step carries on beside the parameters, all of it on the device."""

    optimizer: Any  # the update rule's own state
    t: Array  # steps taken, integer; this and what follows is 0-d, or (M,) of a stack
    loss: Array  # loss summed over the examples of the epoch so far, in the dtype of the targets
    scale: Array  # what the schedule's learning rate is multiplied by
    rate: Array  # the learning rate that the last step took

    def __repr__(self) -> str:
        return line(self)


def make_step(backend: Backend, network: Network, recipe: Recipe, communicator: Communicator | None = None) -> Step:
    """Build a training step, for `Backend.epoch_runner`; with a communicator, a `shared_step` of one rank among others.

    Returns
    -------
    callable
        ``step(layers, state, examples, rows)`` gives the new ``(layers, state)`` after the minibatch of some ``rows``,
        (K,), of the ``Examples``; of a stack, the rows of all members, or those of each, (M, K). It uses up ``layers``
        and ``state``.
    """
    xp = backend.xp
    in_loop = recipe.mode == "loop"  # then its parts are compiled, and not the step: unrolled, it would be too long
    gradients_of = gradient_function(xp, network, recipe.mode, backend.compile if in_loop else None)
    update = make_update(xp, recipe, backend.asarray)
    draw_masks = mask_function(backend, network, recipe.seed)
    if in_loop:
        update, draw_masks = backend.compile(update, donate=(0, 1)), backend.compile(draw_masks)

    if communicator is not None:
        return shared_step(backend, communicator, gradients_of, draw_masks, update, compile_whole=not in_loop)

    def step(layers: list[Layer], state: State, examples: Examples, rows: Array) -> tuple[list[Layer], State]:
        masks = draw_masks(state.t, rows)
        x, t, weights = take_rows(xp, examples, rows)
        loss, gradients = gradients_of(layers, x, t, masks, weights)
        return update(layers, state, loss, gradients, weights, rows.shape[-1])

    return step


def make_update(xp: Namespace, recipe: Recipe, asarray: Callable[[Any], Array]) -> Step:
    """Build what a step does with its gradients.

    Parameters
    ----------
    xp : namespace
        The array library.
    recipe : Recipe
        How to train.
    asarray : callable
        Makes an array of it of the numbers of a stack's members.

    Returns
    -------
    callable
        ``update(layers, state, loss, gradients, weights, n)`` gives the new ``(layers, state)``, given what
        `gradient_function` says of a minibatch of `n` rows, and their weights or None. It uses up what it is given.
    """
    penalty, schedule = place(recipe.penalty, asarray), place(recipe.schedule, asarray)
    rule = place(recipe.optimizer, asarray)

    def update(
        layers: list[Layer], state: State, loss: Array, gradients: list[Layer], weights: Array | None, n: Array | int
    ) -> tuple[list[Layer], State]:
        size = total_weight(xp, weights, n)
        gradients = penalty.add_gradient(xp, layers, gradients, size)
        loss = loss if weights is None else loss * (n / size)
        scheduled = schedule(xp, xp.astype(state.t, state.rate.dtype))
        counters = state.t, state.loss, state.rate
        steps, epoch_loss, rate, t = fuse(xp, _count)(xp, *counters, loss, state.scale, scheduled)
        if recipe.penalised:
            epoch_loss += n * penalty.value(xp, layers, size)
        params, optimizer = rule.update(xp, flat(layers), flat(gradients), state.optimizer, rate, t)
        layers = [Layer(W, b) for W, b in zip(params[::2], params[1::2], strict=True)]
        return layers, State(optimizer, steps, epoch_loss, state.scale, rate)

    return update


@elementwise(inplace=3)
def _count(
    xp: Namespace, steps: Array, epoch_loss: Array, rate: Array, loss: Array, *scheduled: Array | float
) -> tuple[Array, Array, Array, Array]:
    """Return the steps taken, the epoch's loss and the learning rate of this step; and its number, floating."""
    scale, scheduled_rate = scheduled
    steps += 1
    epoch_loss += loss
    rate *= 0.0  # in place, as graphs know arrays by where they lie
    rate += scale * scheduled_rate
    return steps, epoch_loss, rate, xp.astype(steps, rate.dtype)


def flat(layers: Sequence[Layer]) -> list[Array]:
    """Return the arrays of all layers: W1, b1, W2, b2, ..."""
    return [p for layer in layers for p in layer]
