"""The report, equation by equation (docs/derivation.md): each test names the numbers of the statement that it checks.

What is expected is computed here, for one example and column vectors, as the report writes it, or by differences.
"""

import math
import re

import numpy as np
import pytest
from references import check_layers, differences, differentiate_layers, mean_loss, onehot, output_of, problem
from scipy import special

from xpmlp.nn.activations import ACTIVATIONS, softplus
from xpmlp.nn.initializers import initialize
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import Layer, Network, bprop, fprop, gradient_function
from xpmlp.nn.optimizers import SGD
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import Constant
from xpmlp.training import Recipe, train

POINTS = np.array([-20.0, -3.0, -0.7, 0.4, 1.0, 6.0])
D, D_H, M, K = 3, 4, 2, 5
NETWORK = Network.build(D, [D_H], M, activation="relu", loss="softmax")
LAMBDAS = {"l1": (0.03, 0.01), "l2": (0.02, 0.05)}


@pytest.fixture
def drawn(rng):
    """Weights, examples and one-hot targets of the report's network, with some hidden units on either side of 0."""
    return problem(rng, NETWORK.sizes, n=K)


def function(backend, name, z):
    return ACTIVATIONS[name].function(backend.xp, backend.asarray(z))


def derivative(backend, name, z):
    z = backend.asarray(z)
    return ACTIVATIONS[name].derivative(backend.xp, z, ACTIVATIONS[name].function(backend.xp, z))


def penalty_gradient(backend, W, **strengths):
    """Give the gradient of the penalty alone, at weights (1, n)."""
    layers = [Layer(backend.asarray(W), backend.asarray(np.zeros(W.shape[1])))]
    zeros = [Layer(backend.copy_to_device(np.zeros(W.shape)), backend.copy_to_device(np.zeros(W.shape[1])))]
    return ElasticNet.build(1, **strengths).add_gradient(backend.xp, layers, zeros)[0].W


def passes(backend, put, network, layers, X, T):
    """Run both passes; the gradients are sums over the rows."""
    moved = put(backend, layers)
    trace = fprop(backend.xp, network, moved, backend.asarray(X))
    return trace, *bprop(backend.xp, network, moved, trace, backend.asarray(T), input_gradient=True)


def columns(drawn, k):
    """Give one example in the report's symbols: column vectors, weights as (inputs, units)."""
    (W1, b1), (W2, b2) = drawn.layers
    x, y = drawn.X[k][:, None], drawn.T[k][:, None]
    ha = W1.T @ x + b1[:, None]
    hs = np.where(ha > 0, ha, 0)
    oa = W2.T @ hs + b2[:, None]
    exponentials = np.exp(oa)
    return x, y, ha, hs, oa, exponentials / exponentials.sum()


def rows_of(drawn, position):
    """Stack one of `columns` over the examples, as rows."""
    return np.hstack([columns(drawn, k)[position] for k in range(K)]).T


def regularised_risk(layers, X, T):
    value = mean_loss(layers, ["relu"], "softmax", X, T)
    for (W, _), l1, l2 in zip(layers, LAMBDAS["l1"], LAMBDAS["l2"], strict=True):
        value += l1 * np.abs(W).sum() + l2 * (W**2).sum()
    return value


def test_eq_1_1_to_1_8_the_logistic_is_a_hyperbolic_tangent(backend, check):
    check(backend, function(backend, "logistic", POINTS), 1 / (1 + np.exp(-POINTS)))
    check(backend, function(backend, "logistic", POINTS), (np.tanh(POINTS / 2) + 1) / 2, atol=1e-15)


def test_eq_1_9_to_1_12_the_logarithm_of_the_logistic_is_minus_softplus_of_minus_x(backend, check):
    # Erratum: 1.12 prints "softmax" where it means softplus.
    check(backend, -softplus(backend.xp, backend.asarray(-POINTS)), np.log(1 / (1 + np.exp(-POINTS))))
    check(backend, function(backend, "softplus", POINTS), np.log1p(np.exp(POINTS)))


def test_eq_1_13_to_1_24_derivative_of_the_logistic(backend, check):
    s = 1 / (1 + np.exp(-POINTS))  # Erratum: 1.14 prints the denominator as 1 - exp(-x)
    check(backend, derivative(backend, "logistic", POINTS), s * (1 - s), atol=1e-15)
    expected = differences(lambda x: (1 / (1 + np.exp(-x))).sum(), POINTS, 1e-2)
    check(backend, derivative(backend, "logistic", POINTS), expected, rtol=1e-8, atol=1e-10)


def test_eq_1_25_to_1_29_derivative_of_the_hyperbolic_tangent(backend, check):
    check(backend, derivative(backend, "tanh", POINTS), 1 - np.tanh(POINTS) ** 2)
    expected = differences(lambda x: ((np.exp(2 * x) - 1) / (np.exp(2 * x) + 1)).sum(), POINTS, 1e-2)
    check(backend, derivative(backend, "tanh", POINTS), expected, rtol=1e-8, atol=1e-10)


def test_eq_1_30_to_1_31_the_sign_of_zero_is_zero(backend, check):
    x = np.array([[-2.0, -0.0, 0.0, 1e-12, 5.0]])
    expected = (x > 0).astype(float) - (x < 0).astype(float)
    check(backend, backend.xp.sign(backend.asarray(x)), expected)
    check(backend, penalty_gradient(backend, x, l1=1.0), expected)


def test_eq_1_32_derivative_of_the_absolute_value_is_the_sign_and_0_at_0(backend, check):
    x = np.append(POINTS, 0.0)[None, :]
    expected = differences(lambda x: np.abs(x).sum(), x, 1e-3)
    check(backend, penalty_gradient(backend, x, l1=1.0), expected, atol=1e-10)


def test_eq_1_33_derivative_of_the_rectifier_is_0_at_0(backend, check):
    x = np.array([-3.0, -1e-12, -0.0, 0.0, 1e-12, 3.0])
    check(backend, derivative(backend, "relu", x), [0, 0, 0, 0, 1, 1])


def test_eq_1_34_to_1_36_gradient_of_the_squared_l2_norm_is_2_x(backend, check):
    # Erratum: the report leaves the sum sign in front: the gradient is a vector, not a sum.
    x = POINTS[None, :]
    check(backend, penalty_gradient(backend, x, l2=1.0), 2 * x)
    expected = differences(lambda x: np.linalg.norm(x) ** 2, x, 1e-2)
    check(backend, penalty_gradient(backend, x, l2=1.0), expected, rtol=1e-8)


def test_eq_1_37_to_1_40_gradient_of_the_l1_norm_is_the_sign(backend, check):
    # Erratum: as above, without the sum sign.
    x = POINTS[None, :]
    expected = differences(lambda x: np.linalg.norm(x, 1, axis=1).item(), x, 1e-3)
    check(backend, penalty_gradient(backend, x, l1=1.0), expected, rtol=1e-8)
    check(backend, penalty_gradient(backend, x, l1=1.0), [[-1, -1, -1, 1, 1, 1]])


def test_eq_2_1_to_2_3_the_hidden_layer(backend, put, check, drawn):
    trace, _, _ = passes(backend, put, NETWORK, *drawn)
    check(backend, trace.z[0], rows_of(drawn, 2))
    check(backend, trace.a[1], rows_of(drawn, 3))
    assert (rows_of(drawn, 2) > 0).any()
    assert (rows_of(drawn, 2) < 0).any()


def test_eq_2_4_to_2_5_the_output_layer(backend, put, check, drawn):
    trace, _, _ = passes(backend, put, NETWORK, *drawn)
    check(backend, trace.z[1], rows_of(drawn, 4))


def test_eq_2_6_to_2_9_the_outputs_are_positive_and_sum_to_1(backend, put, check, drawn):
    trace, _, _ = passes(backend, put, NETWORK, *drawn)
    check(backend, trace.a[2], rows_of(drawn, 5))
    output = backend.to_numpy(trace.a[2])
    assert (output > 0).all()
    np.testing.assert_allclose(output.sum(axis=1), 1, rtol=1e-15)


def test_eq_2_10_the_loss_of_an_example_is_minus_the_logarithm_of_its_probability(backend, check, drawn):
    for k in range(K):
        *_, oa, os_ = columns(drawn, k)
        u = LOSSES["softmax"].normalise(backend.xp, backend.asarray(oa.T))
        value = LOSSES["softmax"].value(backend.xp, u, backend.asarray(drawn.T[k : k + 1]))
        check(backend, value, -math.log(os_[drawn.T[k].argmax(), 0]))


@pytest.mark.parametrize(("d", "d_h", "m"), [(2, 2, 2), (784, 50, 10)])
def test_eq_2_11_the_number_of_parameters(d, d_h, m):
    network = Network.build(d, [d_h], m)
    assert network.n_parameters == d_h * (d + 1) + m * (d_h + 1)
    assert network.n_parameters == sum(array.size for layer in initialize(network) for array in layer)


def test_eq_2_12_to_2_13_the_regularised_risk_is_the_mean_loss_with_the_penalty(backend, put, check, drawn):
    layers = put(backend, drawn.layers)
    summed, _ = gradient_function(backend.xp, NETWORK)(layers, backend.asarray(drawn.X), backend.asarray(drawn.T))
    risk = sum(-math.log(columns(drawn, k)[5][drawn.T[k].argmax(), 0]) for k in range(K)) / K
    check(backend, summed / K, risk)
    omega = ElasticNet.build(2, **LAMBDAS).value(backend.xp, layers)
    check(backend, summed / K + omega, regularised_risk(*drawn))


def test_eq_2_14_to_2_15_batch_gradient_descent_steps_against_the_gradient(backend, check, drawn):
    layers, X, T = drawn
    recipe = Recipe(SGD(), Constant(0.1), ElasticNet.build(2, **LAMBDAS), batch_size=K, epochs=1)
    (record,) = train(backend, NETWORK, layers, backend.asarray(X), backend.asarray(T), recipe)
    slopes = differentiate_layers(lambda layers: regularised_risk(layers, X, T), layers)
    expected = [
        tuple(p - 0.1 * slope for p, slope in zip(*pair, strict=True)) for pair in zip(layers, slopes, strict=True)
    ]
    check_layers(check, backend, record.layers, expected, rtol=1e-8, atol=1e-10)


def test_eq_2_16_to_2_28_gradient_by_the_output_activation(backend, check, drawn):
    for k in range(K):
        _, y, _, _, oa, os_ = columns(drawn, k)
        output = output_of(LOSSES["softmax"], backend.xp, backend.asarray(oa.T))
        delta = LOSSES["softmax"].gradient(backend.xp, output, backend.asarray(y.T))
        check(backend, delta, (os_ - onehot([drawn.T[k].argmax()], M).T).T)
        expected = differences(lambda oa, y=y: -(y * special.log_softmax(oa, axis=0)).sum(), oa, 1e-2)
        check(backend, delta, expected.T, rtol=1e-8, atol=1e-11)


def test_eq_2_29_to_2_41_gradients_of_the_output_layer_are_an_outer_product(backend, put, check, drawn):
    for k in range(K):
        _, y, _, hs, _, os_ = columns(drawn, k)
        _, gradients, _ = passes(backend, put, NETWORK, drawn.layers, drawn.X[k : k + 1], drawn.T[k : k + 1])
        check(backend, gradients[1].W, hs @ (os_ - y).T)
        check(backend, gradients[1].b, (os_ - y)[:, 0])


def test_eq_2_42_to_2_47_gradient_by_the_hidden_activation(backend, put, check, drawn):
    output_layer = Network.build(D_H, [], M)  # the network from hs on, of which hs is the input
    W2 = drawn.layers[1][0]
    for k in range(K):
        _, y, _, hs, _, os_ = columns(drawn, k)
        _, _, gradient = passes(backend, put, output_layer, drawn.layers[1:], hs.T, y.T)
        check(backend, gradient, (W2 @ (os_ - y)).T)
        slopes = differences(lambda hs, y=y: mean_loss(drawn.layers[1:], [], "softmax", hs.T, y.T), hs, 1e-2)
        check(backend, gradient, slopes.T, rtol=1e-8, atol=1e-11)


def test_eq_2_48_to_2_51_gradient_by_the_hidden_pre_activation(backend, put, check, drawn):
    layers = [[W.copy(), b.copy()] for W, b in drawn.layers]
    layers[0][0][:, 0], layers[0][1][0] = 0.0, 0.0  # a unit with ha = 0 exactly, where the derivative is 0
    drawn = drawn._replace(layers=layers)
    for k in range(K):
        _, y, ha, _, _, os_ = columns(drawn, k)
        _, gradients, _ = passes(backend, put, NETWORK, layers, drawn.X[k : k + 1], drawn.T[k : k + 1])
        expected = (layers[1][0] @ (os_ - y)) * (ha > 0)
        check(backend, gradients[0].b, expected[:, 0])  # of one example, this is dL/d(ha) itself
        assert expected[0, 0] == 0


def test_eq_2_52_to_2_64_gradients_of_the_hidden_layer_are_an_outer_product(backend, put, check, drawn):
    for k in range(K):
        x, y, ha, _, _, os_ = columns(drawn, k)
        _, gradients, _ = passes(backend, put, NETWORK, drawn.layers, drawn.X[k : k + 1], drawn.T[k : k + 1])
        d_ha = (drawn.layers[1][0] @ (os_ - y)) * (ha > 0)
        check(backend, gradients[0].W, x @ d_ha.T)
        check(backend, gradients[0].b, d_ha[:, 0])


def test_eq_2_65_to_2_67_gradient_by_the_input(backend, put, check, drawn):
    (W1, _), (W2, _) = drawn.layers
    _, _, gradient = passes(backend, put, NETWORK, *drawn)
    expected = [W1 @ ((W2 @ (os_ - y)) * (ha > 0)) for _, y, ha, _, _, os_ in (columns(drawn, k) for k in range(K))]
    check(backend, gradient, np.hstack(expected).T)


def test_eq_2_68_to_2_70_the_elastic_net_is_on_the_weights_with_strengths_of_each_layer(backend, put, check, drawn):
    penalty, layers = ElasticNet.build(2, **LAMBDAS), put(backend, drawn.layers)
    zeros = [
        Layer(backend.copy_to_device(np.zeros(W.shape)), backend.copy_to_device(np.zeros(b.shape)))
        for W, b in drawn.layers
    ]
    W1, W2 = (W for W, _ in drawn.layers)
    omega = sum(0.03 * abs(w) + 0.02 * w * w for w in W1.flat) + sum(0.01 * abs(w) + 0.05 * w * w for w in W2.flat)
    check(backend, penalty.value(backend.xp, layers), omega)
    expected = [(0.03 * np.sign(W1) + 2 * 0.02 * W1, np.zeros(D_H)), (0.01 * np.sign(W2) + 2 * 0.05 * W2, np.zeros(M))]
    check_layers(check, backend, penalty.add_gradient(backend.xp, layers, zeros), expected)


def test_eq_2_71_to_2_72_the_regularised_gradients_are_sums_not_the_direction_of_descent(backend, put, check, drawn):
    # Erratum: the report prints them with minus signs.
    layers, X, T = drawn
    moved = put(backend, layers)
    _, gradients = gradient_function(backend.xp, NETWORK)(moved, backend.asarray(X), backend.asarray(T))
    gradients = ElasticNet.build(2, **LAMBDAS).add_gradient(backend.xp, moved, gradients)
    expected = differentiate_layers(lambda layers: regularised_risk(layers, X, T), layers)
    check_layers(check, backend, gradients, expected, rtol=1e-8, atol=1e-10)


def test_every_number_of_sections_1_and_2_is_named_by_one_test():
    found = [re.match(r"test_eq_(\d)_(\d+)(?:_to_\1_(\d+))?_", name) for name in globals()]
    spans = [(int(m[1]), range(int(m[2]), int(m[3] or m[2]) + 1)) for m in found if m]
    named = [(section, number) for section, numbers in spans for number in numbers]
    assert named == [(1, number) for number in range(1, 41)] + [(2, number) for number in range(1, 73)]
