"""What L-BFGS minimises: the loss of all examples, with its gradient, as functions of one vector on the host."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends import get_backend
from xpmlp.backends.purity import is_pure
from xpmlp.nn.activations import identity
from xpmlp.nn.network import Layer, bprop, fprop, naming_own_functions, total_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.estimators._placement import PlacedExamples
    from xpmlp.nn.network import Network
    from xpmlp.nn.regularization import ElasticNet


class Objective:
    """The mean loss with its penalty, and its gradient: ``objective(flat) -> (loss, gradient)``.

    The network's outputs and their gradient are computed where the examples are, in the backend's dtype; losses and
    penalties are summed on the host in float64, as a line search compares losses that float32 rounds to the same.

    The losses of the regressor depend on ``output - target`` alone. In float32, the network is given no last biases,
    and the targets less these, which are in float64 here: outputs far from 0 have few digits for what tells them apart.

    Parameters
    ----------
    backend, network, penalty
        Where to compute, and what.
    training : PlacedExamples
        All examples.
    """

    def __init__(self, backend: Backend, network: Network, penalty: ElasticNet, training: PlacedExamples) -> None:
        self._backend, self._network, self._penalty = backend, network, penalty
        self._shapes = [*network.shapes, *((fan_out,) for _, fan_out in network.shapes)]  # all weights, then all biases
        self._ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        self._host = get_backend("numpy", None, "float64")
        self._examples, self._T = training.examples, training.T.astype(float)
        self._weights = None if training.weights is None else training.weights.astype(float)
        self._size = float(total_weight(self._host.xp, self._weights, self._T.shape[0]))
        self._shifts = backend.dtype == "float32" and _depends_on_errors(network)
        self._compute = backend.compile(self._outputs_and_gradients)

    def pack(self, layers: Sequence[Layer]) -> np.ndarray:
        """Return layers as one vector of float64."""
        return _joined([Layer(self._backend.to_numpy(W), self._backend.to_numpy(b)) for W, b in layers])

    def unpack(self, flat: np.ndarray) -> list[Layer]:
        """Return the layers of a vector, on the backend."""
        return self._placed(self._split(flat))

    def _placed(self, layers: Sequence[Layer]) -> list[Layer]:
        return [Layer(self._backend.asarray(W), self._backend.asarray(b)) for W, b in layers]

    def _split(self, flat: np.ndarray) -> list[Layer]:
        parts = zip(np.split(flat, self._ends[:-1]), self._shapes, strict=True)
        arrays = [part.reshape(shape) for part, shape in parts]
        n_layers = len(arrays) // 2
        return list(map(Layer, arrays[:n_layers], arrays[n_layers:]))

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        backend, host, network, penalty, size = self._backend, self._host, self._network, self._penalty, self._size
        layers, T, examples = self._split(flat), self._T, self._examples
        what = f"{network}, with all {T.shape[0]:,} examples at once"
        remedy = "fewer hidden units, fewer examples, a solver with minibatches"
        with backend.computing(what, remedy), host.computing(), naming_own_functions(network):
            given = layers
            if self._shifts:
                (W, b), T = layers[-1], T - layers[-1].b
                given, examples = [*layers[:-1], Layer(W, np.zeros_like(b))], examples._replace(T=backend.asarray(T))
            u, gradients = self._compute(self._placed(given), *examples)
            loss = float(network.loss.value(host.xp, backend.to_numpy(u), T, self._weights)) / size
            loss += float(penalty.value(host.xp, layers, size))
            gradients = penalty.add_gradient(host.xp, layers, self._split(self.pack(gradients)), size)
        return loss, _joined(gradients)

    def _outputs_and_gradients(self, layers: list[Layer], X: Any, T: Array, weights: Array | None) -> Any:
        xp, network = self._backend.xp, self._network
        size, trace = total_weight(xp, weights, X.shape[0]), fprop(xp, network, layers, X)
        gradients, _ = bprop(xp, network, layers, trace, T, scale=1.0 / size if weights is None else weights / size)
        return trace.u, gradients


def _joined(layers: Sequence[Layer]) -> np.ndarray:
    return np.concatenate([p.ravel() for p in chain(*zip(*layers, strict=True))], dtype=float)


def _depends_on_errors(network: Network) -> bool:
    """Whether the loss is one of ours for real targets, a function of ``output - target``."""
    loss = network.loss
    return loss.correct is None and loss.output is identity and is_pure(loss)
