"""What `import xpmlp` offers, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import xpmlp

SLOW = ("cupy", "jax", "matplotlib", "numpy", "scipy", "sklearn", "torch")


def loaded_by(statement):
    """The slow packages that a statement loads in a fresh interpreter."""
    code = f"import sys; {statement}; print(*[name for name in {SLOW!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    return done.stdout.splitlines()[-1].split() if done.stdout.strip() else []


def test_importing_the_package_loads_nothing_slow():
    assert loaded_by("import xpmlp") == []


def test_the_help_of_the_command_line_loads_nothing_slow():
    statement = "from typer.testing import CliRunner; from xpmlp.cli import app; CliRunner().invoke(app, ['--help'])"
    assert loaded_by(statement) == []


@pytest.mark.torch_or_jax
def test_training_loads_neither_an_optional_backend_nor_matplotlib():
    assert not {"cupy", "jax", "torch", "matplotlib", "sklearn"} & set(
        loaded_by("from xpmlp import train, get_backend")
    )


@pytest.mark.parametrize("name", xpmlp.__all__)
def test_every_public_name_exists_and_is_documented(name):
    value = getattr(xpmlp, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert inspect.getdoc(value)


def test_names_are_listed_for_completion():
    assert set(xpmlp.__all__) <= set(dir(xpmlp))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = xpmlp.nonsense


def test_the_version_is_that_of_the_installed_distribution():
    assert xpmlp.__version__ == version("xpmlp")
