"""`xpmlp train --continue`: one command to begin, to go on and to be done; and a model of a run at any time."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import numpy as np
import pytest

from xpmlp import InputError
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.checkpoints import load_checkpoint
from xpmlp.models.files import load_model

RUN = ("train", "circles", "--epochs", "6", "--hidden", "4", "--dropout", "0.2", "--out", "run")
STEPS = 12  # of an epoch


def killed(*_):
    raise SystemExit(9)


@pytest.fixture(name="whole")
def a_run_left_alone(cli, tmp_path):
    """The model's bytes of the run that was never interrupted."""
    assert cli(*RUN[:-1], "whole", "--quiet")[0] == 0
    return (tmp_path / "whole" / "model.safetensors").read_bytes()


@pytest.mark.parametrize("steps", [1, STEPS, STEPS + 1, 3 * STEPS + 4, 6 * STEPS])
def test_one_command_begins_a_run_goes_on_with_it_and_finds_it_complete(cli, tmp_path, told_to_end, whole, steps):
    command = (*RUN, "--continue")
    with told_to_end(steps):
        cut, *_ = cli(*command)
    assert cut == (0 if steps == 6 * STEPS else 130)
    assert cli(*command)[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == whole
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()}
    code, _, err = cli(*command)
    assert (code, err) == (0, "The run in run is complete: there is nothing left to train.\n")
    assert {file.name: file.stat().st_mtime_ns for file in (tmp_path / "run").iterdir()} == before


@pytest.mark.parametrize("method", ["write_config", "_write_metrics", "save_checkpoint", "add", "save", "finish"])
def test_it_goes_on_wherever_the_process_was_killed(cli, tmp_path, whole, monkeypatch, method):
    """Before and after each file that a run writes, the first and the last one among them."""
    original = getattr(RunFolder, method)

    def after(*arguments):
        original(*arguments)
        killed()

    for replaced in (killed, after):
        with monkeypatch.context() as patched:
            patched.setattr(RunFolder, method, replaced)
            assert cli(*RUN, "--continue", "--quiet")[0] == 9
    assert cli(*RUN, "--continue", "--quiet")[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == whole
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == sorted(
        file.name for file in (tmp_path / "whole").iterdir()
    )


def test_a_file_that_a_kill_cut_off_does_not_stop_it_from_beginning(cli, tmp_path):
    (tmp_path / "run").mkdir()
    for name in (".lock", ".config.json.partial", "initial.safetensors"):
        (tmp_path / "run" / name).write_bytes(b"cut")
    assert cli(*RUN, "--continue", "--quiet")[0] == 0


def test_options_that_contradict_the_run_are_refused_by_name(cli, tmp_path, told_to_end):
    with told_to_end(20):
        assert cli(*RUN, "--continue", "--quiet")[0] == 130
    before = (tmp_path / "run" / "config.json").read_bytes()
    code, _, err = cli(*RUN[:4], "--hidden", "4,4", "--out", "run", "--continue")
    assert code == 2
    assert "--hidden is 4,4, where it was begun with 4, --dropout is 0.0, where it was begun with 0.2" in err
    code, _, err = cli("train", "digits", *RUN[2:], "--continue")
    assert code == 2
    assert "DATASET is digits, where it was begun with circles" in err
    assert (tmp_path / "run" / "config.json").read_bytes() == before
    decided_alike = ("--optimizer", "adam", "--learning-rate", "0.003", "--validation", "0.1", "--task")
    assert cli(*RUN, "--continue", "--quiet", *decided_alike, "classification")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("circles",), "give --out too"),
        (("circles", "--out", "run", "--overwrite"), "needs no --overwrite"),
        (("--resume", "run"), "leave it out"),
    ],
)
def test_what_makes_no_sense_with_it_is_refused(cli, arguments, said):
    code, _, err = cli("train", "--continue", *arguments)
    assert code == 2
    assert said in err


def test_a_folder_of_something_else_is_left_alone(cli, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    code, _, err = cli(*RUN, "--continue")
    assert code == 2
    assert "is not empty: it holds no run" in err


def test_a_complete_run_that_is_resumed_is_said_to_be_that_and_is_no_error(cli, whole):
    code, _, err = cli("train", "--resume", "whole")
    assert code == 0
    assert err == "The run in whole is complete: there is nothing left to train.\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_told_to_end_in_its_first_epoch_can_be_resumed(cli, tmp_path, told_to_end, whole, number):
    with told_to_end(3, number):
        code, _, err = cli(*RUN)
    assert code == 130
    assert "To begin it again, as no checkpoint was written: xpmlp train --resume run" in err
    assert cli("train", "--resume", "run", "--quiet")[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == whole


def test_the_log_of_a_resumed_run_has_a_line_an_epoch_and_says_where_it_was_resumed(
    cli, tmp_path, told_to_end, monkeypatch
):
    """Though epochs after the last checkpoint are done twice."""
    rarely = ("--checkpoint-every", "2", "--quiet")
    with monkeypatch.context() as patched, told_to_end(3 * STEPS + 4):
        patched.setattr(RunFolder, "save", killed)
        patched.setattr("xpmlp.cli._run.Run._write_last_checkpoint", lambda *_, **__: None)
        assert cli(*RUN, *rarely)[0] == 9
    assert cli("train", "--resume", "run", *rarely)[0] == 0
    lines = [line.partition(" ")[2] for line in (tmp_path / "run" / "train.log").read_text().splitlines()]
    heads = [line.partition(":")[0] for line in lines]
    epochs = [f"epoch {number}/6" for number in range(1, 7)]
    assert heads == ["circles", *epochs[:2], "resumed after epoch 2", *epochs[2:]]


def test_the_last_good_model_of_a_run_is_found_at_any_time(cli, tmp_path, told_to_end, monkeypatch):
    """That of the interruption, then that of a checkpoint after it; and a damaged checkpoint gives way to another."""
    run = RunFolder(tmp_path / "run")
    np.savez(tmp_path / "new.npz", X=np.array([[0.1, 0.2]]))
    with told_to_end(2 * STEPS + 4):
        assert cli(*RUN, "--quiet")[0] == 130
    interrupted = run.model.read_bytes()
    code, _, err = cli("predict", "run", "new.npz")
    assert code == 0
    assert "the weights that were saved when it was last ended, in model.safetensors, are taken" in err

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", killed)
        assert cli("train", "--resume", "run", "--quiet")[0] == 9
    assert run.model.read_bytes() == interrupted
    for arguments in (("evaluate", "run"), ("predict", "run", "new.npz"), ("export", "run", "model.npz")):
        code, _, err = cli(*arguments)
        assert code == 0
        assert "the run in run is not finished: the weights of epoch 6, in checkpoint.safetensors, are taken" in err
    last = load_checkpoint(run.checkpoint).records[-1]
    np.testing.assert_array_equal(np.load("model.npz")["W1"], last.layers[0].W)

    run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:-9])
    with pytest.warns(match="the weights of epoch 5, in previous-checkpoint.safetensors, are taken"):
        assert run.load().layers[0].W.shape == (2, 4)
    run.initial.unlink()
    run.model.write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as a model"):
        run.load()


def test_a_run_in_its_first_epoch_has_no_model_yet_and_says_so(cli, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr("xpmlp.cli._run.Run._follow", killed)
        assert cli(*RUN, "--quiet")[0] == 9
    code, _, err = cli("evaluate", "run")
    assert code == 2
    assert "no epoch of the run in run was completed: resume it with `xpmlp train --resume run`" in err
    with RunFolder(tmp_path / "run").locked():
        code, _, err = cli("evaluate", "run")
    assert code == 2
    assert "is in progress, and its first epoch has not ended yet" in err


def test_trainings_that_begin_in_one_second_get_folders_of_their_own(tmp_path, monkeypatch):
    """As those of a shell's loop do, which all look for a name at once."""
    monkeypatch.chdir(tmp_path)
    together, second = Barrier(8), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def name(_):
        together.wait()
        return str(RunFolder.default("first.csv", second).path)

    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(name, range(8)))
    first = "runs/first-20260102-030405"
    assert found == {first, *(f"{first}-{number}" for number in range(2, 9))}


def test_with_patience_the_model_of_a_checkpoint_is_that_of_the_best_epoch(cli, tmp_path, monkeypatch):
    early = ("--epochs", "9", "--patience", "4", "--min-delta", "9", "--hidden", "4", "--quiet")
    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", killed)
        assert cli("train", "circles", *early, "--out", "run")[0] == 9
    run = RunFolder(tmp_path / "run")
    with pytest.warns(match="the weights of epoch 1, in checkpoint"):
        found = run.load()
    assert cli("train", "--resume", "run", "--quiet")[0] == 0
    np.testing.assert_array_equal(found.layers[0].W, load_model(run.model).layers[0].W)
