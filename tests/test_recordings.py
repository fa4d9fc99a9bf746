"""Functions of one's own whose state changes between epochs: it takes effect as with plain steps.

What a tape, a graph or a compiled step was made from has in it the numbers that Python computed on the way.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import pytest
from conftest import open_backend
from devices import GraphNumpy

from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    SGD,
    Activation,
    Adam,
    Constant,
    Cosine,
    ElasticNet,
    Network,
    Recipe,
    get_backend,
    initialize,
    train,
)
from xpmlp.backends import graphs
from xpmlp.backends.jax import backend as jax_backend
from xpmlp.backends.purity import is_pure
from xpmlp.nn.losses import huber

pytestmark = pytest.mark.torch_or_jax

N, D, M, K = 25, 5, 3, 2  # twelve minibatches and a rest: enough for a tape, and for several graphs of three steps


class Switched:
    """A schedule whose rate is set from outside."""

    rate = 0.1

    def __call__(self, xp, t):  # noqa: ARG002 - as every schedule
        return self.rate


class Steep:
    """A hyperbolic tangent whose slope is set from outside."""

    slope = 1.0

    def function(self, xp, z):
        return xp.tanh(self.slope * z)

    def derivative(self, xp, z, a):  # noqa: ARG002 - as every derivative
        return self.slope * (1.0 - a * a)


def records(backend, *, mode="matrix"):
    """Epochs with another schedule and another activation in each: the weights, rates and losses of each."""
    schedule, steep = Switched(), Steep()
    network = Network.build(D, [4], M, activation=Activation("steep", steep.function, steep.derivative))
    rng = np.random.default_rng(0)
    X, T = backend.asarray(rng.normal(size=(N, D))), backend.asarray(np.eye(M)[rng.integers(0, M, N)])
    settings = [(0.1, 1.0), (0.4, 1.0), (0.4, 0.2), (0.0, 0.2)]
    recipe = Recipe(SGD(0.5), schedule, batch_size=K, mode=mode, epochs=len(settings))
    training = train(backend, network, initialize(network, seed=3), X, T, recipe, evaluate={"training": (X, T)})
    found = []
    for schedule.rate, steep.slope in settings:
        record = next(training)
        assert record.learning_rate == pytest.approx(schedule.rate)
        weights = [backend.to_numpy(p) for layer in record.layers for p in layer]
        found.append([*weights, record.loss, record.scores["training"].loss])
    return found


@pytest.fixture
def check_records(monkeypatch):
    """Assert that a backend leaves what plain steps of NumPy do."""
    monkeypatch.setattr(graphs, "MAX_STEPS", 3)
    monkeypatch.setattr(jax_backend, "MAX_STEPS", 3)

    def check(backend, **how):
        expected = records(get_backend("numpy", dtype="float64", graphs=False), **how)
        for epoch, plain in zip(records(backend, **how), expected, strict=True):
            for one, other in zip(epoch, plain, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-9)

    return check


@pytest.mark.parametrize("mode", ["matrix", "loop"])
def test_what_changes_between_epochs_takes_effect_on_every_backend(check_records, backend, mode):
    check_records(backend, mode=mode)


def test_so_it_does_without_graphs(check_records, backend_name):
    check_records(type(open_backend(backend_name))(dtype="float64", graphs=False))


def test_so_it_does_where_steps_are_captured_into_graphs(check_records):
    backend = GraphNumpy(dtype="float64")
    check_records(backend)
    assert backend.capturer.replays >= 4 * 3, "each epoch has graphs of its own"


def test_so_it_does_where_jax_scans_over_steps(check_records):
    """Asked for on the CPU, under the name of a GPU."""
    pytest.importorskip("jax", reason="this is about jax")
    backend = get_backend("jax", dtype="float64")
    backend.device_name = "cuda:0"
    check_records(backend)


@dataclass(frozen=True)
class OwnConstant(Constant):
    """A schedule of one's own that is like one of the package's."""


OWN = Activation("own", lambda xp, z: xp.tanh(z), ACTIVATIONS["tanh"].derivative)


@pytest.mark.parametrize(
    ("part", "pure"),
    [
        (Recipe(Adam(), Cosine(0.1, 30), ElasticNet.build(2, l1=0.1)), True),
        (Recipe(SGD(), Switched()), False),
        (Recipe(SGD(), OwnConstant(0.1)), False),
        (Network.build(D, [4, 4], M, activation=["relu", "gelu"], loss=huber(2.0)), True),
        (Network.build(D, [4, 4], M, activation=["relu", OWN]), False),
        ((*ACTIVATIONS.values(), *LOSSES.values(), np.float32, np.dtype("int64"), 1.0, None, "softmax"), True),
        (functools.wraps(ACTIVATIONS["relu"].function)(lambda xp, z: xp.tanh(z)), False),
        (np.tanh, False),
        (print, False),
    ],
)
def test_functions_of_this_package_alone_are_known_to_be_pure(part, pure):
    assert is_pure(part) is pure
