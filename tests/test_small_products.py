"""BLAS has one thread while small networks train on NumPy, and its own number of threads before and after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from xpmlp import SGD, Network, Recipe, get_backend, initialize
from xpmlp.backends._threads import SMALL, one_thread
from xpmlp.training import Trainer

MANY = 3


def threads():
    """How many threads the BLAS of NumPy, or each of some, has."""
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def many_threads():
    """BLAS with more than one thread, whatever the machine has, to see that the number comes back."""
    with threadpool_limits(MANY, user_api="blas") as limits:
        if threads() != {MANY}:
            pytest.skip("no BLAS here whose threads can be told")
        yield limits


def threads_in_training(hidden, batch_size, **recipe):
    """The threads that BLAS has in the steps of an epoch."""
    network = Network.build(20, hidden, 3)
    trainer = Trainer(get_backend("numpy"), network, Recipe(SGD(), batch_size=batch_size, **recipe))
    trainer.start(initialize(network, seed=0))
    X, T = trainer.backend.asarray(np.ones((8, 20))), trainer.backend.asarray(np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]])
    seen = set()
    trainer.run_epoch(X, T, np.arange(8), on_step=lambda _: seen.update(threads()))
    return seen


@pytest.mark.parametrize(
    ("hidden", "batch_size", "mode", "expected"),
    [
        ([50], 4, "matrix", 1),
        ([512, 512], 8, "matrix", 1),  # 8 x 512 x 512 multiplications: as many as are small
        ([512, 513], 8, "matrix", MANY),
        ([512, 513], 8, "loop", 1),  # a row at a time
        ([], 4, "matrix", 1),
    ],
)
def test_blas_has_one_thread_where_the_largest_product_is_small(hidden, batch_size, mode, expected):
    assert SMALL == 8 * 512 * 512
    assert threads_in_training(hidden, batch_size, mode=mode) == {expected}
    assert threads() == {MANY}


def test_an_error_in_an_epoch_gives_the_threads_back():
    def fail(_):
        raise KeyError

    network = Network.build(2, [2], 3)
    trainer = Trainer(get_backend("numpy"), network, Recipe(SGD(), batch_size=1))
    trainer.start(initialize(network, seed=0))
    with pytest.raises(KeyError):
        trainer.run_epoch(np.ones((1, 2)), np.eye(3)[:1], np.arange(1), on_step=fail)
    assert threads() == {MANY}


def test_who_comes_while_another_has_set_the_threads_sets_nothing_back():
    second_is_in, first_is_out = Barrier(2, timeout=60), Barrier(2, timeout=60)

    def second():
        with one_thread():
            second_is_in.wait()
            first_is_out.wait()
            return threads()

    with ThreadPoolExecutor(1) as pool:
        with one_thread():
            found = pool.submit(second)
            second_is_in.wait()
            assert threads() == {1}
        first_is_out.wait()
        assert found.result() == {MANY}
    assert threads() == {MANY}


def test_trainings_side_by_side_give_the_threads_back(many_threads):
    many_threads.restore_original_limits()
    before = threads()
    barrier = Barrier(2, timeout=60)

    def train(_):
        barrier.wait()
        for _ in range(20):
            threads_in_training([50], 4)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, range(2)))
    assert threads() == before
