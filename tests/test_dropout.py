"""Dropout: masks that a seed decides on every backend, with the statistics they should have, and exact gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from conftest import QUICK, open_backend
from hypothesis import given, settings
from hypothesis import strategies as st

from xpmlp import (
    SGD,
    Adam,
    Constant,
    InputError,
    Layer,
    Network,
    Recipe,
    bprop,
    check_gradients,
    fprop,
    initialize,
    load_model,
    save_model,
    train,
)
from xpmlp.common.rng import make_generator
from xpmlp.experiments.experiment import check_circles, prepare
from xpmlp.experiments.options import CIRCLES, Options
from xpmlp.nn.dropout import mask_function
from xpmlp.nn.network import MODES, gradient_function


def network(d=6, hidden=(8, 5), dropout=(0.5, 0.25), input_dropout=0.1, activation="tanh"):
    return Network.build(d, hidden, 3, activation=activation, dropout=dropout, input_dropout=input_dropout)


def draw(backend, net, seed, t, rows):
    return mask_function(backend, net, seed)(backend.asindex(t), backend.asindex(rows))


def reference_hash(x, rounds):
    """The same mixing in NumPy's unsigned integers, where shifts and products need no care."""
    x = x.astype(np.uint32)
    if rounds == "all":
        x ^= x >> np.uint32(17)
    x *= np.uint32(0xED5AD4BB)
    x ^= x >> np.uint32(11)
    x *= np.uint32(0xAC4C1B51)
    return x ^ (x >> np.uint32(14)) if rounds == "all" else x


def reference_mask(key, rate, t, rows, n_units):
    step = reference_hash(np.array([(t ^ key) & 0xFFFFFFFF]), "all")
    row = reference_hash(step ^ np.asarray(rows, dtype=np.uint32), "all")
    unit = reference_hash(np.arange(n_units), "all")
    bits = reference_hash(row[:, None] ^ unit[None, :], "some").view(np.int32).astype(np.int64) + 2**31
    return np.where(bits >= rate * 2**32, 1.0 / (1.0 - rate), 0.0)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**63),
    t=st.integers(0, 2**31 - 1),
    first=st.integers(0, 2**31 - 20),
    rate=st.floats(0.01, 0.99),
)
def test_masks_are_a_hash_of_seed_layer_step_example_and_unit(backend, seed, t, first, rate):
    net = network(dropout=(0.0, rate), input_dropout=rate)
    rows = np.arange(first, first + 15)
    masks = draw(backend, net, seed, t, rows)
    keys = make_generator(seed, "dropout").integers(-(2**31), 2**31, size=3).tolist()
    assert masks[1] is None
    for number, n_units in ((0, 6), (2, 5)):
        found = backend.to_numpy(masks[number])
        np.testing.assert_allclose(found, reference_mask(keys[number], rate, t, rows, n_units), rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_have_a_row_for_each_example_and_the_dtype_and_device_of_the_backend(backend_name, dtype):
    backend = open_backend(backend_name, dtype)
    for mask, (fan_in, _) in zip(draw(backend, network(), 1, 0, [4, 0, 9]), network().shapes, strict=True):
        assert tuple(mask.shape) == (3, fan_in)
        assert mask.dtype == backend.float_dtype
        assert backend.on_device(mask)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.9])
def test_units_are_dropped_with_their_rate_and_the_mean_of_a_mask_is_one(backend, rate):
    net = Network.build(500, [], 3, input_dropout=rate)
    mask = backend.to_numpy(draw(backend, net, 3, 7, range(1000))[0])
    assert set(np.unique(mask)) == {0.0, 1.0 / (1.0 - rate)}
    spread = np.sqrt(rate * (1 - rate) / mask.size)
    assert abs((mask == 0).mean() - rate) < 4 * spread
    assert abs(mask.mean() - 1.0) < 4 * spread / (1 - rate)


def test_drops_are_independent_between_units_examples_steps_layers_and_seeds():
    """Each pair of neighbours agrees as often as two fair coins, to 4 standard deviations; so do pairs far apart."""
    backend = open_backend("numpy")
    n = 400
    net = Network.build(n, [n], 3, input_dropout=0.5, dropout=0.5)

    def coins(seed, t):
        return [mask == 0 for mask in draw(backend, net, seed, t, range(n))]

    (first, second), (later, _), (other, _) = coins(0, 0), coins(0, 1), coins(1, 0)
    pairs = {
        "units": (first[:, 1:], first[:, :-1]),
        "units far apart": (first[:, : n // 2], first[:, n // 2 :]),
        "examples": (first[1:], first[:-1]),
        "examples far apart": (first[: n // 2], first[n // 2 :]),
        "diagonal": (first[1:, 1:], first[:-1, :-1]),
        "square": (first[1:, 1:] ^ first[1:, :-1], first[:-1, 1:] ^ first[:-1, :-1]),
        "steps": (first, later),
        "layers": (first, second),
        "seeds": (first, other),
        "transposed": (first, first.T),
    }
    for name, (one, two) in pairs.items():
        agreement = (one == two).mean()
        assert abs(agreement - 0.5) < 4 * 0.5 / np.sqrt(one.size), f"{name}: {agreement}"


def test_drops_spread_evenly_over_units_and_over_examples():
    """The counts of every unit, and of every example, have the variance of independent drops (chi-squared)."""
    backend, n, rate = open_backend("numpy"), 1000, 0.2
    net = Network.build(n, [], 3, input_dropout=rate)
    dropped = backend.to_numpy(draw(backend, net, 5, 11, range(n))[0]) == 0
    for axis in (0, 1):
        chi_squared = ((dropped.sum(axis=axis) - rate * n) ** 2).sum() / (n * rate * (1 - rate))
        assert abs(chi_squared - n) < 5 * np.sqrt(2 * n)


def test_a_network_without_dropout_draws_nothing(backend):
    assert draw(backend, network(dropout=0.0, input_dropout=0.0), 0, 0, [1, 2]) == [None, None, None]


def test_the_forward_pass_multiplies_the_input_of_each_layer_by_its_mask(backend, put, check):
    net = network(hidden=(4,), dropout=0.5)
    layers = initialize(net, seed=1)
    X = np.random.default_rng(0).normal(size=(7, 6))
    masks = draw(backend, net, 2, 3, range(7))
    trace = fprop(backend.xp, net, put(backend, layers), backend.asarray(X), masks)
    on_host = [backend.to_numpy(mask) for mask in masks]
    hidden = np.tanh((X * on_host[0]).dot(layers[0].W) + layers[0].b)
    check(backend, trace.a[1], hidden)
    check(backend, trace.z[1], (hidden * on_host[1]).dot(layers[1].W) + layers[1].b)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_with_masks_pass_the_check(backend, mode):
    for activation in ("tanh", "relu", "gelu") if backend.name in QUICK else ("gelu",):
        net = network(activation=activation)
        rng = np.random.default_rng(4)
        X, T = backend.asarray(rng.normal(size=(4, 6))), backend.asarray(np.eye(3)[[0, 2, 1, 0]])
        masks = draw(backend, net, 8, 2, range(4))
        checked = check_gradients(backend, net, initialize(net, seed=2), X, T, masks=masks, mode=mode)
        assert checked.passed, (activation, checked.worst)


def test_the_gradient_check_of_the_circles_takes_dropout(backend):
    checked = check_circles(backend, replace(CIRCLES, hidden=(6,), dropout=(0.5,), seed=1))
    assert checked.passed
    assert checked.report_passed
    assert sum(parameter.bprop == 0 for parameter in checked.parameters) < sum(
        1 for parameter in checked.parameters if parameter.bprop
    )


def test_dropped_inputs_have_no_gradient(backend, put):
    net = network()
    masks = draw(backend, net, 0, 0, range(20))
    X = backend.asarray(np.random.default_rng(0).normal(size=(20, 6)))
    layers = put(backend, initialize(net, seed=1))
    trace = fprop(backend.xp, net, layers, X, masks)
    T = backend.asarray(np.eye(3)[[0] * 20])
    _, dX = bprop(backend.xp, net, layers, trace, T, input_gradient=True)
    np.testing.assert_array_equal(backend.to_numpy(dX) == 0, backend.to_numpy(masks[0]) == 0)


def test_loop_and_matrix_agree_under_the_same_masks(backend, put):
    net = network()
    rng = np.random.default_rng(4)
    X, T = backend.asarray(rng.normal(size=(5, 6))), backend.asarray(np.eye(3)[[0, 2, 1, 0, 1]])
    masks, layers = draw(backend, net, 8, 2, range(5)), put(backend, initialize(net, seed=2))
    (loss, matrix), (loop_loss, loop) = (
        gradient_function(backend.xp, net, mode)(layers, X, T, masks) for mode in MODES
    )
    assert float(loop_loss) == pytest.approx(float(loss), rel=1e-13)
    for one, other in zip(matrix, loop, strict=True):
        np.testing.assert_allclose(backend.to_numpy(one.W), backend.to_numpy(other.W), rtol=1e-12, atol=1e-15)


def trained(backend, net, *, mode="matrix", epochs=2, seed=0, batch_size=16):
    rng = np.random.default_rng(3)
    y = rng.integers(3, size=61)
    X = rng.normal(size=(61, 6)) + 2.0 * np.eye(3, 6)[y]
    recipe = Recipe(SGD(0.9), Constant(0.05), batch_size=batch_size, epochs=epochs, seed=seed, mode=mode)
    data = backend.asarray(X), backend.asarray(np.eye(3)[y])
    return list(train(backend, net, initialize(net, seed=3), *data, recipe, evaluate={"train": data}))


def weights(backend, records):
    return np.concatenate([backend.to_numpy(p).ravel() for layer in records[-1].layers for p in layer])


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_means_the_same_model_on_every_backend(backend, mode):
    reference = open_backend("numpy")
    expected = weights(reference, trained(reference, network()))
    np.testing.assert_allclose(
        weights(backend, trained(backend, network(), mode=mode)), expected, rtol=1e-9, atol=1e-12
    )


def test_another_seed_drops_other_units():
    """In one minibatch of all examples their order does not matter: what differs is the masks."""
    backend = open_backend("numpy")

    def apart(rate):
        net = network(dropout=rate, input_dropout=rate)
        one, other = (weights(backend, trained(backend, net, batch_size=61, seed=seed)) for seed in (0, 1))
        return np.abs(one - other).max()

    assert apart(0.0) < 1e-14
    assert apart(0.3) > 1e-3


def test_scores_are_those_of_the_whole_network(backend, put):
    record = trained(backend, network(), epochs=1)[-1]
    assert record.loss > record.scores["train"].loss  # the loss of the steps is that of thinned networks


def test_dropout_keeps_a_wide_network_from_learning_by_heart():
    """Few noisy examples: without dropout their loss goes to nothing, and that of new ones is the worse for it."""
    backend, rng = open_backend("numpy", "float32"), np.random.default_rng(0)
    y = rng.integers(2, size=1060)
    X = rng.normal(size=(1060, 20)) + 0.8 * np.eye(2, 20)[y]
    X, T = backend.asarray(X), backend.asarray(np.eye(2)[y])
    sets = {"train": (X[:60], T[:60]), "new": (X[60:], T[60:])}

    def losses(rate):
        net = Network.build(20, [200], 2, dropout=rate)
        recipe = Recipe(Adam(), Constant(3e-3), batch_size=20, epochs=60)
        *_, record = train(backend, net, initialize(net), *sets["train"], recipe, evaluate=sets)
        return record.scores["train"].loss, record.scores["new"].loss

    (heart, worse), (learnt, better) = losses(0.0), losses(0.5)
    assert learnt > 2 * heart
    assert better < worse


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 1.0}, "dropout is 1.0, but must be a number at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"input_dropout": float("nan")}, "dropout is nan"),
        (
            {"dropout": (0.1, 0.2, 0.3)},
            "dropout gives 3 values .* for 2 hidden layers: give one for all, or one for each",
        ),
    ],
)
def test_rates_that_are_none_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        network(**changes)


def test_a_run_takes_dropout_and_its_model_keeps_the_rates(tmp_path):
    experiment = prepare(Options(dataset="circles", hidden=(30, 20), dropout=(0.3, 0.1), input_dropout=0.05, epochs=2))
    assert experiment.model.network.dropout == (0.05, 0.3, 0.1)
    *_, record = experiment.records()
    model = experiment.trained(record.layers)
    save_model(model, tmp_path / "model.safetensors")
    loaded = load_model(tmp_path / "model.safetensors")
    assert loaded.network == model.network
    X = experiment.dataset.X[:50]
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))  # predictions drop nothing


def test_masks_of_a_step_are_the_same_whether_the_step_is_compiled_or_not(backend32):
    net = network(d=9)
    function = mask_function(backend32, net, 5)
    arguments = backend32.asindex(12), backend32.asindex([3, 1, 4, 1_000_000])
    for one, other in zip(function(*arguments), backend32.compile(function)(*arguments), strict=True):
        np.testing.assert_array_equal(backend32.to_numpy(one), backend32.to_numpy(other))


def test_layers_of_one_network_have_masks_of_their_own(backend):
    net = network(hidden=(6, 6), dropout=0.5, input_dropout=0.5)
    one, two, three = (backend.to_numpy(mask) for mask in draw(backend, net, 0, 0, range(30)))
    assert not (one == two).all()
    assert not (two == three).all()


def test_a_mask_does_not_depend_on_the_minibatch_that_an_example_is_in(backend):
    net = network()
    together = backend.to_numpy(draw(backend, net, 0, 5, [7, 2, 9])[1])
    alone = backend.to_numpy(draw(backend, net, 0, 5, [2])[1])
    np.testing.assert_array_equal(together[1:2], alone)


def test_initial_weights_and_order_do_not_move_with_dropout():
    plain, dropped = network(dropout=0.0, input_dropout=0.0), network()
    for one, other in zip(initialize(plain, seed=4), initialize(dropped, seed=4), strict=True):
        assert isinstance(one, Layer)
        np.testing.assert_array_equal(one.W, other.W)
