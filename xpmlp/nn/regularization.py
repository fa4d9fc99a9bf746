"""The elastic net: L1 and L2 penalties on the weights alone, with one pair of strengths per layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from xpmlp.backends.elementwise import add_scaled, elementwise, fuse
from xpmlp.common.errors import InputError
from xpmlp.common.shown import line
from xpmlp.common.validation import one_for_each
from xpmlp.nn.activations import sign
from xpmlp.nn.members import check_own, is_zero, over
from xpmlp.nn.network import Layer, is_embedding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.members import Number


@dataclass(frozen=True)
class ElasticNet:
    """Omega = sum over layers of `l1 |W| + l2 |W|^2`, added to the mean loss (2.68-2.72).

    Attributes
    ----------
    l1, l2 : tuple of (float or PerMember)
        The strengths, one per layer, or none at all; biases and embeddings are not penalised.
    alpha : float or PerMember
        scikit-learn's strength: adds `alpha / 2 |W|^2` of every layer, divided by the examples of the minibatch.
    """

    OWN: ClassVar = ("l1", "l2", "alpha")

    l1: tuple[Number, ...] = ()
    l2: tuple[Number, ...] = ()
    alpha: Number = 0.0

    def __repr__(self) -> str:
        return line(self)

    @classmethod
    def build(
        cls, n_layers: int, l1: float | Sequence[float] = 0.0, l2: float | Sequence[float] = 0.0, alpha: float = 0.0
    ) -> ElasticNet:
        """Give every layer the same strength, or each its own.

        Raises
        ------
        InputError
            For a negative strength, or another number of strengths than of layers.
        """
        return cls(one_for_each("l1", l1, n_layers, "layer"), one_for_each("l2", l2, n_layers, "layer"), alpha)

    def __post_init__(self) -> None:
        for name in ("l1", "l2"):
            strengths = tuple(check_own(name, strength, at_least=0) for strength in getattr(self, name))
            object.__setattr__(self, name, strengths)
        object.__setattr__(self, "alpha", check_own("alpha", self.alpha, at_least=0))
        if self.l1 and self.l2 and len(self.l1) != len(self.l2):
            raise InputError(f"l1 has {len(self.l1)} strengths and l2 {len(self.l2)}: give one for each layer to both.")

    def value(self, xp: Namespace, layers: Sequence[Layer], size: Array | float = 1.0) -> Array | float:
        """Return Omega for a minibatch of `size` examples, 0-d, or (M,) of a stack; the number 0 without strengths."""
        total: Array | float = 0.0
        for (W, _), l1, l2, alpha in self.strengths(layers):
            if not is_zero(l1):
                total = total + l1 * xp.sum(xp.abs(W), axis=(-2, -1))
            if not is_zero(l2):
                total = total + l2 * _square(xp, W)
            if not is_zero(alpha):
                total = total + (0.5 * alpha / size) * _square(xp, W)
        return total

    def add_gradient(
        self, xp: Namespace, layers: Sequence[Layer], gradients: Sequence[Layer], size: Array | float = 1.0
    ) -> list[Layer]:
        """Return `gradients` with l1 sign(W) + 2 l2 W added to each dW, which may be written to; sign(0) = 0."""
        penalised = []
        for ((W, _), l1, l2, alpha), (dW, db) in zip(self.strengths(layers), gradients, strict=True):
            if not is_zero(l1):
                dW = fuse(xp, _add_signs)(xp, dW, W, over(l1, W))  # noqa: PLW2901 - the sum goes on
            if not is_zero(l2):
                dW = fuse(xp, _add_scaled)(xp, dW, W, over(2.0 * l2, W))  # noqa: PLW2901 - as above
            if not is_zero(alpha):
                factor = alpha / size  # in the dtype of the weights of the examples, which may be wider
                factor = factor if isinstance(factor, float) else xp.astype(factor, W.dtype, copy=False)
                dW = fuse(xp, _add_scaled)(xp, dW, W, over(factor, W))  # noqa: PLW2901 - as above
            penalised.append(Layer(dW, db))
        return penalised

    def strengths(self, layers: Sequence[Layer]) -> Iterator[tuple[Layer, Number, Number, Number]]:
        """Give each layer with its l1, l2 and alpha: 0 of an embedding."""
        unpenalised = tuple(0.0 for layer in layers if is_embedding(layer))
        n = len(layers) - len(unpenalised)
        of_weights = self.l1 or (0.0,) * n, self.l2 or (0.0,) * n, (self.alpha,) * n
        return zip(layers, *(unpenalised + strengths for strengths in of_weights), strict=True)


def _square(xp: Namespace, W: Array) -> Array:
    """|W|^2, 0-d or (M,): the product of the entries as a row and as a column, so that no array of squares is made."""
    members = W.shape[:-2]
    return xp.reshape(xp.matmul(xp.reshape(W, (*members, 1, -1)), xp.reshape(W, (*members, -1, 1))), members)


@elementwise(inplace=1)
def _add_signs(xp: Namespace, dW: Array, W: Array, strength: float) -> Array:
    dW += strength * sign(xp, W)
    return dW


@elementwise(inplace=1)
def _add_scaled(xp: Namespace, dW: Array, W: Array, factor: Array | float) -> Array:
    return add_scaled(xp, dW, factor, W)
