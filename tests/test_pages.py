"""The project's pages: their links lead somewhere, and the code, tests and figures that they name exist."""

from __future__ import annotations

import json
import re
import statistics

import pytest
from links import PAGES, ROOT, broken, leads_somewhere, names_of_tests, rows_of, targets_of

RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TEST = re.compile(r"`tests/(?P<path>\w+)\.py::(?P<name>\w+(?:::\w+)?)`")
RUNS = [json.loads((ROOT / f"benchmarks/peers-cpu-2-cores-{number}.json").read_text()) for number in (1, 2, 3)]
# Of a wing, a page may name the path without the package's folder before it.
TOPS = {path.name: path for path in (ROOT / "xpmlp").iterdir()}
TOPS |= {name: ROOT / name for name in ("benchmarks", "docs", "scripts", "tests", "xpmlp")}
WORKLOADS = ("small", "wide-sgd", "wide-adam", "tiny", "predict", "predict-one")


def id_of(page):
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_lead_to_files_and_headings_that_exist(page):
    targets = targets_of(page.read_text(encoding="utf-8"))
    assert [target for target in targets if not leads_somewhere(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_links_to_code_lead_to_what_they_name(page):
    assert broken(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", PAGES, ids=id_of)
def test_paths_of_the_project_that_a_page_names_exist(page):
    named = re.findall(r"`([\w-]+)/([\w/.-]+)`", page.read_text(encoding="utf-8"))
    paths = [TOPS[top] / rest for top, rest in named if top in TOPS]
    assert [path for path in paths if not path.exists()] == []


@pytest.mark.parametrize("found", list(TEST.finditer(RELIABILITY)), ids=lambda found: found["name"])
def test_every_test_that_the_page_on_reliability_names_exists(found):
    assert found["name"] in names_of_tests(found["path"])


def test_every_promise_of_the_page_on_reliability_names_the_test_that_holds_it():
    rows = [line for line in RELIABILITY.splitlines() if line.startswith("|") and "executions" not in line]
    promises = [row for row in rows if not re.match(r"\| (promise|---|`)", row)]
    assert len(promises) > 100
    assert [row for row in promises if not TEST.search(row.rstrip(" |").split("|")[-1])] == []


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("tour.md", True),
        ("tours.md", False),
        ("derivation.md#26-29-the-softmax-gives-probabilities", True),
        ("derivation.md#26-29-the-softmax", False),
        ("#notation", True),
        ("../xpmlp/nn/", True),
        ("https://example.org/nowhere", True),
    ],
)
def test_links_that_lead_nowhere_are_found(target, found):
    assert leads_somewhere(ROOT / "docs" / "derivation.md", target) is found


@pytest.mark.parametrize(
    "contender", [name for name in RUNS[0]["workloads"]["small"]["results"] if name != "xpmlp-numpy"]
)
def test_the_page_on_performance_has_each_contenders_median_of_three_runs(contender):
    shown = rows_of("docs/performance.md", "xpmlp on NumPy")
    if contender in ("floor-torch", "floor-jax"):
        assert contender not in shown
        return
    for workload, cell in zip(WORKLOADS, shown[contender], strict=True):
        results = [run["workloads"][workload]["results"] for run in RUNS]
        medians = [result[contender]["to_xpmlp"]["median"] for result in results if contender in result]
        assert cell == (f"{statistics.median(medians):.2f}" if medians else "")


def test_the_page_on_performance_has_the_figures_of_the_targets():
    shown = rows_of("docs/performance-log.md", "small: over its floor, at most 1.20")
    targets = [[target for target in run["targets"] if "memory" not in target["target"]] for run in RUNS]
    measured = sorted([f"{target['value']:.2f}" for target in same] for same in zip(*targets, strict=True))
    assert sorted(cells[:3] for name, cells in shown.items() if "memory" not in name) == measured
