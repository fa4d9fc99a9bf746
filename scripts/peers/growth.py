"""How the time of an epoch grows with the images and with the hidden units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from peers.comparison import spread
from peers.turns import take_turns
from peers.workloads import growth_of, write_start

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["AXES", "measure_growth"]

AXES = ("images", "hidden")


def measure_growth(
    names: Sequence[str], folder: Path, *, threads: int, repetitions: int, retries: int, quick: bool
) -> dict[str, dict[str, Any]]:
    """Measure both axes: sizes, and of each contender the seconds and the exponent of a fitted power."""
    growth: dict[str, dict[str, Any]] = {}
    for axis in AXES:
        workloads = growth_of(axis, few=quick)
        seconds: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for _, workload in workloads:
            write_start(folder, workload)
            found, _ = take_turns(workload, names, folder, threads=threads, repetitions=repetitions, retries=retries)
            for name in names:
                seconds[name].append(spread(found[name]["seconds"]) | {"disturbed": found[name]["disturbed"]})
        sizes = [size for size, _ in workloads]
        contenders = {
            name: {"seconds": times, "exponent": exponent(sizes, [time["median"] for time in times])}
            for name, times in seconds.items()
        }
        growth[axis] = {"sizes": sizes, "contenders": contenders}
    return growth


def exponent(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Fit ``seconds = c sizes^p`` by least squares of the logarithms; return p."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])
