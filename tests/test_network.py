"""The architecture, the forward pass and the backward pass."""

import numpy as np
import pytest
from references import (
    FUNCTIONS,
    check_layers,
    differences,
    mean_gradients,
    mean_loss,
    problem,
    row_forward,
    row_gradients,
    summed_gradients,
    total_loss,
)

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import MODES, Layer, Network, bprop, fprop, gradient_function

ARCHITECTURES = {
    "no hidden layer": (3, [], 2),
    "one hidden layer": (3, [4], 2),
    "three hidden layers": (3, [4, 2, 3], 2),
    "single units": (1, [1, 1], 2),
}

each_architecture = pytest.mark.parametrize("sizes", ARCHITECTURES.values(), ids=ARCHITECTURES)


def build(sizes, activation="tanh", loss="softmax"):
    return Network.build(*sizes, activation=activation, loss=loss)


def backward(backend, network, layers, X, T, **options):
    """Run both passes on host values that are already moved, and give `bprop`'s results."""
    trace = fprop(backend.xp, network, layers, backend.asarray(X))
    return bprop(backend.xp, network, layers, trace, backend.asarray(T), **options)


@pytest.mark.parametrize("hidden", [64, np.int64(64), (64,), np.array([64])])
def test_a_number_of_hidden_units_is_one_hidden_layer(hidden):
    assert Network.build(20, hidden, 2).sizes == (20, 64, 2)


@each_architecture
def test_fprop_traces_every_layer_as_one_example_at_a_time_does(backend, put, check, rng, sizes):
    network = build(sizes)
    layers, X, _ = problem(rng, network.sizes)
    trace = fprop(backend.xp, network, put(backend, layers), backend.asarray(X))
    rows = [row_forward(layers, ["tanh"] * len(sizes[1]), x) for x in X]
    assert len(trace.z) == len(layers)
    assert len(trace.a) == len(layers) + 1
    for i in range(len(layers)):
        check(backend, trace.z[i], [z[i] for z, _ in rows])
        check(backend, trace.a[i], [a[i] for _, a in rows])


@pytest.mark.parametrize("loss", LOSSES)
@each_architecture
def test_bprop_averages_the_gradients_of_single_examples(backend, put, check, rng, sizes, loss):
    network = build(sizes, loss=loss)
    layers, X, T = problem(rng, network.sizes, loss)
    gradients, dX = backward(backend, network, put(backend, layers), X, T, scale=1 / 3)
    check_layers(check, backend, gradients, mean_gradients(layers, ["tanh"] * len(sizes[1]), loss, X, T))
    assert dX is None


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_bprop_of_each_activation_agrees_with_single_examples(backend, put, check, rng, activation):
    network = build((3, [4], 2), activation)
    layers, X, T = problem(rng, network.sizes)
    gradients, dX = backward(backend, network, put(backend, layers), X, T, input_gradient=True)
    expected = [row_gradients(layers, [activation], "softmax", x, t)[1] for x, t in zip(X, T, strict=True)]
    check(backend, dX, expected)
    check_layers(check, backend, gradients, summed_gradients(layers, [activation], "softmax", X, T, [1, 1, 1]))


def test_each_hidden_layer_may_have_its_own_activation(backend, put, check, rng):
    names = ["softplus", "relu", "logistic"]
    network = build((3, [4, 5, 2], 2), names)
    layers, X, T = problem(rng, network.sizes)
    trace = fprop(backend.xp, network, put(backend, layers), backend.asarray(X))
    for z, a, name in zip(trace.z, trace.a[1:], names, strict=False):
        check(backend, a, FUNCTIONS[name](backend.to_numpy(z)))
    gradients, _ = backward(backend, network, put(backend, layers), X, T, scale=1 / 3)
    check_layers(check, backend, gradients, mean_gradients(layers, names, "softmax", X, T))


@each_architecture
def test_the_input_gradient_is_that_of_each_rows_own_loss(backend, put, check, rng, sizes):
    network = build(sizes)
    layers, X, T = problem(rng, network.sizes)
    _, dX = backward(backend, network, put(backend, layers), X, T, input_gradient=True)
    expected = differences(lambda X: 3 * mean_loss(layers, ["tanh"] * len(sizes[1]), "softmax", X, T), X, 1e-2)
    check(backend, dX, expected, rtol=1e-8, atol=1e-10)


def test_a_column_of_scales_weights_the_rows(backend, put, check, rng):
    network = build((3, [4], 2))
    layers, X, T = problem(rng, network.sizes)
    scales = np.array([[0.5], [0.0], [2.0]])
    gradients, _ = backward(backend, network, put(backend, layers), X, T, scale=backend.asarray(scales))
    expected = summed_gradients(layers, ["tanh"], "softmax", X, T, scales[:, 0])
    check_layers(check, backend, gradients, expected)


@pytest.mark.parametrize("mode", MODES)
def test_gradient_functions_give_the_summed_loss_and_the_mean_gradient(backend, put, check, rng, mode):
    network = build((3, [4], 2))
    layers, X, T = problem(rng, network.sizes)
    function = gradient_function(backend.xp, network, mode)
    loss, gradients = function(put(backend, layers), backend.asarray(X), backend.asarray(T))
    check(backend, loss, 3 * mean_loss(layers, ["tanh"], "softmax", X, T))
    check_layers(check, backend, gradients, mean_gradients(layers, ["tanh"], "softmax", X, T))


@pytest.mark.parametrize(("mode", "runs"), [("matrix", [3]), ("loop", [1, 1, "sum", 1, "sum"])])
def test_a_compiler_is_given_the_pieces_that_are_run(backend, put, rng, mode, runs):
    network = build((3, [4], 2))
    layers, X, T = problem(rng, network.sizes)
    seen = []

    def compiler(function):
        def compiled(*arguments):
            seen.append("sum" if len(arguments) == 2 else arguments[1].shape[0])
            return function(*arguments)

        return compiled

    gradient_function(backend.xp, network, mode, compiler)(put(backend, layers), backend.asarray(X), backend.asarray(T))
    assert seen == runs


def test_neither_pass_changes_what_it_is_given(backend, rng):
    network = build((3, [4], 2), "relu")
    layers, X, T = problem(rng, network.sizes)
    own = [Layer(backend.copy_to_device(W), backend.copy_to_device(b)) for W, b in layers]
    X_own, T_own = backend.copy_to_device(X), backend.copy_to_device(T)
    trace = fprop(backend.xp, network, own, X_own)
    kept = [backend.to_numpy(array) for array in (*trace.z, *trace.a)]
    bprop(backend.xp, network, own, trace, T_own, input_gradient=True)
    for array, before in zip((*trace.z, *trace.a), kept, strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), before)
    given = [*(p for layer in own for p in layer), X_own, T_own]
    for array, before in zip(given, [*(p for layer in layers for p in layer), X, T], strict=True):
        np.testing.assert_array_equal(backend.to_numpy(array), before)


def test_float32_stays_float32_through_both_passes(backend32, put, check, rng):
    network = build((3, [4, 3], 2), ["silu", "gelu"])
    layers, X, T = problem(rng, network.sizes)
    loss, gradients = gradient_function(backend32.xp, network)(
        put(backend32, layers), backend32.asarray(X), backend32.asarray(T)
    )
    logits = [row_forward(layers, ["silu", "gelu"], x)[0][-1] for x in X]
    check(backend32, loss, total_loss("softmax", logits, T), rtol=1e-5)
    expected = mean_gradients(layers, ["silu", "gelu"], "softmax", X, T)
    check_layers(check, backend32, gradients, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("sizes", "count"), [((3, [], 2), 8), ((3, [4], 2), 26), ((784, [50], 10), 39_760)])
def test_n_parameters_counts_weights_and_biases(sizes, count):
    network = build(sizes)
    assert network.n_parameters == count
    assert sum(fan_in * fan_out + fan_out for fan_in, fan_out in network.shapes) == count


def test_build_keeps_sizes_as_integers_and_repeats_one_activation():
    network = Network.build(np.int64(3), [4.0, np.int32(5)], 2, activation="tanh", loss="logistic")
    assert network.sizes == (3, 4, 5, 2)
    assert [type(size) for size in network.sizes] == [int] * 4
    assert network.activations == (ACTIVATIONS["tanh"],) * 2
    assert network.loss is LOSSES["logistic"]
    assert network.shapes == [(3, 4), (4, 5), (5, 2)]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, [], 2), {}, "the number of inputs is 0, but must be an integer at least 1"),
        ((3, [], -1), {}, "the number of outputs is -1, but must be an integer at least 1"),
        ((3, [4, 0], 2), {}, "the size of hidden layer 2 is 0, but must be an integer at least 1"),
        ((3, [4.5], 2), {}, "the size of hidden layer 1 is 4.5, but must be an integer"),
        ((3, ["4"], 2), {}, "the size of hidden layer 1 is '4', but must be an integer"),
        ((3, [4], 2), {"activation": "step"}, "activation is 'step', but must be one of: identity, relu"),
        ((3, [4], 2), {"activation": ["relu", "tanh"]}, r"2 values \(relu, tanh\) for 1 hidden layer:"),
        ((3, [4], 2), {"loss": "hinge"}, "loss is 'hinge', but must be one of: softmax"),
        ((3, [4], 2), {"dropout": 1.0}, "the dropout is 1.0|^dropout is 1.0"),
        ((3, [4], 2), {"input_dropout": 1.0}, "input dropout is 1.0"),
        ((3, [4], 1), {}, "softmax over one output is always 1: give at least two outputs, or loss 'logistic'"),
    ],
)
def test_build_names_what_it_cannot_use(arguments, options, message):
    with pytest.raises(InputError, match=message) as caught:
        Network.build(*arguments, **options)
    assert isinstance(caught.value, ValueError)


def test_an_unknown_mode_lists_the_known_ones(backend):
    with pytest.raises(InputError, match="mode is 'rows', but must be one of: matrix, loop"):
        gradient_function(backend.xp, build((3, [4], 2)), "rows")


@pytest.mark.parametrize("mode", MODES)
def test_weights_count_rows_in_the_loss_and_in_the_mean_gradient(backend, put, check, rng, mode):
    network = build((3, [4], 2), activation="tanh")
    layers, X, T = problem(rng, network.sizes)
    weights = np.array([0.5, 2.0, 0.0])
    arrays = (backend.asarray(values) for values in (X, T))
    function = gradient_function(backend.xp, network, mode)
    loss, gradients = function(put(backend, layers), *arrays, (), backend.asarray(weights[:, None]))
    rows = [mean_loss(layers, ["tanh"], "softmax", X[k : k + 1], T[k : k + 1]) for k in range(3)]
    check(backend, loss, np.dot(weights, rows))
    check_layers(
        check, backend, gradients, summed_gradients(layers, ["tanh"], "softmax", X, T, weights / weights.sum())
    )
