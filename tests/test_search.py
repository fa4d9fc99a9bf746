"""Searches: trials, halving, engines, and searches that are interrupted and gone on with."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import numpy as np
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError
from searches import GRID, QUICK, draw_no_figures, table
from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - scikit-learn asks for it
from sklearn.model_selection import HalvingGridSearchCV
from threadpoolctl import threadpool_info

from xpmlp import BackendError, InputError, WorkerError, XpmlpWarning
from xpmlp.experiments.experiment import load_splits, prepare, score_model
from xpmlp.search import Point, SearchFolder, Space, Trial, check_engine, plan, rank, rungs, search
from xpmlp.search._engines import _end_with  # no search can be killed between its start and that of a worker
from xpmlp.training import Trainer


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
    """Draw no figures but those of the search above."""
    draw_no_figures(monkeypatch)


# Trials and results


def test_a_trial_is_scored_as_train_scores_the_same_options(study, found):
    trials = {trial.number: trial for trial in found[0].trials}
    for number in range(1, 5):
        scores = [record.scores["validation"] for record in prepare(study.options_of(number)).records()]
        trial = trials[number]
        assert (trial.kept.measure, trial.kept.loss) == (scores[-1].accuracy, scores[-1].loss)
        assert trial.peak.measure == max(score.accuracy for score in scores)
        assert (trial.status, trial.epochs, trial.kept.epoch) == ("finished", 2, 2)


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


def test_trials_with_patience_are_scored_with_the_weights_that_they_keep(tmp_path):
    options = replace(QUICK, epochs=9, patience=2, min_delta=9.0)
    study = plan(options, Space({"hidden": [4]}))
    result = search(study, tmp_path / "search", engine="sequential")
    first, *_, last = prepare(replace(options, hidden=(4,))).records()
    (trial,) = result.trials
    assert (trial.kept.epoch, trial.kept.loss) == (1, first.scores["validation"].loss)
    assert last.epoch == 3
    folder = SearchFolder(tmp_path / "search")
    (row,) = csv.DictReader(folder.results.read_text().splitlines())
    assert (row["epochs"], row["kept_epoch"]) == ("9", "1")
    assert int(row["peak_epoch"]) in {1, 2, 3}
    for mine, theirs in zip(folder.best.load().layers, first.layers, strict=True):
        np.testing.assert_array_equal(mine.W, theirs.W)
    assert folder.winner().trial == trial.number


def test_data_without_a_test_part_give_no_test_score(tmp_path):
    study = plan(replace(QUICK, test=0.0), Space({"hidden": [4]}))
    assert search(study, tmp_path / "search", engine="sequential").test is None


def test_a_finished_search_is_not_repeated(study, found, tmp_path, monkeypatch):
    result, folder = found
    before = {file: file.stat().st_mtime_ns for file in [*folder.trials.glob("*.json"), folder.best.model]}
    monkeypatch.setattr("xpmlp.experiments.experiment.load_dataset", None)  # the test part is not looked at again
    again = search(folder.study(), folder.path, resume=True, engine="sequential", on_trial=pytest.fail)
    assert again == result
    assert before == {file: file.stat().st_mtime_ns for file in before}


def test_trials_that_fail_are_results_with_their_reasons(tmp_path):
    space = Space({"hidden": [[10**6, 10**9], 4, 5], "l2": [0.0, 20.0]})
    options = replace(QUICK, optimizer="sgd", learning_rate=1.0, batch_size=720, epochs=40)  # W <- -39 W
    study = plan(options, space)
    result = search(study, tmp_path / "search", engine="sequential")
    assert [trial.status for trial in result.trials[:2]] == ["finished", "finished"]
    assert sorted(trial.status for trial in result.trials[2:]) == ["diverged"] * 2 + ["out of memory"] * 2
    rows = table(SearchFolder(tmp_path / "search"))
    reasons = {row["status"]: row["reason"] for row in rows}
    assert "the loss or a weight is no longer a finite number" in reasons["diverged"]
    assert "run out of memory for a network 2-1000000-1000000000-2" in reasons["out of memory"]
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
        worst = min(trial.kept.measure for trial in rungs[lower] if trial.number in kept)
        assert all(trial.kept.measure <= worst for trial in rungs[lower] if trial.number not in kept)
    assert len(seen) == len(result.trials) == 13
    folder = SearchFolder(tmp_path / "search")
    assert folder.best.options().epochs == 9
    folder.file_of(study.options_of(rungs[3][0].number, 3), study.data).unlink()
    repeated = []
    again = search(folder.study(), folder.path, resume=True, engine="sequential", on_trial=repeated.append)
    assert [(trial.number, trial.epochs) for trial in repeated] == [(rungs[3][0].number, 3)]
    assert [trial.kept for trial in again.trials] == [trial.kept for trial in result.trials]


class Dummy(BaseEstimator):
    """What scikit-learn's halving is given to train."""

    def __init__(self, number=0, epochs=0):
        self.number, self.epochs = number, epochs

    def fit(self, *_):
        return self

    def score(self, *_):
        return self.number


@pytest.mark.parametrize("epochs", [1, 2, 8, 9, 10, 100])
@pytest.mark.parametrize("candidates", [1, 2, 3, 8, 9, 10, 27, 80, 81])
def test_the_rungs_of_halving_are_those_of_scikit_learn(candidates, epochs):
    theirs = HalvingGridSearchCV(
        Dummy(), {"number": range(candidates)}, resource="epochs", max_resources=epochs, cv=[([0], [1])], refit=False
    ).fit([0, 1])
    assert rungs(candidates, epochs) == theirs.n_resources_


def test_a_rung_is_the_better_third_with_ties_decided_by_nll(tmp_path, monkeypatch):
    """A trial is made up of its number: 4 is the best by its NLL, 5 and 6 are less accurate."""
    points = {1: (0.5, 0.3), 2: (0.5, float("nan")), 3: None, 4: (0.5, 0.1), 5: (0.4, 0.0), 6: (0.4, 0.0)}

    def made_up(number, settings, options, data):
        point = points[number] and Point(options.epochs, *points[number])
        status = "finished" if point else "diverged"
        return Trial(number, settings, options.epochs, status, "" if point else "too fast", 0.0, point, point)

    monkeypatch.setattr("xpmlp.search._search.run_trial", made_up)  # no public way makes trials with equal accuracies
    study = plan(replace(QUICK, epochs=3), Space({"hidden": [1, 2, 3, 4, 5, 6]}), halving=True)
    result = search(study, tmp_path / "search", engine="sequential")
    assert [(trial.number, trial.epochs) for trial in result.trials] == [
        *[(4, 3), (1, 3)],
        *[(4, 1), (1, 1), (2, 1), (5, 1), (6, 1), (3, 1)],
    ]


# Engines


def threads_of_blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_two_threads_find_the_same_with_one_blas_thread_each(study, found, tmp_path):
    before, during = threads_of_blas(), []
    options = {"engine": "threading", "jobs": 2, "on_trial": lambda _: during.append(threads_of_blas())}
    result = search(study, tmp_path / "search", **options)
    assert [(trial.number, trial.kept) for trial in result.trials] == [(t.number, t.kept) for t in found[0].trials]
    assert during == [{1}] * 4
    assert threads_of_blas() == before


def test_an_engine_that_cannot_be_had_is_refused(monkeypatch):
    with pytest.raises(InputError, match="engine is 'spark', but must be one of: loky"):
        check_engine("spark", 1, None)
    with pytest.raises(InputError, match="jobs is 0"):
        check_engine("loky", 0, None)
    with pytest.raises(InputError, match="only the engines dask and ray have a scheduler, but the engine is loky"):
        check_engine("loky", 1, "tcp://there:8786")
    for package in ("dask", "ray"):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BackendError, match=rf"{package} is not installed.*pip install 'xpmlp\[{package}\]'"):
            check_engine(package, 1, None)


# Interruptions


# A search on two processes, which notes how many threads BLAS has in each trial, and is slow after the second one.
SCRIPT = """
import time
from pathlib import Path

from sklearn.base import BaseEstimator
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - scikit-learn asks for it
from sklearn.model_selection import HalvingGridSearchCV
from threadpoolctl import threadpool_info

from xpmlp.experiments.options import Options
from xpmlp.search import Space, plan, search

def note_threads(trial):
    threads = {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    Path(f"threads-{trial.number}").write_text(str(threads))
    time.sleep(5 * (trial.number > 2))

if __name__ == "__main__":
    space = Space({"hidden": [8, 16, 24, 32, 40, 48]})
    study = plan(Options("circles", epochs=5), space)
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


def test_a_worker_that_begins_after_its_search_was_killed_ends(monkeypatch):
    ended = threading.Event()
    monkeypatch.setattr("os._exit", lambda _: ended.set())
    _end_with(-1)  # the number of no process
    assert ended.wait(60)


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


def test_a_trial_of_other_options_is_not_taken_for_one_of_the_search(found, tmp_path):
    folder = SearchFolder(tmp_path / "search")
    shutil.copytree(found[1].path, folder.path)
    file = next(folder.trials.glob("*.json"))
    shutil.copy(file, file.with_name("0123456789abcdef.json"))
    assert search(folder.study(), folder.path, resume=True, engine="sequential") == found[0]


def test_a_worker_that_is_lost_ends_the_search_with_its_table_and_what_to_do(study, tmp_path):
    """In place of a killed process of loky's, what joblib raises then."""

    def end(_):
        raise TerminatedWorkerError("A worker was unexpectedly terminated.\n\nThe exit codes are {SIGKILL(-9)}")

    lost = (
        "a worker of loky was lost: TerminatedWorkerError: A worker was unexpectedly terminated. .* resume with --res"
    )
    with pytest.raises(WorkerError, match=lost):
        search(study, tmp_path / "search", engine="loky", on_trial=end)
    assert len(table(SearchFolder(tmp_path / "search"))) == 1


def test_an_interrupt_leaves_the_table_of_what_has_ended_and_says_how_to_go_on(cli, tmp_path, monkeypatch):
    run_epoch, begun = Trainer.run_epoch, count(1)

    def run_epoch_of_two_trials(*arguments, **options):
        if next(begun) == 3:
            signal.raise_signal(signal.SIGTERM)
        return run_epoch(*arguments, **options)

    (tmp_path / "grid.toml").write_text("hidden = [2, 4, 8]")
    where = ("--out", "run", "--engine", "sequential")
    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "run_epoch", run_epoch_of_two_trials)
        code, out, err = cli("search", "circles", "--epochs", "1", "--grid", "grid.toml", *where)
    assert code == 130
    assert "the best of 2 trials" in out
    assert "Interrupted. To resume: xpmlp search --resume run" in err
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

    folder, refused = SearchFolder(tmp_path / "search"), r"data\.csv has changed since the search began"

    def change(_):
        write("\n".join(rows[1:]))

    with pytest.raises(InputError, match=refused):
        search(study, folder.path, engine="sequential", on_trial=change)
    assert len(table(folder)) == 1
    write("\n".join(rows))
    with pytest.raises(InputError, match=refused):  # nor is the best trained on them
        search(study, folder.path, resume=True, engine="sequential", on_winner=change)
    assert len(table(folder)) == 2
    assert folder.winner() is None


def test_a_folder_in_use_or_with_something_in_it_is_refused(study, found, tmp_path):
    folder = found[1]
    with pytest.raises(InputError, match="holds a search: resume it with `xpmlp search --resume"):
        search(study, folder.path)
    with folder.locked(), pytest.raises(InputError, match="another process is searching in"):
        search(study, folder.path, resume=True)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty: choose another with --out"):
        search(study, tmp_path)
    with pytest.raises(InputError, match="exists and is a file"):
        search(study, tmp_path / "thesis.txt")
    with pytest.raises(InputError, match=r"there is no .*search\.json"):
        SearchFolder(tmp_path).study()
    for damaged in ("{", "[]", "{}", '{"space": 3}', "\x00"):
        (tmp_path / "search.json").write_text(damaged)
        with pytest.raises(InputError, match=r"search\.json cannot be read"):
            SearchFolder(tmp_path).study()


def test_a_search_is_named_after_its_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = SearchFolder.default("some/where/iris.v2.csv", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert str(folder.path) == "runs/search-iris.v2-20260102-030405"


def test_trials_whose_loss_is_no_number_come_after_their_equals_in_any_order():
    trials = [
        Trial(number, {}, 1, "finished", "", 0.1, Point(1, 0.5, nll), Point(1, 0.5, nll))
        for number, nll in ((1, float("nan")), (2, 0.7), (3, 0.6))
    ]
    for given in (trials, trials[::-1]):
        assert [trial.number for trial in rank(given, halving=False)] == [3, 2, 1]


def test_a_search_that_was_killed_before_its_first_trial_goes_on(study, found, tmp_path):
    folder = SearchFolder(tmp_path / "killed")
    folder.start(study)
    assert [file.name for file in folder.path.iterdir()] == ["search.json"]
    result = search(study, folder.path, engine="sequential", resume=True)
    assert [(trial.number, trial.kept) for trial in result.trials] == [(t.number, t.kept) for t in found[0].trials]
