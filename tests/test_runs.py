"""Run folders: what is in them, and what they refuse."""

from __future__ import annotations

import csv
import hashlib
import json
import resource
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest

from xpmlp import InputError
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import LATER, RunFolder, columns, options_sha256
from xpmlp.plots import curves_figure, save_figure


@pytest.fixture(scope="module")
def experiment():
    return prepare(Options(dataset="circles", hidden=(4,), epochs=2, validation=0.0))


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


def test_a_run_leaves_its_configuration_metrics_log_and_model(experiment, folder):
    folder.check_free(overwrite=False)
    folder.start(experiment)
    records = list(experiment.records())
    for record in records:
        folder.add(record)
        folder.write_log(f"epoch {record.epoch}")
    folder.save(experiment.trained(records[-1].layers))
    save_figure(curves_figure(records, "circles"), folder.curves)
    folder.finish()

    config = json.loads(folder.config.read_text())
    assert config["options"]["hidden"] == [4]
    assert config["options"]["learning_rate"] == 0.003
    assert config["data"]["examples"] == {"train": 800, "test": 200}
    assert config["network"]["parameters"] == 22
    assert {"python", "xpmlp", "numpy"} <= set(config["versions"])
    assert folder.options() == experiment.options.from_json(experiment.options.to_json())

    rows = list(csv.DictReader(folder.metrics.read_text().splitlines()))
    assert list(rows[0]) == columns(("accuracy",))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["test_loss"]) == pytest.approx(records[1].scores["test"].loss, rel=1e-5)
    assert rows[1]["validation_loss"] == ""
    assert folder.log.read_text().count("\n") == 2
    assert folder.curves.read_bytes().startswith(b"\x89PNG")
    assert folder.load().network == experiment.model.network


def test_a_folder_with_something_in_it_is_taken_only_when_told(experiment, folder):
    folder.path.mkdir()
    folder.check_free(overwrite=False)
    other = folder.path / "thesis.txt"
    other.write_text("mine")
    folder.metrics.write_text("old\n")
    with pytest.raises(InputError, match=r"is not empty: it holds no run\. .* --overwrite to add one to what is there"):
        folder.check_free(overwrite=False)
    folder.config.write_text("{}")
    with pytest.raises(InputError, match=r"is not empty: it holds a run\. .* --overwrite to replace it"):
        folder.check_free(overwrite=False)
    folder.check_free(overwrite=True)
    folder.start(experiment)
    assert folder.metrics.read_text().startswith("epoch,")
    assert other.read_text() == "mine"


def test_a_file_in_the_place_of_the_folder_is_refused(folder):
    folder.path.write_text("a file")
    with pytest.raises(InputError, match="exists and is a file"):
        folder.check_free(overwrite=True)


def test_a_folder_that_cannot_be_made_is_refused(experiment, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        RunFolder(tmp_path / "file" / "run").start(experiment)


def test_two_runs_in_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert str(RunFolder.default("some/where/iris.csv", now).path) == "runs/iris-20260102-030405"
    assert str(RunFolder.default("iris.csv", now).path) == "runs/iris-20260102-030405-2"
    assert str(RunFolder.default(".", now).path) == f"runs/{tmp_path.name}-20260102-030405"


def test_a_run_that_ended_early_is_finished_and_one_that_was_cut_is_not(folder):
    experiment = prepare(Options(dataset="circles", hidden=(4,), epochs=9, patience=2, min_delta=9.0))
    folder.start(experiment)
    records = list(experiment.records())
    for record in records:
        assert not folder.is_finished()
        folder.add(record)
        folder.save(experiment.trained(record.selected.layers))
    assert not folder.is_finished()
    folder.finish()
    assert [row["best_epoch"] for row in folder.rows()] == [1, 1, 1]
    assert folder.is_finished()


def test_a_row_that_the_disk_has_no_room_for_is_not_there_in_part(experiment, folder):
    """A limit on the size of files stands in for a full disk: it ends in the middle of the second row."""
    folder.start(experiment)
    first, second = experiment.records()
    folder.add(first)
    whole = folder.metrics.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
    try:
        with pytest.raises(InputError, match=r"metrics\.csv cannot be written: File too large\.$"):
            folder.add(second)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert folder.metrics.read_bytes() == whole


def test_the_metrics_of_runs_from_before_there_was_a_best_epoch_are_read(experiment, folder):
    folder.start(experiment)
    for record in experiment.records():
        folder.add(record)
    folder.metrics.write_text(folder.metrics.read_text().replace(",best_epoch", "").replace(",\n", "\n"))
    assert "best" not in folder.metrics.read_text()
    assert [(row["epoch"], row["best_epoch"]) for row in folder.rows()] == [(1, None), (2, None)]
    assert folder.is_complete()


def test_a_run_that_is_not_there_or_is_damaged_is_refused(folder):
    with pytest.raises(InputError, match="there is no run folder"):
        folder.load()
    with pytest.raises(InputError, match=r"there is no .*config\.json"):
        folder.options()
    folder.path.mkdir()
    with pytest.raises(InputError, match="there is no model"):
        folder.load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "it is damaged: no valid JSON at line 1, column 1"),
        ('{\n"options": ', "it is damaged: no valid JSON at line 2, column 12"),
        ("[" * 100_000, "it is damaged"),
        ("[]", "it is damaged"),
        ("\udcff", "it is damaged"),
        ("{}", "it lacks 'options'"),
        ('{"options": {"colour": 1}}', "unknown options: colour"),
        ('{"options": 3}', "it is damaged"),
    ],
)
def test_a_damaged_configuration_is_said_to_be_that(folder, content, message):
    folder.path.mkdir()
    folder.config.write_text(content, errors="surrogateescape")
    with pytest.raises(InputError, match=rf"config\.json cannot be read: {message}.*\. Restore it, or start anew"):
        folder.options()


KEPT_OF_OLD = {field.name for field in fields(Options)} - {"data_dir", *LATER}


def test_options_that_came_later_leave_runs_that_were_begun_before_as_they_were():
    """What a checkpoint keeps of its run's options is what it kept before there were these."""
    options = prepare(Options(dataset="circles")).options
    older = {k: v for k, v in options.to_json().items() if k in KEPT_OF_OLD}
    kept = hashlib.sha256(json.dumps(older, sort_keys=True).encode()).hexdigest()
    assert options_sha256(prepare(Options.from_json(older)).options) == kept
    assert options_sha256(replace(options, graphs=False)) != kept


def test_an_option_that_was_renamed_leaves_runs_that_were_begun_before_as_they_were():
    older = {"dataset": "circles", "graph": False}
    options = Options.from_json(older)
    assert options == Options("circles", graphs=False, task="classification")
    kept = {k: v for k, v in options.to_json().items() if k in KEPT_OF_OLD} | {"graph": False}
    assert options_sha256(options) == hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
