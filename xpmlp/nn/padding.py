"""Networks of different widths and depths as a stack of one shape that computes the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.network import Layer, Network, parted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.nn.losses import Loss


def pad(networks: Sequence[Network], members: Sequence[Sequence[Layer]]) -> tuple[Network, list[Layer]]:
    """Return a network, and a stack of it, whose members give what networks of other shapes give.

    Narrower layers get units whose weights are 0. Networks with fewer layers get layers that pass on what they are
    given: their weights are 1 on the diagonal and 0 elsewhere, and ReLU leaves alone what is not negative. Networks
    with fewer cosines get some that no unit sees.

    Parameters
    ----------
    networks : sequence of Network
        The architectures: with the same inputs, outputs and loss, and one hidden layer of ReLU or more.
    members : sequence of sequence of Layer
        The weights of each, on the host.

    Returns
    -------
    network : Network
        Without dropout.
    layers : list of Layer
        With a leading axis of as many members.

    Raises
    ------
    InputError
        For networks with other activations, which zeros or a layer more would change.
    """
    relu, first = ACTIVATIONS["relu"], networks[0]
    if any(not network.activations or {*network.activations} != {relu} for network in networks):
        raise InputError("networks of several shapes are a stack of one shape where all have hidden layers of ReLU.")
    depth = max(len(network.activations) for network in networks)
    widths = [_widths(network, depth) for network in networks]
    hidden = tuple(map(max, zip(*widths, strict=True)))
    with_cosines = max(networks, key=lambda network: network.frequencies)
    network = replace(
        first,
        sizes=(first.sizes[0], *hidden, first.sizes[-1]),
        activations=(relu,) * depth,
        dropout=(0.0,) * (depth + 1),
        frequencies=with_cosines.frequencies,
        embedded=with_cosines.embedded,
    )
    padded = [_padded(network, own, layers) for own, layers in zip(networks, members, strict=True)]
    return network, [Layer(*map(np.stack, zip(*layers, strict=True))) for layers in zip(*padded, strict=True)]


def _widths(network: Network, depth: int) -> list[int]:
    """Return the units of each hidden layer, the last ones of which pass on what they are given."""
    _, *hidden, _ = network.sizes
    return [*hidden, *hidden[-1:] * (depth - len(hidden))]


def _padded(network: Network, own: Network, layers: Sequence[Layer]) -> list[Layer]:
    """Return the weights of one network, as those of the padded one."""
    embedding, layers = parted(own, layers)
    dtype, missing = layers[0].W.dtype, len(network.activations) - len(own.activations)
    first = layers[0].W
    if network.frequencies > own.frequencies:
        first = _with_unseen_cosines(network, own, first)
    passing = np.eye(layers[-1].W.shape[0], dtype=dtype)
    *hidden, output = [Layer(first, layers[0].b), *layers[1:]]
    deeper = [*hidden, *[Layer(passing, np.zeros(passing.shape[0], dtype))] * missing, output]
    widened = [
        Layer(_grown(W, shape), _grown(b, shape[1:])) for (W, b), shape in zip(deeper, network.shapes, strict=True)
    ]
    if not network.frequencies:
        return widened
    shape = len(network.embedded), network.frequencies
    w, c = embedding or Layer(np.zeros(shape, dtype), np.zeros(shape, dtype))
    return [Layer(_grown(w, shape), _grown(c, shape)), *widened]


def _with_unseen_cosines(network: Network, own: Network, W: np.ndarray) -> np.ndarray:
    """Return the first weights with rows of 0 for the cosines that the network itself has not."""
    d, (n, k) = own.sizes[0], (len(network.embedded), network.frequencies)
    of_cosines = np.zeros((n, k, W.shape[1]), W.dtype)
    of_cosines[:, : own.frequencies] = W[d:].reshape(n, own.frequencies, W.shape[1])
    return np.concatenate([W[:d], of_cosines.reshape(n * k, -1)])


def _grown(p: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return an array with zeros behind it along each axis."""
    return np.pad(p, [(0, larger - size) for size, larger in zip(p.shape, shape, strict=True)])


def network_of(loss: Loss, layers: Sequence[Layer], embedded: Sequence[int] = ()) -> Network:
    """Return the architecture of the layers that `pad` has made, whose cosines are of the `embedded` columns."""
    frequencies = layers[0].W.shape[-1] if layers[0].W.ndim == layers[0].b.ndim else 0
    first, *others = layers[1:] if frequencies else layers
    d = first.W.shape[-2] - frequencies * (len(embedded) if frequencies else 0)
    *hidden, outputs = [layer.W.shape[-1] for layer in (first, *others)]
    return Network.build(
        d, hidden, outputs // loss.outputs_per_target, loss=loss, frequencies=frequencies, embedded=embedded
    )
