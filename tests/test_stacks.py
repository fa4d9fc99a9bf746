"""Stacks: many networks of one shape, by the calculus of one."""

import re
import weakref
from dataclasses import replace

import numpy as np
import pytest
from devices import GraphNumpy
from links import ROOT
from ranks import on_ranks
from references import problem, targets

from xpmlp import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    DivergenceError,
    InputError,
    Member,
    Recipe,
    StepDecay,
    XpmlpWarning,
    get_backend,
    initialize,
    train,
    train_many,
)
from xpmlp.backends.numpy.tape import Tape
from xpmlp.data.examples import Examples
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.gradcheck import check_gradients
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.members import PerMember, join
from xpmlp.nn.network import MODES, Layer, Network, bprop, fprop, gradient_function
from xpmlp.nn.regularization import ElasticNet
from xpmlp.training import Trainer

PAGE = ROOT / "docs" / "stack.md"
M, K, SIZES = 3, 5, (4, [6, 3], 2)


def stacked(rng, network, loss, *, own):
    """Draw the members of a stack: their layers, one by one and stacked, with shared or own examples."""
    drawn = [problem(rng, network.sizes, loss, K) for _ in range(M)]
    members = [[Layer(*pair) for pair in each.layers] for each in drawn]
    layers = [Layer(*map(np.stack, zip(*pairs, strict=True))) for pairs in zip(*members, strict=True)]
    if own:
        return members, layers, np.stack([each.X for each in drawn]), np.stack([each.T for each in drawn])
    return members, layers, drawn[0].X, targets(loss, rng, K, network.n_targets)


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
    arrays = backend.asarray(X), backend.asarray(T)
    found = check_gradients(backend, network, layers, *arrays, penalty=penalty, mode=mode)
    assert len(found.parameters) == M * network.n_parameters
    assert found.passed


N = 43  # examples, of which the last minibatch of an epoch has fewer


def data(rng):
    """Draw two classes with some noise, which no network learns by heart at once."""
    X = rng.normal(size=(N, 2))
    y = (X[:, 0] * X[:, 1] + 0.3 * rng.normal(size=N) > 0).astype(int)
    return X, np.eye(2)[y]


def alone(backend, member, X, T, evaluate):
    """Train a member by itself: its last record."""
    rows = slice(None) if member.rows is None else member.rows
    weights = None if member.weights is None else backend.asarray(backend.to_numpy(member.weights)[rows])
    arrays = backend.asarray(X[rows]), backend.asarray(T[rows])
    network, layers, recipe, *_ = member
    *_, record = train(backend, network, layers, *arrays, recipe, evaluate=evaluate, weights=weights)
    return record


NETWORK = Network.build(2, 5, 2, activation="tanh")
RULES = {
    "sgd": lambda m: Recipe(SGD(), Constant(0.1 * (m + 1)), seed=m),
    "one seed": lambda m: Recipe(SGD(), Constant(0.1 * (m + 1)), seed=7),
    "momentum": lambda m: Recipe(SGD(0.3 * m), StepDecay(0.1, 2 + m, 0.5 + 0.1 * m), seed=m),
    "nesterov": lambda m: Recipe(SGD(0.5 + 0.1 * m, nesterov=True), Cosine(0.1 + 0.1 * m, 9 + m, m), seed=m),
    "adam": lambda m: Recipe(Adam(), Cosine(0.01, 9 + m), seed=m),
    "adamw": lambda m: Recipe(AdamW(weight_decay=0.1 * m), Constant(0.01 * (m + 1)), seed=m),
    "penalties": lambda m: Recipe(
        Adam(),
        Constant(0.05),
        ElasticNet((0.0, 0.01 * m), (0.1 * m, 0.1), alpha=0.1 * m),
        seed=m,
        penalised=True,
    ),
    "loop": lambda m: Recipe(SGD(0.9), Constant(0.1 * (m + 1)), seed=m, mode="loop"),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_member_of_a_stack_ends_with_the_weights_of_the_network_trained_alone(backend, rng, rule):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    recipes = [replace(RULES[rule](m), batch_size=10, epochs=4) for m in range(M)]
    members = [Member(NETWORK, initialize(NETWORK, seed=m), recipe) for m, recipe in enumerate(recipes)]
    evaluate = {"all": arrays}
    *_, records = train_many(backend, members, *arrays, evaluate=evaluate)
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X, T, evaluate))


def check_same(backend, record, expected):
    """Assert that two records tell the same, to rounding."""
    assert (record.epoch, record.best_epoch) == (expected.epoch, expected.best_epoch)
    assert record.learning_rate == pytest.approx(expected.learning_rate, rel=1e-10)
    assert record.loss == pytest.approx(expected.loss, rel=1e-10)
    assert record.scores["all"].loss == pytest.approx(expected.scores["all"].loss, rel=1e-10)
    np.testing.assert_equal(record.scores["all"].accuracy, expected.scores["all"].accuracy)
    for layer, layer_alone in zip(record.selected.layers, expected.selected.layers, strict=True):
        for p, p_alone in zip(layer, layer_alone, strict=True):
            np.testing.assert_allclose(backend.to_numpy(p), backend.to_numpy(p_alone), rtol=1e-10, atol=1e-12)


def test_each_member_may_have_its_own_dropout_and_weights_of_the_examples(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    members = []
    for m in range(M):
        network = Network.build(2, [5, 3], 2, dropout=[0.2 * m, 0.1], input_dropout=0.1 * (m > 1))
        weights = backend.asarray(rng.integers(1, 4, size=(N, 1)) * 1.0) if m else None
        recipe = Recipe(SGD(), Constant(0.1), batch_size=10, epochs=3, seed=m)
        members.append(Member(network, initialize(network, seed=m), recipe, weights=weights))
    *_, records = train_many(backend, members, *arrays, evaluate={"all": arrays})
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X, T, {"all": arrays}))


def test_each_member_may_have_its_own_rows_and_a_stack_holds_those_with_as_many(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    parts = np.array_split(rng.permutation(N), 3)
    folds = [np.setdiff1d(np.arange(N), part) for part in parts]  # of 28 and 29 rows
    recipe = Recipe(SGD(0.9), Constant(0.1), batch_size=10, epochs=3)
    weights = backend.asarray(rng.integers(1, 4, size=(N, 1)) * 1.0)
    members = [Member(NETWORK, initialize(NETWORK, seed=m), recipe, folds[m], weights) for m in range(3)]
    *_, records = train_many(backend, members, *arrays, evaluate={"all": arrays})
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X, T, {"all": arrays}))


def test_a_member_that_has_ended_keeps_its_record_while_the_others_go_on(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    epochs = [1, 6, 2, 5]
    members = [
        Member(NETWORK, initialize(NETWORK, seed=m), Recipe(Adam(), Constant(0.05), batch_size=5, epochs=n, seed=m))
        for m, n in enumerate(epochs)
    ]
    lists = list(train_many(backend, members, *arrays, evaluate={"all": arrays}))
    assert [[record.epoch for record in records] for records in lists] == [
        [min(epoch, n) for n in epochs] for epoch in range(1, 7)
    ]
    for m, member in enumerate(members):
        check_same(backend, lists[-1][m], alone(backend, member, X, T, {"all": arrays}))


def sizes_of_stacks(monkeypatch):
    """Write down how many members each trainer is started with; 1 for a network that is no stack."""
    sizes, start = [], Trainer.start

    def noted(self, layers, *others):
        sizes.append(layers[0].W.shape[0] if layers[0].W.ndim == 3 else 1)
        return start(self, layers, *others)

    monkeypatch.setattr(Trainer, "start", noted)
    return sizes


def test_a_stack_shrinks_when_an_eighth_of_it_has_ended(rng, monkeypatch):
    sizes = sizes_of_stacks(monkeypatch)
    members = [
        Member(NETWORK, initialize(NETWORK, seed=m), Recipe(SGD(), batch_size=10, epochs=min(m, 6)))
        for m in (1, *range(3, 12))
    ]
    list(train_many(get_backend("numpy", dtype="float64"), members, *data(rng)))
    assert sizes == [10, 8, 7, 6]  # after epochs 3, with two ended of ten, 4 and 5


def test_more_members_than_are_best_trained_as_one_are_several_stacks(rng, monkeypatch):
    backend, (X, T) = get_backend("numpy", dtype="float64"), data(rng)
    sizes = sizes_of_stacks(monkeypatch)
    monkeypatch.setattr(type(backend), "stack_size", lambda *_: 3)
    recipe = Recipe(SGD(), Constant(0.1), batch_size=10, epochs=2)
    members = [Member(NETWORK, initialize(NETWORK, seed=m), replace(recipe, seed=m)) for m in range(7)]
    *_, records = train_many(backend, members, X, T, evaluate={"all": (X, T)})
    assert sizes == [2, 2, 3]
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X, T, {"all": (X, T)}))


def test_a_cpu_takes_as_many_networks_at_once_as_its_cache_holds_and_a_gpu_more():
    backend = get_backend("numpy")
    assert backend.stack_size((784, 50, 10), 256) == 1
    assert backend.stack_size((784, 2048, 10), 256) == 1
    assert (
        backend.stack_size((64, 64, 10), 64)
        > 2 * get_backend("numpy", dtype="float64").stack_size((64, 64, 10), 64) - 2
    )
    assert backend.stack_size((2, 5, 2), 10) == backend.max_stack
    on_gpu = get_backend("numpy")
    on_gpu.device_name = "cuda:0"
    assert on_gpu.stack_size((784, 2048, 10), 256) == backend.max_stack


def test_patience_ends_each_member_by_its_own_validation_loss(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X[:30]), backend.asarray(T[:30])
    evaluate = {"all": arrays, "validation": (backend.asarray(X[30:]), backend.asarray(T[30:]))}
    common = Recipe(Adam(), batch_size=5, epochs=40)
    recipes = [
        replace(common, schedule=Constant(0.1 * (m + 1)), seed=m, patience=m + 1, min_delta=0.001 * m) for m in range(4)
    ]
    members = [Member(NETWORK, initialize(NETWORK, seed=m), recipe) for m, recipe in enumerate(recipes)]
    *_, records = train_many(backend, members, *arrays, evaluate=evaluate)
    assert len({record.epoch for record in records}) > 1
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X[:30], T[:30], evaluate))


def test_records_of_earlier_epochs_do_not_keep_the_weights_of_their_whole_stacks(rng, monkeypatch):
    backend, (X, T) = get_backend("numpy", dtype="float64"), data(rng)
    kept, copy_layers = [], Trainer.copy_layers

    def noted(self):
        layers = copy_layers(self)
        if layers[0].W.ndim == 3:
            kept.append(weakref.ref(layers[0].W))
        return layers

    monkeypatch.setattr(Trainer, "copy_layers", noted)
    members = [
        Member(NETWORK, initialize(NETWORK, seed=m), Recipe(Adam(), Constant(rate), batch_size=5, epochs=n, patience=9))
        for m, (rate, n) in enumerate([(1e-3, 12), (0.3, 12), (1.0, 12), (0.1, 9), (1e308, 12)])
    ]
    evaluate, records = {"validation": (X[30:], T[30:])}, []
    with np.errstate(all="ignore"):
        for now in train_many(backend, members, X[:30], T[:30], evaluate=evaluate):
            records = now
            assert sum(each() is not None for each in kept) <= 2
    assert len({record.best_epoch for record in records[:4]}) > 2
    assert isinstance(records[4], DivergenceError)


def test_in_place_of_a_member_that_has_diverged_stands_its_error(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    network = Network.build(2, 5, 2, activation="identity", loss="squared")
    rates = [0.01, 1e3, 0.02]
    members = [
        Member(network, initialize(network, seed=m), Recipe(SGD(), Constant(rate), batch_size=1, epochs=4))
        for m, rate in enumerate(rates)
    ]
    for records in train_many(backend, members, *arrays):
        assert isinstance(records[1], DivergenceError)
        assert records[1].record is None
        assert "training diverged in epoch 1" in str(records[1])
    assert [records[m].epoch for m in (0, 2)] == [4, 4]


def test_members_of_all_kinds_are_trained_in_as_many_stacks_as_it_takes(backend, rng):
    X, T = data(rng)
    arrays = backend.asarray(X), backend.asarray(T)
    wide, linear = Network.build(2, 9, 2), Network.build(2, [], 2)
    cases = [
        (NETWORK, Recipe(SGD(), Constant(0.1))),
        (wide, Recipe(SGD(), Constant(0.1))),
        (NETWORK, Recipe(Adam(), Constant(0.1))),
        (NETWORK, Recipe(SGD(), Cosine(0.1, 9))),
        (linear, Recipe(SGD(), Constant(0.1), batch_size=7)),
        (NETWORK, Recipe(SGD(), Constant(0.2), seed=3)),
        (NETWORK, Recipe(SGD(0.5, nesterov=True), Constant(0.2))),
    ]
    members = [
        Member(network, initialize(network, seed=m), replace(recipe, batch_size=min(recipe.batch_size, 10), epochs=2))
        for m, (network, recipe) in enumerate(cases)
    ]
    *_, records = train_many(backend, members, *arrays, evaluate={"all": arrays})
    for member, record in zip(members, records, strict=True):
        check_same(backend, record, alone(backend, member, X, T, {"all": arrays}))


def test_scores_of_real_targets_are_those_of_each_member(backend, rng):
    X, T = rng.normal(size=(N, 2)), rng.normal(size=(N, 2))
    arrays = backend.asarray(X), backend.asarray(T)
    network = Network.build(2, 5, 2, loss="squared")
    recipe = Recipe(SGD(), Constant(0.1), batch_size=10, epochs=2)
    members = [Member(network, initialize(network, seed=m), recipe) for m in range(M)]
    options = {"evaluate": {"all": arrays}, "units": [2.0, 3.0]}
    *_, records = train_many(backend, members, *arrays, **options)
    for member, record in zip(members, records, strict=True):
        *_, expected = train(backend, network, member.layers, *arrays, recipe, **options)
        found = record.scores["all"]
        assert (found.r2, found.rmse, found.mae) == pytest.approx(
            (expected.scores["all"].r2, expected.scores["all"].rmse, expected.scores["all"].mae), rel=1e-10
        )


def test_networks_with_functions_of_the_users_own_are_trained_one_by_one(rng):
    def of_columns(xp, z):
        return z - xp.max(z, axis=1, keepdims=True)  # as written for one network: of a stack it would be the examples'

    backend, (X, T) = get_backend("numpy", dtype="float64"), data(rng)
    own = replace(LOSSES["squared"], normalise=of_columns)
    networks = [Network.build(2, 5, 2, loss=own) for _ in range(2)]
    recipe = Recipe(SGD(), Constant(0.01), batch_size=10, epochs=2)
    members = [Member(network, initialize(network, seed=m), recipe) for m, network in enumerate(networks)]
    *_, records = train_many(backend, members, X, T, evaluate={"all": (X, T)})
    for member, record in zip(members, records, strict=True):
        *_, expected = train(backend, member.network, member.layers, X, T, recipe, evaluate={"all": (X, T)})
        check_same(backend, record, expected)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "there are no members: give at least one network to train"),
        ([Member(NETWORK, initialize(NETWORK), Recipe(), np.array([0, N]))], "the rows of member 0 must be"),
        (
            [Member(NETWORK, initialize(NETWORK), Recipe(), np.array([]))],
            "the rows of member 0 must be one or more integers",
        ),
        (
            [Member(each, initialize(each), Recipe()) for each in (NETWORK, Network.build(3, 5, 2))],
            "have shape .*, but the network takes",
        ),
        ([Member(NETWORK, initialize(NETWORK), Recipe(patience=1))], "patience waits for a better loss"),
        ([Member(NETWORK, initialize(NETWORK), Recipe(), weights=np.ones(N))], "the weights of member 0 have shape"),
        (
            [Member(NETWORK, initialize(NETWORK), Recipe(), weights=[1.0] * N)],
            "the weights of member 0 are an array of builtins",
        ),
        (
            [Member(NETWORK, initialize(NETWORK), Recipe(), weights=np.full((N, 1), np.nan))],
            "the weights of member 0 must be numbers of at least 0",
        ),
        ([Member(NETWORK, initialize(Network.build(2, 4, 2)), Recipe())], "which are not those of a network 2-5-2"),
        (
            [Member(NETWORK, [Layer(W[None], b[None]) for W, b in initialize(NETWORK)], Recipe())],
            "the weights of member 0 are those of a stack",
        ),
    ],
)
def test_members_that_cannot_be_trained_are_refused_before_anything_is(members, message, rng):
    backend = get_backend("numpy", dtype="float64")
    with pytest.raises(InputError, match=message):
        train_many(backend, members, *data(rng))


def test_weights_of_examples_in_another_dtype_are_refused(rng):
    backend = get_backend("numpy", dtype="float32")
    arrays = [backend.asarray(array) for array in data(rng)]
    with pytest.raises(InputError, match=r"the training weights are an array of numpy, float64, but .* computes"):
        train(backend, NETWORK, initialize(NETWORK), *arrays, Recipe(batch_size=10), weights=np.ones((N, 1)))


def test_the_targets_have_to_fit_the_loss_of_every_member(rng):
    backend, networks = get_backend("numpy", dtype="float64"), [NETWORK, Network.build(2, 5, 2, loss="squared")]
    for those in (networks, networks[::-1]):
        members = [Member(each, initialize(each), Recipe(batch_size=10)) for each in those]
        with pytest.raises(InputError, match="but loss softmax needs probabilities"):
            train_many(backend, members, *rng.normal(size=(2, N, 2)))


def test_the_warning_of_a_large_batch_names_the_line_that_trains(rng):
    members = [Member(NETWORK, initialize(NETWORK), Recipe(batch_size=N + 1))]
    with pytest.warns(XpmlpWarning, match=f"batch size {N + 1} is above the {N} training examples") as found:
        train_many(get_backend("numpy", dtype="float64"), members, *data(rng))
    assert [each.filename for each in found] == [__file__]


def stacked_recipe(m):
    """Give the recipe of a member, which has its own of all that it may have."""
    penalty, rule = ElasticNet((0.01 * m, 0.0)), AdamW(weight_decay=0.1 * m)
    return Recipe(rule, Cosine(0.01 * (m + 1), 15, 2), penalty, seed=m, batch_size=4)


STACKED_RECIPE = join(list(map(stacked_recipe, range(M))))
STACKED_NETWORK = join([Network.build(2, 5, 2, dropout=0.1 * m) for m in range(M)])


def trained(backend, communicator=None, *, own=True):
    """Train a stack for two epochs, with own orders or shared ones: its weights, its state and its readings."""
    rng = np.random.default_rng(3)
    X, T = data(rng)
    weights = rng.integers(1, 4, size=(M, N, 1) if own else (N, 1)) * 1.0
    examples = Examples(*(backend.copy_to_device(array) for array in (X, T, weights)))
    trainer = Trainer(backend, STACKED_NETWORK, STACKED_RECIPE, communicator)
    drawn = zip(*(initialize(STACKED_NETWORK, seed=m) for m in range(M)), strict=True)
    trainer.start([Layer(*map(np.stack, zip(*layers, strict=True))) for layers in drawn])
    for rates in (1.0, [0.5, 1.0, 2.0]):
        orders = np.stack([rng.permutation(N) for _ in range(M)])
        assert trainer.run_epoch(examples, orders if own else orders[0], rate=rates) == N
    arrays = [p for layer in trainer.copy_layers() for p in layer]
    arrays += [p for part in trainer.state.optimizer for p in part]
    readings = [(reading.loss, reading.rate) for reading in trainer.read({})]
    return [*map(backend.to_numpy, [*arrays, *trainer.state[1:]]), np.array(readings)]


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_a_tape_of_a_stack_leaves_the_bytes_that_its_steps_leave(own, monkeypatch):
    replays, replay = [], Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda self: replays.append(replay(self)))
    found = trained(get_backend("numpy"), own=own)
    assert len(replays) == 2 * (N // 4) - 1  # all whole minibatches but the first, which is recorded
    for one, other in zip(found, trained(get_backend("numpy", graphs=False), own=own), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_graphs_take_a_stack_as_they_take_a_network(own):
    found, expected = (trained(GraphNumpy(graphs=graphs), own=own) for graphs in (True, False))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_jax_scans_over_the_minibatches_of_a_stack_on_a_gpu():
    pytest.importorskip("jax", reason="this is about jax")
    backend = get_backend("jax")
    backend.device_name = "cuda:0"
    for one, other in zip(trained(backend), trained(get_backend("jax")), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("own", [False, True], ids=["shared", "own"])
def test_ranks_share_the_minibatches_of_a_stack(own):
    backend = get_backend("numpy", dtype="float64")
    expected = trained(backend, own=own)
    for found in on_ranks(2, lambda ranks: trained(backend, ranks, own=own)):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


def test_rules_join_to_one_with_a_number_for_each_member_where_they_differ():
    assert join([SGD(0.1), SGD(0.1)]) == SGD(0.1)
    assert join([SGD(0.1), SGD(0.2)]) == SGD(PerMember((0.1, 0.2)))
    assert join([ElasticNet((0.1, 0.2)), ElasticNet((0.1, 0.3))]) == ElasticNet((0.1, PerMember((0.2, 0.3))))
    joined = join([Recipe(SGD(), Constant(0.1), seed=1), Recipe(SGD(), Constant(0.2), seed=1)])
    assert joined == Recipe(SGD(), Constant(PerMember((0.1, 0.2))), seed=1)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((SGD(), Adam()), r"SGD\(.*\) and Adam\(.*\), but may differ in momentum alone"),
        ((SGD(0.9), SGD(0.9, nesterov=True)), "but may differ in momentum alone: train them in two stacks"),
        ((Adam(0.8), Adam(0.9)), "but may differ in none of their numbers alone"),
        ((ElasticNet(), ElasticNet((0.1, 0.1))), "but may differ in l1 and l2 and alpha alone"),
        ((Network.build(2, 3, 2), Network.build(2, 4, 2)), "but may differ in dropout alone"),
        ((Recipe(batch_size=3), Recipe(batch_size=4)), "but may differ in optimizer and schedule and penalty and seed"),
    ],
)
def test_rules_that_differ_in_more_are_those_of_two_stacks(parts, message):
    with pytest.raises(InputError, match=message):
        join(parts)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda: SGD(PerMember((0.1, 2.0))), "momentum is 2.0, but must be"),
        (lambda: Constant(PerMember((0.1, -1.0))), "learning rate is -1.0"),
        (lambda: ElasticNet((PerMember((-2.0, 0.1)),)), "l1 is -2.0, but must be a number at least 0"),
    ],
)
def test_the_numbers_of_each_member_are_checked(rule, message):
    with pytest.raises(InputError, match=message):
        rule()


def test_the_code_of_the_page_on_stacks_runs():
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    names = {}
    exec(compile(code, "stack.md", "exec"), names)  # noqa: S102 - it is our own page
    assert names["records"][names["best"]].scores["all"].accuracy > 0.9


@pytest.mark.parametrize("m", [None, 2])
def test_weights_of_another_number_of_members_than_the_recipe_has_are_refused(m):
    recipe = Recipe(SGD(), Constant(PerMember((0.1, 0.2, 0.3))))
    layers = [Layer(*(p if m is None else np.stack([p] * m) for p in layer)) for layer in initialize(NETWORK)]
    given = "one network" if m is None else "a stack of 2"
    with pytest.raises(InputError, match=f"the weights are those of {given}, but the recipe or the dropout is of 3"):
        Trainer(get_backend("numpy"), NETWORK, recipe).start(layers)
