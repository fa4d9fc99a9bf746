"""The benchmark of small fits: both estimators learn the same, and the page shows what was measured."""

import json

import pytest
from links import ROOT

from benchmark_small_fits import CASES, PAGE, THREADS, Case, is_met, lines, means, measure
from pages import shown

MEASURED = ROOT / "benchmarks" / "small-fits-cpu-2-cores.json"


@pytest.mark.parametrize(
    "case",
    [Case("iris", "lbfgs"), Case("sparse digits", "adam", early_stopping=True), Case("iris", "sgd", folds=3)],
    ids=lambda case: case.name,
)
def test_both_estimators_are_timed_and_learn_the_same(case):
    found = measure(case, rounds=1, parameters={"max_iter": 2})
    assert found["case"] == case.name
    assert found["difference"] < 1e-9
    for name in THREADS:
        seconds = found["seconds"][name]
        assert found["ratios"][name] == pytest.approx(seconds["scikit-learn"] / seconds["xpmlp"])


def row_of(case, ratio):
    seconds = {name: {"scikit-learn": 0.01 * ratio, "xpmlp": 0.01} for name in THREADS}
    return {"case": case.name, **case._asdict(), "seconds": seconds, "ratios": dict.fromkeys(THREADS, ratio)}


def test_one_slower_fit_or_a_low_mean_of_a_group_is_below_the_targets():
    def met(*ratios):
        results = [row_of(case, ratio) for case, ratio in zip((CASES[0], CASES[2], CASES[4]), ratios, strict=True)]
        return is_met({"results": results, "means": means(results)})

    assert met(1.1, 1.6, 1.7)
    assert not met(0.9, 1.6, 1.7)
    assert not met(1.1, 1.4, 1.7)
    assert not met(1.1, 1.6, 1.4)


def test_the_page_has_a_row_for_each_case_and_each_mean():
    results = [row_of(Case("iris", "lbfgs"), 2.0), row_of(Case("iris", "sgd"), 0.5)]
    machine, versions = {"cores": 2, "processor": "X"}, {"scikit-learn": "1.9"}
    report = {"machine": machine, "threads": {"default": 2}, "versions": versions, "rounds": 3}
    found = list(lines(report | {"results": results, "means": means(results)}))
    assert found[4:] == [
        "| iris, lbfgs | 2.00 | 2.00 | 10 |",
        "| iris, sgd | 0.50 | 0.50 | 10 |",
        "| **geometric mean, all** | 1.00 | 1.00 | |",
        "| **geometric mean, lbfgs** | 2.00 | 2.00 | |",
    ]


def test_the_page_shows_what_was_measured():
    measured = MEASURED.exists() and list(lines(json.loads(MEASURED.read_text(encoding="utf-8"))))
    assert shown(PAGE) == (measured or ["Not measured yet."])
