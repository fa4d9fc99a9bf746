"""The network and its optimiser in torch, for the contenders that train them."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peers.task import Layers, Task


def build(sizes: Iterable[int]) -> nn.Sequential:
    """Return linear layers with ReLU between them; what comes out are logits."""
    modules: list[nn.Module] = []
    for fan_in, fan_out in pairwise(sizes):
        modules += [nn.Linear(fan_in, fan_out), nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def linears(model: nn.Sequential) -> list[nn.Linear]:
    """Return the layers that have weights."""
    return [module for module in model if isinstance(module, nn.Linear)]


def start(model: nn.Sequential, task: Task) -> None:
    """Give a network the initial weights."""
    with torch.no_grad():
        for linear, (W, b) in zip(linears(model), task.layers, strict=True):
            linear.weight.copy_(torch.from_numpy(W.T))
            linear.bias.copy_(torch.from_numpy(b))


def optimizer_class(task: Task) -> type[torch.optim.Optimizer]:
    """Return the update rule."""
    return torch.optim.Adam if task.workload.optimizer == "adam" else torch.optim.SGD


def optimizer(model: nn.Sequential, task: Task) -> torch.optim.Optimizer:
    """Return the optimiser of the task: the penalty is on weights alone."""
    groups: list[dict[str, Any]] = [
        {"params": [linear.weight for linear in linears(model)], "weight_decay": 2 * task.workload.l2},
        {"params": [linear.bias for linear in linears(model)]},
    ]
    rule: Any = optimizer_class(task)
    made: torch.optim.Optimizer = rule(groups, lr=task.workload.learning_rate)
    return made


def layers(model: nn.Sequential) -> Layers:
    """Return the weights on the host."""
    return [
        (linear.weight.detach().cpu().numpy().T.copy(), linear.bias.detach().cpu().numpy().copy())
        for linear in linears(model)
    ]
