"""The benchmark of threads: what a training is given, and what the page shows."""

import json
import os

import pytest
from links import ROOT

from benchmark_threads import MARK, PAGE, commands, lines, seconds
from pages import shown

MEASURED = ROOT / "benchmarks" / "threads-cpu-2-cores.json"
ASKS = """
import os, sys, time
with open(sys.argv[1], "w") as file:
    print(os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("OMP_NUM_THREADS"), file=file)
"""


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize(("threads", "number"), [("all", os.cpu_count()), ("one", 1), ("chosen", None)])
def test_a_training_is_told_all_threads_or_one_or_nothing(tmp_path, monkeypatch, threads, number, busy):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert seconds(["-c", ASKS, str(tmp_path / "told")], threads, busy=busy, patience=0) > 0
    assert (tmp_path / "told").read_text() == f"{number} None\n"


def test_each_network_is_trained_by_the_command_line_and_by_an_estimator():
    names = [*commands(2)]
    assert [name.removeprefix("`train`, ") for name in names[:4]] == [
        name.removeprefix("`fit`, ") for name in names[4:]
    ]


def test_the_page_shows_what_was_measured():
    assert shown(PAGE, MARK) == [*lines(json.loads(MEASURED.read_text(encoding="utf-8")))]
