"""Stacks: many networks of one shape, by the calculus of one."""

import numpy as np
import pytest
from references import problem, targets

from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.gradcheck import check_gradients
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.members import PerMember
from xpmlp.nn.network import MODES, Layer, Network, bprop, fprop, gradient_function
from xpmlp.nn.regularization import ElasticNet

M, K, SIZES = 3, 5, (4, [6, 3], 2)


def stacked(rng, network, loss, *, own):
    """Draw the members of a stack: their layers, one by one and stacked, with shared or own examples."""
    drawn = [problem(rng, network.sizes, loss, K) for _ in range(M)]
    members = [[Layer(*pair) for pair in each.layers] for each in drawn]
    layers = [Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in zip(*members, strict=True)]
    if own:
        return members, layers, np.stack([each.X for each in drawn]), np.stack([each.T for each in drawn])
    return members, layers, drawn[0].X, targets(loss, rng, K, network.sizes[-1])


def of_member(array, m, *, own):
    return array[m] if own else array


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("activation", "loss"), [*((name, "softmax") for name in ACTIVATIONS), *(("tanh", name) for name in LOSSES)]
)
def test_loop_matrix_and_stack_give_the_gradients_of_each_network_alone(
    backend, put, check, rng, activation, loss, mode, own
):
    network = Network.build(*SIZES, activation=activation, loss=loss)
    members, layers, X, T = stacked(rng, network, loss, own=own)
    function = gradient_function(backend.xp, network, mode)
    losses, gradients = function(put(backend, layers), backend.asarray(X), backend.asarray(T))
    for m, alone in enumerate(members):
        arrays = (backend.asarray(of_member(array, m, own=own)) for array in (X, T))
        value, expected = gradient_function(backend.xp, network, "loop")(put(backend, alone), *arrays)
        check(backend, losses[m], backend.to_numpy(value))
        for layer, layer_alone in zip(gradients, expected, strict=True):
            for p, p_alone in zip(layer, layer_alone, strict=True):
                check(backend, p[m, ...], backend.to_numpy(p_alone))


@pytest.mark.parametrize("mode", MODES)
def test_the_members_of_a_stack_may_have_their_own_masks_and_weights(backend, put, check, rng, mode):
    network = Network.build(*SIZES, activation="tanh")
    members, layers, X, T = stacked(rng, network, "softmax", own=False)
    masks = [rng.integers(2, size=(M, K, n)) * 2.0 for n in network.sizes[:-1]]
    weights = rng.integers(3, size=(M, K, 1)) * 1.0
    weights[1] = 0.0
    function = gradient_function(backend.xp, network, mode)
    x, t, on_device = backend.asarray(X), backend.asarray(T), [backend.asarray(mask) for mask in masks]
    losses, gradients = function(put(backend, layers), x, t, on_device, backend.asarray(weights))
    for m, alone in enumerate(members):
        own = [backend.asarray(mask[m]) for mask in masks], backend.asarray(weights[m])
        value, expected = function(put(backend, alone), x, t, *own)
        check(backend, losses[m], backend.to_numpy(value))
        for layer, layer_alone in zip(gradients, expected, strict=True):
            for p, p_alone in zip(layer, layer_alone, strict=True):
                check(backend, p[m, ...], backend.to_numpy(p_alone))


def test_the_input_gradient_of_a_stack_is_that_of_each_network(backend, put, check, rng):
    network = Network.build(*SIZES, activation="tanh")
    members, layers, X, T = stacked(rng, network, "softmax", own=False)
    xp, x, t = backend.xp, backend.asarray(X), backend.asarray(T)
    stack = put(backend, layers)
    _, dX = bprop(xp, network, stack, fprop(xp, network, stack, x), t, input_gradient=True)
    for m, alone in enumerate(members):
        own = put(backend, alone)
        _, expected = bprop(xp, network, own, fprop(xp, network, own, x), t, input_gradient=True)
        check(backend, dX[m, ...], backend.to_numpy(expected))


@pytest.mark.parametrize("mode", MODES)
def test_the_gradients_of_a_stack_pass_the_check_by_differences(backend, rng, mode):
    network = Network.build(2, [3], 2, activation="tanh")
    _, layers, X, T = stacked(rng, network, "softmax", own=True)
    penalty = ElasticNet(l1=(PerMember((0.0, 0.01, 0.02)), 0.0), l2=(0.01, PerMember((0.1, 0.0, 0.2))))
    found = check_gradients(backend, network, layers, backend.asarray(X), backend.asarray(T), penalty=penalty, mode=mode)
    assert len(found.parameters) == M * network.n_parameters
    assert found.passed
