"""A training step whose minibatch several processes share: synchronous data-parallel training.

Each takes the gradients of its own rows. Their sum over all processes, and that of the losses, comes to every one of
them in the same bits: so each takes the same update of the same weights.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from xpmlp.data.examples import take, take_rows
from xpmlp.nn.network import Layer, total_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import Examples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.dropout import DrawMasks
    from xpmlp.nn.network import GradientFunction


def shared_step(
    backend: Backend,
    communicator: Communicator,
    gradients_of: GradientFunction,
    draw_masks: DrawMasks,
    update: Callable[..., tuple[list[Layer], Any]],
    *,
    compile_whole: bool,
) -> Callable[..., Any]:
    """Build the training step of one rank among others: compiled in two pieces, with the sum over all ranks between.

    Parameters
    ----------
    backend, communicator
        Where to compute, and the ranks.
    gradients_of, draw_masks : callable
        What `gradient_function` and `mask_function` return.
    update : callable
        ``update(layers, state, loss, gradients, weights, n)`` gives the new ``(layers, state)`` after a minibatch of
        `n` examples, and uses up all but the weights.
    compile_whole : bool
        Whether to compile the gradients as one; False where their parts are compiled already.

    Returns
    -------
    callable
        ``step(layers, state, examples, rows)``, as that of `make_step`: the ``rows`` are those of the whole minibatch,
        on every rank.
    """
    xp, add = backend.xp, communicator.allreduce(backend)

    def weigh(examples: Examples, rows: Array) -> Array | None:
        return None if examples.weights is None else take(xp, examples.weights, rows)

    def contribute(layers: Sequence[Layer], state: Any, examples: Examples, rows: Array) -> Array:
        """Return what this rank's rows add to the gradients of the minibatch's mean, then to its loss, (P + 1,)."""
        own = communicator.share(rows.shape[-1])
        if own:
            size, rows = total_weight(xp, weigh(examples, rows), rows.shape[-1]), rows[..., own.start : own.stop]
            x, t, weights = take_rows(xp, examples, rows)
            loss, gradients = gradients_of(layers, x, t, draw_masks(state.t, rows), weights, size)
        else:
            loss, gradients = xp.zeros_like(state.loss), [Layer(*map(xp.zeros_like, layer)) for layer in layers]
        return xp.concat([xp.reshape(p, (-1,)) for p in (*chain.from_iterable(gradients), loss)])

    def finish(
        layers: list[Layer], state: Any, total: Array, examples: Examples, rows: Array
    ) -> tuple[list[Layer], Any]:
        """Take the update, with the sum of all contributions."""
        parts, stop = [], 0
        for like in (*chain.from_iterable(layers), state.loss):
            start, stop = stop, stop + math.prod(like.shape)
            parts.append(xp.reshape(total[start:stop], like.shape))
        *gradients, loss = parts
        pairs = list(map(Layer, gradients[::2], gradients[1::2]))
        return update(layers, state, loss, pairs, weigh(examples, rows), rows.shape[-1])

    contribute = backend.compile(contribute) if compile_whole else contribute
    finish = backend.compile(finish, donate=(0, 1))

    def step(layers: list[Layer], state: Any, examples: Examples, rows: Array) -> tuple[list[Layer], Any]:
        return finish(layers, state, add(contribute(layers, state, examples, rows)), examples, rows)

    return step
