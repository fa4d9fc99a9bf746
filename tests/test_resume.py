"""`xpmlp train --resume`: killed, told to end or out of disk, a run goes on to the same bytes."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from xpmlp import InputError
from xpmlp.cli import main
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.checkpoints import load_checkpoint
from xpmlp.models.files import load_model


def command(*arguments):
    return [sys.executable, "-m", "xpmlp", *map(str, arguments)]


def xpmlp(folder, *arguments, **options):
    return subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True, check=False, **options)  # noqa: S603 - our own


def begin(folder, *arguments):
    """Start a training and wait for its first checkpoint."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        command("train", "circles", "--out", "run", *arguments), cwd=folder, stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        if (folder / "run" / "checkpoint.safetensors").exists():
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError("no checkpoint within 30 s")


def rows_of(folder):
    """The rows of metrics.csv, without the seconds."""
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def files_of(folder):
    """The names of all files of a run."""
    return sorted(file.name for file in folder.iterdir())


LONG = ("--epochs", "100", "--hidden", "8", "--dropout", "0.2", "--optimizer", "adamw")


def test_killed_runs_go_on_to_the_same_bytes(tmp_path):
    """`kill -9` three times; scripts/kill_and_resume.py does it a hundred times and more."""
    assert xpmlp(tmp_path, "train", "circles", "--out", "whole", *LONG).returncode == 0
    process = begin(tmp_path, *LONG)
    for _ in range(2):
        process.kill()
        process.communicate()
        process = subprocess.Popen(  # noqa: S603 - our own command
            command("train", "--resume", "run"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
        )
        process.stderr.readline()  # it is under way
        time.sleep(0.15)
    process.kill()
    process.communicate()
    done = xpmlp(tmp_path, "train", "--resume", "run")
    assert done.returncode == 0, done.stderr
    one, other = tmp_path / "run", tmp_path / "whole"
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows_of(one) == rows_of(other)
    assert files_of(one) == files_of(other)


def test_runs_that_are_ended_by_any_signal_go_on_by_the_same_command_to_the_same_models_metrics_and_logs(tmp_path):
    script = Path(__file__).parent.parent / "scripts" / "kill_and_resume.py"
    arguments = [sys.executable, script, "--kills", "8", "--epochs", "20"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("8 signals to ")
    assert done.stdout.endswith("the same models, metrics and logs\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_a_run_that_is_told_to_end_says_how_to_go_on(tmp_path, number):
    process = begin(tmp_path, "--epochs", "5000", "--hidden", "8")
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "To resume: xpmlp train --resume run" in err
    assert load_model(tmp_path / "run" / "model.safetensors")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
@pytest.mark.parametrize("place", ["experiments.experiment.prepare", "plots.save_figure"])
def test_a_signal_while_a_training_loads_or_saves_ends_it_with_the_same_code(tmp_path, number, place):
    """A job script tells by it that the run is to be queued again."""
    module, _, name = place.rpartition(".")
    code = (
        f"import signal, sys; import xpmlp.{module} as module; from xpmlp.cli import main\n"
        f"module.{name} = lambda *_, **__: signal.raise_signal({number.value})\n"
        "sys.argv = ['xpmlp', 'train', 'circles', '--epochs', '2']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 130, done.stderr


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(tmp_path):
    process = begin(tmp_path, "--epochs", "5000", "--hidden", "8")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    path = tmp_path / "run" / "checkpoint.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    resumed = subprocess.Popen(  # noqa: S603 - our own command
        command("train", "--resume", "run"), cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    line = resumed.stderr.readline()
    assert "has changed since it was written" in line
    assert "The checkpoint before it is taken" in line
    assert "Resuming after epoch" in resumed.stderr.readline()
    resumed.send_signal(signal.SIGINT)
    resumed.communicate(timeout=60)


def test_resuming_refuses_other_options_and_changed_configurations(tmp_path):
    process = begin(tmp_path, "--epochs", "5000", "--hidden", "8")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    done = xpmlp(tmp_path, "train", "--resume", "run", "--l2", "0.1", "--seed", "3")
    assert done.returncode == 2
    assert "begun, but --l2, --seed is given too" in done.stderr
    config = tmp_path / "run" / "config.json"
    config.write_text(config.read_text().replace('"learning_rate": 0.003', '"learning_rate": 0.004'))
    done = xpmlp(tmp_path, "train", "--resume", "run")
    assert done.returncode == 2
    assert "its configuration changed since its checkpoint was written" in done.stderr


def test_a_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint(tmp_path):
    """Files are limited to 12 KiB, which the checkpoint outgrows as its records add up."""
    arguments = " ".join(command("train", "circles", "--out", "run", "--epochs", "60", "--hidden", "8"))
    limited = ["bash", "-c", f"ulimit -f 12; exec {arguments}"]
    done = subprocess.run(limited, cwd=tmp_path, capture_output=True, text=True, check=False)  # noqa: S603 - as above
    assert done.returncode == 2
    assert "next-checkpoint.safetensors cannot be written: File too large." in done.stderr
    assert done.stderr.endswith("resume it with `xpmlp train --resume run`.\n")
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert 10 < checkpoint.records[-1].epoch < 60
    assert xpmlp(tmp_path, "train", "--resume", "run").returncode == 0
    assert len(rows_of(tmp_path / "run")) == 60


def test_a_new_run_in_the_folder_of_an_unfinished_one_points_to_its_resumption(tmp_path):
    process = begin(tmp_path, "--epochs", "5000", "--hidden", "8")
    process.kill()
    process.communicate()
    done = xpmlp(tmp_path, "train", "circles", "--out", "run")
    assert done.returncode == 2
    assert "xpmlp train --resume run" in done.stderr


def test_a_run_that_another_process_trains_is_refused_until_that_one_ends(tmp_path):
    process = begin(tmp_path, "--epochs", "100000", "--hidden", "8")
    for arguments in (("--resume", "run"), ("circles", "--out", "run", "--overwrite")):
        refused = xpmlp(tmp_path, "train", *arguments)
        assert refused.returncode == 2
        assert "another process is training in run: wait until it ends" in refused.stderr
    assert process.poll() is None
    process.kill()  # which leaves the lock's file
    process.communicate()
    assert (tmp_path / "run" / ".lock").exists()
    again = xpmlp(tmp_path, "train", "circles", "--out", "run", "--overwrite", "--epochs", "2", "--quiet")
    assert (again.returncode, again.stderr) == (0, "")


def test_of_two_runs_that_begin_at_once_in_one_folder_one_is_refused(tmp_path):
    both = [
        subprocess.Popen(  # noqa: S603 - our own command
            command("train", "circles", "--out", "run", "--epochs", "300", "--hidden", "8", "--quiet"),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    ended = sorted((process.communicate()[1], process.returncode) for process in both)
    assert [code for _, code in ended] == [0, 2]
    said = ("another process is training in run", "holds an unfinished run", "is not empty")  # by how far the other is
    assert any(words in ended[1][0] for words in said)
    assert len(rows_of(tmp_path / "run")) == 300


@pytest.fixture
def cli(monkeypatch, tmp_path):
    """Run the command line in this process, in an empty folder: gives the exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", *map(str, arguments)])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    return run


EARLY = ("--epochs", "9", "--patience", "4", "--min-delta", "9")  # the first epoch is the best, the fifth the last


@pytest.mark.parametrize(("length", "last"), [(("--epochs", "3"), 3), (EARLY, 5)])
def test_a_run_that_ends_between_its_last_checkpoint_and_its_model_is_only_saved(
    cli, tmp_path, monkeypatch, length, last
):
    quick = (*length, "--hidden", "4", "--quiet")
    assert cli("train", "circles", "--out", "whole", *quick) == 0

    def end(*_):
        raise SystemExit(9)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", end)
        assert cli("train", "circles", "--out", "run", *quick) == 9
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == last
    assert cli("train", "--resume", "run", "--quiet") == 0
    one, other = tmp_path / "run", tmp_path / "whole"
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows_of(one) == rows_of(other)
    assert len(rows_of(one)) == last
    assert files_of(one) == files_of(other)


def test_a_model_that_finds_no_room_leaves_a_checkpoint_of_the_last_epoch(cli, tmp_path, monkeypatch, capsys):
    quick = ("--epochs", "3", "--hidden", "4", "--quiet")
    assert cli("train", "circles", "--out", "whole", *quick) == 0

    def full(*_):
        raise InputError("model.safetensors cannot be written: No space left on device.")

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", full)
        assert cli("train", "circles", "--out", "run", *quick, "--checkpoint-every", "100") == 2
        diverging = (
            "--optimizer",
            "sgd",
            "--learning-rate",
            "1",
            "--l2",
            "2",
            "--batch-size",
            "720",
            "--epochs",
            "300",
        )
        assert cli("train", "circles", "--out", "diverged", "--quiet", *diverging) == 2
    err = capsys.readouterr().err
    assert "No space left on device. Once that is mended, resume it with `xpmlp" in err
    assert "are kept" in err
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == 3
    assert cli("train", "--resume", "run", "--quiet") == 0
    one, other = tmp_path / "run", tmp_path / "whole"
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()


def test_a_row_that_finds_no_room_ends_the_run_with_a_checkpoint_of_its_epoch(cli, tmp_path, monkeypatch, capsys):
    quick = ("--epochs", "6", "--hidden", "4", "--quiet")
    assert cli("train", "circles", "--out", "whole", *quick) == 0
    add = RunFolder.add

    def add_three(self, record):
        if record.epoch > 3:
            raise InputError("metrics.csv cannot be written: No space left on device.")
        add(self, record)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "add", add_three)
        assert cli("train", "circles", "--out", "run", *quick, "--checkpoint-seconds", "1000") == 2
    assert "No space left on device. Once that is mended, resume it with `xpmlp" in capsys.readouterr().err
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == 4
    assert cli("train", "--resume", "run", "--quiet") == 0
    one, other = tmp_path / "run", tmp_path / "whole"
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows_of(one) == rows_of(other)


def test_a_run_does_not_go_on_with_a_file_that_has_changed(cli, tmp_path, monkeypatch, capsys):
    rows = [f"{i % 7},{i % 5},{i % 2}" for i in range(40)]
    (tmp_path / "data.csv").write_text("\n".join(rows))

    def end(*_):
        raise SystemExit(9)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "save", end)
        assert cli("train", "data.csv", "--epochs", "2", "--hidden", "4", "--quiet", "--out", "run") == 9
    metrics = (tmp_path / "run" / "metrics.csv").read_bytes()
    (tmp_path / "data.csv").write_text("\n".join([*rows[:-1], "4,4,0"]))
    assert cli("train", "--resume", "run") == 2
    assert "its data changed since its checkpoint was written. Restore what was changed" in capsys.readouterr().err
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == metrics
    (tmp_path / "data.csv").write_text("\n".join(rows))
    assert cli("train", "--resume", "run", "--quiet") == 0


def test_a_resumed_run_that_diverges_at_once_keeps_the_weights_of_its_checkpoint(cli, tmp_path, capsys):
    growing = ("--optimizer", "sgd", "--learning-rate", "1", "--l2", "2", "--batch-size", "720")  # W <- -3 W
    assert cli("train", "circles", *growing, "--epochs", "300", "--out", "run", "--quiet") == 1
    checkpoint = load_checkpoint(tmp_path / "run" / "checkpoint.safetensors")
    assert cli("train", "--resume", "run", "--quiet") == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert f"the weights after epoch {checkpoint.records[-1].epoch} are kept" in last
    model = load_model(tmp_path / "run" / "model.safetensors")
    for kept, saved in zip(checkpoint.records[-1].layers, model.layers, strict=True):
        np.testing.assert_array_equal(kept.W, saved.W)


@pytest.fixture
def checkpoints(monkeypatch):
    """The epochs after which checkpoints were written."""
    epochs, save = [], RunFolder.save_checkpoint

    def noted(folder, experiment, records):
        epochs.append(records[-1].epoch)
        save(folder, experiment, records)

    monkeypatch.setattr(RunFolder, "save_checkpoint", noted)
    return epochs


STEPS = 12  # of an epoch


@pytest.mark.parametrize("rarely", [("--checkpoint-seconds", "1000"), ("--checkpoint-every", "7")])
@pytest.mark.parametrize("length", [("--epochs", "6"), EARLY])
def test_a_run_that_is_told_to_end_leaves_a_checkpoint_of_its_last_whole_epoch(
    cli, tmp_path, told_to_end, rarely, length
):
    """Wherever in an epoch that is, and however rarely checkpoints are written."""
    quick = (*length, "--hidden", "4", "--optimizer", "adam", "--dropout", "0.2", "--quiet")
    assert cli("train", "circles", "--out", "whole", *quick) == 0
    with told_to_end(3 * STEPS + 4):
        assert cli("train", "circles", "--out", "run", *quick, *rarely) == 130
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == 3
    assert cli("train", "--resume", "run", "--quiet") == 0
    one, other = tmp_path / "run", tmp_path / "whole"
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert rows_of(one) == rows_of(other)


@pytest.mark.parametrize(
    ("every", "seconds", "expected"), [(1, 0, [1, 2, 3, 4]), (3, 0, [3, 4]), (0, 0, []), (1, 99, [4])]
)
def test_checkpoints_may_be_rarer_but_for_the_last_one_or_none(cli, checkpoints, every, seconds, expected):
    rarely = ("--checkpoint-every", every, "--checkpoint-seconds", seconds)
    assert cli("train", "circles", "--out", "run", "--epochs", "4", "--hidden", "4", "--quiet", *rarely) == 0
    assert checkpoints == expected


@pytest.mark.parametrize(
    ("every", "seconds", "expected"), [(1, 0, [1, 2, 3]), (2, 0, [2, 3]), (1, 99, [3]), (0, 0, [])]
)
def test_a_run_that_is_told_to_end_has_one_of_its_last_whole_epoch(
    cli, checkpoints, told_to_end, every, seconds, expected
):
    rarely = ("--checkpoint-every", every, "--checkpoint-seconds", seconds)
    with told_to_end(3 * STEPS + 1):
        assert cli("train", "circles", "--out", "run", "--epochs", "9", "--hidden", "4", "--quiet", *rarely) == 130
    assert checkpoints == expected


def test_a_run_that_ends_before_an_epoch_is_done_leaves_the_checkpoint_that_it_resumed_from(
    cli, tmp_path, checkpoints, told_to_end
):
    with told_to_end(1):
        assert cli("train", "circles", "--out", "first", "--epochs", "9", "--hidden", "4", "--quiet") == 130
    assert checkpoints == []
    with told_to_end(3 * STEPS + 1):
        assert cli("train", "circles", "--out", "run", "--epochs", "9", "--hidden", "4", "--quiet") == 130
    checkpoint = tmp_path / "run" / "checkpoint.safetensors"
    before = checkpoint.read_bytes()
    with told_to_end(1):
        assert cli("train", "--resume", "run", "--quiet") == 130
    assert checkpoints == [1, 2, 3]
    assert checkpoint.read_bytes() == before
