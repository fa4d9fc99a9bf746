"""Model cards: what `xpmlp show` says of runs and models, for readers and as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from xpmlp import InputError, Model, Network, Scaling, initialize, save_model
from xpmlp.cli import main
from xpmlp.experiments.cards import card_of
from xpmlp.experiments.experiment import fingerprint, prepare
from xpmlp.experiments.options import Options
from xpmlp.experiments.runs import RunFolder


@pytest.fixture
def folder(tmp_path):
    """A finished run on the digits."""
    folder, experiment = (
        RunFolder(tmp_path / "run"),
        prepare(Options(hidden=(8, 4), activation=("relu", "tanh"), dropout=(0.2,), l2=(1e-4,), epochs=3)),
    )
    folder.start(experiment)
    for record in experiment.records():
        folder.add(record)
    folder.save(experiment.trained(record.layers))
    folder.finish()
    return folder


@pytest.fixture
def shown(capsys, monkeypatch):
    """Run `xpmlp show`: gives what it printed."""

    def show(*arguments):
        monkeypatch.setattr(sys, "argv", ["xpmlp", "show", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    return show


def test_a_damaged_run_is_one_message(folder, capsys, monkeypatch):
    config, metrics = folder.config.read_text(), folder.metrics.read_text()
    first, _, rest = metrics.partition("\n")
    for change in (
        lambda: folder.config.write_text(config.replace('"features"', '"other"')),
        lambda: folder.metrics.write_text(first + "\n" + rest[rest.index(",") :]),
    ):
        change()
        monkeypatch.setattr(sys, "argv", ["xpmlp", "show", str(folder.path)])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert "cannot be read" in capsys.readouterr().err
        folder.config.write_text(config)
        folder.metrics.write_text(metrics)


def test_a_run_that_ended_early_says_whose_weights_it_has(tmp_path, shown):
    folder = RunFolder(tmp_path / "run")
    experiment = prepare(Options(dataset="circles", hidden=(4,), epochs=9, patience=2, min_delta=9.0))
    folder.start(experiment)
    for record in experiment.records():
        folder.add(record)
    folder.save(experiment.trained(record.selected.layers))
    folder.finish()
    metrics = card_of(folder.path)["metrics"]
    assert metrics["last"]["validation_loss"] < metrics["best"]["validation_loss"]
    assert (metrics["best"]["epoch"], metrics["last"]["best_epoch"]) == (1, 1)
    out = shown(folder.path)
    assert "finished, 3 of at most 9 epochs done, weights of epoch 1" in out
    assert "patience 2" in out


def test_the_card_of_a_run_holds_network_data_recipe_metrics_and_versions(folder):
    card = card_of(folder.path)
    assert card["state"] == "finished"
    assert card["network"]["layers"] == [
        {"inputs": 64, "dropout": 0.0, "units": 8, "activation": "relu", "parameters": 520},
        {"inputs": 8, "dropout": 0.2, "units": 4, "activation": "tanh", "parameters": 36},
        {"inputs": 4, "dropout": 0.2, "units": 10, "activation": "softmax", "parameters": 50},
    ]
    assert card["network"]["parameters"] == 606
    assert (card["task"], card["classes"]) == ("classification", list(range(10)))
    assert card["preprocessing"] == "divided by 16"
    assert card["dtype"] == "float32"
    assert card["data"]["sha256"] == fingerprint(prepare(folder.options()).dataset)
    assert card["data"]["examples"] == {"train": 1294, "validation": 144, "test": 359}
    recipe = card["recipe"]
    assert (recipe["optimizer"], recipe["learning_rate"], recipe["schedule"]) == ("adam", 0.003, "cosine")
    assert (recipe["l2"], recipe["batch_size"], recipe["seed"]) == ([1e-4], 64, 0)
    assert card["metrics"]["last"]["epoch"] == 3
    assert card["metrics"]["best"]["validation_loss"] == min(row["validation_loss"] for row in folder.rows())
    assert card["backend"] == {"name": "numpy", "device": "cpu", "dtype": "float32"}
    assert {"python", "numpy", "xpmlp"} <= set(card["versions"])
    assert json.loads(folder.config.read_text())["started"] == card["started"]


def test_an_unfinished_run_is_said_to_be_that_whether_it_has_a_model_or_not(folder, shown):
    lines = folder.metrics.read_text().splitlines(keepends=True)
    folder.metrics.write_text("".join(lines[:-1]))
    assert card_of(folder.path)["state"] == "unfinished"
    folder.model.unlink()
    folder.metrics.write_text("".join(lines))
    card = card_of(folder.path)
    assert card["state"] == "unfinished"
    assert card["network"]["parameters"] == 606
    folder.metrics.write_text(lines[0])
    assert card_of(folder.path)["metrics"] is None
    assert "unfinished, 0 of 3 epochs done" in shown(folder.path)


def test_an_epoch_that_was_cut_short_is_not_called_done(folder, shown):
    header, *rows = folder.metrics.read_text().splitlines()
    epoch, seconds, examples, *rest = rows[-1].split(",")
    cut = ",".join([epoch, seconds, str(int(examples) - 1), *rest])
    folder.metrics.write_text("\n".join([header, *rows[:-1], cut]) + "\n")
    assert "unfinished, 2 of 3 epochs done" in shown(folder.path)


def test_a_run_is_shown_alike_with_and_without_its_model(folder, shown):
    card, lines = card_of(folder.path), shown(folder.path).splitlines()
    assert (card["preprocessing"], card["feature_names"][0]) == ("divided by 16", "pixel_0_0")
    folder.model.unlink()
    assert card_of(folder.path) == card | {"state": "unfinished"}
    assert shown(folder.path).splitlines()[1:] == lines[1:]


def test_a_model_file_alone_has_a_card_too(folder, tmp_path, shown):
    alone = folder.model.rename(tmp_path / "alone.safetensors")
    card = card_of(alone)
    assert card["state"] == "model"
    assert card["network"]["layers"][1]["dropout"] == 0.2
    assert "metrics" not in card
    assert "alone.safetensors: a model file" in shown(alone)


@pytest.mark.parametrize("columns", ["80", "200"])
def test_what_is_shown_fits_the_terminal_and_cuts_nothing(folder, shown, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    out = shown(folder.path)
    title, *table = out.splitlines()
    assert title.endswith("run: finished, 3 of 3 epochs done")
    assert max(map(len, table)) <= int(columns)
    assert "…" not in out
    words = "".join(character for character in out if character.isalnum())
    assert card_of(folder.path)["data"]["sha256"] in words
    for text in ("606", "dropout", "optimizer adam", "numpy on cpu", "1,294", "best loss"):
        assert text in out


def test_json_is_the_card(folder, shown):
    assert json.loads(shown(folder.path, "--json")) == card_of(folder.path)


def test_what_cannot_be_read_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="there is no run folder at"):
        card_of(tmp_path / "nowhere")
    folder.metrics.write_text("epoch,seconds\n1,two\n")
    with pytest.raises(InputError, match=r"metrics\.csv cannot be read: ValueError"):
        card_of(folder.path)
    folder.config.write_text(json.dumps({"options": {}}))
    with pytest.raises(InputError, match=r"config\.json cannot be read: it lacks 'epochs'"):
        card_of(folder.path)


@pytest.mark.parametrize(
    ("scaling", "said"), [("none", "none"), ("standard", "each feature to mean 0 and standard deviation 1")]
)
def test_the_preprocessing_is_that_of_the_model(tmp_path, scaling, said):
    experiment = prepare(Options("circles", scaling=scaling, hidden=(2,), epochs=1))
    folder = RunFolder(tmp_path / "run")
    folder.start(experiment)
    folder.save(experiment.model)
    assert card_of(folder.path)["preprocessing"] == said


def test_the_card_of_a_regression_says_task_target_and_how_it_was_scaled(tmp_path, shown):
    network = Network.build(2, [3], 1, loss="squared")
    scalings = Scaling(np.zeros(2), np.ones(2)), Scaling(np.array([180000.0]), np.array([1 / 8e4]))
    model = Model(network, initialize(network, seed=0), None, scalings[0], target_scaling=scalings[1])
    path = tmp_path / "model.safetensors"
    save_model(replace(model, target_names=("SalePrice",)), path)
    card = card_of(path)
    assert (card["task"], card["classes"], card["target_names"]) == ("regression", None, ["SalePrice"])
    assert card["target_scaling"] == {"mean": [180000.0], "deviation": [80000.0]}
    said = " ".join(shown(path).split())
    assert "SalePrice, in the units of the training data" in said
    assert "mean 180000 and standard deviation 80000" in said
    save_model(replace(model, target_scaling=None), path)
    assert card_of(path)["target_scaling"] is None
    assert "output 1, in the units of the training data" in shown(path)
