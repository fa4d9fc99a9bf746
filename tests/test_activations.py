"""Activation functions and their derivatives."""

import numpy as np
import pytest
from conftest import open_backend
from references import DERIVATIVES, FUNCTIONS, KINKED, differences, every_size

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import ACTIVATIONS, softplus
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.network import Network

POINTS = np.array([[-30.0, -4.0, -1.5, -0.3, -1e-3], [1e-3, 0.2, 0.9, 3.7, 30.0]])
EXTREMES = np.array([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype=np.float32)

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)


def both(backend, activation, z):
    a = activation.function(backend.xp, z)
    return a, activation.derivative(backend.xp, z, a)


def test_every_activation_has_an_independent_reference():
    assert set(ACTIVATIONS) == set(FUNCTIONS) == set(DERIVATIVES)


@each_activation
def test_values_agree_with_an_independent_formula(backend, check, activation):
    result = activation.function(backend.xp, backend.asarray(POINTS))
    check(backend, result, FUNCTIONS[activation.name](POINTS), rtol=1e-13)


@each_activation
def test_derivatives_agree_with_an_independent_formula(backend, check, activation):
    _, derivative = both(backend, activation, backend.asarray(POINTS))
    check(backend, derivative, DERIVATIVES[activation.name](POINTS), rtol=1e-10, atol=1e-15)


@each_activation
def test_derivatives_are_those_of_the_values_by_finite_differences(backend, check, activation):
    z = np.array([-4.0, -1.5, -0.3, 0.2, 0.9, 3.7])

    def total(points):
        return backend.to_numpy(activation.function(backend.xp, backend.asarray(points))).sum()

    _, derivative = both(backend, activation, backend.asarray(z))
    check(backend, derivative, differences(total, z, 1e-2), rtol=1e-8, atol=1e-11)


@each_activation
def test_values_and_derivatives_keep_float32_at_extremes_and_stay_finite(backend32, check, activation):
    a, derivative = both(backend32, activation, backend32.asarray(EXTREMES))
    exact = EXTREMES.astype(np.float64)
    check(backend32, a, FUNCTIONS[activation.name](exact), rtol=1e-6, atol=1e-6)
    with np.errstate(over="ignore"):  # cosh overflows where tanh' is 0
        check(backend32, derivative, DERIVATIVES[activation.name](exact), rtol=1e-6, atol=1e-6)
    assert np.isfinite(backend32.to_numpy(a)).all()


@each_activation
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_slopes_are_finite_at_every_size_of_the_dtype(backend_name, check, activation, dtype):
    backend, z = open_backend(backend_name, dtype), every_size(dtype)
    with backend.computing():
        a, slope = both(backend, activation, backend.asarray(z))
        a, slope = backend.to_numpy(a), backend.to_numpy(slope)
    assert np.isfinite(a).all()
    assert np.isfinite(slope).all()
    with np.errstate(all="ignore"):
        far = np.abs(z) > 50  # where every slope is that of a line, or 0
        limits = DERIVATIVES[activation.name](np.where(z > 0, 50.0, -50.0))
    np.testing.assert_allclose(slope[far], limits[far], rtol=1e-6, atol=1e-15)


@each_activation
def test_inputs_stay_as_they_are(backend, activation):
    z = backend.copy_to_device(POINTS)
    a = backend.copy_to_device(activation.function(backend.xp, z))
    before = backend.to_numpy(a)
    activation.derivative(backend.xp, z, a)
    np.testing.assert_array_equal(backend.to_numpy(z), POINTS)
    np.testing.assert_array_equal(backend.to_numpy(a), before)


@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0), ("identity", 1.0)])
def test_the_derivative_at_zero_is_that_of_the_left(backend, check, name, slope):
    a, derivative = both(backend, ACTIVATIONS[name], backend.asarray([0.0, -0.0]))
    check(backend, a, [0.0, 0.0])
    check(backend, derivative, [slope, slope])


@each_activation
def test_a_kink_is_declared_where_a_derivative_jumps(activation):
    assert activation.kink == (activation.name in KINKED)


def test_the_logistic_and_its_logarithm_keep_their_digits_in_both_tails(backend, check):
    z = np.array([-700.0, -40.0, 40.0])
    result = ACTIVATIONS["logistic"].function(backend.xp, backend.asarray(z))
    check(backend, result, [np.exp(-700.0), np.exp(-40.0), 1.0], rtol=1e-13, atol=0)
    check(backend, softplus(backend.xp, backend.asarray(-z[1:])), [40.0, np.exp(-40.0)], rtol=1e-13, atol=0)


@each_activation
def test_a_network_takes_an_activation_by_its_name_or_itself(activation):
    for given in (activation.name, activation):
        assert Network.build(2, [2], 2, activation=given).activations == (activation,)


@pytest.mark.parametrize("given", ["rectifier", np.tanh, LOSSES["squared"]])
def test_what_is_no_activation_lists_the_names_of_all(given):
    with pytest.raises(InputError, match=r"activation is .*, but must be one of: identity, relu, leaky_relu"):
        Network.build(2, [2], 2, activation=given)
