"""The benchmark of stacks: both ways end with the same weights, and the page shows what was measured."""

import json

import numpy as np
import pytest
from links import ROOT

from benchmark_stacks import PAGE, SEARCHES, WORKLOADS, data_of, is_met, lines, measure, measure_searches
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
    X, y = data_of("modeldata/penguins", 100)
    assert X.dtype == np.float32
    found = measure_searches("penguins", X, y, rounds=1, epochs=1)
    stacked, theirs, ours = SEARCHES
    assert found["shape"][0] == 100
    assert found["ratios"][stacked] == 1.0
    assert found["ratios"][theirs] == pytest.approx(found["seconds"][theirs] / found["seconds"][stacked])
    assert found["differences"][ours] < 1e-6
    assert found["same best"]
    assert not is_met(found | {"ratios": dict.fromkeys(SEARCHES, 0.9)})
    assert is_met(found | {"ratios": dict.fromkeys(SEARCHES, 9.0)})


def test_the_page_has_a_row_for_each_search():
    seconds, ratios = (dict(zip(SEARCHES, values, strict=True)) for values in ((2.0, 8.0, 5.0), (1.0, 4.0, 2.5)))
    row = {"data": "a table", "shape": (1000, 7), "seconds": seconds, "ratios": ratios}
    report = {"backend": "numpy", "threads": 1, "epochs": 9, "rounds": 2, "machine": {"cores": 2, "processor": "X"}}
    assert (
        list(lines(report | {"results": [], "searches": [row]}))[-1]
        == "| a table, 1,000 x 7 | 2.00 | 8.00 | 5.00 | 4.0, 2.5 |"
    )


def test_the_page_has_a_row_for_each_workload():
    row = {"workload": "8 of 1-2-3, K = 4", "alone_seconds": 1.0, "stacks_seconds": 0.25, "ratio": 4.0}
    report = {"backend": "numpy", "threads": 1, "epochs": 9, "rounds": 2, "machine": {"cores": 2, "processor": "X"}}
    assert list(lines(report | {"results": [row]}))[-1] == "| 8 of 1-2-3, K = 4 | 1.000 | 0.250 | 4.0 |"


def test_the_page_shows_what_was_measured():
    report = json.loads((ROOT / "benchmarks" / "stacks-cpu-2-cores.json").read_text(encoding="utf-8"))
    assert shown(PAGE) == list(lines(report))
