"""scikit-learn's own tests of its MLP, run on ours by `scripts/check_sklearn_tests.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import check_sklearn_tests
from check_sklearn_tests import Outcome, files, run, told

SCRIPT = Path(check_sklearn_tests.__file__)


@pytest.fixture(scope="module")
def tests(pytestconfig):
    """What became of every test; only where NumPy is among the backends asked for, as they compute on it."""
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")
    return run(files())


def test_scikit_learns_own_tests_pass_with_our_classes(tests):
    failed = {test.name: test.reason for test in tests if test.outcome == "failed"}
    assert not failed


def test_every_test_of_the_mlp_is_run(tests):
    names = [test.name for test in tests]
    assert sum("test_mlp::" in name for name in names) >= 59
    assert sum("test_common::" in name and "MLP" in name for name in names) > 150
    assert len(set(names)) == len(names)


def test_nothing_of_the_mlps_own_file_is_skipped_but_for_want_of_pandas(tests):
    skipped = [test.reason for test in tests if "test_mlp::" in test.name and test.outcome == "skipped"]
    assert all("pandas" in reason for reason in skipped), skipped


def test_the_classes_are_ours_before_a_test_is_imported():
    code = "import parity.replaced; from sklearn.neural_network.tests import test_mlp as t; print(t.MLPRegressor)"
    done = subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", code], cwd=SCRIPT.parent, capture_output=True, text=True, check=True
    )
    assert "xpmlp" in done.stdout


def test_what_became_of_the_tests_is_told_by_file_with_the_reasons():
    tests = [
        Outcome("sklearn.a::test_1", "passed", ""),
        Outcome("sklearn.a::test_2", "failed", "AssertionError: 1"),
        Outcome("sklearn.ab::test_3", "skipped", "no pandas"),
        Outcome("sklearn.ab::test_4", "skipped", "no pandas"),
    ]
    _, of_a, of_ab, *rest = told(tests).splitlines()
    assert of_a.split() == ["sklearn.a", "1", "passed", "1", "failed", "0", "skipped"]
    assert of_ab.split() == ["sklearn.ab", "0", "passed", "0", "failed", "2", "skipped"]
    assert rest == ["failed: sklearn.a::test_2", "    AssertionError: 1", "skipped 2: no pandas"]
