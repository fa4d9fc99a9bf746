"""The shape of the package: imports run downwards only, and array libraries are named in one place."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import xpmlp

ROOT = Path(xpmlp.__file__).parent

# From the bottom up: a wing imports from the levels below its own.
LEVELS = [
    {"common"},
    {"backends"},
    {"data", "distributed", "nn"},
    {"training"},
    {"models", "plots"},
    {"estimators", "experiments"},
    {"accel", "search"},
    {"cli"},
    {"__main__"},
]
LEVEL = {wing: level for level, wings in enumerate(LEVELS) for wing in wings}
MATHS = {"nn", "training"}
ARRAY_LIBRARIES = {"array_api_compat", "array_api_strict", "cupy", "cupyx", "dask", "jax", "mlx", "torch"}
HOSTS_NUMPY = {
    "nn/initializers.py",
    "nn/padding.py",
    "training/ensemble.py",
    "training/many.py",
    "training/packs.py",
    "training/settings.py",
    "training/selection.py",
}  # weights and orders are drawn on the host, and ensembles are selected there
SOURCES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def wing_of(path):
    """The wing that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def module_of(path):
    """The full name of the module in a file, or of the package where it is an `__init__`."""
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in [*SOURCES, ROOT / "__init__.py"]}


def imports(text, module="xpmlp.some.module", *, is_package=False):
    """Every module that a file imports, wherever it does so and in whatever form, for type checkers too.

    What is imported from the root is the module that the root takes it from.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level + is_package or None] if node.level else []
            source = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                home = xpmlp._HOME_OF.get(alias.name) if source == "xpmlp" else None
                name = home or f"{source}.{alias.name}"
                yield name if name in MODULES else source


def imports_of(path):
    return set(imports(path.read_text(), module_of(path), is_package=path.stem == "__init__"))


def id_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("statement", "module"),
    [
        ("import xpmlp.nn.losses", "xpmlp.nn.losses"),
        ("from xpmlp.nn import losses", "xpmlp.nn.losses"),
        ("from xpmlp import nn", "xpmlp.nn"),
        ("from xpmlp import LOSSES", "xpmlp.nn.losses"),
        ("from ..nn.losses import LOSSES", "xpmlp.nn.losses"),
        ("from .. import nn", "xpmlp.nn"),
        ("if TYPE_CHECKING:\n    from xpmlp.nn.losses import Loss", "xpmlp.nn.losses"),
        ("def f():\n    from xpmlp.nn.losses import Loss", "xpmlp.nn.losses"),
    ],
)
def test_every_form_of_import_is_seen(statement, module):
    assert list(imports(statement)) == [module]


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_imports_run_downwards_only(path):
    own = wing_of(path)
    for name in imports_of(path):
        other = name.split(".")[1] if name.startswith("xpmlp.") else own
        assert other == own or LEVEL[other] < LEVEL[own], f"{own} imports {name}, which is not below it"


def test_no_modules_import_each_other_in_a_circle():
    graph = {module_of(path): imports_of(path) & MODULES for path in SOURCES}
    list(graphlib.TopologicalSorter(graph).static_order())  # raises a CycleError that names them


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_only_the_backends_name_array_libraries(path):
    named = {name.split(".")[0] for name in imports_of(path)}
    assert wing_of(path) == "backends" or not named & ARRAY_LIBRARIES


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_only_the_distributed_wing_names_mpi(path):
    named = {name.split(".")[0] for name in imports_of(path)}
    assert wing_of(path) == "distributed" or "mpi4py" not in named


@pytest.mark.parametrize("path", [path for path in SOURCES if wing_of(path) in MATHS], ids=id_of)
def test_the_maths_does_not_name_numpy(path):
    named = {name.split(".")[0] for name in imports_of(path)}
    assert id_of(path) in HOSTS_NUMPY or "numpy" not in named


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_products_go_through_the_namespace_and_not_the_matrix_operator(path):
    operators = [type(node.op) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.BinOp)]
    assert ast.MatMult not in operators


@pytest.mark.parametrize("path", SOURCES, ids=id_of)
def test_no_function_takes_more_than_six_arguments_by_position(path):
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    for function in functions:
        names = [each.arg for each in (*function.args.posonlyargs, *function.args.args)]
        assert len(names) - (names[:1] in (["self"], ["cls"])) <= 6, f"{function.name} takes {names}"


def test_every_wing_has_a_level_and_every_level_is_a_wing():
    assert {wing_of(path) for path in SOURCES} == set(LEVEL)


@pytest.mark.parametrize("wing", sorted(set(LEVEL) - {"__main__"}))
def test_every_wing_says_what_it_holds_and_what_it_may_import(wing):
    about = ast.get_docstring(ast.parse((ROOT / wing / "__init__.py").read_text()))
    assert "It imports" in about
