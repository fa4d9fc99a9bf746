"""What is written by any of the ways of docs/save-load-serve.md predicts the same when it is read."""

from __future__ import annotations

import contextlib
import io
import pickle
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pytest
import skops.io
from test_readme import run, snippets_of

from xpmlp import BackendError, MLPClassifier, MLPRegressor, register_skl2onnx

PAGE = (Path(__file__).parent.parent / "docs" / "save-load-serve.md").read_text(encoding="utf-8")
SNIPPETS = snippets_of(PAGE)
SCRIPTS = {snippet.split("\n")[0].removeprefix("# "): snippet for snippet in SNIPPETS if snippet.startswith("# serve")}
X = np.random.default_rng(0).normal(size=(60, 4))
CODES = np.arange(60) % 3

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The folder and the names that the lines of the page leave, but for those of skl2onnx and of the servers."""
    folder, names = tmp_path_factory.mktemp("page"), {}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as printed:
        patch.chdir(folder)
        for snippet in SNIPPETS:
            if snippet not in SCRIPTS.values() and "skl2onnx" not in snippet:
                run(snippet, "save-load-serve.md", names)
    assert printed.getvalue() == "['xpmlp.estimators._mlp.MLPClassifier']\n"
    return folder, names


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_servers_of_the_page_answer_as_the_model_does_without_xpmlp_and_scikit_learn(page, name):
    folder, names = page
    expected = names["model"].predict(np.array([[0.0] * 64, [1.0] * 64], np.float32)).tolist()
    code = f"import sys; sys.modules.update(xpmlp=None, sklearn=None)\n{SCRIPTS[name]}"  # neither can be imported
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603 - our own page
    assert done.stdout.strip() == str(expected), done.stderr


@pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx")
def test_the_lines_of_the_page_on_skl2onnx_write_a_graph_that_predicts_the_same(page, monkeypatch):
    pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")
    folder, names = page
    monkeypatch.chdir(folder)
    for snippet in SNIPPETS:
        if "skl2onnx" in snippet:
            run(snippet, "save-load-serve.md", names)
    labels, probabilities = onnxruntime.InferenceSession("digits-pca.onnx").run(None, {"X": names["X"]})
    np.testing.assert_array_equal(labels, names["longer"].predict(names["X"]))
    np.testing.assert_allclose(probabilities, names["longer"].predict_proba(names["X"]), atol=1e-5)


def test_converters_cannot_be_registered_without_skl2onnx(monkeypatch):
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(BackendError, match=r"skl2onnx is not installed.*pip install 'xpmlp\[skl2onnx\]'"):
        register_skl2onnx()


def by_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))  # noqa: S301 - our own


def by_joblib(estimator):
    content = io.BytesIO()
    joblib.dump(estimator, content)
    content.seek(0)
    return joblib.load(content)


def by_skops(estimator):
    content = skops.io.dumps(estimator)
    types = skops.io.get_untrusted_types(data=content)
    assert types == [f"xpmlp.estimators._mlp.{type(estimator).__name__}"]  # nothing of how it was trained
    return skops.io.loads(content, trusted=types)


WAYS = [by_pickle, by_joblib, by_skops]
TRAININGS = [
    {},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "sgd", "momentum": 0.0},
    {"solver": "adamw", "dropout": 0.2, "activation": "gelu"},
    {"solver": "lbfgs"},
    {"early_stopping": True, "scoring": "loss"},
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("training", TRAININGS, ids=str)
def test_a_file_that_goes_on_training_predicts_the_same_to_the_last_bit(training, way):
    Z = X.astype("float32")
    for kind, targets in ((MLPClassifier, np.array(["a", "b", "c"])[CODES]), (MLPRegressor, Z[:, :2])):
        estimator = kind(hidden_layer_sizes=(5,), max_iter=4, random_state=0, **training).fit(Z, targets)
        loaded = way(estimator)
        assert loaded.get_params() == estimator.get_params()
        np.testing.assert_array_equal(loaded.predict(Z), estimator.predict(Z))
        if not estimator.early_stopping and estimator.solver != "lbfgs":
            for each in (estimator, loaded):
                each.partial_fit(Z, targets).partial_fit(Z, targets)
            np.testing.assert_array_equal(loaded.coefs_[0], estimator.coefs_[0])
            assert loaded.loss_curve_ == estimator.loss_curve_


@pytest.mark.parametrize("training", TRAININGS, ids=str)
def test_scikit_learns_estimator_and_back_predicts_the_same_to_rounding_and_goes_on(training):
    if training.get("activation") == "gelu":
        training = training | {"activation": "tanh"}  # scikit-learn has no gelu
    for kind, targets in ((MLPClassifier, CODES), (MLPRegressor, X[:, :2])):
        estimator = kind(hidden_layer_sizes=(5,), max_iter=4, random_state=0, **training).fit(X, targets)
        theirs = by_pickle(estimator.to_sklearn())
        ours = kind.from_sklearn(theirs)
        np.testing.assert_allclose(theirs.predict(X), estimator.predict(X), rtol=1e-12)
        np.testing.assert_array_equal(ours.predict(X), estimator.predict(X))
        if estimator.solver != "lbfgs":
            ours.set_params(early_stopping=False).partial_fit(X, targets)
        if estimator.solver != "lbfgs" and not estimator.early_stopping:  # after it, scikit-learn cannot
            np.testing.assert_allclose(theirs.partial_fit(X, targets).predict(X), ours.predict(X), rtol=1e-10)
