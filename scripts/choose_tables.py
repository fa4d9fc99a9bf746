"""Choose what `xpmlp train` does by default to a table: by the tables that the benchmark does not report on.

    pip install -e '.[bench]'
    python scripts/choose_tables.py --out benchmarks/tables-choice.json

Each candidate differs from the default in some options. Tables, splits and scores are those of `benchmark_tables.py`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark_tables import measure_all, print_report
from commands import run_script
from tables.catalogue import TASKS
from tables.contenders import CONTENDERS, xpmlp_train
from xpmlp import Options
from xpmlp.common.files import write_json
from xpmlp.training.recipe import default_epochs

if TYPE_CHECKING:
    import pandas as pd

    from tables.contenders import Answer, Setting

CANDIDATES: dict[str, dict[str, Any]] = {
    "default": {},
    "Adam": {"optimizer": "adam"},
    "weight decay 0.1": {"weight_decay": 0.1},
    "weight decay 1": {"weight_decay": 1.0},
    "robust scaling": {"scaling": "robust"},
    "a tenth held out": {"validation": 0.1},
    "best epoch of a tenth": {"patience": 100_000},
    "best epoch, Adam": {"patience": 100_000, "optimizer": "adam"},
    "at least 300 steps": {"steps": 300},
    "at least 1,500 steps": {"steps": 1500},
    "32 a batch": {"batch_size": 32},
    "256 units, dropout": {"hidden": (256,), "dropout": (0.2,)},
    "two layers": {"hidden": (128, 128)},
    "GELU": {"activation": ("gelu",)},
}


def learn(
    X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, setting: Setting, *, steps: int | None = None, **options: Any
) -> Answer:
    """Do what `xpmlp_train` does, for 30 epochs or at least so many steps where they are given."""
    if steps is not None:
        options["epochs"] = default_epochs(len(X), Options().batch_size, steps)
    return xpmlp_train(X, y, X_new, setting, **options)


def main(
    out: Annotated[Path, typer.Option(help="Where the results are, and go on, as JSON.")] = Path("tables-choice.json"),
    splits: Annotated[int, typer.Option(help="Of each table.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="Begin no more once so many have passed.")] = float("inf"),
) -> None:
    """Measure what is not measured yet, and print the summary."""
    CONTENDERS.update({name: partial(learn, **options) for name, options in CANDIDATES.items()})
    tasks = [task for task in TASKS if task.chooses]
    report = measure_all(out, tasks, ["scikit-learn", *CANDIDATES], splits, 1, seconds)
    write_json(out, report)
    print_report(report)


if __name__ == "__main__":
    run_script(main)
