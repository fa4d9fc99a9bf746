"""Fitting by L-BFGS: loss and gradients on the device, the flat vector and the line search on the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize
from sklearn.utils.optimize import _check_optimize_result

from xpmlp.nn.network import Layer, gradient_function, total_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array
    from xpmlp.nn.network import Network
    from xpmlp.nn.regularization import ElasticNet

__all__ = ["minimise"]


def minimise(
    backend: Backend,
    network: Network,
    layers: Sequence[Layer],
    X: Array,
    T: Array,
    weights: Array | None,
    penalty: ElasticNet,
    *,
    max_iter: int,
    max_fun: int,
    tol: float,
    on_iteration: Callable[[list[Layer]], bool],
) -> tuple[list[Layer], float, int]:
    """Minimise the penalised mean loss over all examples by SciPy's L-BFGS-B.

    Returns
    -------
    layers : list of Layer
        The weights found, on the backend.
    loss : float
        Their loss.
    n_iter : int
        Iterations taken. Where they ended before the tolerance was met, scikit-learn's warning is given, unless
        `on_iteration` asked for the end.
    """
    xp = backend.xp
    gradients_of = gradient_function(xp, network)

    def objective(layers: list[Layer], X: Array, T: Array, weights: Array | None) -> tuple[Array, list[Layer]]:
        size = total_weight(xp, weights, X.shape[0])
        loss, gradients = gradients_of(layers, X, T, (), weights)
        loss = loss / size + penalty.value(xp, layers, size)
        return loss, penalty.add_gradient(xp, layers, gradients, size)

    compiled = backend.compile(objective)

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        what = f"{network}, with all {X.shape[0]:,} examples at once"
        with backend.computing(what, "fewer hidden units, fewer examples, a solver with minibatches"):
            loss, gradients = compiled(_unpacked(backend, network, flat), X, T, weights)
            return float(backend.to_numpy(loss)), _packed(backend, gradients)

    stopped = False

    def told(flat: np.ndarray) -> None:
        nonlocal stopped
        stopped = on_iteration(_unpacked(backend, network, flat))
        if stopped:
            raise StopIteration

    found = optimize.minimize(
        evaluate,
        _packed(backend, layers),
        method="L-BFGS-B",
        jac=True,
        callback=told,
        options={"maxfun": max_fun, "maxiter": max_iter, "gtol": tol},
    )
    n_iter = int(found.nit) if stopped else _check_optimize_result("lbfgs", found, max_iter)
    return _unpacked(backend, network, found.x), float(found.fun), n_iter


def _packed(backend: Backend, layers: Sequence[Layer]) -> np.ndarray:
    """Put all weights, then all biases, into one vector on the host: scikit-learn's order."""
    arrays = [layer.W for layer in layers] + [layer.b for layer in layers]
    return np.concatenate([backend.to_numpy(array).ravel() for array in arrays])


def _unpacked(backend: Backend, network: Network, flat: np.ndarray) -> list[Layer]:
    sizes = [fan_in * fan_out for fan_in, fan_out in network.shapes] + [fan_out for _, fan_out in network.shapes]
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    n = len(network.shapes)
    return [
        Layer(backend.asarray(W.reshape(shape)), backend.asarray(b))
        for W, b, shape in zip(parts[:n], parts[n:], network.shapes, strict=True)
    ]
