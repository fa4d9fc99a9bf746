"""Output layers with their losses: each pairs an output function with the loss whose delta is `a - T`.

A loss is the sum over the rows of a minibatch; whoever calls divides by their number. It is computed from
the logits `z`, by log-softmax and softplus: never as the logarithm of a clipped probability.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xpmlp.activations import identity, logistic, softplus
from xpmlp.checks import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.types import Array, Namespace

__all__ = ["LOSSES", "Loss", "get_loss", "log_softmax", "softmax"]


@dataclass(frozen=True)
class Loss:
    """The output function of a network and the loss that goes with it.

    Attributes
    ----------
    name : str
        How options and saved models call it.
    output : callable
        ``output(xp, z)``: the network's output, (K, m), from its logits ``z``, (K, m).
    value : callable
        ``value(xp, z, T)``: the loss, summed over the rows, a 0-d array. ``T`` are the targets, (K, m).
    correct : callable or None
        ``correct(xp, z, T)``: for each row, whether the prediction is right, (K,) booleans.
        None where the targets are real numbers.
    """

    name: str
    output: Callable[[Namespace, Array], Array]
    value: Callable[[Namespace, Array, Array], Array]
    correct: Callable[[Namespace, Array, Array], Array] | None

    @staticmethod
    def delta(a: Array, T: Array) -> Array:
        """Return dL/dz for each row, (K, m): the output minus the target.

        For softmax cross-entropy this is os - onehot(y) (2.16-2.28). The logistic cross-entropy and half the
        squared error have the same form, each through its own output function: these are the canonical pairs.
        """
        return a - T


def softmax(xp: Namespace, z: Array) -> Array:
    """softmax(z), row by row, with the row maximum taken away (2.6-2.9, 3.1.1)."""
    e = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def log_softmax(xp: Namespace, z: Array) -> Array:
    """Return ln softmax(z), row by row, finite for every finite `z`."""
    shifted = z - xp.max(z, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def softmax_cross_entropy(xp: Namespace, z: Array, T: Array) -> Array:
    """L = -sum_j T_j ln softmax(z)_j (2.10)."""
    return -xp.sum(T * log_softmax(xp, z))


def logistic_cross_entropy(xp: Namespace, z: Array, T: Array) -> Array:
    """L = sum_j T_j softplus(-z_j) + (1 - T_j) softplus(z_j), since ln sigmoid(z) = -softplus(-z) (1.9-1.12)."""
    return xp.sum(T * softplus(xp, -z) + (1.0 - T) * softplus(xp, z))


def squared_error(xp: Namespace, z: Array, T: Array) -> Array:
    """L = |z - T|^2 / 2."""
    return 0.5 * xp.sum((z - T) * (z - T))


def same_class(xp: Namespace, z: Array, T: Array) -> Array:
    """Whether the largest logit is that of the target's class."""
    return xp.argmax(z, axis=-1) == xp.argmax(T, axis=-1)


def same_labels(xp: Namespace, z: Array, T: Array) -> Array:
    """Whether every label of the row is on the right side of probability one half."""
    return xp.all((z > 0) == (T > 0.5), axis=-1)


LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Loss("softmax", softmax, softmax_cross_entropy, same_class),
        Loss("logistic", logistic, logistic_cross_entropy, same_labels),
        Loss("squared", identity, squared_error, None),
    )
}


def get_loss(name: str) -> Loss:
    """Return the output layer and loss called `name`.

    Raises
    ------
    InputError
        For an unknown name, with the known ones.
    """
    check_choice("loss", name, LOSSES)
    return LOSSES[name]
