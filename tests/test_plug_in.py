"""A backend that another package brings: it is built, installed, and found by its name."""

import subprocess
import sys

import pytest

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "xpmlp-example-backend"
version = "1.0"

[project.entry-points."xpmlp.backends"]
example = "example_backend:Example"
other = "nowhere:Other"

[tool.hatch.build.targets.wheel]
include = ["example_backend.py"]
"""
MODULE = """
from xpmlp import StandardBackend

class Example(StandardBackend):
    name = "example"
    module = "array_api_compat.numpy"
"""
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from xpmlp import MLPClassifier, get_backend
print(get_backend("example", dtype="float64"))
X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
models = [MLPClassifier(max_iter=5, random_state=0, device=device).fit(X, y) for device in ("example", "numpy")]
print(abs(models[0].predict_proba(X) - models[1].predict_proba(X)).max() < 1e-12)
"""


def test_an_installed_package_brings_a_backend(tmp_path):
    pytest.importorskip("hatchling", reason="the package is built by it")
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "example_backend.py").write_text(MODULE)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", target, source], check=True)  # noqa: S603 - our own package
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, target]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own code
    assert shown.splitlines() == ["<xpmlp backend example on cpu in float64>", "True"]
