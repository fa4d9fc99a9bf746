"""JAX: a step of one's own, differentiated by `jax.grad` and compiled by `jax.jit`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Layers, Task, Workload

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


class Peer(Contender):
    """One call of the compiled step a minibatch, whose parameters and state are donated."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.device = jax.devices(task.device)[0]
        self.examples = jax.device_put(task.X, self.device)
        self.labels = jax.device_put(task.y.astype(np.int32), self.device)
        self.step = jax.jit(partial(step, task.workload), donate_argnums=(0, 1))
        self.forward = jax.jit(lambda params, X: jax.nn.softmax(logits(params, X)))
        self.params = self._start()

    def _start(self) -> Any:
        return jax.device_put([(W.copy(), b.copy()) for W, b in self.task.layers], self.device)

    def train(self) -> None:
        """Start again, and read the loss of each epoch."""
        task = self.task
        params = self._start()
        zeros = partial(jax.tree.map, jnp.zeros_like)
        state = (zeros(params), zeros(params), jnp.zeros(())) if task.workload.optimizer == "adam" else ()
        for order in task.orders:
            pieces = [order[first : first + task.workload.batch_size].astype(np.int32) for first in task.starts]
            total = jnp.zeros(())
            for rows in jax.device_put(pieces, self.device):
                params, state, loss = self.step(params, state, self.examples, self.labels, rows)
                total += loss
            total.item()
        self.params = jax.block_until_ready(params)

    def layers(self) -> Layers:
        """Return the weights."""
        return [(np.array(W), np.array(b)) for W, b in self.params]

    def place(self, X: np.ndarray) -> Any:
        """Move rows to the device."""
        return jax.device_put(X, self.device)

    def predict(self, X: Any) -> Any:
        """Call the compiled forward pass."""
        return self.forward(self.params, X).block_until_ready()


def logits(params: Any, X: Any) -> Any:
    """Return the pre-activations of the last layer."""
    for W, b in params[:-1]:
        X = jax.nn.relu(X @ W + b)
    W, b = params[-1]
    return X @ W + b


def mean_loss(params: Any, X: Any, y: Any, l2: float) -> Any:
    """Return the mean negative log-likelihood with the penalty."""
    likely = jnp.take_along_axis(jax.nn.log_softmax(logits(params, X)), y[:, None], axis=1)
    return -jnp.mean(likely) + l2 * sum(jnp.sum(W * W) for W, _ in params)


def step(workload: Workload, params: Any, state: Any, X: Any, y: Any, rows: Any) -> tuple[Any, Any, Any]:
    """Return the parameters and the state after one minibatch, and its summed loss."""
    loss, gradients = jax.value_and_grad(mean_loss)(params, X[rows], y[rows], workload.l2)
    rate = workload.learning_rate
    if workload.optimizer == "adam":
        m, v, t = state
        t += 1
        m = jax.tree.map(lambda m, g: BETA_1 * m + (1 - BETA_1) * g, m, gradients)
        v = jax.tree.map(lambda v, g: BETA_2 * v + (1 - BETA_2) * g * g, v, gradients)
        rate *= jnp.sqrt(1 - BETA_2**t) / (1 - BETA_1**t)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) + EPSILON), params, m, v)
        state = m, v, t
    else:
        params = jax.tree.map(lambda p, g: p - rate * g, params, gradients)
    return params, state, loss * rows.shape[0]
