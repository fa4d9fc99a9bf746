"""What a contender is asked to do, and the arrays that it is given for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["PIXEL_MAX", "Layers", "Task", "Workload", "floating"]

PIXEL_MAX = 255.0

Layers = list[tuple[np.ndarray, np.ndarray]]  # weights (fan_in, fan_out) and biases (fan_out,) of each layer


@dataclass(frozen=True)
class Workload:
    """One thing to measure: a network that is trained, or that predicts.

    Attributes
    ----------
    name : str
        As `--workload` takes it.
    hidden : tuple of int
        Units of the hidden layers, with ReLU; the output is a softmax over the classes.
    optimizer : {"sgd", "adam"}
        Without momentum; Adam with the usual 0.9, 0.999 and 1e-8.
    learning_rate, l2 : float
        The rate, and the strength of ``l2 |W|^2``, which is added to the mean loss of a minibatch.
    batch_size, epochs : int
        Examples of a minibatch, and passes over the images.
    images : int
        Training images.
    rows : int
        Test images of each prediction; 0 where the network is trained.
    calls : int
        Predictions of one repetition; their median counts.
    device : {"cpu", "cuda"}
        Where to compute.
    rounds : int
        Repetitions for each one that is asked for: a short workload has more, as other programs disturb it more.
    only : tuple of str
        The contenders that take part; all of them where it is empty.
    """

    name: str
    hidden: tuple[int, ...]
    optimizer: str = "sgd"
    learning_rate: float = 0.01
    l2: float = 0.0
    batch_size: int = 256
    epochs: int = 1
    images: int = 60_000
    rows: int = 0
    calls: int = 0
    device: str = "cpu"
    rounds: int = 1
    only: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """Minibatches of all epochs."""
        return self.epochs * -(-self.images // self.batch_size)


@dataclass(frozen=True, eq=False)
class Task:
    """A workload with its arrays, on the host.

    Attributes
    ----------
    workload : Workload
        What to do.
    pixels, pixels_test : ndarray of uint8, shape (n, 784)
        The images as they come.
    y, y_test : ndarray of int64, shape (n,)
        Labels.
    layers : Layers
        Initial weights, in float32.
    orders : ndarray of int64, shape (epochs, n)
        The order of the images in each epoch, for the contenders that can be given one.
    """

    workload: Workload
    pixels: np.ndarray
    y: np.ndarray
    pixels_test: np.ndarray
    y_test: np.ndarray
    layers: Layers
    orders: np.ndarray

    @classmethod
    def load(cls, folder: Path, workload: Workload) -> Task:
        """Read the arrays that `workloads.write_data` and `workloads.write_start` have written."""
        n = workload.images
        names = ("pixels", "y", "pixels_test", "y_test")
        pixels, y, pixels_test, y_test = (np.load(folder / f"{name}.npy") for name in names)
        with np.load(folder / f"{workload.name}.npz") as start:
            arrays = [start[f"arr_{number}"] for number in range(2 * len(workload.hidden) + 2)]
            orders = start["orders"]
        layers = list(zip(arrays[::2], arrays[1::2], strict=True))
        return cls(workload, pixels[:n], y[:n], pixels_test, y_test, layers, orders)

    @property
    def device(self) -> str:
        """Where to compute, as every library here is told it."""
        return self.workload.device

    @cached_property
    def X(self) -> np.ndarray:  # noqa: N802 - a matrix, as everywhere
        """The images with pixels from 0 to 1 in float32: made when a contender asks, which then holds them."""
        return floating(self.pixels)

    @cached_property
    def X_test(self) -> np.ndarray:  # noqa: N802 - as above
        """The test images, likewise."""
        return floating(self.pixels_test)

    @property
    def data_bytes(self) -> int:
        """The size of the images in float32."""
        return 4 * self.pixels.nbytes

    @property
    def sizes(self) -> list[int]:
        """Units of each layer: inputs, hidden layers, outputs."""
        return [self.layers[0][0].shape[0], *(b.shape[0] for _, b in self.layers)]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shape of each layer's weights."""
        return list(pairwise(self.sizes))

    @property
    def starts(self) -> range:
        """Where in an order each minibatch begins."""
        return range(0, self.workload.images, self.workload.batch_size)

    def onehot(self) -> np.ndarray:
        """Return the labels as rows of 0 and 1 in float32, (n, m)."""
        return np.eye(self.sizes[-1], dtype=np.float32)[self.y]


def floating(pixels: np.ndarray) -> np.ndarray:
    """Return 8-bit pixels as float32 from 0 to 1."""
    values = pixels.astype(np.float32)
    values *= np.float32(1 / PIXEL_MAX)
    return values
