"""More epochs for a complete run, and a run that starts from the weights of another one."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from xpmlp import InputError, Options, XpmlpWarning, prepare
from xpmlp.experiments.runs import RunFolder
from xpmlp.models.checkpoints import load_checkpoint
from xpmlp.models.files import load_model

QUICK = ("--hidden", "4", "--dropout", "0.2", "--quiet")


@pytest.mark.parametrize("members", ["1", "2"])
def test_a_complete_run_goes_on_to_what_a_longer_one_comes_to_where_the_rate_stays(cli, tmp_path, members):
    constant = ("train", "circles", *QUICK, "--schedule", "constant", "--members", members)
    assert cli(*constant, "--epochs", "4", "--out", "run")[0] == 0
    code, _, err = cli("train", "--resume", "run", "--epochs", "6")
    assert code == 0
    assert "Resuming after epoch 4 of 6. The learning rate stays 0.003." in err
    assert cli(*constant, "--epochs", "6", "--out", "whole")[0] == 0
    one, other = (tmp_path / name for name in ("run", "whole"))
    assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
    assert sorted(file.name for file in one.iterdir()) == sorted(file.name for file in other.iterdir())
    config = json.loads((one / "config.json").read_text())
    assert (config["options"]["epochs"], config["earlier_epochs"]) == (6, [4])
    assert cli("train", "--resume", "run", "--epochs", "6")[0] == 0  # again and again the same command


def test_it_says_what_more_epochs_do_to_a_schedule_that_has_ended(cli, tmp_path):
    assert cli("train", "circles", *QUICK, "--epochs", "4", "--out", "run")[0] == 0
    code, _, err = cli("train", "--resume", "run", "--epochs", "8")
    assert code == 0
    assert "The cosine schedule is now that of 8 epochs: the learning rate, " in err
    rates = [row["learning_rate"] for row in RunFolder(tmp_path / "run").rows()]
    assert rates[3] < 1e-4
    assert rates[4] > 1e-3
    assert "The cosine schedule is now that of 8 epochs" in (tmp_path / "run" / "train.log").read_text()


def test_a_run_that_was_killed_while_it_got_more_epochs_goes_on(cli, tmp_path, monkeypatch):
    constant = ("train", "circles", *QUICK, "--schedule", "constant")
    assert cli(*constant, "--epochs", "3", "--out", "run")[0] == 0

    def killed(*_):
        raise SystemExit(9)

    for method in ("resume", "_write_metrics", "save_checkpoint", "save"):
        with monkeypatch.context() as patched:
            patched.setattr(RunFolder, method, killed)
            assert cli("train", "--resume", "run", "--epochs", "5")[0] == 9
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", XpmlpWarning)  # of what is not finished
            assert RunFolder(tmp_path / "run").load().layers[0].W.shape == (2, 4)  # a model at any time
    assert cli("train", "--resume", "run", "--quiet")[0] == 0
    assert cli(*constant, "--epochs", "5", "--out", "whole")[0] == 0
    assert load_checkpoint(tmp_path / "run" / "checkpoint.safetensors").records[-1].epoch == 5
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole"))
    assert one == other


def test_epochs_that_cannot_be_added_are_refused_with_the_reason(cli, tmp_path):
    assert cli("train", "circles", *QUICK, "--epochs", "3", "--out", "run")[0] == 0
    code, _, err = cli("train", "--resume", "run", "--epochs", "2")
    assert code == 2
    assert "epochs is 2, but 3 of the run in run are done: give more" in err
    (tmp_path / "run" / "checkpoint.safetensors").unlink()
    code, _, err = cli("train", "--resume", "run", "--epochs", "5")
    assert code == 2
    assert "has no checkpoint of its last epoch to go on from: start another run from its weights" in err
    early = ("--epochs", "9", "--patience", "2", "--min-delta", "9")
    assert cli("train", "circles", *QUICK, *early, "--out", "early")[0] == 0
    code, _, err = cli("train", "--resume", "early", "--epochs", "20")
    assert code == 2
    assert "was ended by its patience, so there are no more epochs" in err


def write_people(path, n, *, rng, places="abc"):
    rows = ["age,place,income"]
    for _ in range(n):
        age, place = rng.integers(20, 60), rng.choice(list(places))
        rows.append(f"{age},{place},{'high' if age > 40 else 'low'}")
    path.write_text("\n".join(rows))


def test_a_run_starts_from_the_weights_and_the_preparation_of_another(cli, tmp_path, rng, told_to_end):
    """With a category that the new table lacks: the features are those of the first run, not of the new data."""
    write_people(tmp_path / "first.csv", 200, rng=rng)
    write_people(tmp_path / "second.csv", 100, rng=rng, places="ab")
    assert cli("train", "first.csv", "--hidden", "8", "--epochs", "5", "--quiet", "--out", "first")[0] == 0
    second = ("train", "second.csv", "--epochs", "4", "--quiet", "--from", "first", "--continue", "--out")
    assert cli(*second, "whole")[0] == 0
    first, whole = (load_model(tmp_path / name / "model.safetensors") for name in ("first", "whole"))
    assert whole.preparation == first.preparation
    assert whole.network == first.network
    assert RunFolder(tmp_path / "whole").options().hidden == (8,)
    experiment = prepare(Options(str(tmp_path / "second.csv"), hidden=(8,), epochs=1), start=first)
    np.testing.assert_array_equal(experiment.model.layers[0].W, first.layers[0].W)
    assert experiment.model.preparation == first.preparation

    for steps in (1, 5):  # in the first epoch, and after a checkpoint
        with told_to_end(steps):
            assert cli(*second, "cut")[0] == 130
    assert cli(*second, "cut")[0] == 0
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("cut", "whole"))
    assert one == other
    assert cli("train", "--resume", "cut", "--epochs", "6", "--quiet")[0] == 0
    assert load_model(tmp_path / "cut" / "model.safetensors").preparation == first.preparation
    code, _, err = cli("train", "second.csv", "--epochs", "4", "--continue", "--out", "whole", "--from", "cut")
    assert code == 2
    assert "--from is cut, but the run in whole was begun from" in err


def test_a_run_of_a_table_starts_from_a_network_with_cosines(cli, tmp_path, rng):
    write_people(tmp_path / "people.csv", 100, rng=rng)
    run = ("train", "people.csv", "--epochs", "1", "--quiet")
    assert cli(*run, "--frequencies", "3", "--out", "first")[0] == 0
    assert cli(*run, "--from", "first", "--out", "second")[0] == 0
    one, other = (load_model(tmp_path / name / "model.safetensors").network for name in ("first", "second"))
    assert one == other
    assert one.embedded == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dataset": "digits"}, r"the data and the options need 1 x 64-4-2"),
        ({"hidden": (5,)}, r"need 1 x 2-5-2 with relu"),
        ({"activation": ("tanh",)}, r"need 1 x 2-4-2 with tanh"),
        ({"members": 3}, r"need 3 x 2-4-2"),
        ({"task": "regression", "dataset": "amounts.npz"}, r"is one of classification, but .* of regression"),
        ({"dataset": "other.npz"}, r"other has classes that the model to start from does not know: 7"),
        ({"dataset": "columns.csv"}, r"columns\.csv"),
    ],
)
def test_data_and_options_that_do_not_agree_with_what_a_run_starts_from_are_refused(
    tmp_path, monkeypatch, options, message
):
    monkeypatch.chdir(tmp_path)
    start = prepare(Options("circles", hidden=(4,))).model
    X = np.linspace(0, 1, 40).reshape(20, 2)
    np.savez("amounts.npz", X=X, y=np.linspace(0, 1, 20))
    np.savez("other.npz", X=X, y=np.arange(20) % 2 * 7)
    (tmp_path / "columns.csv").write_text("p,q,r,label\n" + "1,2,3,0\n4,5,6,1\n" * 9)
    with pytest.raises(InputError, match=message):
        prepare(Options(**{"dataset": "circles", "hidden": (4,), **options}), start=start)


@pytest.mark.parametrize("option", [("--init", "he_normal"), ("--scaling", "none")])
def test_what_the_model_that_a_run_starts_from_decides_is_no_option(cli, option):
    code, _, err = cli("train", "circles", "--from", "run", *option)
    assert code == 2
    assert f"{option[0]} is decided by the model that --from names: leave it out" in err


@pytest.mark.parametrize("name", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_several_processes_of_mpi_without_distributed_are_told_that_it_is_missing(cli, monkeypatch, name):
    monkeypatch.setenv(name, "2")
    code, _, err = cli("train", "circles", "--epochs", "1", "--hidden", "4", "--out", "run", "--quiet")
    assert code == 0
    assert "mpiexec started 2 processes, and each trains by itself: give --distributed for one training" in err
