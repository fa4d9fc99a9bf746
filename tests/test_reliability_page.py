"""docs/reliability.md: every promise names tests that exist, as `tests/test_file.py::test_name`.

A table of promises has the column "held by" as its last one.
"""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")

TEST = re.compile(r"`(?P<path>tests/\w+\.py)::(?P<name>\w+(?:::\w+)?)`")


@functools.cache
def names_in(path):
    """Name the tests of a file, those of its classes as `Class::test`."""
    names = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return {name for name in names if name.split("::")[-1].startswith("test_")}


def promises(text):
    """Give the rows of the tables of promises."""
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        head, _, *rows = table.splitlines()
        if head.rstrip(" |").endswith("held by"):
            yield from rows


@pytest.mark.parametrize("found", list(TEST.finditer(TEXT)), ids=lambda found: found["name"])
def test_every_test_that_the_page_names_exists(found):
    assert (ROOT / found["path"]).is_file()
    assert found["name"] in names_in(found["path"])


def test_tests_are_named_in_the_one_form_that_is_checked():
    assert len(TEST.findall(TEXT)) == TEXT.count("tests/") > 0


def test_every_promise_names_a_test_that_holds_it():
    rows = list(promises(TEXT))
    assert rows
    for row in rows:
        assert TEST.search(row.rstrip(" |").split("|")[-1]), row
