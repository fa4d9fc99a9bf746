"""As `xpmlp_engine`, on a GPU: each training begins in the buffers of the last, which graphs were captured on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peers.contenders import xpmlp_engine
from xpmlp import Layer

if TYPE_CHECKING:
    from peers.task import Task


class Peer(xpmlp_engine.Peer):
    """`Trainer`, whose first round captures."""

    def __init__(self, task: Task, backend: str) -> None:
        super().__init__(task, backend)
        self.first = [Layer(self.backend.copy_to_device(W), self.backend.copy_to_device(b)) for W, b in task.layers]

    def start(self) -> None:
        """Take the initial weights, and forget the last training."""
        own, refill, trainer = self.backend.copy_to_device, self.backend.refill, self.trainer
        with self.backend.computing():
            pairs = zip(trainer.layers, self.first, strict=True)
            trainer.layers = [Layer(refill(W, own(W0)), refill(b, own(b0))) for (W, b), (W0, b0) in pairs]
            optimizer = trainer.state.optimizer
            cleared = type(optimizer)(*([refill(p, 0.0) for p in arrays] for arrays in optimizer))
            trainer.state = trainer.state._replace(optimizer=cleared, t=refill(trainer.state.t, 0))
