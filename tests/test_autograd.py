"""The hand-derived gradients against torch.autograd, which knows nothing of them."""

import pytest
from references import check_layers, problem

from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.initializers import initialize
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import Network, bprop, fprop
from xpmlp.nn.regularization import ElasticNet

torch = pytest.importorskip("torch", reason="torch.autograd is the reference here")
F = torch.nn.functional

TORCH_ACTIVATIONS = {
    "identity": torch.nn.Identity(),
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "tanh": torch.tanh,
    "logistic": torch.sigmoid,
    "softplus": F.softplus,
    "silu": F.silu,
    "gelu": lambda z: F.gelu(z, approximate="tanh"),
}

TORCH_LOSSES = {
    "softmax": lambda z, T: F.cross_entropy(z, T, reduction="sum"),
    "logistic": lambda z, T: F.binary_cross_entropy_with_logits(z, T, reduction="sum"),
    "squared": lambda z, T: 0.5 * F.mse_loss(z, T, reduction="sum"),
    "poisson": lambda z, T: F.poisson_nll_loss(z, T, reduction="sum") + (torch.special.xlogy(T, T) - T).sum(),
    "absolute": lambda z, T: F.l1_loss(z, T, reduction="sum"),
    "huber": lambda z, T: F.huber_loss(z, T, reduction="sum"),
    "quantile": lambda z, T: 0.5 * F.l1_loss(z, T, reduction="sum"),
    "gaussian": lambda z, T: F.gaussian_nll_loss(
        z[:, : T.shape[1]], T, F.softplus(z[:, T.shape[1] :]) + 1e-6, full=True, eps=0, reduction="sum"
    ),
}


def by_autograd(layers, activations, loss, X, T, l1=0.0, l2=0.0):
    """Give the mean loss with its elastic net, its gradients by layer, and that of the summed loss by input."""
    layers = [tuple(torch.tensor(p, requires_grad=True) for p in layer) for layer in layers]
    a = X = torch.tensor(X, requires_grad=True)
    for i, (W, b) in enumerate(layers):
        z = a @ W + b
        a = TORCH_ACTIVATIONS[activations[i]](z) if i < len(activations) else z
    value = TORCH_LOSSES[loss](a, torch.tensor(T)) / X.shape[0]
    value = value + sum(l1 * W.abs().sum() + l2 * W.square().sum() for W, _ in layers)
    value.backward()
    return value.item(), [tuple(p.grad.numpy() for p in layer) for layer in layers], X.grad.numpy() * X.shape[0]


def by_hand(backend, put, network, layers, X, T, scale):
    """Give the summed loss, the scaled gradients and that by input."""
    layers = put(backend, layers)
    trace = fprop(backend.xp, network, layers, backend.asarray(X))
    T = backend.asarray(T)
    gradients, dX = bprop(backend.xp, network, layers, trace, T, scale=scale, input_gradient=True)
    return network.loss.value(backend.xp, trace.u, T), gradients, dX


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_values_and_gradients_are_those_of_autograd(backend, put, check, rng, activation, loss):
    network = Network.build(3, [4], 2, activation=activation, loss=loss)
    layers, X, T = problem(rng, network.sizes, loss, n=5)
    mean, expected, expected_dX = by_autograd(layers, [activation], loss, X, T)
    value, gradients, dX = by_hand(backend, put, network, layers, X, T, 1 / 5)
    check(backend, value, 5 * mean)
    check_layers(check, backend, gradients, expected)
    check(backend, 5 * dX, expected_dX)


def test_gradients_of_a_deep_network_of_all_activations_are_those_of_autograd(backend, put, check, rng):
    names = list(ACTIVATIONS)
    network = Network.build(3, [4] * len(names), 2, activation=names)
    layers, X, T = problem(rng, network.sizes, n=5)
    _, expected, expected_dX = by_autograd(layers, names, "softmax", X, T)
    _, gradients, dX = by_hand(backend, put, network, layers, X, T, 1 / 5)
    check_layers(check, backend, gradients, expected)
    check(backend, 5 * dX, expected_dX)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_of_a_linear_model_are_those_of_autograd(backend, put, check, rng, loss):
    network = Network.build(3, [], 2, loss=loss)
    layers, X, T = problem(rng, network.sizes, loss, n=5)
    _, expected, _ = by_autograd(layers, [], loss, X, T)
    _, gradients, _ = by_hand(backend, put, network, layers, X, T, 1 / 5)
    check_layers(check, backend, gradients, expected)


def test_gradients_of_an_embedding_are_those_of_autograd(backend, put, check, rng):
    network = Network.build(3, [4], 2, activation="tanh", frequencies=5, embedded=[0, 2])
    embedding, *layers = initialize(network, seed=1)
    _, X, T = problem(rng, network.sizes, n=5)
    w, c, x = (torch.tensor(p, requires_grad=True) for p in (*embedding, X))
    A = torch.cat([x, torch.cos(x[:, [0, 2], None] * w + c).flatten(1)], 1)
    mean, expected, dA = by_autograd(layers, ["tanh"], "softmax", A.detach().numpy(), T)
    A.backward(torch.tensor(dA))
    value, gradients, dX = by_hand(backend, put, network, [embedding, *layers], X, T, 1)
    check(backend, value, 5 * mean)
    check(backend, dX, x.grad.numpy())
    whole = [(w.grad.numpy(), c.grad.numpy()), *((5 * dW, 5 * db) for dW, db in expected)]
    check_layers(check, backend, gradients, whole)


def test_the_elastic_net_is_that_of_autograd(backend, put, check, rng):
    network = Network.build(3, [4], 2)
    layers, X, T = problem(rng, network.sizes, n=5)
    layers[0][0][0, 0] = 0.0  # both take the derivative of |w| at 0 as 0
    _, expected, _ = by_autograd(layers, ["relu"], "softmax", X, T, 0.1, 0.2)
    _, gradients, _ = by_hand(backend, put, network, layers, X, T, 1 / 5)
    penalty = ElasticNet.build(2, 0.1, 0.2)
    check_layers(check, backend, penalty.add_gradient(backend.xp, put(backend, layers), gradients), expected)
