"""Threads and processes: models are shared, trainings side by side keep to themselves, and children work."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from conftest import READ_ONLY
from sklearn.datasets import load_digits

from xpmlp import MLPClassifier, Model, Network, Scaling, initialize
from xpmlp.experiments.experiment import prepare
from xpmlp.experiments.options import Options

THREADS = 16

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # a few epochs are enough


def together(function, arguments):
    """Call a function with each argument in a thread of its own, all at once."""
    barrier = Barrier(len(arguments))

    def wait_and_call(argument):
        barrier.wait()
        return function(argument)

    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(wait_and_call, arguments))


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


def test_sixteen_threads_predict_with_one_model_what_one_does(digits, backend):
    X, _ = digits
    network = Network.build(64, [32, 16], 10, activation=["relu", "gelu"])
    model = Model(network, initialize(network, seed=3), np.arange(10), Scaling.fit("standard", X))
    parts = [X[number::THREADS] for number in range(THREADS)]
    alone = [model.predict_proba(part, backend) for part in parts]
    for _ in range(3):
        assert_same(together(lambda part: model.predict_proba(part, backend), parts), alone)


def test_sixteen_threads_predict_with_one_estimator_what_one_does(digits):
    X, y = digits
    model = MLPClassifier((16,), max_iter=3, random_state=0).fit(X, y)
    parts = [X[number::THREADS] for number in range(THREADS)]
    alone = [model.predict_proba(part) for part in parts]
    for _ in range(3):
        assert_same(together(model.predict_proba, parts), alone)


def experiment_of(seed, backend="numpy"):
    return prepare(Options("circles", hidden=(8,), dropout=(0.2,), epochs=2, seed=seed, backend=backend))


def weights(experiment, record):
    return [experiment.backend.to_numpy(p) for layer in record.layers for p in layer]


def trained(experiment):
    *_, last = experiment.records()
    return weights(experiment, last)


def assert_same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def library(backend_name):
    if backend_name == READ_ONLY:
        pytest.skip(f"{READ_ONLY} is a backend of the tests alone")
    return backend_name


def test_trainings_that_take_turns_or_have_a_thread_each_are_those_that_run_alone(library):
    seeds = (1, 2)
    alone = [trained(experiment_of(seed, library)) for seed in seeds]
    experiments = [experiment_of(seed, library) for seed in seeds]
    *_, last = zip(*(experiment.records() for experiment in experiments), strict=True)
    for experiment, record, expected in zip(experiments, last, alone, strict=True):
        assert_same(weights(experiment, record), expected)
    threaded = together(lambda seed: trained(experiment_of(seed, library)), seeds)
    for found, expected in zip(threaded, alone, strict=True):
        assert_same(found, expected)


def test_numpys_global_random_state_is_neither_read_nor_changed(digits):
    X, y = digits
    np.random.seed(1)  # noqa: NPY002 - the state that must stay
    before = np.random.get_state()  # noqa: NPY002 - as above
    first = trained(experiment_of(5))
    model = MLPClassifier((4,), max_iter=1, random_state=0, dropout=0.1).fit(X, y)
    after = np.random.get_state()  # noqa: NPY002 - as above
    assert before[0] == after[0]
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]
    np.random.seed(2)  # noqa: NPY002 - as above
    assert_same(trained(experiment_of(5)), first)
    again = MLPClassifier((4,), max_iter=1, random_state=0, dropout=0.1).fit(X, y)
    assert_same(again.coefs_, model.coefs_)


# What a child does with what it is given, and what its parent compares with.
CHILDREN = """
import multiprocessing, sys
import numpy as np
from sklearn.datasets import load_digits
from xpmlp import MLPClassifier

X, y = load_digits(return_X_y=True)
name = sys.argv[2]

def predict(model):
    return model.predict_proba(X[:50])

def fit(seed):
    return MLPClassifier((8,), max_iter=1, random_state=seed, device=name).fit(X, y).coefs_

if __name__ == "__main__":
    model = MLPClassifier((8,), max_iter=1, random_state=0, device=name).fit(X, y)
    with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
        for function, argument in ((predict, model), (fit, 1)):
            for mine, theirs in zip(function(argument), pool.apply_async(function, (argument,)).get(100)):
                np.testing.assert_array_equal(mine, theirs)
    print("the same")
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_predict_and_fit_what_their_parent_does(library, tmp_path, method):
    if method == "fork" and library in {"jax", "torch", "cupy", "mlx"}:
        pytest.skip(f"{library} has threads or a GPU, which do not survive a fork: its users spawn")
    if library == "array_api_strict":
        pytest.skip("array_api_strict is NumPy underneath")
    script = tmp_path / "children.py"
    script.write_text(CHILDREN)
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, script, method, library], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "the same\n"), done.stderr
