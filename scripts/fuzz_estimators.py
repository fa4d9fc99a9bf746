"""Fuzz the estimators against scikit-learn's: the same program with both, drawn from a seed and a number.

    python scripts/fuzz_estimators.py                          # 2,000 cases
    python scripts/fuzz_estimators.py --seed 0 --case 1207     # one of them, shrunk to what it takes

A case draws an estimator, its parameters, dtype and container of X, form of y, weights, the calls that train, what
becomes of the model between them (a pickle, a clone, scikit-learn and back), and at times an argument that cannot be
used. Both sides must raise an error of the same kind, or none, warn of the same, and have the same fitted attributes
and predictions, within tolerances relative to the largest entry of each array:

- 1e-10 where all is float64: some hundred steps, each with rounding errors of 1e-16;
- 1e-7 there for L-BFGS, whose line search amplifies them;
- 1e-4 where the weights are float32, with rounding errors of 1e-7.

A larger difference is called "rounding" where scikit-learn differs from itself by a hundredth as much once its initial
weights, activations and gradients are moved by a rounding error. The exit code is 1 where anything is different.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from itertools import repeat
from multiprocessing import get_context
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from threadpoolctl import threadpool_limits

import xpmlp
from commands import run_script
from parity.cases import draw
from parity.comparison import AMPLIFICATION, TOLERANCES, describe, judge, shrink, signature

if TYPE_CHECKING:
    from parity.comparison import Result

CHUNK = 20  # cases that a process takes at a time


def prepare(device: str | None) -> None:
    """Leave this process one thread, as the arrays are small; and import the device's library before the first case.

    JAX, for one, draws from NumPy's global generator when it is imported.
    """
    threadpool_limits(1)
    if device:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            xpmlp.MLPRegressor(device=device, max_iter=1).fit(np.eye(2), [0.0, 1.0])


def outcome(seed: int, number: int, device: str | None) -> tuple[Result, str]:
    """Judge a case, and name the kind of its first difference."""
    case = draw(seed, number)
    result = judge(case, xpmlp, device)
    return result, signature(case, result, device) if result.differences else ""


def fuzz(seed: int, cases: int, jobs: int, device: str | None) -> dict[str, Any]:
    """Judge cases 0 to `cases`, and return the report: counts, and each kind of difference with code that shows it."""
    started = time.perf_counter()
    arguments = repeat(seed), range(cases), repeat(device)
    with ProcessPoolExecutor(jobs, get_context("spawn"), prepare, (device,)) as pool:
        outcomes = list(pool.map(outcome, *arguments, chunksize=CHUNK))
    counts: dict[str, int] = {}
    left_out: dict[str, int] = {}
    numbers: dict[str, list[int]] = {}
    for number, (result, kind) in enumerate(outcomes):
        counts[result.kind] = counts.get(result.kind, 0) + 1
        if result.reason:
            left_out[result.reason] = left_out.get(result.reason, 0) + 1
        if kind:
            numbers.setdefault(kind, []).append(number)
    by_frequency = sorted(numbers.items(), key=lambda item: -len(item[1]))
    return {
        "versions": {name: version(name) for name in ("xpmlp", "scikit-learn", "numpy", "scipy")},
        "seed": seed,
        "cases": cases,
        "device": device,
        "tolerances": TOLERANCES | {"amplification of rounding": AMPLIFICATION},
        "counts": counts,
        "left out": left_out,
        "largest distance": max(result.distance for result, _ in outcomes),
        "differences": [
            {"kind": kind, "cases": found, "code": shown(seed, found[0], device)} for kind, found in by_frequency
        ],
        "seconds": round(time.perf_counter() - started, 1),
    }


def shown(seed: int, number: int, device: str | None) -> str:
    """Shrink a case that differs, and write the code that shows it."""
    case = draw(seed, number)
    result = judge(case, xpmlp, device)
    if not result.differences:
        return f"# case {number} differs only where other cases have run before it in the same process"
    return describe(*shrink(case, result, xpmlp, device), device)


def told(report: dict[str, Any]) -> str:
    """Write a report for a reader."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in report["counts"].items())
    lines = [
        f"{report['cases']:,} cases with seed {report['seed']} in {report['seconds']} s: {counts}.",
        f"Largest distance of what is the same: {report['largest distance']:.1e}.",
        *(f"Left out {count:,}: {reason}" for reason, count in report["left out"].items()),
    ]
    for each in report["differences"]:
        numbers = ", ".join(map(str, each["cases"][:10])) + (", ..." if len(each["cases"]) > 10 else "")
        lines.append(f"\n== {each['kind']} ({len(each['cases'])}: {numbers})\n{each['code']}")
    return "\n".join(lines)


def main(
    cases: Annotated[int, typer.Option(help="How many cases.", min=1)] = 2000,
    seed: Annotated[int, typer.Option(help="What they are drawn from.", min=0)] = 0,
    case: Annotated[int | None, typer.Option(help="The number of one case alone, to shrink it.", min=0)] = None,
    jobs: Annotated[int, typer.Option(help="Processes, of one thread each.", min=1)] = 2,
    device: Annotated[str | None, typer.Option(help="The device parameter of our estimators, as torch or jax.")] = None,
    out: Annotated[typer.FileTextWrite | None, typer.Option(help="Write the report as JSON too.")] = None,
) -> None:
    """Fuzz the estimators against scikit-learn's."""
    prepare(device)
    if case is not None:
        result = judge(draw(seed, case), xpmlp, device)
        print(f"{result.kind} {result.reason}".rstrip())
        if result.differences:
            print(shown(seed, case, device))
            sys.exit(1)
        return
    report = fuzz(seed, cases, jobs, device)
    print(told(report))
    if out is not None:
        json.dump(report, out, indent=1)
    if report["differences"]:
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
