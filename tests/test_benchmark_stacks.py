"""The benchmark of stacks: both ways end with the same weights, and the page shows what was measured."""

import json

import pytest
from links import ROOT

from benchmark_stacks import PAGE, WORKLOADS, lines, measure, measure_searches
from pages import shown
from xpmlp import get_backend


def test_both_ways_are_timed_and_end_with_the_same_weights():
    workload = WORKLOADS[0]._replace(members=3, examples=100)
    found = measure(get_backend("numpy"), workload, rounds=1, epochs=1)
    assert found["workload"] == "3 of 2-100-2, K = 10"
    assert found["ratio"] == pytest.approx(found["alone_seconds"] / found["stacks_seconds"])
    assert found["difference"] < 1e-5


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_searches_are_timed_and_find_the_same():
    stacked, theirs, ours = measure_searches(rounds=1, epochs=1, n=100)
    assert stacked["ratio"] == 1.0
    assert theirs["ratio"] == pytest.approx(theirs["seconds"] / stacked["seconds"])
    assert ours["difference"] < 1e-6


def test_the_page_has_a_row_for_each_search():
    row = {"search": "a search", "seconds": 2.0, "ratio": 4.0}
    report = {"backend": "numpy", "threads": 1, "epochs": 9, "rounds": 2, "machine": {"cores": 2, "processor": "X"}}
    assert list(lines(report | {"results": [], "searches": [row]}))[-1] == "| a search | 2.00 | 4.0 |"


def test_the_page_has_a_row_for_each_workload():
    row = {"workload": "8 of 1-2-3, K = 4", "alone_seconds": 1.0, "stacks_seconds": 0.25, "ratio": 4.0}
    report = {"backend": "numpy", "threads": 1, "epochs": 9, "rounds": 2, "machine": {"cores": 2, "processor": "X"}}
    assert list(lines(report | {"results": [row]}))[-1] == "| 8 of 1-2-3, K = 4 | 1.000 | 0.250 | 4.0 |"


def test_the_page_shows_what_was_measured():
    report = json.loads((ROOT / "benchmarks" / "stacks-cpu-2-cores.json").read_text(encoding="utf-8"))
    assert shown(PAGE) == list(lines(report))
