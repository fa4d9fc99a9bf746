"""Choose what `xpmlp train` does by default to a table: by the tables that the benchmark does not report on.

    pip install -e '.[bench]'
    python scripts/choose_tables.py --out benchmarks/tables-choice.json

Each candidate differs from the default in some options. Tables, splits and scores are those of `benchmark_tables.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark_tables import measure_all, print_report
from commands import run_script
from tables.catalogue import TASKS
from tables.contenders import CONTENDERS, xpmlp_train
from xpmlp.common.files import write_json

CANDIDATES: dict[str, dict[str, Any]] = {
    "default": {},
    "Adam": {"optimizer": "adam"},
    "weight decay 0.1": {"weight_decay": 0.1},
    "weight decay 1": {"weight_decay": 1.0},
    "robust scaling": {"scaling": "robust"},
    "a tenth held out": {"validation": 0.1},
    "best epoch of a tenth": {"patience": 100_000},
    "best epoch, Adam": {"patience": 100_000, "optimizer": "adam"},
    "60 epochs": {"epochs": 60},
    "32 a batch": {"batch_size": 32},
    "256 units, dropout": {"hidden": (256,), "dropout": (0.2,)},
    "two layers": {"hidden": (128, 128)},
    "GELU": {"activation": ("gelu",)},
}


def main(
    out: Annotated[Path, typer.Option(help="Where the results are, and go on, as JSON.")] = Path("tables-choice.json"),
    splits: Annotated[int, typer.Option(help="Of each table.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="Begin no more once so many have passed.")] = float("inf"),
) -> None:
    """Measure what is not measured yet, and print the summary."""
    CONTENDERS.update({name: partial(xpmlp_train, **options) for name, options in CANDIDATES.items()})
    tasks = [task for task in TASKS if task.chooses]
    report = measure_all(out, tasks, ["scikit-learn", *CANDIDATES], splits, 1, seconds)
    write_json(out, report)
    print_report(report)


if __name__ == "__main__":
    run_script(main)
