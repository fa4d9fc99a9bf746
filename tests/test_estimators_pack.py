"""`PackClassifier` and `PackRegressor`: what they predict, in whose arrays, and how they travel."""

import pickle
import re
import weakref
from itertools import count

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpmlp import InputError, PackClassifier, PackRegressor, Setting, TablePreprocessor, load_model, save_model
from xpmlp.estimators import _pack
from xpmlp.training.many import Stacks

RNG = np.random.default_rng(3)
X = RNG.normal(size=(80, 4))
HIDDEN = np.tanh(X @ RNG.normal(size=(4, 3)))
CLASSES = {"binary": (HIDDEN[:, 0] > 0) * 1, "multiclass": HIDDEN.argmax(axis=1) + 3, "multilabel": (HIDDEN > 0.1) * 1}
REALS = {"regression": HIDDEN[:, 0] * 1e4 + 1e5, "multioutput": HIDDEN * [1.0, 100.0, 1e4]}
TARGETS = CLASSES | REALS
SMALL = {"n_estimators": 15, "max_iter": 12, "batch_size": 16, "random_state": 2}


def new(kind, **params):
    return (PackClassifier if kind in CLASSES else PackRegressor)(**SMALL | params)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_pack_learns_and_its_model_its_pickle_and_its_file_predict_the_same(kind, tmp_path):
    y = TARGETS[kind]
    model = new(kind).fit(X, y)
    assert model.score(X, y) > 0.7
    assert model.n_selected_ % 5 == 0
    predicted = model.predict(X)
    assert predicted.shape == y.shape
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), predicted)  # noqa: S301 - its own
    save_model(model, tmp_path / "pack.safetensors")
    np.testing.assert_allclose(load_model(tmp_path / "pack.safetensors").predict(X), predicted, rtol=1e-6)
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), predicted)


@pytest.mark.parametrize("kind", TARGETS)
def test_a_pack_says_how_sure_it_is(kind):
    model = new(kind).fit(X, TARGETS[kind])
    far = 50.0 * X
    if kind in CLASSES:
        near, away = model.entropy(X).mutual_information, model.entropy(far).total
        assert (near > -1e-12).all()
        assert np.isfinite(away).all()
        p = model.predict_proba(X)
        assert ((p >= 0) & (p <= 1)).all()
    else:
        assert (model.predict_std(far).mean(axis=0) > model.predict_std(X).mean(axis=0)).all()


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_validation_set_selects_in_place_of_folds(kind):
    y = TARGETS[kind]
    model = new(kind, n_estimators=4).fit(X[:60], y[:60], X_val=X[60:], y_val=y[60:])
    assert 1 <= model.n_selected_ <= 32
    assert model.score(X, y) > 0.6


@pytest.mark.usefixtures("dispatch")
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_arrays_of_any_library_are_learnt_from_and_predicted_in_it(backend, kind):
    put, y = backend.asarray(X), TARGETS[kind]
    model = new(kind).fit(put, backend.asarray(y, dtype=None))
    assert backend.holds(model.predict(put))
    expected = new(kind, dtype=backend.dtype).fit(X, y)
    found = backend.to_numpy(model.predict_proba(put) if kind in CLASSES else model.predict(put))
    wanted = expected.predict_proba(X) if kind in CLASSES else expected.predict(X)
    np.testing.assert_allclose(found, wanted, rtol=1e-3 if backend.dtype == "float32" else 1e-6, atol=1e-6)
    back = model.to("cpu")
    np.testing.assert_allclose(
        back.predict_proba(X) if kind in CLASSES else back.predict(X), wanted, rtol=1e-3, atol=1e-5
    )


def test_real_data_are_predicted_well_without_a_single_parameter():
    cancer, sugar = load_breast_cancer(return_X_y=True), load_diabetes(return_X_y=True)
    classifier = make_pipeline(StandardScaler(), PackClassifier(20, random_state=0))
    assert cross_val_score(classifier, cancer[0][::2], cancer[1][::2], cv=2).mean() > 0.94
    regressor = make_pipeline(TablePreprocessor(), PackRegressor(20, max_iter=60, random_state=0))
    frame = load_diabetes(as_frame=True)
    assert cross_val_score(regressor, frame.data, sugar[1], cv=2).mean() > 0.38


def test_columns_are_known_by_name_and_large_sets_are_predicted_in_pieces(monkeypatch):
    frame = load_diabetes(as_frame=True)
    model = PackRegressor(5, max_iter=3, random_state=0).fit(frame.data, frame.target)
    assert model.feature_names_in_.tolist() == frame.data.columns.tolist()
    whole = model.predict(frame.data)
    monkeypatch.setattr("xpmlp.backends.base.Backend.rows_at_a_time", 100)
    np.testing.assert_allclose(model.predict(frame.data), whole, rtol=1e-9)


def test_a_fit_keeps_the_state_of_two_epochs_at_most(monkeypatch):
    made, held = _pack.train_pack, []

    def noted(*arguments, **options):
        records = []
        for record in made(*arguments, **options):
            records.append(weakref.ref(record))
            yield record
            del record
            held.append(sum(reference() is not None for reference in records))

    monkeypatch.setattr(_pack, "train_pack", noted)
    new("binary").fit(X, CLASSES["binary"])
    assert len(held) == SMALL["max_iter"]
    assert max(held) <= 2


def test_what_a_pack_cannot_take_is_refused():
    with pytest.raises(InputError, match="dense examples"):
        new("binary").fit(sparse.csr_array(X), CLASSES["binary"])
    with pytest.raises(NotFittedError):
        new("binary").predict(X)
    for kind, name in (("binary", "PackClassifier"), ("regression", "PackRegressor")):
        with pytest.raises(ValueError, match=f"^Input X contains NaN.\n{name} does not accept"):
            new(kind).fit(np.where(X > 2, np.nan, X), TARGETS[kind])
    with pytest.raises(ValueError, match="max_iter"):
        new("binary", max_iter="some").fit(X, CLASSES["binary"])
    assert not hasattr(new("binary"), "n_features_in_")


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_targets_whose_squares_are_no_numbers_are_learnt_as_all_others(rng, unit):
    X = rng.normal(size=(60, 3))
    one, other = (PackRegressor(5, max_iter=3, random_state=0).fit(X, X[:, 0] * scale) for scale in (1.0, unit))
    np.testing.assert_allclose(other.predict(X) / unit, one.predict(X), rtol=1e-9, atol=1e-12)


def test_a_target_that_is_always_the_same_is_predicted_as_it_is(rng):
    X = rng.normal(size=(60, 3))
    model = PackRegressor(5, max_iter=1, random_state=0).fit(X, np.full(60, 7.5))
    np.testing.assert_array_equal(model.predict(X), 7.5)
    np.testing.assert_array_equal(model.predict_std(X), 0.0)


def test_messages_call_a_pack_by_its_name(rng):
    X = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match="but PackRegressor is expecting 3 features"):
        PackRegressor(5, max_iter=1).fit(X, X[:, 0]).predict(X[:, :2])
    with pytest.raises(ValueError, match="PackClassifier does not accept missing values"):
        PackClassifier(5, max_iter=1).fit(np.where(X > 0, X, np.nan), X[:, 0] > 0)


def test_examples_of_no_weight_are_neither_learnt_nor_judged_by(rng):
    X, garbage = rng.normal(size=(120, 4)), rng.normal(size=(120, 4))
    weights = np.repeat([1.0, 0.0], 120)
    regressor = PackRegressor(15, max_iter=30, random_state=0)
    regressor.fit(np.r_[X, garbage], np.r_[X[:, 0], rng.normal(scale=1e3, size=120)], sample_weight=weights)
    assert regressor.score(X, X[:, 0]) > 0.95
    classifier = PackClassifier(15, max_iter=30, random_state=0)
    classifier.fit(np.r_[X, X], np.r_[X[:, 0] > 0, X[:, 0] < 0], sample_weight=weights)
    assert classifier.score(X, X[:, 0] > 0) > 0.9
    with pytest.raises(InputError, match="weights of the examples must be numbers of at least 0"):
        regressor.fit(X, X[:, 0], sample_weight=np.r_[-1.0, np.ones(119)])


def test_a_pack_says_how_it_goes_and_what_it_has_selected(capsys):
    model = new("multiclass", max_iter=3, verbose=True).fit(X, CLASSES["multiclass"])
    assert re.fullmatch(r"(Iteration [123], loss = \d\.\d{8}\n){3}", capsys.readouterr().out)
    assert model.n_selected_ == 5 * len(model.settings_)
    assert all(isinstance(each, Setting) for each in model.settings_)


def test_an_interrupted_pack_keeps_what_it_has(monkeypatch):
    train_epoch, calls = Stacks.train_epoch, count(1)

    def interrupted(stacks, start):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return train_epoch(stacks, start)

    monkeypatch.setattr(Stacks, "train_epoch", interrupted)
    with pytest.warns(UserWarning, match="Training interrupted by user") as warned:
        model = new("multiclass").fit(X, CLASSES["multiclass"])
    assert warned[0].filename == __file__
    assert model.n_iter_ == 2
    assert model.predict(X).shape == (80,)
