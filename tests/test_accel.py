"""scikit-learn's own MLP classes computed by xpmlp: by patching, by command, in notebooks."""

from __future__ import annotations

import gc
import inspect
import json
import logging
import os
import pickle
import re
import runpy
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref
from pathlib import Path

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor, _multilayer_perceptron
from sklearn.utils.parallel import Parallel, delayed

import xpmlp
from xpmlp import InputError, patch_sklearn, unpatch_sklearn
from xpmlp.common.errors import BackendError

DRAWS = np.random.default_rng(0)
X = DRAWS.normal(size=(60, 4))
LABELS = (X[:, 0] + X[:, 1] > 0).astype(int) + (X[:, 2] > 1)
NUMBERS = X[:, 0] - 2.0 * X[:, 1]
SMALL = {"hidden_layer_sizes": (5,), "max_iter": 8, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations are quick


@pytest.fixture(autouse=True)
def unpatched():
    """Leave scikit-learn as it was."""
    yield
    unpatch_sklearn()


@pytest.fixture
def calls(tmp_path):
    """Patch scikit-learn, and give a function that lists the calls so far: (class.method, on scikit-learn)."""
    path = tmp_path / "calls.jsonl"
    patch_sklearn(report=path)

    def so_far():
        lines = path.read_text().splitlines() if path.exists() else []
        return [(f"{kind}.{method}", place == "scikit-learn") for kind, method, place, *_ in map(json.loads, lines)]

    return so_far


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def refuse(*_, **__):
    raise InputError("ours cannot")


# The classes stay scikit-learn's.


def test_the_classes_stay_the_same_objects_wherever_they_were_imported():
    from sklearn import neural_network

    made_before = MLPClassifier(**SMALL)
    patch_sklearn()
    assert neural_network.MLPClassifier is MLPClassifier is _multilayer_perceptron.MLPClassifier
    assert isinstance(made_before, MLPClassifier)
    assert is_classifier(made_before)
    assert is_regressor(MLPRegressor())
    assert type(clone(made_before)) is MLPClassifier
    assert clone(made_before).get_params() == made_before.get_params()
    assert repr(made_before) == "MLPClassifier(hidden_layer_sizes=(5,), max_iter=8, random_state=0)"


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_methods_keep_their_signature_their_documentation_and_their_metadata(kind):
    def looks():
        methods = [getattr(kind, name) for name in ("fit", "partial_fit", "predict")]
        requests = str(kind().get_metadata_routing())
        return [(str(inspect.signature(method)), method.__doc__, method.__qualname__) for method in methods], requests

    before = looks()
    patch_sklearn()
    assert looks() == before


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_unpatching_leaves_the_classes_and_joblib_as_they_were(kind):
    before, engines = dict(vars(kind)), dict(joblib.parallel.BACKENDS)
    patch_sklearn()
    patch_sklearn()  # again, and undone at once
    assert dict(vars(kind)) != before
    unpatch_sklearn()
    unpatch_sklearn()
    assert dict(vars(kind)) == before
    assert engines == joblib.parallel.BACKENDS


def test_an_estimator_made_and_fitted_before_runs_on_xpmlp_from_then_on_and_back(calls):
    unpatch_sklearn()
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    expected = model.predict_proba(X)
    assert calls() == []
    patch_sklearn()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    unpatch_sklearn()
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)


# The same numbers.


def life_of(kind, y, **params):
    """What an estimator is and gives, from its first fit on."""
    model = kind(**SMALL | params)
    results = [model.fit(X, y) is model, model.predict(X), model.score(X, y)]
    if kind is MLPClassifier:
        results += [model.predict_proba(X), model.predict_log_proba(X)]
    if model.solver != "lbfgs" and not model.early_stopping:
        for _ in range(3):
            results.append(model.partial_fit(X[:30], y[:30]).predict(X))
        model.set_params(learning_rate_init=0.01, max_iter=3, warm_start=True)
        results.append(model.fit(X, y).predict(X))
    public = {name: value for name, value in vars(model).items() if name.endswith("_") and not name.startswith("_")}
    return results, public


@pytest.mark.parametrize(
    ("kind", "y", "params"),
    [
        (MLPClassifier, LABELS, {}),
        (MLPClassifier, np.array(["a", "b", "c"])[LABELS], {"solver": "sgd", "learning_rate": "adaptive"}),
        (MLPClassifier, LABELS == 1, {"activation": "tanh", "early_stopping": True}),
        (MLPClassifier, np.eye(3, dtype=int)[LABELS], {"alpha": 0.1, "batch_size": 7}),
        (MLPClassifier, LABELS, {"solver": "lbfgs"}),
        (MLPRegressor, NUMBERS, {}),
        (MLPRegressor, np.stack([NUMBERS, -NUMBERS], axis=1), {"solver": "sgd", "early_stopping": True}),
        (MLPRegressor, np.abs(NUMBERS), {"loss": "poisson", "activation": "logistic"}),
    ],
)
def test_models_and_what_they_give_are_those_of_scikit_learn(calls, kind, y, params):
    ours, our_attributes = life_of(kind, y, **params)
    assert calls()
    assert not any(on_sklearn for _, on_sklearn in calls())
    unpatch_sklearn()
    theirs, their_attributes = life_of(kind, y, **params)
    close = {"rtol": 1e-4, "atol": 1e-5} if params.get("solver") == "lbfgs" else {"rtol": 1e-8, "atol": 1e-12}
    for one, other in zip(ours, theirs, strict=True):
        same_type_and_close(one, other, close)
    assert our_attributes.keys() == their_attributes.keys()
    for name, value in our_attributes.items():
        same_type_and_close(value, their_attributes[name], close)


def same_type_and_close(one, other, close):
    assert type(one) is type(other)
    if isinstance(one, list):
        for a, b in zip(one, other, strict=True):
            same_type_and_close(a, b, close)
    elif isinstance(one, float | np.ndarray) and np.asarray(one).dtype.kind == "f":
        np.testing.assert_allclose(one, other, **close)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.filterwarnings("ignore::xpmlp.XpmlpWarning")  # of a library that has to be set up for float64
def test_every_library_gives_the_numbers_of_scikit_learn(backend_name):
    device = "numpy" if backend_name.startswith("numpy") else backend_name
    expected = MLPClassifier(**SMALL).fit(X, LABELS).predict_proba(X)
    patch_sklearn(device)
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    assert isinstance(model.coefs_[0], np.ndarray)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6, atol=1e-9)


def test_the_draws_left_in_a_generator_are_those_that_scikit_learn_leaves():
    def left():
        generator = np.random.RandomState(3)
        MLPClassifier(**SMALL | {"random_state": generator}).fit(X, LABELS)
        np.random.seed(3)  # noqa: NPY002 - what scripts do
        MLPClassifier(**SMALL | {"random_state": None}).fit(X, LABELS)
        return generator.random_sample(), np.random.random_sample()  # noqa: NPY002 - as above

    expected = left()
    patch_sklearn()
    assert left() == expected


def test_weights_and_parameters_that_a_script_changes_count(calls):
    def outputs(model):
        before = model.fit(X, NUMBERS).predict(X)
        model.coefs_[0][:] *= 0.5
        halved = model.predict(X)
        model.intercepts_[-1] = model.intercepts_[-1] + 3.0
        shifted = model.predict(X)
        return before, halved, shifted, model.set_params(activation="tanh").predict(X)

    ours = outputs(MLPRegressor(**SMALL))
    assert calls() == [("MLPRegressor.fit", False)] + 4 * [("MLPRegressor.predict", False)]
    unpatch_sklearn()
    np.testing.assert_allclose(ours, outputs(MLPRegressor(**SMALL)), rtol=1e-8)


def test_losses_have_the_methods_of_numpys_numbers_as_scikit_learns_have():
    patch_sklearn()
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    assert model.loss_.round(3) == model.loss_curve_[-1].round(3)


def test_names_of_features_are_forgotten_when_a_fit_has_none():
    pandas = pytest.importorskip("pandas")
    patch_sklearn()
    model = MLPRegressor(**SMALL).fit(pandas.DataFrame(X, columns=list("abcd")), NUMBERS)
    assert list(model.feature_names_in_) == list("abcd")
    assert not hasattr(model.fit(X, NUMBERS), "feature_names_in_")


def test_threads_share_a_fitted_estimator():
    patch_sklearn()
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    expected, found = model.predict_proba(X), []
    threads = [threading.Thread(target=lambda: found.append(model.predict_proba(X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, [expected] * 8)


def test_an_estimator_that_nobody_refers_to_is_freed():
    patch_sklearn()
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_warnings_are_scikit_learns_for_filters_by_module():
    patch_sklearn()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        MLPClassifier(**SMALL).fit(X, LABELS)
        MLPRegressor(**SMALL | {"solver": "sgd"}).fit(X, NUMBERS)
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(8\)"):
        MLPClassifier(**SMALL).fit(X, LABELS)


def test_arrays_of_other_libraries_become_numpys_as_in_scikit_learn(monkeypatch):
    torch = pytest.importorskip("torch")
    patch_sklearn()
    model = MLPClassifier(**SMALL).fit(torch.asarray(X), torch.asarray(LABELS))
    assert type(model.predict_proba(torch.asarray(X))) is np.ndarray


# What falls to scikit-learn.


def test_what_ours_refuses_before_training_is_done_by_scikit_learn_with_a_warning(calls, caplog, monkeypatch):
    monkeypatch.setattr(xpmlp.MLPClassifier, "fit", refuse)
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    assert calls() == [("MLPClassifier.fit", True)]
    assert warnings_in(caplog) == ["MLPClassifier.fit runs on scikit-learn: InputError: ours cannot"]
    model.fit(X, LABELS)
    assert len(warnings_in(caplog)) == 1  # said once, counted twice
    assert calls() == 2 * [("MLPClassifier.fit", True)]
    assert calls()[2:] == []
    ours = model.predict_proba(X)
    assert calls()[2:] == [("MLPClassifier.predict_proba", False)]
    unpatch_sklearn()
    np.testing.assert_allclose(MLPClassifier(**SMALL).fit(X, LABELS).predict_proba(X), ours, rtol=1e-12)


def test_sparse_examples_on_a_device_are_done_by_scikit_learn(caplog):
    pytest.importorskip("torch")
    patch_sklearn("torch")
    MLPClassifier(**SMALL).fit(sparse.csr_array(X), LABELS)
    assert "MLPClassifier.fit runs on scikit-learn: InputError: sparse examples" in warnings_in(caplog)[0]


def test_scikit_learn_starts_from_the_draws_that_ours_has_not_used_up(monkeypatch):
    def draw_and_refuse(self, *_):
        self.random_state.random_sample(10)
        refuse()

    expected = MLPClassifier(**SMALL | {"random_state": np.random.RandomState(5)}).fit(X, LABELS).loss_
    patch_sklearn()
    monkeypatch.setattr(xpmlp.MLPClassifier, "fit", draw_and_refuse)
    assert MLPClassifier(**SMALL | {"random_state": np.random.RandomState(5)}).fit(X, LABELS).loss_ == expected


@pytest.mark.parametrize("error", [BackendError, MemoryError])
def test_a_device_that_fails_or_is_full_is_an_error(monkeypatch, error):
    def fail(*_):
        raise error("lost")

    patch_sklearn()
    monkeypatch.setattr(xpmlp.MLPClassifier, "fit", fail)
    with pytest.raises(error, match="lost"):
        MLPClassifier(**SMALL).fit(X, LABELS)


def test_an_error_after_training_is_raised_and_nothing_is_trained_twice(calls, caplog):
    model = MLPRegressor(**SMALL | {"solver": "sgd", "learning_rate_init": 1e150})
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite parameter weights"):
        model.fit(X, NUMBERS)
    assert calls() == warnings_in(caplog) == []


def test_an_error_leaves_the_fitted_model_as_it_was():
    patch_sklearn()
    model = MLPRegressor(**SMALL | {"solver": "sgd", "learning_rate_init": 1e-3}).fit(X, NUMBERS)
    before = model.predict(X)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite parameter weights"):
        model.partial_fit(X * 1e160, NUMBERS)
    np.testing.assert_array_equal(model.predict(X), before)


def class_with(name):
    """A subclass with its own version of one of scikit-learn's internal methods."""

    def method(self, *args):
        return getattr(super(kind, self), name)(*args)

    kind = type("Mine", (MLPClassifier,), {name: method})
    return kind


@pytest.mark.parametrize("name", ["_init_coef", "_backprop", "_update_no_improvement_count"])
def test_a_subclass_with_its_own_internals_runs_on_scikit_learn(calls, caplog, name):
    class_with(name)(**SMALL).fit(X, LABELS).predict(X)
    assert calls() == [("Mine.fit", True), ("Mine.predict", True)]
    assert warnings_in(caplog)[0] == f"Mine.fit runs on scikit-learn: Mine has its own {name}"


def test_internals_that_a_script_replaces_count_too(calls, monkeypatch):
    original = MLPRegressor._init_coef
    model = MLPClassifier(**SMALL)
    model._init_coef = model._init_coef
    model.fit(X, LABELS)
    monkeypatch.setattr(MLPRegressor, "_init_coef", lambda self, *args: original(self, *args))  # noqa: PLW0108 - its own
    MLPRegressor(**SMALL).fit(X, NUMBERS)
    assert calls() == [("MLPClassifier.fit", True), ("MLPRegressor.fit", True)]


class Narrow(MLPClassifier):
    """Public methods and a constructor of its own, as a script may write it."""

    def __init__(self, width=3, more="", alpha=0.01):
        super().__init__((width,), alpha=alpha, max_iter=8, random_state=0)
        self.width, self.more = width, more

    def fit(self, X, y):
        self.seen_ = len(X)
        return super().fit(X, y)

    def predict_proba(self, X):
        return np.round(super().predict_proba(X), 2)


def test_a_subclass_with_its_own_public_methods_runs_on_xpmlp(calls):
    ours = Narrow().fit(X, LABELS)
    log_probabilities = ours.predict_log_proba(X)
    assert calls() == [("Narrow.fit", False), ("Narrow.predict_proba", False)]
    unpatch_sklearn()
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(Narrow().fit(X, LABELS).predict_log_proba(X), log_probabilities)
    assert ours.seen_ == 60


def test_a_parameter_that_ours_lacks_runs_on_scikit_learn(monkeypatch, caplog):
    """A newer scikit-learn, with one more parameter."""
    original = MLPClassifier.__init__

    def __init__(self, *args, novelty=None, **params):  # noqa: N807 - it becomes the method
        original(self, *args, **params)
        self.novelty = novelty

    novelty = inspect.Parameter("novelty", inspect.Parameter.KEYWORD_ONLY, default=None)
    __init__.__signature__ = inspect.Signature([*inspect.signature(original).parameters.values(), novelty])
    constraints = MLPClassifier._parameter_constraints | {"novelty": "no_validation"}
    monkeypatch.setattr(MLPClassifier, "_parameter_constraints", constraints)
    monkeypatch.setattr(MLPClassifier, "__init__", __init__)
    patch_sklearn()
    MLPClassifier(**SMALL).fit(X, LABELS)
    assert warnings_in(caplog) == ["MLPClassifier.fit runs on scikit-learn: xpmlp has no parameter novelty"]


# Errors are scikit-learn's.


def error_of(call):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever scikit-learn raises
        call()
    return type(caught.value), str(caught.value)


MISTAKES = {
    "NaN": lambda: MLPClassifier().fit(np.full((60, 4), np.nan), LABELS),
    "not fitted": lambda: MLPClassifier().predict(X),
    "another width": lambda: Narrow().fit(X, LABELS).predict(X[:, :2]),
    "another length": lambda: MLPRegressor().fit(X, NUMBERS[:9]),
    "continuous labels": lambda: MLPClassifier().fit(X, NUMBERS),
    "a solver of ours alone": lambda: MLPClassifier(solver="adamw").fit(X, LABELS),
    "an activation of ours alone": lambda: MLPRegressor(activation="gelu").fit(X, NUMBERS),
    "arguments of ours alone": lambda: MLPClassifier().fit(X, LABELS, X_val=X, y_val=LABELS),
    "a misspelt argument": lambda: MLPClassifier().fit(X, LABELS, weight=1),
    "a missing argument": lambda: MLPClassifier().fit(X),
    "no such method": lambda: MLPClassifier(solver="lbfgs").partial_fit(X, LABELS),
    "unknown classes": lambda: MLPClassifier().partial_fit(X, LABELS),
    "early stopping by parts": lambda: MLPRegressor(early_stopping=True).partial_fit(X, NUMBERS),
    "too few to hold out": lambda: MLPRegressor(early_stopping=True).fit(X[:3], NUMBERS[:3]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_by_scikit_learn_and_is_no_line_in_the_log(calls, caplog, mistake):
    ours = error_of(MISTAKES[mistake])
    told = warnings_in(caplog)
    unpatch_sklearn()
    assert ours == error_of(MISTAKES[mistake])
    assert told == []


def test_what_lbfgs_does_not_have_is_not_there():
    patch_sklearn()
    assert not hasattr(MLPClassifier(solver="lbfgs"), "partial_fit")
    assert hasattr(MLPClassifier(), "partial_fit")


def test_a_device_that_is_not_known_leaves_things_as_they_are():
    before = dict(vars(MLPClassifier))
    with pytest.raises(InputError, match="device is 'gpu'"):
        patch_sklearn("gpu")
    assert dict(vars(MLPClassifier)) == before


# Pickles and workers.


def plain_python(code, *arguments):
    """Run code in a Python that has no xpmlp."""
    blocked = f"import sys; sys.modules['xpmlp'] = None\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-c", blocked, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - our own code
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("dump", [lambda model, path: path.write_bytes(pickle.dumps(model)), joblib.dump])
def test_a_pickle_loads_where_there_is_no_xpmlp_and_goes_on_training(tmp_path, dump):
    patch_sklearn()
    model = MLPClassifier(**SMALL).fit(X, LABELS)
    dump(model, tmp_path / "model.pkl")
    np.savez(tmp_path / "data.npz", X=X, y=LABELS)
    code = """
        import json, joblib, numpy
        data, model = numpy.load(sys.argv[2]), joblib.load(sys.argv[1])
        before = model.predict_proba(data["X"]).tolist()
        print(json.dumps([before, model.partial_fit(data["X"], data["y"]).predict_proba(data["X"]).tolist()]))
    """
    before, after = plain_python(code, str(tmp_path / "model.pkl"), str(tmp_path / "data.npz"))
    np.testing.assert_allclose(before, model.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(after, model.partial_fit(X, LABELS).predict_proba(X), rtol=1e-9)


def test_a_pickle_of_scikit_learns_goes_on_training_on_xpmlp(calls):
    unpatch_sklearn()
    model = MLPRegressor(**SMALL).fit(X, NUMBERS)
    data = pickle.dumps(model)
    expected = model.partial_fit(X, NUMBERS).predict(X)
    patch_sklearn()
    np.testing.assert_allclose(pickle.loads(data).partial_fit(X, NUMBERS).predict(X), expected, rtol=1e-9)  # noqa: S301 - made here


def inside(seed):
    """What a worker does that makes its own estimator: its loss, and the file of the code that fits."""
    from sklearn.neural_network import MLPClassifier as Imported

    return Imported(**SMALL | {"random_state": seed}).fit(X, LABELS).loss_, Imported.fit.__code__.co_filename


def test_workers_of_joblib_are_patched_as_long_as_this_process_is(calls):
    search = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [0.01, 1.0]}, cv=2, n_jobs=2).fit(X, LABELS)
    assert calls().count(("MLPClassifier.fit", False)) == 5
    assert not any(on_sklearn for _, on_sklearn in calls())
    results = Parallel(n_jobs=2)(delayed(inside)(seed) for seed in range(3))
    assert {file for _, file in results} == {xpmlp.accel.__file__}
    unpatch_sklearn()
    theirs = GridSearchCV(MLPClassifier(**SMALL), {"alpha": [0.01, 1.0]}, cv=2, n_jobs=2).fit(X, LABELS)
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    unpatched = Parallel(n_jobs=2)(delayed(inside)(seed) for seed in range(3))
    assert xpmlp.accel.__file__ not in {file for _, file in unpatched}
    np.testing.assert_allclose([loss for loss, _ in results], [loss for loss, _ in unpatched], rtol=1e-9)


# The command.


@pytest.fixture
def python(tmp_path, write):
    """Run a script in a folder of its own: gives what the command left behind."""

    def run(script, *arguments, command=()):
        name = str(write(textwrap.dedent(script), "script.py").relative_to(tmp_path))
        environment = os.environ | {"MPLBACKEND": "Agg", "PYTHONWARNINGS": "", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(  # noqa: S603 - our own code
            [sys.executable, *command, name, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )

    return run


ACCEL = ("-m", "xpmlp.accel")
HEAD = "xpmlp.accel: scikit-learn's MLPClassifier and MLPRegressor run on xpmlp, device cpu\n"

SURROUNDINGS = """
    '''About it.'''
    import __main__, atexit, os, pickle, sys
    import neighbour

    class Here: pass

    print(sys.argv, __name__, __file__, __doc__, __spec__, neighbour.X, open("data.txt").read(), sys.path[0])
    print(__main__.Here is Here, pickle.loads(pickle.dumps(Here)) is Here, __builtins__.len([1]))
    annotated: unknown = 1  # evaluated, as there is no future import
"""


@pytest.mark.parametrize("script", [SURROUNDINGS, SURROUNDINGS.replace(": unknown", "")], ids=["raises", "ends"])
def test_a_script_finds_everything_as_python_arranges_it(python, write, script):
    write("X = 3", "neighbour.py")
    write("some data", "data.txt")
    plain = python(script, "--report", "-m", "--device")
    run = python(script, "--report", "-m", "--device", command=ACCEL)
    assert (run.returncode, run.stdout) == (plain.returncode, plain.stdout)
    assert run.stderr == HEAD + plain.stderr  # a traceback without a frame of ours
    assert "['script.py', '--report', '-m', '--device'] __main__" in run.stdout


@pytest.mark.parametrize("end", ["sys.exit(7)", "sys.exit('bye')", "raise KeyboardInterrupt", "x = = 1", "exit()"])
def test_a_script_ends_with_pythons_exit_code(python, end):
    script = f"import sys\nprint('so far', flush=True)\n{end}\n"
    plain, run = python(script), python(script, command=ACCEL)
    assert (run.returncode, run.stdout) == (plain.returncode, plain.stdout)
    assert run.stderr.splitlines()[-1:] == (plain.stderr.splitlines()[-1:] or [HEAD.strip()])


def test_a_module_runs_with_its_arguments(python, tmp_path):
    doctests = """
        '''
        >>> from sklearn.neural_network import MLPClassifier
        >>> MLPClassifier(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [0, 1])
        MLPClassifier(random_state=0, solver='lbfgs')
        >>> import sys; sys.argv[1:]
        ['script.py']
        '''
    """
    run = python(doctests, command=(*ACCEL, "--report", "-m", "doctest"))
    assert (run.returncode, run.stdout) == (0, "")
    assert "MLPClassifier  fit     xpmlp, cpu  1" in run.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["--device", "gpu", "script.py"], "error: device is 'gpu', but must be one of"),
        (["nothing.py"], "error: there is no file nothing.py"),
        (["--colour", "script.py"], "error: unrecognized arguments: --colour"),
        (["-m"], "error: give a script, or -m and a module"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_line(monkeypatch, capsys, write, tmp_path, command, message):
    write("print(1)", "script.py")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["accel", *command])
    for name, value in {"handlers": [], "level": logging.NOTSET, "propagate": True}.items():
        monkeypatch.setattr(logging.getLogger("xpmlp.accel"), name, value)  # put back, as the command sets them
    with pytest.raises(SystemExit, match="2"):
        runpy.run_module("xpmlp.accel", run_name="__main__")
    output = capsys.readouterr()
    assert message in output.err
    assert output.out == ""


REPORTED = """
    import logging, sys
    import numpy as np
    from sklearn.model_selection import cross_val_score
    from sklearn.neural_network import MLPClassifier

    logging.basicConfig(level=logging.DEBUG, filename="log.txt")
    X, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2

    class Mine(MLPClassifier):
        def _init_coef(self, *args):
            return super()._init_coef(*args)

    cross_val_score(MLPClassifier(max_iter=500, tol=0.1, random_state=0), X, y, cv=2, n_jobs=2)
    Mine(max_iter=500, tol=0.1).fit(X, y)
    Mine(max_iter=500, tol=0.1).fit(X, y)
    print("done")
"""


def test_the_report_says_what_ran_where_in_every_process_and_why(python):
    run = python(REPORTED, command=(*ACCEL, "--report"))
    assert run.stdout == "done\n"
    said, *table = run.stderr.removeprefix(HEAD).splitlines()
    assert said == "xpmlp.accel: Mine.fit runs on scikit-learn: Mine has its own _init_coef"
    cells = [[cell for cell in re.split(r"  +", line) if not re.fullmatch(r"\d+\.\d{3}", cell)] for line in table]
    assert cells[0] == ["class", "method", "ran on", "calls", "seconds", "why not on xpmlp"]
    assert sorted(cells[1:]) == [
        ["MLPClassifier", "fit", "xpmlp, cpu", "2"],
        ["MLPClassifier", "predict", "xpmlp, cpu", "2"],
        ["Mine", "fit", "scikit-learn", "2", "Mine has its own _init_coef"],
    ]


def test_the_report_of_a_program_without_an_mlp_says_so(python):
    run = python("", command=(*ACCEL, "--report"))
    assert run.stderr == HEAD + "No MLPClassifier or MLPRegressor of scikit-learn was used.\n"


# Programs in the manner of scikit-learn's examples, unchanged.

FILTERS = """
    # The weights of the first layer, as images: some epochs are too few, and that is known.
    import warnings
    import matplotlib.pyplot as plt
    from sklearn.datasets import load_digits
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier

    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16.0, y, random_state=0, test_size=0.6)
    mlp = MLPClassifier(
        (40,), max_iter=8, alpha=1e-4, solver="sgd", verbose=10, random_state=1, learning_rate_init=0.2
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
        mlp.fit(X_train, y_train)
    fig, axes = plt.subplots(4, 4)
    vmin, vmax = mlp.coefs_[0].min(), mlp.coefs_[0].max()
    for coef, ax in zip(mlp.coefs_[0].T, axes.ravel()):
        ax.matshow(coef.reshape(8, 8), cmap=plt.cm.gray, vmin=0.5 * vmin, vmax=0.5 * vmax)
    plt.close(fig)
    numbers = [mlp.score(X_train, y_train), mlp.score(X_test, y_test), vmin, vmax, mlp.loss_]
"""

ALPHA = """
    # What the penalty does to the boundary between two classes.
    import numpy as np
    from sklearn.datasets import make_circles, make_moons
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numbers = []
    for X, y in (make_moons(noise=0.3, random_state=0), make_circles(noise=0.2, factor=0.5, random_state=1)):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
        side = np.linspace(-2, 2, 12)
        grid = np.stack([line.ravel() for line in np.meshgrid(side, side)], axis=1)
        for alpha in np.logspace(0, 1, 2):
            clf = make_pipeline(
                StandardScaler(),
                MLPClassifier(solver="lbfgs", alpha=alpha, random_state=1, max_iter=2000, hidden_layer_sizes=[10, 10]),
            )
            clf.fit(X_train, y_train)
            numbers += [clf.score(X_test, y_test), clf.predict_proba(grid)[:, 1].mean()]
"""

CURVES = """
    # How rules for the learning rate learn.
    import warnings
    from sklearn import datasets
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from sklearn.preprocessing import MinMaxScaler

    settings = [
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0, "learning_rate_init": 0.2},
        {"solver": "sgd", "learning_rate": "constant", "momentum": 0.9, "nesterovs_momentum": False},
        {"solver": "sgd", "learning_rate": "invscaling", "momentum": 0.9, "nesterovs_momentum": True},
        {"solver": "adam", "learning_rate_init": 0.01},
    ]
    numbers = []
    for X, y in (datasets.load_iris(return_X_y=True), datasets.make_moons(noise=0.3, random_state=0)):
        X = MinMaxScaler().fit_transform(X)
        for setting in settings:
            mlp = MLPClassifier(random_state=0, max_iter=40, **setting)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", category=ConvergenceWarning, module="sklearn")
                mlp.fit(X, y)
            numbers += [mlp.score(X, y), mlp.loss_, *mlp.loss_curve_[::10]]
"""

COMPARISON = """
    # One classifier among others.
    from sklearn.datasets import make_classification
    from sklearn.ensemble import VotingClassifier
    from sklearn.inspection import DecisionBoundaryDisplay
    from sklearn.model_selection import cross_val_predict, train_test_split
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.tree import DecisionTreeClassifier

    X, y = make_classification(n_features=2, n_redundant=0, random_state=1, n_clusters_per_class=1)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=42)
    classifiers = {
        "Nearest Neighbors": KNeighborsClassifier(3),
        "Decision Tree": DecisionTreeClassifier(max_depth=5, random_state=42),
        "Neural Net": MLPClassifier(alpha=1, max_iter=1000, random_state=42),
    }
    numbers = []
    for name, classifier in classifiers.items():
        clf = make_pipeline(StandardScaler(), classifier).fit(X_train, y_train)
        shown = DecisionBoundaryDisplay.from_estimator(clf, X, eps=0.5, grid_resolution=10)
        numbers += [clf.score(X_test, y_test), shown.response.sum()]
    vote = VotingClassifier(list(classifiers.items()), voting="soft").fit(X_train, y_train)
    numbers += [vote.score(X_test, y_test), cross_val_predict(vote, X, y, cv=2, method="predict_proba").mean()]
"""

DEPENDENCE = """
    # What a regressor makes of one feature, and of two.
    import numpy as np
    from sklearn.datasets import make_friedman1
    from sklearn.inspection import PartialDependenceDisplay, permutation_importance
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    X, y = make_friedman1(n_samples=300, random_state=0)
    y -= y.mean()
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.1, random_state=0)
    est = make_pipeline(
        QuantileTransformer(n_quantiles=100),
        MLPRegressor(hidden_layer_sizes=(30, 15), learning_rate_init=0.01, early_stopping=True, random_state=0),
    )
    est.fit(X_train, y_train)
    display = PartialDependenceDisplay.from_estimator(est, X_train, [0, (0, 1)], grid_resolution=6, kind="average")
    importance = permutation_importance(est, X_test, y_test, n_repeats=3, random_state=0)
    numbers = [est.score(X_test, y_test), *(result["average"].sum() for result in display.pd_results)]
    numbers += importance.importances_mean.tolist()
"""


@pytest.mark.parametrize(
    ("script", "rtol"),
    [(FILTERS, 1e-8), (ALPHA, 1e-2), (CURVES, 1e-8), (COMPARISON, 1e-8), (DEPENDENCE, 1e-8)],
    ids=["filters", "alpha", "curves", "comparison", "dependence"],
)
def test_example_programs_give_the_numbers_that_they_give_without(python, write, monkeypatch, script, rtol):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    expected = runpy.run_path(str(write(textwrap.dedent(script), "plain.py")))["numbers"]
    run = python(
        textwrap.dedent(script) + "\nprint('\\n', [float(number) for number in numbers])", command=(*ACCEL, "--report")
    )
    assert run.returncode == 0, run.stderr
    np.testing.assert_allclose(json.loads(run.stdout.splitlines()[-1]), expected, rtol=rtol, atol=1e-9)
    assert "xpmlp, cpu" in run.stderr
    assert "scikit-learn " not in run.stderr.removeprefix(HEAD)


# The notebook, and the page.


def test_the_snippet_of_the_page_runs_as_it_is_printed(capsys):
    page = (Path(__file__).parent.parent / "docs" / "accel.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    exec(compile(snippet, "accel.md", "exec"), {})  # noqa: S102 - it is our own page
    assert float(capsys.readouterr().out) > 0.95


def test_the_extension_of_a_notebook_patches_and_unpatches():
    before = MLPClassifier.fit
    xpmlp.accel.load_ipython_extension(None)
    assert MLPClassifier.fit is not before
    xpmlp.accel.unload_ipython_extension(None)
    assert MLPClassifier.fit is before


def test_a_notebook_loads_the_extension():
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell.instance()
    before = MLPClassifier.fit
    shell.run_line_magic("load_ext", "xpmlp.accel")
    assert MLPClassifier.fit is not before
    shell.run_line_magic("unload_ext", "xpmlp.accel")
    assert MLPClassifier.fit is before
