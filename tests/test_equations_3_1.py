"""What the report says of its implementation, section 3.1, and the slips that it asks not to repeat."""

import math

import numpy as np
import pytest
from references import check_layers, onehot, output_of, problem
from scipy import special

from xpmlp.data.preprocessing import encode
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.gradcheck import check_gradients
from xpmlp.nn.initializers import initialize
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import Network, gradient_function
from xpmlp.nn.optimizers import SGD
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import Constant
from xpmlp.training import Recipe, steps_per_epoch, train

NETWORK = Network.build(2, [2], 2)
N, SIZE = 7, 3  # minibatches of 3, 3 and 1


def test_3_1_1_softmax_is_stable_and_the_same_for_one_row_and_for_many(backend, check, rng):
    z = np.vstack([rng.normal(size=(3, 4)), [1e4, -1e4, 0.0, 1e4]])
    check(backend, output_of(LOSSES["softmax"], backend.xp, backend.asarray(z)), special.softmax(z, axis=1))
    for row in z:
        check(backend, output_of(LOSSES["softmax"], backend.xp, backend.asarray(row)), special.softmax(row))
        check(
            backend,
            output_of(LOSSES["softmax"], backend.xp, backend.asarray(row[None, :])),
            special.softmax(row)[None, :],
        )


def test_3_1_2_weights_start_uniform_within_one_over_root_n_in_and_biases_at_0():
    network = Network.build(16, [400], 9)
    for (W, b), n_in in zip(initialize(network, init="report"), (16, 400), strict=True):
        bound = 1 / math.sqrt(n_in)
        assert 0.99 * bound < np.abs(W).max() <= bound
        assert W.std() == pytest.approx(bound / math.sqrt(3), rel=0.05)
        assert not b.any()


@pytest.mark.parametrize("n", [1, 10])
@pytest.mark.parametrize("mode", ["loop", "matrix"])
def test_3_1_3_the_ratio_of_finite_differences_to_bprop_is_within_one_percent(backend, rng, mode, n):
    layers, X, T = problem(rng, NETWORK.sizes, n=n)
    result = check_gradients(backend, NETWORK, layers, backend.asarray(X), backend.asarray(T), mode=mode)
    assert len(result.judged) == NETWORK.n_parameters
    assert all(0.99 <= parameter.ratio <= 1.01 for parameter in result.judged)
    assert result.report_passed


def test_3_1_4_to_3_1_5_the_loop_and_the_matrix_expression_are_the_same_to_1e_12(backend, put, check, rng):
    network = Network.build(6, [8, 5], 4, activation=["relu", "tanh"])
    layers, X, T = problem(rng, network.sizes, n=4)
    layers, X, T = put(backend, layers), backend.asarray(X), backend.asarray(T)
    penalty = ElasticNet.build(3, l1=0.01, l2=0.02)
    loss, gradients = gradient_function(backend.xp, network, "loop")(layers, X, T)
    expected_loss, expected = gradient_function(backend.xp, network, "matrix")(layers, X, T)
    check(backend, loss, backend.to_numpy(expected_loss))
    added, expected = (penalty.add_gradient(backend.xp, layers, pairs) for pairs in (gradients, expected))
    expected = [tuple(backend.to_numpy(p) for p in layer) for layer in expected]
    check_layers(check, backend, added, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", ["loop", "matrix"])
def test_3_1_4_to_3_1_5_a_minibatch_without_one_class_is_encoded_and_trained_on_as_any_other(backend, rng, mode):
    classes = np.arange(3)
    T = encode(np.array([2, 0, 2]), classes)
    np.testing.assert_array_equal(T, onehot([2, 0, 2], 3))
    network = Network.build(2, [2], 3)
    layers, X, _ = problem(rng, network.sizes)
    result = check_gradients(backend, network, layers, backend.asarray(X), backend.asarray(T), mode=mode)
    assert result.passed


def test_3_1_4_to_3_1_5_the_derivative_of_the_rectifier_does_not_overwrite_its_argument(backend):
    host = np.array([-2.0, 0.0, 3.0])
    z, a = backend.copy_to_device(host), backend.copy_to_device(np.maximum(host, 0))
    ACTIVATIONS["relu"].derivative(backend.xp, z, a)
    np.testing.assert_array_equal(backend.to_numpy(z), host)
    np.testing.assert_array_equal(backend.to_numpy(a), np.maximum(host, 0))


def steps_taken(backend, steps, epochs=1, seed=0):
    """Train a linear model on the rows of an identity for so many steps: a weight moves when its row is in the batch.

    Give the sizes of the minibatches, the rows that moved in the last epoch, and its record.
    """
    network = Network.build(N, [], 1, loss="squared")
    start = [(np.zeros((N, 1)), np.full(1, 100.0))]  # far from any target: every step moves its rows
    recipe = Recipe(SGD(), Constant(1e-3), batch_size=SIZE, epochs=epochs, seed=seed)
    X, T, sizes = backend.asarray(np.eye(N)), backend.asarray(np.zeros((N, 1))), []
    run = train(backend, network, start, X, T, recipe, on_step=sizes.append, should_stop=lambda: len(sizes) == steps)
    weights = [np.zeros((N, 1))]
    for record in run:
        weights.append(backend.to_numpy(record.layers[0].W))
    return sizes, set(np.flatnonzero(weights[-1] != weights[-2]).tolist()), record


def test_3_1_6_minibatches_have_size_k_and_the_last_one_what_is_left(backend):
    sizes, moved, record = steps_taken(backend, steps=3)
    assert sizes == [3, 3, 1]
    assert moved == set(range(N))
    assert record.complete
    assert record.examples == N


def test_3_1_6_an_epoch_takes_every_example_once_in_an_order_of_its_own(backend):
    first, both, all_rows = (steps_taken(backend, steps)[1] for steps in (1, 2, 3))
    assert (len(first), len(both), len(all_rows)) == (3, 6, 7)
    assert first < both < all_rows
    assert steps_taken(backend, steps=4, epochs=2)[1] != first  # shuffled anew


def test_3_1_6_the_order_is_that_of_the_seed(backend):
    orders = [steps_taken(backend, steps=1, seed=seed)[1] for seed in (0, 1, 2, 0)]
    assert orders[0] == orders[3]
    assert len(set(map(frozenset, orders))) == 3


@pytest.mark.parametrize(("n", "size", "steps"), [(7, 3, 3), (6, 3, 2), (1, 1, 1), (2, 10, 1), (60_000, 256, 235)])
def test_3_1_6_the_number_of_minibatches_counts_the_smaller_last_one(n, size, steps):
    assert steps_per_epoch(n, size) == steps
