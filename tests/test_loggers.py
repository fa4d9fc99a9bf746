"""Logs for TensorBoard and MLflow: what is in them, and that a run does not depend on them."""

from __future__ import annotations

import importlib
import json
import math
import struct
from contextlib import suppress
from importlib.util import find_spec

import pytest

from xpmlp import InputError
from xpmlp.cli import main
from xpmlp.common.errors import XpmlpWarning
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.loggers import LOGS, choose_logs, open_logs
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import LOGGED, RunFolder


def needs_mlflow(test):
    """Skip a test where there is no MLflow; what that is warned of by the packages that it needs is its own affair."""
    reason = "mlflow is large, and not installed: pip install 'xpmlp[mlflow]'"
    return pytest.mark.filterwarnings("ignore")(pytest.mark.skipif(find_spec("mlflow") is None, reason=reason)(test))


OPTIONS = Options("circles", hidden=(4,), epochs=4)


def events_of(folder):
    """Read the event files of a run, in the format of TFRecord: a length, a checksum, an event, a checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="pip install 'xpmlp[tensorboard]'")
    events = []
    for file in sorted(folder.glob("events.out.tfevents.*")):
        content = file.read_bytes()
        while content:
            (n,) = struct.unpack("<Q", content[:8])
            events.append(event_pb2.Event.FromString(content[12 : 12 + n]))
            content = content[16 + n :]
    return events


def scalars_of(folder):
    """Give the values of each name by their steps; a step that stands twice is a mistake."""
    found = {}
    for event in events_of(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                steps = found.setdefault(value.tag, {})
                assert event.step not in steps, f"step {event.step} of {value.tag} stands twice"
                steps[event.step] = value.simple_value
    return found


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store of MLflow in the folder of the test."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/store.db")
    monkeypatch.chdir(tmp_path)


def test_tensorboard_has_every_score_of_every_epoch_and_the_options(cli, tmp_path):
    pytest.importorskip("tensorboardX")
    assert (
        cli("train", "circles", "--hidden", "4", "--epochs", "3", "--out", "run", "--log", "tensorboard", "-q")[0] == 0
    )
    rows, scalars = RunFolder(tmp_path / "run").rows(), scalars_of(tmp_path / "run")
    assert len(scalars) == 7
    for part in ("train", "validation", "test"):
        for name in ("loss", "accuracy"):
            expected = {row["epoch"]: pytest.approx(row[f"{part}_{name}"], rel=1e-5) for row in rows}
            assert scalars[f"{name}/{part}"] == expected
    assert scalars["learning_rate"][3] == pytest.approx(rows[-1]["learning_rate"], rel=1e-5)
    tags = [value.tag for event in events_of(tmp_path / "run") for value in event.summary.value]
    assert [tag for tag in tags if tag.startswith("_hparams_")] == [
        "_hparams_/experiment",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    ]
    times = [event.wall_time for event in events_of(tmp_path / "run") if event.step]
    assert times == sorted(times)
    assert times[-1] - times[0] == pytest.approx(rows[-1]["seconds"] - rows[0]["seconds"], abs=0.01)


def log_in_two_turns(folder, names, *, until=2, back_to=None):
    """Log a run that is killed after so many epochs and resumed, maybe from an earlier one."""
    experiment = prepare(OPTIONS)
    folder.start(experiment)
    records = list(experiment.records())
    with suppress(ConnectionError), open_logs(names, folder, experiment, []) as log:
        for record in records[:until]:
            log(record)
        raise ConnectionError
    done = until if back_to is None else back_to
    with open_logs(choose_logs((), folder.path), folder, experiment, records[:done]) as log:
        for record in records[done:]:
            log(record)


@pytest.mark.parametrize("back_to", [2, 1])
def test_a_resumed_run_has_each_epoch_once_in_tensorboard(tmp_path, back_to):
    pytest.importorskip("tensorboardX")
    folder = RunFolder(tmp_path / "run")
    log_in_two_turns(folder, ["tensorboard"], back_to=back_to)
    assert list(scalars_of(folder.path)["loss/train"]) == [1, 2, 3, 4]
    assert len(list(folder.path.glob(LOGGED[0]))) == 1


@needs_mlflow
def test_a_resumed_run_has_each_epoch_once_in_mlflow_and_ends_as_finished(tmp_path, store):
    import mlflow

    folder = RunFolder(tmp_path / "run")
    log_in_two_turns(folder, ["mlflow"], back_to=1)
    kept = json.loads((folder.path / "mlflow.json").read_text())
    assert kept["tracking_uri"] is None  # the user's own, which may hold a password
    client = mlflow.MlflowClient()
    history = client.get_metric_history(kept["run_id"], "loss/train")
    assert sorted(metric.step for metric in history) == [1, 2, 3, 4]
    run = client.get_run(kept["run_id"])
    assert (run.info.status, run.info.run_name, run.data.params["hidden"]) == ("FINISHED", "run", "4")
    records = list(prepare(OPTIONS).records())
    assert run.data.metrics["accuracy/test"] == pytest.approx(records[-1].scores["test"].accuracy)


@needs_mlflow
def test_an_interrupted_run_is_killed_in_mlflow(tmp_path, store):
    import mlflow

    folder, experiment = RunFolder(tmp_path / "run"), prepare(OPTIONS)
    folder.start(experiment)
    with open_logs(["mlflow"], folder, experiment, []) as log:
        log(next(iter(experiment.records())))
    kept = json.loads((folder.path / "mlflow.json").read_text())
    assert mlflow.MlflowClient().get_run(kept["run_id"]).info.status == "KILLED"


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("mlflow", "mlflow")])
def test_a_missing_package_is_an_error_before_anything_is_read(cli, tmp_path, monkeypatch, name, package):
    real = importlib.import_module

    def without(module, *rest):
        if module.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {package!r}", name=package)
        return real(module, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    code, _, err = cli("train", "nowhere.csv", "--out", "run", "--log", name)
    assert code == 2
    assert f"{package} is not installed. Install it with: pip install 'xpmlp[{name}]'" in err
    assert not (tmp_path / "run").exists()


def test_other_programs_are_refused():
    with pytest.raises(InputError, match="log is 'wandb', but must be one of: tensorboard, mlflow"):
        choose_logs(["wandb"])


def test_a_new_run_drops_the_logs_of_the_one_that_it_replaces(tmp_path):
    pytest.importorskip("tensorboardX")
    folder, experiment = RunFolder(tmp_path / "run"), prepare(OPTIONS)
    folder.start(experiment)
    with open_logs(["tensorboard"], folder, experiment, []):
        pass
    (folder.path / "mlflow.json").write_text("{}")
    assert {file.name for file in folder.files} >= {"mlflow.json"}
    folder.start(experiment)
    assert [file for pattern in LOGGED for file in folder.path.glob(pattern)] == []


def test_every_log_knows_its_files():
    assert tuple(log.pattern for log in LOGS.values()) == LOGGED


def test_a_log_that_fails_is_warned_of_and_the_training_goes_on(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    folder, experiment = RunFolder(tmp_path / "run"), prepare(OPTIONS)
    folder.start(experiment)

    def fail(log, _):
        log._writer.close()
        raise OSError("the disk is full")

    with open_logs(["tensorboard"], folder, experiment, []) as log:
        monkeypatch.setattr(LOGS["tensorboard"], "add", fail)
        first, second, *_ = experiment.records()
        with pytest.warns(XpmlpWarning, match="the log for tensorboard ended early: the disk is full"):
            log(first)
        log(second)  # no second warning, which would be an error here


def test_a_log_that_cannot_be_begun_is_an_error_of_ours(tmp_path):
    pytest.importorskip("tensorboardX")
    with pytest.raises(InputError, match="the log for tensorboard cannot be begun"):
        open_logs(["tensorboard"], RunFolder(tmp_path / "nowhere"), prepare(OPTIONS), []).__enter__()


def test_a_log_can_be_added_when_a_run_is_resumed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboardX")
    experiment, folder = prepare(OPTIONS), RunFolder(tmp_path / "run")
    folder.start(experiment)
    records = [record for record, _ in zip(experiment.records(), range(2), strict=False)]
    folder.save_checkpoint(experiment, records)
    monkeypatch.setattr("sys.argv", ["xpmlp", "train", "--resume", str(folder.path), "--log", "tensorboard", "-q"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0, capsys.readouterr().err
    assert list(scalars_of(folder.path)["accuracy/validation"]) == [1, 2, 3, 4]


def test_an_epoch_that_was_cut_is_not_logged(tmp_path):
    pytest.importorskip("tensorboardX")
    folder, experiment = RunFolder(tmp_path / "run"), prepare(OPTIONS)
    folder.start(experiment)
    steps = iter([False, False, True])
    with open_logs(["tensorboard"], folder, experiment, []) as log:
        for record in experiment.records(lambda: next(steps, True)):
            assert not record.complete
            log(record)
    assert scalars_of(folder.path) == {}
    assert math.isfinite(events_of(folder.path)[0].wall_time)
