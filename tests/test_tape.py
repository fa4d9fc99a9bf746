"""Steps of NumPy that are recorded once and replayed: the same as those that are not, to the last bit."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest
from conftest import ReadOnlyNumpy

from xpmlp import SGD, Adam, AdamW, Cosine, ElasticNet, Layer, Network, Recipe, get_backend, initialize
from xpmlp.backends.numpy import tape_steps
from xpmlp.backends.numpy.tape import MIN_CLEARED, Tape, UnrecordableError
from xpmlp.backends.numpy.tape_steps import MAX_TAPES, MIN_MINIBATCHES, MIN_TAKEN, epoch_runner_on_tape
from xpmlp.data.examples import Examples, QuantizedExamples
from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.losses import LOSSES
from xpmlp.training import Trainer

N, D, M, K = 43, 7, 3, 4  # ten whole minibatches, and a rest of three
ALL = 2 * (N // K) - 1  # replays of two epochs, whose first minibatch is recorded
OWN = 2 * (N // K - 1)  # with functions of one's own, whose steps are recorded anew in each epoch

RECIPES = {
    "sgd": Recipe(SGD()),
    "momentum": Recipe(SGD(momentum=0.9)),
    "nesterov": Recipe(SGD(momentum=0.9, nesterov=True), Cosine(0.1, 30)),
    "adam": Recipe(Adam(), Cosine(0.01, 30)),
    "adamw": Recipe(AdamW()),
    "penalties": Recipe(SGD(), penalty=ElasticNet.build(3, l1=0.01, l2=[0.1, 0.0, 0.2]), penalised=True),
    "alpha": Recipe(SGD(), penalty=ElasticNet.build(3, alpha=0.1), penalised=True),
}


def network(activation="relu", loss="softmax", **options):
    return Network.build(D, [6, 5], M, activation=activation, loss=loss, **options)


@pytest.fixture
def examples(rng):
    return rng.random((N, D)), np.eye(M)[rng.integers(0, M, N)], rng.random((N, 1)), [rng.permutation(N) for _ in "ab"]


def trained(architecture, recipe, examples, dtype="float32", *, graphs, scaled=False, weighted=False):
    """The bytes of all that two epochs leave: weights, the optimiser's state, the counters."""
    X, T, weights, orders = examples
    backend = get_backend("numpy", dtype=dtype, graphs=graphs)
    trainer = Trainer(backend, architecture, replace(recipe, batch_size=K, seed=5))
    trainer.start(initialize(architecture, seed=3))
    pixels = QuantizedExamples(backend.asarray((255 * X).astype(np.uint8), dtype=None), backend.asarray([1 / 255]))
    given = pixels if scaled else backend.asarray(X)
    targets, counts = backend.asarray(T), backend.asarray(weights) if weighted else None
    for order in orders:
        trainer.run_epoch(Examples(given, targets, counts), order)
    _, *numbers = trainer.state
    arrays = [p for layer in trainer.layers for p in layer]
    arrays += [p for part in trainer.state.optimizer for p in part]
    return [np.asarray(x).tobytes() for x in [*arrays, *numbers]]


@pytest.fixture
def same(examples, monkeypatch):
    """Assert that a training on tapes leaves what one without does, and that the steps were replayed, or not."""
    replays, replay = [], Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda self: replays.append(replay(self)))

    def assert_same(architecture, recipe, dtype="float32", *, replayed=ALL, **how):
        replays.clear()
        one = trained(architecture, recipe, examples, dtype, graphs=True, **how)
        assert len(replays) == replayed
        assert one == trained(architecture, recipe, examples, dtype, graphs=False, **how)

    return assert_same


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", RECIPES)
def test_replayed_steps_leave_what_steps_as_they_are_do(same, name, dtype):
    same(network(), RECIPES[name], dtype)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaled", [False, True])
def test_so_they_do_with_8_bit_examples_weights_and_dropout(same, scaled, weighted):
    same(network("gelu", dropout=0.3, input_dropout=0.2), RECIPES["adam"], scaled=scaled, weighted=weighted)


@pytest.mark.parametrize("embedded", [None, [2], [0, 1, 4, 6]], ids=["all", "one", "apart"])
def test_so_they_do_with_periodic_embeddings(same, embedded):
    same(network(dropout=0.3, input_dropout=0.2, frequencies=3, embedded=embedded), RECIPES["adamw"])


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_so_they_do_with_every_activation_and_loss(same, activation, loss):
    same(network(activation, loss), RECIPES["sgd"])


def counting(calls):
    """A rectifier that counts how often Python comes by."""

    def function(xp, z):
        calls.append(1)
        return xp.maximum(z, xp.zeros_like(z))

    return Activation("counting", function, lambda xp, z, a: xp.astype(a > 0, z.dtype))


def test_python_comes_by_for_the_rehearsal_the_recording_and_the_rest_alone(examples):
    """In each epoch, as the function is not this package's; `test_values_that_change_...` is of one that is."""
    calls = []
    architecture = Network.build(D, [6], M, activation=counting(calls))
    trained(architecture, RECIPES["sgd"], examples, graphs=True)
    assert len(calls) == 2 * (2 + 1 + 1)  # recorded beside a plain step, replayed beside one; the rest
    calls.clear()
    trained(architecture, RECIPES["sgd"], examples, graphs=False)
    assert len(calls) == 2 * -(-N // K)


def of_values(xp, z):
    return z if float(xp.max(z)) < 1e9 else xp.zeros_like(z)


def by_index(xp, z):
    z[:, :1] = xp.exp(z[:, :1])
    return z


def picked(xp, z):
    return xp.concat([z[:, :1], z[:, np.arange(1, z.shape[1])]], axis=1)


def into_the_same(xp, z):
    a = xp.zeros_like(z)
    a += z
    return a


def clipped_in_place(xp, z):
    return xp.clip(z, -0.5, 0.5, out=z)


def mended_in_place(xp, z):
    return np.nan_to_num(z, copy=False)


def by_a_truth_value(xp, z):
    return z[True][0] * 2.0


@pytest.mark.parametrize(
    "function", [of_values, by_index, picked, into_the_same, clipped_in_place, mended_in_place, by_a_truth_value]
)
def test_what_cannot_be_recorded_is_computed_as_it_is(same, function):
    activation = Activation("one's own", function, lambda xp, z, a: xp.ones_like(a))  # noqa: ARG005 - as all derivatives
    same(network(activation), RECIPES["sgd"], replayed=0)


class Clipping(SGD):
    """Gradient descent on gradients that are clipped in place."""

    def update(self, xp, params, gradients, state, rate, t):
        return super().update(xp, params, [np.clip(g, -0.01, 0.01, out=g) for g in gradients], state, rate, t)


class Promoting(SGD):
    """Gradient descent that gives float64."""

    def update(self, xp, params, gradients, state, rate, t):  # noqa: ARG002 - as every optimiser
        return [p - np.float64(0.1) * g for p, g in zip(params, gradients, strict=True)], state


@pytest.mark.parametrize(("optimizer", "replayed"), [(Clipping(), 0), (Promoting(), ALL // 2)])  # then all is float64
def test_so_is_an_update_that_writes_by_a_function_or_changes_the_dtype(same, optimizer, replayed):
    same(network(), Recipe(optimizer), replayed=replayed)


@pytest.mark.parametrize("alike", [1, 2])
def test_what_a_replay_would_not_do_again_is_found_by_the_rehearsal(examples, alike):
    """In a function that changes with each call the recording differs from a plain step, later the replay does."""
    calls = []

    def function(xp, z):
        calls.append(1)
        return z * (1.0 / max(len(calls) % (2 + N // K) - alike + 1, 1))

    activation = Activation("one's own", function, lambda xp, z, a: xp.ones_like(a))  # noqa: ARG005 - as above
    trained(Network.build(D, [6], M, activation=activation), RECIPES["sgd"], examples, graphs=True)
    assert len(calls) == 2 * (1 + -(-N // K))


def test_indices_of_ones_own_may_be_negative(same):
    def function(xp, z):
        return z + xp.take(z, np.array([-1]), axis=1) + z[..., :1]

    activation = Activation("one's own", function, lambda xp, z, a: xp.ones_like(a))  # noqa: ARG005 - as above
    same(network(activation), RECIPES["sgd"], replayed=OWN)


def test_other_functions_of_numpy_are_recorded_too(same):
    def function(xp, z):
        return xp.where(z > 0, z, xp.abs(z)) + xp.mean(xp.squeeze(z[None, ...], axis=0), axis=1, keepdims=True)

    activation = Activation("one's own", function, lambda xp, z, a: xp.ones_like(a))  # noqa: ARG005 - as above
    same(network(activation), RECIPES["sgd"], replayed=OWN)


class Pure(SGD):
    """Gradient descent that writes to nothing."""

    def update(self, xp, params, gradients, state, rate, t):  # noqa: ARG002 - as every optimiser
        return [p - rate * g for p, g in zip(params, gradients, strict=True)], state


def test_an_optimiser_that_returns_new_arrays_is_replayed_where_the_old_ones_lie(same):
    same(network(), Recipe(Pure()), replayed=OWN)


def epoch_runner(step):
    """The steps of a function, on a tape; and how often it was called."""
    calls = []

    def counted(*arguments):
        calls.append(1)
        return step(*arguments)

    def plain(layers, state, examples, order, size):
        for start in range(0, len(order), size):
            layers, state = counted(layers, state, examples, order[start : start + size])
            yield layers, state, size

    return epoch_runner_on_tape(counted, plain), calls


def summing(layers, state, examples, rows):
    X, T, _ = examples
    state += np.sum(X.take(rows, axis=0) * T.take(rows, axis=0))
    return layers, state


def summed(steps, X, T, order=None):
    state = np.zeros(())
    list(steps([], state, Examples(X, T), np.arange(X.shape[0]) if order is None else order, 1))
    return float(state)


def test_values_that_change_where_they_lie_are_seen_and_other_arrays_are_not_taken_for_them(rng):
    steps, calls = epoch_runner(summing)
    X, T = rng.random((MIN_MINIBATCHES, 1)), rng.random((MIN_MINIBATCHES, 1))
    state = np.zeros(())
    for _ in range(3):
        X[:] = rng.random(X.shape)
        state[...] = 0.0
        list(steps([], state, Examples(X, T), np.arange(MIN_MINIBATCHES), 1))
        assert float(state) == pytest.approx(float((X * T).sum()))
    assert len(calls) == 3  # recorded beside a plain step, then replayed beside one
    for _ in range(MAX_TAPES + 2):
        X = rng.random((MIN_MINIBATCHES, 1))
        assert summed(steps, X, T) == pytest.approx(float((X * T).sum()))


def test_tapes_keep_nothing_alive_that_they_read(rng):
    steps, _ = epoch_runner(summing)
    T = rng.random((MIN_MINIBATCHES, 1))
    seen = []
    for _ in range(3):
        X = rng.random((MIN_MINIBATCHES, 1))
        seen.append(weakref.ref(X))
        summed(steps, X, T)
    del X
    assert [ref() for ref in seen] == [None] * 3


def test_the_tape_that_was_not_used_for_longest_makes_room(rng):
    steps, calls = epoch_runner(summing)
    T = rng.random((MIN_MINIBATCHES, 1))
    state, every = np.zeros(()), [rng.random((MIN_MINIBATCHES, 1)) for _ in range(MAX_TAPES + 1)]
    for X in [*every, every[1], every[0]]:
        list(steps([], state, Examples(X, T), np.arange(MIN_MINIBATCHES), 1))
    assert len(calls) == 2 + len(every) + 1  # the second one's is there, the first one's is not


def test_what_takes_much_memory_is_computed_as_it_is_and_tapes_share_a_bound(rng, monkeypatch):
    monkeypatch.setattr(tape_steps, "MAX_BYTES", 60)
    steps, calls = epoch_runner(summing)
    T = rng.random((20, 1))
    every = [rng.random((20, 1)) for _ in range(2)]
    held = Tape(np.zeros(1, dtype=np.int64))
    held.record(summing, [], np.zeros(()), Examples(every[0], T), held.rows)
    assert 30 < held.nbytes <= 60  # so there is room for one
    for X in [*every, *every]:
        assert summed(steps, X, T, np.arange(20)) == pytest.approx(float((X * T).sum()))
    assert len(calls) == 2 + 4
    monkeypatch.setattr(tape_steps, "MAX_BYTES", 7)  # less than the sum itself
    steps, calls = epoch_runner(summing)
    summed(steps, every[0], T)
    assert len(calls) == 20


def test_what_a_step_carries_is_not_counted_as_its_tapes_memory(same, monkeypatch):
    architecture = Network.build(D, [100, 100], M)
    parameters = 4 * architecture.n_parameters  # bytes in float32
    # Weights and Adam's means are 3 times as much, and the tape's memory less than 5: together it is more.
    monkeypatch.setattr(tape_steps, "MAX_BYTES", 5 * parameters)
    same(architecture, RECIPES["adam"])


def test_a_rest_or_a_target_too_few_is_an_error_as_without_a_tape(rng):
    steps, _ = epoch_runner(summing)
    with pytest.raises(IndexError):
        summed(steps, rng.random((20, 1)), rng.random((19, 1)))


def test_each_kind_of_arguments_is_rehearsed(rng):
    def looking(layers, state, examples, rows):
        weights = examples.weights
        if weights is not None and float(np.sum(weights.take(rows, axis=0))) < 0:
            return layers, state
        return summing(layers, state, examples, rows)

    steps, calls = epoch_runner(looking)
    X, state = rng.random((20, 1)), np.zeros(())
    list(steps([], state, Examples(X, X), np.arange(20), 1))
    assert len(calls) == 3
    *_, (_, state, _) = steps([], state, Examples(X, X, np.ones((20, 1))), np.arange(20), 1)
    assert float(state) == pytest.approx(2 * float((X * X).sum()))
    assert len(calls) == 3 + 1 + 20


@pytest.mark.parametrize("wrong", [-1, 9])
def test_rows_that_are_not_there_are_taken_as_numpy_takes_them(rng, wrong):
    steps, calls = epoch_runner(summing)
    X, order = rng.random((9, 1)), np.append(np.arange(8), wrong)
    if wrong == 9:
        with pytest.raises(IndexError):
            summed(steps, X, np.ones((9, 1)), order)
    else:
        assert summed(steps, X, np.ones((9, 1)), order) == pytest.approx(float(X.sum()))
    assert len(calls) == 9


def test_few_minibatches_are_not_worth_a_tape(rng):
    steps, calls = epoch_runner(summing)
    X, T = rng.random((MIN_MINIBATCHES - 1, 1)), rng.random((MIN_MINIBATCHES - 1, 1))
    assert summed(steps, X, T) == pytest.approx(float((X * T).sum()))
    assert len(calls) == MIN_MINIBATCHES - 1


def test_few_minibatches_of_many_epochs_are_and_so_is_the_rest_of_each(rng):
    steps, calls = epoch_runner(summing)
    X, T, state = rng.random((5, 1)), rng.random((5, 1)), np.zeros(())
    for _ in range(2 * MIN_TAKEN):
        X[:] = rng.random(X.shape)
        state[...] = 0.0
        taken = [rows for *_, rows in steps([], state, Examples(X, T), rng.permutation(5), 3)]
        assert taken == [3, 2]
        assert float(state) == pytest.approx(float((X * T).sum()))
    assert len(calls) == 2 * (MIN_TAKEN - 1 + 3)  # plain; recorded and replayed, each beside a plain step


def test_a_bound_call_sees_values_that_change_and_is_replayed_from_the_fourth_time_on(rng):
    x, y, calls = rng.random(5), rng.random(5), []

    def function(x, pair):
        calls.append(1)
        return np.sum(x * pair[0]), [x + pair[0]]

    bound = get_backend("numpy").bind(function, x, [y, None])
    for _ in range(6):
        x[:] = rng.random(5)
        total, (shifted,) = bound()
        assert float(total) == pytest.approx(float(x @ y))
        np.testing.assert_array_equal(shifted, x + y)
    assert len(calls) == 4  # plain, recorded, beside that, beside the first replay


@pytest.mark.parametrize("failing", range(5))
def test_a_bound_call_that_failed_is_called_again_as_before(rng, monkeypatch, failing):
    x, fails = rng.random(5), [False]

    def function(x):
        if fails[0] and len(called) == failing:
            raise MemoryError
        return x + 1.0

    replay = Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda tape: (function(x), replay(tape)))
    bound, called = get_backend("numpy").bind(function, x), []
    while len(called) < 6:
        x[:] = rng.random(5)
        if len(called) == failing and not fails[0]:
            fails[0] = True
            with pytest.raises(MemoryError):
                bound()
            fails[0] = False
        called.append(bound())
        np.testing.assert_array_equal(called[-1], x + 1.0)


def test_a_bound_call_that_looks_at_values_or_has_numbers_of_its_own_stays_plain(rng):
    x, numbers = rng.random(5), [0.0]
    looking = get_backend("numpy").bind(lambda x: x + 1.0 if float(np.sum(x)) > 0 else x, x)
    changing = get_backend("numpy").bind(lambda x: x + numbers[0], x)
    for numbers[0] in (0.0, 1.0, 2.0, 3.0, 4.0):
        x[:] = rng.normal(size=5)
        np.testing.assert_array_equal(looking(), x + 1.0 if x.sum() > 0 else x)
        np.testing.assert_array_equal(changing(), x + numbers[0])


def test_steps_that_are_left_early_go_on_where_they_were(rng):
    steps, _ = epoch_runner(summing)
    X, T = rng.random((20, 1)), np.ones((20, 1))
    state = np.zeros(())
    for number, _ in enumerate(steps([], state, Examples(X, T), np.arange(20), 1), start=1):
        if number == 12:
            break
    assert float(state) == pytest.approx(float(X[:12].sum()))
    list(steps([], state, Examples(X, T), np.arange(12, 20), 1))
    assert float(state) == pytest.approx(float(X.sum()))


def test_a_step_that_gives_its_arrays_back_in_another_order_is_not_recorded(rng):
    def swapping(layers, state, examples, rows):
        one, other = layers
        return [other, one], state

    steps, calls = epoch_runner(swapping)
    layers, X = [np.zeros(1), np.ones(1)], rng.random((9, 1))
    *_, ((one, other), _, _) = steps(layers, np.zeros(()), Examples(X, None), np.arange(9), 1)
    assert (float(one[0]), float(other[0])) == (1.0, 0.0)
    assert len(calls) == 1 + 9


def test_a_recorded_array_shows_its_values():
    assert Tape().record(repr, np.arange(2)) == "recorded array([0, 1])"


def test_memory_is_used_again_once_nobody_refers_to_what_was_in_it():
    tape, x = Tape(), np.arange(6.0)
    memories = set()

    def function(x):
        for _ in range(5):
            y = (x + 1.0) * 2.0
            memories.add(y.values.__array_interface__["data"][0])
            view = y[1:4]
            del y
            z = view + 0.5  # the view keeps the memory that it is of
            memories.add(z.values.__array_interface__["data"][0])
        return z

    result = tape.record(function, x)
    np.testing.assert_array_equal(result, [4.5, 6.5, 8.5])
    assert len(memories) <= 5
    x += 1.0
    tape.replay()
    np.testing.assert_array_equal(result, [6.5, 8.5, 10.5])


def test_what_nobody_reads_is_not_replayed():
    tape, x, total = Tape(), np.arange(6.0), np.zeros(())

    def function(x, total):
        y = x * 2.0
        half = y[:3]
        half += 1.0  # a view
        np.exp(x)
        unread = y - 1.0
        unread *= 3.0
        total += np.sum(x)
        return y

    result = tape.record(function, x, total)
    assert len(tape._calls) == 4
    x += 1.0
    tape.replay()
    np.testing.assert_array_equal(result, 2 * x + [1, 1, 1, 0, 0, 0])
    assert float(total) == 15 + 21


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_products_of_any_shape_are_replayed_to_the_same_bits(rng, rows):
    tape, x, W, b = Tape(), rng.random((rows, 300)), rng.random((300, 90)), rng.random(90)

    def function(x, W, b):
        z = np.dot(x, W) + b
        return z, np.dot(x.T, z), np.dot(z, W.T), np.dot(b, z.T), np.dot(b, b)

    results = tape.record(function, x, W, b)
    for array in (x, W, b):
        array[...] = rng.random(array.shape)
    tape.replay()
    for found, expected in zip(results, function(x, W, b), strict=True):
        assert found.tobytes() == np.asarray(expected).tobytes()


def test_a_large_product_of_more_dimensions_is_numpys_dot(rng):
    tape, x, W = Tape(), rng.random((2, 60, 30)), rng.random((5, 30, 40))
    result = tape.record(np.dot, x, W)
    assert result.nbytes > MIN_CLEARED
    x[...] = rng.random(x.shape)
    tape.replay()
    np.testing.assert_array_equal(result, np.dot(x, W))


def test_sums_and_products_of_any_layout_are_replayed_as_they_were(rng):
    tape, x, y = Tape(), rng.random((4, 3)), rng.random((4, 3))

    def function(x, y):
        transposed = (x.T * y.T) + 1
        sums = np.add.reduce(y, axis=1, keepdims=True)
        copies = x.T.copy(), x.T.astype(np.float32)
        return np.matmul(transposed, x), sums, np.maximum.reduce(copies[0]), transposed, *copies

    results = tape.record(function, x, y)
    x[:], y[:] = rng.random((4, 3)), rng.random((4, 3))
    tape.replay()
    for found, expected in zip(results, function(x, y), strict=True):
        assert found.tobytes() == expected.tobytes()
        assert found.strides == expected.strides


@pytest.mark.parametrize("look", [bool, float, int, len, list, np.asarray, lambda x: x[x], np.add.accumulate, np.modf])
def test_a_look_at_values_or_a_call_without_a_rule_ends_the_recording(look):
    with pytest.raises(UnrecordableError):
        Tape().record(look, np.ones(3))


def test_a_step_with_read_only_examples_is_recorded(examples):
    X, T, _, orders = examples
    calls = []
    backend = ReadOnlyNumpy(dtype="float64")
    architecture = Network.build(D, [6], M, activation=counting(calls))
    trainer = Trainer(backend, architecture, Recipe(SGD(), batch_size=K))
    trainer.start([Layer(W, b) for W, b in initialize(architecture, seed=3)])
    trainer.run_epoch(Examples(backend.asarray(X), backend.asarray(T)), orders[0])
    assert len(calls) == 2 + 1 + 1


def test_a_loss_of_ones_own_is_recorded(same):
    loss = replace(LOSSES["squared"], name="own", terms=lambda xp, u, T: xp.log1p((u - T) ** 2))
    same(network(loss=loss), RECIPES["sgd"], replayed=OWN)
