"""Learning-rate schedules."""

import math

import pytest

from xpmlp.common.errors import InputError
from xpmlp.nn.schedules import SCHEDULES, Constant, Cosine, StepDecay, build_schedule


def step_decay(t, rate, every, factor):
    for _ in range(t // every):
        rate *= factor
    return rate


def cosine(t, rate, total, warmup):
    if t < warmup:
        return rate * (t + 1) / (warmup + 1)
    return rate * math.cos(math.pi / 2 * min((t - warmup) / (total - warmup), 1)) ** 2  # the half angle


def rates(backend, schedule, steps):
    return [schedule(backend.xp, backend.asarray(float(t))) for t in steps]


def test_a_constant_rate_is_a_python_number(backend):
    assert rates(backend, Constant(0.3), [0, 5, 10**6]) == [0.3] * 3


@pytest.mark.parametrize("factor", [0.1, 0.5])
def test_step_decay_multiplies_after_every_so_many_steps(backend, check, factor):
    for t, rate in enumerate(rates(backend, StepDecay(0.3, every=4, factor=factor), range(13))):
        check(backend, rate, step_decay(t, 0.3, 4, factor))


@pytest.mark.parametrize("warmup", [0, 1, 5])
def test_cosine_rises_linearly_and_falls_to_zero_at_its_total(backend, check, warmup):
    for t, rate in enumerate(rates(backend, Cosine(0.3, total=20, warmup=warmup), range(25))):
        check(backend, rate, cosine(t, 0.3, 20, warmup), atol=1e-15)


def test_cosine_has_its_peak_right_after_the_warm_up_and_nothing_left_at_the_end(backend, check):
    schedule = Cosine(0.3, total=20, warmup=5)
    first, peak, last, end, after = rates(backend, schedule, [0, 5, 19, 20, 21])
    check(backend, first, 0.3 / 6)
    check(backend, peak, 0.3)
    check(backend, end, 0.0)
    check(backend, after, 0.0)
    assert float(backend.to_numpy(last)) > 0


def test_cosine_of_one_step_takes_it_at_full_rate(backend, check):
    check(backend, rates(backend, Cosine(0.3, total=1), [0])[0], 0.3)


@pytest.mark.parametrize("schedule", [StepDecay(0.3, every=4), Cosine(0.3, total=20, warmup=5)], ids=["step", "cosine"])
def test_rates_of_float32_counters_are_0_d_float32(backend32, check, schedule):
    reference = (
        (lambda t: step_decay(t, 0.3, 4, 0.1)) if isinstance(schedule, StepDecay) else lambda t: cosine(t, 0.3, 20, 5)
    )
    for t, rate in zip((0, 3, 4, 12), rates(backend32, schedule, (0, 3, 4, 12)), strict=True):
        check(backend32, rate, reference(t), rtol=1e-6)


def test_the_counter_stays_as_it_is(backend):
    t = backend.copy_to_device(7.0)
    for schedule in (Constant(0.3), StepDecay(0.3, every=4), Cosine(0.3, total=20, warmup=5)):
        schedule(backend.xp, t)
        assert float(backend.to_numpy(t)) == 7.0


@pytest.mark.parametrize(
    ("name", "total", "expected"),
    [
        ("constant", 100, Constant(0.1)),
        ("step", 90, StepDecay(0.1, every=30, factor=0.1)),
        ("step", 100, StepDecay(0.1, every=34)),
        ("step", 1, StepDecay(0.1, every=1)),
        ("cosine", 100, Cosine(0.1, total=100, warmup=5)),
        ("cosine", 19, Cosine(0.1, total=19, warmup=0)),
    ],
)
def test_build_schedule_fits_the_run(name, total, expected):
    assert build_schedule(name, 0.1, total) == expected
    assert name in SCHEDULES


def test_an_unknown_schedule_lists_the_known_ones():
    with pytest.raises(InputError, match="schedule is 'linear', but must be one of: constant, step, cosine"):
        build_schedule("linear", 0.1, 10)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: StepDecay(0.1, every=2.5), "every is 2.5, but must be an integer at least 1"),
        (lambda: StepDecay(0.1, every=0), "every is 0, but must be an integer at least 1"),
        (lambda: StepDecay(0.1, every=5, factor=0.0), "factor is 0.0, but must be a number above 0"),
        (lambda: StepDecay(0.0, every=5), "learning rate is 0.0, but must be a number above 0"),
        (lambda: Cosine(0.1, total=10.5), "total is 10.5, but must be an integer at least 1"),
        (lambda: Cosine(0.1, total=0), "total is 0, but must be an integer at least 1"),
        (lambda: Cosine(0.1, total=10, warmup=0.5), "warmup is 0.5, but must be an integer at least 0"),
        (lambda: Cosine(0.1, total=10, warmup=-1), "warmup is -1, but must be an integer at least 0"),
        (lambda: Cosine(-0.1, total=10), "learning rate is -0.1, but must be a number above 0"),
    ],
)
def test_a_schedule_names_the_number_that_is_out_of_bounds(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_numbers_of_a_schedule_are_kept_as_python_numbers():
    step, cosine = StepDecay(1, every=3.0, factor=1), Cosine(1, total=9.0, warmup=2.0)
    assert [type(value) for value in (*vars(step).values(), *vars(cosine).values())] == [
        float, int, float, float, int, int,
    ]  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("rate", [0, -0.1, math.inf, math.nan, "fast"])
def test_a_rate_must_be_a_positive_number(name, rate):
    with pytest.raises(InputError, match=f"learning rate is {rate!r}, but must be a number above 0"):
        build_schedule(name, rate, 10)
