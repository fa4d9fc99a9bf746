"""skl2onnx writes the estimators as graphs with the inputs, outputs and options of those of scikit-learn's MLP."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn import neural_network
from sklearn.ensemble import BaggingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import xpmlp
from xpmlp import ACTIVATIONS, Activation, InputError, MLPClassifier, MLPRegressor

skl2onnx = pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::DeprecationWarning:skl2onnx"
)
TOLERANCE = {"float32": 2e-6, "float64": 1e-12}  # relative to the largest output
LOSSES = ("squared_error", "poisson", "huber", "absolute_error", "quantile", "gaussian")
CODES = np.arange(60) % 3
TARGETS = {
    "two classes": CODES > 0,
    "three classes": CODES,
    "numbers with gaps": np.array([2.0, 5.0, 9.0])[CODES],
    "strings": np.array(["ant", "bee", "cat"])[CODES],
    "strings in objects": np.array(["ant", "bee"], dtype=object)[CODES % 2],
    "two labels": np.eye(3, dtype=int)[CODES][:, :2],
    "three labels": np.eye(3, dtype=int)[CODES],
}


def data(dtype="float32"):
    return np.random.default_rng(0).normal(size=(60, 4)).astype(dtype)


def session_of(estimator, X, **options):
    graph = skl2onnx.to_onnx(estimator, X[:1], **options)
    return onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])


def outputs_of(estimator, X, **options):
    """Give the outputs by name."""
    session = session_of(estimator, X, **options)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: X}), strict=True))


def described(session):
    return [(each.name, each.type, each.shape) for each in (*session.get_inputs(), *session.get_outputs())]


def assert_equal_to_rounding(found, expected, dtype):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[dtype] * np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [*ACTIVATIONS, ("relu", "gelu")])
def test_every_activation_is_converted(activation, dtype):
    X = data(dtype)
    model = MLPClassifier((5, 4), activation=activation, max_iter=3, random_state=0).fit(X, CODES)
    found = outputs_of(model, X, options={"zipmap": False})
    np.testing.assert_array_equal(found["label"], model.predict(X))
    assert_equal_to_rounding(found["probabilities"], model.predict_proba(X), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_is_converted_for_one_output_and_for_several(loss, outputs, dtype):
    X = data(dtype)
    T = np.exp(X[:, :outputs] / 2).astype(dtype)
    model = MLPRegressor(loss, (5,), solver="lbfgs", max_iter=20, random_state=0).fit(X, T[:, 0] if outputs == 1 else T)
    (found,) = outputs_of(model, X).values()
    assert_equal_to_rounding(found, model.predict(X).reshape(-1, outputs), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
def test_labels_of_every_kind_are_converted(target, dtype):
    X = data(dtype)
    model = MLPClassifier((5,), max_iter=3, random_state=0).fit(X, TARGETS[target])
    found = outputs_of(model, X, options={"zipmap": False})
    np.testing.assert_array_equal(found["label"], model.predict(X))
    assert_equal_to_rounding(found["probabilities"], model.predict_proba(X), dtype)


@pytest.mark.parametrize("options", [{}, {"zipmap": False}, {"zipmap": "columns"}], ids=str)
@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"two labels"}))  # which skl2onnx converts wrongly
def test_names_types_and_shapes_are_those_of_scikit_learns_classifier(target, options):
    X = data()
    options = {"options": options} if options else {}
    ours, theirs = (
        session_of(module.MLPClassifier((5,), max_iter=3, random_state=0).fit(X, TARGETS[target]), X, **options)
        for module in (xpmlp, neural_network)
    )
    if "labels" in target:  # skl2onnx declares a vector for scikit-learn's
        assert [each[:2] for each in described(ours)] == [each[:2] for each in described(theirs)]
    else:
        assert described(ours) == described(theirs)


def test_names_types_and_shapes_are_those_of_scikit_learns_regressor():
    for X in (data(), data("float64"), np.round(9 * data()).astype("int64")):
        ours, theirs = (
            session_of(module.MLPRegressor(max_iter=3, random_state=0).fit(X, X[:, 0]), X)
            for module in (xpmlp, neural_network)
        )
        assert described(ours) == described(theirs)


def test_probabilities_are_maps_by_default_and_labels_are_indices_with_nocl():
    X, y = data(), TARGETS["strings"]
    model = MLPClassifier((5,), max_iter=3, random_state=0).fit(X, y)
    maps = outputs_of(model, X)["output_probability"]
    found = np.array([[row[name] for name in model.classes_] for row in maps])
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-6)
    found = outputs_of(model, X, options={"zipmap": False, "nocl": True})
    np.testing.assert_array_equal(model.classes_[found["label"]], model.predict(X))


def test_a_pipeline_and_an_ensemble_are_converted():
    X = data()
    mlp = MLPClassifier((5,), activation="silu", max_iter=3, random_state=0)
    for model in (make_pipeline(StandardScaler(), mlp), BaggingClassifier(mlp, n_estimators=2, random_state=0)):
        found = outputs_of(model.fit(100 + X, CODES), 100 + X, options={"zipmap": False})
        np.testing.assert_array_equal(found["label"], model.predict(100 + X))
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(100 + X), atol=2e-5)


def test_the_graph_computes_in_the_dtype_of_its_input_whatever_that_of_the_weights():
    X = data("float64")
    model = MLPRegressor(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, X[:, 0])
    for given in (X, X.astype("float32"), np.round(X).astype("int64")):
        (found,) = outputs_of(model, given).values()
        assert found.dtype == ("float64" if given.dtype == "float64" else "float32")
        np.testing.assert_allclose(found[:, 0], model.predict(given), rtol=1e-4, atol=1e-5)


def test_subclasses_are_converted_once_they_are_registered():
    X = data()
    for kind, target in ((MLPClassifier, CODES), (MLPRegressor, X[:, 0])):
        subclass = type("Mine", (kind,), {})
        model = subclass(hidden_layer_sizes=(5,), max_iter=3, random_state=0).fit(X, target)
        with pytest.raises(skl2onnx.common.exceptions.MissingShapeCalculator):
            session_of(model, X)
        xpmlp.register_skl2onnx(subclass)
        found = next(iter(outputs_of(model, X).values()))
        np.testing.assert_allclose(found.ravel(), model.predict(X), rtol=1e-5, atol=1e-6)


def test_an_activation_of_ones_own_is_in_the_graph():
    X = data()
    own = Activation("own", lambda xp, z: xp.tanh(2 * z), lambda xp, z, a: 2 * (1 - a * a))  # noqa: ARG005 - given both
    model = MLPRegressor(hidden_layer_sizes=(5,), activation=own, max_iter=3).fit(X, X[:, 0])
    found = next(iter(outputs_of(model, X).values()))
    np.testing.assert_allclose(found.ravel(), model.predict(X), rtol=1e-5, atol=1e-6)


def test_what_a_graph_cannot_hold_is_refused():
    X = data()
    with pytest.raises(InputError, match="knows a single class, 0"):
        session_of(MLPClassifier((5,), max_iter=3).fit(X, 0 * CODES), X)
    with pytest.raises(InputError, match="target_opset is 12, but xpmlp's graphs need 13 or higher"):
        session_of(MLPClassifier((5,), max_iter=3).fit(X, CODES), X, target_opset=12)


@pytest.mark.parametrize(
    "imports",
    [
        "import xpmlp.estimators, skl2onnx",
        "import skl2onnx, xpmlp.estimators",
        "import importlib.util, xpmlp.estimators; importlib.util.find_spec('skl2onnx'); import skl2onnx.common",
    ],
    ids=["xpmlp", "skl2onnx", "xpmlp, and it is looked for"],
)
def test_the_converters_register_themselves_whichever_package_is_imported_first(imports):
    code = (
        f"import numpy as np; {imports}\nfrom skl2onnx import to_onnx; from xpmlp import MLPRegressor\n"
        "X = np.eye(3, dtype='float32'); print(len(to_onnx(MLPRegressor(solver='lbfgs').fit(X, X), X).graph.node))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 4


def test_importing_the_estimators_does_not_import_skl2onnx():
    code = "import sys, xpmlp.estimators; print('skl2onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert done.stdout.strip() == "False"
