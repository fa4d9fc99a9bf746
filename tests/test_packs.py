"""Packs: networks of drawn settings, of which an ensemble is selected; and networks of all shapes as one stack."""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies
from sklearn.datasets import load_breast_cancer, load_diabetes

from xpmlp import (
    DivergenceError,
    InputError,
    Layer,
    Network,
    Options,
    Recipe,
    Setting,
    draw_settings,
    fprop,
    initialize,
    load_model,
    prepare,
    train,
    train_pack,
)
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.models.checkpoints import load_checkpoint, record_to_json, save_checkpoint
from xpmlp.nn.losses import LOSSES
from xpmlp.nn.mixtures import mixture, moments, of_moments
from xpmlp.nn.padding import network_of, pad
from xpmlp.training.selection import assign_folds, select
from xpmlp.training.settings import numbers_in

XP = NumpyBackend(dtype="float64").xp
FEW = [Setting((8,)), Setting((16, 16), dropout=0.2, frequencies=3), Setting((12,), learning_rate=1e-2)]


def data(rng, loss="softmax", n=60):
    X = rng.normal(size=(n, 3))
    hidden = np.sin(2 * X[:, :1]) + X[:, 1:2]
    return (X, hidden) if loss == "squared" else (X, np.eye(2)[(hidden[:, 0] > 0).astype(int)])


def pack(backend, X, T, loss="softmax", **options):
    given = {"epochs": 6, "batch_size": 16, "embedded": (0, 1, 2)} | options
    return list(train_pack(backend, LOSSES[loss], backend.asarray(X), backend.asarray(T), FEW, **given))


# One stack of all shapes.

HIDDEN = strategies.lists(strategies.integers(1, 6), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None)
@given(
    shapes=strategies.lists(
        strategies.tuples(
            strategies.lists(strategies.integers(1, 6), min_size=1, max_size=3), strategies.integers(0, 3)
        ),
        min_size=1,
        max_size=4,
    ),
    seed=strategies.integers(0, 1000),
)
def test_networks_of_all_shapes_compute_in_one_stack_what_they_compute_alone(shapes, seed):
    networks = [Network.build(4, hidden, 2, frequencies=k, embedded=(0, 2)) for hidden, k in shapes]
    members = []
    for number, network in enumerate(networks):
        rng = np.random.default_rng((seed, number))
        layers = initialize(network, seed=seed + number)
        members.append([Layer(W, b if b.ndim > 1 else rng.normal(size=b.shape)) for W, b in layers])
    X = np.random.default_rng(seed).normal(size=(5, 4))
    network, layers = pad(networks, members)
    outputs = fprop(XP, network, layers, X).a[-1]
    assert outputs.shape == (len(shapes), 5, 2)
    for own, weights, output in zip(networks, members, outputs, strict=True):
        np.testing.assert_allclose(output, fprop(XP, own, weights, X).a[-1], rtol=1e-11, atol=1e-13)
    assert network_of(network.loss, layers, (0, 2)).layer_shapes == network.layer_shapes


@pytest.mark.parametrize(("hidden", "activation"), [((3,), "tanh"), ((), "relu")])
def test_networks_that_zeros_or_a_layer_more_would_change_are_no_stack_of_one_shape(hidden, activation):
    network = Network.build(2, hidden, 2, activation=activation)
    with pytest.raises(InputError, match="hidden layers of ReLU"):
        pad([network], [initialize(network)])


# Selection.


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "quantile"])
def test_the_mean_of_moments_is_the_mixture(backend, check, rng, loss):
    u = rng.normal(size=(4, 5, 4))
    if loss == "softmax":
        u -= np.log(np.exp(u).sum(axis=-1, keepdims=True))
    xp, u = backend.xp, backend.asarray(u)
    found = of_moments(xp, LOSSES[loss], xp.mean(moments(xp, LOSSES[loss], u), axis=0))
    check(backend, found, backend.to_numpy(mixture(xp, LOSSES[loss], u)), rtol=1e-9)


def test_probabilities_of_0_have_a_finite_loss():
    for loss in ("softmax", "logistic"):
        u = of_moments(XP, LOSSES[loss], np.array([[0.0, 1.0]]))
        assert np.isfinite(LOSSES[loss].value(XP, u, np.array([[1.0, 0.0]])))


def test_selection_begins_with_the_three_best_and_goes_on_while_the_loss_falls(rng):
    T = rng.normal(size=(40, 1))
    good = T + 0.3 * rng.normal(size=(6, 40, 1))
    candidates = np.concatenate([T + 5.0 + rng.normal(size=(4, 40, 1)), good])
    chosen, value = select(XP, LOSSES["squared"], candidates, T)
    alone = 0.5 * ((candidates - T) ** 2).sum(axis=(1, 2)) / 40
    assert chosen[:3] == np.argsort(alone)[:3].tolist()
    assert set(chosen) <= set(range(4, 10))
    assert len(set(chosen)) == len(chosen)
    assert value == pytest.approx(0.5 * ((candidates[chosen].mean(axis=0) - T) ** 2).sum() / 40)
    for left in set(range(10)) - set(chosen):
        more = candidates[[*chosen, left]].mean(axis=0)
        assert 0.5 * ((more - T) ** 2).sum() / 40 >= value


@pytest.mark.parametrize("T", [np.eye(3)[[0] * 20 + [1] * 10 + [2] * 5], np.array([[1.0]] * 15 + [[0.0]] * 20)])
def test_every_fold_has_its_share_of_each_class(T):
    folds = assign_folds(T, 5, seed=0)
    for label in np.unique(T, axis=0):
        counts = np.bincount(folds[(label == T).all(axis=1)], minlength=5)
        assert counts.max() - counts.min() <= 1
    assert (folds != assign_folds(T, 5, seed=1)).any()


def test_columns_of_two_values_are_no_numbers(backend, rng):
    X = np.stack([rng.normal(size=20), np.arange(20) % 2 * 3.0 - 1.0, np.ones(20), np.arange(20) % 3], axis=1)
    assert numbers_in(backend, backend.asarray(X)) == (0, 3)
    assert numbers_in(backend, backend.asarray(rng.normal(size=(4, 129)))) == ()


# Settings.


def test_the_first_setting_is_the_default_one_and_a_seed_gives_the_same_ones():
    drawn = draw_settings(40, seed=3)
    assert drawn[0] == Setting()
    assert drawn == draw_settings(40, seed=3)
    assert drawn[1:] != draw_settings(40, seed=4)[1:]
    assert {len(each.hidden) for each in drawn} == {1, 2}
    assert {each.frequencies for each in drawn} == {0, 8}
    assert len({each.learning_rate for each in drawn}) == 40
    with pytest.raises(InputError, match="number of settings is 0"):
        draw_settings(0, seed=0)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"hidden": ()}, "needs a hidden layer"),
        ({"learning_rate": 0.0}, "learning rate is 0.0, but must be a number above 0"),
        ({"weight_decayed": -1.0}, "weight decayed is -1.0"),
    ],
)
def test_a_setting_that_no_network_can_have_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        Setting(**setting)


# Training.


@pytest.mark.parametrize(("loss", "held_out"), [("softmax", True), ("squared", False)])  # JAX compiles for seconds
def test_an_ensemble_is_selected_that_is_no_worse_than_its_first(backend, rng, loss, held_out):
    X, T = data(rng, loss)
    validation = (backend.asarray(X[:20]), backend.asarray(T[:20]))
    sets = {"validation": validation} if held_out else {"all": (backend.asarray(X), backend.asarray(T))}
    records = (
        pack(backend, X[20:], T[20:], loss, evaluate=sets) if held_out else pack(backend, X, T, loss, evaluate=sets)
    )
    assert [record.epoch for record in records] == [1, 2, 3, 4, 5, 6]
    (name,) = sets
    n_networks = 1 if held_out else 5
    for record in records:
        assert len(record.members[name]) == record.layers[0].W.shape[0]
        assert len(record.members[name]) % n_networks == 0
        network = network_of(LOSSES[loss], record.layers, (0, 1, 2))
        u = mixture(backend.xp, network.loss, fprop(backend.xp, network, record.layers, sets[name][0]).u)
        value = float(backend.to_numpy(network.loss.value(backend.xp, u, sets[name][1]))) / sets[name][0].shape[0]
        assert record.scores[name].loss == pytest.approx(value, rel=1e-4)
    if held_out:
        losses = [record.scores["validation"].loss for record in records]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] < losses[0]


def test_a_setting_is_judged_by_examples_that_its_networks_have_not_seen(rng):
    X, noise = data(rng)[0], np.eye(2)[rng.integers(2, size=60)]
    backend = NumpyBackend(dtype="float64")
    wide = [Setting((64, 64), learning_rate=0.03, weight_decayed=0.01)]
    every = {"all": (X, noise)}
    *_, record = train_pack(backend, LOSSES["softmax"], X, noise, wide, epochs=200, batch_size=16, evaluate=every)
    # Networks that know noise by heart would predict it with a loss near 0: that epoch is not the one selected.
    assert record.scores["all"].loss > 0.4


def test_patience_ends_a_pack_whose_ensemble_does_not_become_better(rng):
    backend = NumpyBackend(dtype="float64")
    X, _ = data(rng)
    noise = np.eye(2)[rng.integers(2, size=60)]
    sets = {"validation": (X[:20], noise[:20])}
    options = {"epochs": 400, "batch_size": 16, "patience": 60, "evaluate": sets}
    *_, last = train_pack(backend, LOSSES["softmax"], X[20:], noise[20:], FEW, **options)
    assert last.epoch < 400
    assert last.epoch - last.best_epoch == 60
    assert last.selected.epoch == last.best_epoch


@pytest.mark.parametrize("patience", [1, 3])
def test_a_pack_is_selected_anew_before_its_patience_ends(rng, patience):
    backend, (X, T) = NumpyBackend(dtype="float64"), data(rng)
    sets = {"validation": (X[:20], T[:20])}
    records = pack(backend, X[20:], T[20:], epochs=100, patience=patience, evaluate=sets)
    assert records[-1].best_epoch > 1 + patience
    assert records[-1].epoch - records[-1].best_epoch == patience


def same_bits(backend, one, other):
    pairs = [[backend.to_numpy(p) for layer in record.layers for p in layer] for record in (one, other)]
    return all(p.tobytes() == q.tobytes() for p, q in zip(*pairs, strict=True))


@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("held_out", [False, True])
def test_a_pack_is_resumed_from_any_epoch_to_the_same_bits(backend, rng, held_out, patience):
    X, T = data(rng)
    sets = {"validation": (backend.asarray(X[:20]), backend.asarray(T[:20]))} if held_out else {}
    options = {"evaluate": {"train": (backend.asarray(X), backend.asarray(T)), **sets}, "patience": patience}
    records = pack(backend, X, T, **options)
    for before in (records[0], records[3]):
        resumed = pack(backend, X, T, resume=before, **options)
        assert [record.epoch for record in resumed] == [record.epoch for record in records[before.epoch :]]
        for one, other in zip(resumed, records[before.epoch :], strict=True):
            assert (one.loss, one.scores, one.members) == (other.loss, other.scores, other.members)
            assert one.best_epoch == other.best_epoch
            assert same_bits(backend, one.selected, other.selected)


def test_a_checkpoint_of_a_pack_holds_all_that_its_state_has(backend, rng, tmp_path):
    X, T = data(rng)
    last = pack(backend, X, T, epochs=2)[-1]
    save_checkpoint(["run"], last, [record_to_json(last)], backend.to_numpy, tmp_path / "checkpoint.safetensors")
    found = load_checkpoint(tmp_path / "checkpoint.safetensors").records[-1].state
    assert (found.chosen, found.value, found.embedded) == (last.state.chosen, last.state.value, (0, 1, 2))
    assert [stack[:2] for stack in found.stacks] == [stack[:2] for stack in last.state.stacks]
    pairs = [(found.arrays, last.state.arrays)]
    pairs += [
        (one.arrays, [backend.to_numpy(p) for p in other.arrays])
        for one, other in zip(found.stacks, last.state.stacks, strict=True)
    ]
    for one, other in pairs:
        assert all(p.dtype == q.dtype and np.array_equal(p, q) for p, q in zip(one, other, strict=True))


def test_a_pack_that_is_resumed_from_a_file_has_its_weights_on_the_backend(backend, rng, tmp_path):
    arrays, path = map(backend.asarray, data(rng)), tmp_path / "checkpoint.safetensors"
    training = partial(train_pack, backend, LOSSES["softmax"], *arrays, FEW, epochs=40, batch_size=16)
    first = next(training())
    save_checkpoint(["run"], first, [record_to_json(first)], backend.to_numpy, path)
    second = next(training(resume=load_checkpoint(path).records[-1]))  # of an epoch without a selection
    assert second.epoch == 2
    assert all(backend.holds(p) for layer in second.layers for p in layer)
    assert same_bits(backend, first, second)


def test_a_pack_is_resumed_by_a_record_of_a_pack(rng):
    backend, (X, T) = NumpyBackend(), data(rng)
    last = pack(backend, X, T)[-1]
    with pytest.raises(InputError, match=r"the record of epoch 6 cannot be resumed from: give one of a pack"):
        pack(backend, X, T, resume=replace(last, state=None))
    network = Network.build(3, [4], 2)
    with pytest.raises(InputError, match=r"epoch 6 cannot be resumed from: give that of a complete epoch"):
        train(backend, network, initialize(network), backend.asarray(X), backend.asarray(T), Recipe(), resume=last)


def test_a_pack_goes_on_without_networks_that_diverge(rng, monkeypatch):
    backend = NumpyBackend(dtype="float32")
    X, T = data(rng)
    diverging = Setting((8,), learning_rate=1e25, weight_decayed=0.0)
    with np.errstate(all="ignore"):
        arrays = backend.asarray(X), backend.asarray(T)
        records = list(train_pack(backend, LOSSES["softmax"], *arrays, [FEW[0], diverging], epochs=3, batch_size=16))
        assert len(records) == 3
        with pytest.raises(DivergenceError):
            list(train_pack(backend, LOSSES["softmax"], *arrays, [diverging], epochs=3, batch_size=16))


def test_a_pack_without_networks_that_have_diverged_is_resumed_more_than_once(rng):
    backend, (X, T) = NumpyBackend(dtype="float64"), data(rng, "squared")
    some = [*[Setting((4,))] * 15, Setting((4,), learning_rate=1e200)]  # one of sixteen stays in its stack
    given = {"epochs": 5, "batch_size": 16, "evaluate": {"validation": (X[:20], T[:20])}}
    with np.errstate(all="ignore"):
        records = list(train_pack(backend, LOSSES["squared"], X, T, some, **given))
        last = records[0]
        for expected in records[1:]:
            assert [(len(stack.numbers), len(stack.good)) for stack in last.state.stacks] == [(16, 15)]
            last = next(train_pack(backend, LOSSES["squared"], X, T, some, resume=last, **given))
            assert (last.loss, last.scores) == (expected.loss, expected.scores)


def test_a_prediction_that_is_no_finite_number_keeps_no_other_from_the_ensemble(rng):
    T = rng.normal(size=(40, 1))
    candidates = T + rng.normal(size=(6, 40, 1))
    candidates[1], candidates[4, 3] = np.inf, np.nan
    chosen, value = select(XP, LOSSES["squared"], candidates, T)
    able = [0, 2, 3, 5]
    expected, of_able = select(XP, LOSSES["squared"], candidates[able], T)
    assert ([able[place] for place in expected], of_able) == (chosen, value)
    assert select(XP, LOSSES["squared"], candidates[[1, 4]], T) == ([], np.inf)


def test_a_pack_whose_predictions_are_no_finite_numbers_says_so(rng):
    backend, (X, T) = NumpyBackend(dtype="float64"), data(rng, "squared")
    far = {"validation": (1e200 * X, T)}
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="no ensemble was selected"):
        pack(backend, X, T, "squared", evaluate=far, embedded=())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs is 0, but must be an integer at least 1"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"patience": 0}, "patience is 0"),
        ({"resume": 3}, "resume is 3, but must be a Record"),
        ({"evaluate": [1]}, "evaluate is list, but must be a dict of sets"),
        ({"evaluate": {"validation": (np.full((4, 3), np.nan), np.eye(2)[[0, 1, 0, 1]])}}, "the validation examples"),
        ({"evaluate": {"validation": (np.ones((4, 2)), np.eye(2)[[0, 1, 0, 1]])}}, "the validation examples"),
        ({"weights": np.full((60, 1), -1.0)}, "the weights of the examples must be numbers of at least 0"),
    ],
)
def test_what_a_pack_cannot_be_trained_with_is_refused_before_anything_is(rng, options, message):
    with pytest.raises(InputError, match=message):
        pack(NumpyBackend(dtype="float64"), *data(rng), **options)


def test_a_pack_of_settings_that_each_have_a_network_that_diverges_says_so(rng):
    X, T = data(rng, "squared")
    X[0] *= 1e200  # it is not seen by one network of five, which goes on
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="of every setting a network diverged"):
        pack(NumpyBackend(dtype="float64"), X, T, "squared", embedded=())


def test_a_pack_needs_a_setting_and_two_examples(rng):
    backend, (X, T) = NumpyBackend(), data(rng)
    X, T = backend.asarray(X), backend.asarray(T)
    with pytest.raises(InputError, match="no settings"):
        train_pack(backend, LOSSES["softmax"], X, T, [], epochs=1)
    with pytest.raises(InputError, match="there is one sample"):
        train_pack(backend, LOSSES["softmax"], X[:1], T[:1], FEW, epochs=1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 0}, "batch size is 0"),
        ({"patience": -3}, "patience is -3"),
        ({"evaluate": {"validation": slice(0, 0)}}, "validation"),
    ],
)
def test_what_a_pack_cannot_be_trained_with_is_refused_before(rng, given, message):
    backend, (X, T) = NumpyBackend(), data(rng)
    X, T = backend.asarray(X), backend.asarray(T)
    if "evaluate" in given:
        given = {"evaluate": {name: (X[rows], T[rows]) for name, rows in given["evaluate"].items()}}
    with pytest.raises(InputError, match=message):
        train_pack(backend, LOSSES["softmax"], X, T, FEW, **{"epochs": 1, **given})


# Runs.


@pytest.fixture
def cancer(tmp_path):
    frame = load_breast_cancer(as_frame=True).frame.iloc[::2, -8:]
    frame.to_csv(tmp_path / "cancer.csv", index=False)
    return tmp_path / "cancer.csv"


def test_the_command_line_trains_a_pack_whose_model_is_an_ensemble(cli, cancer, tmp_path):
    code, out, err = cli("train", cancer, "--pack", "15", "--epochs", "4", "--out", "run")
    assert code == 0, err
    assert "a pack of 15 networks" in out
    assert re.search(r"parameters +│ [\d,]+ in each of \d+ networks", out)
    model = load_model(tmp_path / "run" / "model.safetensors")
    assert model.n_members % 5 == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["options"]["pack"] == 15
    kept = pd.read_csv(tmp_path / "run" / "pack.csv")
    assert list(kept.columns) == [field.name for field in fields(Setting)]
    assert len(kept) == model.n_members // 5
    drawn = {"-".join(map(str, each.hidden)): each for each in draw_settings(3, 0)}
    rates = [drawn[str(hidden)].learning_rate for hidden in kept["hidden"]]
    assert kept["learning_rate"].tolist() == pytest.approx(rates, rel=1e-5)
    code, out, _ = cli("predict", "run", cancer, "--proba")
    assert code == 0
    assert out.splitlines()[0] == "prediction,probability 0,probability 1,disagreement"
    assert cli("evaluate", "run")[0] == 0
    assert cli("show", "run")[0] == 0


@pytest.mark.parametrize("held_out", [(), ("--validation", "0.3")])
def test_an_interrupted_run_of_a_pack_ends_with_the_same_bytes(cli, cancer, tmp_path, interrupted_after, held_out):
    run = ("train", cancer, "--pack", "15", "--epochs", "5", "--quiet", *held_out)
    assert cli(*run, "--out", "whole")[0] == 0
    with interrupted_after(2):
        cli(*run, "--out", "cut")
    _, out, err = cli("predict", "cut", cancer)
    assert len(out.splitlines()) == 1 + 285
    assert "the weights of epoch" in err
    assert cli("train", "--resume", "cut", "--quiet")[0] == 0
    whole, cut = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert whole == cut


def test_a_run_of_a_pack_is_not_gone_on_with_as_one_of_a_network(cli, cancer):
    assert cli("train", cancer, "--pack", "5", "--epochs", "1", "--quiet", "--out", "run")[0] == 0
    code, _, err = cli("train", cancer, "--epochs", "1", "--out", "run", "--continue")
    assert code == 2
    assert "but --pack is 0, where it was begun with 5: give" in " ".join(err.split())


def test_a_run_of_a_pack_goes_on_for_more_epochs(cli, cancer, tmp_path):
    assert cli("train", cancer, "--pack", "10", "--epochs", "2", "--quiet", "--out", "run")[0] == 0
    assert cli("train", "--resume", "run", "--epochs", "4", "--quiet")[0] == 0
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 5


def test_a_pack_of_amounts_predicts_in_the_unit_of_the_target(cli, tmp_path):
    frame = load_diabetes(as_frame=True).frame
    frame.to_csv(tmp_path / "sugar.csv", index=False)
    assert cli("train", "sugar.csv", "--pack", "10", "--epochs", "10", "--out", "run", "--quiet")[0] == 0
    code, out, _ = cli("predict", "run", "sugar.csv")
    assert code == 0
    predicted = np.array([float(line.split(",")[0]) for line in out.splitlines()[1:]])
    assert np.corrcoef(predicted, frame["target"])[0, 1] > 0.5
    assert out.startswith("prediction,standard_deviation\n")


def test_rows_of_a_group_and_rows_in_the_order_of_time_are_held_out_together(cancer):
    options = Options(str(cancer), pack=5, epochs=1)
    assert "validation" not in prepare(options).sets
    assert "validation" in prepare(replace(options, split="last")).sets


@pytest.mark.parametrize(
    ("pack", "held_out", "said"),
    [("1", (), "5 networks"), ("9", (), "5 networks"), ("3", ("--patience", "1"), "3 networks")],
)
def test_a_run_says_how_many_networks_are_trained(cli, cancer, pack, held_out, said):
    _, out, _ = cli("train", cancer, "--pack", pack, *held_out, "--epochs", "1", "--out", "run")
    assert f"a pack of {said}" in out
    assert f"pack of {pack} " in cli("runs", ".")[1]


def test_a_run_starts_from_the_networks_of_a_pack(cli, cancer, tmp_path):
    assert cli("train", cancer, "--pack", "10", "--epochs", "1", "--seed", "2", "--quiet", "--out", "pack")[0] == 0
    first = load_model(tmp_path / "pack" / "model.safetensors")
    assert first.network.embedded
    assert cli("train", cancer, "--from", "pack", "--epochs", "1", "--quiet", "--out", "run")[0] == 0
    assert load_model(tmp_path / "run" / "model.safetensors").n_members == first.n_members
    code, _, err = cli("train", cancer, "--pack", "5", "--from", "pack")
    assert code == 2
    assert "leave out --from, or --pack" in err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--hidden", "3"), "a pack decides --hidden for each"),
        (("--members", "3", "--learning-rate", "0.1"), "--members and --learning-rate"),
        (("--pack", "-1"), "pack is -1"),
    ],
)
def test_what_a_pack_decides_is_not_given(cli, cancer, given, said):
    code, _, err = cli("train", cancer, "--pack", "5", *given)
    assert code == 2
    assert said in err.replace("\n", " ")
