"""`save_model` and `export_model` take fitted estimators, and pipelines that end in one."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import skops.io
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier as TheirClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    InputError,
    Loss,
    MLPClassifier,
    MLPRegressor,
    Model,
    export_model,
    load_model,
    save_model,
)
from xpmlp.models.conversion import as_model

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
CODES = np.arange(60) % 3
TARGETS = {
    "two classes": CODES > 0,
    "three classes": np.array([2, 5, 9])[CODES],
    "floats": np.array([2.0, 5.0])[CODES % 2],
    "strings": np.array(["ant", "bee", "cat"])[CODES],
    "strings in objects": np.array(["ant", "bee"], dtype=object)[CODES % 2],
    "labels": np.eye(3, dtype=int)[CODES],
}
REGRESSORS = [
    {},
    {"loss": "poisson"},
    {"loss": "huber", "huber_threshold": 2.5},
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.9},
    {"loss": LOSSES["squared"]},
]
SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(),
    MinMaxScaler((-1, 3)),
    MaxAbsScaler(),
    RobustScaler(),
    RobustScaler(with_centering=False, unit_variance=True),
    RobustScaler(with_scaling=False),
]


def data(dtype="float64"):
    """Draw features that lie far from each other, one of them constant."""
    X = np.random.default_rng(0).normal(size=(60, 4)) * [1, 10, 0.1, 0] + [5, -20, 0.3, 7]
    return X.astype(dtype)


def classifier(**parameters):
    return MLPClassifier((5,), **{"max_iter": 3, "random_state": 0} | parameters)


def regressor(**parameters):
    return MLPRegressor(hidden_layer_sizes=(5,), **{"solver": "lbfgs", "max_iter": 20, "random_state": 0} | parameters)


def read_back(trained, ending, folder):
    """Write what was trained, and give the function from X to predictions that a reader of the file has."""
    path = folder / f"model.{ending}"
    if ending == "safetensors":
        save_model(trained, path)
        return load_model(path).predict
    export_model(trained, path)
    if ending == "skops":
        assert skops.io.get_untrusted_types(file=path) == []
        return skops.io.load(path).predict
    session = onnxruntime.InferenceSession(path)
    dtype = {"tensor(float)": "float32", "tensor(double)": "float64"}[session.get_inputs()[0].type]
    return lambda X: session.run(["prediction"], {"X": X.astype(dtype)})[0]


@pytest.mark.parametrize("ending", ["safetensors", "onnx", "skops"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_classifiers_file_predicts_what_the_classifier_does(target, dtype, ending, tmp_path):
    X = data(dtype) / 10
    estimator = classifier().fit(X, TARGETS[target])
    np.testing.assert_array_equal(read_back(estimator, ending, tmp_path)(X), estimator.predict(X))


@pytest.mark.parametrize("ending", ["safetensors", "onnx", "skops"])
@pytest.mark.parametrize("parameters", REGRESSORS, ids=str)
@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regressors_file_predicts_what_the_regressor_does(outputs, parameters, ending, tmp_path):
    X = data() / 10
    t = np.exp(X[:, 0])
    estimator = regressor(**parameters).fit(X, t if outputs == 1 else np.c_[t, 1 / t])
    np.testing.assert_allclose(read_back(estimator, ending, tmp_path)(X), estimator.predict(X), rtol=1e-12)


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_scalers_become_the_scaling_of_the_model(scaler):
    X = data()
    pipeline = make_pipeline(scaler, classifier(activation="tanh")).fit(X, CODES)
    model = as_model(pipeline)
    np.testing.assert_allclose(model.scaling.apply(X), pipeline[0].transform(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(model.predict_proba(X), pipeline.predict_proba(X), rtol=1e-10)


@pytest.mark.parametrize("ending", ["safetensors", "onnx", "skops"])
def test_scalers_one_after_the_other_and_in_pipelines_of_their_own_become_one(ending, tmp_path):
    X = data()
    inner = Pipeline([("range", MinMaxScaler((-1, 3))), ("nothing", None), ("mlp", regressor(loss="poisson"))])
    pipeline = make_pipeline("passthrough", RobustScaler(), StandardScaler(), inner).fit(X, np.exp(X[:, 0]))
    assert as_model(pipeline).scaling.only_scales is False
    np.testing.assert_allclose(read_back(pipeline, ending, tmp_path)(X), pipeline.predict(X), rtol=1e-9)


def test_the_model_of_a_pipeline_in_float32_predicts_the_same_to_rounding():
    X = data("float32")
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, CODES)
    assert as_model(pipeline).dtype == "float32"
    np.testing.assert_allclose(as_model(pipeline).predict_proba(X), pipeline.predict_proba(X), atol=2e-6)


def test_an_npz_file_has_the_arrays_the_classes_and_the_scaling(tmp_path):
    X = data()
    pipeline = make_pipeline(StandardScaler(), classifier()).fit(X, TARGETS["strings"])
    export_model(pipeline, tmp_path / "model.npz")
    with np.load(tmp_path / "model.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["W1"], pipeline[-1].coefs_[0])
        np.testing.assert_array_equal(file["shift"], pipeline[0].mean_)
        assert file["classes"].tolist() == ["ant", "bee", "cat"]
        assert json.loads(str(file["description"]))["activations"] == ["relu"]


def test_names_of_features_are_those_of_the_frame_that_was_fitted(tmp_path):
    X = pd.DataFrame(data(), columns=list("abcd"))
    named = {"the estimator": classifier().fit(X, CODES), "a pipeline": make_pipeline(StandardScaler(), classifier())}
    named["a pipeline"].fit(X, CODES)
    for trained in named.values():
        export_model(trained, tmp_path / "model.onnx", overwrite=True)
        notes = {entry.key: entry.value for entry in onnx.load(tmp_path / "model.onnx").metadata_props}
        assert json.loads(notes["feature_names"]) == list("abcd")
        save_model(trained, tmp_path / "model.safetensors")
        shuffled = X[list("dcba")]  # columns are taken by name
        np.testing.assert_array_equal(load_model(tmp_path / "model.safetensors").predict(shuffled), trained.predict(X))
    made_up = make_pipeline(StandardScaler(), classifier()).set_output(transform="pandas").fit(data(), CODES)
    assert made_up[-1].feature_names_in_.tolist() == ["x0", "x1", "x2", "x3"]
    assert as_model(made_up).feature_names is None


def test_a_model_is_its_own_model():
    model = classifier().fit(data(), CODES).to_model()
    assert as_model(model) is model


def test_the_model_keeps_the_loss_with_its_settings_but_not_scikit_learns_way_of_computing_it():
    X = data()
    assert classifier().fit(X, CODES).to_model().network.loss == LOSSES["softmax"]
    assert classifier().fit(X, CODES > 0).to_model().network.loss == LOSSES["logistic"]
    assert regressor().fit(X, X[:, :2]).to_model().network.loss == LOSSES["squared"]
    assert regressor(loss="huber", huber_threshold=2.5).fit(X, X[:, 0]).to_model().network.loss.settings == (2.5,)


def test_weights_of_another_library_are_numpys_in_the_model(backend):
    X = data() / 10
    estimator = classifier().fit(X, CODES)
    expected = estimator.predict_proba(X)
    model = estimator.to(backend.name).to_model() if backend.name in {"torch", "jax"} else estimator.to_model()
    assert {type(p) for layer in model.layers for p in layer} == {np.ndarray}
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (PCA(2), "step 'pca' of the pipeline is a PCA. Only StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler "),
        (MinMaxScaler(clip=True), "step 'minmaxscaler' of the pipeline is a MinMaxScaler that clips"),
        (FunctionTransformer(np.tanh), "step 'functiontransformer' of the pipeline is a FunctionTransformer"),
        (type("Own", (StandardScaler,), {})(), "step 'own' of the pipeline is a Own"),
    ],
)
def test_a_step_that_is_not_affine_is_refused_by_its_name_and_nothing_is_written(step, said, tmp_path):
    pipeline = make_pipeline(StandardScaler(), step, classifier()).fit(data(), CODES)
    for write, ending in ((export_model, "onnx"), (save_model, "safetensors")):
        with pytest.raises(InputError, match=said):
            write(pipeline, tmp_path / f"model.{ending}")
    assert not list(tmp_path.iterdir())


def test_what_is_no_model_is_refused(tmp_path):
    X = data()
    theirs = TheirClassifier((3,), max_iter=2).fit(X, CODES)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CODES)
    named = {"MLPClassifier of sklearn": theirs, "LogisticRegression of sklearn": pipeline, "int of builtins": 3}
    for name, trained in named.items():
        with pytest.raises(InputError, match=f"{name} is not a trained model of xpmlp: .*from_sklearn converts"):
            save_model(trained, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="knows a single class, 'ant'"):
        save_model(classifier().fit(X, ["ant"] * 60), tmp_path / "model.safetensors")
    for unfitted in (classifier(), make_pipeline(StandardScaler(), classifier())):
        with pytest.raises(NotFittedError):
            save_model(unfitted, tmp_path / "model.safetensors")
    own = Loss("mine", LOSSES["squared"].output, LOSSES["squared"].terms, None, LOSSES["squared"].delta)
    with pytest.raises(InputError, match="function of your own, 'mine', cannot be saved"):
        save_model(regressor(loss=own).fit(X, X[:, 0]), tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("relu", "gelu")])
def test_every_activation_goes_into_the_model(activation):
    X = data() / 10
    estimator = MLPClassifier((5, 4), activation=activation, max_iter=3, random_state=0).fit(X, CODES)
    assert isinstance(estimator.to_model(), Model)
    np.testing.assert_allclose(estimator.to_model().predict_proba(X), estimator.predict_proba(X), rtol=1e-12)
