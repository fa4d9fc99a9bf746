"""Arrays of any library in, results of the same library on the same device out; models that move between them."""

import contextlib
import copy
import functools
import io
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import sklearn
from array_api_compat import device as device_of
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.metrics import accuracy_score, log_loss, r2_score
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score, cross_validate
from sklearn.multiclass import OneVsRestClassifier

from xpmlp import MLPClassifier, MLPRegressor
from xpmlp.backends import get_backend
from xpmlp.common.errors import BackendError, InputError, XpmlpWarning

FAST = {"hidden_layer_sizes": (5,), "learning_rate_init": 0.03, "max_iter": 4, "random_state": 4, "batch_size": 16}
CLASSES = ("binary", "multiclass", "multilabel")
KINDS = (*CLASSES, "regression", "multioutput", "poisson")
CASES = [(kind, "adam") for kind in KINDS]
CASES += [(kind, solver) for kind in ("multiclass", "regression") for solver in ("sgd", "adamw", "lbfgs")]
READABLE = {"numpy", "numpy-readonly", "torch", "jax", "mlx"}  # by NumPy, where they are on the CPU
OTHER_LIBRARIES = {"torch", "jax", "jaxlib", "cupy", "array_api_strict"}
N = 48

# Few epochs are run on purpose.
pytestmark = [pytest.mark.torch_or_jax, pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")]


@functools.cache
def make(kind):
    draws = np.random.default_rng(17)
    X = draws.normal(size=(N, 4))
    hidden = np.tanh(X @ draws.normal(size=(4, 3)))
    y = {
        "binary": (hidden[:, 0] > 0).astype(int),
        "multiclass": np.argmax(hidden, axis=1) + 3,
        "multilabel": (hidden > 0.1).astype(int),
        "regression": hidden[:, 0],
        "multioutput": hidden,
        "poisson": np.floor(np.exp(hidden[:, 0])),
    }[kind]
    return X, y


def new(kind, **params):
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    return (MLPClassifier if kind in CLASSES else MLPRegressor)(**{**FAST, **loss, **params})


@functools.cache
def on_numpy(kind, solver="adam"):
    """Give the model that NumPy's arrays give."""
    return new(kind, solver=solver).fit(*make(kind))


@pytest.fixture
def given(backend):
    """Turn a problem into arrays of the backend."""

    def given(kind):
        X, y = make(kind)
        return backend.asarray(X), backend.asarray(y, dtype=None)

    return given


def place_of(backend):
    return f"{backend.name}:{backend.device_name}"


def has(backend, values, expected):
    """Assert that an array of whole numbers is of the backend's library and device, and equal."""
    assert backend.holds(values)
    assert backend.on_device(values)
    np.testing.assert_array_equal(backend.to_numpy(values), expected)


def same_weights(backend, model, expected, check, **tolerance):
    for mine, its in zip([*model.coefs_, *model.intercepts_], [*expected.coefs_, *expected.intercepts_], strict=True):
        check(backend, mine, its, **{"rtol": 1e-8, "atol": 1e-11, **tolerance})


# In and out


@pytest.mark.parametrize(("kind", "solver"), CASES)
def test_a_fit_gives_numpys_model_in_the_library_and_on_the_device_of_the_examples(
    backend, given, check, dispatch, kind, solver
):
    X, y = given(kind)
    model, expected = new(kind, solver=solver).fit(X, y), on_numpy(kind, solver)
    close = {"rtol": 1e-5, "atol": 1e-7} if solver == "lbfgs" else {"rtol": 1e-8, "atol": 1e-11}
    same_weights(backend, model, expected, check, **close)
    assert model.loss_ == pytest.approx(expected.loss_, rel=1e-8)
    assert type(model.loss_) is float
    host, targets = make(kind)
    if kind in CLASSES:
        has(backend, model.predict(X), expected.predict(host))
        check(backend, model.predict_proba(X), expected.predict_proba(host), **close)
        check(backend, model.predict_log_proba(X), expected.predict_log_proba(host), **close)
        has(backend, model.classes_, expected.classes_)
    else:
        check(backend, model.predict(X), expected.predict(host), **close)
    check(backend, model.transform(X), expected.transform(host), **close)
    norms = model.sample_gradient_norms(X, y)
    check(backend, norms, expected.sample_gradient_norms(host, targets), **close)


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression", "multioutput"])
def test_scores_are_python_floats(backend, given, dispatch, kind):
    X, y = given(kind)
    model = new(kind).fit(X, y)
    host, targets = make(kind)
    weights = np.linspace(1, 2, N)
    measure = accuracy_score if kind in CLASSES else r2_score
    predicted = on_numpy(kind).predict(host)
    for labels in (y, targets):
        score = model.score(X, labels)
        assert type(score) is float
        assert score == pytest.approx(measure(targets, predicted), rel=1e-9)
    for each in (weights, backend.asarray(weights)):
        expected = measure(targets, predicted, sample_weight=weights)
        assert model.score(X, y, sample_weight=each) == pytest.approx(expected, rel=1e-9)


def test_labels_that_are_words_come_back_as_numpys(backend, given, check, dispatch):
    words = np.array(["no", "perhaps", "yes"])[make("multiclass")[1] - 3]
    X, _ = given("multiclass")
    model = new("multiclass").fit(X, words)
    assert isinstance(model.classes_, np.ndarray)
    predicted = model.predict(X)
    assert isinstance(predicted, np.ndarray)
    assert set(predicted) <= set(words)
    check(backend, model.predict_proba(X), on_numpy("multiclass").predict_proba(make("multiclass")[0]), rtol=1e-8)
    assert 0 <= model.score(X, words) <= 1


def test_targets_and_weights_may_be_numpys_or_of_the_library(backend, given, check, dispatch):
    X, y = given("multiclass")
    host, targets = make("multiclass")
    weights = np.linspace(0.5, 2, N)
    expected = new("multiclass").fit(host, targets, sample_weight=weights)
    for labels, each in ((y, weights), (targets, backend.asarray(weights)), (targets.tolist(), weights.tolist())):
        model = new("multiclass").fit(X, labels, sample_weight=each)
        same_weights(backend, model, expected, check)
        has(backend, model.predict(X), expected.predict(host))
        assert isinstance(model.classes_, np.ndarray) == (labels is not y or backend.name == "numpy")


def test_examples_that_are_whole_numbers_are_taken(backend, check, dispatch):
    host = np.round(10 * make("binary")[0]).astype(np.int64)
    expected = new("binary").fit(host, make("binary")[1])
    X = backend.asarray(host, dtype=None)
    model = new("binary").fit(X, backend.asarray(make("binary")[1], dtype=None))
    same_weights(backend, model, expected, check)
    check(backend, model.predict_proba(X), expected.predict_proba(host), rtol=1e-8)


def test_partial_fits_and_warm_starts_stay_in_the_library(backend, given, check, dispatch):
    X, y = given("multiclass")
    host, targets = make("multiclass")
    model, expected = new("multiclass", warm_start=True), new("multiclass", warm_start=True)
    model.partial_fit(X, y, classes=backend.asarray(np.arange(3, 6), dtype=None)).partial_fit(X, y).fit(X, y)
    expected.partial_fit(host, targets, classes=[3, 4, 5]).partial_fit(host, targets).fit(host, targets)
    same_weights(backend, model, expected, check)


@pytest.mark.parametrize("scoring", [None, "loss", "neg_log_loss", "roc_auc_ovr"])
def test_early_stopping_watches_the_same_in_every_library(backend, given, check, dispatch, scoring):
    X, y = given("multiclass")
    params = {"early_stopping": True, "validation_fraction": 0.3, "scoring": scoring}
    model, expected = new("multiclass", **params).fit(X, y), new("multiclass", **params).fit(*make("multiclass"))
    same_weights(backend, model, expected, check)
    assert model.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_, rel=1e-8)
    if scoring != "loss":
        assert model.validation_scores_ == pytest.approx(expected.validation_scores_, rel=1e-8)


def test_a_scorer_is_given_numpys_arrays(backend, given, dispatch):
    X, y = given("binary")

    def scorer(estimator, X, y):
        assert isinstance(X, np.ndarray)
        assert isinstance(y, np.ndarray)
        assert isinstance(estimator.classes_, np.ndarray)
        p = estimator.predict_proba(X)
        assert isinstance(p, np.ndarray)
        return -log_loss(y, p)

    model = new("binary", early_stopping=True, validation_fraction=0.3, scoring=scorer).fit(X, y)
    assert model.validation_scores_ == pytest.approx([-loss for loss in model.validation_loss_curve_], rel=1e-8)
    assert backend.holds(model.coefs_[0])
    assert model.device is None


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_a_validation_set_is_of_the_library_too(backend, given, dispatch, kind):
    X, y = given(kind)
    host, targets = make(kind)
    weights = np.linspace(1, 2, N)
    model = new(kind).fit(X, y, X_val=X, y_val=targets, sample_weight_val=backend.asarray(weights))
    expected = new(kind).fit(host, targets, X_val=host, y_val=targets, sample_weight_val=weights)
    assert model.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_, rel=1e-8)
    assert all(type(loss) is float for loss in model.validation_loss_curve_)


def test_float32_stays_float32(backend32, dispatch):
    X, y = make("multiclass")
    X, y = backend32.asarray(X), backend32.asarray(y, dtype=None)
    for solver in ("adam", "lbfgs"):
        model = new("multiclass", solver=solver, early_stopping=True, scoring="neg_log_loss").fit(X, y)
        results = [model.predict_proba(X), model.transform(X), model.sample_gradient_norms(X, y)]
        results += [*model.coefs_, *model.intercepts_]
        assert all(each.dtype == backend32.float_dtype for each in results)
        assert all(backend32.holds(each) and backend32.on_device(each) for each in results)


@pytest.mark.parametrize(("asked", "given_dtype"), [("float32", "float64"), ("float64", "float32")])
def test_a_dtype_asked_for_is_that_of_weights_and_results(
    backend_name, backend, backend32, dispatch, asked, given_dtype
):
    X, y = make("regression")
    source = {"float64": backend, "float32": backend32}[given_dtype]
    X = source.asarray(X)
    model = new("regression", dtype=asked).fit(X, y)
    wanted = getattr(source.xp, asked)
    assert all(each.dtype == wanted for each in (*model.coefs_, *model.intercepts_, model.predict(X)))
    assert all(backend.holds(each) for each in (*model.coefs_, model.predict(X)))
    expected = new("regression", dtype=asked).fit(make("regression")[0].astype(given_dtype), y)
    np.testing.assert_allclose(backend.to_numpy(model.predict(X)), expected.predict(make("regression")[0]), rtol=2e-3)


HALVES = ("float16", "bfloat16")


def halved(backend, values, dtype):
    if backend.name == "numpy" or not hasattr(backend.xp, dtype):
        pytest.skip(f"{backend.name} has no {dtype} of its own, or scikit-learn's rule for it")
    return backend.xp.astype(backend.asarray(values), getattr(backend.xp, dtype))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_half_precision_is_computed_in_float32(backend32, dispatch, kind, solver, dtype):
    host, targets = make(kind)
    X = halved(backend32, host, dtype)
    single = backend32.xp.astype(X, backend32.xp.float32)
    y = backend32.asarray(targets, dtype=None)
    model, expected = new(kind, solver=solver).fit(X, y), new(kind, solver=solver).fit(single, y)
    calls = [model.transform, model.predict] if kind == "regression" else [model.transform, model.predict_proba]
    for call in calls:
        for examples in (X, single):
            result = call(examples)
            assert result.dtype == backend32.xp.float32
            wanted = getattr(expected, call.__name__)(single)
            np.testing.assert_array_equal(backend32.to_numpy(result), backend32.to_numpy(wanted))
    assert all(each.dtype == backend32.xp.float32 for each in (*model.coefs_, *model.intercepts_))
    assert model.sample_gradient_norms(X, y).dtype == backend32.xp.float32
    assert model.score(X, y) == expected.score(single, y)


@pytest.mark.parametrize("dtype", HALVES)
def test_targets_and_weights_may_be_in_half_precision(backend, given, dispatch, dtype):
    X, _ = given("regression")
    y = halved(backend, make("regression")[1], dtype)
    weights = halved(backend, np.linspace(0.5, 2, N), dtype)
    plain = [backend.xp.astype(each, backend.xp.float64) for each in (y, weights)]
    for each, other in ((y, weights), plain):
        model = new("regression").fit(X, each, other, X_val=X, y_val=each, sample_weight_val=other)
        model.partial_fit(X, each, other)
        results = [model.score(X, each, other), *model.validation_loss_curve_]
        results += backend.to_numpy(model.sample_gradient_norms(X, each)).tolist()
        if each is y:
            expected = results
    assert results == pytest.approx(expected)


def test_half_precision_leaves_jaxs_64_bit_mode_alone():
    pytest.importorskip("jax")
    program = """
import os; os.environ["SCIPY_ARRAY_API"] = "1"
import jax, sklearn
from xpmlp import MLPClassifier, MLPRegressor
sklearn.set_config(array_api_dispatch=True)
for dtype in ("float16", "bfloat16"):
    X = jax.numpy.eye(6, dtype=dtype)
    for cls in (MLPClassifier, MLPRegressor):
        model = cls(hidden_layer_sizes=(3,), max_iter=2).fit(X, jax.numpy.arange(6) % 2)
        assert model.predict(X).shape == (6,)
        assert model.transform(X).dtype == "float32"
        model.partial_fit(X, jax.numpy.arange(6) % 2)
assert not jax.config.jax_enable_x64
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)  # noqa: S603 - our own program


def run_alone(program):
    """Run a program in a process of its own, where JAX has not been imported; give what it prints."""
    pytest.importorskip("jax")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", ['MLPClassifier((3,), max_iter=2, device="jax").fit(X, y)', 'fitted.to("jax")'])
def test_float64_in_jax_turns_its_64_bit_mode_on_and_a_warning_says_so_once(way):
    printed = run_alone(f"""
import warnings, numpy as np
from xpmlp import MLPClassifier
X, y = np.eye(6), np.arange(6) % 2
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    fitted = MLPClassifier((3,), max_iter=2).fit(X, y)
    single = MLPClassifier((3,), max_iter=2, device="jax", dtype="float32").fit(X, y)
    import jax
    assert not jax.config.jax_enable_x64
    for _ in range(2):
        {way}
    assert jax.config.jax_enable_x64
said = [each for each in caught if "64-bit mode is on now" in str(each.message)]
print(len(said), said[0].category.__name__)
""")
    assert printed.split() == ["1", "XpmlpWarning"]


def test_whole_numbers_in_jax_are_computed_in_float32_while_its_64_bit_mode_is_off():
    run_alone("""
import os; os.environ["SCIPY_ARRAY_API"] = "1"
import jax, sklearn, warnings
from xpmlp import MLPClassifier, MLPRegressor
warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
sklearn.set_config(array_api_dispatch=True)
X = jax.numpy.arange(24).reshape(6, 4)
for cls in (MLPClassifier, MLPRegressor):
    model = cls(hidden_layer_sizes=(3,), max_iter=2).fit(X, X[:, 0] // 4 % 2).partial_fit(X, X[:, 0] // 4 % 2)
    assert model.coefs_[0].dtype == model.transform(X).dtype == "float32"
assert not jax.config.jax_enable_x64
""")


def test_numpys_global_generator_is_left_as_it_was_when_jax_is_imported():
    run_alone("""
import sys, numpy as np
from xpmlp import MLPClassifier
np.random.seed(3)
expected = np.random.RandomState(3).uniform(size=4)
from xpmlp.backends import get_backend
assert "jax" not in sys.modules
get_backend("jax")
assert "jax" in sys.modules
assert np.array_equal(np.random.uniform(size=4), expected)
""")


@pytest.mark.parametrize("dispatched", [True, False])
def test_tensors_that_require_gradients_are_detached(monkeypatch, check, dispatched):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    host, targets = make("regression")
    X, y, weights = (torch.asarray(each).requires_grad_() for each in (host, targets, np.linspace(0.5, 2, N)))
    with sklearn.config_context(array_api_dispatch=dispatched):
        model = new("regression").fit(X, y, weights, X_val=X, y_val=y, sample_weight_val=weights)
        model.partial_fit(X, y, weights)
        assert not getattr(model.predict(X), "requires_grad", False)
        norms = np.asarray(model.sample_gradient_norms(X, y))
        score = model.score(X, y, weights)
    weights = np.linspace(0.5, 2, N)
    expected = new("regression").fit(host, targets, weights, X_val=host, y_val=targets, sample_weight_val=weights)
    expected.partial_fit(host, targets, weights)
    np.testing.assert_allclose(norms, expected.sample_gradient_norms(host, targets), rtol=1e-8)
    assert score == pytest.approx(expected.score(host, targets, weights), rel=1e-8)


@pytest.mark.parametrize("form", ["to_sparse_csr", "to_sparse_csc", "to_sparse_coo"])
@pytest.mark.parametrize("dispatched", [True, False])
@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
def test_sparse_tensors_are_refused_with_what_to_do(monkeypatch, form, dispatched):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    X, y = map(torch.asarray, make("multioutput"))
    odd = getattr(X, form)()
    with sklearn.config_context(array_api_dispatch=dispatched):
        model = new("multioutput").fit(X, y)
        for call in (
            lambda: new("multioutput").fit(odd, y),
            lambda: new("multioutput").fit(X, getattr(y, form)()),
            lambda: new("multioutput").fit(X, y, X_val=odd, y_val=y),
            lambda: model.predict(odd),
            lambda: model.sample_gradient_norms(odd, y),
        ):
            with pytest.raises(InputError, match=r"sparse tensor of torch .* make it dense with .to_dense\(\)"):
                call()


# Without dispatch


def test_without_dispatch_everything_is_turned_into_numpys(backend_name, backend, given):
    if backend_name not in READABLE or backend.device_name.partition(":")[0] not in {"cpu", "TFRT_CPU_0"}:
        pytest.skip("NumPy cannot read it")
    X, y = given("multiclass")
    model, expected = new("multiclass").fit(X, y), on_numpy("multiclass")
    for mine, its in zip(model.coefs_, expected.coefs_, strict=True):
        assert isinstance(mine, np.ndarray)
        np.testing.assert_array_equal(mine, its)
    for method in ("predict", "predict_proba", "transform"):
        mine = getattr(model, method)(X)
        assert isinstance(mine, np.ndarray)
        np.testing.assert_array_equal(mine, getattr(expected, method)(make("multiclass")[0]))
    assert isinstance(model.classes_, np.ndarray)
    assert model.score(X, y) == expected.score(*make("multiclass"))


def test_without_dispatch_what_numpy_cannot_read_is_refused(backend_name, given):
    if backend_name in READABLE:
        pytest.skip("NumPy can read it")
    with pytest.raises((RuntimeError, TypeError), match=r"Can't convert|not allowed|explicit"):
        new("multiclass").fit(*given("multiclass"))


def test_arrays_that_scikit_learn_cannot_check_are_refused_with_what_to_do(monkeypatch, dispatch):
    strict = get_backend("array_api_strict", dtype="float64")
    model = new("multiclass").fit(*make("multiclass"))
    monkeypatch.setattr(type(strict), "arrays_are_standard", False)
    X = strict.asarray(make("multiclass")[0])
    for call in (lambda: new("multiclass").fit(X, make("multiclass")[1]), lambda: model.predict(X)):
        with pytest.raises(InputError, match=r"of array_api_strict, .* of NumPy, and device='array_api_strict'"):
            call()


# Another library than the fitted one, and the way out


def elsewhere(backend):
    """Give a place that the backend is not, and examples there."""
    place = "torch:cpu" if backend.name == "numpy" else "numpy:cpu"
    if place == "torch:cpu":
        pytest.importorskip("torch")
    name, _, device = place.partition(":")
    other = get_backend(name, device, "float64")
    return place, other, other.asarray(make("multiclass")[0])


def test_predicting_with_another_library_is_refused_and_the_error_names_the_way_out(backend, given, check, dispatch):
    X, y = given("multiclass")
    model = new("multiclass").fit(X, y)
    place, other, X_there = elsewhere(backend)
    calls = {
        name: lambda name=name: getattr(model, name)(X_there) for name in ("predict", "predict_proba", "transform")
    }
    calls["score"] = lambda: model.score(X_there, y)
    calls["sample_gradient_norms"] = lambda: model.sample_gradient_norms(X_there, y)
    for name, call in calls.items():
        with pytest.raises(ValueError, match=r"must use the same namespace and the same device") as caught:
            call()
        assert f"estimator.to('{place}')" in str(caught.value), name
    assert model.to(place) is model
    same_weights(other, model, on_numpy("multiclass"), check)
    has(other, model.predict(X_there), on_numpy("multiclass").predict(make("multiclass")[0]))
    has(other, model.classes_, [3, 4, 5])
    model.to(place_of(backend))
    has(backend, model.predict(X), on_numpy("multiclass").predict(make("multiclass")[0]))
    has(backend, model.classes_, [3, 4, 5])


def test_another_device_of_the_same_library_is_another_place(dispatch, check):
    strict = {name: get_backend("array_api_strict", name, "float64") for name in ("CPU_DEVICE", "device1", "device2")}
    X, y = make("multiclass")
    model = new("multiclass").fit(strict["device1"].asarray(X), y)
    with pytest.raises(ValueError, match="these are on array_api_strict:device2"):
        model.predict(strict["device2"].asarray(X))
    for name, backend in strict.items():
        model.to(f"array_api_strict:{name}")
        same_weights(backend, model, on_numpy("multiclass"), check)
        has(backend, model.predict(backend.asarray(X)), on_numpy("multiclass").predict(X))


def test_a_validation_set_of_another_library_is_refused(backend, given, dispatch):
    X, y = given("multiclass")
    _, _, X_there = elsewhere(backend)
    with pytest.raises(ValueError, match=f"X_val must use the same namespace .* {backend.name} on"):
        new("multiclass").fit(X, y, X_val=X_there, y_val=y)


def test_models_move_to_places_by_every_name_they_have(backend, given, dispatch):
    model = new("multiclass").fit(*given("multiclass"))
    for place in ("cpu", "numpy", "numpy:cpu", "auto" if backend.name == "numpy" else "cpu"):
        model.to(place)
        assert place == "auto" or all(isinstance(each, np.ndarray) for each in (*model.coefs_, *model.intercepts_))
    for place in (backend.name, place_of(backend)):
        model.to("cpu").to(place)
        assert all(backend.holds(each) for each in (*model.coefs_, *model.intercepts_))
        assert all(device_of(each) == backend.device for each in model.coefs_ if backend.name != "numpy")


@pytest.mark.parametrize("place", ["gpu", "", "Torch", "torch:gpu", "numpy:cuda", "cpu:0", "array_api_strict:x"])
def test_unknown_places_are_refused_and_leave_the_weights_where_they_are(backend, given, dispatch, place):
    model = new("multiclass").fit(*given("multiclass"))
    with pytest.raises((InputError, BackendError), match=r"must be one of|has no device|not installed|cannot be"):
        model.to(place)
    assert backend.holds(model.coefs_[0])
    assert backend.on_device(model.coefs_[0])
    model.predict(given("multiclass")[0])


def test_places_that_cannot_be_used_leave_the_weights_where_they_are(backend, given, dispatch):
    model = new("multiclass").fit(*given("multiclass"))
    for place in ("cuda:97", "cupy:cuda:97", "torch:cuda:97"):
        with pytest.raises(BackendError):
            model.to(place)
    assert backend.holds(model.coefs_[0])
    model.predict(given("multiclass")[0])


def test_only_fitted_models_move():
    with pytest.raises(sklearn.exceptions.NotFittedError):
        new("binary").to("cpu")


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_a_model_that_has_moved_goes_on_there_as_if_it_had_always_been_there(backend, given, check, dispatch, solver):
    X, y = given("multiclass")
    host, targets = make("multiclass")
    model = new("multiclass", solver=solver, warm_start=True).fit(host, targets)
    expected = new("multiclass", solver=solver, warm_start=True).fit(host, targets)
    model.to(place_of(backend))
    if solver != "lbfgs":
        model.partial_fit(X, y)
        expected.partial_fit(host, targets)
    model.fit(X, y)
    expected.fit(host, targets)
    close = {"rtol": 1e-5, "atol": 1e-7} if solver == "lbfgs" else {}
    same_weights(backend, model, expected, check, **close)


# NumPy's arrays, computed on elsewhere


@pytest.mark.parametrize(
    ("kind", "solver"), [("binary", "adam"), ("multiclass", "sgd"), ("multilabel", "lbfgs"), ("multioutput", "adam")]
)
def test_a_device_computes_numpys_arrays_and_brings_numpys_results_back(backend, kind, solver):
    X, y = make(kind)
    model, expected = new(kind, solver=solver, device=place_of(backend)).fit(X, y), on_numpy(kind, solver)
    close = {"rtol": 1e-5, "atol": 1e-7} if solver == "lbfgs" else {"rtol": 1e-8, "atol": 1e-11}
    for name in ("coefs_", "intercepts_"):
        for mine, its in zip(getattr(model, name), getattr(expected, name), strict=True):
            assert isinstance(mine, np.ndarray)
            assert mine.dtype == its.dtype
            np.testing.assert_allclose(mine, its, **close)
    for method in ("predict", "predict_proba", "predict_log_proba", "transform"):
        if hasattr(expected, method):
            mine = getattr(model, method)(X)
            assert isinstance(mine, np.ndarray)
            np.testing.assert_allclose(mine, getattr(expected, method)(X), **close)
    norms = model.sample_gradient_norms(X, y)
    assert isinstance(norms, np.ndarray)
    np.testing.assert_allclose(norms, expected.sample_gradient_norms(X, y), **close)
    assert model.score(X, y) == pytest.approx(expected.score(X, y))


@pytest.mark.parametrize("device", ["cpu", "numpy", "torch:cpu", "jax:cpu", "array_api_strict:device1", "auto"])
def test_devices_are_named_in_every_way(device):
    X, y = make("multiclass")
    try:
        model = new("multiclass", device=device).fit(X, y)
    except BackendError as error:
        assert device.partition(":")[0] in str(error).lower()  # noqa: PT017 - what is not installed
        assert device not in {"cpu", "numpy", "auto"}
        pytest.skip(str(error))
    np.testing.assert_allclose(model.predict_proba(X), on_numpy("multiclass").predict_proba(X), rtol=1e-8)


@pytest.mark.parametrize("device", ["graphics", "", "cpu:1", "GPU:0"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(InputError, match=r"device is .* but must be one of: auto, cpu, cuda"):
        new("binary", device=device).fit(*make("binary"))


def test_a_device_is_for_dense_arrays_of_numpy(backend, given, dispatch):
    X, y = make("binary")
    with pytest.raises(InputError, match="sparse examples can be used on the CPU only, but device is 'torch:cpu'"):
        new("binary", device="torch:cpu").fit(sparse.csr_array(X), y)
    new("binary", device="cpu").fit(sparse.csr_array(X), y)
    if backend.name != "numpy":
        message = f"device 'cpu' is for NumPy arrays, but X is an array of {backend.name} on {backend.device_name}"
        with pytest.raises(InputError, match=message):
            new("binary", device="cpu").fit(*given("binary"))


@pytest.mark.parametrize("device", ["cuda:97", "cupy:cuda:97", "torch:cuda:97"])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_gpu_that_is_not_there_is_an_error_and_nothing_is_computed_elsewhere(kind, device):
    model = new(kind, device=device)
    with pytest.raises(BackendError):
        model.fit(*make(kind))
    assert not hasattr(model, "coefs_")
    fitted = new(kind).fit(*make(kind)).set_params(device=device)
    with pytest.raises(BackendError):
        fitted.predict(make(kind)[0])
    assert fitted.set_params(device=None).predict(make(kind)[0]).shape == (N,)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_and_their_columns_go_to_a_device(backend, library):
    frames = pytest.importorskip(library)
    X, y = make("multiclass")
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abcd")} | {"y": y})
    columns = frame[list("abcd")]
    model = new("multiclass", device=place_of(backend), class_weight="balanced").fit(columns, frame["y"])
    expected = new("multiclass", class_weight="balanced").fit(X, y)
    assert model.feature_names_in_.tolist() == list("abcd")
    np.testing.assert_allclose(model.predict_proba(columns), expected.predict_proba(X), rtol=1e-8)
    assert model.score(columns, frame["y"]) == expected.score(X, y)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, bool, np.float16])
def test_other_dtypes_are_computed_in_float64_on_a_device(backend, dtype):
    X = np.abs(10 * make("multiclass")[0]).astype(dtype)
    y = make("multiclass")[1]
    model = new("multiclass", device=place_of(backend)).fit(X, y)
    probabilities = model.predict_proba(X)
    assert probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities, new("multiclass").fit(X, y).predict_proba(X), rtol=1e-8)


@pytest.mark.parametrize("shape", [(), (N,), (N, 2, 2)], ids=str)
def test_examples_of_another_rank_are_refused_before_they_travel(backend, shape):
    with pytest.raises(ValueError, match=r"Expected 2D array|Found array with dim 3"):
        new("regression", device=place_of(backend)).fit(np.zeros(shape), np.zeros(N))


def test_a_few_examples_are_enough(backend):
    X, y = make("multiclass")
    for n in (1, 2, 3):
        model = new("multiclass", device=place_of(backend), batch_size="auto").fit(X[:n], y[:n])
        assert model.predict(X).shape == (N,)


# Copies and files


def through_pickle(model):
    return pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {"pickle": through_pickle, "joblib": through_joblib, "deepcopy": copy.deepcopy, "copy": copy.copy}


@pytest.mark.parametrize(("way", "kind"), [*((way, "multiclass") for way in COPIES), ("pickle", "regression")])
def test_copies_stay_in_the_library_and_on_the_device_and_go_on_training(backend, given, check, dispatch, kind, way):
    X, y = given(kind)
    model = new(kind, early_stopping=True, validation_fraction=0.3).fit(X, y)
    copied = COPIES[way](model)
    same_weights(backend, copied, model_on_host(model), check, rtol=0, atol=0)
    if kind == "multiclass":
        has(backend, copied.classes_, [3, 4, 5])
        has(backend, copied.predict(X), backend.to_numpy(model.predict(X)))
    for each in (copied, model):
        each.set_params(early_stopping=False)
        each.partial_fit(X, y)
    same_weights(backend, copied, model_on_host(model), check)


def model_on_host(model):
    return copy.deepcopy(model).to("numpy")


class Modules(pickle.Unpickler):
    """Notes what modules a pickle needs."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data))
        self.named = set()

    def find_class(self, module, name):
        self.named.add(module.partition(".")[0])
        return super().find_class(module, name)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_pickle_holds_nothing_of_another_library_than_numpy(backend, given, dispatch, early_stopping):
    models = [new("multiclass", early_stopping=early_stopping, validation_fraction=0.3).fit(*given("multiclass"))]
    models.append(new("multiclass", early_stopping=early_stopping, device=place_of(backend)).fit(*make("multiclass")))
    for model in models:
        unpickler = Modules(pickle.dumps(model))
        unpickler.load()
        assert not unpickler.named & OTHER_LIBRARIES


def test_a_model_loads_where_its_library_is_missing_with_a_warning_and_predicts_on_numpy(
    backend, given, dispatch, monkeypatch
):
    X, y = make("multiclass")
    model = new("multiclass").fit(*given("multiclass"))
    bytes_of = pickle.dumps(model)
    warned = contextlib.nullcontext()
    if backend.name != "numpy":
        warned = pytest.warns(XpmlpWarning, match=f"fitted with {backend.name} on .* Its weights are NumPy arrays now")
    with warned, monkeypatch.context() as absent:
        if backend.name != "numpy":
            absent.setitem(sys.modules, backend.name, None)
        loaded = pickle.loads(bytes_of)  # noqa: S301 - our own bytes
    assert all(isinstance(each, np.ndarray) for each in (*loaded.coefs_, *loaded.intercepts_, loaded.classes_))
    np.testing.assert_array_equal(loaded.predict(X), on_numpy("multiclass").predict(X))
    assert loaded.score(X, y) == on_numpy("multiclass").score(X, y)
    loaded.partial_fit(X, y)


def test_a_pickled_model_goes_on_with_another_library(backend, given, check, dispatch):
    host, targets = make("multiclass")
    model = through_pickle(new("multiclass").partial_fit(host, targets, classes=[3, 4, 5]))
    model.partial_fit(*given("multiclass"))
    expected = new("multiclass").partial_fit(host, targets, classes=[3, 4, 5]).partial_fit(host, targets)
    same_weights(backend, model, expected, check)


def test_a_model_with_a_device_goes_on_with_another_one_after_pickling(backend):
    X, y = make("regression")
    model = through_pickle(new("regression", device=place_of(backend)).partial_fit(X, y))
    model.set_params(device="array_api_strict:device2").partial_fit(X, y)
    expected = new("regression").partial_fit(X, y).partial_fit(X, y)
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-8)


def test_a_clone_has_no_weights_and_can_be_fitted_with_another_library(backend, given, dispatch):
    model = new("multiclass").fit(*make("multiclass"))
    cloned = clone(model)
    assert not hasattr(cloned, "coefs_")
    assert backend.holds(cloned.fit(*given("multiclass")).coefs_[0])


def test_a_model_of_another_library_goes_to_scikit_learn(backend, given, dispatch):
    model = new("multiclass").fit(*given("multiclass"))
    with sklearn.config_context(array_api_dispatch=False):
        theirs = model.to_sklearn()
        X, _ = make("multiclass")
        assert isinstance(theirs.coefs_[0], np.ndarray)
        assert isinstance(theirs.classes_, np.ndarray)
        np.testing.assert_allclose(theirs.predict_proba(X), on_numpy("multiclass").predict_proba(X), rtol=1e-8)


# In other tools of scikit-learn


def slow_on(backend):
    if backend.name == "jax":
        pytest.skip("JAX compiles for every one of the many fits")


def test_cross_validation_and_searches_take_the_arrays_of_a_library(backend, given, dispatch):
    slow_on(backend)
    X, y = given("multiclass")
    host, targets = make("multiclass")
    scores = cross_val_score(new("multiclass"), X, y, cv=2)
    np.testing.assert_allclose(scores, cross_val_score(new("multiclass"), host, targets, cv=2))
    search = GridSearchCV(new("multiclass"), {"dropout": [0.0, 0.3]}, cv=2).fit(X, y)
    assert backend.holds(search.predict(X))


def test_tools_of_scikit_learn_take_estimators_with_a_device(backend):
    slow_on(backend)
    X, y = make("multiclass")
    model = new("multiclass", device=place_of(backend)).fit(X, y)
    frozen = CalibratedClassifierCV(FrozenEstimator(model)).fit(X, y)
    stacked = StackingClassifier([("mlp", new("multiclass", device=place_of(backend)))], new("multiclass"), cv=2)
    one_for_each = OneVsRestClassifier(new("multiclass", device=place_of(backend)))
    for each in (frozen, stacked.fit(X, y), one_for_each.fit(X, y)):
        assert each.predict(X).shape == (N,)
    assert permutation_importance(model, X, y, n_repeats=2).importances.shape == (4, 2)
    assert partial_dependence(model, X, [0], grid_resolution=3).average.shape == (3, 3)


def test_workers_of_a_search_take_estimators_with_a_device():
    pytest.importorskip("torch")
    X, y = make("multiclass")
    scores = cross_validate(new("multiclass", device="torch:cpu"), X, y, cv=2, n_jobs=2)["test_score"]
    np.testing.assert_allclose(scores, cross_val_score(new("multiclass"), X, y, cv=2))
    choices = {"activation": ["relu", ["tanh"], ("gelu",)], "alpha": [1e-5, 1e-3]}
    search = RandomizedSearchCV(new("multiclass", device="torch:cpu"), choices, n_iter=2, cv=2, random_state=0)
    assert search.set_params(n_jobs=2).fit(X, y).best_estimator_.score(X, y) > 0
