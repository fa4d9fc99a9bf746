"""xpmlp, by the engine of its command line."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.contender import Contender
from peers.task import PIXEL_MAX
from xpmlp import SGD, Adam, Constant, ElasticNet, Layer, Model, Network, Recipe, fprop, get_backend
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.data.preprocessing import Scaling
from xpmlp.training import Trainer
from xpmlp.training.scoring import outputs

if TYPE_CHECKING:
    from collections.abc import Callable

    from peers.task import Layers, Task


class Peer(Contender):
    """`Trainer`, and `fprop` compiled by the backend; for a single row, the predictor of a model.

    On 8-bit examples, as the command line has images; or on those in float32 that an estimator is given, with the
    penalty in the loss, as an estimator's `loss_curve_` has it.
    """

    def __init__(self, task: Task, backend: str, examples: str = "8-bit") -> None:
        super().__init__(task)
        workload = task.workload
        self.backend = get_backend(backend, task.device)
        self.network = Network.build(task.sizes[0], workload.hidden, task.sizes[-1])
        in_float32 = examples == "float32"
        self.examples = self.backend.asarray(task.X) if in_float32 else self._scaled(task.pixels)
        self.targets = self.backend.asarray(task.onehot())
        recipe = Recipe(
            Adam() if workload.optimizer == "adam" else SGD(),
            Constant(workload.learning_rate),
            ElasticNet.build(len(task.layers), l2=workload.l2),
            batch_size=workload.batch_size,
            penalised=in_float32,
        )
        self.trainer = Trainer(self.backend, self.network, recipe)
        self.trainer.start([Layer(W, b) for W, b in task.layers])
        self.context = ExitStack()  # kept, as some contexts end with the object
        self.predict_row = self._predictor() if workload.rows == 1 else None
        if workload.rows > 1:
            self.context.enter_context(self.backend.computing())  # once, around all predictions
        self.forward = self.backend.compile(lambda layers, X: fprop(self.backend.xp, self.network, layers, X).a[-1])

    def _predictor(self) -> Callable[[np.ndarray], np.ndarray]:
        layers = [Layer(W, b) for W, b in self.task.layers]
        unscaled = Scaling.fit("none", np.zeros((1, self.network.sizes[0])))
        model = Model(self.network, layers, np.arange(self.network.sizes[-1]), unscaled)
        return model.predictor(backend=self.backend).predict_proba

    def _scaled(self, pixels: np.ndarray) -> QuantizedExamples:
        return QuantizedExamples(self.backend.asarray(pixels, dtype=None), self.backend.asarray([1 / PIXEL_MAX]))

    def train(self) -> None:
        """Start again, and read the sums of each epoch."""
        self.start()
        for order in self.task.orders:
            self.trainer.run_epoch(Examples(self.examples, self.targets), order)
            self.trainer.read({})

    def start(self) -> None:
        """Take the initial weights."""
        self.trainer.start([Layer(W, b) for W, b in self.task.layers])

    def layers(self) -> Layers:
        """Return the trainer's weights."""
        return [(self.backend.to_numpy(W), self.backend.to_numpy(b)) for W, b in self.trainer.layers]

    def place(self, X: np.ndarray) -> Any:
        """Move rows to the backend; a predictor takes one from the host."""
        return X if self.predict_row else self.backend.asarray(X)

    def predict(self, X: Any) -> Any:
        """Compute the last activation, some rows at a time where there are many, as `xpmlp predict` does."""
        if self.predict_row:
            return self.predict_row(X)
        probabilities = outputs(self.backend, self.forward, self.trainer.layers, X)
        self.backend.synchronize(probabilities)
        return probabilities
