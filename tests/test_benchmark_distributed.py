"""The model of scaling, the benchmark in its shortest form, and the page that shows what it measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmark_distributed import main, tables
from pages import DOCS, fill, shown
from scaling.model import ASSUMED, Compute, Link, Step, fit_compute, fit_link
from xpmlp import InputError

ROOT = Path(__file__).parent.parent
MEASURED = ROOT / "benchmarks" / "distributed-cpu-2-cores.json"
PAGE = DOCS / "scaling.md"

REPORT = {
    "machine": {"cores": 2, "processor": "a processor", "mpi": "an MPI"},
    "rounds": 1,
    "networks": {"784-50-10": 159_044},
    "steps": [
        {
            "network": "784-50-10",
            "ranks": ranks,
            "shared": shared,
            "batch": batch,
            "seconds": 1e-6 * batch / ranks + 1e-4,
        }
        | {"communication": 0.1 * shared}
        for ranks, shared in ((1, False), (1, True), (2, True))
        for batch in (64, 256, 512, 1024)
    ],
    "sums": [{"ranks": 2, "bytes": size, "seconds": 1e-5 + size / 1e9} for size in (8, 1000, 10**6)],
}

STEP = Step(Compute(1e-3, 1e-5), Link(1e-5, 1e9), 10**6)


def test_a_step_takes_its_own_work_and_the_sum_over_the_ranks():
    assert STEP.seconds(1, 100) == pytest.approx(1e-3 + 100e-5)
    assert STEP.seconds(4, 100) == pytest.approx(1e-3 + 25e-5 + 4 * 1e-5 + 2 * 3 / 4 * 1e-3)
    assert STEP.seconds(5, 100) == pytest.approx(1e-3 + 20e-5 + 6 * 1e-5 + 2 * 4 / 5 * 1e-3)
    assert STEP.efficiency(1, 100) == 1


@pytest.mark.parametrize("ranks", [2, 8, 64, 512])
def test_from_the_least_batch_on_ranks_are_half_efficient(ranks):
    least = STEP.least_batch(ranks)
    assert STEP.efficiency(ranks, least) == pytest.approx(0.5)
    assert STEP.efficiency(ranks, 1.1 * least) > 0.5


def test_the_fastest_number_of_ranks_is_none_where_sums_take_longer_than_they_save():
    assert STEP.fastest(10) == 1
    assert STEP.fastest(1000) == min((2**k for k in range(13)), key=lambda ranks: STEP.seconds(ranks, 1000))
    assert Step(STEP.compute, Link(0.0, 1e30), 1).fastest(1000) == 4096


def test_the_constants_are_found_again_from_what_they_give():
    compute = fit_compute({rows: STEP.seconds(1, rows) for rows in (64, 256, 1024)})
    assert (compute.fixed, compute.row) == pytest.approx((1e-3, 1e-5))
    for ranks in (2, 3):
        link = fit_link({size: STEP.link.sum_seconds(ranks, size) for size in (8, 1000, 10**6)}, ranks)
        assert (link.latency, link.bandwidth) == pytest.approx((1e-5, 1e9))


def test_the_benchmark_measures_every_case_and_writes_its_tables(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mpi4py", reason="the extra mpi is not installed")
    if not (Path(sys.executable).parent / "mpiexec").exists():
        pytest.skip("there is no mpiexec beside Python: pip install mpich")
    monkeypatch.setattr("benchmark_distributed.BATCHES", (16, 64))
    monkeypatch.setattr("benchmark_distributed.WEAK", 16)
    out = tmp_path / "measured.json"
    main("1,2", rounds=1, seconds=0.0, out=out, page=None)
    report, shown = json.loads(out.read_text()), capsys.readouterr().out
    assert shown.splitlines() == list(tables(report))
    assert report["networks"] == {"784-50-10": 159_044, "784-512-512-10": 2_678_828}
    cases = {(step["network"], step["ranks"], step["shared"], step["batch"]) for step in report["steps"]}
    batches = {(1, False): (16, 64), (1, True): (16, 64), (2, True): (16, 32, 64)}
    assert cases == {(net, *key, k) for net in report["networks"] for key, sizes in batches.items() for k in sizes}
    assert all(0 <= step["communication"] < 1 and step["seconds"] > 0 for step in report["steps"])
    assert all(step["communication"] == 0 for step in report["steps"] if not step["shared"])
    assert {taken["ranks"] for taken in report["sums"]} == {2}
    for name in ("one process", "(weak)", *ASSUMED):
        assert name in shown


def test_numbers_of_ranks_without_one_are_refused():
    with pytest.raises(InputError, match="--ranks is '2,4', but must hold 1"):
        main("2,4", page=None)


def test_the_page_has_the_tables_of_what_was_measured():
    measured = MEASURED.exists() and list(tables(json.loads(MEASURED.read_text(encoding="utf-8"))))
    assert shown(PAGE) == (measured or ["Not measured yet."])


def test_the_tables_are_written_into_their_place_of_the_page_and_nothing_else_is(tmp_path, monkeypatch):
    page, found = tmp_path / "scaling.md", tmp_path / "found.json"
    page.write_bytes(PAGE.read_bytes())
    found.write_text(json.dumps(REPORT))
    monkeypatch.setattr("benchmark_distributed.PAGE", page)
    for _ in range(2):
        main(page=found)
        assert shown(page) == list(tables(REPORT))
    fill(page, shown(PAGE))
    assert page.read_bytes() == PAGE.read_bytes()
