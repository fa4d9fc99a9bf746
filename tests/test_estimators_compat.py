"""What of scikit-learn is private stands in one module, which says so where a part is missing."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import xpmlp
from xpmlp.estimators import _compat  # the module whose promises these are

ROOT = Path(__file__).parent.parent
PACKAGE = Path(xpmlp.__file__).parent


def private_imports(path):
    """Give what a file imports of scikit-learn that has a leading underscore."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.startswith("sklearn.") and "._" in name)


def test_one_module_imports_private_parts_of_scikit_learn():
    found = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if list(private_imports(path))}
    assert found == {"estimators/_compat.py"}


@pytest.mark.parametrize(
    "missing",
    [
        "from sklearn import base; del base._fit_context",
        "from sklearn.utils import _param_validation; del _param_validation.Interval",
        "from sklearn.utils import validation; del validation._check_sample_weight",
        "from sklearn.utils import optimize; del optimize._check_optimize_result",
        "from sklearn.neural_network import _stochastic_optimizers; del _stochastic_optimizers.AdamOptimizer",
        "from sklearn.neural_network import MLPClassifier as c; del c.__mro__[2]._parameter_constraints",
        "import sys; sys.modules['sklearn.callback'] = None",
    ],
)
def test_a_scikit_learn_without_such_a_part_is_told_of_with_its_version_and_what_is_needed(missing):
    code = (
        f"{missing}\nfrom xpmlp import BackendError\ntry: import xpmlp.estimators\nexcept BackendError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our code
    needed = "xpmlp's estimators need scikit-learn >=1.9,<1.10, but scikit-learn 1.9."
    assert done.stdout.startswith(needed), done.stdout + done.stderr
    assert "which lacks a part of it: " in done.stdout
    assert "pip install 'scikit-learn>=1.9,<1.10'" in done.stdout


def test_the_message_names_the_releases_that_the_package_asks_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"scikit-learn{_compat.SUPPORTED}" in project["dependencies"]
