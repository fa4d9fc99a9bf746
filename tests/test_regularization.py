"""The elastic net."""

import numpy as np
import pytest
from references import check_layers, differences, problem

from xpmlp.common.errors import InputError
from xpmlp.nn.network import Layer
from xpmlp.nn.regularization import ElasticNet

SIZES = (3, 4, 2)
STRENGTHS = {
    "l1": (0.3, 0.0),
    "l2": (0.0, 0.2),
    "both": (0.3, 0.2),
    "one pair per layer": ([0.3, 0.0], [0.05, 0.2]),
}

each_strength = pytest.mark.parametrize("strengths", STRENGTHS.values(), ids=STRENGTHS)


def omega(weights, l1, l2):
    """Give the penalty, entry by entry."""
    l1, l2 = np.broadcast_to(l1, len(weights)), np.broadcast_to(l2, len(weights))
    return sum(l1[i] * abs(float(w)) + l2[i] * float(w) ** 2 for i, W in enumerate(weights) for w in np.asarray(W).flat)


def zeros(backend, layers):
    return [
        Layer(backend.copy_to_device(np.zeros(W.shape)), backend.copy_to_device(np.zeros(b.shape))) for W, b in layers
    ]


@each_strength
def test_the_value_is_the_sum_over_all_weights_and_no_bias(backend, put, check, rng, strengths):
    layers, _, _ = problem(rng, SIZES)
    result = ElasticNet.build(2, *strengths).value(backend.xp, put(backend, layers))
    check(backend, result, omega([W for W, _ in layers], *strengths))


@each_strength
def test_the_gradient_is_that_of_the_value(backend, put, check, rng, strengths):
    layers, _, _ = problem(rng, SIZES)
    first, second = (W for W, _ in layers)
    gradients = ElasticNet.build(2, *strengths).add_gradient(backend.xp, put(backend, layers), zeros(backend, layers))
    expected = [
        (differences(lambda W: omega([W, second], *strengths), first, 1e-4), np.zeros(4)),
        (differences(lambda W: omega([first, W], *strengths), second, 1e-4), np.zeros(2)),
    ]
    check_layers(check, backend, gradients, expected, rtol=1e-8, atol=1e-10)


def test_the_gradient_is_added_to_the_one_given(backend, put, check, rng):
    layers, _, _ = problem(rng, SIZES)
    given, _, _ = problem(rng, SIZES)
    own = [Layer(backend.copy_to_device(dW), backend.copy_to_device(db)) for dW, db in given]
    result = ElasticNet.build(2, 0.1, 0.2).add_gradient(backend.xp, put(backend, layers), own)
    expected = [(dW + 0.1 * np.sign(W) + 0.4 * W, db) for (dW, db), (W, _) in zip(given, layers, strict=True)]
    check_layers(check, backend, result, expected)


def test_the_gradient_of_l1_is_zero_at_a_weight_of_zero(backend, check):
    layers = [Layer(backend.asarray([[0.0, -0.0, 3.0, -1e-300]]), backend.asarray(np.zeros(4)))]
    result = ElasticNet.build(1, l1=0.5).add_gradient(backend.xp, layers, zeros(backend, layers))
    check(backend, result[0].W[:, :3], [[0.0, 0.0, 0.5]])


def test_the_weights_stay_as_they_are(backend, rng):
    host, _, _ = problem(rng, SIZES)
    layers = [Layer(backend.copy_to_device(W), backend.copy_to_device(b)) for W, b in host]
    penalty = ElasticNet.build(2, 0.1, 0.2)
    penalty.value(backend.xp, layers)
    penalty.add_gradient(backend.xp, layers, zeros(backend, layers))
    for (W, b), (host_W, host_b) in zip(layers, host, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(W), host_W)
        np.testing.assert_array_equal(backend.to_numpy(b), host_b)


@pytest.mark.parametrize("penalty", [ElasticNet(), ElasticNet.build(2)], ids=["default", "built"])
def test_no_strength_costs_nothing_and_changes_no_gradient(backend, put, check, rng, penalty):
    layers, _, _ = problem(rng, SIZES)
    assert penalty.value(backend.xp, put(backend, layers)) == 0.0
    gradients = put(backend, layers)  # read-only where the library can: nothing may be written to them
    check_layers(check, backend, penalty.add_gradient(backend.xp, put(backend, layers), gradients), layers)


def test_float32_stays_float32(backend32, put, check, rng):
    layers, _, _ = problem(rng, SIZES)
    penalty = ElasticNet.build(2, 0.1, 0.2)
    check(
        backend32,
        penalty.value(backend32.xp, put(backend32, layers)),
        omega([W for W, _ in layers], 0.1, 0.2),
        rtol=1e-6,
    )
    result = penalty.add_gradient(backend32.xp, put(backend32, layers), zeros(backend32, layers))
    expected = [(0.1 * np.sign(W) + 0.4 * W, np.zeros(b.shape)) for W, b in layers]
    check_layers(check, backend32, result, expected, rtol=1e-6)


def test_one_strength_is_that_of_every_layer_and_a_sequence_one_of_each():
    assert ElasticNet.build(3, 0.5, [1, 2, 3]) == ElasticNet((0.5, 0.5, 0.5), (1, 2, 3))
    assert ElasticNet.build(2, np.array([0.1, 0.2])).l1 == (0.1, 0.2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, -0.1), "l1 is -0.1, but must be a number at least 0"),
        ((2, 0, [0.1, -0.2]), "l2 is -0.2, but must be a number at least 0"),
        ((2, float("nan")), "l1 is nan, but must be a number"),
        ((2, 0, [0.1]), "l2 gives 1 value \\(0.1\\) for 2 layers: give one for all, or one for each"),
        ((2, [0.1, 0.2, 0.3]), r"l1 gives 3 values .* for 2 layers"),
        ((1, [True]), "l1 is True, but must be a number"),
    ],
)
def test_build_names_what_it_cannot_use(arguments, message):
    with pytest.raises(InputError, match=message):
        ElasticNet.build(*arguments)


@pytest.mark.parametrize("strength", [np.float32(0.25), np.int64(1), 1])
def test_a_strength_may_be_any_real_number(strength):
    assert ElasticNet.build(2, strength).l1 == (strength, strength)


@pytest.mark.parametrize("strength", ["0.1", [None, 0.1], [0.1, float("nan")]])
def test_a_strength_that_is_no_number_is_refused(strength):
    with pytest.raises(InputError, match="l1 is"):
        ElasticNet.build(2, strength)
