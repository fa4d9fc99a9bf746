"""`xpmlp search`: spaces, trials, engines, halving, and searches that are interrupted and gone on with."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import typer
from threadpoolctl import threadpool_info

from xpmlp import BackendError, InputError, OutOfMemoryError, XpmlpWarning
from xpmlp.checkpoints import load_model
from xpmlp.cli import app
from xpmlp.cli._options import parse_options
from xpmlp.experiments import load_splits, prepare, score_model
from xpmlp.options import Options
from xpmlp.runs import RunFolder
from xpmlp.search import DEFAULT_SPACE, Point, SearchFolder, Space, Study, Trial, check_engine, plan, rank, search

QUICK = Options("circles", epochs=2)
GRID = {"hidden": [4, [8, 8]], "learning-rate": [0.003, 0.03]}
DOCS = (Path(__file__).parent.parent / "docs" / "search.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def study():
    return plan(QUICK, Space(GRID))


@pytest.fixture(scope="module")
def found(study, tmp_path_factory):
    """A finished search, and its folder."""
    path = tmp_path_factory.mktemp("finished") / "search"
    return search(study, path, engine="sequential"), SearchFolder(path)


@pytest.fixture(autouse=True)
def without_figures(found, monkeypatch):
    """Draw no figures but those of the search above: they take longer than what they show."""
    monkeypatch.setattr("xpmlp.search._figure.save_figure", lambda *_: None)
    monkeypatch.setattr("xpmlp.search._winner.save_figure", lambda *_: None)


def table(folder):
    """The rows of results.csv, without the seconds."""
    rows = list(csv.DictReader(folder.results.read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# Spaces


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "space.toml names no option to vary"),
        ("hidden = [", "space.toml cannot be read as TOML"),
        ("colour = [1]", "an option of .*space.toml is 'colour', but must be one of: .*learning-rate"),
        ("learning_rate = [0.1]", "an option of .*space.toml is 'learning_rate'"),
        ("seed = [0, 1]", "space.toml: seed is the same for all trials"),
        ("hidden = []", "space.toml: hidden has no values"),
        ("hidden = 50", r"space.toml: hidden is 50, but must be a list of values, or a table"),
        ("hidden = [50, 2.5]", "space.toml: hidden: 2.5 must be a whole number"),
        ("hidden = [true]", "space.toml: hidden: True must be a whole number"),
        ("hidden = [[16, 'a']]", "space.toml: hidden: 'a' must be a whole number"),
        ("learning-rate = ['fast']", "space.toml: learning-rate: 'fast' must be a number"),
        ("nesterov = [1]", "space.toml: nesterov: 1 must be true or false"),
        ("l2 = { normal = [0, 1] }", "space.toml: l2: the distribution is 'normal', but must be one of: uniform"),
        ("l2 = { uniform = [0, 1], integers = [0, 1] }", "space.toml: l2 is .* but must be a list"),
        ("l2 = { uniform = [0] }", r"l2: uniform = \[0\] must have two numbers"),
        ("l2 = { uniform = [1, 0] }", r"l2: uniform = \[1, 0\] must go from a number to a higher one"),
        ("l2 = { log-uniform = [0, 1] }", r"l2: log-uniform = \[0, 1\] must go from a number above 0"),
        ("l2 = { uniform = [0, inf] }", "l2: the highest of uniform is inf"),
        ("batch-size = { uniform = [16, 64] }", "batch-size: 16.0 must be a whole number"),
        ("batch-size = { integers = [1.5, 64] }", "batch-size: integers: 1.5 must be a whole number"),
        ("activation = { integers = [1, 2] }", "activation: 1 must be a text"),
    ],
)
def test_a_space_that_cannot_be_used_is_refused_with_its_file_option_and_value(write, text, message):
    with pytest.raises(InputError, match=message):
        Space.read(write(text, "space.toml"))


def test_a_grid_is_every_combination_in_the_types_of_the_options(write):
    file = write('hidden = [50, [512, 512], []]\nl2 = [0, 1e-3]\nactivation = { choice = ["relu"] }', "grid.toml")
    grid = Space.read(file).grid()
    assert len(grid) == 6
    assert grid[0] == {"hidden": (50,), "l2": (0.0,), "activation": ("relu",)}
    assert {settings["hidden"] for settings in grid} == {(50,), (512, 512), ()}
    assert isinstance(grid[0]["l2"][0], float)


def test_a_grid_takes_no_distributions_and_not_too_many_combinations():
    with pytest.raises(InputError, match="l2 has a distribution, which a grid cannot go through"):
        Space({"l2": {"uniform": [0, 1]}}).grid()
    many = {name: list(range(1, 40)) for name in ("hidden", "batch-size", "epochs")}
    with pytest.raises(InputError, match="number of combinations of the space is 59319, but must be a number at most"):
        Space(many).grid()


def test_draws_are_the_seeds_within_their_bounds_and_of_three_digits():
    space = Space(
        {
            "learning-rate": {"log-uniform": [1e-4, 1e-1]},
            "dropout": {"uniform": [0.1, 0.3]},
            "hidden": {"integers": [1000, 1010]},
            "activation": ["relu", "tanh"],
        }
    )
    drawn = space.draw(200, 0)
    assert drawn == space.draw(200, 0) != space.draw(200, 1)
    rates = np.array([settings["learning_rate"] for settings in drawn])
    assert 1e-4 <= rates.min() < 2e-4
    assert 5e-2 < rates.max() <= 1e-1
    assert 0.4 < np.mean(rates < 10**-2.5) < 0.6  # half of them below the middle of the decades
    assert all(0.1 <= share <= 0.3 for settings in drawn for share in settings["dropout"])
    assert {settings["hidden"] for settings in drawn} == {(n,) for n in range(1000, 1011)}
    assert {settings["activation"] for settings in drawn} == {("relu",), ("tanh",)}
    assert all(rate == float(f"{rate:.3g}") for rate in rates)


def test_a_draw_rounded_out_of_its_bounds_is_brought_back():
    drawn = Space({"dropout": {"uniform": [0.12344, 0.12346]}}).draw(20, 0)
    assert all(0.12344 <= settings["dropout"][0] <= 0.12346 for settings in drawn)


def test_lists_are_drawn_from_without_repeating_and_no_more_than_there_are():
    space = Space(GRID)
    drawn = space.draw(4, 0)
    assert sorted(map(str, drawn)) == sorted(map(str, space.grid()))
    with pytest.raises(InputError, match="the space has 4 combinations, fewer than the 5 trials to draw"):
        space.draw(5, 0)
    assert len(Space({"hidden": {"integers": [1, 3]}}).draw(50, 0)) == 3


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"learning-rate": [0.1, -1.0]},
            "the space: the trial with learning-rate = -1.0 cannot be trained: learning rate",
        ),
        (
            {"hidden": [8], "activation": [["relu", "tanh"]]},
            "activation = relu,tanh cannot be trained: activation gives",
        ),
        ({"optimizer": ["sgd", "adam"], "momentum": [0.9]}, "optimizer = adam, momentum = 0.9 cannot be trained: mom"),
        ({"batch-size": [0]}, "batch-size = 0 cannot be trained: batch size is 0"),
        ({"scaling": ["minmax"]}, "scaling = minmax cannot be trained: scaling is 'minmax'"),
        ({"dropout": {"uniform": [0.99, 1.5]}}, "dropout = 1.* cannot be trained: dropout is 1"),
    ],
)
def test_what_train_would_refuse_is_refused_before_any_trial(table, message):
    draws = 20 if any(isinstance(values, dict) for values in table.values()) else None
    with pytest.raises(InputError, match=message):
        plan(QUICK, Space(table), draws=draws)


def test_a_search_needs_a_validation_part_and_halving_epochs():
    with pytest.raises(InputError, match="scores its trials on the validation part"):
        plan(replace(QUICK, validation=0.0), Space(GRID))
    for options, space in ((Options("circles"), GRID), (QUICK, {"epochs": [1, 2]})):
        with pytest.raises(InputError, match="halving shares out epochs"):
            plan(options, Space(space), halving=True)


def test_a_study_survives_the_way_through_json(study):
    back = Study.from_json(json.loads(json.dumps(study.to_json())))
    assert (back.options, back.candidates, back.data) == (study.options, study.candidates, study.data)
    assert back.space.table == GRID


# Trials and results


def test_a_trial_is_scored_as_train_scores_the_same_options(study, found):
    trials = {trial.number: trial for trial in found[0].trials}
    for number in range(1, 5):
        scores = [record.scores["validation"] for record in prepare(study.options_of(number)).records()]
        trial = trials[number]
        assert (trial.last.accuracy, trial.last.nll) == (scores[-1].accuracy, scores[-1].loss)
        assert trial.best.accuracy == max(score.accuracy for score in scores)
        assert (trial.status, trial.epochs, trial.last.epoch) == ("finished", 2, 2)


def test_the_table_has_a_row_for_each_trial_the_best_first(study, found):
    rows = table(found[1])
    assert sorted(int(row["trial"]) for row in rows) == [1, 2, 3, 4]
    accuracy = [float(row["validation_accuracy"]) for row in rows]
    assert accuracy == sorted(accuracy, reverse=True)
    assert {row["hidden"] for row in rows} == {"4", "8,8"}
    best = found[0].trials[0]
    assert study.candidates[best.number - 1] == best.settings
    assert found[1].figure.read_bytes().startswith(b"\x89PNG")
    assert not [file for file in found[1].path.rglob("*") if file.name.endswith(".partial")]


def test_the_winner_is_a_run_as_train_makes_it_and_its_test_part_is_looked_at_once(study, found):
    result, folder = found
    options = study.options_of(result.trials[0].number)
    *_, last = prepare(options).records()
    for mine, theirs in zip(folder.best.load().layers, last.layers, strict=True):
        np.testing.assert_array_equal(mine.W, theirs.W)
    assert folder.best.is_finished()
    assert all(row["test_loss"] is None for row in folder.best.rows())  # epoch by epoch it was not
    score = score_model(folder.best.load(), prepare(options).backend, *load_splits(options)[1].test)
    assert result.test == score
    assert json.loads(folder.config.read_text())["winner"]["test"]["accuracy"] == score.accuracy


def test_data_without_a_test_part_give_no_test_score(tmp_path):
    study = plan(replace(QUICK, test=0.0), Space({"hidden": [4]}))
    assert search(study, tmp_path / "search", engine="sequential").test is None


def test_a_finished_search_is_not_repeated(study, found, tmp_path, monkeypatch):
    result, folder = found
    before = {file: file.stat().st_mtime_ns for file in [*folder.trials.glob("*.json"), folder.best.model]}
    monkeypatch.setattr("xpmlp.search._winner.score_model", None)  # the test part is not looked at again
    again = search(folder.study(), folder.path, resume=True, engine="sequential", on_trial=pytest.fail)
    assert again == result
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_trials_that_fail_are_results_with_their_reasons(tmp_path, monkeypatch):
    space = Space({"hidden": [4, 5, 6], "l2": [0.0, 2.0]})
    options = replace(QUICK, optimizer="sgd", learning_rate=1.0, batch_size=720, epochs=300)  # W <- -3 W
    study = plan(options, space)

    def prepare_some(options):
        if options.hidden == (6,):
            raise OutOfMemoryError("too little memory for six.")
        return prepare(options)

    monkeypatch.setattr("xpmlp.search._trial.prepare", prepare_some)
    result = search(study, tmp_path / "search", engine="sequential")
    assert [trial.status for trial in result.trials[:2]] == ["finished", "finished"]
    assert sorted(trial.status for trial in result.trials[2:]) == ["diverged"] * 2 + ["out of memory"] * 2
    rows = table(SearchFolder(tmp_path / "search"))
    assert (
        "the loss or a weight is no longer a finite number"
        in {row["status"]: row["reason"] for row in rows}["diverged"]
    )
    assert [row["validation_accuracy"] == "" for row in rows] == [False, False, True, True, True, True]


def test_equal_accuracies_are_ranked_by_nll_and_with_halving_more_epochs_come_first():
    trials = [
        Trial(number, {}, last.epoch, "finished", "", 1.0, last, last)
        for number, last in enumerate([Point(3, 0.9, 0.5), Point(9, 0.9, 0.4), Point(9, 0.8, 0.1)], start=1)
    ]
    failed = Trial(4, {}, 9, "diverged", "too fast", 1.0, None, None)
    assert [t.number for t in rank([failed, *trials], halving=False)] == [2, 1, 3, 4]
    assert [t.number for t in rank([failed, *trials], halving=True)] == [2, 3, 1, 4]


# Halving


def test_halving_trains_the_better_third_three_times_as_long(tmp_path):
    space = Space({"hidden": [2, 4, 8], "learning-rate": [0.001, 0.003, 0.03]})
    study = plan(replace(QUICK, epochs=9), space, halving=True)
    seen = []
    result = search(study, tmp_path / "search", engine="sequential", on_trial=seen.append)
    rungs = {epochs: [t for t in result.trials if t.epochs == epochs] for epochs in (1, 3, 9)}
    assert [len(trials) for trials in rungs.values()] == [9, 3, 1]
    assert result.trials[0] == rungs[9][0]
    for lower, higher in ((1, 3), (3, 9)):
        kept = {trial.number for trial in rungs[higher]}
        worst = min(trial.last.accuracy for trial in rungs[lower] if trial.number in kept)
        assert all(trial.last.accuracy <= worst for trial in rungs[lower] if trial.number not in kept)
    assert len(seen) == len(result.trials) == 13
    folder = SearchFolder(tmp_path / "search")
    assert folder.best.options().epochs == 9
    folder.file_of(study.options_of(rungs[3][0].number, 3), study.data).unlink()
    repeated = []
    again = search(folder.study(), folder.path, resume=True, engine="sequential", on_trial=repeated.append)
    assert [(trial.number, trial.epochs) for trial in repeated] == [(rungs[3][0].number, 3)]
    assert [trial.last for trial in again.trials] == [trial.last for trial in result.trials]


# Engines


def threads_of_blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_two_threads_find_the_same_with_one_blas_thread_each(study, found, tmp_path):
    before, during = threads_of_blas(), []
    options = {"engine": "threading", "jobs": 2, "on_trial": lambda _: during.append(threads_of_blas())}
    result = search(study, tmp_path / "search", **options)
    assert [(trial.number, trial.last) for trial in result.trials] == [(t.number, t.last) for t in found[0].trials]
    assert during == [{1}] * 4
    assert threads_of_blas() == before


def test_an_engine_that_cannot_be_had_is_refused(monkeypatch):
    with pytest.raises(InputError, match="engine is 'spark', but must be one of: loky"):
        check_engine("spark", 1, None)
    with pytest.raises(InputError, match="jobs is 0"):
        check_engine("loky", 0, None)
    with pytest.raises(InputError, match="a scheduler is of the engines dask and ray, but the engine is loky"):
        check_engine("loky", 1, "tcp://there:8786")
    for package in ("dask", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BackendError, match=rf"{package} is not installed.*pip install 'xpmlp\[{package}\]'"):
            check_engine(package, 1, None)


def snippets(language):
    return re.findall(rf"```{language}\n(.*?)```", DOCS, flags=re.DOTALL)


def run_script(tmp_path, script):
    (tmp_path / "script.py").write_text(script)
    return subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)


def test_the_example_of_dask_runs_on_a_local_cluster_as_it_is_printed(tmp_path):
    if find_spec("distributed") is None:
        pytest.skip("distributed is not installed")
    (script,) = [snippet for snippet in snippets("python") if "LocalCluster" in snippet]
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert len(table(SearchFolder(folder))) == 8


def test_the_example_of_ray_runs_as_it_is_printed(tmp_path):
    if find_spec("ray") is None:
        pytest.skip("ray is not installed")
    (script,) = [snippet for snippet in snippets("python") if "import ray" in snippet]
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr


def test_the_examples_of_the_docs_run_as_they_are_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in snippets("python"):
        if "LocalCluster" not in snippet and "import ray" not in snippet:
            exec(compile(snippet, "search.md", "exec"), names)  # noqa: S102 - it is our own page
    assert len(names["found"].trials) == 4
    assert names["grid"].best_score_ > 0.8


# Interruptions


# A search on two processes, which notes how many threads BLAS has in each trial, and is slow after the second one.
SCRIPT = """
import time
from pathlib import Path

from threadpoolctl import threadpool_info

from xpmlp.options import Options
from xpmlp.search import Space, plan, search

def note_threads(trial):
    threads = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    Path(f"threads-{trial.number}").write_text(str(threads))
    time.sleep(5 * (trial.number > 2))

if __name__ == "__main__":
    space = Space({"hidden": [8, 16, 24, 32, 40, 48]})
    study = plan(Options("circles", epochs=20), space)
    search(study, Path("killed"), engine="loky", jobs=2, on_trial=note_threads)
"""


def test_a_killed_search_goes_on_to_the_table_of_one_that_was_not(tmp_path):
    """It runs on processes of loky: joblib gives them a share of the cores, and they end with it."""
    (tmp_path / "script.py").write_text(SCRIPT)
    limits = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in limits}
    command = [sys.executable, "script.py"]
    limited = environment | {"LOKY_MAX_CPU_COUNT": "2"}
    process = subprocess.Popen(command, cwd=tmp_path, env=limited, stdout=subprocess.PIPE)  # noqa: S603 - our own script
    killed, whole = (SearchFolder(tmp_path / name) for name in ("killed", "whole"))
    for _ in range(3000):
        if len(ended := list(killed.trials.glob("*.json"))) >= 2:
            break
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)  # its workers have the pipe too, and end
    assert 2 <= len(ended) < 6
    before = {file: file.stat().st_mtime_ns for file in ended}
    assert {file.read_text() for file in tmp_path.glob("threads-*")} == {"{1}"}
    study = killed.study()
    results = [search(study, folder.path, resume=folder is killed, engine="sequential") for folder in (killed, whole)]
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert table(killed) == table(whole)
    assert results[0].test == results[1].test
    np.testing.assert_array_equal(killed.best.load().layers[0].W, whole.best.load().layers[0].W)


def test_a_damaged_trial_is_named_and_repeated(found, tmp_path):
    folder = SearchFolder(tmp_path / "search")
    shutil.copytree(found[1].path, folder.path)
    file = sorted(folder.trials.glob("*.json"))[1]
    good = file.read_bytes()
    for damaged in (b"", b'{"trial": 1}', b"\xff", good.replace(b"finished", b"diverged")):
        file.write_bytes(damaged)
        repeated = []
        with pytest.warns(XpmlpWarning, match=rf"{file.name} .*The trial is repeated"):
            search(folder.study(), folder.path, resume=True, engine="sequential", on_trial=repeated.append)
        assert len(repeated) == 1
        assert table(folder) == table(found[1])


def test_an_interrupt_leaves_the_table_of_what_has_ended_and_says_how_to_go_on(cli, tmp_path, monkeypatch):
    count = iter(range(10))

    def terminate(*_):
        if next(count) == 1:
            signal.raise_signal(signal.SIGTERM)

    (tmp_path / "grid.toml").write_text("hidden = [2, 4, 8]")
    monkeypatch.setattr("xpmlp.cli._search._say_trial", terminate)
    where = ("--out", "run", "--engine", "sequential")
    code, out, err = cli("search", "circles", "--epochs", "1", "--grid", "grid.toml", *where)
    assert code == 130
    assert "the best of 2 trials" in out
    assert "Interrupted. To go on: xpmlp search --resume run" in err
    assert len(table(SearchFolder(tmp_path / "run"))) == 2
    assert not (tmp_path / "run" / "best").exists()
    code, out, err = cli("search", "--resume", "run", "--engine", "sequential")
    assert code == 0
    assert "2 trials ended before" in err
    assert len(table(SearchFolder(tmp_path / "run"))) == 3


def test_trials_that_workers_leave_elsewhere_are_missed(study, tmp_path):
    folder = SearchFolder(tmp_path / "search")

    def move(trial):
        folder.file_of(study.options_of(trial.number), study.data).unlink()

    with pytest.raises(InputError, match=r"4 trials were run, but are not in .*trials: all workers must find it"):
        search(study, folder.path, engine="sequential", on_trial=move)


def test_a_search_does_not_go_on_with_changed_data(tmp_path, write):
    X = np.random.default_rng(0).normal(size=(60, 2))
    rows = [f"{a:.6f},{b:.6f},{'ab'[int(a > b)]}" for a, b in X]
    file = write("\n".join(rows))
    study = plan(replace(QUICK, dataset=str(file), batch_size=16), Space({"hidden": [2, 4]}))

    def change(_):
        write("\n".join(rows[1:]))

    with pytest.raises(InputError, match=r"data\.csv is not what it was when the search was begun"):
        search(study, tmp_path / "search", engine="sequential", on_trial=change)
    assert len(table(SearchFolder(tmp_path / "search"))) == 1


def test_a_folder_in_use_or_with_something_in_it_is_refused(study, found, tmp_path):
    folder = found[1]
    with pytest.raises(InputError, match="holds a search: go on with `xpmlp search --resume"):
        search(study, folder.path)
    with folder.locked(), pytest.raises(InputError, match="another process is training in"):
        search(study, folder.path, resume=True)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty: choose another with --out"):
        search(study, tmp_path)
    with pytest.raises(InputError, match="exists and is a file"):
        search(study, tmp_path / "thesis.txt")
    with pytest.raises(InputError, match=r"there is no .*search\.json"):
        SearchFolder(tmp_path).study()
    for damaged in ("{", "[]", "{}", '{"options": {"colour": 1}, "candidates": []}'):
        (tmp_path / "search.json").write_text(damaged)
        with pytest.raises(InputError):
            SearchFolder(tmp_path).study()


# The command


def test_the_command_prints_the_ten_best_and_the_line_that_trains_the_best_again(cli, tmp_path):
    where = ("--engine", "sequential", "--out", "run")
    code, out, err = cli("search", "circles", "--random", "12", "--epochs", "1", "--seed", "3", *where)
    assert code == 0
    assert err.count("trial ") == 12
    assert "the best of 12 trials" in out
    assert len(re.findall(r"^│ \d+ +│ 1 ", out, flags=re.MULTILINE)) == 10
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
    growing = ("--optimizer", "sgd", "--learning-rate", "1", "--l2", "2", "--batch-size", "720", "--epochs", "300")
    code, out, err = cli("search", "circles", *growing, "--grid", "grid.toml", "--engine", "sequential", "--out", "run")
    assert code == 1
    assert "diverged" in out
    assert "Error: no trial was finished; the first of them diverged: training diverged in epoch" in err
    assert len(table(SearchFolder(tmp_path / "run"))) == 2


def test_the_command_line_takes_what_it_fixes_out_of_the_default_space(cli, tmp_path):
    fixed = ("--hidden", "4", "--batch-size", "100", "--epochs", "1")
    code, _, _ = cli("search", "circles", "--random", "2", *fixed, "--engine", "sequential", "--out", "run", "--quiet")
    assert code == 0
    study = SearchFolder(tmp_path / "run").study()
    assert list(study.space.table) == [key for key in DEFAULT_SPACE if key not in {"hidden", "batch-size"}]
    assert study.options.batch_size == 100


def test_the_command_refuses_what_does_not_go_together(cli, write, found):
    grid = write("hidden = [4]\nbatch-size = [8]", "grid.toml")
    for arguments, message in (
        ((), "a search needs one of --grid FILE"),
        (("--grid", grid, "--random", 3), "a search needs one of --grid FILE"),
        (("--grid", grid, "--space", grid), "--space is what --random draws from"),
        (("--grid", grid, "--hidden", "3", "--batch-size", "2"), "varies what --hidden, --batch-size fixes"),
        (("--grid", "nowhere.toml"), "nowhere.toml cannot be read as TOML"),
        (("--random", "0"), "the number of trials to draw is 0"),
        (("--random", "2", "--engine", "spark"), "engine is 'spark'"),
        (("--random", "2", "--jobs", "0"), "jobs is 0"),
        (("--resume", found[1].path, "--epochs", "3"), "as it was begun, but --epochs is given too"),
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
        Options("circles", hidden=(), graph=False, l2=(1e-05,), validation=0.25, data_dir="a folder"),
        Options(hidden=(5, 6), dropout=(0.1, 0.2), optimizer="sgd", momentum=0.9, nesterov=True, learning_rate=1 / 3),
    ],
)
def test_the_arguments_of_options_make_the_same_options(options):
    command = typer.main.get_command(app).commands["train"]
    params = command.make_context("train", options.to_arguments()).params
    known = {name: params[name] for name in [*options.to_json(), "no_graph"] if name in params}
    assert parse_options(**known) == options


def test_every_table_of_the_docs_is_a_space_and_the_default_one_is_there():
    tables = snippets("toml")
    assert len(tables) >= 3
    for text in tables:
        assert plan(QUICK, Space(tomllib.loads(text)), draws=2).candidates
    assert DEFAULT_SPACE in [tomllib.loads(text) for text in tables]
