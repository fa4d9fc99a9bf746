"""The project's pages: their links lead somewhere, and the code, tests and figures that they name exist."""

from __future__ import annotations

import re

import pytest
from links import PAGES, ROOT, broken, leads_somewhere, names_of_tests, targets_of

RELIABILITY = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
TEST = re.compile(r"`tests/(?P<path>\w+)\.py::(?P<name>\w+(?:::\w+)?)`")
# Of a wing, a page may name the path without the package's folder before it.
TOPS = {path.name: path for path in (ROOT / "xpmlp").iterdir()}
TOPS |= {name: ROOT / name for name in ("benchmarks", "docs", "scripts", "tests", "xpmlp")}


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
