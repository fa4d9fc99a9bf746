"""How many threads products take: all, one where a second gains nothing, and fewer beside other programs."""

import itertools
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_info, threadpool_limits

from xpmlp import Activation, InputError, MLPClassifier, Network, Recipe, get_backend, initialize, train
from xpmlp.backends.numpy.sparse import SparseNumpyBackend
from xpmlp.backends.threads import BLAS_VARIABLES, Threads, _package
from xpmlp.training import threads as module
from xpmlp.training.threads import ThreadChoice

SMALL, OPEN = Network.build(784, [32], 10), Network.build(784, [128], 10)
RECIPE = Recipe(batch_size=16)


def threads_of_blas():
    """Those of NumPy's BLAS, and of the one that SciPy has for itself, where it has one."""
    libraries = [library for library in threadpool_info() if library["user_api"] == "blas"]
    return {"scipy" in Path(library["filepath"]).parent.name: library["num_threads"] for library in libraries}


def blas_threads():
    return threads_of_blas()[False]


@pytest.fixture
def two_threads(monkeypatch):
    """Two threads of BLAS that nobody has asked for."""
    for name in BLAS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with threadpool_limits(2, user_api="blas"):
        yield


class Clock:
    """A clock that steps move on, by as much as they take with the number of threads that there is."""

    def __init__(self, monkeypatch, most=4):
        self.now, self.used, self.current, self.seconds, self.share = (
            0.0,
            0.0,
            most,
            dict.fromkeys((1, 2, 4), 0.01),
            1.0,
        )
        self.threads = Threads(lambda: self.current, self.put, ("SOME_NUM_THREADS",))
        clock = SimpleNamespace(perf_counter=lambda: self.now, process_time=lambda: self.used)
        monkeypatch.setattr(module, "time", clock)
        self.backend = SimpleNamespace(name="clock", threads=self.threads, divides_examples=True)

    def put(self, number):
        self.current = number

    def step(self):
        self.now += self.seconds[self.current]
        self.used += self.seconds[self.current] * self.share * 4

    def steps(self):
        for _ in itertools.repeat(None):
            self.step()
            yield

    def train(self, choice, steps):
        """Return how many threads each step takes."""
        taken = []
        for _ in range(0, steps, 2):
            with choice.in_steps():  # a short epoch
                for _ in range(2):
                    taken.append(self.current)
                    self.step()
                    if choice.is_due():
                        choice.choose(self.steps)
            self.now += 0.01  # for its scores
        return taken


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_training_with_its_cores_to_itself_takes_all_threads_and_tries_no_others(clock):
    clock.seconds = {1: 0.001, 2: 0.001, 4: 0.01}
    assert set(clock.train(ThreadChoice(clock.backend, OPEN, RECIPE), 1000)) == {4}
    assert clock.current == 4


def test_beside_other_programs_a_training_takes_the_number_that_is_fastest(clock):
    clock.seconds, clock.share = {1: 0.02, 2: 0.01, 4: 0.04}, 0.3
    choice = ThreadChoice(clock.backend, OPEN, RECIPE)
    taken = clock.train(choice, 500)
    assert taken[0] == 4
    assert set(taken[10:]) == {2}
    assert choice.number == 2
    assert clock.current == 4  # outside of the steps


def test_more_threads_are_taken_where_fewer_are_hardly_faster(clock):
    clock.seconds, clock.share = {1: 0.009, 2: 0.01, 4: 0.01}, 0.3
    assert set(clock.train(ThreadChoice(clock.backend, OPEN, RECIPE), 500)) == {4}


def test_a_training_takes_all_threads_again_once_the_cores_are_free(clock):
    clock.seconds, clock.share = {1: 0.01, 2: 0.02, 4: 0.04}, 0.3
    choice = ThreadChoice(clock.backend, OPEN, RECIPE)
    assert clock.train(choice, 200)[-1] == 1
    clock.seconds, clock.share = {1: 0.01, 2: 0.005, 4: 0.003}, 1.0
    assert clock.train(choice, 1000)[-1] == 4


def test_trials_become_rare_where_they_change_nothing(clock):
    clock.seconds, clock.share = {1: 0.01, 2: 0.01, 4: 0.01}, 0.3
    trials, choice = [], ThreadChoice(clock.backend, OPEN, RECIPE)

    def steps():
        trials.append(clock.now)
        return clock.steps()

    with choice.in_steps():
        while clock.now < 1000:
            clock.step()
            if choice.is_due():
                choice.choose(steps)
    begun = trials[::2]  # with each of the two other numbers
    waits = np.diff(begun)
    assert waits[0] < 12
    assert np.all(np.diff(waits) > -1)
    assert waits[-1] > 79


def test_slow_steps_are_tried_for_a_small_part_of_the_time_and_not_with_far_too_few_threads(clock):
    clock.seconds, clock.share = {1: 2.0, 2: 1.1, 4: 0.5}, 0.8
    choice, trials = ThreadChoice(clock.backend, OPEN, RECIPE), []

    def steps():
        trials.append(clock.current)
        return clock.steps()

    with choice.in_steps():
        for count in range(1000):  # noqa: B007 - it is read below
            clock.step()
            if choice.is_due():
                choice.choose(steps)
            if clock.now > 1000:
                break
    assert count * 0.5 > 0.9 * clock.now  # and with 4 the training has shown it
    assert set(trials) == {2}


def test_small_products_take_one_thread_and_tiny_ones_what_the_library_takes(clock):
    tiny = Network.build(64, [32], 10)
    assert set(clock.train(ThreadChoice(clock.backend, SMALL, RECIPE), 100)) == {1}
    assert set(clock.train(ThreadChoice(clock.backend, tiny, RECIPE), 100)) == {4}
    assert ThreadChoice(clock.backend, tiny, RECIPE).number is None


def test_products_with_sparse_examples_do_not_count_as_they_have_one_thread_anyway(clock):
    clock.backend.divides_examples = False
    assert ThreadChoice(clock.backend, Network.build(784, [], 10), RECIPE).number is None
    assert ThreadChoice(clock.backend, OPEN, RECIPE).number is None
    assert ThreadChoice(clock.backend, Network.build(784, [128, 1000], 10), RECIPE).number == 4
    assert not SparseNumpyBackend().divides_examples


def test_a_number_that_the_user_has_set_is_left_as_it_is(clock, monkeypatch):
    monkeypatch.setenv("SOME_NUM_THREADS", "4")
    clock.seconds, clock.share = {1: 0.001, 4: 0.01}, 0.3
    for network in (SMALL, OPEN):
        assert set(clock.train(ThreadChoice(clock.backend, network, RECIPE), 100)) == {4}


def test_a_number_in_the_recipe_is_taken(clock):
    clock.share = 0.3
    for network in (SMALL, OPEN):
        assert set(clock.train(ThreadChoice(clock.backend, network, Recipe(batch_size=16, threads=2)), 100)) == {2}


def test_where_several_ask_the_smallest_number_holds_and_the_first_one_comes_back(clock):
    with clock.threads.limited(2):
        with clock.threads.limited(1):
            assert clock.current == 1
            with clock.threads.limited(4):
                assert clock.current == 1
            assert clock.threads.number() == 4
        assert clock.current == 2
    assert clock.current == 4


def test_a_number_that_the_library_refuses_is_forgotten(clock):
    def put(number):
        if number > 8:
            raise OverflowError
        clock.current = number

    threads = Threads(lambda: clock.current, put, ())
    with pytest.raises(OverflowError), threads.limited(9):
        pass
    with threads.limited(2):
        assert clock.current == 2
    assert clock.current == 4


def test_a_process_that_is_forked_within_a_limit_has_none(clock):
    with clock.threads.limited(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # later versions of Python warn of forks beside threads
        if (child := os.fork()) == 0:
            with clock.threads.limited(2):
                os._exit(clock.current)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2


def test_a_variable_that_is_empty_sets_nothing(clock, monkeypatch):
    monkeypatch.setenv("SOME_NUM_THREADS", "")
    assert ThreadChoice(clock.backend, SMALL, RECIPE).number == 1


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("site-packages/numpy.libs", "numpy"),
        ("site-packages/scipy/.dylibs", "scipy"),
        ("scipy/.venv/lib/site-packages/numpy.libs", "numpy"),
        ("/usr/lib/x86_64-linux-gnu", None),
    ],
)
def test_which_package_brings_a_library_is_seen_from_its_folder(name, package):
    assert _package(Path(name)) == package


def test_a_number_of_threads_is_refused_where_the_backend_cannot_be_told():
    with pytest.raises(
        InputError, match=r"^threads is 2, but backend array_api_strict decides that by itself: leave it out\.$"
    ):
        ThreadChoice(get_backend("array_api_strict"), OPEN, Recipe(threads=2))


def trained_on_digits(backend="numpy", count=blas_threads, **how):
    X, y = load_digits(return_X_y=True)
    network = Network.build(64, [256], 10)
    seen, T = [], np.eye(10, dtype=np.float32)[y]
    recipe = Recipe(batch_size=128, epochs=1, **how)
    backend = get_backend(backend)
    given = backend.asarray(X), backend.asarray(T)
    records = train(backend, network, initialize(network), *given, recipe, on_step=lambda _: seen.append(count()))
    return list(records), set(seen)


@pytest.mark.usefixtures("two_threads")
def test_blas_takes_the_number_in_the_recipe_while_steps_are_taken():
    (last,), seen = trained_on_digits(threads=1)
    assert seen == {1}
    assert last.threads == 1
    assert blas_threads() == 2


@pytest.mark.torch_or_jax
def test_torch_takes_the_number_in_the_recipe_while_steps_are_taken():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    _, seen = trained_on_digits("torch", torch.get_num_threads, threads=before + 1)
    assert seen == {before + 1}
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("two_threads")
def test_trials_leave_no_trace_in_what_is_trained(monkeypatch):
    def weights():
        return [array for layer in trained_on_digits()[0][-1].layers for array in layer]

    monkeypatch.setattr(ThreadChoice, "is_due", lambda _: False)
    expected, tried = weights(), []
    due = itertools.chain([False, False, True], itertools.repeat(False))
    monkeypatch.setattr(ThreadChoice, "is_due", lambda _: next(due))
    monkeypatch.setattr(ThreadChoice, "choose", lambda _, start: tried.append(len(list(itertools.islice(start(), 20)))))
    for array, other in zip(weights(), expected, strict=True):
        assert array.tobytes() == other.tobytes()
    assert tried == [20]  # an epoch has 15


@pytest.mark.usefixtures("two_threads")
def test_a_resumed_training_goes_on_with_its_number(monkeypatch):
    monkeypatch.setattr(ThreadChoice, "is_due", lambda _: False)
    records, seen = trained_on_digits()
    assert (records[-1].threads, seen) == (2, {2})
    network = Network.build(64, [256], 10)
    choice = ThreadChoice(get_backend(), network, Recipe(batch_size=128))
    choice.resume(1)
    assert choice.number == 1
    choice.resume(64)  # of a larger machine
    assert choice.number == 2


@pytest.mark.usefixtures("two_threads")
def test_a_training_resumed_from_a_record_takes_its_number_and_small_networks_are_scored_with_all(monkeypatch):
    monkeypatch.setattr(ThreadChoice, "is_due", lambda _: False)
    X, y = load_digits(return_X_y=True)
    T, backend = np.eye(10, dtype=np.float32)[y], get_backend()
    given = backend.asarray(X), backend.asarray(T)

    def resumed(hidden):
        """The numbers of threads in steps and in scores."""
        in_steps, in_scores = set(), set()

        def relu(xp, z):
            (in_scores if z.shape[0] > 128 else in_steps).add(blas_threads())
            return xp.maximum(z, 0.0)

        activation = Activation("own", relu, lambda xp, z, a: xp.astype(a > 0, a.dtype))  # noqa: ARG005 - as ours
        network, recipe = Network.build(64, [hidden], 10, activation=activation), Recipe(batch_size=128, epochs=2)
        (first, *_) = train(backend, network, initialize(network), *given, recipe)
        in_steps.clear()
        list(
            train(
                backend,
                network,
                first.layers,
                *given,
                recipe,
                evaluate={"all": given},
                resume=replace(first, threads=1),
            )
        )
        return in_steps, in_scores

    assert resumed(256)[0] == {1}
    assert resumed(40) == ({1}, {2})


@pytest.mark.usefixtures("two_threads")
def test_estimators_leave_blas_as_they_found_it():
    X, y = load_digits(return_X_y=True)
    with pytest.warns(ConvergenceWarning):
        MLPClassifier((256,), max_iter=3, early_stopping=True, random_state=0).fit(X, y)
    assert blas_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize(("hidden", "of_products"), [((8,), 1), ((256,), 2)])
def test_lbfgs_leaves_one_thread_to_the_blas_that_scipy_has_for_itself(hidden, of_products):
    """Threads of one that wait hold up those of the other, so that small fits took several times as long."""
    X, y = load_digits(return_X_y=True)
    seen = set()

    def relu(xp, z):
        seen.add((blas_threads(), threads_of_blas().get(True, 1)))
        return xp.maximum(z, 0.0)

    activation = Activation("one's own", relu, lambda xp, z, a: xp.astype(a > 0, a.dtype))  # noqa: ARG005 - as ours
    estimator = MLPClassifier(hidden, activation=activation, solver="lbfgs", max_iter=2, random_state=0)
    with pytest.warns(ConvergenceWarning):
        estimator.fit(X / 16, y)
    assert seen == {(of_products, 1)}
    assert set(threads_of_blas().values()) == {2}


def test_the_command_line_keeps_the_number_and_refuses_what_is_none(cli, tmp_path):
    assert cli("train", "digits", "--epochs", "1", "--threads", "1", "--out", "run")[0] == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"]["threads"] == 1
    assert config["machine"]["threads"] >= 1
    assert "products take 1 thread\n" in (tmp_path / "run" / "train.log").read_text()
    code, _, errors = cli("train", "digits", "--threads", "0")
    assert code == 2
    assert "threads" in errors
