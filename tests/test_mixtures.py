"""What the members of a stack say together: its loss, outputs and gradients against the mean of theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from references import problem
from scipy import special, stats

from xpmlp import InputError, Layer, Network
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.mixtures import mixture, outputs_of

M, K = 4, 6


def drawn(rng, loss):
    """Layers of a stack, and the examples and targets of its first member."""
    network = Network.build(3, [5], 2, activation="tanh", loss=loss)
    members = [problem(rng, network.sizes, loss, K) for _ in range(M)]
    layers = [
        Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in zip(*(m.layers for m in members), strict=True)
    ]
    return network, layers, members[0].X, members[0].T


@pytest.mark.parametrize("loss", LOSSES)
def test_the_outputs_are_the_mean_of_those_of_the_members(backend, put, check, rng, loss):
    network, layers, X, _ = drawn(rng, loss)
    of_members = [
        outputs_of(backend.xp, network, put(backend, [(W[m], b[m]) for W, b in layers]), backend.asarray(X))
        for m in range(M)
    ]
    expected = np.mean([backend.to_numpy(each) for each in of_members], axis=0)
    if loss == "gaussian":
        means = np.stack([backend.to_numpy(each)[:, :2] for each in of_members])
        expected[:, 2:] += means.var(axis=0)
    check(backend, outputs_of(backend.xp, network, put(backend, layers), backend.asarray(X)), expected, rtol=1e-9)


def nll(loss, a, T):
    """The loss of outputs, by SciPy."""
    if loss == "softmax":
        return -special.xlogy(T, a).sum()
    if loss == "logistic":
        return -(special.xlogy(T, a) + special.xlogy(1 - T, 1 - a)).sum()
    if loss == "poisson":
        return (special.xlogy(T, T) - special.xlogy(T, a) - T + a).sum()
    return -stats.norm.logpdf(T, a[:, :2], np.sqrt(a[:, 2:])).sum()


@pytest.mark.parametrize("loss", ["softmax", "logistic", "poisson", "gaussian"])
def test_the_loss_of_a_mixture_is_that_of_the_mean_of_the_outputs(backend, put, check, rng, loss):
    network, layers, X, T = drawn(rng, loss)
    xp, layers, X = backend.xp, put(backend, layers), backend.asarray(X)
    from xpmlp import fprop

    u = mixture(xp, network.loss, fprop(xp, network, layers, X).u)
    expected = nll(loss, backend.to_numpy(outputs_of(xp, network, layers, X)), T)
    check(backend, network.loss.value(xp, u, backend.asarray(T)), expected, rtol=1e-9)


def test_members_that_are_sure_and_wrong_have_a_finite_loss_together(backend32):
    z = np.array([[[80.0, -80.0]], [[-80.0, 80.0]]])
    T = backend32.asarray([[1.0, 0.0]])
    for name in ("softmax", "logistic"):
        loss = LOSSES[name]
        u = mixture(backend32.xp, loss, loss.normalise(backend32.xp, backend32.asarray(z)))
        expected = np.log(2) * (2 if name == "logistic" else 1)
        assert float(backend32.to_numpy(loss.value(backend32.xp, u, T))) == pytest.approx(expected, rel=1e-5)


def test_a_loss_with_outputs_of_its_own_is_refused():
    own = replace(LOSSES["squared"], name="mine", output=lambda _, u: 2.0 * u)
    with pytest.raises(InputError, match="loss 'mine' has an output function of its own, whose mean is not known"):
        mixture(np, own, np.zeros((2, 1, 1)))
