"""Dropout masks (Srivastava et al., 2014), computed where the network is.

Whether a unit is dropped is a hash of numbers: the seed's key for its layer, the step, the number of the example, the
number of the unit. So nothing is drawn in order and no generator has a state: a seed means the same masks on every
backend, compiled or not, and at any step of a run that is resumed (Salmon et al., 2011, "Parallel random
numbers: as easy as 1, 2, 3").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xpmlp.backends.elementwise import elementwise, fuse
from xpmlp.common.rng import make_generator
from xpmlp.nn.members import PerMember, each, is_zero

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array, Namespace
    from xpmlp.nn.network import Network

    DrawMasks = Callable[[Array, Array], list[Array | None]]
    Times = Callable[[Namespace, Array, int], Array]

# The mixer "triple32" of C. Wellons, "Prospecting for hash functions" (2018), less its last rounds; as signed integers.
FIRST, SECOND = 0xED5AD4BB - 2**32, 0xAC4C1B51 - 2**32


def mask_function(backend: Backend, network: Network, seed: int | PerMember) -> DrawMasks:
    """Build the function that draws the masks of a step.

    Parameters
    ----------
    backend : Backend
        Where to compute.
    network : Network
        Its `dropout` holds the rate of each layer's input.
    seed : int or PerMember
        Of the run, or of each member of a stack.

    Returns
    -------
    callable
        ``masks(t, rows)``: one mask for the input of each layer, (K, fan_in), in the backend's dtype, or None where
        nothing is dropped. An entry is 0 with the layer's rate p, and else 1 / (1 - p), so that its mean is 1 and the
        network needs no change to predict. ``t`` is the step, a 0-d integer array; ``rows`` (K,) are the numbers of the
        minibatch's examples. Of a stack, ``t`` is (M,), ``rows`` are (K,) or (M, K), and the masks (M, K, fan_in).
    """
    xp = backend.xp
    if not any(network.dropout):
        return lambda t, rows: [None] * len(network.dropout)  # noqa: ARG005 - nothing to draw

    times = _times if backend.integers_wrap else _times_in_64_bits

    def integers(values: Any) -> Any:
        """Return integers of 32 bits as `_mask` takes them: a number, or those of the members, (M, 1, 1)."""
        if not isinstance(values, PerMember):
            return values
        return xp.astype(backend.asindex(values), xp.int32)[:, None, None]

    layers: list[tuple[Any, ...] | None] = []  # what `_mask` takes of each; None where nothing is dropped
    for number, (rate, (fan_in, _)) in enumerate(zip(network.dropout, network.shapes, strict=True)):
        if is_zero(rate):
            layers.append(None)
            continue
        units = _hash(xp, xp.astype(backend.asindex(range(fan_in)), xp.int32), times)[None, :]
        key = each(lambda seed, number=number: _keys(seed, len(network.dropout))[number], seed)
        threshold, scale = each(lambda rate: round(rate * (2**32 - 1)) - 2**31, rate), each(lambda p: 1 / (1 - p), rate)
        if isinstance(scale, PerMember):
            scale = backend.asarray(scale)[:, None, None]
        layers.append((units, integers(key), integers(threshold), scale))

    def masks(t: Array, rows: Array) -> list[Array | None]:
        step = xp.astype(t, xp.int32)[..., None, None]
        examples = xp.astype(rows, xp.int32)[..., None]
        mask, functions = fuse(xp, _mask), {"times": times, "dtype": backend.float_dtype}
        return [None if layer is None else mask(xp, step, examples, *layer, **functions) for layer in layers]

    return masks


def _keys(seed: int, n_layers: int) -> list[int]:
    """Draw a 32-bit number for each layer."""
    keys: list[int] = make_generator(seed, "dropout").integers(-(2**31), 2**31, size=n_layers).tolist()
    return keys


@elementwise()
def _mask(
    xp: Namespace, step: Array, examples: Array, units: Array, *numbers: Array | float, times: Times, dtype: Any
) -> Array:
    """Return a mask, (K, fan_in), for a step (1, 1), examples (K, 1) and hashed units (1, fan_in)."""
    key, threshold, scale = numbers
    row = _hash(xp, _hash(xp, step ^ key, times) ^ examples, times)  # (K, 1)
    bits = _mixed(xp, row ^ units, times)  # (K, fan_in), uniform over the integers
    kept = xp.astype(bits >= threshold, dtype)
    kept *= scale
    return kept


def _hash(xp: Namespace, x: Array, times: Times) -> Array:
    """Scatter 32-bit integers, one to one: neighbours land far apart."""
    return _scrambled(xp, _mixed(xp, _scrambled(xp, x, 17), times), 14)


def _mixed(xp: Namespace, x: Array, times: Times) -> Array:
    """Spread every bit of `x`, which may be written to, over the higher ones."""
    x = _scrambled(xp, times(xp, x, FIRST), 11)
    return times(xp, x, SECOND)


def _times(xp: Namespace, x: Array, factor: int) -> Array:
    """Return the low 32 bits of ``x * factor``, in place: what a library gives whose integers wrap around."""
    x *= factor
    return x


def _times_in_64_bits(xp: Namespace, x: Array, factor: int) -> Array:
    """As `_times`, where the standard leaves open what overflow gives: there is none in 64 bits."""
    product = xp.astype(x, xp.int64) * factor  # less than 2**62
    return xp.astype(xp.remainder(product + 2**31, 2**32) - 2**31, xp.int32)


def _scrambled(xp: Namespace, x: Array, bits: int) -> Array:
    """X ^ (x >> bits), with zeros shifted in."""
    return xp.bitwise_xor(x, (x >> bits) & (2 ** (32 - bits) - 1))
