"""Initial weights and the streams of random numbers."""

import math

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.nn.initializers import INITIALIZERS, initialize
from xpmlp.nn.network import Network

FAN_IN, FAN_OUT = 400, 300
NETWORK = Network.build(FAN_IN, [FAN_OUT], 10)
SMALL = Network.build(3, [4, 5], 2)

BOUNDS = {
    "report": 1 / math.sqrt(FAN_IN),
    "glorot_uniform": math.sqrt(6 / (FAN_IN + FAN_OUT)),
    "he_uniform": math.sqrt(6 / FAN_IN),
}
VARIANCES = {
    **{name: bound**2 / 3 for name, bound in BOUNDS.items()},
    "glorot_normal": 2 / (FAN_IN + FAN_OUT),
    "he_normal": 2 / FAN_IN,
}

each_initializer = pytest.mark.parametrize("init", INITIALIZERS)


def test_every_initializer_has_a_known_variance():
    assert set(VARIANCES) == set(INITIALIZERS)


@each_initializer
def test_weights_have_mean_zero_and_the_variance_of_their_rule(init):
    W = initialize(NETWORK, init=init, seed=5)[0].W
    n, variance = W.size, VARIANCES[init]
    assert abs(W.mean()) < 5 * math.sqrt(variance / n)
    # An estimate of a variance has a relative deviation of sqrt(2 / n) for normal draws, and less for uniform ones.
    assert W.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))


@pytest.mark.parametrize("init", BOUNDS)
def test_uniform_weights_fill_their_bounds_and_no_more(init):
    W, bound = initialize(NETWORK, init=init, seed=5)[0].W, BOUNDS[init]
    assert np.abs(W).max() <= bound
    assert min(W.max(), -W.min()) > 0.999 * bound
    counts, _ = np.histogram(W, bins=10, range=(-bound, bound))
    assert np.abs(counts - W.size / 10).max() < 5 * math.sqrt(W.size * 0.1 * 0.9)


@pytest.mark.parametrize("init", sorted(set(INITIALIZERS) - set(BOUNDS)))
def test_normal_weights_have_a_normal_share_within_one_and_two_deviations(init):
    W = initialize(NETWORK, init=init, seed=5)[0].W / math.sqrt(VARIANCES[init])
    for deviations in (1, 2):
        share = math.erf(deviations / math.sqrt(2))
        assert (np.abs(W) < deviations).mean() == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / W.size))


@each_initializer
def test_weights_are_float64_of_the_networks_shapes_and_biases_are_zero(init):
    layers = initialize(SMALL, init=init)
    assert [layer.W.shape for layer in layers] == [(3, 4), (4, 5), (5, 2)]
    assert [layer.b.shape for layer in layers] == [(4,), (5,), (2,)]
    assert {array.dtype for layer in layers for array in layer} == {np.dtype(np.float64)}
    assert not any(layer.b.any() for layer in layers)


@each_initializer
def test_a_seed_gives_the_same_weights_again_and_another_seed_others(init):
    first, again, other = (initialize(SMALL, init=init, seed=seed) for seed in (3, 3, 4))
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a.W, b.W)
        assert not np.isclose(a.W, c.W).any()


def test_layers_are_drawn_independently():
    layers = initialize(Network.build(50, [50], 50), seed=1)
    assert abs(np.corrcoef(layers[0].W.ravel(), layers[1].W.ravel())[0, 1]) < 5 / 50


def test_the_default_is_he_uniform_with_seed_0():
    np.testing.assert_array_equal(initialize(SMALL)[1].W, initialize(SMALL, init="he_uniform", seed=0)[1].W)


def test_every_backend_starts_from_the_same_weights(backend, check):
    for W, b in initialize(SMALL, seed=7):
        check(backend, backend.copy_to_device(W), W, rtol=0, atol=0)
        check(backend, backend.copy_to_device(b), b, rtol=0, atol=0)


@pytest.mark.parametrize(("one", "other"), [("weights", "order"), ("weights", "steps"), ("order", "steps")])
def test_streams_of_one_seed_are_independent(one, other):
    a, b = make_generator(0, one).normal(size=2500), make_generator(0, other).normal(size=2500)
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / 50


def test_a_stream_is_the_same_whatever_others_have_drawn():
    expected = make_generator(9, "order").permutation(20)
    make_generator(9, "weights").normal(size=100)
    np.testing.assert_array_equal(make_generator(9, "order").permutation(20), expected)


def test_a_stream_of_one_seed_is_not_another_of_the_next_seed():
    draws = [make_generator(seed, stream).random() for seed in range(4) for stream in ("weights", "order", "steps")]
    assert len(set(draws)) == len(draws)


def test_an_unknown_initializer_lists_the_known_ones():
    with pytest.raises(InputError, match="init is 'zeros', but must be one of: report, glorot_uniform, glorot_normal"):
        initialize(SMALL, init="zeros")


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None, True])
def test_a_seed_must_be_an_integer_that_is_not_negative(seed):
    with pytest.raises(InputError, match=f"seed is {seed!r}, but must be an integer at least 0"):
        initialize(SMALL, seed=seed)
