"""The README's promises that a test can keep."""

from __future__ import annotations

import re
from pathlib import Path

import xpmlp.cli
from xpmlp.cli import _evaluate, _gradcheck, _predict, _train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_snippets_run_as_they_are_printed_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    snippets = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(snippets) == 3
    names = {}
    for snippet in snippets:
        exec(compile(snippet, "README.md", "exec"), names)  # noqa: S102 - it is our own README
    assert names["check"].passed
    assert (tmp_path / "digits.safetensors").exists()
    assert "W" in capsys.readouterr().out


def test_the_quick_start_lines_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in ("pip install . && xpmlp train", "pip install -e '.[test]' && pytest"):
        assert line in README
        assert line in ci


def test_every_option_that_the_readme_names_exists():
    commands = (_train.train, _evaluate.evaluate, _predict.predict, _gradcheck.gradcheck)
    known = {name.replace("_", "-") for command in commands for name in command.__kwdefaults__ or {}}
    own = {"out", "figure", "draw", "quick"} | {"backend", "help"}  # of the scripts and of pytest
    named = set(re.findall(r"--([a-z][a-z0-9-]+)", README))
    assert named <= known | own
    assert xpmlp.cli.app.registered_commands


def test_links_to_files_of_the_project_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
