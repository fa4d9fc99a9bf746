"""From the seconds of every repetition to ratios, and from the losses to whether all did the same work."""

from __future__ import annotations

import statistics
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.contenders import FIELDS, UPDATE_FLOOR
from peers.scoring import training_loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from peers.task import Task, Workload

__all__ = [
    "OWN_SHUFFLES",
    "SAME_BATCHES",
    "compare",
    "disagreements",
    "disturbed_share",
    "participants",
    "ratio",
    "reference_of",
    "spread",
]

SAME_BATCHES, OWN_SHUFFLES = 1e-3, 0.05  # how far a loss may be from that of the reference: see `compare`


def participants(workload: Workload, chosen: Sequence[str]) -> list[str]:
    """Return the contenders that can do a workload, with the floors that belong to them."""
    entries = FIELDS[workload.device].contenders
    able = [name for name in chosen if entries[name].predicts or not workload.rows]
    peers = [name for name in able if name in workload.only or not workload.only]
    return [*peers, *dict.fromkeys(floor for name in peers for floor in floors_of(workload, name))]


def floors_of(workload: Workload, name: str) -> list[str]:
    """Name the floors whose times together a contender cannot go below."""
    updates = workload.optimizer == "adam" and not workload.rows
    return [FIELDS[workload.device].contenders[name].floor, *([UPDATE_FLOOR] if updates else [])]


def reference_of(comparison: Mapping[str, Any]) -> str:
    """Name the contender that the others of a workload are compared with."""
    return FIELDS[comparison["workload"]["device"]].reference


def ratio(over: Sequence[float], under: Sequence[float]) -> dict[str, float]:
    """Divide repetition by repetition."""
    return spread([a / b for a, b in zip(over, under, strict=True)])


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, and the quartiles on both sides of it."""
    lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75))
    return {"median": float(median), "lower": float(lower), "upper": float(upper)}


def compare(task: Task, measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Say of each contender how long it took, beside the reference and beside its floor, and what it came to.

    The reference is xpmlp, on NumPy or on CuPy. How far a loss is from its own is given as a share of what that has
    learnt, from the initial weights on; in predictions, where nothing is learnt, of the loss itself.
    """
    workload, field = task.workload, FIELDS[task.device]
    reference = measured[field.reference]
    expected = statistics.median(reference["losses"])
    scale = expected if workload.rows else training_loss(task, task.layers) - expected
    results = {}
    for name, found in measured.items():
        result = {**found, "time": spread(found["seconds"])}
        result["to_xpmlp"] = ratio(found["seconds"], reference["seconds"])
        result["increase_over_data"] = (found["peak_bytes"] - found["base_bytes"]) / task.data_bytes
        if name not in field.floors:
            floors = [measured[floor]["seconds"] for floor in floors_of(workload, name)]
            result["to_floor"] = ratio(found["seconds"], [sum(parts) for parts in zip(*floors, strict=True)])
            same = field.contenders[name].same_batches or bool(workload.rows)
            apart = [abs((loss - expected) / scale) for loss in found["losses"]]
            tolerance = SAME_BATCHES if same else OWN_SHUFFLES
            agrees = all(gap <= tolerance for gap in apart)  # a loss that is NaN does not
            result |= {"loss_apart": max(apart), "tolerance": tolerance, "agrees": agrees}
        results[name] = result
    return {"workload": asdict(workload), "data_bytes": task.data_bytes, "results": results}


def disturbed_share(compared: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return which part of all repetitions others disturbed; None where the system does not tell."""
    results = [result for comparison in compared.values() for result in comparison["results"].values()]
    disturbed = [each for result in results for each in result["disturbed"]]
    return None if not disturbed or None in disturbed else statistics.mean(disturbed)


def disagreements(compared: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Say which contenders have come to another loss, and so have not done the same work."""
    return [
        f"{name}: {contender} has not learnt what {reference_of(comparison)} has: the losses are "
        f"{result['loss_apart']:.2%} apart, where {result['tolerance']:.2%} is allowed. Its time does not count."
        for name, comparison in compared.items()
        for contender, result in comparison["results"].items()
        if not result.get("agrees", True)
    ]
