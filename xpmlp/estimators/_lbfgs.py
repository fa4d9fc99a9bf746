"""What L-BFGS minimises: the loss of all examples, with its gradient, as functions of one vector on the host."""

from __future__ import annotations

import math
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends import get_backend
from xpmlp.backends.purity import is_pure
from xpmlp.backends.threads import blas_threads
from xpmlp.nn.activations import identity
from xpmlp.nn.network import Layer, bprop, fprop, naming_own_functions, total_weight
from xpmlp.training import Recipe
from xpmlp.training.threads import ThreadChoice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.data.examples import Examples
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
        T, weights = training.T.astype(float), None if training.weights is None else training.weights.astype(float)
        self._size = float(total_weight(self._host.xp, weights, T.shape[0]))
        self._shifts = backend.dtype == "float32" and _depends_on_errors(network)
        self._is_on_host = backend.holds(T)
        self._compute = backend.compile(self._outputs_and_gradients)
        self._flat = np.empty(self._ends[-1])
        bind = backend.bind if is_pure(network) else partial
        self._evaluate = bind(self._loss_and_gradients, self._split(self._flat), training.examples, T, weights)
        self._what = f"{network}, with all {T.shape[0]:,} examples at once"

    def pack(self, layers: Sequence[Layer]) -> np.ndarray:
        """Return layers as one vector of float64."""
        return _joined([Layer(self._backend.to_numpy(W), self._backend.to_numpy(b)) for W, b in layers])

    def unpack(self, flat: np.ndarray) -> list[Layer]:
        """Return the layers of a vector, on the backend."""
        return [Layer(self._backend.asarray(W), self._backend.asarray(b)) for W, b in self._split(flat)]

    def _split(self, flat: np.ndarray) -> list[Layer]:
        parts = zip(np.split(flat, self._ends[:-1]), self._shapes, strict=True)
        arrays = [part.reshape(shape) for part, shape in parts]
        n_layers = len(arrays) // 2
        return list(map(Layer, arrays[:n_layers], arrays[n_layers:]))

    def __call__(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        self._flat[:] = flat
        remedy = "fewer hidden units, fewer examples, a solver with minibatches"
        computing = self._backend.computing(self._what, remedy)
        with computing, self._host.computing(), naming_own_functions(self._network):
            loss, gradients = self._evaluate()
            return float(loss), _joined(gradients)

    def _loss_and_gradients(
        self, layers: list[Layer], examples: Examples, T: Array, weights: Array | None
    ) -> tuple[Array, list[Layer]]:
        """Return both, on the host, of layers, targets and weights that are there."""
        xp, network, penalty, size = self._host.xp, self._network, self._penalty, self._size
        given = layers
        if self._shifts:
            (W, b), T = layers[-1], T - layers[-1].b
            given, examples = [*layers[:-1], Layer(W, xp.zeros_like(b))], examples._replace(T=self._to_compute(T))
        u, gradients = self._compute([Layer(*map(self._to_compute, layer)) for layer in given], *examples)
        loss = network.loss.value(xp, self._to_host(u), T, weights) / size + penalty.value(xp, layers, size)
        wide = [Layer(*(xp.astype(self._to_host(p), xp.float64, copy=False) for p in layer)) for layer in gradients]
        return loss, penalty.add_gradient(xp, layers, wide, size)

    def _to_compute(self, x: Array) -> Array:
        backend = self._backend
        return backend.xp.astype(x, backend.float_dtype, copy=False) if self._is_on_host else backend.asarray(x)

    def _to_host(self, x: Array) -> Array:
        return x if self._is_on_host else self._backend.to_numpy(x)

    def _outputs_and_gradients(self, layers: list[Layer], X: Any, T: Array, weights: Array | None) -> Any:
        xp, network = self._backend.xp, self._network
        size, trace = total_weight(xp, weights, X.shape[0]), fprop(xp, network, layers, X)
        gradients, _ = bprop(xp, network, layers, trace, T, scale=1.0 / size if weights is None else weights / size)
        return trace.u, gradients


@contextmanager
def in_few_threads(backend: Backend, network: Network, n: int) -> Iterator[None]:
    """Let the products with `n` examples take the threads of minibatches as large, and SciPy's vectors one.

    The packages of NumPy and SciPy bring a BLAS each. The threads of one wait for work without giving up their core, on
    which those of the other have some: small fits took 3 to 12 times as long.
    """
    of_scipy = blas_threads(of_scipy=True)
    choice = ThreadChoice(backend, network, Recipe(batch_size=n))
    with choice.in_steps(), nullcontext() if of_scipy is None or of_scipy.is_set() else of_scipy.limited(1):
        yield


def _joined(layers: Sequence[Layer]) -> np.ndarray:
    return np.concatenate([p.ravel() for p in chain(*zip(*layers, strict=True))], dtype=float)


def _depends_on_errors(network: Network) -> bool:
    """Whether the loss is one of ours for real targets, a function of ``output - target``."""
    loss = network.loss
    return loss.correct is None and loss.output is identity and is_pure(loss)
