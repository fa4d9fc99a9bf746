"""Output functions and losses."""

import pickle

import numpy as np
import pytest
from conftest import open_backend
from references import OUTPUTS, differences, every_size, onehot, output_of, problem, targets, total_loss
from scipy import special

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES, huber, log_softmax, quantile
from xpmlp.nn.network import Network, bprop, fprop

LOGITS = np.array([[0.3, -1.2, 2.0], [-4.0, 0.0, 5.5], [7.0, 7.0, 7.0], [-0.1, 0.4, -30.0]])
HUGE = np.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [0.0, -1e4, 1e4]], dtype=np.float32)
CLASSES = onehot([1, 0, 2, 1], 3)


def logits_of(loss):
    """As many logits as three targets have."""
    return np.hstack([LOGITS, LOGITS[::-1].clip(-3, 3)])[:, : 3 * loss.outputs_per_target]


each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.mark.parametrize("z", [LOGITS, LOGITS[:1], LOGITS[0]], ids=["rows", "one row", "one vector"])
def test_softmax_and_its_logarithm_agree_with_scipy(backend, check, z):
    check(backend, output_of(LOSSES["softmax"], backend.xp, backend.asarray(z)), special.softmax(z, axis=-1))
    check(backend, log_softmax(backend.xp, backend.asarray(z)), special.log_softmax(z, axis=-1))


def test_log_softmax_of_huge_logits_is_finite_and_right_in_float32(backend32, check):
    expected = special.log_softmax(HUGE.astype(float), axis=-1)
    check(backend32, log_softmax(backend32.xp, backend32.asarray(HUGE)), expected, rtol=1e-6)
    check(backend32, output_of(LOSSES["softmax"], backend32.xp, backend32.asarray(HUGE)), np.exp(expected), rtol=1e-6)


@each_loss
def test_the_output_agrees_with_scipy(backend, check, loss):
    expected = [OUTPUTS[loss.name](row) for row in logits_of(loss)]
    check(backend, output_of(loss, backend.xp, backend.asarray(logits_of(loss))), expected)


@each_loss
def test_the_value_is_the_sum_over_the_rows_of_an_independent_formula(backend, check, rng, loss):
    T, z = targets(loss.name, rng, 4, 3), logits_of(loss)
    result = loss.value(backend.xp, loss.normalise(backend.xp, backend.asarray(z)), backend.asarray(T))
    check(backend, result, total_loss(loss.name, z, T))


@each_loss
def test_delta_is_the_gradient_of_the_value(backend, check, rng, loss):
    T, z = targets(loss.name, rng, 4, 3), logits_of(loss)
    delta = loss.gradient(backend.xp, output_of(loss, backend.xp, backend.asarray(z)), backend.asarray(T))
    expected = differences(lambda z: total_loss(loss.name, z, T), z, 1e-2)
    check(backend, delta, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["softmax", "logistic"])
def test_delta_is_the_gradient_for_soft_targets_too(backend, check, name):
    T = np.tile([0.2, 0.7, 0.1], (4, 1))
    delta = LOSSES[name].gradient(
        backend.xp, output_of(LOSSES[name], backend.xp, backend.asarray(LOGITS)), backend.asarray(T)
    )
    expected = differences(lambda z: total_loss(name, z, T), LOGITS, 1e-2)
    check(backend, delta, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ["softmax", "logistic"])
def test_huge_logits_give_finite_losses_and_gradients_in_float32(backend32, check, name):
    loss, z, T = LOSSES[name], backend32.asarray(HUGE), backend32.asarray(CLASSES)
    check(
        backend32,
        loss.value(backend32.xp, loss.normalise(backend32.xp, z), T),
        total_loss(name, HUGE.astype(float), CLASSES),
        rtol=1e-6,
    )
    outputs = [OUTPUTS[name](row) for row in HUGE.astype(float)]
    check(backend32, loss.gradient(backend32.xp, output_of(loss, backend32.xp, z), T), outputs - CLASSES, rtol=1e-6)


@each_loss
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_finite_at_every_size_of_the_dtype_where_the_loss_is(backend_name, rng, loss, dtype):
    backend = open_backend(backend_name, dtype)
    z = rng.choice(every_size(dtype), size=(3000, 3 * loss.outputs_per_target))
    T = targets(loss.name, rng, 3000, 3)
    with backend.computing():
        u, t = loss.normalise(backend.xp, backend.asarray(z)), backend.asarray(T)
        terms = backend.to_numpy(loss.terms(backend.xp, *loss.blocks(u), t, *loss.settings))
        delta = backend.to_numpy(loss.gradient(backend.xp, loss.outputs(backend.xp, u), t))
    assert all(np.isfinite(each)[np.isfinite(terms)].all() for each in loss.blocks(delta))
    if loss.name not in {"squared", "poisson", "gaussian"}:  # their squares and exponentials are beyond the dtype
        assert np.isfinite(terms).all()
        assert np.abs(delta).max() <= 1


def test_a_huge_squared_error_is_right_in_float32(backend32, check):
    z, T = backend32.asarray(HUGE), backend32.asarray(CLASSES)
    expected = total_loss("squared", HUGE.astype(float), CLASSES)
    check(backend32, LOSSES["squared"].value(backend32.xp, z, T), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [loss for loss in LOSSES.values() if loss.name != "poisson"], ids=lambda loss: loss.name
)
def test_a_whole_network_with_huge_weights_gives_finite_float32_gradients(backend32, put, rng, loss):
    network = Network.build(3, [4], 3, loss=loss.name)
    layers, X, T = problem(rng, network.sizes, loss.name, n=4)
    layers = put(backend32, [(W * 100, b) for W, b in layers])
    trace = fprop(backend32.xp, network, layers, backend32.asarray(X))
    T = backend32.asarray(T)
    gradients, dX = bprop(backend32.xp, network, layers, trace, T, input_gradient=True)
    arrays = [loss.value(backend32.xp, trace.u, T), trace.a[-1], dX, *(g for layer in gradients for g in layer)]
    for array in arrays:
        assert array.dtype == backend32.float_dtype
        assert np.isfinite(backend32.to_numpy(array)).all()


def test_a_certain_and_right_prediction_costs_nothing_and_a_wrong_one_its_margin(backend32, check):
    z = backend32.asarray([[1e4, -1e4]])
    for name in ("softmax", "logistic"):
        for T, cost in (([[1, 0]], 0.0), ([[0, 1]], 2e4)):
            check(
                backend32,
                LOSSES[name].value(backend32.xp, LOSSES[name].normalise(backend32.xp, z), backend32.asarray(T)),
                cost,
            )


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes(backend, check):
    T = backend.asarray([[0, 0, 1, 0]])
    u = LOSSES["softmax"].normalise(backend.xp, backend.asarray(np.zeros((1, 4))))
    check(backend, LOSSES["softmax"].value(backend.xp, u, T), np.log(4))


def test_a_class_is_right_where_its_logit_is_the_largest(backend):
    right = LOSSES["softmax"].correct(backend.xp, backend.asarray(LOGITS), backend.asarray(onehot([2, 2, 0, 0], 3)))
    assert backend.to_numpy(right).tolist() == [True, True, True, False]  # a tie goes to the first class


def test_labels_are_right_where_all_of_a_row_are_on_their_side_of_one_half(backend):
    z = backend.asarray([[1.0, -1.0], [1.0, -1.0], [-2.0, 0.0], [3.0, 3.0]])
    T = backend.asarray([[1, 0], [1, 1], [0, 0], [0, 0]])
    right = LOSSES["logistic"].correct(backend.xp, z, T)
    assert backend.to_numpy(right).tolist() == [True, False, True, False]


def test_real_targets_are_neither_right_nor_wrong():
    assert LOSSES["squared"].correct is None


@each_loss
def test_inputs_stay_as_they_are(backend, rng, loss):
    host = targets(loss.name, rng, 4, 3)
    z, T = backend.copy_to_device(logits_of(loss)), backend.copy_to_device(host)
    loss.value(backend.xp, loss.normalise(backend.xp, z), T)
    loss.gradient(backend.xp, output_of(loss, backend.xp, z), T)
    np.testing.assert_array_equal(backend.to_numpy(z), logits_of(loss))
    np.testing.assert_array_equal(backend.to_numpy(T), host)


@each_loss
def test_a_network_takes_a_loss_by_its_name_or_itself(loss):
    for given in (loss.name, loss):
        assert Network.build(2, [2], 2, loss=given).loss is loss


@pytest.mark.parametrize("given", ["hinge", None, ACTIVATIONS["relu"]])
def test_what_is_no_loss_lists_the_names_of_all(given):
    with pytest.raises(InputError, match=r"loss is .*, but must be one of: softmax, logistic, squared"):
        Network.build(2, [2], 2, loss=given)


@pytest.mark.parametrize(("build", "level"), [(huber, 0.3), (huber, 2.0), (quantile, 0.1), (quantile, 0.8)])
def test_thresholds_and_levels_decide_loss_and_gradient(backend, check, build, level):
    loss = build(level)
    errors = np.array([[-2.5, -0.2, 0.1, 3.0]])
    T = np.ones_like(errors)
    reference = (
        special.huber(level, errors) if loss.name == "huber" else np.maximum((1 - level) * errors, -level * errors)
    )
    z = backend.asarray(errors + T)
    check(backend, loss.value(backend.xp, z, backend.asarray(T)), reference.sum())
    slopes = np.clip(errors, -level, level) if loss.name == "huber" else np.where(errors > 0, 1 - level, -level)
    check(backend, loss.gradient(backend.xp, z, backend.asarray(T)), slopes)


def test_losses_with_equal_settings_are_equal():
    assert huber(1.0) == huber() == LOSSES["huber"]
    assert quantile(0.5) == LOSSES["quantile"]
    assert hash(huber(2.0)) == hash(huber(2))
    assert len({huber(1.0), huber(2.0), quantile(0.5), LOSSES["huber"]}) == 3
    assert pickle.loads(pickle.dumps(huber(2.0))) == huber(2.0)  # noqa: S301 - of this test's own


@pytest.mark.parametrize(("build", "level"), [(huber, 0.0), (huber, -1.0), (quantile, 0.0), (quantile, 1.0)])
def test_settings_out_of_bounds_are_refused(build, level):
    with pytest.raises(InputError, match=f"is {level}, but must be a number above 0"):
        build(level)


def test_a_loss_and_an_activation_are_shown_in_a_line_without_addresses():
    assert repr(LOSSES["softmax"]) == "Loss(name='softmax', settings=())"
    assert repr(huber(2)) == "Loss(name='huber', settings=(2.0,))"
    assert repr(ACTIVATIONS["relu"]) == "Activation(name='relu')"


@each_loss
def test_weights_count_rows(backend, check, rng, loss):
    T, logits, weights = targets(loss.name, rng, 4, 3), logits_of(loss), np.array([[0.5], [0.0], [2.0], [1.0]])
    result = loss.value(
        backend.xp, loss.normalise(backend.xp, backend.asarray(logits)), backend.asarray(T), backend.asarray(weights)
    )
    check(
        backend,
        result,
        sum(w * total_loss(loss.name, [z], [t]) for w, z, t in zip(weights[:, 0], logits, T, strict=True)),
    )
