"""The README's promises that a test can keep."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import typer

from xpmlp.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPTIONS = {
    name: {option for parameter in command.params for option in parameter.opts}
    for name, command in typer.main.get_command(app).commands.items()
}


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


def test_every_command_line_has_the_command_and_the_options_that_it_names():
    blocks = "".join(re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)).replace("\\\n", "")
    lines = [line.partition("#")[0] for line in blocks.splitlines() if "xpmlp " in line and "pip install ." not in line]
    assert len(lines) > 12
    for line in lines:
        command, *words = line.partition("xpmlp ")[2].split()
        assert {word for word in words if word.startswith("--")} <= OPTIONS[command], line


def test_every_option_that_the_readme_names_exists():
    own = {"--help", "--out", "--figure", "--quick", "--repetitions"}  # of every command, and of scripts
    named = {*re.findall(r"(?<!\S)`?(--[a-z][a-z0-9-]+)", README)}
    assert named <= set.union(own, *OPTIONS.values())


def test_every_extra_that_the_readme_names_exists():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"'\.\[(\w+)\]'", README)) <= set(extras)
