"""Gradient checks: right gradients pass everywhere, and wrong ones are caught."""

import math
from dataclasses import FrozenInstanceError, replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import QUICK
from references import check_layers, differences, mean_loss, problem

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.gradcheck import GradientCheck, ParameterCheck, check_gradients
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import MODES, Layer, Network, bprop, gradient_function
from xpmlp.nn.regularization import ElasticNet

SIZES = (3, 3, 2)
PENALTIES = {
    "none": ElasticNet(),
    "l1": ElasticNet.build(2, l1=[0.03, 0.01]),
    "l2": ElasticNet.build(2, l2=[0.02, 0.05]),
    "both": ElasticNet.build(2, l1=[0.03, 0.01], l2=[0.02, 0.05]),
}
CLASSICAL = ("softmax", "logistic", "squared")
VARIANTS = [
    (loss, penalty, mode)
    for loss, penalty, mode in product(LOSSES, PENALTIES, MODES)
    if loss in CLASSICAL or penalty == "both"
]

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


def run(backend, network, drawn, **options):
    layers, X, T = drawn
    return check_gradients(backend, network, layers, backend.asarray(X), backend.asarray(T), **options)


def with_derivative(wrong, name="tanh"):
    """Build the network of `SIZES` whose hidden derivative is `wrong(xp, derivative)`."""
    right = ACTIVATIONS[name]
    activation = replace(right, derivative=lambda xp, z, a: wrong(xp, right.derivative(xp, z, a)))
    return replace(Network.build(3, [3], 2), activations=(activation,))


def names_of(parameters):
    return [parameter.name for parameter in parameters]


def variants(backend, activation):
    """Give the full product where it is quick; else one loss, penalty and mode, so that each meets some activation."""
    if backend.name in QUICK:
        return VARIANTS
    number = list(ACTIVATIONS).index(activation)
    penalty, mode = list(product(PENALTIES, MODES))[number % 8]
    return [(list(LOSSES)[number % len(LOSSES)], penalty, mode)]


def test_slow_backends_meet_every_loss_penalty_and_mode():
    chosen = [variant for activation in ACTIVATIONS for variant in variants(SimpleNamespace(name="slow"), activation)]
    assert {(penalty, mode) for _, penalty, mode in chosen} == set(product(PENALTIES, MODES))
    assert {loss for loss, _, _ in chosen} == set(LOSSES)


@each_activation
def test_every_activation_passes_with_every_loss_penalty_and_mode(backend, rng, activation):
    for loss, penalty, mode in variants(backend, activation):
        network = Network.build(3, [3], 2, activation=activation, loss=loss)
        drawn = problem(rng, network.sizes, loss, n=2)
        result = run(backend, network, drawn, penalty=PENALTIES[penalty], mode=mode)
        assert result.worst.error < 1e-7, (loss, penalty, mode, result.worst)
        assert result.passed
        assert result.report_passed, (loss, penalty, mode, result.worst_ratio)
        assert len(result.judged) == network.n_parameters


@each_activation
def test_loop_and_matrix_agree_to_1e_12(backend, put, check, rng, activation):
    for loss in sorted({loss for loss, _, _ in variants(backend, activation)}):
        network = Network.build(3, [3], 2, activation=activation, loss=loss)
        layers, X, T = problem(rng, network.sizes, loss, n=2)
        layers, X, T = put(backend, layers), backend.asarray(X), backend.asarray(T)
        loss_sum, matrix = gradient_function(backend.xp, network, "matrix")(layers, X, T)
        loop_sum, loop = gradient_function(backend.xp, network, "loop")(layers, X, T)
        check(backend, loop_sum, backend.to_numpy(loss_sum))
        check_layers(check, backend, loop, [tuple(map(backend.to_numpy, layer)) for layer in matrix])


@pytest.mark.parametrize("hidden", [[], [2, 3, 2]], ids=["linear", "deep"])
def test_networks_of_any_depth_pass(backend, rng, hidden):
    network = Network.build(3, hidden, 2, activation=["elu", "silu", "relu"][: len(hidden)])
    result = run(backend, network, problem(rng, network.sizes), penalty=ElasticNet.build(len(hidden) + 1, 0.01, 0.02))
    assert result.passed
    assert result.report_passed


def test_parameters_are_named_in_the_order_of_the_layers_with_their_derivatives(backend, rng):
    network = Network.build(2, [1], 2, activation="tanh")
    layers, X, T = drawn = problem(rng, network.sizes)
    result = run(backend, network, drawn)
    assert names_of(result.parameters) == ["W1[0, 0]", "W1[1, 0]", "b1[0]", "W2[0, 0]", "W2[0, 1]", "b2[0]", "b2[1]"]
    (W1, b1), second = layers
    expected = differences(lambda W1: mean_loss([(W1, b1), second], ["tanh"], "softmax", X, T), W1, 1e-2)
    for parameter, slope in zip(result.parameters[:2], expected[:, 0], strict=True):
        assert parameter.bprop == pytest.approx(slope, rel=1e-8)
        assert parameter.central == pytest.approx(slope, rel=1e-8)
        assert parameter.forward == pytest.approx(slope, rel=1e-2)
        assert parameter.ratio == pytest.approx(parameter.forward / parameter.bprop)


def test_the_weights_stay_as_they_are_and_the_seed_moves_the_forward_differences_alone(backend, rng):
    network = Network.build(2, [1], 2, activation="tanh")
    host, X, T = problem(rng, network.sizes)
    layers = [Layer(backend.copy_to_device(W), backend.copy_to_device(b)) for W, b in host]
    first, again, other = (run(backend, network, (layers, X, T), seed=seed) for seed in (0, 0, 1))
    for layer, before in zip(layers, host, strict=True):
        for array, values in zip(layer, before, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(array), values)
    assert again == first
    assert [p.central for p in other.parameters] == [p.central for p in first.parameters]
    assert [p.forward for p in other.parameters] != [p.forward for p in first.parameters]


@pytest.mark.parametrize(("factor", "report_passed"), [(1 + 1e-6, True), (1.02, False)])
def test_a_derivative_off_by_a_millionth_is_caught_and_by_the_reports_test_one_off_by_two_percent(
    backend, rng, factor, report_passed
):
    result = run(backend, with_derivative(lambda _, d: factor * d), problem(rng, SIZES))
    assert (result.passed, result.report_passed) == (False, report_passed)
    assert result.worst.error == pytest.approx(factor - 1, rel=0.2)
    assert result.worst.name[:2] in {"W1", "b1"}


@pytest.mark.parametrize(("size", "factor"), [(1e-3, 1 + 1e-6), (1e-5, 1 + 1e-4)])
def test_a_wrong_derivative_is_caught_where_all_its_gradients_are_small(backend, rng, size, factor):
    layers, X, T = problem(rng, SIZES)
    layers[1][0][...] *= size  # so that the gradients of the hidden layer are below this, yet resolved to 1e-12
    result = run(backend, with_derivative(lambda _, d: factor * d), (layers, X, T))
    assert not result.passed, result.worst


def test_a_small_gradient_of_the_wrong_sign_fails_the_reports_test_too(backend, rng):
    layers, X, T = problem(rng, SIZES)
    layers[1][0][...] *= 1e-4
    assert not run(backend, with_derivative(lambda _, d: -d), (layers, X, T)).report_passed


def test_an_activation_that_bends_within_the_largest_step_passes_by_a_smaller_one(backend, rng):
    wave = Activation("wave", lambda xp, z: xp.sin(300.0 * z), lambda xp, z, _: 300.0 * xp.cos(300.0 * z))
    result = run(backend, Network.build(3, [3], 2, activation=wave), problem(rng, SIZES))
    assert result.passed, result.worst


def test_a_rectifier_that_lets_a_trace_through_is_caught(backend, rng):
    network = with_derivative(lambda xp, d: xp.maximum(d, 1e-6), "relu")
    layers, X, T = problem(rng, SIZES)
    layers[0][1][0] = -100.0  # a unit that is dead for every row
    result = run(backend, network, (layers, X, T))
    assert not result.passed
    assert "b1[0]" in [parameter.name for parameter in result.judged if parameter.error > result.tolerance]


def scaled(gradients, dX, **factors):
    """Multiply the gradients of the named parameters."""
    return [
        Layer(dW * factors.get(f"W{i}", 1.0), db * factors.get(f"b{i}", 1.0))
        for i, (dW, db) in enumerate(gradients, start=1)
    ], dX


@pytest.mark.parametrize(
    ("mode", "wrong"),
    [("matrix", {"b1": 0.0}), ("loop", {"b2": 0.0}), ("loop", {"W2": 3.0}), ("matrix", {"W1": 1 + 1e-6})],
    ids=str,
)
def test_a_bprop_that_gets_one_array_wrong_is_caught_by_name(backend, rng, monkeypatch, mode, wrong):
    monkeypatch.setattr("xpmlp.nn.network.bprop", lambda *args, **options: scaled(*bprop(*args, **options), **wrong))
    result = run(backend, Network.build(3, [3], 2, activation="tanh"), problem(rng, SIZES), mode=mode)
    assert not result.passed
    (array,) = wrong
    caught = {parameter.name[:2] for parameter in result.judged if parameter.error > result.tolerance}
    assert caught == {array}
    assert result.worst.name.startswith(array)


@pytest.mark.parametrize("mode", MODES)
def test_gradients_twice_as_large_are_caught_as_off_by_a_half(backend, rng, monkeypatch, mode):
    monkeypatch.setattr("xpmlp.nn.network.bprop", lambda *args, scale=1.0: bprop(*args, scale=2 * scale))
    result = run(backend, Network.build(3, [3], 2, activation="tanh"), problem(rng, SIZES), mode=mode)
    assert not result.passed
    errors = [parameter.error for parameter in result.judged if abs(parameter.bprop) > 1e-3]
    assert errors == pytest.approx([0.5] * len(errors))  # they are relative errors: twice as much is half of it off
    assert len(errors) > 10


class WrongSign(ElasticNet):
    """Points the L1 gradient the other way."""

    def add_gradient(self, xp, layers, gradients):
        turned = [Layer(-W, b) for W, b in layers]
        wrong = ElasticNet(self.l1).add_gradient(xp, turned, gradients)
        return ElasticNet((), self.l2).add_gradient(xp, layers, wrong)


class WithoutTwo(ElasticNet):
    """Forgets the factor 2 of the L2 gradient."""

    def add_gradient(self, xp, layers, gradients):
        return ElasticNet(self.l1, tuple(l2 / 2 for l2 in self.l2)).add_gradient(xp, layers, gradients)


class OnBiases(ElasticNet):
    """Counts the biases in the value."""

    def value(self, xp, layers):
        return super().value(xp, layers) + sum(self.l2[0] * xp.sum(b * b) for _, b in layers)


@pytest.mark.parametrize("wrong", [WrongSign, WithoutTwo, OnBiases])
def test_a_wrong_penalty_is_caught(backend, rng, wrong):
    network = Network.build(3, [3], 2, activation="tanh")
    result = run(backend, network, problem(rng, SIZES), penalty=wrong(*vars(PENALTIES["both"]).values()))
    assert not result.passed
    assert result.worst.name[0] == ("b" if wrong is OnBiases else "W")


def test_dead_units_pass_as_true_zeros(backend, rng):
    layers, X, T = problem(rng, SIZES)
    layers[0][1][1] = -100.0
    result = run(backend, Network.build(3, [3], 2), (layers, X, T))
    assert result.passed
    assert result.report_passed
    assert result.kinks == []
    dead = [p for p in result.judged if p.name in {"W1[0, 1]", "W1[1, 1]", "W1[2, 1]", "b1[1]", "W2[1, 0]", "W2[1, 1]"}]
    assert [(p.bprop, p.central, p.forward, p.error, p.ratio) for p in dead] == [(0, 0, 0, 0, 1)] * 6


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu"])
def test_a_unit_on_its_kink_is_reported_and_not_judged(backend, rng, activation):
    layers, X, T = problem(rng, SIZES)
    layers[0][0][:, 2] = layers[0][1][2] = 0.0
    result = run(backend, Network.build(3, [3], 2, activation=activation), (layers, X, T))
    assert names_of(result.kinks) == ["W1[0, 2]", "W1[1, 2]", "W1[2, 2]", "b1[2]"]
    assert all(math.isnan(p.error) and math.isnan(p.ratio) and math.isnan(p.central) for p in result.kinks)
    assert len(result.judged) + len(result.kinks) == len(result.parameters)
    assert result.passed
    assert result.report_passed


def test_a_unit_close_to_its_kink_is_judged_with_a_smaller_step(backend, rng):
    layers, X, T = problem(rng, SIZES, n=1)
    layers[0][0][:, 2], layers[0][1][2] = 0.0, 3e-4
    result = run(backend, Network.build(3, [3], 2), (layers, X, T))
    assert result.kinks == []
    assert result.passed
    assert result.report_passed


@pytest.mark.parametrize("weight", [0.0, -1e-4])
def test_a_weight_on_or_near_the_kink_of_its_l1_penalty_passes(backend, rng, weight):
    layers, X, T = problem(rng, SIZES)
    layers[0][0][1, 1] = weight
    result = run(backend, Network.build(3, [3], 2, activation="tanh"), (layers, X, T), penalty=PENALTIES["l1"])
    assert result.passed
    assert result.report_passed, result.worst_ratio


def test_a_check_in_float32_is_refused(backend32, rng):
    with pytest.raises(InputError, match="checked in float64, but the backend computes in float32"):
        run(backend32, Network.build(3, [3], 2), problem(rng, SIZES))


def test_an_outcome_finds_its_worst_parameters_and_judges_by_its_tolerance():
    good = ParameterCheck("W1[0, 0]", 1.0, 1.0, 1.005, 1e-9, 1.005)
    poor = ParameterCheck("b1[0]", 2.0, 2.0, 1.96, 1e-6, 0.98)
    kink = ParameterCheck("b1[1]", 0.0, math.nan, math.nan, math.nan, math.nan, kink=True)
    result = GradientCheck((good, poor, kink), 1e-7)
    assert (result.judged, result.kinks) == ([good, poor], [kink])
    assert (result.worst, result.worst_ratio) == (poor, poor)
    assert [each.ratio_error for each in (good, poor, kink)] == pytest.approx([0.005, 0.02, math.inf])
    assert (result.passed, result.report_passed) == (False, False)
    assert replace(result, tolerance=1e-5).passed
    assert GradientCheck((good, kink), 1e-7).passed
    assert GradientCheck((good, kink), 1e-7).report_passed
    for outcome, name in ((good, "ratio"), (result, "tolerance")):
        with pytest.raises(FrozenInstanceError):
            setattr(outcome, name, 2.0)


def test_an_outcome_is_shown_in_a_line():
    good = ParameterCheck("W1[0, 0]", 1.0, 1.0, 1.005, 1e-9, 1.005)
    kink = ParameterCheck("b1[1]", 0.0, math.nan, math.nan, math.nan, math.nan, kink=True)
    assert repr(GradientCheck((good, kink) * 600, 1e-7)) == (
        "<gradient check passed at tolerance 1e-07: 1,200 parameters, worst relative error 1.0e-09 at W1[0, 0], "
        "600 at kinks not judged>"
    )
    assert repr(GradientCheck((good,), 1e-10)) == (
        "<gradient check FAILED at tolerance 1e-10: 1 parameter, worst relative error 1.0e-09 at W1[0, 0]>"
    )
    assert repr(GradientCheck((kink,), 1e-7)) == (
        "<gradient check FAILED at tolerance 1e-07: 1 parameter, 1 at kinks not judged>"
    )


def test_nothing_judged_is_nothing_passed():
    kink = ParameterCheck("b1[1]", 0.0, math.nan, math.nan, math.nan, math.nan, kink=True)
    for parameters in ((), (kink,)):
        result = GradientCheck(parameters, 1e-7)
        assert (result.passed, result.report_passed) == (False, False)


def test_a_network_all_of_whose_parameters_sit_on_kinks_has_no_worst_one():
    kink = ParameterCheck("b1[1]", 0.0, math.nan, math.nan, math.nan, math.nan, kink=True)
    with pytest.raises(InputError, match="every parameter sits on a kink"):
        _ = GradientCheck((kink,), 1e-7).worst


def test_a_gradient_that_is_not_a_number_is_no_kink_and_does_not_pass(backend, rng):
    result = run(backend, with_derivative(lambda xp, d: d * xp.nan), problem(rng, SIZES))
    assert result.kinks == []
    assert not result.passed
    assert not result.report_passed
    assert result.worst.error == math.inf


def test_a_loss_and_gradients_of_exactly_zero_pass(backend):
    network = Network.build(2, [2], 1, activation="tanh", loss="squared")
    zeros = [(np.zeros((2, 2)), np.zeros(2)), (np.zeros((2, 1)), np.zeros(1))]
    result = run(backend, network, (zeros, np.ones((3, 2)), np.zeros((3, 1))))
    assert result.passed
    assert result.report_passed


def test_an_error_at_the_threshold_of_hubers_loss_is_a_kink_and_not_a_failure(backend):
    network = Network.build(1, [], 1, loss="huber")
    layers = [(np.array([[0.5]]), np.array([0.0]))]
    result = run(backend, network, (layers, np.array([[1.0]]), np.array([[0.5 - 1.0]])))
    assert len(result.kinks) == 2
    off = run(backend, network, (layers, np.array([[1.0]]), np.array([[0.5 - 1.3]])))
    assert off.passed


@pytest.mark.parametrize(("n", "n_targets"), [(3, 1), (3, 2), (0, 0)])
def test_targets_that_are_not_one_row_for_each_example_are_refused(backend, n, n_targets):
    network = Network.build(2, [2], 1, activation="tanh", loss="squared")
    zeros = [(np.zeros((2, 2)), np.zeros(2)), (np.zeros((2, 1)), np.zeros(1))]
    with pytest.raises(InputError, match=r"must have a row of 1 targets for each example"):
        run(backend, network, (zeros, np.ones((n, 2)), np.zeros((n_targets, 1))))
