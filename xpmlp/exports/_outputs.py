"""What the output function of a loss is called in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.activations import identity, logistic
from xpmlp.errors import InputError
from xpmlp.losses import exponential, log_softmax

if TYPE_CHECKING:
    from xpmlp.losses import Loss

__all__ = ["output_name"]

NAMES = {
    (log_softmax, exponential): "softmax",
    (identity, logistic): "logistic",
    (identity, identity): "identity",
    (identity, exponential): "exponential",
}


def output_name(loss: Loss) -> str:
    """Return "softmax", "logistic", "identity" or "exponential"; an output function of one's own is an `InputError`."""
    functions = (loss.normalise, loss.output)
    if functions not in NAMES:
        raise InputError(f"the output function of loss {loss.name!r} is none that a file can name.")
    return NAMES[functions]
