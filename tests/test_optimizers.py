"""Update rules, against their definitions written out for a scalar and against torch.optim."""

import math

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.nn.optimizers import OPTIMIZERS, SGD, Adam, AdamW, build_optimizer

RATE = 0.05
SHAPES = ((3, 2), (2,))  # weights, then biases
STEPS = 5

RULES = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.8, nesterov=True),
    "adam": Adam(),
    "adam with other means": Adam(beta_1=0.7, beta_2=0.9, epsilon=1e-3),
    "adam without a first mean": Adam(beta_1=0.0),
    "adam without any mean": Adam(beta_1=0.0, beta_2=0.0),
    "adamw": AdamW(weight_decay=0.1),
}

each_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def scalar_sgd(rule, p, gradients, rates):
    """Give the parameter after every step: Polyak's momentum, Nesterov's as Sutskever et al. write it."""
    v, path = 0.0, []
    for g, rate in zip(gradients, rates, strict=True):
        v = rule.momentum * v - rate * g
        p += rule.momentum * v - rate * g if rule.nesterov else v
        path.append(p)
    return path


def scalar_adam(rule, p, gradients, rates, *, decay):
    """Give the parameter after every step: Kingma and Ba's, from the end of their section 2."""
    m, v, path = 0.0, 0.0, []
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        p -= rate * decay * p
        m = rule.beta_1 * m + (1 - rule.beta_1) * g
        v = rule.beta_2 * v + (1 - rule.beta_2) * g**2
        p -= rate * math.sqrt(1 - rule.beta_2**t) / (1 - rule.beta_1**t) * m / (math.sqrt(v) + rule.epsilon)
        path.append(p)
    return path


def expected_path(rule, params, gradients, rates):
    """Give all parameters after every step, each scalar on its own."""
    paths = []
    for i, start in enumerate(params):
        path = np.empty((len(rates), *start.shape))
        for index in np.ndindex(*start.shape):
            slopes = [float(g[i][index]) for g in gradients]
            if isinstance(rule, SGD):
                scalars = scalar_sgd(rule, float(start[index]), slopes, rates)
            else:
                decay = getattr(rule, "weight_decay", 0.0) if start.ndim == 2 else 0.0
                scalars = scalar_adam(rule, float(start[index]), slopes, rates, decay=decay)
            path[(slice(None), *index)] = scalars
        paths.append(path)
    return paths


def walk(backend, rule, params, gradients, rates):
    """Take the steps, and yield the parameters and the state after each."""
    params = [backend.copy_to_device(p) for p in params]
    state = rule.init(backend.xp, params)
    for t, (step, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        moved = [backend.copy_to_device(g) for g in step]
        params, state = rule.update(backend.xp, params, moved, state, rate, backend.asarray(float(t)))
        yield params, state


def draw(rng):
    params = [rng.normal(size=shape) for shape in SHAPES]
    return params, [[rng.normal(size=shape) for shape in SHAPES] for _ in range(STEPS)]


@each_rule
def test_every_step_is_that_of_the_definition(backend, check, rng, rule):
    params, gradients = draw(rng)
    paths = expected_path(rule, params, gradients, [RATE] * STEPS)
    for t, (moved, _) in enumerate(walk(backend, rule, params, gradients, [RATE] * STEPS)):
        for p, path in zip(moved, paths, strict=True):
            check(backend, p, path[t])


@each_rule
def test_a_rate_may_change_at_every_step_and_be_a_0_d_array(backend, check, rng, rule):
    params, gradients = draw(rng)
    rates = [RATE / (t + 1) for t in range(STEPS)]
    on_device = [backend.asarray(rate) for rate in rates]
    *_, (last, _) = walk(backend, rule, params, gradients, on_device)
    for p, path in zip(last, expected_path(rule, params, gradients, rates), strict=True):
        check(backend, p, path[-1])


@each_rule
def test_parameters_and_state_stay_float32(backend32, check, rng, rule):
    params, gradients = draw(rng)
    *_, (last, state) = walk(backend32, rule, params, gradients, [backend32.asarray(RATE)] * STEPS)
    for p, path in zip(last, expected_path(rule, params, gradients, [RATE] * STEPS), strict=True):
        check(backend32, p, path[-1], rtol=1e-5, atol=1e-6)
    for array in (a for arrays in state for a in arrays):
        assert array.dtype == backend32.float_dtype
        assert backend32.on_device(array)


@each_rule
def test_the_state_begins_with_zeros_like_the_parameters(backend, check, rule):
    params = [backend.asarray(np.ones(shape)) for shape in SHAPES]
    for arrays in rule.init(backend.xp, params):
        assert len(arrays) == (0 if rule == SGD() else len(SHAPES))
        for array, shape in zip(arrays, SHAPES, strict=False):
            check(backend, array, np.zeros(shape))


@each_rule
def test_a_gradient_of_zero_moves_nothing_at_the_start_but_the_decay(backend, check, rule):
    params, zeros = [np.ones(shape) for shape in SHAPES], [np.zeros(shape) for shape in SHAPES]
    ((moved, _),) = walk(backend, rule, params, [zeros], [RATE])
    check(backend, moved[0], params[0] * (1 - RATE * getattr(rule, "weight_decay", 0.0)))
    check(backend, moved[1], params[1])


def test_adamw_takes_its_decay_from_weights_and_not_from_biases(backend, check, rng):
    params, gradients = draw(rng)
    ((plain, _),) = walk(backend, Adam(), params, gradients[:1], [RATE])
    ((decayed, _),) = walk(backend, AdamW(weight_decay=0.1), params, gradients[:1], [RATE])
    check(backend, decayed[0], backend.to_numpy(plain[0]) - RATE * 0.1 * params[0])
    check(backend, decayed[1], backend.to_numpy(plain[1]))


def test_the_first_step_of_adam_is_the_rate_whatever_the_size_of_the_gradient(backend, check):
    ((moved, _),) = walk(backend, Adam(), [np.zeros(4)], [[np.array([1e-2, -3.0, 1e4, -1e5])]], [RATE])
    check(backend, moved[0], [-RATE, RATE, -RATE, RATE], rtol=1e-4)


@pytest.mark.parametrize("t", [1, 10, 10**5])
def test_the_bias_corrections_of_adam_keep_their_digits_in_float32(backend32, check, t):
    rule, one = Adam(epsilon=1e-30), np.ones(1)
    state = rule.init(backend32.xp, [backend32.asarray(one)])
    params, gradients = [backend32.copy_to_device(one)], [backend32.copy_to_device(one)]
    moved, _ = rule.update(backend32.xp, params, gradients, state, RATE, backend32.asarray(t))
    step = RATE * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * (1 - 0.9) / math.sqrt(1 - 0.999)
    check(backend32, 1 - moved[0], [step], rtol=2e-6)


TORCH_RULES = {
    "sgd": (SGD(), "SGD", {}),
    "momentum": (SGD(momentum=0.9), "SGD", {"momentum": 0.9}),
    "nesterov": (SGD(momentum=0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": (Adam(epsilon=1e-30), "Adam", {"eps": 1e-30}),
    "adamw": (AdamW(weight_decay=0.1, epsilon=1e-30), "AdamW", {"weight_decay": 0.1, "eps": 1e-30}),
}


@pytest.mark.parametrize(("rule", "name", "options"), TORCH_RULES.values(), ids=TORCH_RULES)
def test_steps_are_those_of_torch(backend, check, rng, rule, name, options):
    torch = pytest.importorskip("torch", reason="torch is the reference here")
    params, gradients = draw(rng)
    weights, biases = tensors = [torch.tensor(p) for p in params]
    without_decay = {"weight_decay": 0.0} if "weight_decay" in options else {}
    groups = [{"params": [weights]}, {"params": [biases], **without_decay}]
    optimizer = getattr(torch.optim, name)(groups, lr=RATE, **options)
    for (moved, _), step in zip(walk(backend, rule, params, gradients, [RATE] * STEPS), gradients, strict=True):
        for tensor, gradient in zip(tensors, step, strict=True):
            tensor.grad = torch.tensor(gradient)
        optimizer.step()
        for p, tensor in zip(moved, tensors, strict=True):
            check(backend, p, tensor.numpy())


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("sgd", {}, SGD()),
        ("sgd", {"momentum": 0.9}, SGD(0.9)),
        ("sgd", {"momentum": 0.9, "nesterov": True}, SGD(0.9, nesterov=True)),
        ("adam", {}, Adam(0.9, 0.999, 1e-8)),
        ("adamw", {}, AdamW(weight_decay=0.01)),
        ("adamw", {"weight_decay": 0.0}, AdamW(weight_decay=0.0)),
    ],
)
def test_build_optimizer_gives_the_rule_with_its_options(name, options, expected):
    rule = build_optimizer(name, **options)
    assert rule == expected
    assert type(rule) is type(expected)
    assert name in OPTIMIZERS


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lbfgs", {}, "optimizer is 'lbfgs', but must be one of: sgd, adam, adamw"),
        ("adam", {"momentum": 0.9}, "momentum and nesterov are options of optimizer sgd, but the optimizer is adam"),
        ("adamw", {"nesterov": True}, "options of optimizer sgd, but the optimizer is adamw"),
        ("sgd", {"weight_decay": 0.1}, "option of optimizer adamw, but the optimizer is sgd: use l2 there"),
        ("adam", {"weight_decay": 0.0}, "option of optimizer adamw, but the optimizer is adam"),
        ("sgd", {"nesterov": True}, "Nesterov's variant changes nothing at momentum 0: give a momentum"),
        ("sgd", {"momentum": 1.5}, "momentum is 1.5, but must be a number at least 0 and at most 1"),
        ("sgd", {"momentum": -0.1}, "momentum is -0.1, but must be"),
        ("adamw", {"weight_decay": -1}, "weight decay is -1, but must be a number at least 0"),
    ],
)
def test_build_optimizer_names_what_it_cannot_use(name, options, message):
    with pytest.raises(InputError, match=message):
        build_optimizer(name, **options)


@pytest.mark.parametrize("option", [{"beta_1": 1.0}, {"beta_2": -0.1}, {"epsilon": 0.0}, {"epsilon": math.nan}])
@pytest.mark.parametrize("rule", [Adam, AdamW])
def test_adam_names_the_option_that_is_out_of_bounds(rule, option):
    ((name, value),) = option.items()
    with pytest.raises(InputError, match=f"{name} is {value!r}, but must be"):
        rule(**option)
