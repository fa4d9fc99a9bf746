"""torch with its data preloaded as tensors: minibatches by `index_select`, gradients by autograd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from peers.contender import Contender
from peers.contenders import torch_network

if TYPE_CHECKING:
    import numpy as np

    from peers.task import Layers, Task


class Peer(Contender):
    """`nn.Sequential`, `torch.optim`, and a loop over the minibatches."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.examples = torch.from_numpy(task.X).to(task.device)
        self.labels = torch.from_numpy(task.y).to(task.device)
        self.model = torch_network.build(task.sizes).to(task.device)
        torch_network.start(self.model, task)

    def train(self) -> None:
        """Start again, and read the loss of each epoch."""
        task = self.task
        torch_network.start(self.model, task)
        optimizer = torch_network.optimizer(self.model, task)
        for order in task.orders:
            rows = torch.from_numpy(order).to(task.device)
            total = torch.zeros((), device=task.device)
            for picked in rows.split(task.workload.batch_size):
                x, t = self.examples.index_select(0, picked), self.labels.index_select(0, picked)
                loss = functional.cross_entropy(self.model(x), t)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(picked)
            total.item()

    def layers(self) -> Layers:
        """Return the weights."""
        return torch_network.layers(self.model)

    def place(self, X: np.ndarray) -> Any:
        """Make a tensor."""
        return torch.from_numpy(X).to(self.task.device)

    def predict(self, X: Any) -> Any:
        """Call the module without autograd."""
        with torch.no_grad():
            return torch.softmax(self.model(X), dim=1)
