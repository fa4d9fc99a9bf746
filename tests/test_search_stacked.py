"""Searches by the engine "stack": the trials of the other engines, trained at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from searches import QUICK, draw_no_figures

from xpmlp import InputError, Options
from xpmlp.search import SearchFolder, Space, check_engine, plan, search
from xpmlp.search import _stacked as stacked

GRID = {"learning-rate": [0.1, 0.01, 0.001], "hidden": [8, 16], "l2": [0.0, 0.01], "dropout": [0.0, 0.3]}


@pytest.fixture(autouse=True)
def without_figures(monkeypatch):
    draw_no_figures(monkeypatch)


@pytest.fixture
def stacks(monkeypatch):
    """How many members each training has had."""
    sizes, train_many = [], stacked.train_many

    def counting(backend, members, *arguments, **options):
        sizes.append(len(members))
        return train_many(backend, members, *arguments, **options)

    monkeypatch.setattr(stacked, "train_many", counting)
    return sizes


def both(study, tmp_path):
    """The results of a search one by one, and as stacks."""
    return [search(study, tmp_path / engine, engine=engine) for engine in ("sequential", "stack")]


def same_trials(one, other):
    assert [trial.number for trial in one.trials] == [trial.number for trial in other.trials]
    for a, b in zip(one.trials, other.trials, strict=True):
        assert (a.settings, a.epochs, a.status) == (b.settings, b.epochs, b.status)
        for mine, theirs in ((a.kept, b.kept), (a.peak, b.peak)):
            assert mine.epoch == theirs.epoch
            assert (mine.measure, mine.loss) == pytest.approx((theirs.measure, theirs.loss), rel=1e-9)
    assert one.test.loss == pytest.approx(other.test.loss, rel=1e-9)


@pytest.mark.parametrize(
    "more", [{}, {"patience": 2}, {"class_weight": "balanced"}], ids=["plain", "patience", "weights"]
)
def test_trials_and_winner_are_those_of_the_search_one_by_one(tmp_path, stacks, more):
    study = plan(replace(QUICK, dtype="float64", **more), Space(GRID))
    same_trials(*both(study, tmp_path))
    assert sorted(stacks) == [12, 12]  # of each hidden size


def test_halving_trains_each_rung_as_a_stack(tmp_path, stacks):
    space = Space({"learning-rate": [0.3 / 2**number for number in range(9)]})
    study = plan(replace(QUICK, dtype="float64", epochs=9), space, halving=True)
    same_trials(*both(study, tmp_path))
    assert stacks == [9, 3, 1]


def test_amounts_are_searched_likewise(tmp_path, stacks):
    table = tmp_path / "amounts.csv"
    table.write_text("x,z,y\n" + "".join(f"{n},{n % 7},{n * 1.5 + n % 7}\n" for n in range(120)))
    options = Options(str(table), hidden=(4,), epochs=3, batch_size=20, dtype="float64")
    same_trials(*both(plan(options, Space({"learning-rate": [0.1, 0.01], "l1": [0.0, 0.1]})), tmp_path))
    assert stacks == [4]


def test_the_data_of_candidates_are_laid_out_once(tmp_path, monkeypatch):
    prepared, prepare_trial = [], stacked.prepare_trial

    def noted(options, data):
        prepared.append(options.class_weight)
        return prepare_trial(options, data)

    monkeypatch.setattr(stacked, "prepare_trial", noted)
    space = Space({"learning-rate": [0.1, 0.01], "hidden": [4, 8], "class-weight": ["none", "balanced"]})
    search(plan(QUICK, space), tmp_path / "search", engine="stack")
    assert sorted(prepared) == ["balanced", "none"]


def test_candidates_whose_examples_count_otherwise_are_stacks_apart(tmp_path, stacks):
    space = Space({"class-weight": ["none", "balanced"], "learning-rate": [0.1, 0.01]})
    same_trials(*both(plan(replace(QUICK, dtype="float64"), space), tmp_path))
    assert stacks == [2, 2]


def test_a_candidate_that_diverges_is_noted_and_the_others_go_on(tmp_path):
    options = replace(QUICK, optimizer="sgd", schedule="constant", batch_size=720, epochs=300)
    study = plan(options, Space({"l2": [2.0, 0.0], "learning-rate": [1.0]}))
    best, diverged = search(study, tmp_path / "search", engine="stack").trials
    assert (best.number, best.status, best.kept.epoch) == (2, "finished", 300)
    assert (diverged.status, diverged.kept) == ("diverged", None)
    assert "diverged in epoch" in diverged.reason


def test_a_search_that_was_interrupted_trains_what_is_left(tmp_path, stacks):
    study, path = plan(replace(QUICK, dtype="float64"), Space(GRID)), tmp_path / "search"
    whole = search(study, path, engine="stack")
    gone = [SearchFolder(path).file_of(study.options_of(number), study.data) for number in (1, 2, 5)]
    for file in gone:
        file.unlink()
    stacks.clear()
    same_trials(whole, search(study, path, engine="stack", resume=True))
    assert sum(stacks) == 3


def test_what_has_no_room_as_a_stack_is_trained_one_by_one(tmp_path, monkeypatch):
    def no_room(*_, **__):
        raise MemoryError

    study = plan(replace(QUICK, dtype="float64"), Space({"learning-rate": [0.1, 0.01]}))
    expected = search(study, tmp_path / "one by one", engine="sequential")
    monkeypatch.setattr(stacked, "train_many", no_room)
    same_trials(expected, search(study, tmp_path / "stack", engine="stack"))


def test_ensembles_are_searched_one_by_one(tmp_path, stacks):
    study = plan(replace(QUICK, dtype="float64", members=2), Space({"learning-rate": [0.1, 0.01]}))
    same_trials(*both(study, tmp_path))
    assert stacks == []


def test_packs_are_searched_one_by_one(tmp_path, stacks):
    study = plan(replace(QUICK, dtype="float64"), Space({"pack": [3, 0], "batch-size": [32, 64]}))
    same_trials(*both(study, tmp_path))
    assert stacks == [1, 1]  # of those that are no packs


def test_several_jobs_are_refused():
    with pytest.raises(InputError, match="the engine stack trains in this process alone, but jobs is 2: leave it out"):
        check_engine("stack", 2, None)


def test_the_command_line_takes_it_without_jobs(cli, tmp_path):
    (tmp_path / "grid.toml").write_text("learning-rate = [0.1, 0.01]\n")
    arguments = ("circles", "--hidden", "4", "--epochs", "2", "--grid", "grid.toml", "--engine", "stack", "--quiet")
    assert cli("search", *arguments, "--out", "found") == (0, "", "")
    assert (tmp_path / "found" / "best" / "model.safetensors").exists()
