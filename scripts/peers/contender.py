"""What every contender can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from peers.task import Layers, Task

__all__ = ["Contender"]


class Contender(ABC):
    """A library, used as its documentation does. Making one lays out the data and the network, which is not timed.

    Parameters
    ----------
    task : Task
        What to do, on which arrays and device.
    """

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def train(self) -> None:
        """Train from the task's initial weights for all its epochs, and wait until that is done."""

    def layers(self) -> Layers | None:
        """Return the weights that the last training has left; None where nothing is learnt, as by a floor."""
        return None

    def place(self, X: np.ndarray) -> Any:
        """Turn rows of the host into what `predict` takes."""
        return X

    @abstractmethod
    def predict(self, X: Any) -> Any:
        """Return the probability of each class for the task's initial weights, once it is computed."""
