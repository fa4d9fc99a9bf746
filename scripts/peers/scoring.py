"""What a network has come to: computed here, in NumPy, whatever has trained it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from peers.task import floating

if TYPE_CHECKING:
    from peers.task import Layers, Task

__all__ = ["likelihood", "training_loss"]

IMAGES = 10_000  # training images that a network is scored on
ROWS = 2_000  # of these at a time


def training_loss(task: Task, layers: Layers) -> float:
    """Return the mean negative log-likelihood of the first training images, without penalty."""
    n = min(IMAGES, len(task.pixels))
    firsts = range(0, n, ROWS)
    parts = [slice(first, first + ROWS) for first in firsts]
    return sum(likelihood(probabilities(layers, floating(task.pixels[part])), task.y[part]) for part in parts) / n


def probabilities(layers: Layers, X: np.ndarray) -> np.ndarray:
    """Return the output of a network with ReLU and softmax, in float64."""
    for W, b in layers[:-1]:
        X = np.maximum(np.matmul(X, W) + b, 0.0)
    W, b = layers[-1]
    z = (np.matmul(X, W) + b).astype(np.float64)
    likely = np.exp(z - z.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True)


def likelihood(predicted: np.ndarray, y: np.ndarray) -> float:
    """Return the negative log-likelihood of labels, summed."""
    return float(-np.log(predicted[np.arange(len(predicted)), y[: len(predicted)]].astype(np.float64)).sum())
