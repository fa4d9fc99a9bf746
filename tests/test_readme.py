"""The README's promises that a test can keep."""

from __future__ import annotations

import re
from pathlib import Path

import xpmlp
import xpmlp.cli
from xpmlp.cli import _evaluate, _export, _gradcheck, _predict, _search, _show, _train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_quick_start_lines_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in ("pip install . && xpmlp train", "pip install -e '.[test]' && pytest"):
        assert line in README
        assert line in ci


def test_every_option_that_the_readme_names_exists():
    modelling = (_train.train, _search.search, _evaluate.evaluate, _predict.predict)
    commands = (*modelling, _export.export, _show.show, _gradcheck.gradcheck)
    known = {name.replace("_", "-") for command in commands for name in command.__kwdefaults__ or {}}
    own = {"out", "figure", "draw", "quick", "repetitions", "json"} | {"backend", "help"}  # of scripts and pytest
    named = set(re.findall(r"--([a-z][a-z0-9-]+)", README))
    assert named <= known | own
    assert xpmlp.cli.app.registered_commands


def test_links_to_files_of_the_project_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
