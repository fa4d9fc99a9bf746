"""Small fits, which are what most people do: xpmlp's estimators beside scikit-learn's, in one process, in turns.

    python scripts/benchmark_small_fits.py --out benchmarks/small-fits-cpu-2-cores.json
    python scripts/benchmark_small_fits.py --quick
    python scripts/benchmark_small_fits.py --page benchmarks/small-fits-cpu-2-cores.json

Both have the same parameters and seeds, and all that is not named is their default. Each case is run with one thread of
products, and with as many as the libraries take by default: leave OMP_NUM_THREADS and the like unset. A ratio is the
median of what scikit-learn takes over what xpmlp takes, fit by fit. With one thread, seconds are those of the
processor, which other programs that run at the same time hardly change; with several, those of a clock, as threads that
wait for each other are at work too.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table
from scipy import sparse
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_multilabel_classification
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info, threadpool_limits

import xpmlp
from benchmark_devices import processor
from commands import print_table, run_script
from pages import DOCS, fill
from xpmlp.common.files import check_place, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE = DOCS / "estimators.md"
THREADS: dict[str, int | None] = {"one thread": 1, "default": None}
TARGETS = {"each": 1.0, "lbfgs": 1.5, "early stopping": 1.5}  # of a ratio, and of the geometric means of two groups
FOLDS = 5


class Case(NamedTuple):
    """A fit of some data by a solver."""

    data: str
    solver: str
    early_stopping: bool = False
    folds: int = 0  # of a cross-validation, or none

    @property
    def name(self) -> str:
        """What it is called in tables."""
        stops, folds = ", early stopping" * self.early_stopping, f", {self.folds} folds" * bool(self.folds)
        return f"{self.data}, {self.solver}{stops}{folds}"


def _digits() -> tuple[Any, Any]:
    X, y = load_digits(return_X_y=True)
    return X / 16, y


def _sparse_digits() -> tuple[Any, Any]:
    X, y = _digits()
    return sparse.csr_array(X), y


def _scaled(load: Callable[..., Any]) -> tuple[Any, Any]:
    X, y = load(return_X_y=True)
    return scale(X), y


DATA: dict[str, Callable[[], tuple[Any, Any]]] = {
    "iris": lambda: _scaled(load_iris),
    "breast cancer": lambda: _scaled(load_breast_cancer),
    "digits": _digits,
    "diabetes": lambda: (scale(load_diabetes().data), scale(load_diabetes().target)),
    "sparse digits": _sparse_digits,
    "multilabel": lambda: make_multilabel_classification(500, 20, n_classes=5, random_state=0),
}
CASES = (
    *(
        Case(data, solver, stops)
        for data in DATA
        for solver, stops in (("sgd", False), ("adam", False), ("sgd", True), ("adam", True), ("lbfgs", False))
    ),
    *(Case("iris", solver, stops, FOLDS) for solver, stops in (("adam", False), ("adam", True), ("lbfgs", False))),
)


def main(
    rounds: Annotated[int, typer.Option(help="Of each case.", min=1)] = 5,
    only: Annotated[list[str] | None, typer.Option(help="Words of a case's name, such as lbfgs; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write the table of docs/estimators.md from a .json file.")] = None,
    *,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="One round of three epochs, to see that all runs.")] = False,
) -> None:
    """Measure every case and print the ratios, or write them into the page; exit code 1 below a target."""
    if page:
        fill(PAGE, lines(json.loads(page.read_text(encoding="utf-8"))))
        return
    if out is not None:
        check_place(out, (".json",))
    cases = [case for case in CASES if not only or any(words in case.name for words in only)]
    parameters = {"max_iter": 3} if quick else {}
    rounds = 1 if quick else rounds
    results = [measure(case, rounds, parameters) for case in cases]
    report = {
        "benchmark": "small fits",
        "command": " ".join(["python", *sys.argv]),
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()},
        "threads": {name: _threads(limit) for name, limit in THREADS.items()},
        "versions": {name: version(name) for name in ("xpmlp", "numpy", "scipy", "scikit-learn")},
        "rounds": rounds,
        "results": results,
        "means": means(results),
    }
    if markdown:
        print("\n".join(lines(report)))
    else:
        print_report(report)
    if out is not None:
        write_json(out, report)
    sys.exit(int(not quick and not is_met(report)))


def _threads(limit: int | None) -> int:
    """Return how many threads the products of NumPy have."""
    with threadpool_limits(limit):
        return max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")


def measure(case: Case, rounds: int, parameters: dict[str, Any]) -> dict[str, Any]:
    """Time both estimators in turns, and say how far apart their losses, or the scores of their folds, are."""
    X, y = DATA[case.data]()
    kind = "MLPRegressor" if case.data == "diabetes" else "MLPClassifier"
    options = {"solver": case.solver, "early_stopping": case.early_stopping, "random_state": 0} | parameters
    found: dict[str, Any] = {"case": case.name, **case._asdict(), "shape": X.shape, "seconds": {}, "ratios": {}}
    apart = 0.0
    for name, limit in THREADS.items():
        clock = time.process_time if limit == 1 else time.perf_counter
        pairs = []
        with threadpool_limits(limit), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for turn in range(rounds + 1):
                taken, ends = {}, []
                for module in (neural_network, xpmlp)[:: 1 if turn % 2 else -1]:
                    estimator = getattr(module, kind)(**options)
                    start = clock()
                    ends.append(_fit(estimator, X, y, case.folds))
                    taken[module] = clock() - start
                apart = max(apart, float(np.max(np.abs(np.subtract(*ends)))))
                pairs.append((taken[neural_network], taken[xpmlp]))
        timed = pairs[1:]  # the first turn warms up
        theirs, ours = map(statistics.median, zip(*timed, strict=True))
        found["seconds"][name] = {"scikit-learn": theirs, "xpmlp": ours}
        found["ratios"][name] = statistics.median(their / our for their, our in timed)
    return found | {"difference": apart}


def _fit(estimator: Any, X: Any, y: Any, folds: int) -> Any:
    """Fit once, or cross-validate; return the last loss, or the scores."""
    return cross_val_score(estimator, X, y, cv=folds) if folds else estimator.fit(X, y).loss_


def means(results: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Return the geometric means of the ratios: of all cases, and of each group that there is."""
    groups = {
        "all": results,
        "lbfgs": [row for row in results if row["solver"] == "lbfgs"],
        "early stopping": [row for row in results if row["early_stopping"]],
    }
    return {
        group: {name: statistics.geometric_mean(row["ratios"][name] for row in rows) for name in THREADS}
        for group, rows in groups.items()
        if rows
    }


def is_met(report: dict[str, Any]) -> bool:
    """Whether every ratio, and the means of the groups that have a target, are as large as they are to be."""
    ratios = [ratio for row in report["results"] for ratio in row["ratios"].values()]
    of_groups = [
        mean >= TARGETS[group]
        for group, found in report["means"].items()
        if group in TARGETS
        for mean in found.values()
    ]
    return min(ratios) >= TARGETS["each"] and all(of_groups)


def print_report(report: dict[str, Any]) -> None:
    """Print seconds and ratios of each case, and the means."""
    heads = [head for name in THREADS for head in (f"{name}: scikit-learn, ms", "xpmlp, ms", "ratio")]
    table = Table("case", *heads, "difference")
    for row in report["results"]:
        cells = []
        for name in THREADS:
            seconds = row["seconds"][name].values()
            cells += [*(f"{1000 * each:.1f}" for each in seconds), f"{row['ratios'][name]:.2f}"]
        table.add_row(row["case"], *cells, f"{row['difference']:.0e}")
    for group, found in report["means"].items():
        table.add_row(
            f"geometric mean, {group}", *(cell for name in THREADS for cell in ("", "", f"{found[name]:.2f}"))
        )
    print_table(table)


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Write the ratios in Markdown."""
    machine, versions = report["machine"], report["versions"]
    yield (
        f"scikit-learn {versions['scikit-learn']} over xpmlp, medians of {report['rounds']}, on {machine['cores']} "
        f"cores of {machine['processor']}; by default, products have {report['threads']['default']} threads."
    )
    yield ""
    yield f"| fit | {' | '.join(f'{name}' for name in THREADS)} | xpmlp, ms |"
    yield f"| --- |{' ---: |' * len(THREADS)} ---: |"
    for row in report["results"]:
        ratios = " | ".join(f"{row['ratios'][name]:.2f}" for name in THREADS)
        yield f"| {row['case']} | {ratios} | {1000 * row['seconds']['one thread']['xpmlp']:.0f} |"
    for group, found in report["means"].items():
        yield f"| **geometric mean, {group}** | {' | '.join(f'{found[name]:.2f}' for name in THREADS)} | |"


if __name__ == "__main__":
    run_script(main)
