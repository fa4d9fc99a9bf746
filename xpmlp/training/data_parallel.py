"""A training step whose minibatch several processes share: synchronous data-parallel training.

Each takes the gradients of its own rows. Their sum over all processes, and that of the losses, comes to every one of
them in the same bits: so each takes the same update of the same weights.
"""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

from xpmlp.data.examples import take_rows
from xpmlp.nn.network import Layer, total_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import QuantizedExamples
    from xpmlp.distributed import Communicator
    from xpmlp.nn.dropout import DrawMasks
    from xpmlp.nn.network import GradientFunction

__all__ = ["shared_step"]


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
    backend : Backend
        Where to compute.
    communicator : Communicator
        The ranks.
    gradients_of : callable
        What `gradient_function` gives.
    draw_masks : callable
        What `mask_function` gives.
    update : callable
        ``update(layers, state, loss, gradients, weights, n)`` gives the new ``(layers, state)`` after a minibatch of
        `n` examples, and uses up all but the weights.
    compile_whole : bool
        Whether to compile the gradients as one; False where their parts are compiled already.

    Returns
    -------
    callable
        ``step(layers, state, (X, T, weights), rows)``, as that of `make_step`: the arrays and the ``rows`` are those of
        the whole minibatch, on every rank.
    """
    xp, add = backend.xp, communicator.allreduce(backend)

    def weigh(weights: Array | None, rows: Array) -> Array | None:
        return None if weights is None else xp.take(weights, rows, axis=0)

    def contribute(
        layers: Sequence[Layer], state: Any, X: Array | QuantizedExamples, T: Array, rows: Array, weights: Array | None
    ) -> Array:
        """Return what this rank's rows add to the gradients of the minibatch's mean, then to its loss, (P + 1,)."""
        own = communicator.share(rows.shape[0])
        if own:
            size = total_weight(xp, weigh(weights, rows), rows.shape[0])
            rows = rows[own.start : own.stop]
            x, t = take_rows(xp, X, rows), xp.take(T, rows, axis=0)
            loss, gradients = gradients_of(layers, x, t, draw_masks(state.t, rows), weigh(weights, rows), size)
        else:
            loss, gradients = xp.zeros_like(state.loss), [Layer(*map(xp.zeros_like, layer)) for layer in layers]
        return xp.concat([xp.reshape(p, (-1,)) for p in (*chain.from_iterable(gradients), loss)])

    def finish(
        layers: list[Layer], state: Any, total: Array, rows: Array, weights: Array | None
    ) -> tuple[list[Layer], Any]:
        """Take the update, with the sum of all contributions."""
        gradients, stop = [], 0
        for layer in layers:
            parts = []
            for p in layer:
                start, stop = stop, stop + math.prod(p.shape)
                parts.append(xp.reshape(total[start:stop], p.shape))
            gradients.append(Layer(*parts))
        return update(layers, state, total[-1], gradients, weigh(weights, rows), rows.shape[0])

    contribute = backend.compile(contribute) if compile_whole else contribute
    finish = backend.compile(finish, donate=(0, 1))

    def step(layers: list[Layer], state: Any, examples: Any, rows: Array) -> tuple[list[Layer], Any]:
        X, T, weights = examples
        return finish(layers, state, add(contribute(layers, state, X, T, rows, weights)), rows, weights)

    return step
