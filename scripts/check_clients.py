"""Run the packages that people use an MLP with on our estimators and on scikit-learn's, and tell each difference.

    pip install -e '.[clients]'
    python scripts/check_clients.py

Every use of `scripts/parity/clients.py` runs twice with the same seeds: what it returns, raises and warns of is
compared, numbers to a relative 1e-6, which is the rounding of float32 in ONNX. A package that is not installed, or that
cannot be used by scikit-learn's estimators either, is told of with the reason. The exit code is 1 where ours differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import numpy as np
import typer
from rich.table import Table
from sklearn import neural_network

import xpmlp
from commands import print_table, run_script
from parity.clients import USES
from xpmlp.common.validation import check_choice

if TYPE_CHECKING:
    from types import ModuleType

    from parity.clients import Use

TOLERANCE = 1e-6  # relative to the largest number of an array
# Differences that are expected, by how each begins: skops trusts the classes of scikit-learn, and asks about others;
# with weights in float32, L-BFGS ends where rounding hides what further steps would gain.
INHERENT = {
    ("skops", "untrusted types"): "value",
    ("scikit-learn", "float32 lbfgs of raw targets"): "warnings: [], scikit-learn: ['ConvergenceWarning']",
}


class Outcome(NamedTuple):
    """What came of a use with one pair of estimators."""

    value: Any
    error: BaseException | None
    warned: set[str]


def tried(use: Use, estimators: ModuleType) -> Outcome:
    """Run a use, and keep what it returns or raises, and the categories of its warnings for users."""
    value, error = None, None
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("always")
        try:
            value = use.run(estimators)
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - whatever a package raises is told
            error = raised
    return Outcome(value, error, {each.category.__name__ for each in caught if issubclass(each.category, UserWarning)})


def differences(ours: Any, theirs: Any, where: str = "") -> list[str]:
    """Say where two values differ: arrays, numbers, words, or lists and dicts of these."""
    if isinstance(theirs, dict) and isinstance(ours, dict) and ours.keys() == theirs.keys():
        return [said for key in theirs for said in differences(ours[key], theirs[key], f"{where}[{key!r}]")]
    if isinstance(theirs, list | tuple) and isinstance(ours, list | tuple) and len(ours) == len(theirs):
        return [said for i, other in enumerate(theirs) for said in differences(ours[i], other, f"{where}[{i}]")]
    if isinstance(theirs, np.ndarray | float | int) and isinstance(ours, np.ndarray | float | int):
        a, b = np.asarray(ours), np.asarray(theirs)
        if a.shape == b.shape and a.dtype.kind in "fiub" and b.dtype.kind in "fiub":
            distance = np.abs(a.astype(float) - b.astype(float)).max(initial=0)
            scale = max(np.abs(b.astype(float)).max(initial=0), 1e-12)
            return [f"value{where}: {distance / scale:.1e} apart"] if not distance <= TOLERANCE * scale else []
        same = np.array_equal(a, b)
    else:
        same = type(ours) is type(theirs) and ours == theirs
    return [] if same else [f"value{where}: {ours!r}, scikit-learn: {theirs!r}"[:300]]


def compared(use: Use) -> dict[str, Any]:
    """Run a use with both pairs of estimators, and return a row of the report."""
    row = {"client": use.client, "use": use.name, "outcome": "same", "differences": []}
    try:
        row["version"] = version(use.client)
    except PackageNotFoundError:
        return row | {"outcome": "not installed", "version": None}
    theirs, ours = tried(use, neural_network), tried(use, xpmlp)
    if theirs.error is not None:
        row |= {"outcome": "fails with both", "reason": told(theirs.error)}
    if type(ours.error) is not type(theirs.error):
        row["differences"].append(f"error: {told(ours.error)}, scikit-learn: {told(theirs.error)}")
    elif ours.error is None:
        row["differences"] += differences(ours.value, theirs.value)
        if ours.warned != theirs.warned:
            row["differences"].append(f"warnings: {sorted(ours.warned)}, scikit-learn: {sorted(theirs.warned)}")
    if row["differences"]:
        expected = INHERENT.get((use.client, use.name), "none is expected")
        is_inherent = all(difference.startswith(expected) for difference in row["differences"])
        row["outcome"] = "inherent" if is_inherent else "different"
    return row


def told(error: BaseException | None) -> str:
    """Write an error in a line."""
    return "none" if error is None else " ".join(f"{type(error).__name__}: {error}".split())[:300]


def main(
    client: Annotated[list[str] | None, typer.Option(help="One package alone; repeatable.", show_default="all")] = None,
    out: Annotated[typer.FileTextWrite | None, typer.Option(help="Write the report as JSON too.")] = None,
) -> None:
    """Run the packages that people use an MLP with on our estimators and on scikit-learn's."""
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes that packages start
    os.environ.setdefault("MPLBACKEND", "agg")
    for name in client or []:
        check_choice("client", name, sorted({use.client for use in USES}))
    rows = [compared(use) for use in USES if not client or use.client in client]
    table = Table("client", "version", "use", "outcome", "difference, or why not")
    for row in rows:
        why = "\n".join(row["differences"]) or row.get("reason", "")
        table.add_row(row["client"], row["version"] or "", row["use"], row["outcome"], why)
    print_table(table)
    if out is not None:
        json.dump({"xpmlp": version("xpmlp"), "scikit-learn": version("scikit-learn"), "uses": rows}, out, indent=1)
    if any(row["outcome"] == "different" for row in rows):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
