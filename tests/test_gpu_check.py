"""`scripts/gpu_check.py`, on a CPU: every part runs, and what fails is said."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "scripts" / "gpu_check.py"


def run(folder, *arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own script


def test_every_part_is_tried_and_written_down(data_dir, tmp_path, pytestconfig):
    if "numpy" not in pytestconfig.backends:
        pytest.skip("runs on numpy, which is not asked for")
    arguments = ("--backend", "numpy", "--epochs", 4, "--no-suite", "--data-dir", data_dir.absolute())
    done = run(tmp_path, *arguments, "--out", "gpu.json")
    assert done.returncode == 0, done.stderr
    parts = json.loads((tmp_path / "gpu.json").read_text())["parts"]
    assert list(parts) == ["report", "graphs against eager steps", "gradients", "memory"]
    assert all(part["passed"] for part in parts.values())
    report = parts["report"]
    assert report["epochs"] == 4
    assert 0 < report["seconds_of_a_later_epoch"] < report["seconds_from_start"]
    assert 0.3 < report["test_accuracy"] < 0.8
    compared = parts["graphs against eager steps"]
    assert compared["steps"] >= 1000
    assert compared["apart"] == 0  # NumPy has no graphs: both runs are the same


def test_a_backend_that_is_missing_is_one_message(tmp_path):
    done = run(tmp_path, "--backend", "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: backend is 'nothing', but must be one of:")
