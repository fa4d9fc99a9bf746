"""The shape of the package: imports run downwards only, and array libraries are named in one place."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import xpmlp

ROOT = Path(xpmlp.__file__).parent

# From the bottom up: a module imports from the levels below its own.
LEVELS = [
    ["elementwise", "errors", "types", "wording"],
    ["checks", "examples", "files", "npy", "options", "packages"],
    ["draws", "backends", "communicators", "folders"],
    ["activations"],
    ["losses"],
    ["network"],
    ["dropout"],
    ["penalties", "initializers", "schedules", "optimizers"],
    ["scoring", "gradcheck", "sharing"],
    ["training", "preprocessing", "datasets"],
    ["models", "estimators", "streams"],
    ["checkpoints", "exports"],
    ["experiments"],
    ["runs", "plots"],
    ["cards", "search"],
    ["cli"],
    ["__main__"],
]
LEVEL = {module: level for level, modules in enumerate(LEVELS) for module in modules}
MATHS = [
    "activations",
    "dropout",
    "elementwise",
    "examples",
    "gradcheck",
    "losses",
    "network",
    "optimizers",
    "penalties",
    "schedules",
    "scoring",
    "sharing",
    "training",
]
ARRAY_LIBRARIES = {"array_api_compat", "array_api_strict", "cupy", "cupyx", "jax", "torch"}
SOURCES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def part_of(path):
    """The module or sub-package of xpmlp that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def is_type_checking(node):
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree, *, with_types):
    """Every module that a file imports, wherever it does so; those for type checkers alone if asked."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node) and not with_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
        yield from imports(node, with_types=with_types)


def id_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_imports_run_downwards_only(path):
    own = part_of(path)
    assert own in LEVEL, f"{own} is new: give it a level in this test"
    for name in imports(ast.parse(path.read_text()), with_types=False):
        if not name.startswith("xpmlp."):
            continue
        other = name.split(".")[1]
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {other}, which is not below it"


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_only_the_backends_name_array_libraries(path):
    if part_of(path) == "backends":
        return
    named = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), with_types=True)}
    assert not named & ARRAY_LIBRARIES


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_only_the_communicators_name_mpi(path):
    named = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), with_types=True)}
    assert part_of(path) == "communicators" or "mpi4py" not in named


@pytest.mark.parametrize("path", [path for path in SOURCES if part_of(path) in MATHS], ids=id_of)
def test_the_maths_does_not_name_numpy(path):
    named = {name.split(".")[0] for name in imports(ast.parse(path.read_text()), with_types=True)}
    assert "numpy" not in named


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_products_go_through_the_namespace_and_not_the_matrix_operator(path):
    operators = [type(node.op) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.BinOp)]
    assert ast.MatMult not in operators


def test_every_module_has_a_level_and_every_level_is_a_module():
    assert {part_of(path) for path in SOURCES} == set(LEVEL)
