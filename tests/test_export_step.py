"""The exported training step: onnxruntime trains to the weights of our own steps."""

from __future__ import annotations

import doctest
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
from test_table_exports import drawn_table, inputs_of, model_of

from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    ElasticNet,
    InputError,
    Layer,
    Model,
    Network,
    Recipe,
    Scaling,
    Table,
    export_step,
    get_backend,
    initialize,
)
from xpmlp.data.examples import Examples
from xpmlp.training.trainer import Trainer

D, N, K = 6, 90, 9
RECIPES = {
    "sgd": Recipe(SGD(), Constant(0.1)),
    "momentum": Recipe(SGD(0.9), Constant(0.02), ElasticNet(alpha=0.1), penalised=True),
    "nesterov": Recipe(SGD(0.9, nesterov=True), Cosine(0.02, 80, 9), ElasticNet((1e-3, 0.0), (0.0, 1e-2))),
    "adam": Recipe(Adam(), Cosine(1e-2, 120, 10)),
    "adamw": Recipe(AdamW(weight_decay=0.1), Constant(1e-2), ElasticNet((1e-3, 1e-4))),
}


def a_model(rng, dtype="float32", loss="softmax", activation="tanh", m=3, members=0, frequencies=0, **more):
    network = Network.build(D, 8, m, loss=loss, activation=activation, frequencies=frequencies, embedded=[0, 2, 3, 5])
    drawn = [initialize(network, seed=seed) for seed in range(members or 1)]
    stacked = [Layer(*map(np.stack, zip(*layers, strict=True))) for layers in zip(*drawn, strict=True)]
    layers = [Layer(*((p if members else p[0]).astype(dtype) for p in layer)) for layer in stacked]
    classes = None if network.loss.correct is None else np.arange(max(m, 2))
    scaling = Scaling(rng.normal(size=D), rng.uniform(0.5, 2.0, D))
    targets = Scaling(np.linspace(-3.0, 3.0, m), np.linspace(0.5, 2.0, m)) if classes is None else None
    return Model(network, layers, classes, scaling, target_scaling=targets, **more)


def examples_of(rng, model):
    X = rng.normal(size=(N, D))
    m = model.network.n_targets
    if model.multilabel:
        return X, rng.integers(0, 2, (N, m)).astype(float)
    if model.classes is None:
        return X, np.abs(X[:, :m] + X[:, 1 : m + 1])
    return X, rng.integers(0, len(model.classes), N)


def check_step(rng, path, model, recipe, n_steps=100, atol=None):
    """Compare the weights, the state and the losses after some steps; those of the last epoch are fewer than K rows."""
    X, y = examples_of(rng, model)
    X, y = X[:-2], y[:-2]
    backend = get_backend("numpy", dtype=model.dtype)
    trainer = Trainer(backend, model.network, replace(recipe, batch_size=K))
    trainer.start(model.layers)
    examples = Examples(backend.asarray(model.prepare(X, model.dtype)), backend.asarray(model.encode_targets(y)))
    export_step(model, recipe, path, overwrite=True)
    session = onnxruntime.InferenceSession(path)
    dtypes = {"tensor(float)": "float32", "tensor(double)": "float64", "tensor(int64)": "int64"}
    X, y = (v.astype(dtypes[given.type]) for v, given in zip((X, y), session.get_inputs()[:2], strict=True))
    names = [output.name for output in session.get_outputs()]
    state, taken = {}, 0
    while taken < n_steps:
        order, losses = rng.permutation(len(X)), 0.0
        trainer.run_epoch(examples, order)
        for start in range(0, len(X), K):
            rows = order[start : start + K]
            found = dict(zip(names, session.run(names, {"X": X[rows], "y": y[rows], **state}), strict=True))
            losses = losses + found.pop("loss") * len(rows)
            state = {name[5:]: value for name, value in found.items() if name.startswith("next_")}
            taken += 1
        np.testing.assert_allclose(losses, trainer.state.loss, rtol=1e-4 if model.dtype == "float32" else 1e-9)
    assert (state.pop("t") == taken).all()
    kept = model.network
    ours = [p for layer in trainer.layers for p in layer] + [p for field in trainer.state.optimizer for p in field]
    assert len(state) == len(ours), kept
    close = {"rtol": 1e-5, "atol": atol or 1e-5} if model.dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    for (name, found), expected in zip(state.items(), ours, strict=True):
        np.testing.assert_allclose(found, expected, err_msg=name, **close)
    moved = abs(state["W1"] - model.layers[1 if kept.frequencies else 0].W).max()
    assert moved > 1e-2


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["softmax", "squared"])
@pytest.mark.parametrize("rule", RECIPES)
def test_a_hundred_steps_in_onnxruntime_give_our_weights(rng, tmp_path, rule, loss, dtype):
    check_step(rng, tmp_path / "step.onnx", a_model(rng, dtype, loss), RECIPES[rule])


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_can_be_trained_on(rng, tmp_path, loss):
    several = {"multilabel": True} if loss == "logistic" else {}
    check_step(rng, tmp_path / "step.onnx", a_model(rng, "float64", loss, **several), RECIPES["adam"], 30)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_can_be_trained(rng, tmp_path, activation):
    check_step(rng, tmp_path / "step.onnx", a_model(rng, "float64", activation=activation), RECIPES["momentum"], 30)


@pytest.mark.parametrize("recipe", ["adamw", "nesterov"])
@pytest.mark.parametrize("kind", [{"frequencies": 3}, {"members": 3}, {"members": 2, "frequencies": 2}, {"m": 1}])
def test_embeddings_stacks_and_one_logistic_output_can_be_trained(rng, tmp_path, kind, recipe):
    loss = "logistic" if "m" in kind else "softmax"
    check_step(rng, tmp_path / "step.onnx", a_model(rng, "float64", loss, **kind), RECIPES[recipe], 30)


@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_a_step_starts_from_the_model_predicts_by_given_weights_and_multiplies_its_rate(rng, tmp_path, loss):
    model = a_model(rng, "float64", loss)
    export_step(model, RECIPES["sgd"], tmp_path / "step.onnx")
    session, before = onnxruntime.InferenceSession(tmp_path / "step.onnx"), model.layers
    X, y = examples_of(rng, model)

    def weights(**more):
        return session.run(["next_W1"], {"X": X, "y": y, **more})[0]

    changed = [Layer(1.1 * W, b + 0.1) for W, b in model.layers]
    given = {name: p for (W, b), n in zip(changed, "12", strict=True) for name, p in ((f"W{n}", W), (f"b{n}", b))}
    output = "probabilities" if loss == "softmax" else "outputs"
    found = session.run([output, "prediction"], {"X": X, "y": y, **given})
    model = replace(model, layers=changed)
    expected = model.predict_proba(X) if loss == "softmax" else model.predict(X)
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)
    np.testing.assert_allclose(found[1], model.predict(X), rtol=1e-9)
    model = replace(model, layers=before)
    first, W1 = weights(), model.layers[0].W
    np.testing.assert_array_equal(weights(W1=W1, b1=model.layers[0].b, t=np.array(0)), first)
    np.testing.assert_allclose(weights(scale=np.array(3.0)) - W1, 3.0 * (first - W1), rtol=1e-9, atol=1e-12)
    described = onnx.load(tmp_path / "step.onnx")
    assert [(each.domain, each.version) for each in described.opset_import] == [("", 13)]


def test_a_step_of_a_table_takes_its_columns(rng, tmp_path):
    table = drawn_table(rng)
    model = model_of(table, classes=np.array(["a", "b", "c"]))
    export_step(model, RECIPES["adam"], tmp_path / "step.onnx")
    session, y = onnxruntime.InferenceSession(tmp_path / "step.onnx"), rng.integers(0, 3, len(table))
    names = ["next_W2", "next_b2", "loss", "probabilities"]
    W2, b2, loss, p = session.run(names, {**inputs_of(model, table), "y": y})
    np.testing.assert_allclose(p, model.predict_proba(table), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(loss, -np.log(p[np.arange(len(y)), y]).mean(), rtol=1e-9)
    trainer = Trainer(get_backend("numpy", dtype="float64"), model.network, replace(RECIPES["adam"], batch_size=len(y)))
    trainer.start(model.layers)
    trainer.run_epoch(
        Examples(model.prepare(table, "float64"), model.encode_targets(model.classes[y])), np.arange(len(y))
    )
    np.testing.assert_allclose(W2, trainer.layers[-1].W, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(b2, trainer.layers[-1].b, rtol=1e-9, atol=1e-12)
    named = Table("named", (replace(table.columns[0], name="y"), *table.columns[1:]))
    with pytest.raises(InputError, match="column 'y' has the name of another input of the graph"):
        export_step(model_of(named, classes=np.arange(3)), Recipe(), tmp_path / "other.onnx")


def test_the_example_of_the_docstring_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = doctest.DocTestFinder(recurse=False).find(export_step, "export_step")
    assert doctest.DocTestRunner().run(example).failed == 0
    assert (tmp_path / "step.onnx").exists()


def test_a_step_with_dropout_another_ending_and_a_file_that_is_there_are_refused(rng, tmp_path):
    model = a_model(rng)
    network = replace(model.network, dropout=(0.0, 0.5))
    with pytest.raises(InputError, match="a step with dropout cannot be exported"):
        export_step(replace(model, network=network), Recipe(), tmp_path / "step.onnx")
    with pytest.raises(InputError, match=r"must end in one of \.onnx"):
        export_step(model, Recipe(), tmp_path / "step.npz")
    (tmp_path / "step.onnx").write_text("mine")
    with pytest.raises(InputError, match="exists: choose another name, or give --overwrite"):
        export_step(model, Recipe(), tmp_path / "step.onnx")
    assert (tmp_path / "step.onnx").read_text() == "mine"
