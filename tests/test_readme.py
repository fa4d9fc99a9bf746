"""The README's promises that a test can keep."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import typer
from sklearn.neural_network import MLPClassifier, MLPRegressor

import xpmlp
import xpmlp.cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ESTIMATORS = (ROOT / "docs" / "estimators.md").read_text(encoding="utf-8")


def snippets_of(page):
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def run(snippet, name, names):
    exec(compile(snippet, name, "exec"), names)  # noqa: S102 - it is our own page


def test_the_python_snippets_run_as_they_are_printed_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    snippets = snippets_of(README)
    assert len(snippets) == 4
    names = {}
    for snippet in snippets:
        run(snippet, "README.md", names)
    assert names["check"].passed
    assert (tmp_path / "digits.safetensors").exists()
    assert "W" in capsys.readouterr().out


def test_the_snippet_on_streams_runs_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (snippet,) = snippets_of((ROOT / "docs" / "streams.md").read_text(encoding="utf-8"))
    names = {}
    run(snippet, "streams.md", names)
    assert names["record"].scores["validation"].accuracy > 0.9


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few epochs, to be read in a moment
def test_the_snippets_on_estimators_run_as_they_are_printed_one_after_the_other(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    missing = {"cuda:0"} | ({"torch"} if importlib.util.find_spec("torch") is None else set())
    names, left_out = {}, 0
    for snippet in snippets_of(ESTIMATORS):
        if any(f'"{word}"' in snippet or f"import {word}" in snippet for word in missing):
            left_out += 1
        else:
            run(snippet, "estimators.md", names)
    assert left_out <= 3
    assert names["model"].fit(names["X_train"], names["y_train"]).score(names["X_test"], names["y_test"]) > 0.9


def test_the_page_on_estimators_names_every_parameter_that_scikit_learn_lacks():
    for ours, theirs in ((xpmlp.MLPClassifier(), MLPClassifier()), (xpmlp.MLPRegressor(), MLPRegressor())):
        extra = set(ours.get_params()) - set(theirs.get_params())
        assert extra
        for name in extra:
            assert f"`{name}" in ESTIMATORS or f"{name}=" in ESTIMATORS, name


def test_the_quick_start_lines_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in ("pip install . && xpmlp train", "pip install -e '.[test]' && pytest"):
        assert line in README
        assert line in ci


def test_every_option_that_the_readme_names_exists():
    commands = typer.main.get_command(xpmlp.cli.app).commands.values()
    known = {flag.removeprefix("--") for command in commands for option in command.params for flag in option.opts}
    known |= {"no-graph"}  # what --no-graphs was called before
    own = {"out", "figure", "draw", "quick", "repetitions", "json"} | {"backend", "help"}  # of scripts and pytest
    named = set(re.findall(r"--([a-z][a-z0-9-]+)", README))
    assert named <= known | own


def test_links_to_files_of_the_project_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
