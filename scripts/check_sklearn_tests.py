"""Run scikit-learn's own tests of its MLP with its two classes replaced by ours.

    python scripts/check_sklearn_tests.py

The tests are those of the installed scikit-learn: all of `sklearn/neural_network/tests/test_mlp.py`, and every other
test that has an MLP among its parameters or names one, the common checks of estimators among them. The classes are
replaced in `sklearn.neural_network` before a test module is imported; what else is private to scikit-learn stays its
own. The exit code is 1 where a test fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from xml.etree import ElementTree as ET

import sklearn
import typer

from commands import run_script
from xpmlp import InputError

SCRIPTS = Path(__file__).parent
MLP_TESTS = "neural_network/tests/test_mlp.py"


class Outcome(NamedTuple):
    """What became of one test: its id, "passed", "failed" or "skipped", and why."""

    name: str
    outcome: str
    reason: str


def files() -> list[Path]:
    """Find the test files of the installed scikit-learn that speak of the MLP, or run checks on all estimators."""
    root = Path(sklearn.__file__).parent
    words = ("MLPClassifier", "MLPRegressor", "_tested_estimators", "all_estimators")
    found = [path for path in sorted(root.rglob("test_*.py")) if any(word in path.read_text("utf-8") for word in words)]
    if root / MLP_TESTS not in found:
        raise InputError(f"scikit-learn is installed without its tests: there is no {root / MLP_TESTS}.")
    return found


def run(paths: list[Path]) -> list[Outcome]:
    """Run the tests of some files that concern the MLP, in a process of their own."""
    root = Path(sklearn.__file__).parents[1]  # so that names begin with sklearn/
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", "-p", "parity.replaced", "-c", os.devnull, f"--junitxml={report}"]
        python_path = os.pathsep.join([str(SCRIPTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", "pytest", *options, "--rootdir", str(root), *map(str, paths)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path, "PYTEST_ADDOPTS": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if not report.exists() or done.returncode not in (0, 1):
            raise InputError(f"pytest could not run scikit-learn's tests: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - written by the pytest above
    return [outcome_of(case) for case in cases]


def outcome_of(case: ET.Element) -> Outcome:
    """Read what became of one test."""
    name = f"{case.get('classname')}::{case.get('name')}".strip(":")  # of a module that skips itself, the name alone
    for child in case:
        if child.tag in {"failure", "error"}:
            return Outcome(name, "failed", str(child.get("message")).splitlines()[0])
        if child.tag == "skipped":
            return Outcome(name, "skipped", str(child.get("message")))
    return Outcome(name, "passed", "")


def told(tests: list[Outcome]) -> str:
    """Write what became of the tests: counts for each file, what failed and why, and why others were skipped."""
    lines = [f"scikit-learn {version('scikit-learn')}"]
    for name in dict.fromkeys(test.name.partition("::")[0] for test in tests):
        of_file = Counter(test.outcome for test in tests if test.name.partition("::")[0] == name)
        counts = "".join(f"{of_file[outcome]:>5} {outcome}" for outcome in ("passed", "failed", "skipped"))
        lines.append(f"{name:<60}{counts}")
    lines += [f"failed: {test.name}\n    {test.reason}" for test in tests if test.outcome == "failed"]
    skipped = Counter(test.reason for test in tests if test.outcome == "skipped")
    return "\n".join([*lines, *(f"skipped {count}: {reason}" for reason, count in skipped.most_common())])


def main(
    out: Annotated[typer.FileTextWrite | None, typer.Option(help="Write the outcome of each test as JSON.")] = None,
) -> None:
    """Run scikit-learn's own tests of its MLP with its two classes replaced by ours."""
    tests = run(files())
    print(told(tests))
    if out is not None:
        report: dict[str, Any] = {"scikit-learn": version("scikit-learn"), "tests": [test._asdict() for test in tests]}
        json.dump(report, out, indent=1)
    if any(test.outcome == "failed" for test in tests):
        sys.exit(1)


if __name__ == "__main__":
    run_script(main)
