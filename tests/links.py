"""Links of the project's pages, whether they lead somewhere, and the rows of their tables.

A link to code is [`module.name`](../xpmlp/wing/module.py), one to a test [`test_name`](../tests/test_file.py). What a
link names has to be defined in that very file.
"""

from __future__ import annotations

import ast
import functools
import importlib
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs/reference").glob("*.md")),
    *sorted((ROOT / "xpmlp").rglob("README.md")),
]
LINK = re.compile(r"\[`(?P<name>[\w.]+)`\]\((?:\.\./)*(?P<folder>xpmlp|tests)/(?P<path>[\w/]+)\.py\)")


class Link(NamedTuple):
    name: str
    folder: str
    path: str


def links_of(text):
    """Give the links to code and to tests."""
    return [Link(**match.groupdict()) for match in LINK.finditer(text)]


def targets_of(text):
    """Give the targets of all links, those in blocks of code left out."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\(\s*(\S+?)\s*\)", re.sub(r"``.+?``", "", prose))


@functools.cache
def anchors_of(page):
    """Give the anchors that GitHub makes of a page's headings."""
    anchors = []
    for heading in re.findall(r"^#{1,6} (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        anchors.append(f"{anchor}-{anchors.count(anchor)}" if anchor in anchors else anchor)
    return set(anchors)


def leads_somewhere(page, target):
    """Whether a link's file, or folder, and its anchor are there; those to other sites are not followed."""
    if re.match(r"[a-z]+:", target):
        return True
    path, _, anchor = target.partition("#")
    found = (page.parent / path) if path else page
    return found.exists() and (not anchor or anchor in anchors_of(found))


@functools.cache
def names_of_tests(path):
    """Name the tests of a file, those of its classes as `Class::test`."""
    names = set()
    for node in ast.parse((ROOT / "tests" / f"{path}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return {name for name in names if name.split("::")[-1].startswith("test_")}


def exists(link):
    """Whether a link's file exists and itself defines what the link names."""
    if not (ROOT / link.folder / f"{link.path}.py").is_file():
        return False
    if link.folder == "tests":
        return link.name in names_of_tests(link.path)
    module, *names = link.name.split(".")
    if module != Path(link.path).name or not names:
        return False
    found = importlib.import_module(f"xpmlp.{link.path.replace('/', '.')}")
    home = found.__name__
    for name in names:
        found = getattr(found, name, None)
    return found is not None and getattr(found, "__module__", home) == home


def broken(text):
    """Give the names of links to code and tests that are not defined where the links lead."""
    return [link.name for link in links_of(text) if not exists(link)]


def rows_of(page, first):
    """Give the cells of the table whose first row of figures begins with `first`, by the first cell of each row."""
    lines = iter((ROOT / page).read_text(encoding="utf-8").splitlines())
    line = next(line for line in lines if line.startswith(f"| {first} |"))
    rows = {}
    while line.startswith("|"):
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name], line = cells, next(lines)
    return rows
