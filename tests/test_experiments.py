"""From options to a trained network, on real data."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from reproduction.fashion import train_run
from xpmlp import BACKENDS, InputError, XpmlpError
from xpmlp.data.datasets import Dataset
from xpmlp.experiments.experiment import check_circles, fingerprint, load_splits, prepare, score_model
from xpmlp.experiments.options import CIRCLES, Options
from xpmlp.experiments.recipes import settle
from xpmlp.experiments.runs import RunFolder
from xpmlp.search import Space, plan, search

REPORT = Options(
    dataset="fashion-mnist",
    hidden=(50,),
    optimizer="sgd",
    learning_rate=0.001,
    l2=(0.001,),
    batch_size=256,
    init="report",
    epochs=10,
    validation=0.0,
)


def last(experiment):
    return list(experiment.records())[-1]


@pytest.mark.parametrize(
    ("dataset", "given", "expected"),
    [
        ("people.csv", {}, ("adamw", 0.0)),
        ("people.parquet", {"patience": 5}, ("adamw", 0.1)),
        ("people.csv", {"optimizer": "adam", "validation": 0.2}, ("adam", 0.2)),
        ("digits", {}, ("adam", 0.1)),
        ("examples.npz", {"optimizer": "adamw"}, ("adamw", 0.1)),
    ],
)
def test_a_table_is_learnt_from_all_rows_with_adamw_unless_options_say_otherwise(dataset, given, expected):
    found = settle(Options(dataset, **given))
    assert (found.optimizer, found.validation) == expected


@pytest.mark.parametrize(("task", "epochs"), [("classification", 250), ("regression", 750)])
def test_few_rows_of_a_table_are_learnt_for_many_epochs_and_classes_for_fewer(tmp_path, task, epochs):
    rows = [f"{number},{number % 7}" for number in range(125)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b", *rows]))
    assert prepare(Options(str(tmp_path / "table.csv"), task=task)).options.epochs == epochs  # 2 steps an epoch


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 0.5),
        ({"epochs": 3000}, 2.25 / (0.003 * 6000)),
        ({"epochs": 3000, "learning_rate": 0.01}, 2.25 / (0.01 * 6000)),
        ({"weight_decay": 0.02}, 0.02),
        ({"optimizer": "adam"}, None),
    ],
)
def test_the_weight_decay_of_a_table_shrinks_with_the_steps(tmp_path, given, expected):
    rows = [f"{number},{number % 7},{'yes' if number % 3 else 'no'}" for number in range(125)]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c", *rows]))
    options = prepare(Options(str(tmp_path / "table.csv"), **given)).options  # 100 rows to learn from: 2 steps an epoch
    assert options.weight_decay == pytest.approx(expected) if expected else options.weight_decay is None


def test_the_defaults_reach_096_on_the_digits():
    assert last(prepare(Options())).scores["test"].accuracy >= 0.96


@pytest.mark.parametrize("name", ["numpy", "torch"])
def test_the_reports_final_configuration_learns_fashion_mnist_as_an_independent_run_did(data_dir, request, name):
    if name not in request.config.backends:
        pytest.skip(f"backend {name} is not among those of this run")
    records = list(prepare(replace(REPORT, data_dir=str(data_dir), backend=name)).records())
    accuracies = [record.scores["test"].accuracy for record in records]
    assert accuracies[0] == pytest.approx(0.386, abs=0.05)
    assert 0.60 <= accuracies[-1] <= 0.69  # 0.645 there
    other = next(prepare(replace(REPORT, data_dir=str(data_dir))).records())
    assert records[0].scores["test"].accuracy == pytest.approx(other.scores["test"].accuracy, abs=1e-3)
    assert records[0].scores["test"].loss == pytest.approx(other.scores["test"].loss, abs=1e-3)


def test_the_defaults_reach_088_on_fashion_mnist(data_dir):
    experiment = prepare(Options(dataset="fashion-mnist", data_dir=str(data_dir), epochs=5))
    assert last(experiment).scores["test"].accuracy >= 0.88


def test_the_same_options_give_the_same_run_on_every_backend(backend_name):
    if backend_name not in BACKENDS:
        pytest.skip(f"{backend_name} is a backend of the tests alone")
    options = Options(dataset="circles", hidden=(6,), epochs=2, dtype="float64", batch_size=50)
    expected = last(prepare(options))
    found = last(prepare(replace(options, backend=backend_name)))
    assert found.loss == pytest.approx(expected.loss, rel=1e-9)
    for part, score in expected.scores.items():
        assert found.scores[part].loss == pytest.approx(score.loss, rel=1e-9)


def test_few_examples_get_more_epochs_unless_told_otherwise():
    assert prepare(Options(dataset="circles")).recipe.epochs == 125  # 12 steps an epoch, 1,500 at least
    assert prepare(Options(dataset="circles", batch_size=1)).recipe.epochs == 30
    assert prepare(Options(dataset="circles", epochs=4)).options.epochs == 4


def test_parts_share_classes_and_scaling_learnt_from_the_training_part():
    experiment = prepare(Options(dataset="circles", scaling="standard"))
    train = experiment.sets["train"][0]
    np.testing.assert_allclose(train.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis=0), 1.0, atol=1e-5)
    assert abs(experiment.sets["test"][0].mean()) > 1e-6
    assert {part: X.shape[0] for part, (X, _) in experiment.sets.items()} == {
        "train": 720,
        "validation": 80,
        "test": 200,
    }


def test_parts_that_are_not_wanted_are_not_there():
    assert list(prepare(Options(dataset="circles", validation=0.0, test=0.0)).sets) == ["train"]


def test_a_trained_model_scores_on_raw_data_what_the_last_record_says(backend_name):
    if backend_name not in BACKENDS:
        pytest.skip(f"{backend_name} is a backend of the tests alone")
    options = Options(dataset="circles", hidden=(6,), epochs=2, dtype="float64")
    experiment = prepare(replace(options, backend=backend_name))
    record = last(experiment)
    model = experiment.trained(record.layers)
    _, parts = load_splits(options)
    score = score_model(model, prepare(options).backend, *parts.test)
    assert score.loss == pytest.approx(record.scores["test"].loss, rel=1e-9)
    assert score.accuracy == record.scores["test"].accuracy
    assert (model.predict(parts.test[0]) == parts.test[1]).mean() == pytest.approx(score.accuracy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": 0.0}, "learning rate is 0.0, but must be a number above 0"),
        ({"learning_rate": -1.0}, "learning rate is -1.0"),
        ({"learning_rate": float("nan")}, "learning rate is nan"),
        ({"hidden": (0,)}, "size of hidden layer 1 is 0"),
        ({"hidden": (8, -3)}, "size of hidden layer 2 is -3"),
        ({"activation": ("relu", "tanh")}, "activation gives 2 values"),
        ({"activation": ("sine",)}, "activation is 'sine'"),
        ({"l1": (-0.1,)}, "l1 is -0.1"),
        ({"l2": (0.1, 0.1, 0.1)}, "l2 gives 3 values .* for 2 layers"),
        ({"optimizer": "lion"}, "optimizer is 'lion'"),
        ({"schedule": "linear"}, "schedule is 'linear'"),
        ({"init": "zeros"}, "init is 'zeros'"),
        ({"mode": "tensor"}, "mode is 'tensor'"),
        ({"scaling": "minmax"}, "scaling is 'minmax'"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"patience": 0}, "patience is 0"),
        ({"patience": 3, "min_delta": -0.1}, "min_delta is -0.1"),
        ({"patience": 3, "validation": 0.0}, "patience waits for a better loss on the validation part: give --valid"),
        ({"min_delta": 0.1}, "min_delta is an option of patience: give --patience too"),
        ({"momentum": 0.9}, "momentum and nesterov are options of optimizer sgd"),
        ({"optimizer": "sgd", "momentum": 1.5}, "momentum is 1.5"),
        ({"weight_decay": 0.1}, "weight decay is an option of optimizer adamw"),
        ({"validation": 1.0}, "validation"),
        ({"test": -0.1}, "test"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
        ({"backend": "mxnet"}, "backend is 'mxnet'"),
        ({"device": "cuda:0"}, "backend numpy has no device 'cuda:0'"),
        ({"dataset": "cirlces"}, "'cirlces' is neither a known data set"),
    ],
)
def test_each_bad_option_is_named_with_its_value(changes, message):
    with pytest.raises(XpmlpError, match=message):
        prepare(replace(Options(dataset="circles"), **changes))


def test_options_survive_the_way_through_json():
    options = Options(hidden=(3, 4), optimizer="sgd", l1=(0.1, 0.2, 0.3))
    back = Options.from_json(options.to_json())
    assert back == replace(options, learning_rate=0.1, schedule="constant")
    with pytest.raises(InputError, match="unknown options: colour"):
        Options.from_json({"colour": "red"})


def test_a_lone_value_of_an_option_is_a_tuple_of_one_and_a_list_a_tuple():
    lone = Options("circles", hidden=64, activation="tanh", dropout=0.1, l1=0.2, l2=0.3)
    assert lone == Options("circles", hidden=[64], activation=["tanh"], dropout=[0.1], l1=(0.2,), l2=(0.3,))
    assert prepare(lone).model.network.sizes == (2, 64, 2)
    with pytest.raises(InputError, match="size of hidden layer 1 is '64', but must be an integer"):
        prepare(Options("circles", hidden="64"))


@pytest.mark.parametrize("mode", ["loop", "matrix"])
@pytest.mark.parametrize("batch_size", [1, 10])
def test_the_circles_network_of_the_report_passes_both_gradient_checks(backend, mode, batch_size):
    check = check_circles(backend, replace(CIRCLES, mode=mode, batch_size=batch_size))
    assert len(check.parameters) == 12
    assert check.passed
    assert check.report_passed


def test_more_examples_than_the_circles_have_are_refused():
    from conftest import open_backend

    with pytest.raises(InputError, match="batch size is 1001"):
        check_circles(open_backend("numpy"), replace(CIRCLES, batch_size=1001))


def test_the_records_of_a_reproduced_run_travel_between_processes(backend_name, tmp_path):
    """They hold neither weights nor state: what the next epoch has used up cannot be pickled on JAX."""
    if backend_name == "numpy-readonly":
        pytest.skip("numpy-readonly is a backend of the tests alone")
    options = Options(dataset="circles", hidden=(4,), epochs=3, backend=backend_name)
    records = train_run("circles", options, tmp_path / "run", 1)
    assert pickle.loads(pickle.dumps(records)) == records  # noqa: S301 - our own bytes


def test_the_fingerprint_is_that_of_the_bytes_and_copies_no_more_than_a_piece_of_them(peak, rng):
    """In any order of memory, and of labels that are strings."""
    X = rng.integers(0, 255, (40_000, 100), np.uint8)
    y = np.array(["cat", "dog"])[rng.integers(0, 2, 40_000)]
    data = Dataset("made up", np.asfortranarray(X), y, test=(X[:3], y[:3]))
    digest = hashlib.sha256()
    for array in (X, y, X[:3], y[:3]):
        digest.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert fingerprint(data) == digest.hexdigest()
    assert peak(lambda: fingerprint(data)) < 3 * 2**20 < X.nbytes


def test_what_is_printed_of_experiments_folders_and_searches_is_one_line_without_arrays_and_addresses(tmp_path):
    experiment = prepare(Options("circles", hidden=(4,), epochs=3))
    assert repr(experiment) == "Experiment(circles: 2-4-2, adam at 0.003, K = 64, numpy on cpu in float32)"
    assert repr(RunFolder(Path("runs/one"))) == "RunFolder('runs/one')"
    space = Space({"hidden": [4, 8], "l2": {"uniform": [0.0, 0.1]}})
    assert repr(space) == "Space({'hidden': [4, 8], 'l2': {'uniform': [0.0, 0.1]}}, 'the space')"
    study = plan(Options("circles", epochs=1), space, draws=3)
    result = search(study, tmp_path / "search", engine="sequential")
    for shown in (repr(study), repr(result), repr(result.trials[0]), repr(space.dimensions), repr(Options())):
        assert "\n" not in shown
        assert "array" not in shown
        assert " at 0x" not in shown
        assert len(shown) < 220
    assert repr(result).startswith("<SearchResult of 3 trials; the best: number ")


def test_every_option_is_documented_and_has_its_help_text():
    import typer

    from xpmlp.cli import app

    known = {option.name: option for option in typer.main.get_command(app).commands["train"].params}
    for option in fields(Options):
        assert f"\n    {option.name} : " in Options.__doc__
        assert known[option.name].help == option.metadata["help"]
    rates = f"{Options().highest_rate:g}; {Options(optimizer='sgd').highest_rate:g} for sgd"
    schedules = f"{Options().chosen_schedule}; {Options(optimizer='sgd').chosen_schedule} for sgd"
    assert (known["learning_rate"].show_default, known["schedule"].show_default) == (rates, schedules)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": 3}, "dataset is 3, but must be a string"),
        ({"dataset": None}, "dataset is None, but must be a string"),
        ({"target": 3}, "target is 3, but must be a string"),
        ({"data_dir": ["x"]}, r"data_dir is \['x'\], but must be a string"),
        ({"loss": 2.5}, "loss is 2.5, but must be a string"),
        ({"drop": (1, 2)}, r"drop is \(1, 2\), but must be strings"),
        ({"kinds": {"a": "number"}}, r"kinds is \{'a': 'number'\}, but must be strings"),
    ],
)
def test_what_is_no_string_where_one_is_needed_is_named(changes, message):
    with pytest.raises(InputError, match=message):
        Options(**changes)


def test_paths_are_taken_as_strings(tmp_path):
    assert Options(tmp_path, test_file=tmp_path) == Options(str(tmp_path), test_file=str(tmp_path))
