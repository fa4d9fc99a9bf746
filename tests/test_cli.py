"""The command line, as a user meets it: exit codes, messages, files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
from conftest import READ_ONLY

from xpmlp import get_backend, load_model
from xpmlp.cli._terminal import say, stopping_on_interrupt
from xpmlp.experiments.evaluation import decision_regions
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options

QUICK = ["--hidden", "8", "--epochs", "2", "--quiet"]


@pytest.fixture
def iris(tmp_path):
    """A .csv file with a header and names for labels; and one with its features alone."""
    from sklearn.datasets import load_iris

    data = load_iris()
    header = ["sepal length", "sepal width", "petal length", "petal width"]
    with (tmp_path / "iris.csv").open("w", newline="") as labelled, (tmp_path / "new.csv").open("w", newline="") as new:
        csv.writer(labelled).writerow([*header, "species"])
        csv.writer(new).writerow(header)
        for row, target in zip(data.data, data.target, strict=True):
            csv.writer(labelled).writerow([*row, data.target_names[target]])
            csv.writer(new).writerow(row)
    return tmp_path / "iris.csv"


def test_train_alone_trains_on_the_digits_and_says_where_the_files_are(cli, tmp_path):
    code, out, err = cli("train", "--epochs", "2")
    assert code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("digits-")
    expected = {"config.json", "metrics.csv", "model.safetensors", "checkpoint.safetensors", "curves.png", "train.log"}
    assert {file.name for file in folder.iterdir()} == expected | {".lock"}
    assert "test accuracy" in out
    assert folder.name in out
    assert "epoch 2/2: train loss" in err


def test_quiet_prints_nothing(cli):
    assert cli("train", "circles", *QUICK) == (0, "", "")


def test_a_run_trains_evaluates_and_predicts_on_any_backend(cli, iris, tmp_path, backend_name):
    if backend_name == READ_ONLY:
        pytest.skip(f"{READ_ONLY} is a backend of the tests alone")
    code, _, err = cli("train", iris, "--backend", backend_name, "--out", "run", "--epochs", "60", "--quiet")
    assert (code, err) == (0, "")

    code, out, _ = cli("evaluate", "run", "--backend", backend_name)
    assert code == 0
    assert "iris, test: accuracy" in out
    assert "versicolor" in out
    assert (tmp_path / "run" / "confusion.png").exists()
    on_numpy = cli("evaluate", "run")[1].splitlines()[0]
    assert out.splitlines()[0] == on_numpy

    code, out, _ = cli("predict", "run", "new.csv", "--backend", backend_name)
    species = [line.rsplit(",", 1)[1] for line in iris.read_text().splitlines()[1:]]
    predicted = out.splitlines()
    assert predicted[0] == "prediction"
    assert np.mean(np.array(predicted[1:]) == np.array(species)) > 0.8


def test_predict_writes_probabilities_to_a_file(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    code, out, err = cli("predict", "run", iris, "--proba", "--out", "predictions.csv")
    assert (code, out) == (0, "")
    assert "150 predictions written to predictions.csv" in err
    rows = list(csv.DictReader((tmp_path / "predictions.csv").read_text().splitlines()))
    names = ["setosa", "versicolor", "virginica"]
    for row in rows:
        values = [float(row[f"probability {name}"]) for name in names]
        assert sum(values) == pytest.approx(1, abs=1e-4)
        assert row["prediction"] == names[int(np.argmax(values))]
    again = ("predict", "run", iris, "--out", "predictions.csv")
    assert (tmp_path / "predictions.csv").read_text().startswith("prediction,probability")
    code, _, err = cli(*again)
    assert code == 2
    assert "predictions.csv exists: choose another name, or give --overwrite" in err
    assert cli(*again, "--overwrite")[0] == 0
    assert (tmp_path / "predictions.csv").read_text().startswith("prediction\n")


def test_evaluate_takes_other_parts_and_other_data(cli, iris):
    assert cli("train", iris, "--out", "run", "--validation", "0.1", *QUICK)[0] == 0
    assert "iris, validation: accuracy" in cli("evaluate", "run", "--part", "validation")[1]
    assert "12 examples" in cli("evaluate", "run", "--part", "validation")[1]
    iris.rename(iris.with_name("other.csv"))
    assert "other, all of it: accuracy" in cli("evaluate", "run", "other.csv", "--out", "c.png")[1]


def test_evaluate_takes_features_by_name_whatever_their_order(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", "--target", "species", *QUICK)[0] == 0
    rows = [line.split(",") for line in iris.read_text().splitlines()]
    turned = "\n".join(",".join(["note" if not i else "a text", *reversed(row)]) for i, row in enumerate(rows)) + "\n"
    (tmp_path / "turned.csv").write_text(turned)
    code, out, _ = cli("evaluate", "run", "turned.csv")
    assert code == 0
    straight = cli("evaluate", "run", "iris.csv", "--target", "species")
    assert out.splitlines()[0].removeprefix("turned") == straight[1].splitlines()[0].removeprefix("iris")
    assert "trained on: leave DATASET out" in straight[2]


def test_evaluate_takes_a_file_without_header_though_the_run_has_a_target(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", "--target", "species", *QUICK)[0] == 0
    (tmp_path / "bare.csv").write_text("\n".join(iris.read_text().splitlines()[1:]) + "\n")
    code, out, _ = cli("evaluate", "run", "bare.csv")
    assert code == 0
    assert "150 examples" in out


def test_evaluate_refuses_parts_of_data_that_have_changed(cli, iris):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    iris.write_text("\n".join(iris.read_text().splitlines()[:-3]) + "\n")
    code, _, err = cli("evaluate", "run")
    assert code == 2
    assert "iris.csv has changed since the run was trained" in err
    assert cli("evaluate", "run", "iris.csv")[0] == 0


def test_evaluate_finds_the_data_from_another_folder(cli, iris, tmp_path, monkeypatch):
    assert cli("train", "iris.csv", "--out", "run", *QUICK)[0] == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "iris, test: accuracy" in cli("evaluate", "../run")[1]


def test_evaluate_takes_a_file_with_one_class(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    (tmp_path / "setosa.csv").write_text("\n".join(iris.read_text().splitlines()[:51]) + "\n")
    code, out, _ = cli("evaluate", "run", "setosa.csv")
    assert code == 0
    assert "50 examples" in out


def test_a_csv_file_without_header_is_said_to_have_none(cli, iris, tmp_path):
    (tmp_path / "bare.csv").write_text("\n".join(iris.read_text().splitlines()[1:]) + "\n")
    code, _, err = cli("train", "bare.csv", "--epochs", "1")
    assert code == 0
    assert "bare.csv has no header: its first line is taken as an example" in err


def test_a_long_run_prints_some_epochs_and_logs_all(cli, tmp_path):
    code, _, err = cli("train", "circles", "--hidden", "2", "--epochs", "95", "--batch-size", "720", "--out", "run")
    assert code == 0
    printed = [line for line in err.splitlines() if line.startswith("epoch ")]
    assert 20 <= len(printed) <= 32
    assert printed[0].startswith("epoch 1/95")
    assert printed[-1].startswith("epoch 95/95")
    assert (tmp_path / "run" / "train.log").read_text().count(" epoch ") == 95


def test_gradcheck_passes_and_draws(cli, tmp_path, backend_name):
    if backend_name == READ_ONLY:
        pytest.skip(f"{READ_ONLY} is a backend of the tests alone")
    for mode in ("loop", "matrix"):
        code, out, _ = cli(
            "gradcheck", "--backend", backend_name, "--mode", mode, "--batch-size", "3", "--out", "g.png"
        )
        assert code == 0
        assert "passed: worst relative error" in out
        assert "passed: worst ratio" in out
        assert "W1[0, 1]" in out
        assert (tmp_path / "g.png").read_bytes().startswith(b"\x89PNG")


def test_gradcheck_fails_and_still_draws_where_gradients_are_not_finite(cli, tmp_path):
    code, out, err = cli("gradcheck", "--l2", "1e308")
    assert code == 1
    assert "FAILED" in out
    assert "Traceback" not in err
    assert (tmp_path / "gradcheck.png").exists()


def test_gradcheck_fails_where_a_derivative_is_wrong(cli, monkeypatch):
    from xpmlp.nn.activations import ACTIVATIONS, Activation

    right = ACTIVATIONS["tanh"]
    wrong = Activation("tanh", right.function, lambda xp, z, a: right.derivative(xp, z, a) * (1 + 1e-5))
    monkeypatch.setitem(ACTIVATIONS, "tanh", wrong)
    code, out, _ = cli("gradcheck", "--activation", "tanh")
    assert code == 1
    assert "FAILED: worst relative error" in out


@pytest.mark.torch_or_jax
def test_info_lists_every_backend_with_what_is_missing(cli):
    code, out, _ = cli("info")
    assert code == 0
    for name in ("numpy", "cupy", "torch", "jax", "array_api_strict"):
        assert name in out
    assert "thread" in out


def test_auto_says_what_it_took(cli):
    code, _, err = cli("train", "circles", "--backend", "auto", "--hidden", "8", "--epochs", "2")
    assert code == 0
    assert err.startswith("Backend auto took ")


def test_a_batch_size_above_n_is_said(cli):
    code, _, err = cli("train", "circles", "--batch-size", "5000", *QUICK)
    assert code == 0
    assert "Warning: batch size 5000 is above the 720 training examples: taken as 720." in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nothing.csv"], "nothing.csv"),
        (["train", "circles", "--learning-rate", "0"], "learning rate is 0.0, but must be a number above 0"),
        (["train", "circles", "--learning-rate", "-1"], "learning rate is -1.0"),
        (["train", "circles", "--hidden", "0"], "size of hidden layer 1 is 0"),
        (["train", "circles", "--hidden", "9" * 400], "but must be an integer at least 1 and at most 2147483647"),
        (["train", "circles", "--hidden", "ten"], "--hidden is 'ten', but must be whole numbers"),
        (["train", "circles", "--l2", "much"], "--l2 is 'much', but must be numbers"),
        (["train", "circles", "--dropout", "1"], "dropout is 1.0, but must be a number at least 0 and below 1"),
        (["train", "circles", "--input-dropout", "-1"], "dropout is -1.0, but must be a number at least 0"),
        (["train", "circles", "--backend", "mxnet"], "backend is 'mxnet', but must be one of: numpy"),
        (["train", "circles", "--device", "cuda:7"], "backend numpy has no device 'cuda:7'"),
        (["train", "circles", "--epochs", "0"], "epochs is 0"),
        (["train", "circles", "--target", "y"], "target"),
        (["train", "circles", "--epochs", "many"], "--epochs"),
        (["evaluate", "nowhere"], "there is no run folder at nowhere"),
        (["predict", "nowhere", "x.csv"], "there is no run folder at nowhere"),
        (["predict", "nowhere", "x.csv", "--out", "."], "it is a folder"),
        (["predict", "nowhere", "x.csv", "--out", "y.txt"], "its name must end in one of .csv"),
        (["train", "a" * 300 + ".csv"], "aaa.csv"),
        (["gradcheck", "--batch-size", "0"], "batch size is 0"),
        (["gradcheck", "--out", "no/such/folder.png"], "there is no folder no/such"),
        (["gradcheck", "--out", "figure.jpg"], "must end in one of .png, .pdf, .svg"),
        (["gradcheck", "--out", "figure"], "must end in one of .png, .pdf, .svg"),
    ],
)
def test_bad_input_is_one_clear_message_with_exit_code_2_and_leaves_nothing(cli, tmp_path, arguments, message):
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a,b,label\n1,2,x\n3,4\n", "line 3"),
        ("a,b,label\n1,2,x\n3,4,x\n", "one class alone"),
        ("a,b,label\n", "no rows"),
        ("a,b,price\n1,2,0.5\n3,4,0.5\n", "holds one value alone (0.5): there is nothing to learn"),
    ],
)
def test_a_bad_csv_file_is_refused_with_the_place(cli, tmp_path, text, message):
    (tmp_path / "data.csv").write_text(text)
    code, _, err = cli("train", "data.csv")
    assert code == 2
    assert message in err
    assert [file.name for file in tmp_path.iterdir()] == ["data.csv"]


def npz(**arrays):
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


HOSTILE = {
    "empty.csv": b"",
    "empty.npz": b"",
    "binary.csv": bytes(range(256)),
    "binary.npz": bytes(range(256)),
    "nul.csv": b"1,a\0\n2,b\n",
    "utf16.csv": "1,a\n2,b\n".encode("utf-16"),
    "one-column.csv": b"1\n2\n",
    "ragged.csv": b"1,2,3,4,a\n1,b\n",
    "infinite.csv": b"1,2,3,inf,a\n1,2,3,4,b\n",
    "long.csv": b"1," + b"2" * 2**22 + b",a\n",
    "pickled.npz": npz(X=np.array([[{}]]), y=np.array([{}])),
    "nan.npz": npz(X=np.full((2, 5), np.nan), y=np.arange(2)),
    "cut.npz": npz(X=np.eye(4), y=np.arange(4))[:-100],
    "other.npz": npz(Z=np.eye(4)),
}


def test_hostile_files_end_every_command_with_one_message(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    for name, content in HOSTILE.items():
        (tmp_path / name).write_bytes(content)
        for command in (["train", name], ["evaluate", "run", name], ["predict", "run", name]):
            code, out, err = cli(*command)
            assert (code, out) == (2, ""), name
            assert err.startswith("Error: ")
            assert name in err
    for content in (b"", bytes(range(256)), b"\x02\0\0\0\0\0\0\0{}"):
        (tmp_path / "run" / "model.safetensors").write_bytes(content)
        for command in (["evaluate", "run"], ["predict", "run", "new.csv"]):
            code, out, err = cli(*command)
            assert (code, out) == (2, "")
            assert err.startswith("Error: ")
            assert "model.safetensors" in err


def test_a_wrong_number_of_features_is_refused_at_prediction(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    (tmp_path / "short.csv").write_text("1,2,3\n4,5,6\n")
    code, out, err = cli("predict", "run", "short.csv")
    assert (code, out) == (2, "")
    assert "3" in err
    assert "4" in err


def test_labels_that_the_model_does_not_know_are_refused(cli, iris, tmp_path):
    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    (tmp_path / "other.csv").write_text(iris.read_text().replace("virginica", "orchid"))
    code, _, err = cli("evaluate", "run", "other.csv")
    assert code == 2
    assert "labels that the training data do not: 'orchid'" in err


def test_a_run_is_not_overwritten_unless_told(cli, tmp_path):
    assert cli("train", "circles", "--out", "run", *QUICK)[0] == 0
    before = (tmp_path / "run" / "model.safetensors").read_bytes()
    code, _, err = cli("train", "circles", "--out", "run", *QUICK)
    assert code == 2
    assert "--overwrite" in err
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == before
    assert cli("train", "circles", "--out", "run", "--overwrite", "--seed", "7", *QUICK)[0] == 0
    assert (tmp_path / "run" / "model.safetensors").read_bytes() != before


def test_the_same_command_gives_the_same_bytes_of_weights(cli, tmp_path):
    for name in ("one", "two"):
        assert cli("train", "circles", "--out", name, *QUICK)[0] == 0
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_patience_ends_a_run_early_with_the_weights_and_scores_of_its_best_epoch(cli, tmp_path):
    early = ("--epochs", "9", "--patience", "2", "--min-delta", "9", "--hidden", "4")  # the first epoch is the best
    code, out, _ = cli("train", "circles", "--out", "run", *early)
    assert code == 0
    assert "of epoch 1, which has the best validation loss" in out
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert f"{float(rows[0]['validation_accuracy']):.4f}" in re.search("validation accuracy.*", out)[0]
    assert "weights of epoch 1" in (tmp_path / "run" / "train.log").read_text().splitlines()[-1]
    code, out, _ = cli("evaluate", "run", "--part", "validation")
    assert f"accuracy {float(rows[0]['validation_accuracy']):.4f}" in out
    code, _, err = cli("train", "--resume", "run")
    assert code == 0
    assert "is complete: there is nothing left to train" in err


def test_patience_without_a_finite_validation_loss_keeps_the_last_weights_and_says_so(cli, tmp_path):
    X = np.full((10, 2), 0.5, dtype=np.float32)
    X[0] = 3e38  # the largest numbers of float32, whose products overflow
    np.savez(tmp_path / "data.npz", X=X, y=np.arange(10) % 2)
    options = Options(dataset=str(tmp_path / "data.npz"), validation=0.2, test=0.0, scaling="none", hidden=(64,))
    seed = next(s for s in count() if prepare(replace(options, seed=s)).sets["validation"][0].max() > 1)
    arguments = ("--validation", "0.2", "--test", "0", "--scaling", "none", "--hidden", "64", "--seed", str(seed))
    code, _, err = cli("train", "data.npz", *arguments, "--epochs", "5", "--patience", "2", "--out", "run")
    assert code == 0
    assert "epoch 3/5" not in err
    assert "the validation loss was not finite after any epoch: the weights are those of the last one" in err


def test_divergence_in_the_first_epoch_ends_with_advice_and_without_a_model(cli, tmp_path):
    arguments = ["train", "circles", "--optimizer", "sgd", "--learning-rate", "1e30", "--epochs", "3", "--out", "run"]
    code, _, err = cli(*arguments)
    assert code == 1
    assert "training diverged in epoch 1" in err
    assert "Try a learning rate below 1e+30" in err
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert "diverged" in (tmp_path / "run" / "train.log").read_text()


def test_divergence_after_good_epochs_saves_the_weights_of_the_last_good_one(cli, tmp_path):
    growing = [
        "--optimizer",
        "sgd",
        "--learning-rate",
        "1",
        "--l2",
        "2",
        "--batch-size",
        "720",
    ]  # W <- -3 W at each step
    code, out, err = cli("train", "circles", *growing, "--epochs", "300", "--out", "run")
    assert code == 1
    assert "are kept" in err
    assert "test accuracy" in out
    code, out, _ = cli("evaluate", "run")
    assert code == 0
    assert "nan" not in out.splitlines()[0]


def test_ctrl_c_saves_what_was_learnt_so_far(tmp_path):
    options = ("--epochs", "100000", "--out", "run", "--checkpoint-every", "0")
    command = [sys.executable, "-m", "xpmlp", "train", "digits", *options]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own command
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert re.search(r"Interrupted (in|after) epoch \d+; what was learnt so far is saved", err)
    assert "To begin it again, as no checkpoint was written: xpmlp train --resume run" in err
    assert "Traceback" not in err
    assert "test accuracy" in out
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "curves.png", "metrics.csv"} <= files
    evaluated = subprocess.run(
        [sys.executable, "-m", "xpmlp", "evaluate", "run"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "digits, test: accuracy" in evaluated.stdout


def test_a_signal_that_comes_while_a_line_is_written_ends_nothing(monkeypatch):
    class Interrupting(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            os.kill(os.getpid(), signal.SIGINT)
            return len(data)

    stream = io.TextIOWrapper(io.BufferedWriter(Interrupting()), line_buffering=True)
    monkeypatch.setattr(sys, "stderr", stream)
    with stopping_on_interrupt() as should_stop:
        say("epoch 1")
        assert should_stop()


def test_fashion_mnist_is_found_through_the_environment(cli, data_dir, tmp_path, monkeypatch):
    monkeypatch.setenv("XPMLP_DATA", str(data_dir.absolute()))
    code, out, _ = cli("train", "fashion-mnist", "--epochs", "1", "--batch-size", "256", "--out", "run")
    assert code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["examples"] == {"train": 54000, "validation": 6000, "test": 10000}
    assert "10,000 examples" in out
    assert "Ankle boot" in cli("evaluate", "run")[1]


def test_graphs_and_precision_are_kept_with_the_run_which_runs_before_them_lack(cli, tmp_path):
    assert cli("train", "circles", "--no-graphs", "--out", "run", *QUICK)[0] == 0
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    assert (config["options"].pop("graphs"), config["options"].pop("precision")) == (False, "highest")
    path.write_text(json.dumps(config))
    assert cli("evaluate", "run")[0] == 0


def test_the_earlier_name_of_an_option_still_works(cli, tmp_path):
    assert cli("train", "circles", "--no-graph", "--out", "run", *QUICK)[0] == 0
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    assert config["options"]["graphs"] is False
    config["options"]["graph"] = config["options"].pop("graphs")
    path.write_text(json.dumps(config))
    assert cli("evaluate", "run")[0] == 0
    assert "--no-graph," not in cli("train", "--help")[1]


def test_a_precision_that_the_backend_or_the_dtype_has_not_is_refused(cli, tmp_path):
    code, _, err = cli("train", "circles", "--precision", "tf32", "--out", "run")
    assert code == 2
    assert "precision tf32 is of NVIDIA GPUs, but backend numpy computes on cpu" in " ".join(err.split())
    code, _, err = cli("train", "circles", "--precision", "tf32", "--dtype", "float64", "--out", "run")
    assert code == 2
    assert "precision tf32 is of products in float32, but dtype is float64" in " ".join(err.split())
    assert not (tmp_path / "run").exists()


def test_version_and_help(cli):
    assert cli("--version")[1].startswith("xpmlp ")
    assert "gradcheck" in cli("--help")[1]
    assert "--learning-rate" in cli("train", "--help")[1]


def test_export_writes_what_the_ending_says_and_refuses_the_rest(cli, iris, tmp_path):
    from xpmlp import load_model

    assert cli("train", iris, "--out", "run", *QUICK)[0] == 0
    X = np.loadtxt(tmp_path / "new.csv", delimiter=",", skiprows=1)
    expected = load_model(tmp_path / "run" / "model.safetensors").predict_proba(X)
    code, _, err = cli("export", "run", "iris.npz")
    assert (code, err) == (0, "model written to iris.npz\n")
    with np.load("iris.npz", allow_pickle=False) as file:
        z = ((X - file["shift"]) * file["scale"]).astype("float32")
        z = np.maximum(z.dot(file["W1"]) + file["b1"], 0).dot(file["W2"]) + file["b2"]
    np.testing.assert_allclose(np.exp(z) / np.exp(z).sum(axis=1, keepdims=True), expected, rtol=1e-5)
    code, _, err = cli("export", "run", "iris.npz")
    assert (code, "give --overwrite" in err) == (2, True)
    assert cli("export", "run/model.safetensors", "iris.npz", "--overwrite")[0] == 0
    code, _, err = cli("export", "run", "iris.pickle")
    assert (code, "must end in one of .onnx, .npz, .skops" in err) == (2, True)
    assert cli("export", "run", "iris.onnx", "--to", "sklearn")[0] == 2
    assert cli("predict", "run/model.safetensors", "new.csv") == cli("predict", "run", "new.csv")


def test_export_writes_the_step_of_a_run_as_its_options_say(cli, iris):
    import onnxruntime

    assert cli("train", iris, "--out", "run", *QUICK, "--optimizer", "sgd", "--momentum", "0.9", "--l2", "0.1")[0] == 0
    code, _, err = cli("export", "run", "step.onnx", "--what", "step")
    assert (code, err) == (0, "step written to step.onnx\n")
    session = onnxruntime.InferenceSession("step.onnx")
    names = [output.name for output in session.get_outputs()]
    assert {"next_W1", "next_velocity_b2", "next_t", "loss"} <= set(names)
    for what, refusal in [
        (("run", "step.onnx", "--what", "step"), "give --overwrite"),
        (("run", "step.npz", "--what", "step"), "must end in one of .onnx"),
        (("run", "step.onnx", "--what", "gradients"), "must be one of: model, step"),
        (("run/model.safetensors", "other.onnx", "--what", "step"), "a step is that of a run"),
    ]:
        code, _, err = cli("export", *what)
        assert (code, refusal in " ".join(err.split())) == (2, True)
    assert cli("train", iris, "--out", "weighted", *QUICK, "--class-weight", "balanced")[0] == 0
    code, _, err = cli("export", "weighted", "other.onnx", "--what", "step")
    assert (code, "it weighted the classes" in err) == (2, True)


def test_evaluate_draws_the_regions_of_classes_in_the_plane_of_two_features(cli, tmp_path):
    table = tmp_path / "plane.csv"
    rows = [f"{x},{y},{'left' if x < 0 else 'right'}" for x in range(-9, 10) for y in range(3)]
    table.write_text("\n".join(["x,y,side", *rows]) + "\n")
    cli("train", str(table), "--out", str(tmp_path / "run"), "--epochs", "3")
    assert f"decision regions: {tmp_path / 'run' / 'regions.png'}" in cli("evaluate", str(tmp_path / "run"))[1]
    cli("evaluate", str(tmp_path / "run"), "--out", str(tmp_path / "picture.png"))
    assert (tmp_path / "picture-regions.png").read_bytes().startswith(b"\x89PNG")


def test_regions_are_drawn_around_whole_numbers_and_gaps(cli, tmp_path):
    rows = [f"{x},{y},{'left' if x < 0 else 'right'}" for x in range(-9, 10) for y in range(3)]
    for name, more in (("plane", []), ("new", [",1,left", "3,,right"])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,side", *rows, *more]) + "\n")
    cli("train", "plane.csv", "--out", "run", "--epochs", "3")
    assert cli("evaluate", "run", "new.csv", "--out", "picture.png")[0] == 0
    assert (tmp_path / "picture-regions.png").exists()
    np.savez(tmp_path / "whole.npz", X=np.array([[x, y] for x in range(20) for y in range(5)]), y=np.arange(100) // 50)
    cli("train", "whole.npz", "--out", "whole", "--epochs", "3")
    assert cli("evaluate", "whole")[0] == 0
    X, y = np.array([[0, 0], [3, 1]]), np.array([0, 1])
    regions = decision_regions(load_model(tmp_path / "whole" / "model.safetensors"), get_backend("numpy"), X, y, "test")
    assert np.unique(regions.probabilities[0, :, 1]).size > 50  # not those of four whole numbers
