"""An `MLPClassifier`: scikit-learn's, or xpmlp's in its place."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from peers.contender import Contender

if TYPE_CHECKING:
    from peers.task import Layers, Task


class Peer(Contender):
    """`fit`, `predict_proba`. The initial weights are set by a warm start, and nothing ends the epochs early."""

    def __init__(self, task: Task, library: str) -> None:
        super().__init__(task)
        workload = task.workload
        self.model = import_module(library).MLPClassifier(
            workload.hidden,
            solver=workload.optimizer,
            alpha=2 * workload.l2 * workload.batch_size,  # it stands for alpha / 2 |W|^2, divided by the minibatch
            batch_size=workload.batch_size,
            learning_rate_init=workload.learning_rate,
            momentum=0.0,
            max_iter=workload.epochs,
            tol=0.0,
            n_iter_no_change=np.inf,
            random_state=0,
        )
        few = slice(workload.batch_size)
        self.model.partial_fit(task.X[few], task.y[few], classes=np.arange(task.sizes[-1]))
        self.model.set_params(warm_start=True)  # from here on: the few need not have all classes
        self._start()

    def _start(self) -> None:
        self.model.coefs_ = [W.copy() for W, _ in self.task.layers]
        self.model.intercepts_ = [b.copy() for _, b in self.task.layers]

    def train(self) -> None:
        """Fit; that it stops after `max_iter` epochs is what was asked for, and no news."""
        self._start()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(self.task.X, self.task.y)

    def layers(self) -> Layers:
        """Return the fitted weights."""
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def predict(self, X: Any) -> Any:
        """Predict as users do."""
        return self.model.predict_proba(X)
