"""Loop against matrix on Fashion-MNIST (3.5), measured by `benchmark_devices.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmark_devices import BATCH_SIZES, LOOP_ROWS, OPERATIONS, benchmark, figure_of, rate
from reproduction.reference import REPORT
from xpmlp.nn.network import MODES

if TYPE_CHECKING:
    from reproduction.plan import Plan

IMAGES = 60_000  # of an epoch
ROUNDS, SECONDS = 5, 0.05
QUICK_ROUNDS, QUICK_SECONDS = 3, 0.005


def compare_speeds(plan: Plan) -> dict[str, Any]:
    """Measure both variants at every size, draw the training step, and compare at the report's size."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if plan.quick else (ROUNDS, SECONDS)
    report = benchmark([f"{plan.backend}:{plan.device}"], plan.data_dir, rounds, seconds)
    results = report["results"]
    rows = []
    for size in BATCH_SIZES:
        for operation in OPERATIONS:
            matrix, loop = (rate(results, batch_size=size, operation=operation, mode=mode) for mode in MODES)
            rows.append(
                {"batch_size": size, "operation": operation, "matrix": matrix, "loop": loop, "ratio": matrix / loop}
                | {"extrapolated": size > LOOP_ROWS}
            )
    (at_report,) = (r for r in rows if r["operation"] == "step" and r["batch_size"] == REPORT["speed_batch_size"])
    alt = "Examples per second of a training step against the size of the minibatch, for the loop and the matrix."
    return {
        "rounds": rounds,
        "loop_rows": LOOP_ROWS,
        "rows": rows,
        "ratio": at_report["ratio"],
        "matrix_epoch_seconds": IMAGES / at_report["matrix"],
        "loop_epoch_seconds": IMAGES / at_report["loop"],
        "benchmark": report,
        "picture": plan.show(figure_of([report]), "figures/speed.png", alt),
    }
