"""A predictor gives what its model gives, for a fixed number of rows at a time."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from xpmlp import InputError, Model, Network, Scaling, TablePreparation, get_backend, initialize, read_table
from xpmlp.backends.numpy.tape import Tape
from xpmlp.nn.activations import ACTIVATIONS
from xpmlp.nn.losses import LOSSES

D, M = 6, 3


def model_of(scaling=None, loss="softmax", members=1, **about):
    network = Network.build(D, [5, 4], M, activation=["relu", "gelu"], loss=loss)
    drawn = [initialize(network, seed=seed) for seed in range(members)]
    layers = [
        type(layer)(*(np.stack([stack[number][part] for stack in drawn]).astype("f4") for part in (0, 1)))
        for number, layer in enumerate(drawn[0])
    ]
    layers = layers if members > 1 else [type(layer)(layer.W[0], layer.b[0]) for layer in layers]
    classes = np.array(["a", "b", "c"]) if LOSSES[loss].correct else None
    return Model(network, layers, classes, scaling or Scaling(np.zeros(D), np.full(D, 1 / 255)), **about)


SCALINGS = {"pixels": None, "standard": Scaling(np.arange(D) * 9.0, np.linspace(0.01, 0.1, D))}


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("members", [1, 2])
def test_every_backend_predicts_what_the_model_does(backend, rng, rows, members):
    model = model_of(SCALINGS["standard"], members=members)
    predictor = model.predictor(rows, backend)
    for X in rng.uniform(0, 255, (3, rows, D)):
        np.testing.assert_allclose(predictor.predict_proba(X), model.predict_proba(X, backend), rtol=1e-10)
        np.testing.assert_array_equal(predictor.predict(X), model.predict(X, backend))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("loss", ["softmax", "squared"])
def test_on_numpy_it_replays_to_the_last_bit(monkeypatch, rng, dtype, scaling, loss):
    replays, replay = [], Tape.replay
    monkeypatch.setattr(Tape, "replay", lambda self: replays.append(replay(self)))
    model = model_of(SCALINGS[scaling], loss)
    predictor = model.predictor(2)
    replays.clear()
    examples = rng.uniform(0, 255, (3, 2, D)).astype(dtype)
    found = [predictor.predict(X) for X in examples]  # of which a later one must not change an earlier one
    assert len(replays) == 3
    for values, X in zip(found, examples, strict=True):
        assert values.tobytes() == model.predict(X).tobytes()
        assert model.classes is None or predictor.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()


def test_what_is_no_array_of_numpy_is_prepared_as_the_model_prepares_it(rng):
    frame = pd.DataFrame({"size": rng.normal(size=20), "kind": ["flat", "house"] * 10})
    preparation = TablePreparation.fit(read_table(frame))
    network = Network.build(len(preparation.feature_names_out), [4], M)
    d = network.sizes[0]
    table_model = Model(
        network, initialize(network, seed=0), np.arange(M), Scaling(np.zeros(d), np.ones(d)), preparation=preparation
    )
    row = frame[3:4]
    np.testing.assert_array_equal(table_model.predictor().predict_proba(row), table_model.predict_proba(row))
    rows = rng.uniform(0, 255, (1, D)).tolist()
    np.testing.assert_array_equal(model_of().predictor().predict_proba(rows), model_of().predict_proba(rows))


def test_gaps_are_filled_where_the_model_fills_them_and_refused_where_it_does_not():
    row = np.full((1, D), 7.0)
    row[0, 2] = np.nan
    filling = model_of(medians=np.full(D, 100.0))
    with pytest.warns(match="gap") as caught:
        found = filling.predictor().predict_proba(row)
    assert caught[0].filename == __file__
    np.testing.assert_array_equal(found, filling.predict_proba(np.where(np.isnan(row), 100.0, row)))
    predictor = model_of().predictor()
    with pytest.raises(InputError, match="NaN or infinite"):
        predictor.predict(row)
    with pytest.raises(InputError, match="computed with in float32"):
        predictor.predict(np.full((1, D), 1e200))
    large = np.full((1, D), np.float32(1e25))  # whose sum of squares is beyond float32, and which are not
    np.testing.assert_array_equal(predictor.predict_proba(large), model_of().predict_proba(large))


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.ones((2, D)), "X has 2 rows, but this predictor takes 1: make one for 2"),
        (np.ones((1, D + 1)), "X has 7 features, but the model was trained on 6"),
        (np.ones(D), "must have two dimensions"),
        (np.array([["x"] * D]), "X"),
    ],
)
def test_what_does_not_fit_is_refused(X, message):
    with pytest.raises(InputError, match=message):
        model_of().predictor().predict(X)


def test_rows_must_be_as_many_as_a_backend_takes_at_once():
    for rows in (0, get_backend("numpy").rows_at_a_time + 1, 1.5):
        with pytest.raises(InputError, match="rows"):
            model_of().predictor(rows)
    with pytest.raises(InputError, match="regression, which has no probabilities"):
        model_of(loss="squared").predictor().predict_proba(np.ones((1, D)))


def test_a_function_of_ones_own_is_called_each_time(rng):
    factor = [1.0]
    own = replace(ACTIVATIONS["relu"], name="own", function=lambda xp, z: xp.maximum(z, xp.zeros_like(z)) * factor[0])
    model = model_of()
    model = replace(model, network=replace(model.network, activations=(own, own)))
    predictor, X = model.predictor(), rng.uniform(0, 255, (1, D))
    before = predictor.predict_proba(X)
    factor[0] = 3.0
    np.testing.assert_array_equal(predictor.predict_proba(X), model.predict_proba(X))
    assert (predictor.predict_proba(X) != before).any()


def test_a_predictor_can_be_pickled():
    predictor = model_of().predictor(rows=2)
    rows = np.ones((2, D))
    again = pickle.loads(pickle.dumps(predictor))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.predict(rows), predictor.predict(rows))
