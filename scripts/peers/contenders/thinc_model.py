"""Thinc: `chain` of its layers, and its loop of `begin_update` and `finish_update`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thinc.api import SGD, Adam, Relu, Softmax, chain

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Layers, Task


class Peer(Contender):
    """Its optimisers penalise the biases too: at the strengths of the workloads, that is within the tolerance."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        *inner, last = task.shapes
        layers = [*(Relu(nO=fan_out, nI=fan_in) for fan_in, fan_out in inner), Softmax(nO=last[1], nI=last[0])]
        self.model: Any = chain(*layers)
        self.targets = task.onehot()
        self.model.initialize(X=task.X[:1], Y=self.targets[:1])
        self._start()

    def _start(self) -> None:
        for layer, (W, b) in zip(self.model.layers, self.task.layers, strict=True):
            layer.set_param("W", self.model.ops.asarray(W.T.copy()))
            layer.set_param("b", self.model.ops.asarray(b.copy()))

    def _optimizer(self) -> Any:
        workload = self.task.workload
        rule = Adam if workload.optimizer == "adam" else SGD
        return rule(workload.learning_rate, L2=2 * workload.l2, L2_is_weight_decay=False, grad_clip=0.0)

    def train(self) -> None:
        """Start again, and go through the minibatches."""
        self._start()
        optimizer, size = self._optimizer(), self.task.workload.batch_size
        for order in self.task.orders:
            for first in self.task.starts:
                rows = order[first : first + size]
                predicted, backprop = self.model.begin_update(self.task.X[rows])
                backprop((predicted - self.targets[rows]) / len(rows))
                self.model.finish_update(optimizer)

    def layers(self) -> Layers:
        """Return the weights."""
        return [(layer.get_param("W").T.copy(), layer.get_param("b").copy()) for layer in self.model.layers]

    def predict(self, X: Any) -> Any:
        """Call the model's `predict`."""
        return self.model.predict(X)
