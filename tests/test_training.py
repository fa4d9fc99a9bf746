"""The training loop: the same on every backend, one look at the device an epoch, and no bad weights kept."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from conftest import open_backend
from references import mean_loss, summed_gradients

from xpmlp import (
    ACTIVATIONS,
    LOSSES,
    SGD,
    Activation,
    Adam,
    AdamW,
    Constant,
    Cosine,
    DivergenceError,
    ElasticNet,
    InputError,
    Layer,
    MLPClassifier,
    Model,
    Network,
    Recipe,
    Scaling,
    StepDecay,
    XpmlpWarning,
    check_gradients,
    initialize,
    train,
)
from xpmlp.backends.elementwise import replacing
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.data.examples import Examples
from xpmlp.nn.activations import d_identity, identity
from xpmlp.nn.losses import huber, quantile
from xpmlp.nn.optimizers import SGDState
from xpmlp.training import Trainer, loop, steps_per_epoch
from xpmlp.training.scoring import make_scorer, outputs, score_rows

N, D, M = 103, 6, 3


def blobs(n=N, seed=0):
    """Three Gaussian clouds: examples and one-hot targets."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, M, n)
    return rng.normal(size=(n, D)) + 2.0 * np.eye(M, D)[y], np.eye(M)[y]


def network(**changes):
    return Network.build(**{"n_inputs": D, "hidden": [8], "n_outputs": M, "activation": "tanh"} | changes)


def run(backend, recipe, *, net=None, evaluate=(), **hooks):
    """Train on the blobs; all records."""
    net = net or network()
    X, T = (backend.asarray(values) for values in blobs())
    sets = {name: tuple(backend.asarray(values) for values in blobs(40, seed)) for name, seed in evaluate}
    return list(train(backend, net, initialize(net, seed=3), X, T, recipe, evaluate=sets, **hooks))


def step_by_step(backend):
    """The same backend without graphs, which take many steps at once."""
    return type(backend)(dtype=backend.dtype, graphs=False)


def weights(backend, record):
    return [backend.to_numpy(p) for layer in record.layers for p in layer]


RECIPES = {
    "sgd": Recipe(SGD(), Constant(0.1), batch_size=10, epochs=3),
    "nesterov": Recipe(SGD(0.9, nesterov=True), Constant(0.02), batch_size=10, epochs=3),
    "elastic net": Recipe(SGD(), Constant(0.1), ElasticNet((1e-3, 0.0), (1e-2, 1e-3)), batch_size=10, epochs=3),
    "step decay": Recipe(SGD(), StepDecay(0.1, every=7, factor=0.3), batch_size=2, epochs=3),
    "adam": Recipe(Adam(), Cosine(0.01, total=33, warmup=3), batch_size=10, epochs=3),
    "adamw": Recipe(AdamW(weight_decay=0.1), Constant(0.01), batch_size=10, epochs=3, seed=5),
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_weights_on_every_backend(backend, name):
    reference = open_backend("numpy")
    expected = weights(reference, run(reference, RECIPES[name])[-1])
    for found, wanted in zip(weights(backend, run(backend, RECIPES[name])[-1]), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-12)


def test_the_loop_learns_what_the_matrix_learns(backend):
    changes = {"batch_size": 20, "epochs": 1}
    matrix = run(backend, Recipe(SGD(), Constant(0.1), **changes))[-1]
    loop = run(backend, Recipe(SGD(), Constant(0.1), mode="loop", **changes))[-1]
    assert loop.loss == pytest.approx(matrix.loss, rel=1e-12)
    for found, wanted in zip(weights(backend, loop), weights(backend, matrix), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_stay_in_the_backends_dtype_and_on_its_device(backend_name, dtype):
    backend = open_backend(backend_name, dtype)
    (record,) = run(backend, Recipe(Adam(), Cosine(0.01, total=4), batch_size=30, epochs=1))
    for layer in record.layers:
        for p in layer:
            assert backend.holds(p)
            assert backend.on_device(p)
            assert p.dtype == backend.float_dtype


def test_training_fits_the_blobs(backend32):
    records = run(backend32, Recipe(Adam(), Constant(0.02), batch_size=16, epochs=10), evaluate=[("new", 9)])
    assert records[-1].loss < 0.5 * records[0].loss
    assert records[-1].scores["new"].accuracy > 0.8


def test_one_record_an_epoch_tells_what_happened(backend):
    records = run(backend, Recipe(SGD(), Cosine(0.1, total=22), batch_size=10, epochs=2), evaluate=[("a", 1), ("b", 2)])
    assert [record.epoch for record in records] == [1, 2]
    assert all(record.examples == N and record.complete for record in records)
    assert 0 < records[0].seconds < records[1].seconds
    taken = [record.examples / record.examples_per_second for record in records]  # by each epoch alone
    assert taken[0] <= records[0].seconds
    assert sum(taken) <= records[-1].seconds
    assert records[0].learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 10 / 22)))
    assert list(records[0].scores) == ["a", "b"]


def test_a_recipe_takes_adam_minibatches_of_64_and_20_epochs_where_nothing_is_said():
    assert Recipe() == Recipe(Adam(), Constant(1e-3), ElasticNet(), batch_size=64, epochs=20, seed=0)


def test_a_record_and_its_scores_cannot_be_changed():
    (record,) = run(open_backend("numpy"), Recipe(epochs=1), evaluate=[("new", 1)])
    for value, name in ((record, "loss"), (record.scores["new"], "accuracy"), (Recipe(), "epochs")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, 0)


def test_scores_are_means_over_the_set_under_the_weights_of_the_record(backend):
    record = run(backend, Recipe(SGD(), Constant(0.1), batch_size=10, epochs=1), evaluate=[("a", 1)])[-1]
    X, T = blobs(40, 1)
    W1, b1, W2, b2 = weights(backend, record)
    logits = np.tanh(X.dot(W1) + b1).dot(W2) + b2
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert record.scores["a"].loss == pytest.approx(-(T * log_probability).sum() / 40, rel=1e-10)
    assert record.scores["a"].accuracy == (logits.argmax(axis=1) == T.argmax(axis=1)).mean()


def test_the_loss_of_a_record_is_the_mean_under_the_weights_of_each_step(backend):
    record = run(backend, Recipe(SGD(), Constant(1e-30), batch_size=7, epochs=1), evaluate=[])[-1]
    X, T = blobs()
    net = network()
    layers = [Layer(backend.asarray(W), backend.asarray(b)) for W, b in initialize(net, seed=3)]
    from xpmlp import fprop

    u = fprop(backend.xp, net, layers, backend.asarray(X)).u
    mean = float(net.loss.value(backend.xp, u, backend.asarray(T))) / N
    assert record.loss == pytest.approx(mean, rel=1e-10)


def test_real_valued_targets_have_a_loss_and_no_accuracy(backend):
    net = network(loss="squared")
    record = run(backend, Recipe(SGD(), Constant(0.01), epochs=1), net=net, evaluate=[("a", 1)])[-1]
    assert record.scores["a"].loss > 0
    assert np.isnan(record.scores["a"].accuracy)


def test_each_epoch_synchronises_with_the_host_once(backend_name):
    backend = open_backend(backend_name)
    reads = []
    to_numpy = backend.to_numpy
    backend.to_numpy = lambda x: reads.append(tuple(x.shape)) or to_numpy(x)
    run(backend, Recipe(Adam(), Constant(0.01), batch_size=10, epochs=4), evaluate=[("a", 1), ("b", 2)])
    checks = [(), (), (4,)] * 3  # of X and T of three sets, before the first epoch
    assert reads == checks + [(9,)] * 4  # loss, finite, rate and the three sums of two sets


def test_what_the_host_can_do_beside_an_epoch_is_done_before_it_waits_for_it(monkeypatch):
    """A device computes meanwhile: the order of the next epoch, and copies for the record."""
    log, of_seed, read, copy = [], loop.make_generator, Trainer.read, Trainer.copy_layers

    class Order:
        def __init__(self, *key):
            self.permutation = lambda n: log.append("order") or of_seed(*key).permutation(n)

    monkeypatch.setattr(loop, "make_generator", Order)
    monkeypatch.setattr(Trainer, "read", lambda *a: log.append("read") or read(*a))
    monkeypatch.setattr(Trainer, "copy_layers", lambda *a: log.append("copy") or copy(*a))
    run(NumpyBackend(), Recipe(SGD(), Constant(0.1), epochs=3))
    assert log == ["order", *["order", "copy", "read"] * 3]


def test_initial_weights_and_records_are_not_written_to(backend):
    net = network()
    initial = initialize(net, seed=3)
    before = [p.copy() for layer in initial for p in layer]
    X, T = (backend.asarray(values) for values in blobs())
    records = train(backend, net, initial, X, T, Recipe(SGD(), Constant(0.1), epochs=2))
    first = next(records)
    kept = weights(backend, first)
    next(records)
    for array, wanted in zip([p for layer in initial for p in layer], before, strict=True):
        np.testing.assert_array_equal(array, wanted)
    for array, wanted in zip(weights(backend, first), kept, strict=True):
        np.testing.assert_array_equal(array, wanted)


def test_training_goes_on_from_weights_of_the_backend(backend):
    net = network()
    X, T = (backend.asarray(values) for values in blobs())
    recipe = Recipe(SGD(), Constant(0.1), epochs=1)
    (first,) = train(backend, net, initialize(net), X, T, recipe)
    (second,) = train(backend, net, first.layers, X, T, recipe)
    assert second.loss < first.loss


def test_every_example_is_seen_once_an_epoch_and_the_last_minibatch_is_smaller(backend):
    sizes = []
    run(step_by_step(backend), Recipe(SGD(), Constant(0.1), batch_size=25, epochs=2), on_step=sizes.append)
    assert sizes == [25, 25, 25, 25, 3] * 2
    assert steps_per_epoch(N, 25) == 5
    assert steps_per_epoch(N, 1000) == 1


def test_a_stop_ends_the_epoch_with_a_record_of_what_was_learnt(backend):
    seen = []
    records = run(
        step_by_step(backend),
        Recipe(SGD(), Constant(0.1), batch_size=10, epochs=5),
        on_step=seen.append,
        should_stop=lambda: len(seen) == 13,
    )
    assert [record.examples for record in records] == [N, 20]
    assert [record.complete for record in records] == [True, False]


OVERFITTING = Recipe(Adam(), Constant(0.05), batch_size=10, epochs=40)


@pytest.mark.parametrize("min_delta", [0.0, 0.02])
def test_patience_ends_a_training_that_gets_no_better_and_keeps_the_best_epochs_weights(backend, min_delta):
    every = run(backend, OVERFITTING, evaluate=[("validation", 1)])
    curve = [record.scores["validation"].loss for record in every]
    bests = [0]
    for epoch, loss in enumerate(curve):
        if loss < curve[bests[-1]] - min_delta:
            bests.append(epoch)
        if epoch - bests[-1] == 3:
            break
    assert len(bests) > 1
    assert epoch < 39
    records = run(backend, replace(OVERFITTING, patience=3, min_delta=min_delta), evaluate=[("validation", 1)])
    assert [record.best_epoch for record in records] == [
        max(best for best in bests if best <= number) + 1 for number in range(epoch + 1)
    ]
    selected = records[-1].selected
    assert (selected.epoch, selected.scores["validation"].loss) == (bests[-1] + 1, curve[bests[-1]])
    for layer, wanted in zip(selected.layers, every[bests[-1]].layers, strict=True):
        for p, q in zip(layer, wanted, strict=True):
            np.testing.assert_array_equal(backend.to_numpy(p), backend.to_numpy(q))


def test_of_epochs_with_the_same_loss_the_first_is_the_best(backend):
    still = Recipe(SGD(), lambda _, t: 0.0 * t, batch_size=10, epochs=9, patience=2)
    records = run(backend, still, evaluate=[("validation", 1)])
    assert [record.best_epoch for record in records] == [1, 1, 1]


def test_a_record_without_arrays_has_the_best_epoch_without_them_too(backend):
    record = run(backend, replace(OVERFITTING, epochs=2, patience=3), evaluate=[("validation", 1)])[-1]
    bare = record.without_arrays()
    assert (record.best.layers, bare.layers, bare.state, bare.best.layers) == (record.selected.layers, [], None, [])
    assert (bare.loss, bare.best.scores) == (record.loss, record.best.scores)


def test_an_epoch_that_is_cut_is_never_the_best(backend):
    seen = []
    records = run(
        step_by_step(backend),
        replace(OVERFITTING, patience=3),
        evaluate=[("validation", 1)],
        on_step=seen.append,
        should_stop=lambda: len(seen) == 13,
    )
    assert [record.complete for record in records] == [True, False]
    assert records[1].scores["validation"].loss < records[0].scores["validation"].loss
    assert records[1].selected.epoch == 1
    assert records[1].selected.layers is records[0].layers


def test_a_validation_loss_that_is_never_finite_is_no_better_loss():
    backend = open_backend("numpy", "float32")
    X, T = (backend.asarray(values) for values in blobs())
    huge = backend.asarray(np.full((2, D), 3e38)), T[:2, :]
    net = network(activation="identity")
    recipe = Recipe(SGD(), Constant(0.1), epochs=9, patience=2)
    records = list(train(backend, net, initialize(net), X, T, recipe, evaluate={"validation": huge}))
    assert [record.best for record in records] == [None, None]
    assert not any(np.isfinite(record.scores["validation"].loss) for record in records)
    assert records[-1].epoch == 2
    assert records[-1].selected is records[-1]


@pytest.mark.parametrize("changes", [{"state": None}, {"complete": False}])
def test_a_run_resumes_from_the_record_of_a_whole_epoch_with_its_state_alone(backend, changes):
    recipe = Recipe(Adam(), Constant(0.01), epochs=2)
    first, second = run(backend, recipe)
    (again,) = run(backend, recipe, resume=first)
    assert (again.epoch, again.loss, again.learning_rate) == (2, second.loss, second.learning_rate)
    with pytest.raises(InputError, match=r"epoch 1 cannot be resumed from: .* complete epoch, with its state"):
        run(backend, recipe, resume=replace(first, **changes))


class Walking:
    """An update rule that takes the learning rate from every parameter, whatever the gradients are."""

    def init(self, xp, params):  # noqa: ARG002 - as every optimiser
        return SGDState([])

    def update(self, xp, params, gradients, state, rate, t):  # noqa: ARG002 - as every optimiser
        return [p - rate for p in params], state


@pytest.mark.parametrize("graphs", [True, False])
def test_the_learning_rate_of_a_record_is_the_one_that_was_used(backend, graphs):
    """A schedule of one's own may change between epochs: it is told which rate was taken, in every mode."""

    class Changing:
        rate = 0.25

        def __call__(self, xp, t):  # noqa: ARG002 - as every schedule
            return self.rate

    backend = type(backend)(dtype=backend.dtype, graphs=graphs)
    schedule, net = Changing(), network()
    X, T = (backend.asarray(values) for values in blobs())
    layers, rates = initialize(net), []
    start = float(layers[0].b[0])
    for record in train(backend, net, layers, X, T, Recipe(Walking(), schedule, batch_size=10, epochs=3)):
        end = float(backend.to_numpy(record.layers[0].b)[0])
        assert start - end == pytest.approx(11 * record.learning_rate, rel=1e-12)
        rates.append(record.learning_rate)
        start, schedule.rate = end, schedule.rate / 2
    assert rates[0] == 0.25


@pytest.mark.parametrize(
    "part", [ACTIVATIONS["relu"], LOSSES["huber"], network(), ElasticNet(), SGD(), Adam(), AdamW(), Constant(1.0),
             StepDecay(1.0, 2), Cosine(1.0, 2), Recipe()], ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_what_describes_a_training_cannot_be_changed(part):
    name = next(iter(vars(part)))
    with pytest.raises(FrozenInstanceError):
        setattr(part, name, getattr(part, name))
    assert hash(part) == hash(replace(part))


def test_a_record_and_a_recipe_are_shown_in_a_line_without_arrays(backend):
    recipe = Recipe(Adam(), Constant(0.01), epochs=2, patience=2)
    record = run(backend, recipe, evaluate=[("validation", 1)])[-1]
    record = replace(record, learning_rate=0.01, loss=0.5)
    assert repr(replace(record, scores={})) == "<Record of epoch 2: learning rate 0.01, loss 0.5000, best epoch 2>"
    assert len(repr(recipe)) < 200
    assert repr(record.layers[0]) == "<layer: W (6, 8), b (8,)>"
    for part in (record, record.scores["validation"], recipe, network(), record.layers):
        assert "\n" not in repr(part)
        assert " at 0x" not in repr(part)


def numpys(_, array, *others):
    """Say what a library says of one of its arrays in a function of NumPy."""
    raise TypeError(f"can't convert {type(array).__name__} to numpy.\nUse Tensor.cpu() first.")


OWN_PARTS = {
    "activation": {"activation": Activation("own", numpys, d_identity)},
    "derivative": {"activation": Activation("own", identity, numpys)},
    "loss": {"loss": replace(LOSSES["squared"], name="own", terms=numpys)},
    "delta": {"loss": replace(LOSSES["squared"], name="own", delta=numpys)},
}


@pytest.mark.parametrize("parts", OWN_PARTS.values(), ids=OWN_PARTS)
def test_a_function_of_ones_own_that_calls_numpy_is_told_to_use_xp(backend, parts):
    message = (
        r"cannot be computed \(can't convert \w+ to numpy\)\. .* your own .* \((activation|loss) own\): .* xp\.tanh"
    )
    with pytest.raises(InputError, match=message):
        run(backend, Recipe(epochs=1), net=network(**parts))


CALLS_NUMPY = {
    "activation own": {"activation": Activation("own", lambda xp, z: np.tanh(z), lambda xp, z, a: 1 - a * a)},  # noqa: ARG005 - not to use it
    "loss own": {"loss": replace(LOSSES["squared"], name="own", terms=lambda xp, z, T: np.square(z - T))},  # noqa: ARG005 - as above
}


def falling(xp, t):
    return 0.01 * np.exp(-0.01 * t)


class Descent:
    """An update rule of a user's own that calls NumPy."""

    def init(self, xp, params):
        return SGD().init(xp, params)

    def update(self, *given):
        _, params, gradients, state, rate, _ = given
        return [p - np.multiply(rate, g) for p, g in zip(params, gradients, strict=True)], state


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # NumPy's, of torch's arrays
@pytest.mark.parametrize("part", [*CALLS_NUMPY, "schedule falling", "optimizer Descent()"])
def test_numpys_own_functions_either_compute_or_are_named_with_the_hint(backend, part):
    """NumPy takes arrays on the host of some libraries and gives theirs back; what it refuses is told to use xp."""
    net = network(**CALLS_NUMPY.get(part, {}))
    own = Recipe(Descent() if "Descent" in part else SGD(), falling if "falling" in part else Constant(0.01), epochs=1)
    cause = {"array_api_strict": "[Nn]um[Pp]y", "jax": "[Nn]um[Pp]y", "mlx": "incompatible" if "own" in part else None}
    if named := cause.get(backend.name):
        with pytest.raises(InputError, match=rf"\(.*{named}.*\)\. .* your own .* \({re.escape(part)}\): .* xp\.tanh"):
            run(backend, own, net=net)
    else:
        (record,) = run(backend, own, net=net)
        assert all(backend.holds(array) for layer in record.layers for array in layer)


def test_a_model_with_one_is_told_so_where_it_predicts():
    model = Model(
        network(**CALLS_NUMPY["activation own"]), initialize(network()), np.arange(M), Scaling(np.zeros(D), np.ones(D))
    )
    assert model.predict(np.ones((2, D))).shape == (2,)
    with pytest.raises(InputError, match=r"NumPy.* \(activation own\): .* xp\.tanh"):
        model.predict(np.ones((3, D)), open_backend("array_api_strict"))


def test_an_error_that_is_none_of_theirs_is_raised_as_it_is(backend):
    def fails(xp, z):
        raise RuntimeError("no kernel for this")

    with pytest.raises(RuntimeError, match=r"^no kernel for this"):
        run(backend, Recipe(epochs=1), net=network(activation=Activation("own", fails, d_identity)))


@pytest.mark.torch_or_jax
def test_so_it_is_by_the_check_of_the_gradients_and_by_lbfgs():
    pytest.importorskip("jax", reason="this is about jax")
    own = Activation("own", lambda xp, z: np.tanh(z), lambda xp, z, a: 1 - a * a)  # noqa: ARG005 - not to use it
    backend, rng = open_backend("jax", "float64"), np.random.default_rng(0)
    net, X, T = Network.build(D, [4], 2, activation=own), rng.normal(size=(9, D)), np.eye(2)[np.arange(9) % 2]
    message = r"cannot be computed \(.*numpy.*\)\. .* \(activation own\): .* xp\.tanh"
    with pytest.raises(InputError, match=message):
        check_gradients(backend, net, initialize(net), backend.asarray(X), backend.asarray(T))
    with pytest.raises(InputError, match=message):
        MLPClassifier((4,), activation=own, solver="lbfgs", device="jax").fit(X, np.arange(9) % 2)


@pytest.mark.torch_or_jax
def test_numpys_functions_are_refused_where_the_library_compiles():
    pytest.importorskip("jax", reason="this is about jax")
    own = Activation("own", lambda xp, z: np.tanh(z), lambda xp, z, a: 1 - a * a)  # noqa: ARG005 - not to use it
    with pytest.raises(InputError, match=r"cannot be computed \(.*numpy.*\)\. .* \(activation own\)"):
        run(open_backend("jax"), Recipe(epochs=1), net=network(activation=own))


def test_patience_needs_a_validation_set(backend):
    with pytest.raises(InputError, match="patience waits for a better loss on the set 'validation': give that"):
        run(backend, replace(OVERFITTING, patience=3), evaluate=[("other", 1)])


def test_divergence_stops_and_keeps_the_last_good_record(backend):
    net = Network.build(D, [4], M, loss="squared")
    with pytest.raises(DivergenceError, match=r"diverged in epoch .* learning rate below") as caught:
        run(backend, Recipe(SGD(), Constant(3.0), batch_size=40, epochs=50), net=net)
    kept = caught.value.record
    assert kept is None or all(np.isfinite(array).all() for array in weights(backend, kept))


def test_divergence_after_a_good_epoch_keeps_that_epochs_weights():
    backend = open_backend("numpy")
    net = network()
    X, T = (backend.asarray(values) for values in blobs())

    class Explodes:
        """A schedule that is sane for one epoch."""

        def __call__(self, xp, t):
            return xp.where(t < 11, 0.1 + 0.0 * t, xp.inf)

    with pytest.raises(DivergenceError, match="the weights after epoch 1 are kept") as caught:
        list(train(backend, net, initialize(net), X, T, Recipe(SGD(), Explodes(), batch_size=10, epochs=3)))
    assert caught.value.record.epoch == 1


def test_weights_that_are_finite_but_give_no_finite_loss_have_diverged():
    backend = open_backend("numpy", "float32")
    net = network(activation="identity")
    X, T = (backend.asarray(values) for values in blobs())

    def records(**recipe):
        one_step = Recipe(SGD(), batch_size=N, epochs=3, **recipe)
        yield from train(backend, net, initialize(net), X, T, one_step, evaluate={"training": (X, T)})

    with pytest.raises(DivergenceError, match=r"diverged in epoch 1: .* no epoch was completed") as caught:
        list(records(schedule=Constant(1e25)))
    assert caught.value.record is None
    assert len(list(records(schedule=Constant(0.1)))) == 3


def test_a_batch_size_above_n_is_taken_as_n_with_a_warning(backend):
    with pytest.warns(XpmlpWarning, match="batch size 5000 is above the 103 training examples: taken as 103"):
        above = run(backend, Recipe(SGD(), Constant(0.1), batch_size=5000, epochs=1))[-1]
    exact = run(backend, Recipe(SGD(), Constant(0.1), batch_size=N, epochs=1))[-1]
    assert above.loss == exact.loss


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch size is 0"),
        ({"batch_size": 2.5}, "batch size is 2.5"),
        ({"epochs": 0}, "epochs is 0"),
        ({"epochs": 2.5}, "epochs is 2.5"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 0.5}, "seed is 0.5"),
        ({"patience": 0}, "patience is 0"),
        ({"patience": 1.5}, "patience is 1.5"),
        ({"mode": "tensor"}, "mode is 'tensor'"),
        ({"optimizer": "adam"}, r"optimizer is 'adam', but must be an update rule, such as Adam\(\)"),
        ({"schedule": 3e-3}, r"schedule is 0.003, but must be a schedule, such as Constant\(3e-3\)"),
    ],
)
def test_a_recipe_refuses_values_out_of_bounds(changes, message):
    with pytest.raises(InputError, match=message):
        Recipe(**changes)


def test_arrays_that_do_not_fit_the_network_are_refused_before_training(backend):
    net, recipe = network(), Recipe()
    X, T = (backend.asarray(values) for values in blobs())
    layers = initialize(net)
    with pytest.raises(InputError, match=r"training examples have shape \(103, 5\), but the network takes \(n, 6\)"):
        train(backend, net, layers, X[:, :5], T, recipe)
    with pytest.raises(InputError, match=r"training targets have shape \(102, 3\)"):
        train(backend, net, layers, X, T[:102, :], recipe)
    with pytest.raises(InputError, match="no examples"):
        train(backend, net, layers, X[:0, :], T[:0, :], recipe)
    with pytest.raises(InputError, match="the validation targets"):
        train(backend, net, layers, X, T, recipe, evaluate={"validation": (X, T[:, :2])})


def test_arrays_of_another_library_dtype_or_with_nan_are_refused_before_training(backend, backend32):
    net, recipe = network(), Recipe()
    T = backend.asarray(blobs()[1])
    with pytest.raises(InputError, match=r"the training set has an array of .* put it there with `backend.asarray`"):
        train(backend, net, initialize(net), backend32.asarray(blobs()[0]), T, recipe)
    with pytest.raises(InputError, match=r"the training set has an array of builtins, <class 'list'>"):
        train(backend, net, initialize(net), blobs()[0].tolist(), T, recipe)
    holed = blobs()[0]
    holed[[5, 7], 2] = np.nan
    with pytest.raises(InputError, match=r"training examples holds 2 values .* \(nan\) at row 5, column 2"):
        train(backend, net, initialize(net), backend.asarray(holed), T, recipe)


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24, 25])
def test_outputs_are_computed_for_few_rows_at_a_time_and_come_in_their_order(backend, monkeypatch, n):
    monkeypatch.setattr(backend, "rows_at_a_time", 8)
    sizes, X = [], np.arange(2.0 * n).reshape(n, 2)

    def function(layers, x):
        sizes.append(x.shape[0])
        return layers * x

    check_equal(backend, outputs(backend, function, 3.0, backend.asarray(X)), 3.0 * X)
    assert sizes == [8] * (n // 8) + ([n % 8] if n % 8 else [])


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24, 25])
def test_scores_are_those_of_all_rows_and_computed_for_few_at_a_time(backend, monkeypatch, n):
    net = network()
    X, T = blobs(n)
    layers = [Layer(*map(backend.asarray, layer)) for layer in initialize(net, seed=3)]
    examples = Examples(backend.asarray(X), backend.asarray(T))
    whole = [float(backend.to_numpy(part)) for part in score_rows(backend, make_scorer(backend, net), layers, examples)]
    monkeypatch.setattr(backend, "rows_at_a_time", 8)
    sizes, correct = [], net.loss.correct

    def counting(xp, u, targets):
        sizes.append(u.shape[0])
        return correct(xp, u, targets)

    counted = replace(net, loss=replace(net.loss, correct=counting))
    parts = score_rows(backend, make_scorer(backend, counted), layers, examples)
    assert [float(backend.to_numpy(part)) for part in parts] == pytest.approx(whole, rel=1e-12)
    assert whole[0] == pytest.approx(n * mean_loss(initialize(net, seed=3), ["tanh"], "softmax", X, T), rel=1e-12)
    assert set(sizes) == ({8, n % 8} if n >= 8 else {n}) - {0}  # a size is compiled once on some backends
    if backend.name == "numpy":
        assert sizes == [8] * (n // 8) + ([n % 8] if n % 8 else [])


def check_equal(backend, found, expected):
    np.testing.assert_array_equal(backend.to_numpy(found), expected)


class WithoutScalarCopies:
    """NumPy's namespace, which refuses what copies a number to the device, or waits for it, on some library."""

    def __init__(self, xp):
        self._xp = xp

    def __getattr__(self, name):
        if name == "sign":
            raise AssertionError("sign synchronises on CuPy: it looks for NaN")
        function = getattr(self._xp, name)
        if name not in {"maximum", "minimum", "logaddexp"}:
            return function

        def checked(*arguments):
            assert all(isinstance(argument, np.ndarray | np.generic) for argument in arguments), name
            return function(*arguments)

        return checked


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("schedule", [Constant(0.01), StepDecay(0.01, 3), Cosine(0.01, total=9, warmup=2)], ids=str)
def test_a_step_copies_no_number_to_the_device_and_waits_for_nothing(activation, schedule):
    backend = open_backend("numpy")
    backend.xp = WithoutScalarCopies(backend.xp)
    net = network(activation=activation, dropout=0.3, input_dropout=0.1)
    recipe = Recipe(AdamW(), schedule, ElasticNet.build(2, 0.1, 0.1), batch_size=20, epochs=1)
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net))
    new, state, _ = next(trainer.steps(trainer.layers, trainer.state, Examples(*blobs()), np.arange(20), 20))
    assert all(np.isfinite(p).all() for layer in new for p in layer)
    assert state.t == 1


RULES = {
    "sgd": lambda x: SGD(),  # noqa: ARG005 - it has no numbers
    "nesterov": lambda x: SGD(x, nesterov=True),
    "adam": lambda x: Adam(x, x / 2, x / 1e6),
    "adamw": lambda x: AdamW(weight_decay=x),
}
SCHEDULES = {
    "constant": Constant,
    "step": lambda x: StepDecay(x, round(10 * x), x),
    "cosine": lambda x: Cosine(x, total=round(100 * x), warmup=round(10 * x)),
}
LOSSES_OF_NUMBERS = {"huber": huber, "quantile": quantile}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
@pytest.mark.parametrize("loss", LOSSES_OF_NUMBERS.values(), ids=LOSSES_OF_NUMBERS)
def test_a_training_with_other_numbers_asks_for_the_same_kernels(rule, schedule, loss):
    """Rates, strengths, shares and thresholds are arguments of what is fused, and no part of what is compiled."""
    backend, asked = NumpyBackend(graphs=False), []

    def fused(body):
        def call(xp, *arrays, **settings):
            asked[-1].add((body, *settings.items()))
            return body(xp, *arrays, **settings)

        return call

    backend.xp = replacing(NumpyBackend.xp, fused=fused)
    X, T = (backend.asarray(values) for values in blobs(40))
    for x in (0.2, 0.4):
        asked.append(set())
        net = network(dropout=x, input_dropout=x / 2, loss=loss(x))
        recipe = Recipe(rule(x), schedule(x), ElasticNet.build(2, x, x / 2, x / 4), batch_size=20, epochs=1)
        list(train(backend, net, initialize(net), X, T, recipe))
    assert asked[0] == asked[1]
    assert len(asked[0]) > 8


def steps_by_hand(net, layers, X, T, weights, alpha, rate, batches):
    """Plain gradient descent with scikit-learn's penalty and weighted means, one example at a time, in NumPy."""
    layers = [(np.array(W), np.array(b)) for W, b in layers]
    total = 0.0
    for rows in batches:
        size = weights[rows].sum() or 1.0
        losses = [mean_loss(layers, ["tanh"], "softmax", X[k : k + 1], T[k : k + 1]) for k in rows]
        squares = sum((W**2).sum() for W, _ in layers)
        total += len(rows) * (np.dot(weights[rows], losses) + 0.5 * alpha * squares) / size
        gradients = summed_gradients(layers, ["tanh"], "softmax", X[rows], T[rows], weights[rows] / size)
        layers = [
            (W - rate * (dW + alpha / size * W), b - rate * db)
            for (W, b), (dW, db) in zip(layers, gradients, strict=True)
        ]
    return layers, total


@pytest.mark.parametrize("mode", ["matrix", "loop"])
def test_weights_alpha_and_a_rate_give_the_steps_worked_out_by_hand(backend, mode):
    """The second minibatch has no weight at all: it adds nothing but the penalty, and no NaN."""
    net = network(hidden=[4])
    X, T = blobs(12)
    weights = np.array([0.5, 1.0, 2.0, 0.0, 0.0, 0.0, 1.0, 0.0, 3.0, 1.0, 1.0, 0.2])
    recipe = Recipe(SGD(), Constant(0.5), ElasticNet.build(2, alpha=0.3), mode=mode, batch_size=3, penalised=True)
    trainer = Trainer(backend, net, recipe)
    trainer.start(initialize(net, seed=3))
    examples = Examples(backend.asarray(X), backend.asarray(T), backend.asarray(weights[:, None]))
    seen = trainer.run_epoch(examples, np.arange(12), rate=0.2)
    batches = np.arange(12).reshape(4, 3)
    expected, total = steps_by_hand(net, initialize(net, seed=3), X, T, weights, 0.3, 0.1, batches)
    (reading,) = trainer.read({})
    assert seen == 12
    assert reading.finite
    assert reading.rate == pytest.approx(0.1)
    assert reading.loss == pytest.approx(total, rel=1e-12)
    for layer, (W, b) in zip(trainer.copy_layers(), expected, strict=True):
        np.testing.assert_allclose(backend.to_numpy(layer.W), W, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(backend.to_numpy(layer.b), b, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    ("sizes", "other"), [((4, 5, 2), (4, 7, 2)), ((4, 5, 5, 2), (4, 5, 2)), ((4, 5, 2), (4, 5, 5, 2))]
)
def test_weights_of_another_network_are_refused(backend, sizes, other):
    net, another = (Network.build(each[0], each[1:-1], each[-1]) for each in (sizes, other))
    with pytest.raises(InputError, match=r"the weights have shapes .* not those of a network"):
        Trainer(backend, net, Recipe()).start(initialize(another))


def test_a_run_is_not_resumed_with_an_optimiser_of_another_kind(backend):
    net = Network.build(4, 5, 2)
    trainer = Trainer(backend, net, Recipe(SGD(momentum=0.9)))
    trainer.start(initialize(net))
    with pytest.raises(InputError, match="with SGDState, but the recipe's has AdamState"):
        Trainer(backend, net, Recipe(Adam())).start(trainer.copy_layers(), trainer.copy_state())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"resume": 5}, "resume is 5, but must be a Record, as `train` gives one after each epoch"),
        ({"evaluate": (1, 2)}, r"evaluate is tuple, but must be a dict of sets by name: \{'validation': \(X, T\)\}"),
        ({"evaluate": {"test": 1}}, r"evaluate\['test'\] is int, but must be examples and targets: \(X, T\)"),
        ({"evaluate": {"test": (1, 2, 3)}}, r"evaluate\['test'\] is tuple, but must be examples and targets"),
    ],
)
def test_arguments_of_another_kind_are_named_with_what_is_expected(given, message):
    backend, net = NumpyBackend(), network()
    with pytest.raises(InputError, match=message):
        train(backend, net, initialize(net, seed=3), *blobs(), Recipe(SGD(), Constant(0.1)), **given)


@pytest.mark.parametrize(
    ("loss", "T", "message"),
    [
        (
            "softmax",
            [[-0.5, 1.5, 0.0]],
            "targets are -0.5 to 1.5, with rows that sum to 1 to 1, but loss softmax needs",
        ),
        ("softmax", [[1.0, 1.0, 0.0]], "targets are 0 to 1, with rows that sum to 2 to 2, but loss softmax needs prob"),
        ("softmax", [[0.0, 0.0, 0.0]], "targets are 0 to 0, with rows that sum to 0 to 0, .* such as one-hot labels"),
        (
            "logistic",
            [[2.0, 0.0, 1.0]],
            "targets are 0 to 2, but loss logistic needs probabilities, 0 to 1, one for each",
        ),
        ("logistic", [[-1.0, 1.0, 1.0]], "targets are -1 to 1, but loss logistic needs probabilities"),
    ],
)
def test_targets_that_are_no_probabilities_are_refused_where_the_loss_needs_these(backend, loss, T, message):
    net, recipe = network(loss=loss), Recipe(SGD(), Constant(0.1), batch_size=1, epochs=1)
    X, bad = backend.asarray(np.ones((1, D))), backend.asarray(np.array(T))
    good = backend.asarray(np.array([[0.5, 0.25, 0.25]]))
    for name, sets in (("training", (bad, good)), ("validation", (good, bad))):
        with pytest.raises(InputError, match=f"the {name} {message}"):
            train(backend, net, initialize(net), X, sets[0], recipe, evaluate={"validation": (X, sets[1])})
    assert len(list(train(backend, net, initialize(net), X, good, recipe))) == 1
    amounts = network(loss="squared")
    assert len(list(train(backend, amounts, initialize(amounts), X, bad, recipe))) == 1
