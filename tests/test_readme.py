"""The README's promises that a test can keep, and those of the pages that show commands."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib

import matplotlib.pyplot as plt
import numpy as np
import pytest
import typer
from links import PAGES, ROOT, rows_of

import draw_readme
from xpmlp.cli import app

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 150
QUICK_START = ("pip install . && xpmlp train", "pip install -e '.[test]' && pytest")
# What a contender of the README's table is called on the pages that it takes its figures from.
ON_TABLES = {"scikit-learn's MLP": "scikit-learn's MLP in the pipeline of its guide"}
ON_PERFORMANCE = {"scikit-learn's MLP": "scikit-learn", "PyTorch, eager": "torch-eager", "JAX, `jit`": "jax-jit"}
OPTIONS = {
    name: {option for parameter in command.params for option in parameter.opts}
    for name, command in typer.main.get_command(app).commands.items()
}


def snippets_of(page, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


def run(snippet, name, names):
    exec(compile(snippet, name, "exec"), names)  # noqa: S102 - it is our own page


def commands_of(page):
    """Give the words of every command of xpmlp in a page's blocks, as a shell would."""
    blocks = "".join(snippets_of(page, "sh")).replace("\\\n", "")
    lines = [line.partition("xpmlp ")[2] for line in blocks.splitlines() if re.match(r"(mpiexec .*)?xpmlp ", line)]
    return [shlex.split(line, comments=True) for line in lines]


def test_it_is_short_and_begins_with_a_picture_for_light_pages_and_one_for_dark():
    assert len(README.splitlines()) <= MAX_LINES
    top = README[: README.index("\n## ")]
    shown = re.findall(r'"(docs/static/[\w.-]+)"', top)
    assert sorted(shown) == sorted(f"docs/static/readme-{page}.png" for page in draw_readme.COLOURS)


def test_its_pictures_are_small_and_what_the_gallery_draws(tmp_path):
    draw_readme.draw(tmp_path)
    for drawn in sorted(tmp_path.iterdir()):
        kept = ROOT / "docs" / "static" / drawn.name
        assert kept.stat().st_size < 200_000
        now, then = plt.imread(drawn), plt.imread(kept)
        assert now.shape == then.shape
        assert np.abs(now - then).mean() < 0.02  # fonts and rounding differ from machine to machine


@pytest.mark.torch_or_jax
def test_its_python_runs_as_it_is_printed_one_block_after_the_other(tmp_path):
    blocks = snippets_of(README)
    assert len(blocks) == 3
    assert [len(re.findall(r"^.", block, flags=re.MULTILINE)) for block in blocks] == [4, 4, 4]
    torch = importlib.util.find_spec("torch") is not None
    run_here = [block for block in blocks if torch or "torch" not in block]
    assert len(run_here) >= 2
    (tmp_path / "readme.py").write_text("\n".join(run_here), encoding="utf-8")
    command = [sys.executable, "-W", "ignore", str(tmp_path / "readme.py")]
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our page
    assert done.returncode == 0, done.stderr
    score, *device, last = done.stdout.splitlines()
    assert float(score) > 0.9
    assert len(device) == torch
    assert "alpha" in last


def test_its_commands_for_a_table_run_as_they_are_printed(tmp_path):
    pytest.importorskip("onnx", reason="the last one exports to ONNX")
    draws = np.random.default_rng(0)
    places = draws.choice(["town", "village"], size=120)
    rooms = draws.integers(1, 9, size=120)
    rows = [f"{place},{number},{1000 * number + 500.5}" for place, number in zip(places, rooms, strict=True)]
    (tmp_path / "houses.csv").write_text("\n".join(["place,rooms,price", *rows]))
    (tmp_path / "new.csv").write_text("rooms,place\n3,town\n,village\n")
    commands = commands_of(README)
    assert len(commands) == 4
    for words in commands:
        command = [sys.executable, "-m", "xpmlp", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - our page
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "houses.onnx").exists()
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 3


def test_the_quick_start_lines_are_the_ones_that_ci_runs():
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for line in QUICK_START:
        assert line in README
        assert line in ci


def test_its_table_of_alternatives_has_the_figures_of_the_pages_that_it_names():
    tables = rows_of("docs/tables.md", "`xpmlp train --pack 64`")
    epochs = rows_of("docs/performance.md", "xpmlp on NumPy")
    shown = rows_of("README.md", "`xpmlp train`")
    assert len(shown) > 8
    for name, (*scores, epoch) in shown.items():
        there = tables.get(ON_TABLES.get(name, name))
        assert scores == ([there[1], there[2], there[5]] if there else ["", "", ""]), name
        assert epoch in ("", "1") or epoch == epochs[ON_PERFORMANCE.get(name, name)][0], name
    assert f"xpmlp's {epochs['xpmlp on NumPy'][0].split()[0]} s" in README


def test_the_snippet_on_streams_runs_as_it_is_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (snippet,) = snippets_of((ROOT / "docs" / "streams.md").read_text(encoding="utf-8"))
    names = {}
    run(snippet, "streams.md", names)
    assert names["record"].scores["validation"].accuracy > 0.9


def test_the_snippets_from_python_run_as_they_are_printed_one_after_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in snippets_of((ROOT / "docs" / "python.md").read_text(encoding="utf-8")):
        run(snippet, "python.md", names)
    assert names["check"].passed
    assert (tmp_path / "digits.safetensors").exists()
    assert "W" in capsys.readouterr().out


def test_every_command_of_a_page_has_the_command_and_the_options_that_it_names():
    commands = [words for page in PAGES for words in commands_of(page.read_text(encoding="utf-8"))]
    assert len(commands) > 40
    for command, *words in commands:
        assert {word for word in words if word.startswith("--")} <= OPTIONS[command] | {"--help"}, (command, words)


@pytest.mark.parametrize("page", ["README.md", "docs/command-line.md", "docs/backends.md"])
def test_every_option_that_a_page_names_exists(page):
    own = {"--help", "--out", "--figure", "--quick", "--repetitions"}  # of every command, and of scripts
    named = {*re.findall(r"(?<!\S)`?(--[a-z][a-z0-9-]+)", (ROOT / page).read_text(encoding="utf-8"))}
    assert named <= set.union(own, *OPTIONS.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_extra_that_a_page_names_exists(page):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert set(re.findall(r"'(?:\.|xpmlp)\[(\w+)\]'", page.read_text(encoding="utf-8"))) <= set(extras)
