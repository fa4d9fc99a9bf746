"""torch as its tutorial has it: a `DataLoader` over a `TensorDataset`, which stacks a minibatch row by row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from peers.contender import Contender
from peers.contenders import torch_network

if TYPE_CHECKING:
    from peers.task import Layers, Task


class Peer(Contender):
    """The tutorial's loop; the order is the loader's own."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        dataset = TensorDataset(torch.from_numpy(task.X), torch.from_numpy(task.y))
        self.loader = DataLoader(dataset, batch_size=task.workload.batch_size, shuffle=True)
        self.model = torch_network.build(task.sizes).to(task.device)

    def train(self) -> None:
        """Start again, and read the loss of each epoch."""
        task = self.task
        torch_network.start(self.model, task)
        optimizer = torch_network.optimizer(self.model, task)
        for _ in task.orders:
            total = torch.zeros((), device=task.device)
            for host_x, host_t in self.loader:
                x, t = host_x.to(task.device), host_t.to(task.device)
                loss = functional.cross_entropy(self.model(x), t)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(x)
            total.item()

    def layers(self) -> Layers:
        """Return the weights."""
        return torch_network.layers(self.model)

    def predict(self, X: Any) -> Any:
        """Refuse: without minibatches, this is `torch_eager`."""
        raise NotImplementedError
