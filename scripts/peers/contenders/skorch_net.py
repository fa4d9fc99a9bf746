"""skorch: scikit-learn's interface to a module of torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from skorch import NeuralNetClassifier
from torch import nn

from peers.contender import Contender
from peers.contenders import torch_network

if TYPE_CHECKING:
    from peers.task import Layers, Task


class Peer(Contender):
    """`partial_fit` for all epochs, from the initial weights; the order is its own."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        workload = task.workload
        self.net: Any = NeuralNetClassifier(
            torch_network.build(task.sizes),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch_network.optimizer_class(task),
            optimizer__param_groups=[("*.weight", {"weight_decay": 2 * workload.l2})],
            lr=workload.learning_rate,
            batch_size=workload.batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            classes=np.arange(task.sizes[-1]),
            verbose=0,
            device=task.device,
        )
        self._start()

    def _start(self) -> None:
        self.net.initialize()
        torch_network.start(self.net.module_, self.task)

    def train(self) -> None:
        """Initialise again, for an optimiser without a past."""
        self._start()
        self.net.partial_fit(self.task.X, self.task.y, epochs=self.task.workload.epochs)

    def layers(self) -> Layers:
        """Return the weights."""
        return torch_network.layers(self.net.module_)

    def predict(self, X: Any) -> Any:
        """Predict as users do."""
        return self.net.predict_proba(X)
