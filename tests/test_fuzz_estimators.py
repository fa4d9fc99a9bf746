"""The estimators against scikit-learn's, in a hundred cases of `scripts/fuzz_estimators.py`; and what it can see."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import xpmlp
from fuzz_estimators import told
from parity import reference
from parity.cases import Case, draw, program, script
from parity.comparison import describe, judge, shrink, signature
from parity.options import AXES, CHANGES, FAULTS, MOVES, PARAMETERS, TARGET_FORMS, TARGETS, UNUSABLE_PARAMETERS, WEIGHTS

SCRIPT = Path(__file__).parent.parent / "scripts" / "fuzz_estimators.py"
SEED = 0
CASES = range(100)

pytestmark = pytest.mark.usefixtures("once")


@pytest.fixture(scope="module")
def once(pytestconfig):
    """Run where NumPy is among the backends asked for: the cases compute on it."""
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")


def test_a_hundred_cases_show_no_difference_from_scikit_learn():
    found = []
    for number in CASES:
        case = draw(SEED, number)
        result = judge(case, xpmlp)
        if result.differences:
            found.append(f"case {number}: {signature(case, result)}\n{describe(case, result)}")
    assert not found, "\n\n".join(found)


# What the fuzz can see: estimators with a fault that is planted, in the place of ours.


class Shifted(reference.MLPClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) * (1 + 1e-9)


class Rude(reference.MLPClassifier):
    def fit(self, X, y, sample_weight=None, **held_out):
        try:
            return super().fit(X, y, sample_weight, **held_out)
        except ValueError as error:
            raise TypeError(str(error)) from error


class Silent(reference.MLPClassifier):
    def fit(self, X, y, sample_weight=None, **held_out):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return super().fit(X, y, sample_weight, **held_out)


class Deaf(reference.MLPClassifier):
    def fit(self, X, y, sample_weight=None, **held_out):
        del sample_weight
        return super().fit(X, y, **held_out)


class Forgetful(reference.MLPClassifier):
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        self.__dict__.pop("_optimizer", None)
        return super().partial_fit(X, y, sample_weight, classes=classes)


class Careless(reference.MLPClassifier):
    def fit(self, X, y, sample_weight=None, **held_out):
        np.random.uniform()  # noqa: NPY002 - a draw that is not scikit-learn's
        return super().fit(X, y, sample_weight, **held_out)


class Rounded(reference.MLPClassifier):
    """The same, computed in another order: no fault."""

    def _init_coef(self, *args):
        return tuple(p * (1 + np.finfo(p.dtype).eps) for p in super()._init_coef(*args))


def standing_in(classifier):
    classifier.__name__ = "MLPClassifier"  # for `repr`; a pickle finds it by its qualified name
    return SimpleNamespace(MLPClassifier=classifier, MLPRegressor=reference.MLPRegressor)


def kinds(estimators, cases=CASES):
    return Counter(judge(draw(SEED, number), estimators).kind for number in cases)


def test_scikit_learn_does_not_differ_from_itself():
    found = kinds(reference)
    assert found["different"] == found["rounding"] == 0
    assert found["same"] > 50
    assert found["both raise"] > 5


@pytest.mark.parametrize(
    "planted", [Shifted, Rude, Silent, Deaf, Forgetful, Careless], ids=lambda planted: planted.__qualname__
)
def test_a_planted_fault_is_found(planted):
    assert any(judge(draw(SEED, number), standing_in(planted)).kind == "different" for number in range(400))


def test_rounding_is_no_difference():
    assert kinds(standing_in(Rounded))["different"] == 0


class OnlyWithoutPenalty(reference.MLPClassifier):
    def fit(self, X, y, sample_weight=None, **held_out):
        if self.alpha == 0:
            raise KeyError("alpha")
        return super().fit(X, y, sample_weight, **held_out)


def test_a_case_is_shrunk_to_what_the_difference_takes_and_its_code_shows_it():
    estimators = standing_in(OnlyWithoutPenalty)
    for number in range(200):
        case = draw(SEED, number)
        result = judge(case, estimators) if len(case.parameters) > 3 else None
        if result and result.differences and signature(case, result) == "fit: KeyError against none":
            break
    else:
        pytest.fail("no case has it")
    small, result = shrink(case, result, estimators)
    assert small.parameters == {"alpha": "0"}
    assert small.options["container"] == "C order"
    code = describe(small, result)
    assert code.splitlines()[-1] == "# outcome: KeyError: 'alpha'; scikit-learn: success"
    with pytest.raises(KeyError, match="alpha"):
        exec(code, {"MLPClassifier": None} | _with_import_of(OnlyWithoutPenalty))  # noqa: S102 - code of the fuzz


def _with_import_of(classifier):
    """Give names in which the code imports a stand-in in the place of `xpmlp`'s."""

    def importing(name, *arguments):
        return SimpleNamespace(MLPClassifier=classifier) if name == "xpmlp" else __import__(name, *arguments)

    return {"__builtins__": vars(__import__("builtins")) | {"__import__": importing}}


# The cases


def test_a_seed_and_a_number_mean_one_case():
    assert draw(3, 14) == draw(3, 14)
    assert len({str(draw(seed, number)) for seed in (3, 4) for number in range(20)}) == 40


def test_every_option_is_drawn():
    cases = [draw(SEED, number) for number in range(6000)]
    tables = {"weights": WEIGHTS, "move": MOVES, "change": CHANGES, "fault": FAULTS} | AXES
    for axis, table in tables.items():
        assert set(table) <= {case.options[axis] for case in cases}, axis
    for estimator, table in TARGETS.items():
        assert set(table) == {case.options["target"] for case in cases if case.estimator == estimator}
    for kind, table in TARGET_FORMS.items():
        assert set(table) == {case.options["target form"] for case in cases if case.target_kind == kind}
    drawn = {item for case in cases for item in case.parameters.items()}
    assert {(name, value) for name, values in PARAMETERS.items() for value in values[1:]} <= drawn
    assert set(UNUSABLE_PARAMETERS) <= drawn


def test_programs_are_valid_python():
    for number in range(1000):
        case = draw(SEED, number)
        compile(script(program(case, device="cpu"), case.estimator), f"case {number}", "exec")


def test_what_cannot_be_made_is_left_out_with_the_reason():
    case = draw(SEED, 0)
    impossible = Case(0, 0, case.estimator, case.options | {"rows": "30 rows"}, {"alpha": "no_such_name"})
    result = judge(impossible, xpmlp)
    assert result.kind == "left out"
    assert "no_such_name" in result.reason


# The script


def test_the_script_reports_counts_and_writes_json(tmp_path):
    out = tmp_path / "report.json"
    command = [sys.executable, str(SCRIPT), "--cases", "12", "--seed", "5", "--jobs", "1", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.stderr == ""
    report = json.loads(out.read_text())
    assert done.returncode == bool(report["differences"])
    assert sum(report["counts"].values()) == report["cases"] == 12
    assert done.stdout.startswith("12 cases with seed 5 in ")
    assert told(report) == done.stdout.rstrip("\n")


def test_the_script_shows_one_case():
    command = [sys.executable, str(SCRIPT), "--case", "0", "--seed", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own script
    assert done.stderr == ""
    assert done.stdout.split()[0] in {"same", "both", "rounding", "different", "left"}
