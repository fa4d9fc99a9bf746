"""Ensembles as runs and as models: `xpmlp train --members 5`, from the training loop to files and exports."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_exports import numbers_of, random_model, raw_features, run_onnx

from xpmlp import (
    Activation,
    Adam,
    Constant,
    DeepEnsembleClassifier,
    DeepEnsembleRegressor,
    InputError,
    Layer,
    Network,
    Options,
    Recipe,
    export_model,
    initialize,
    load_model,
    prepare,
    save_model,
    train,
)
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.experiments.experiment import load_splits, score_model
from xpmlp.training.ensemble import seeds_of

RUN = ("digits", "--members", "3", "--hidden", "8", "--epochs", "4", "--dropout", "0.1", "--seed", "5", "--quiet")
MEMBERS = Options("digits", hidden=(8,), epochs=3, members=3, dropout=(0.1,), dtype="float64", seed=5)


def stack_of(network, seed, m):
    drawn = [initialize(network, seed=each) for each in seeds_of(seed, m)]
    return drawn, [Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in zip(*drawn, strict=True)]


@pytest.mark.parametrize("together", [1, 2, 5], ids=["one by one", "by twos", "at once"])
def test_each_member_ends_as_it_does_alone_however_many_are_trained_together(
    backend, check, rng, monkeypatch, together
):
    monkeypatch.setattr(type(backend), "stack_size", lambda *_: together)
    network, recipe = (
        Network.build(5, [7], 3, dropout=0.2),
        Recipe(Adam(), Constant(0.01), batch_size=16, epochs=3, seed=3),
    )
    X, T = backend.asarray(rng.normal(size=(50, 5))), backend.asarray(np.eye(3)[rng.integers(3, size=50)])
    alone, stack = stack_of(network, 3, 5)
    *_, last = train(backend, network, stack, X, T, recipe, evaluate={"all": (X, T)})
    losses = []
    for number, layers in enumerate(alone):
        *_, own = train(backend, network, layers, X, T, replace(recipe, seed=3 + number), evaluate={"all": (X, T)})
        for mine, whole in zip(own.layers, last.layers, strict=True):
            check(backend, whole.W[number, ...], backend.to_numpy(mine.W), rtol=1e-10, atol=1e-12)
        assert last.members["all"][number].loss == pytest.approx(own.scores["all"].loss, rel=1e-10)
        assert last.members["all"][number].accuracy == own.scores["all"].accuracy
        losses.append(own.loss)
    assert last.loss == pytest.approx(np.mean(losses), rel=1e-10)
    assert last.scores["all"].loss < np.mean([score.loss for score in last.members["all"]])


@pytest.mark.parametrize("together", [1, 2])
def test_a_record_is_resumed_from_to_the_same_weights(monkeypatch, backend, rng, together):
    monkeypatch.setattr(type(backend), "stack_size", lambda *_: together)
    network, recipe = Network.build(4, [6], 2, loss="squared"), Recipe(Adam(), batch_size=10, epochs=4)
    X, T = backend.asarray(rng.normal(size=(40, 4))), backend.asarray(rng.normal(size=(40, 2)))
    records = list(train(backend, network, stack_of(network, 0, 3)[1], X, T, recipe))
    *_, resumed = train(backend, network, stack_of(network, 9, 3)[1], X, T, recipe, resume=records[1])
    for one, other in zip(resumed.layers, records[-1].layers, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(one.W), backend.to_numpy(other.W))


@pytest.mark.parametrize("after", [1, 3, 5])
def test_a_stop_between_and_within_stacks_leaves_an_incomplete_record(monkeypatch, rng, after):
    backend = NumpyBackend(graphs=False)
    monkeypatch.setattr(type(backend), "stack_size", lambda *_: 1)
    network, recipe = Network.build(4, [6], 2, loss="squared"), Recipe(Adam(), batch_size=10, epochs=4)
    X, T = (backend.asarray(rng.normal(size=(30, n))) for n in (4, 2))
    steps = []
    stopping = {"should_stop": lambda: len(steps) >= after, "on_step": steps.append}
    (record,) = train(backend, network, stack_of(network, 0, 3)[1], X, T, recipe, **stopping)
    assert not record.complete
    assert 0 < record.examples < 30
    assert len(steps) == after
    assert np.isfinite(record.loss)


def test_a_run_is_scored_as_its_model_is():
    experiment = prepare(MEMBERS)
    *_, last = experiment.records()
    model = experiment.trained(last.layers)
    _, parts = load_splits(experiment.options)
    assert model.n_members == 3
    assert score_model(model, experiment.backend, *parts.test) == last.scores["test"]
    p = np.mean([model.member(number).predict_proba(parts.test[0]) for number in range(3)], axis=0)
    np.testing.assert_allclose(model.predict_proba(parts.test[0]), p, rtol=1e-12)
    assert last.scores["test"].accuracy == np.mean(model.decide(p) == parts.test[1])
    for number in range(3):
        own = score_model(model.member(number), experiment.backend, *parts.test)
        assert own.loss == pytest.approx(last.members["test"][number].loss, rel=1e-12)


def test_patience_keeps_the_best_epoch_of_the_ensemble():
    experiment = prepare(replace(MEMBERS, patience=1, epochs=200, learning_rate=0.03))
    records = list(experiment.records())
    losses = [record.scores["validation"].loss for record in records]
    assert records[-1].best_epoch == int(np.argmin(losses)) + 1 < len(records)


def test_a_file_holds_all_members(tmp_path):
    experiment = prepare(MEMBERS)
    *_, last = experiment.records()
    model, path = experiment.trained(last.layers), tmp_path / "model.safetensors"
    save_model(model, path)
    again, X = load_model(path), experiment.dataset.X[:9]
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert repr(again).startswith("<Model of 3 networks 64-8-10 of 610 parameters")
    with pytest.raises(InputError, match="member is 3, but the model has 3 networks, from 0"):
        again.member(3)


def test_weights_of_members_that_are_not_as_many_are_refused():
    network, backend = Network.build(2, [3], 2), NumpyBackend()
    first, (W, b) = stack_of(network, 0, 3)[1]
    X, T = backend.asarray(np.zeros((4, 2))), backend.asarray(np.eye(2)[[0, 1, 0, 1]])
    with pytest.raises(InputError, match="the weights have shapes"):
        train(backend, network, [first, Layer(W[:2], b[:2])], X, T, Recipe(batch_size=4))
    recipe = Recipe(batch_size=4)
    for n in (1, 2):
        record = next(
            train(backend, network, stack_of(network, 0, 2)[1] if n > 1 else initialize(network), X, T, recipe)
        )
        given = "2 networks" if n > 1 else "one network"
        with pytest.raises(InputError, match=f"the weights are those of {given}, but the ensemble has 3"):
            train(backend, network, stack_of(network, 0, 3)[1], X, T, recipe, resume=record)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a few epochs are enough
@pytest.mark.parametrize(("estimator", "y"), [(DeepEnsembleClassifier, "classes"), (DeepEnsembleRegressor, "values")])
def test_an_estimators_ensemble_is_a_model_that_predicts_the_same(rng, tmp_path, estimator, y):
    X = rng.normal(size=(60, 4))
    targets = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)] if y == "classes" else X @ rng.normal(size=(4, 2))
    ensemble = estimator(hidden_layer_sizes=(5,), n_estimators=3, max_iter=5, random_state=0).fit(X, targets)
    save_model(ensemble, tmp_path / "model.safetensors")
    model = load_model(tmp_path / "model.safetensors")
    if y == "classes":
        np.testing.assert_array_equal(model.predict(X), ensemble.predict(X))
        np.testing.assert_allclose(model.predict_proba(X), ensemble.predict_proba(X), rtol=1e-12)
    else:
        np.testing.assert_allclose(model.predict(X), ensemble.predict(X), rtol=1e-12)
        np.testing.assert_allclose(model.predict_std(X), ensemble.predict_std(X), rtol=1e-9)


@pytest.mark.parametrize("loss", ["softmax", "logistic", "squared", "gaussian"])
def test_onnx_gives_the_mean_of_the_members(rng, tmp_path, loss):
    one = random_model(rng, "tanh", loss, "float32")
    network, drawn = one.network, [random_model(rng, "tanh", loss, "float32").layers for _ in range(3)]
    model = replace(one, layers=[Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in zip(*drawn, strict=True)])
    export_model(model, tmp_path / "model.onnx")
    X = raw_features(rng, model)
    found = run_onnx(tmp_path / "model.onnx", X)
    close = {"rtol": 1e-5, "atol": 1e-5}
    np.testing.assert_allclose(
        found["outputs" if model.classes is None else "probabilities"], numbers_of(model, X), **close
    )
    if loss == "gaussian":
        np.testing.assert_allclose(found["standard_deviation"], model.predict_std(X), **close)
    assert network.n_targets == 3
    for ending in ("npz", "skops"):
        with pytest.raises(InputError, match=r"an ensemble of 3 networks is exported to \.onnx alone"):
            export_model(model, tmp_path / f"model.{ending}")


def test_the_command_line_trains_an_ensemble_and_says_how_far_its_members_are_apart(cli, tmp_path):
    code, _, err = cli("train", *RUN[:-1], "--out", "run")
    assert code == 0
    assert "test of members 0." in err
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        *_, last = csv.DictReader(file)
    low, high = (float(last[f"test_accuracy_of_members_{end}"]) for end in ("lowest", "highest"))
    assert 0 < low <= high <= 1
    assert json.loads((tmp_path / "run" / "config.json").read_text())["network"]["members"] == 3
    assert "610 in each of 3 networks" in cli("show", "run")[1]
    assert "digits, test: accuracy" in cli("evaluate", "run")[1]


def test_an_interrupted_run_of_an_ensemble_ends_with_the_same_bytes(cli, tmp_path, interrupted_after):
    assert cli("train", *RUN, "--out", "whole")[0] == 0
    with interrupted_after(2):
        cli("train", *RUN, "--out", "cut")
    assert cli("train", "--resume", "cut", "--quiet")[0] == 0
    read = [load_model(tmp_path / name / "model.safetensors") for name in ("whole", "cut")]
    for one, other in zip(*(model.layers for model in read), strict=True):
        np.testing.assert_array_equal(one.W, other.W)
        np.testing.assert_array_equal(one.b, other.b)


def test_deviations_of_an_ensemble_of_amounts_stand_beside_its_predictions(cli, tmp_path):
    table = tmp_path / "amounts.csv"
    table.write_text("x,y\n" + "".join(f"{n},{n * 1.5 + n % 7}\n" for n in range(80)))
    assert cli("train", table, "--members", "3", "--epochs", "3", "--out", "run", "--quiet")[0] == 0
    lines = cli("predict", "run", table)[1].splitlines()
    assert lines[0] == "prediction,standard_deviation"
    assert all(float(line.split(",")[1]) > 0 for line in lines[1:])


def test_how_far_members_disagree_on_a_class_stands_behind_the_probabilities(cli, tmp_path):
    table = tmp_path / "jobs.csv"
    table.write_text("job,x,y\n" + "".join(f"{'ab'[n % 2]},{n},{'no' if n % 2 else 'yes'}\n" for n in range(80)))
    assert cli("train", table, "--members", "3", "--epochs", "3", "--out", "run", "--quiet")[0] == 0
    new = tmp_path / "new.csv"
    new.write_text("job,x\na,3\nb,3000\nc,5\n")
    code, out, err = cli("predict", "run", new, "--proba")
    assert code == 0
    assert err.count("Warning") == 1  # of the job that training had not
    assert out.startswith("prediction,probability no,probability yes,disagreement\n")
    model = load_model(tmp_path / "run" / "model.safetensors")
    seen = pd.DataFrame({"job": ["a", "b"], "x": [3, 3000]})
    p = np.stack([model.member(number).predict_proba(seen) for number in range(3)])
    entropy = -(p * np.log(p)).sum(axis=-1)
    mean = p.mean(axis=0)
    expected = -(mean * np.log(mean)).sum(axis=-1) - entropy.mean(axis=0)
    found = [float(line.split(",")[3]) for line in out.splitlines()[1:3]]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
    with pytest.raises(InputError, match="no members that could disagree"):
        model.member(0).predict_with_disagreement(seen)


@pytest.mark.parametrize("from_the_end", [True, False])
def test_a_function_of_ones_own_that_would_mix_up_the_members_is_refused(backend, rng, from_the_end):
    def centred(xp, z):
        return z - xp.mean(z, axis=-1 if from_the_end else 1, keepdims=True)

    def slope(xp, z, a):
        return 1.0 - 1.0 / z.shape[-1] + 0.0 * a

    network = Network.build(4, [5], 3, activation=Activation("centred", centred, slope))
    X, T = backend.asarray(rng.normal(size=(30, 4))), backend.asarray(np.eye(3)[rng.integers(3, size=30)])
    arguments = backend, network, stack_of(network, 0, 3)[1], X, T, Recipe(epochs=1, batch_size=10)
    if from_the_end:
        assert len(list(train(*arguments))) == 1
    else:
        with pytest.raises(InputError, match=r"of your own gives the members .* count axes from the end"):
            train(*arguments)


def test_an_ensemble_has_a_member(cli):
    code, _, err = cli("train", "circles", "--members", "0")
    assert code == 2
    assert "members is 0, but must be" in err


def test_data_that_are_read_by_rows_are_for_one_network(cli, tmp_path, rng):
    (tmp_path / "rows").mkdir()
    np.save(tmp_path / "rows" / "X.npy", rng.normal(size=(200, 3)))
    np.save(tmp_path / "rows" / "y.npy", rng.integers(2, size=200))
    code, _, err = cli("train", tmp_path / "rows", "--members", "2")
    assert code == 2
    assert "is read by rows, for one network, but members is 2" in err


def test_what_training_had_not_is_said_once_though_there_are_members_and_deviations(cli, tmp_path):
    table, new = tmp_path / "jobs.csv", tmp_path / "new.csv"
    table.write_text("job,x,y\n" + "".join(f"{'ab'[n % 2]},{n},{n * 1.5 + n % 7}\n" for n in range(80)))
    new.write_text("job,x\nc,3\n")
    for loss in ("squared_error", "gaussian"):
        assert cli("train", table, "--members", "3", "--epochs", "2", "--loss", loss, "--out", loss, "--quiet")[0] == 0
        code, _, err = cli("predict", loss, new)
        assert code == 0
        assert err.count("Warning") == 1
