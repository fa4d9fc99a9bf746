"""scikit-learn's own checks of estimators, with and without SciPy's array API.

SciPy reads SCIPY_ARRAY_API once, when it is imported, and where it is not set scikit-learn skips its array-API checks.
So the checks run twice: here, in the environment that most users have, for the default solver and without those checks;
and all of them, for every solver, in a process of its own that has it. The tests at the end count the results.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks

from xpmlp import (
    DeepEnsembleClassifier,
    DeepEnsembleRegressor,
    MLPClassifier,
    MLPRegressor,
    PackClassifier,
    PackRegressor,
)

DISPATCHES = os.environ.get("SCIPY_ARRAY_API") == "1"
# Enough to reach the accuracy that some checks ask for, in a fraction of a second.
FAST = {"hidden_layer_sizes": (10,), "learning_rate_init": 0.03, "max_iter": 30}
ESTIMATORS = [
    MLPClassifier(**FAST),
    MLPClassifier(**FAST, solver="sgd"),
    MLPClassifier(hidden_layer_sizes=(10,), solver="lbfgs", max_iter=30),
    MLPRegressor(**FAST),
    MLPRegressor(**FAST, solver="sgd"),
    MLPRegressor(hidden_layer_sizes=(10,), solver="lbfgs", max_iter=30),
    DeepEnsembleClassifier(**FAST, n_estimators=3),
    DeepEnsembleRegressor(**FAST, n_estimators=3),
    PackClassifier(10, max_iter=15, random_state=0),
    PackRegressor(10, max_iter=15, random_state=0),
]
# scikit-learn's MLP passes all of them, with these parameters too, and so do ours.
# A pack judges its settings by folds of the examples: one that is there twice may be in two of them.
OF_PACKS = {"check_sample_weight_equivalence_on_dense_data": "folds are drawn among the examples, whatever they count"}
EXPECTED_TO_FAIL = {"PackClassifier": OF_PACKS, "PackRegressor": OF_PACKS}

# All that may be skipped: what is not there to be checked.
SKIPPED = (
    r"^(cupy|dpnp|torch|pandas|array_api_strict) is not installed",
    r"requires cuda, which is not available",
    r"MPS (device test|is not available)",
    r"XPU (device test|is not available)",
    r"no XPU device is available",
    r"does not have a decision_function method",
)


def checks_of(estimator):
    """Give the names of the checks that scikit-learn has for an estimator."""
    names = []
    for _, check in estimator_checks_generator(estimator):
        function = check
        while hasattr(function, "func"):
            function = function.func
        names.append(function.__name__)
    return names


def without(mark, kept):
    """Leave those of the parameters out whose check is not kept."""
    return pytest.mark.parametrize(
        mark.args[0],
        [each for each in mark.args[1] if kept(str(getattr(each, "values", each)[1]))],
        ids=mark.kwargs["ids"],
    )


checks = parametrize_with_checks(
    ESTIMATORS if DISPATCHES else [each for each in ESTIMATORS if getattr(each, "solver", "adam") == "adam"],
    expected_failed_checks=lambda estimator: EXPECTED_TO_FAIL.get(type(estimator).__name__, {}),
    xfail_strict=True,
)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@(checks if DISPATCHES else without(checks.mark, lambda check: "check_array_api" not in check))
def test_estimators_pass_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


# The same with SCIPY_ARRAY_API=1. The tests below are those of the outer process alone.

outside = pytest.mark.skipif(DISPATCHES, reason="this is the process whose results are counted")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What became of every check in a process with SCIPY_ARRAY_API=1, and why, by test id."""
    report = tmp_path_factory.mktemp("checks") / "junit.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", __file__]
    command += ["-k", "test_estimators_pass_the_checks"]
    root = Path(__file__).parents[1]
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTEST_ADDOPTS": ""}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - this interpreter
    assert report.exists(), done.stdout + done.stderr
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - written by the pytest above
    assert cases, done.stdout + done.stderr
    found = {}
    for case in cases:
        outcomes = [(child.tag, f"{child.get('message')}\n{child.text}") for child in case if child.tag != "system-out"]
        found[case.get("name")] = outcomes[0] if outcomes else ("passed", "")
    return found


def having(results, tag):
    return {name: text for name, (kind, text) in results.items() if kind == tag}


@pytest.mark.torch_or_jax
@outside
def test_every_check_is_run_where_scipy_has_its_array_api(results, capsys):
    expected = sum(len(checks_of(estimator)) for estimator in ESTIMATORS)
    passed, skipped = having(results, "passed"), having(results, "skipped")
    with capsys.disabled():
        print(  # noqa: T201 - the numbers are to be seen
            f"\nscikit-learn's checks with SCIPY_ARRAY_API=1: {len(results)} for {len(ESTIMATORS)} estimators, "
            f"{len(passed)} passed, {len(skipped)} skipped"
        )
    assert len(results) == expected
    assert len(passed) + len(skipped) == expected, "\n".join(
        f"{name}: {kind}: {text}" for name, (kind, text) in results.items() if kind not in {"passed", "skipped"}
    )
    assert len(passed) > 50 * len(ESTIMATORS)


@pytest.mark.torch_or_jax
@outside
def test_nothing_is_skipped_but_what_is_not_there(results):
    skipped = having(results, "skipped")
    known = (*SKIPPED, *map(re.escape, OF_PACKS.values()))
    silent = {name: text for name, text in skipped.items() if not any(re.search(each, text) for each in known)}
    assert silent == {}


@outside
def test_array_api_checks_are_run_for_every_estimator(results):
    """array-api-strict on both of its devices, NumPy, and the error for another namespace than the fitted one."""
    passed = list(having(results, "passed"))
    for check in (
        "check_array_api_same_namespace(array_namespace=array_api_strict",
        "check_array_api_input(array_namespace=numpy",
        "check_array_api_input(array_namespace=array_api_strict,device_name=CPU_DEVICE",
        "check_array_api_input(array_namespace=array_api_strict,device_name=device1",
    ):
        assert sum(check in name for name in passed) == len(ESTIMATORS), check


@outside
def test_torch_checks_are_run_for_every_estimator_where_torch_is_installed(results):
    pytest.importorskip("torch")
    passed = list(having(results, "passed"))
    for dtype in ("float32", "float64"):
        check = f"check_array_api_input(array_namespace=torch,device_name=cpu,dtype_name={dtype}"
        assert sum(check in name for name in passed) == len(ESTIMATORS), check
    # Targets of array-api-strict on its device1 with examples of torch.
    assert sum("check_array_api_mixed_inputs" in name for name in passed) >= len(ESTIMATORS)


@outside
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_array_api_support_is_declared(estimator):
    assert get_tags(estimator).array_api_support is True
    names = checks_of(estimator)
    assert names.count("check_array_api_input") >= 6
    assert "check_array_api_same_namespace" in names
