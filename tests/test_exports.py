"""Exported models: ONNX, plain arrays and scikit-learn's estimators give what `Model.predict_proba` gives."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import references
from skops import io as skops
from test_readme import run, snippets_of

import xpmlp
from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    Activation,
    BackendError,
    InputError,
    Layer,
    Model,
    Network,
    Scaling,
    export_model,
)
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options
from xpmlp.nn.losses import huber

D = 5
PAGE = (Path(__file__).parent.parent / "docs" / "export.md").read_text(encoding="utf-8")
SCALINGS = {
    "none": Scaling(np.zeros(D), np.ones(D)),
    "range": Scaling(np.zeros(D), np.full(D, 1 / 255)),
    "standard": Scaling(np.linspace(-3.0, 3.0, D), np.linspace(0.5, 2.0, D)),
    "far": Scaling(np.full(D, 1.7e9), np.full(D, 0.01)),
}


TARGETS = {"near": Scaling(np.array([3.0, -3.0, 0.0]), np.array([0.25, 4.0, 1.0])), "none": None}
TARGETS["far"] = Scaling(np.full(3, 1.7e9), np.full(3, 0.01))


def random_model(
    rng, activation="tanh", loss="softmax", dtype="float32", scaling="standard", classes="abc", outputs=None, **more
):
    """A model with an output for each class, or so many; of a loss for real numbers a regression, without classes."""
    network = Network.build(D, [7, 6], outputs or len(classes), activation=activation, loss=loss)
    layers = [Layer(W.astype(dtype), b.astype(dtype)) for W, b in references.problem(rng, network.sizes).layers]
    labels = None if network.loss.correct is None else np.array(list(classes))
    return Model(network, layers, labels, SCALINGS[scaling], **more)


def numbers_of(model, X):
    """What exports have to give, (n, m): probabilities, or the values of a regression."""
    return model.predict(X).reshape(X.shape[0], -1) if model.classes is None else model.predict_proba(X)


def raw_features(rng, model, n=11):
    """Draw features that the model's scaling brings near a standard normal distribution, far out ones among them."""
    z = rng.normal(size=(n, D))
    z[0] *= 30
    return z / model.scaling.scale + model.scaling.shift


def run_onnx(path, X):
    session = onnxruntime.InferenceSession(path)
    dtype = {"tensor(float)": "float32", "tensor(double)": "float64"}[session.get_inputs()[0].type]
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"X": X.astype(dtype)}), strict=True))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("relu", "gelu")])
def test_onnx_gives_the_same_for_every_activation_and_loss(rng, tmp_path, activation, dtype):
    for loss in LOSSES:
        model = random_model(rng, activation, loss, dtype)
        X = raw_features(rng, model)
        export_model(model, tmp_path / "model.onnx", overwrite=True)
        found = run_onnx(tmp_path / "model.onnx", X)
        expected = numbers_of(model, X)
        close = {"rtol": 1e-5 if dtype == "float32" else 1e-12, "atol": 1e-5}
        predicted = found.pop("prediction")
        if LOSSES[loss].correct:
            np.testing.assert_array_equal(predicted, model.predict(X))
        else:
            np.testing.assert_allclose(predicted, model.predict(X), **close)
        if model.has_variance:
            np.testing.assert_allclose(found.pop("standard_deviation"), model.predict_std(X), **close)
        (output,) = found.values()
        assert output.dtype == dtype
        np.testing.assert_allclose(output, expected, **close)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_onnx_fills_the_gaps_of_a_table_of_numbers_as_the_model_does(rng, tmp_path, scaling, dtype):
    model = random_model(rng, scaling=scaling, dtype=dtype)
    X = raw_features(rng, model)
    model = replace(model, medians=np.median(X, axis=0))
    X[rng.random(X.shape) < 0.3] = np.nan
    for ending in ("onnx", "npz"):
        export_model(model, tmp_path / f"model.{ending}")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["medians"], model.medians)
    with pytest.warns(UserWarning, match="where training had none"):
        expected = model.predict_proba(X)
    np.testing.assert_allclose(run_onnx(tmp_path / "model.onnx", X)["probabilities"], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("outputs", [1, 3])
def test_every_export_of_a_regression_gives_values_in_the_targets_own_units(rng, tmp_path, dtype, targets, outputs):
    scaling = TARGETS[targets] and Scaling(TARGETS[targets].shift[:outputs], TARGETS[targets].scale[:outputs])
    model = random_model(rng, "relu", "squared", dtype, outputs=outputs, target_scaling=scaling)
    X = raw_features(rng, model)
    expected = model.predict(X)
    assert expected.shape == ((11,) if outputs == 1 else (11, 3))
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
    if targets == "far":  # deviations of 100 around 1.7e9, which float32 cannot tell apart
        close = {"rtol": 0, "atol": 1e-2 if dtype == "float32" else 1e-5}
    for ending in ("onnx", "skops"):
        export_model(model, tmp_path / f"model.{ending}")
    found = run_onnx(tmp_path / "model.onnx", X)
    assert set(found) == {"prediction", "outputs"}
    assert found["prediction"].dtype == ("float64" if targets == "far" else dtype)
    np.testing.assert_allclose(found["prediction"], expected, **close)
    np.testing.assert_array_equal(found["outputs"], found["prediction"].reshape(11, outputs))
    theirs = skops.load(tmp_path / "model.skops")
    np.testing.assert_allclose(theirs.predict(X), expected, **close)


@pytest.mark.parametrize("ending", ["onnx", "skops"])
@pytest.mark.parametrize(("classes", "outputs"), [("no", 1), ([3, 5], 1), ("abc", None)])
def test_exports_of_one_logistic_output_and_of_several_labels_give_the_same(rng, tmp_path, ending, classes, outputs):
    model = random_model(rng, "tanh", "logistic", classes=classes, outputs=outputs, multilabel=outputs is None)
    X = raw_features(rng, model)
    path = tmp_path / f"model.{ending}"
    export_model(model, path)
    if ending == "onnx":
        found = run_onnx(path, X)
        predicted, probabilities = found["prediction"], found["probabilities"]
    else:
        assert skops.get_untrusted_types(file=path) == []
        theirs = skops.load(path)
        predicted, probabilities = theirs.predict(X), theirs.predict_proba(X)
    np.testing.assert_allclose(probabilities, model.predict_proba(X), atol=1e-5)
    np.testing.assert_array_equal(predicted, model.predict(X))


def test_a_scaled_target_behind_an_output_that_is_not_linear_is_no_estimator_of_scikit_learns(rng, tmp_path):
    model = random_model(rng, loss="poisson", target_scaling=TARGETS["near"])
    with pytest.raises(InputError, match="cannot scale what an exponential output gives"):
        export_model(model, tmp_path / "model.skops")
    export_model(model, tmp_path / "model.onnx")
    X = raw_features(rng, model)
    np.testing.assert_allclose(run_onnx(tmp_path / "model.onnx", X)["outputs"], model.predict(X), rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_scaling_is_in_the_graph_and_features_far_from_zero_keep_their_digits(rng, tmp_path, scaling, dtype):
    model = random_model(rng, dtype=dtype, scaling=scaling)
    X = raw_features(rng, model)
    export_model(model, tmp_path / "model.onnx")
    (entry,) = onnxruntime.InferenceSession(tmp_path / "model.onnx").get_inputs()
    wide = dtype == "float64" or scaling == "far"
    assert entry.type == ("tensor(double)" if wide else "tensor(float)")
    found = run_onnx(tmp_path / "model.onnx", X)["probabilities"]
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize("classes", [["ant", "bee", "cat"], [3, 5, 8], [0.0, 1.0], [False, True]])
def test_an_onnx_file_takes_any_number_of_rows_names_classes_and_describes_itself(rng, tmp_path, classes):
    model = replace(
        random_model(rng, classes=classes), classes=np.array(classes), feature_names=tuple("abcde"), class_names=None
    )
    export_model(model, tmp_path / "model.onnx")
    described = onnx.load(tmp_path / "model.onnx")
    assert described.producer_name == "xpmlp"
    assert described.producer_version == xpmlp.__version__
    assert [opset.version for opset in described.opset_import] == [13]
    notes = {entry.key: entry.value for entry in described.metadata_props}
    assert notes["xpmlp"] == xpmlp.__version__
    assert json.loads(notes["classes"]) == classes
    assert json.loads(notes["feature_names"]) == list("abcde")
    assert json.loads(notes["activations"]) == ["tanh", "tanh"]
    for n in (1, 8):
        X = raw_features(rng, model, n)
        np.testing.assert_array_equal(run_onnx(tmp_path / "model.onnx", X)["prediction"], model.predict(X))


def test_onnx_agrees_on_the_fashion_mnist_test_set(data_dir, tmp_path):
    experiment = prepare(
        Options("fashion-mnist", data_dir=str(data_dir), hidden=(64, 32), activation=("relu", "silu"), epochs=1)
    )
    (record,) = experiment.records()
    model = experiment.trained(record.layers)
    X, _ = experiment.dataset.test
    export_model(model, tmp_path / "model.onnx")
    found = run_onnx(tmp_path / "model.onnx", X)
    expected = model.predict_proba(X)
    assert found["probabilities"].shape == (10000, 10)
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    top = np.sort(expected, axis=1)
    clear = top[:, -1] - top[:, -2] > 1e-5
    assert clear.sum() > 9990
    np.testing.assert_array_equal(found["prediction"][clear], model.predict(X)[clear])


@pytest.mark.parametrize("loss", ["softmax", "squared", "poisson", "absolute", "huber", "quantile"])
@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_scikit_learn_estimators_give_the_same_and_hold_nothing_untrusted(rng, tmp_path, activation, loss):
    for scaling, classes in (("none", "abc"), ("standard", "ab"), ("range", "ab")):
        model = random_model(rng, activation, loss, "float64", scaling, classes)
        X = raw_features(rng, model)
        export_model(model, tmp_path / "model.skops", overwrite=True)
        assert skops.get_untrusted_types(file=tmp_path / "model.skops") == []
        theirs = skops.load(tmp_path / "model.skops")
        assert type(theirs).__module__.startswith("sklearn.")
        if loss == "softmax":
            np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=1e-10, atol=1e-12)
            np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
        else:
            np.testing.assert_allclose(theirs.predict(X), model.predict(X), rtol=1e-10)


def test_scikit_learn_estimators_know_the_names_of_the_features(rng, tmp_path):
    for scaling in ("none", "standard"):
        model = replace(random_model(rng, scaling=scaling), feature_names=tuple("abcde"))
        export_model(model, tmp_path / f"{scaling}.skops")
        assert skops.load(tmp_path / f"{scaling}.skops").feature_names_in_.tolist() == list("abcde")


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"activation": "gelu"}, "one activation for all layers, of identity, logistic, relu, tanh; this model has g"),
        ({"activation": ("relu", "tanh")}, "this model has relu, tanh"),
        ({"loss": "logistic"}, "cannot express loss 'logistic'"),
    ],
)
def test_what_scikit_learn_cannot_express_is_refused_and_nothing_is_written(rng, tmp_path, network, message):
    with pytest.raises(InputError, match=message):
        export_model(random_model(rng, **network), tmp_path / "model.skops")
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # as the page says
def test_the_lines_of_the_page_on_export_run_as_they_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for snippet in snippets_of(PAGE):
        run(snippet, "export.md", names)
    assert "this model has relu, tanh" in capsys.readouterr().out
    exported = {"digits.onnx", "digits.npz", "digits.skops", "people.onnx", "own.onnx", "step.onnx"}
    assert {file.name for file in tmp_path.iterdir()} == exported | {"people.csv", "new.csv"}


def test_the_lines_of_numpy_on_the_page_know_every_activation_and_output_function(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (lines,) = (snippet for snippet in snippets_of(PAGE) if "np.load(" in snippet)
    models = [random_model(rng, name) for name in ACTIVATIONS] + [random_model(rng, loss=name) for name in LOSSES]
    models.append(random_model(rng, loss="squared", target_scaling=TARGETS["near"]))
    models.append(random_model(rng, loss="logistic", multilabel=True))
    models.append(random_model(rng, loss="logistic", classes="no", outputs=1))
    for model in models:
        X = rng.normal(size=(9, D)) / model.scaling.scale + model.scaling.shift
        names = {"np": np, "Path": Path, "model": model, "X": X, "expected": numbers_of(model, X)}
        names |= {"export_model": export_model}
        run(lines.replace("export_model(model, ", "export_model(model, overwrite=True, path="), "export.md", names)
        if model.classes is not None:
            np.testing.assert_array_equal(names["prediction"], model.predict(X))


def test_a_loss_with_a_threshold_of_its_own_is_exported_to_every_file(rng, tmp_path):
    for ending in ("onnx", "npz", "skops"):
        export_model(random_model(rng, loss=huber(2.5)), tmp_path / f"huber.{ending}")


def bent_sine(xp, z):
    """Of functions and operators that no activation of ours has."""
    inside = xp.where((z != 0.0) & ~(z > 1.5), xp.sin(z) ** 2, -z)
    outside = xp.sign(z) + xp.log1p(xp.square(z) / 4) - xp.floor(z)
    return xp.where(xp.logical_and(z > -1, z <= 2), inside, outside)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("function", [lambda xp, z: xp.tanh(2.0 * z), bent_sine])
def test_functions_of_ones_own_are_in_the_graph_and_in_no_other_file(rng, tmp_path, function, dtype):
    for activation in (replace(ACTIVATIONS["tanh"], function=function), Activation("mine", function, function)):
        model = random_model(rng, activation, dtype=dtype)
        for ending in ("npz", "skops"):
            with pytest.raises(InputError, match=r"function of your own, '(tanh|mine)', is exported to \.onnx alone"):
                export_model(model, tmp_path / f"own.{ending}")
        export_model(model, tmp_path / "own.onnx", overwrite=True)
        X = raw_features(rng, model)
        found = run_onnx(tmp_path / "own.onnx", X)["probabilities"]
        close = {"rtol": 1e-4, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-12}
        np.testing.assert_allclose(found, model.predict_proba(X), **close)
    assert {file.name for file in tmp_path.iterdir()} == {"own.onnx"}


CALLS = {
    "argmax": lambda xp, z: z * xp.astype(xp.argmax(z, axis=-1), z.dtype)[..., None],
    "concat": lambda xp, z: xp.concat([z[..., 3:], xp.exp(z)[..., :3]], axis=-1),
    "isnan": lambda xp, z: xp.where(xp.isnan(z), xp.zeros_like(z), z),
    "matmul": lambda xp, z: xp.matmul(z, xp.matmul(xp.matrix_transpose(z), z)) / 100,
    "reshape": lambda xp, z: xp.reshape(z, (*z.shape[:-1], -1)),
    "var": lambda xp, z: z - xp.var(z, axis=-1)[..., None],
}
CALLS |= dict.fromkeys(["log", "log1p", "sqrt"], lambda xp, z, call: call(xp.abs(z) + 0.25))
CALLS |= dict.fromkeys(["logaddexp", "maximum", "minimum"], lambda xp, z, call: call(z, 1.0 - xp.abs(z)))
CALLS |= {"pow": lambda xp, z: xp.pow(xp.abs(z) + 0.25, 1.0 + xp.tanh(z))}
CALLS |= dict.fromkeys(["max", "mean", "min", "sum"], lambda _, z, call: z - call(z, axis=-1, keepdims=True))
(LISTED,) = (line.split() for line in PAGE.split("\n\n") if line.startswith("    abs "))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", LISTED)
def test_functions_that_the_page_lists_are_in_the_graph(rng, tmp_path, name, dtype):
    def function(xp, z):
        call = getattr(xp, name)
        made = CALLS.get(name, lambda xp, z, call: call(z))  # noqa: ARG005 - as the others
        return made(xp, z, call) if made.__code__.co_argcount == 3 else made(xp, z)

    model = random_model(rng, Activation("mine", function, function), "squared", dtype)
    export_model(model, tmp_path / "own.onnx")
    X = rng.normal(size=(9, D)) / model.scaling.scale + model.scaling.shift
    close = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(run_onnx(tmp_path / "own.onnx", X)["outputs"], model.predict(X), **close)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_loss_of_ones_own_is_in_the_graph(rng, tmp_path, dtype):
    own = replace(LOSSES["squared"], name="own", output=lambda xp, u: xp.exp(xp.sin(u)))
    model = random_model(rng, loss=own, dtype=dtype)
    export_model(model, tmp_path / "own.onnx")
    X = raw_features(rng, model)
    np.testing.assert_allclose(run_onnx(tmp_path / "own.onnx", X)["outputs"], model.predict(X), rtol=1e-5)


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (lambda _, z: np.tanh(z), r"own are in it \(activation mine\)"),
        (lambda xp, z: xp.cumulative_sum(z, axis=-1), "this function of NumPy is not known"),
        (lambda _, z: z if z > 0 else -z, "no value is known yet"),
        (lambda _, z: z[..., ::2], "slices of neighbours and new axes"),
        (lambda _, z: z[0], "slices of neighbours and new axes"),
        (lambda _, z: z.sum(), "no attribute 'sum'"),
        (lambda xp, z: xp.reshape(z, (1, *z.shape)), "the number of rows is asked for in its own place alone"),
        (lambda xp, z: xp.broadcast_to(xp.max(z, axis=-2, keepdims=True), z.shape), "in its own place alone"),
        (lambda xp, z: xp.no_function(z), "no attribute 'no_function'"),
        (lambda xp, z: xp.ones_like(z), "an ONNX graph is made: .* not have enough dimensions"),
    ],
)
def test_functions_of_ones_own_that_cannot_be_recorded_are_refused_with_the_cause(rng, tmp_path, function, cause):
    with pytest.raises(InputError, match=cause):
        export_model(random_model(rng, Activation("mine", function, function)), tmp_path / "own.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", ["onnx", "skops"])
def test_a_missing_package_is_named_with_its_extra(rng, tmp_path, monkeypatch, ending):
    monkeypatch.setitem(sys.modules, ending, None)
    monkeypatch.delitem(sys.modules, f"{ending}.io", raising=False)
    with pytest.raises(BackendError, match=rf"{ending} is not installed.*pip install 'xpmlp\[{ending}\]'"):
        export_model(random_model(rng), tmp_path / f"model.{ending}")
    assert not list(tmp_path.iterdir())


def test_weights_beyond_what_an_onnx_file_can_hold_are_refused(rng, tmp_path):
    model = random_model(rng)
    huge = np.broadcast_to(np.float32(0), (2**20, 2**10))
    model = replace(model, layers=[Layer(huge, huge[0]), *model.layers])
    with pytest.raises(InputError, match=r"more than the 2 GiB that an ONNX file can hold: export them to \.npz"):
        export_model(model, tmp_path / "model.onnx")


def test_endings_targets_and_files_that_are_there_are_checked(rng, tmp_path):
    model = random_model(rng)
    with pytest.raises(InputError, match=r"must end in one of \.onnx, \.npz, \.skops"):
        export_model(model, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"must end in one of \.skops"):
        export_model(model, tmp_path / "model.onnx", to="sklearn")
    with pytest.raises(InputError, match="to is 'torch', but must be one of: onnx, npz, sklearn"):
        export_model(model, tmp_path / "model.onnx", to="torch")
    (tmp_path / "model.npz").write_text("mine")
    with pytest.raises(InputError, match="exists: choose another name, or give --overwrite"):
        export_model(model, tmp_path / "model.npz")
    assert (tmp_path / "model.npz").read_text() == "mine"
    export_model(model, tmp_path / "model.npz", to="npz", overwrite=True)
    assert np.load(tmp_path / "model.npz", allow_pickle=False)["classes"].tolist() == ["a", "b", "c"]
