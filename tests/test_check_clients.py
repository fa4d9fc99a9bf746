"""Other packages with our estimators as with scikit-learn's: the uses whose packages are installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import check_clients
from check_clients import compared, differences
from parity.clients import USES, Use, use

SCRIPT = Path(check_clients.__file__)


@pytest.mark.filterwarnings("ignore")  # those of the packages; those of the estimators are compared
@pytest.mark.parametrize("each", USES, ids=lambda use: f"{use.client}-{use.name}".replace(" ", "-"))
def test_a_package_does_the_same_with_our_estimators(each, pytestconfig):
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")
    row = compared(each)
    if row["outcome"] in {"not installed", "fails with both"}:
        pytest.skip(row.get("reason", f"{each.client} is not installed"))
    assert row["outcome"] in {"same", "inherent"}, row["differences"]


def test_every_package_of_the_list_is_used():
    assert {each.client for each in USES} >= {
        *("shap", "lime", "optuna", "imbalanced-learn", "mlxtend", "skops", "skl2onnx"),
        *("MAPIE", "yellowbrick", "joblib", "dask", "dask-ml", "scikit-learn"),
    }


def test_the_name_of_a_use_is_read_from_its_function():
    registered = len(USES)

    @use("joblib")
    def joblib_of_nothing(mlp):
        return mlp

    assert USES[registered:] == [Use("joblib", "of nothing", joblib_of_nothing)]
    del USES[registered:]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (1.0, 1.0 + 1e-9, []),
        (1.0, 1.1, ["value: 9.1e-02 apart"]),
        ([1.0, "a"], [1.0, "b"], ["value[1]: 'a', scikit-learn: 'b'"]),
        ({"x": np.ones(2)}, {"x": np.ones(3)}, ["value['x']: array([1., 1.]), scikit-learn: array([1., 1., 1.])"]),
        (np.array([1.0, np.nan]), np.array([1.0, 2.0]), ["value: nan apart"]),
        (np.array(["a"]), np.array(["a"]), []),
        (
            np.array(["a"]),
            np.array(["b"]),
            ["value: array(['a'], dtype='<U1'), scikit-learn: array(['b'], dtype='<U1')"],
        ),
        ("a", 1, ["value: 'a', scikit-learn: 1"]),
    ],
)
def test_values_are_compared_with_what_they_hold(ours, theirs, said):
    assert differences(ours, theirs) == said


def of_ours(_):
    raise AssertionError


def test_an_error_of_one_side_alone_is_a_difference():
    def fails_with_ours(mlp):
        if mlp.__name__ == "xpmlp":
            raise TypeError("no")
        return 1

    row = compared(Use("joblib", "a use", fails_with_ours))
    assert row["outcome"] == "different"
    assert row["differences"] == ["error: TypeError: no, scikit-learn: none"]


def test_an_error_of_both_is_told_and_no_difference():
    def fails(mlp):
        raise TypeError(f"no {mlp.MLPClassifier.__name__}")

    row = compared(Use("joblib", "a use", fails))
    assert row["outcome"] == "fails with both"
    assert row["reason"] == "TypeError: no MLPClassifier"


def test_a_package_that_is_not_installed_is_told():
    assert compared(Use("no-such-package", "a use", of_ours))["outcome"] == "not installed"


def test_the_script_writes_a_table_and_json(tmp_path):
    out = tmp_path / "clients.json"
    command = [sys.executable, str(SCRIPT), "--client", "joblib", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.returncode == 0, done.stdout + done.stderr
    assert "dump and load" in done.stdout
    report = json.loads(out.read_text())
    assert [row["outcome"] for row in report["uses"]] == ["same"] * 3
