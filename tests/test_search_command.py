"""`xpmlp search` as a user meets it: the command, and the examples of docs/hyperparameters.md."""

from __future__ import annotations

import multiprocessing
import re
import shlex
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from searches import QUICK, draw_no_figures, table

from xpmlp import InputError
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.files import load_model
from xpmlp.search import DEFAULT_SPACE, SearchFolder, Space, plan

DOCS = (Path(__file__).parent.parent / "docs" / "hyperparameters.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    draw_no_figures(monkeypatch)


def test_the_command_prints_the_ten_best_and_the_line_that_trains_the_best_again(cli, tmp_path):
    where = ("--engine", "sequential", "--out", "run")
    code, out, err = cli("search", "circles", "--random", "12", "--hidden", "8", "--epochs", "1", "--seed", "3", *where)
    assert code == 0
    assert len(re.findall(r"^trial ", err, flags=re.MULTILINE)) == 12
    assert "the best of 12 trials" in out
    assert len(re.findall(r"^│ \d+ +│ 1 ", out, flags=re.MULTILINE)) == 10
    assert re.search(r"^Training the best, trial \d+, once more", err, flags=re.MULTILINE)
    (line,) = re.findall(r"To train it again: xpmlp (.*)", out)
    assert cli(*shlex.split(line), "--out", "again", "--quiet")[0] == 0
    one, other = (load_model(RunFolder(tmp_path / path).model) for path in ("again", "run/best"))
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(mine.W, theirs.W)
    (accuracy,) = re.findall(r"test accuracy of the best │ (\S+)", out)
    assert f"circles, test: accuracy {accuracy}" in cli("evaluate", "run/best")[1]
    assert "finished, 1 of 1 epochs done" in cli("show", "run/best")[1]


def test_a_search_in_which_every_trial_diverges_fails_with_the_reason(cli, tmp_path):
    (tmp_path / "grid.toml").write_text("hidden = [2, 4]")
    growing = ("--optimizer", "sgd", "--learning-rate", "1", "--l2", "20", "--batch-size", "720", "--epochs", "40")
    code, out, err = cli("search", "circles", *growing, "--grid", "grid.toml", "--engine", "sequential", "--out", "run")
    assert code == 1
    assert "diverged" in out
    assert "Error: no trial was finished; the first of them diverged: training diverged in epoch" in err
    assert len(table(SearchFolder(tmp_path / "run"))) == 2


def test_one_command_begins_a_search_goes_on_with_it_and_finds_it_complete(cli, tmp_path, monkeypatch):
    (tmp_path / "grid.toml").write_text("hidden = [2, 4]")
    where = ("--grid", "grid.toml", "--engine", "sequential", "--quiet", "--continue", "--out")
    command = ("search", "circles", "--epochs", "2", *where)
    assert cli(*command, "whole")[0] == 0

    def killed(*_, **__):
        raise SystemExit(9)

    for place in ("search._folder.SearchFolder.start", "search._results.prepare_trial"):
        with monkeypatch.context() as patched:
            patched.setattr(f"xpmlp.{place}", killed)
            assert cli(*command, "run")[0] == 9
    trials = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run" / "trials").glob("*.json")}
    assert len(trials) == 2
    for _ in range(2):
        assert cli(*command, "run")[0] == 0
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run" / "trials").glob("*.json")} == trials
    one, other = (RunFolder(tmp_path / name / "best").model.read_bytes() for name in ("run", "whole"))
    assert one == other
    code, _, err = cli("search", "circles", "--epochs", "2", "--l2", "0.1", *where, "run")
    assert code == 2
    assert "goes on in run as that was begun, but --l2 is 0.1, where it was begun with 0.0" in err
    (tmp_path / "grid.toml").write_text("hidden = [2, 8]")
    code, _, err = cli(*command, "run")
    assert code == 2
    assert "but that has other candidates: give the --grid" in err


def test_a_quiet_search_prints_nothing(cli, write):
    grid = write("hidden = [2, 4]", "grid.toml")
    arguments = ("--epochs", "1", "--grid", grid, "--engine", "sequential", "--quiet", "--out", "run")
    assert cli("search", "circles", *arguments) == (0, "", "")


def test_data_on_disk_are_searched_and_a_search_does_not_go_on_where_they_have_changed(cli, write, tmp_path, rng):
    y = rng.integers(0, 2, 400)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "X.npy", rng.normal(size=(400, 3)) + 4 * y[:, None])
    np.save(tmp_path / "data" / "y.npy", y)
    grid = write("learning-rate = [0.03, 0.1]", "grid.toml")
    code, out, _ = cli("search", "data", "--epochs", "3", "--grid", grid, "--engine", "sequential", "--out", "run")
    assert code == 0
    assert "data: the best of 2 trials" in out
    assert float(re.findall(r"test accuracy of the best │ (\S+)", out)[0]) > 0.8
    np.save(tmp_path / "data" / "y.npy", 1 - y)
    next((tmp_path / "run" / "trials").glob("*.json")).unlink()
    code, _, err = cli("search", "--resume", "run", "--engine", "sequential")
    assert code == 2
    assert "data has changed since the search began: restore it, or start another search" in err


def test_a_file_without_a_header_is_told(cli, write):
    data = write("\n".join(f"{n % 7},{n % 5},{n % 2}" for n in range(60)))
    grid = write("hidden = [2]", "grid.toml")
    code, _, err = cli("search", data, "--epochs", "1", "--grid", grid, "--engine", "sequential", "--out", "run")
    assert code == 0
    assert "its first line is taken as an example ('0', '0', '0'); --header takes it as a header" in err


def test_the_command_line_takes_what_it_fixes_out_of_the_default_space(cli, tmp_path):
    fixed = ("--hidden", "4", "--batch-size", "100", "--epochs", "1")
    code, _, _ = cli("search", "circles", "--random", "2", *fixed, "--engine", "sequential", "--out", "run", "--quiet")
    assert code == 0
    study = SearchFolder(tmp_path / "run").study()
    assert list(study.space.table) == [key for key in DEFAULT_SPACE if key not in {"hidden", "batch-size"}]
    assert study.options.batch_size == 100


def test_the_command_refuses_what_does_not_go_together(cli, write):
    grid = write("hidden = [4]\nbatch-size = [8]", "grid.toml")
    for arguments, message in (
        ((), "a search needs one of --grid FILE"),
        (("--grid", grid, "--random", 3), "a search needs one of --grid FILE"),
        (("--grid", grid, "--space", grid), "--space is what --random draws from"),
        (("--grid", grid, "--hidden", "3", "--batch-size", "2"), "varies what --hidden, --batch-size fixes"),
        (("--grid", "nowhere.toml"), "There is no file nowhere.toml"),
        (("--random", "0"), "the number of trials to draw is 0"),
        (("--random", "2", "--engine", "spark"), "engine is 'spark'"),
        (("--random", "2", "--jobs", "0"), "jobs is 0"),
        (("--random", "2", "--seed", "-1"), "seed is -1"),
        (("--random", "2", "--validation", "0"), "scores its trials on the validation part"),
        (("--random", "2", "--engine", "dask", "--scheduler", "x://y"), "the scheduler 'x://y' cannot be used: "),
        (("--resume", "anywhere", "--epochs", "3"), "as it was begun, but --epochs is given too"),
        (("--resume", "nowhere"), "is nowhere the folder of a search?"),
    ):
        code, _, err = cli("search", *arguments)
        assert code == 2, arguments
        assert message in err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options("fashion-mnist", hidden=(), graphs=False, l2=(1e-05,), validation=0.25, data_dir="a folder"),
        Options(hidden=(5, 6), dropout=(0.1, 0.2), optimizer="sgd", momentum=0.9, nesterov=True, learning_rate=1 / 3),
    ],
)
def test_the_arguments_of_options_make_the_same_options(cli, monkeypatch, options):
    """What `train` hands on to be prepared is noted."""
    noted = []

    def prepare(options, **_):
        noted.append(options)
        raise InputError("noted")

    monkeypatch.setattr("xpmlp.experiments.experiment.prepare", prepare)
    assert cli("train", *options.to_arguments()) == (2, "", "Error: noted\n")
    assert noted == [options]


def test_every_table_of_the_docs_is_a_space_and_the_default_one_is_there():
    tables = snippets("toml")
    assert len(tables) >= 3
    for text in tables:
        assert plan(QUICK, Space(tomllib.loads(text)), draws=2).candidates
    assert DEFAULT_SPACE in [tomllib.loads(text) for text in tables]


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS, flags=re.DOTALL)


CLUSTERS = ("LocalCluster", "import ray")


def run_examples(wanted):
    """Run examples as scripts, those that are wanted: give the names that they leave."""
    names = {"__name__": "__main__"}
    for snippet in filter(wanted, snippets("python")):
        exec(compile(snippet, "hyperparameters.md", "exec"), names)  # noqa: S102 - it is our own page
    return names


def test_the_example_of_dask_runs_on_a_local_cluster_as_it_is_printed(tmp_path, monkeypatch):
    """Its two workers are forked from one process that has imported all: importing takes longest."""
    dask = pytest.importorskip("dask.distributed").dask
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # or the workers import pytest
    monkeypatch.setattr("distributed.utils._forkserver_preload_set", True)
    multiprocessing.get_context("forkserver").set_forkserver_preload(["distributed", "xpmlp.search"])
    with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
        found = run_examples(lambda text: CLUSTERS[0] in text)["found"]
    assert len(found.trials) == len(table(SearchFolder(tmp_path / "runs" / "on-dask"))) == 8


def test_the_example_of_ray_runs_as_it_is_printed(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    assert len(run_examples(lambda text: CLUSTERS[1] in text)["found"].trials) == 4


def test_the_examples_of_the_docs_run_as_they_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_examples(lambda text: not any(mark in text for mark in CLUSTERS))
    assert len(names["found"].trials) == 4
    assert names["grid"].best_score_ > 0.8
