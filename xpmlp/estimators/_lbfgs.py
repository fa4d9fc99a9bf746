"""Training by L-BFGS: loss and gradients on the device, the flat vector and the line search on the host."""

from __future__ import annotations

import math
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize

from xpmlp.estimators._compat import check_optimize_result
from xpmlp.nn.network import Layer, gradient_function, total_weight

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.common.types import Array
    from xpmlp.estimators._compat import Around
    from xpmlp.estimators._minibatches import Problem
    from xpmlp.estimators._parameters import Parameters
    from xpmlp.nn.regularization import ElasticNet


def minimise(
    problem: Problem, penalty: ElasticNet, rules: Parameters, around: Around
) -> tuple[list[Layer], float, int]:
    """Minimise the penalised mean loss over all examples: return weights, their loss, and the iterations it took.

    Where these ended before the tolerance was met, and no callback asked for the end, there is scikit-learn's warning.
    """
    placement, network, layers, (examples, _), _ = problem
    backend, xp = placement.backend, placement.backend.xp
    gradients_of = gradient_function(xp, network)
    shapes = [*network.shapes, *((fan_out,) for _, fan_out in network.shapes)]  # scikit-learn's order: weights first
    ends = np.cumsum([math.prod(shape) for shape in shapes])[:-1]

    def pack(layers: Sequence[Layer]) -> np.ndarray:
        return np.concatenate([backend.to_numpy(p).ravel() for p in chain(*zip(*layers, strict=True))])

    def unpack(flat: np.ndarray) -> list[Layer]:
        parts = zip(np.split(flat, ends), shapes, strict=True)
        arrays = [backend.asarray(part.reshape(shape)) for part, shape in parts]
        return list(map(Layer, arrays[: len(layers)], arrays[len(layers) :]))

    def objective(layers: list[Layer], X: Array, T: Array, weights: Array | None) -> tuple[Array, list[Layer]]:
        size = total_weight(xp, weights, X.shape[0])
        loss, gradients = gradients_of(layers, X, T, (), weights)
        loss = loss / size + penalty.value(xp, layers, size)
        return loss, penalty.add_gradient(xp, layers, gradients, size)

    compiled = backend.compile(objective)

    def evaluate(flat: np.ndarray) -> tuple[float, np.ndarray]:
        what = f"{network}, with all {examples.X.shape[0]:,} examples at once"
        with backend.computing(what, "fewer hidden units, fewer examples, a solver with minibatches"):
            loss, gradients = compiled(unpack(flat), *examples)
            return float(backend.to_numpy(loss)), pack(gradients)

    stopped = False

    def callback(flat: np.ndarray) -> None:
        nonlocal stopped
        stopped = around(lambda: None, lambda: placement.fitted(unpack(flat)))
        if stopped:
            raise StopIteration

    found = optimize.minimize(
        evaluate,
        pack(layers),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options={"maxfun": rules.max_fun, "maxiter": rules.max_iter, "gtol": rules.tol},
    )
    n_iter = int(found.nit) if stopped else check_optimize_result("lbfgs", found, rules.max_iter)
    return unpack(found.x), float(found.fun), n_iter
