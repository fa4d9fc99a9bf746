"""The README's table of other libraries, and docs/performance.md's of targets, are the figures under benchmarks/."""

import json
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RUNS = [json.loads((ROOT / f"benchmarks/peers-cpu-2-cores-{number}.json").read_text()) for number in (1, 2, 3)]
WORKLOADS = ("small", "wide-sgd", "wide-adam", "tiny", "predict", "predict-one")


def table(page, first):
    """The cells of the table whose first row of figures begins with `first`, by the first cell of each row."""
    lines = iter((ROOT / page).read_text().splitlines())
    line = next(line for line in lines if line.startswith(f"| {first} |"))
    rows = {}
    while line.startswith("|"):
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name], line = cells, next(lines)
    return rows


@pytest.mark.parametrize(
    "contender", [name for name in RUNS[0]["workloads"]["small"]["results"] if name != "xpmlp-numpy"]
)
def test_the_readme_has_each_contenders_median_of_three_runs(contender):
    shown = table("README.md", "xpmlp on NumPy")
    if contender in ("floor-torch", "floor-jax"):
        assert contender not in shown
        return
    for workload, cell in zip(WORKLOADS, shown[contender], strict=True):
        results = [run["workloads"][workload]["results"] for run in RUNS]
        medians = [result[contender]["to_xpmlp"]["median"] for result in results if contender in result]
        assert cell == (f"{statistics.median(medians):.2f}" if medians else "")


def test_the_targets_on_the_page_are_those_of_the_runs():
    """Each figure, in the order of the benchmark's own list; memory is summed up in a row of its own."""
    shown = table("docs/performance.md", "small: over its floor, at most 1.20")
    summed_up = shown.pop("peak memory: below every peer's, on every workload")
    targets = [[target for target in run["targets"] if "memory" not in target["target"]] for run in RUNS]
    measured = sorted([f"{target['value']:.2f}" for target in same] for same in zip(*targets, strict=True))
    assert sorted(cells[:3] for cells in shown.values()) == measured
    memory = [target["met"] for run in RUNS for target in run["targets"] if "memory" in target["target"]]
    assert summed_up == ["met"] * 4
    assert all(memory)
    assert not any(run["disagreements"] for run in RUNS)
