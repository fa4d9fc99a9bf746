"""What the command line says where something is not as a user believes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder

QUICK = ("--hidden", "8", "--epochs", "20", "--quiet")


def table(header, n=30):
    """The lines of a .csv file: two features, one of which tells the kind."""
    rows = (f"{i / n},{(2 * i + (i % 2) * n) / n},{'even' if i % 2 else 'odd'}" for i in range(n))
    return "\n".join(filter(None, [header, *rows])) + "\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with `data.csv`, `other.csv` and a run on the former, in `run`."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("data.csv", "other.csv"):
        (folder / name).write_text(table("a,b,kind", 30 if name == "data.csv" else 20))
    experiment = prepare(Options(str(folder / "data.csv"), target="kind", hidden=(4,), epochs=1, batch_size=8))
    run = RunFolder(folder / "run")
    run.start(experiment)
    for record in experiment.records():
        run.add(record)
    run.save(experiment.trained(record.layers))
    run.finish()
    return folder


@pytest.fixture
def run(trained, tmp_path, cli):
    """Copy these to where commands are run, which `cli` goes to: gives the run's folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    return RunFolder(tmp_path / "run")


def test_other_data_leave_the_runs_own_figure_alone(cli, run, tmp_path):
    code, out, _ = cli("evaluate", "run")
    assert (code, "confusion matrix: run/confusion.png" in out) == (0, True)
    (run.path / "confusion.png").write_bytes(b"the run's own")
    before = sorted(tmp_path.rglob("*"))
    code, out, _ = cli("evaluate", "run", "other.csv")
    assert (code, "20 examples" in out, "confusion matrix" in out) == (0, True, False)
    assert (run.path / "confusion.png").read_bytes() == b"the run's own"
    assert sorted(tmp_path.rglob("*")) == before


def test_a_figure_that_is_there_is_replaced_only_when_told(cli, run, tmp_path):
    assert cli("evaluate", "run", "other.csv", "--out", "c.png")[0] == 0
    (tmp_path / "c.png").write_bytes(b"kept")
    code, out, err = cli("evaluate", "run", "--out", "c.png")
    assert (code, out) == (2, "")
    assert "c.png exists: choose another name, or give --overwrite" in err
    assert (tmp_path / "c.png").read_bytes() == b"kept"
    assert cli("evaluate", "run", "--out", "c.png", "--overwrite")[0] == 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_takes_a_model_file_with_data(cli, run):
    run.model.rename("alone.safetensors")
    code, out, _ = cli("evaluate", "alone.safetensors", "other.csv")
    assert (code, "other, all of it: accuracy" in out) == (0, True)
    code, _, err = cli("evaluate", "alone.safetensors")
    assert code == 2
    assert "give some, as in `xpmlp evaluate alone.safetensors data.csv`" in err


@pytest.mark.parametrize(
    ("model", "lines", "message"),
    [
        ("run", "a,b\n1,2\n", "has no column 'kind': choose the target, the label's column, among 'a', 'b'."),
        ("run", "a,b,colour\n1,2,red\n", "has no column 'kind': choose the target, the label's column, among"),
        ("run", "1,2\n", "new.csv has 2 columns, but must have 3: the 2 features .*, and the label."),
        ("run", "a,kind\n1,odd\n", "lacks the columns 'b'"),
        ("run/model.safetensors", "a,b\n1,2\n", "would be 'b', a feature of the model: it has no others, so add one"),
        ("run/model.safetensors", "kind,a,b\nodd,1,2\n", "would be 'b', a feature .*: choose the target among 'kind'."),
    ],
)
def test_a_file_without_the_labels_column_is_told_what_it_has(cli, run, tmp_path, model, lines, message):
    (tmp_path / "new.csv").write_text(lines)
    code, _, err = cli("evaluate", model, "new.csv")
    assert code == 2
    assert re.search(message, err)
    assert "row 0" not in err


def test_a_label_that_the_target_names_is_found_anywhere(cli, run, tmp_path):
    (tmp_path / "new.csv").write_text("kind,a,b\nodd,1,2\neven,0,1\n")
    assert cli("evaluate", "run", "new.csv")[0] == 0
    assert cli("evaluate", "run/model.safetensors", "new.csv", "--target", "kind")[0] == 0


def test_a_header_of_numbers_is_asked_about_where_its_label_is_in_no_other_line(cli, run, tmp_path):
    (tmp_path / "numbers.csv").write_text(table("2020,2019,kind"))
    for options in ((), ("--test", "0"), ("--target", "3")):
        code, _, err = cli("train", "numbers.csv", *options)
        assert code == 2
        assert "numbers.csv, column 'column 3': 'kind' is in the first line alone, as the name of a column is." in err
        assert "Say whether that line is a header (--header) or an example (--no-header)." in err
    for option in ("--header", "--no-header"):
        assert cli("train", "numbers.csv", option, "--out", option[2:], *QUICK)[0] == 0
    assert RunFolder(tmp_path / "header").load().feature_names == ("2020", "2019")
    assert "kind" in RunFolder(tmp_path / "no-header").load().classes
    code, _, err = cli("evaluate", "run", "numbers.csv")  # whose target, in the first line, proves a header
    assert code == 2
    assert "lacks the columns 'a', 'b', which the model was trained on: it has '2020', '2019'" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "circles", "--data-dir", "."), "--data-dir is where Fashion-MNIST is, but the data are circles"),
        (("train", "data.csv", "--data-dir", "."), "--data-dir is where Fashion-MNIST is"),
        (("train", "fashion-mnist", "--test", "0.1"), "--test is a share of the data, but fashion-mnist brings its"),
        (("train", "circles", "--hidden", "", "--activation", "tanh"), "--activation is of hidden units, and there"),
        (("gradcheck", "--hidden", "", "--activation", "tanh"), "--activation is of hidden units, and there are none"),
        (("search", "circles", "--random", "1", "--data-dir", "."), "--data-dir is where Fashion-MNIST is"),
        (("evaluate", "run", "--data-dir", "."), "--data-dir is where Fashion-MNIST is"),
        (("evaluate", "run", "other.csv", "--data-dir", "."), "--data-dir is where Fashion-MNIST is"),
        (("evaluate", "run", "other.csv", "--part", "test"), "--part test is one of the run's own data"),
        (("train", "--resume", "run", "--data-dir", "."), "--data-dir is where Fashion-MNIST is"),
    ],
)
def test_options_that_would_change_nothing_are_refused(cli, run, tmp_path, arguments, message):
    before = sorted(tmp_path.rglob("*"))
    code, _, err = cli(*arguments)
    assert code == 2
    assert message in err
    assert err.endswith("leave it out.\n") or "leave DATASET out" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_no_graph_is_warned_of_where_there_are_none(cli):
    message = "Warning: --no-graphs changes nothing: array_api_strict on device1 has no graphs.\n"
    assert cli("train", "circles", "--no-graphs", "--backend", "array_api_strict", *QUICK) == (0, "", message)


def test_no_graph_asks_numpy_for_each_operation(cli, tmp_path):
    for name, flags in {"on tape": (), "plain": ("--no-graphs",)}.items():
        assert cli("train", "circles", "--out", name, *flags, *QUICK) == (0, "", "")
    one, other = (RunFolder(tmp_path / name).load() for name in ("on tape", "plain"))
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        np.testing.assert_array_equal(mine.W, theirs.W)


def test_a_loss_above_that_of_guessing_is_warned_of_and_large_numbers_are_short(cli):
    wild = ("--learning-rate", "1000", "--schedule", "constant", "--hidden", "64,64", "--epochs", "3")
    code, out, err = cli("train", "circles", "--out", "run", *wild)
    assert code == 0
    warning = (
        r"Warning: the training loss, \d\.\de\+\d\d, is above that of guessing among 2 classes, 0\.6931\. Try a lower"
    )
    assert re.search(warning, err)
    shown = cli("show", "run")[1] + cli("evaluate", "run")[1]
    assert len(re.findall(r"\d\.\de\+\d\d", out + err + shown)) > 10
    assert not re.search(r"\d{5}\.\d", out + err + shown)


def test_quiet_leaves_out_what_auto_took(cli):
    assert cli("train", "circles", "--backend", "auto", *QUICK) == (0, "", "")


def test_a_folder_that_is_no_run_is_said_to_be_none(cli, run, tmp_path):
    (tmp_path / "empty").mkdir()
    for command in ("show", "evaluate"):
        code, _, err = cli(command, "empty")
        assert code == 2
        assert "empty is not the folder of a run: there is no model.safetensors in it. `xpmlp train` makes" in err
        assert "There are runs in it: " in cli(command, tmp_path)[2]


def test_a_run_in_progress_is_said_to_be_that(cli, run):
    run.model.unlink()
    with run.locked():
        code, _, err = cli("evaluate", "run")
        assert code == 2
        assert "the run in run is in progress, and its first epoch has not ended yet: wait for it" in err
    assert "no epoch of the run in run was completed: resume it with" in cli("evaluate", "run")[2]


def test_what_is_no_model_is_said_to_be_none(cli, run):
    for arguments in (
        ("evaluate", "data.csv", "run"),
        ("predict", "data.csv", "data.csv"),
        ("show", "run/config.json"),
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert f"Error: {arguments[1]} is not a model: give the folder of a run, or the model.safetensors in it." in err


def test_a_single_npy_file_is_told_what_is_wanted(cli, tmp_path):
    np.save(tmp_path / "X.npy", np.eye(3))
    code, _, err = cli("train", "X.npy")
    assert code == 2
    assert "put examples and labels into a folder, as X.npy and y.npy, and name that" in err


def test_help_writes_what_is_given_by_position_in_one_way(cli):
    for command in ("train", "evaluate", "predict", "show", "export"):
        usage = next(line for line in cli(command, "--help")[1].splitlines() if "Usage: " in line)
        positions = re.findall(r"[\[{](\w+)[\]}]", usage)
        assert positions[0] == "OPTIONS"
        assert len(positions) > 1
        assert all(map(str.isupper, positions))


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("show", "run"), ("predict", "run", "data.csv")])
def test_a_reader_that_has_ended_ends_a_command_quietly(run, tmp_path, arguments):
    """The conventional code: 128 and SIGPIPE's 13."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "xpmlp", *arguments]
    done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603 - our own command
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_features_beyond_the_models_dtype_are_refused_at_prediction(cli, trained, write):
    file = write("a,b\n0.5,1e200\n")
    code, output, error = cli("predict", trained / "run", file)
    assert code != 0
    assert not output
    assert error.startswith(
        "Error: X holds 1e+200, but is computed with in float32, whose numbers end at 3.4e+38: scale X"
    )
