"""Properties that hold for all inputs, with inputs drawn by hypothesis."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from references import check_layers, output_of

from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES, log_softmax
from xpmlp.nn.network import Layer, Network, bprop, fprop, gradient_function
from xpmlp.nn.optimizers import SGD
from xpmlp.nn.regularization import ElasticNet

D, D_H, M, K = 2, 3, 3, 4  # one set of shapes: a library that compiles by shape does so once
EXAMPLES = settings(max_examples=20, deadline=None)
CLOSE = {"rtol": 1e-10, "atol": 1e-11}


def matrices(*shape, bound=5.0):
    return arrays(np.float64, shape, elements=st.floats(-bound, bound, allow_subnormal=False))


layer_pairs = st.tuples(
    st.tuples(matrices(D, D_H), matrices(D_H)),
    st.tuples(matrices(D_H, M), matrices(M)),
)
batches = matrices(K, D)
classes = st.lists(st.integers(0, M - 1), min_size=K, max_size=K).map(lambda y: np.eye(M)[y])
# Without kinks: at one, rounding in another order may put a unit on the other side.
activations = st.sampled_from(sorted(name for name, activation in ACTIVATIONS.items() if not activation.kink))
losses = st.sampled_from(sorted(set(LOSSES) - {"gaussian"}))  # these draw an output for each target

each_but_gaussian = pytest.mark.parametrize(
    "loss", [each for each in LOSSES.values() if each.name != "gaussian"], ids=lambda loss: loss.name
)


def network_of(activation="tanh", loss="softmax"):
    return Network.build(D, [D_H], M, activation=activation, loss=loss)


def gradients_of(backend, network, layers, X, T, scale=1.0):
    """Give the summed loss and the gradients scaled, on the host."""
    layers = [Layer(*map(backend.asarray, layer)) for layer in layers]
    trace = fprop(backend.xp, network, layers, backend.asarray(X))
    T = backend.asarray(T)
    gradients, _ = bprop(backend.xp, network, layers, trace, T, scale=scale)
    loss = network.loss.value(backend.xp, trace.u, T)
    return float(backend.to_numpy(loss)), [tuple(map(backend.to_numpy, layer)) for layer in gradients]


def assert_layers_close(results, expected):
    for result, other in zip(results, expected, strict=True):
        for a, b in zip(result, other, strict=True):
            np.testing.assert_allclose(a, b, **CLOSE)


@EXAMPLES
@given(z=matrices(K, M, bound=1e4))
def test_the_rows_of_a_softmax_are_distributions(backend, z):
    result = backend.to_numpy(output_of(LOSSES["softmax"], backend.xp, backend.asarray(z)))
    assert (result >= 0).all()
    np.testing.assert_allclose(result.sum(axis=1), 1, rtol=1e-14)


@EXAMPLES
@given(z=matrices(K, M, bound=100.0), shift=matrices(K, 1, bound=1e3))
def test_a_softmax_and_its_logarithm_do_not_see_a_shift_of_a_row(backend, check, z, shift):
    for function in (partial(output_of, LOSSES["softmax"]), log_softmax):
        expected = backend.to_numpy(function(backend.xp, backend.asarray(z)))
        check(backend, function(backend.xp, backend.asarray(z + shift)), expected, rtol=1e-9, atol=1e-11)


@EXAMPLES
@given(z=matrices(K, M, bound=1e4), order=st.permutations(range(M)))
def test_a_softmax_of_permuted_logits_is_permuted(backend, check, z, order):
    expected = backend.to_numpy(output_of(LOSSES["softmax"], backend.xp, backend.asarray(z)))[:, order]
    check(backend, output_of(LOSSES["softmax"], backend.xp, backend.asarray(z[:, order])), expected)


@each_but_gaussian  # a density may be above 1
@EXAMPLES
@given(z=matrices(K, M, bound=500.0), T=classes)
def test_no_loss_is_negative(backend, loss, z, T):
    u = loss.normalise(backend.xp, backend.asarray(z))
    assert float(backend.to_numpy(loss.value(backend.xp, u, backend.asarray(T)))) >= -1e-14


@each_but_gaussian  # in the variance it is not
@EXAMPLES
@given(z=matrices(K, M), other=matrices(K, M), T=classes, weight=st.floats(0, 1))
def test_every_loss_is_convex_in_the_logits(backend, loss, z, other, T, weight):
    def value(z):
        u = loss.normalise(backend.xp, backend.asarray(z))
        return float(backend.to_numpy(loss.value(backend.xp, u, backend.asarray(T))))

    between = value(weight * z + (1 - weight) * other)
    assert between <= weight * value(z) + (1 - weight) * value(other) + 1e-9


@EXAMPLES
@given(z=matrices(K, M))
def test_the_slope_of_every_activation_that_saturates_or_rises_is_not_negative(backend, z):
    z = backend.asarray(z)
    for name in sorted(set(ACTIVATIONS) - {"silu", "gelu"}):  # these two dip below 0
        derivative = ACTIVATIONS[name].derivative(backend.xp, z, ACTIVATIONS[name].function(backend.xp, z))
        assert (backend.to_numpy(derivative) >= 0).all(), name


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, activation=activations, loss=losses)
def test_the_gradient_of_a_sum_is_the_sum_of_the_gradients(backend, layers, X, T, activation, loss):
    network = network_of(activation, loss)
    total, whole = gradients_of(backend, network, layers, X, T)
    halves = [gradients_of(backend, network, layers, X[rows], T[rows]) for rows in (slice(0, 2), slice(2, 4))]
    assert sum(value for value, _ in halves) == pytest.approx(total, rel=1e-12)
    (_, first), (_, second) = halves
    summed = [tuple(a + b for a, b in zip(*pair, strict=True)) for pair in zip(first, second, strict=True)]
    assert_layers_close(whole, summed)


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, order=st.permutations(range(K)), loss=losses)
def test_the_order_of_the_rows_does_not_matter(backend, layers, X, T, order, loss):
    network = network_of(loss=loss)
    value, gradients = gradients_of(backend, network, layers, X, T)
    other, permuted = gradients_of(backend, network, layers, X[order], T[order])
    assert other == pytest.approx(value, rel=1e-12)
    assert_layers_close(permuted, gradients)


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, activation=activations, order=st.permutations(range(D_H)))
def test_permuting_hidden_units_permutes_their_gradients_alone(backend, layers, X, T, activation, order):
    (W1, b1), (W2, b2) = layers
    network = network_of(activation)
    value, ((dW1, db1), (dW2, db2)) = gradients_of(backend, network, layers, X, T)
    permuted = [(W1[:, order], b1[order]), (W2[order], b2)]
    other, gradients = gradients_of(backend, network, permuted, X, T)
    assert other == pytest.approx(value, rel=1e-12)
    assert_layers_close(gradients, [(dW1[:, order], db1[order]), (dW2[order], db2)])


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, mode=st.sampled_from(["matrix", "loop"]))
def test_repeating_every_row_doubles_the_loss_and_keeps_the_mean_gradient(backend, check, layers, X, T, mode):
    function = gradient_function(backend.xp, network_of(), mode)
    layers = [Layer(*map(backend.asarray, layer)) for layer in layers]
    loss, gradients = function(layers, backend.asarray(X), backend.asarray(T))
    twice, same = function(layers, backend.asarray(np.vstack([X, X])), backend.asarray(np.vstack([T, T])))
    check(backend, twice, 2 * backend.to_numpy(loss), **CLOSE)
    check_layers(check, backend, same, [tuple(map(backend.to_numpy, layer)) for layer in gradients], **CLOSE)


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, scale=st.floats(-8, 8), loss=losses)
def test_gradients_are_proportional_to_their_scale(backend, layers, X, T, scale, loss):
    network = network_of(loss=loss)
    _, gradients = gradients_of(backend, network, layers, X, T)
    _, scaled = gradients_of(backend, network, layers, X, T, scale=backend.asarray(np.full((K, 1), scale)))
    assert_layers_close(scaled, [tuple(scale * array for array in layer) for layer in gradients])


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes)
def test_the_gradients_by_the_logits_of_a_softmax_sum_to_zero(backend, layers, X, T):
    _, (_, (dW2, db2)) = gradients_of(backend, network_of(), layers, X, T)
    np.testing.assert_allclose(db2.sum(), 0, atol=1e-12)  # probabilities only move from class to class
    np.testing.assert_allclose(dW2.sum(axis=1), 0, atol=1e-12)


@EXAMPLES
@given(layers=layer_pairs, X=batches, factor=st.floats(0.1, 10))
def test_a_rectifier_scales_with_its_input(backend, check, layers, X, factor):
    (W1, _), (W2, _) = layers
    moved = [Layer(backend.asarray(W), backend.asarray(np.zeros(W.shape[1]))) for W in (W1, W2)]
    z, scaled = (fprop(backend.xp, network_of("relu"), moved, backend.asarray(rows)).z[-1] for rows in (X, factor * X))
    check(backend, scaled, factor * backend.to_numpy(z), **CLOSE)


def penalty_gradients(backend, penalty, weights):
    layers = [Layer(backend.asarray(W), backend.asarray(np.zeros(W.shape[1]))) for W in weights]
    zeros = [
        Layer(backend.copy_to_device(np.zeros(W.shape)), backend.copy_to_device(np.zeros(W.shape[1]))) for W in weights
    ]
    return [backend.to_numpy(dW) for dW, _ in penalty.add_gradient(backend.xp, layers, zeros)]


@EXAMPLES
@given(V=matrices(D, M), W=matrices(D, M), a=st.floats(-3, 3), b=st.floats(-3, 3))
def test_the_gradient_of_l2_is_linear_in_the_weights(backend, V, W, a, b):
    penalty = ElasticNet.build(1, l2=0.3)
    (dV,), (dW,), (both,) = (penalty_gradients(backend, penalty, [U]) for U in (V, W, a * V + b * W))
    np.testing.assert_allclose(both, a * dV + b * dW, **CLOSE)


@EXAMPLES
@given(
    W=matrices(D, M).map(lambda W: np.where(np.abs(W) < 1e-300, 0, W)), factor=st.floats(0.1, 10), l1=st.floats(0, 2)
)
def test_the_gradient_of_l1_is_bounded_odd_and_blind_to_the_size_of_a_weight(backend, W, factor, l1):
    penalty = ElasticNet.build(1, l1=l1)
    (dW,), (larger,), (mirrored,) = (penalty_gradients(backend, penalty, [U]) for U in (W, factor * W, -W))
    assert np.abs(dW).max() <= l1
    np.testing.assert_array_equal(larger, dW)
    np.testing.assert_array_equal(mirrored, -dW)


@EXAMPLES
@given(layers=layer_pairs, l1=st.floats(0, 2), l2=st.floats(0, 2))
def test_an_elastic_net_is_its_two_parts_and_not_negative(backend, layers, l1, l2):
    moved = [Layer(*map(backend.asarray, layer)) for layer in layers]
    both, first, second = (
        float(ElasticNet.build(2, *strengths).value(backend.xp, moved)) for strengths in ((l1, l2), (l1, 0), (0, l2))
    )
    assert both == pytest.approx(first + second, rel=1e-12)
    assert both >= 0


@EXAMPLES
@given(layers=layer_pairs, X=batches, T=classes, loss=st.sampled_from(["softmax", "logistic", "squared"]))
def test_a_small_enough_step_of_gradient_descent_does_not_raise_the_loss(backend, layers, X, T, loss):
    network, rule = network_of(loss=loss), SGD()
    before, gradients = gradients_of(backend, network, layers, X, T)
    params = [backend.copy_to_device(p) for layer in layers for p in layer]
    slopes = [backend.copy_to_device(g) for layer in gradients for g in layer]
    moved, _ = rule.update(backend.xp, params, slopes, rule.init(backend.xp, params), 1e-7, backend.asarray(1.0))
    host = [backend.to_numpy(p) for p in moved]
    after, _ = gradients_of(backend, network, [(host[0], host[1]), (host[2], host[3])], X, T)
    assert after <= before + 1e-9 * max(1.0, before)
