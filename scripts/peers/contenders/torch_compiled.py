"""As `torch_eager`, with the module compiled by `torch.compile`, for each size of a minibatch by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from peers.contenders import torch_eager

if TYPE_CHECKING:
    from peers.task import Task


class Peer(torch_eager.Peer):
    """The same loop; the first round compiles."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.model.compile(dynamic=False)
