"""The same `fprop` and `bprop` on numbers of eighty digits: every gradient is right to forty decimals.

A central difference with a step of 1e-25 is off by about 1e-50, and rounded at about 1e-55. So no formula passes that
is merely close to a derivative.
"""

import numpy as np
import pytest
from references import problem

from xpmlp import Activation, Network
from xpmlp.nn import activations
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import MODES, Layer, bprop, fprop, gradient_function
from xpmlp.nn.regularization import ElasticNet

xp = pytest.importorskip("mparray", reason="mparray has the arrays of any precision")
mpmath = pytest.importorskip("mpmath", reason="mpmath has the numbers of mparray's arrays")

DIGITS, STEP, TOLERANCE = 80, mpmath.mpf("1e-25"), mpmath.mpf("1e-40")


@pytest.fixture(autouse=True)
def _many_digits(monkeypatch):
    """Compute with so many digits, and let constants have them: a sum of two floats is rounded."""
    with mpmath.workdps(DIGITS):
        monkeypatch.setattr(activations, "GELU_SCALE", mpmath.sqrt(2 / mpmath.pi))
        monkeypatch.setattr(activations, "GELU_CUBIC", mpmath.mpf("0.044715"))
        monkeypatch.setattr(activations, "LEAKY_SLOPE", mpmath.mpf("0.01"))
        yield


def put(values):
    """Make an array of floats one of many digits, and fill these: floats end in zeros, which would hide rounding."""
    return xp.asarray(np.asarray(values, dtype=float)) * (1 + mpmath.sqrt(2) / 100)


def drawn(network, rng, n=2):
    layers, X, T = problem(rng, network.widths, network.loss.name, n=n)
    layers = [tuple(map(put, layer)) for layer in layers]
    if network.frequencies:
        layers.insert(0, tuple(put(rng.normal(size=shape)) for shape in network.layer_shapes[0]))
    return [Layer(*layer) for layer in layers], put(X[:, : network.sizes[0]]), xp.asarray(T)


def entry(array, index=()):
    return mpmath.mpf(array[index]._data[()])


def assert_gradients(objective, arrays, gradients):
    """Compare gradients, entry by entry, with differences of an objective that reads the arrays."""
    largest = 0
    for array, gradient in zip(arrays, gradients, strict=True):
        assert gradient.shape == array.shape
        for index in np.ndindex(*array.shape):
            value, ends = entry(array, index), []
            for offset in (STEP, -STEP):
                array[index] = value + offset
                ends.append(entry(objective()))
            array[index] = value
            found = entry(gradient, index)
            assert abs(found - (ends[0] - ends[1]) / (2 * STEP)) < TOLERANCE
            largest = max(largest, abs(found))
    assert largest > 1e-3


def flat(layers):
    return [array for layer in layers for array in layer]


def check(network, rng, mode="matrix"):
    layers, X, T = drawn(network, rng)
    gradients_of = gradient_function(xp, network, mode)
    gradients = gradients_of(layers, X, T)[1]
    assert_gradients(lambda: gradients_of(layers, X, T)[0] / X.shape[0], flat(layers), flat(gradients))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation(rng, activation):
    check(Network.build(3, [2], 2, activation=activation), rng)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_at_once_and_row_by_row(rng, loss, mode):
    check(Network.build(3, [2], 2, activation="tanh", loss=loss), rng, mode)


def test_embeddings_dropout_penalties_depth_and_the_input(rng):
    network = Network.build(3, [3, 2], 2, activation=["softplus", "silu"], frequencies=2, embedded=[0, 2])
    layers, X, T = drawn(network, rng)
    masks = [xp.asarray(rng.integers(2, size=(2, n)) * 2.0) for n, _ in network.shapes]
    penalty = ElasticNet.build(3, l1=[0.25, 0.5, 0.125], l2=[0.5, 0.125, 0.25])

    def objective():
        trace = fprop(xp, network, layers, X, masks)
        return network.loss.value(xp, trace.u, T) + penalty.value(xp, layers)

    gradients, dX = bprop(xp, network, layers, fprop(xp, network, layers, X, masks), T, input_gradient=True)
    gradients = penalty.add_gradient(xp, layers, gradients)
    assert_gradients(objective, [*flat(layers), X], [*flat(gradients), dX])


def test_a_stack_has_the_gradients_of_its_members(rng):
    network = Network.build(3, [2], 2, activation="gelu")
    members, X, T = zip(*(drawn(network, rng) for _ in range(2)), strict=True)
    stack = [Layer(*map(xp.stack, zip(*layers, strict=True))) for layers in zip(*members, strict=True)]
    gradients_of = gradient_function(xp, network)
    found = gradients_of(stack, xp.stack(X), xp.stack(T))[1]
    for number, given in enumerate(zip(members, X, T, strict=True)):
        expected = gradients_of(*given)[1]
        for mine, its in zip(flat(found), flat(expected), strict=True):
            for index in np.ndindex(*its.shape):
                assert abs(entry(mine, (number, *index)) - entry(its, index)) < TOLERANCE


def test_a_derivative_that_is_off_by_1e_30_is_caught(rng):
    right = ACTIVATIONS["tanh"]
    factor = 1 + mpmath.mpf("1e-30")
    wrong = Activation("own", right.function, lambda xp, z, a: factor * right.derivative(xp, z, a))
    with pytest.raises(AssertionError):
        check(Network.build(3, [2], 2, activation=wrong), rng)
