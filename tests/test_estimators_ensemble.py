"""Deep ensembles: each member is the model that it is alone, and the ensemble predicts their mean."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from xpmlp import DeepEnsembleClassifier, DeepEnsembleRegressor, MLPClassifier, MLPRegressor
from xpmlp.common.errors import InputError
from xpmlp.training import Trainer

N = 60
FAST = {
    "hidden_layer_sizes": (6, 4),
    "n_estimators": 3,
    "learning_rate_init": 0.03,
    "max_iter": 8,
    "batch_size": 16,
    "random_state": 5,
}
DRAWS = np.random.default_rng(3)
X = DRAWS.normal(size=(N, 4))
HIDDEN = np.tanh(X @ DRAWS.normal(size=(4, 3)))
CLASSES = {"binary": (HIDDEN[:, 0] > 0) * 1, "multiclass": HIDDEN.argmax(axis=1) + 3, "multilabel": (HIDDEN > 0.1) * 1}
REALS = {"regression": HIDDEN[:, 0], "multioutput": HIDDEN}
TARGETS = CLASSES | REALS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def new(kind, **params):
    return (DeepEnsembleClassifier if kind in CLASSES else DeepEnsembleRegressor)(**FAST | params)


def same(member, alone, to_numpy=np.asarray):
    """Assert that a member is the model that is fitted alone."""
    assert member.n_iter_ == alone.n_iter_
    for p, q in zip(member.coefs_ + member.intercepts_, alone.coefs_ + alone.intercepts_, strict=True):
        np.testing.assert_allclose(to_numpy(p), to_numpy(q), rtol=1e-10, atol=1e-12)
    for name in ("loss_curve_", "validation_scores_", "validation_loss_curve_"):
        ours, its = getattr(member, name, None), getattr(alone, name, None)
        assert (ours is None) == (its is None), name
        if ours is not None:
            np.testing.assert_allclose(ours, its, rtol=1e-10, err_msg=name)
    assert member.t_ == alone.t_


def started_with(monkeypatch):
    """Write down of how many members the stack is that each trainer is started with; 1 for a lone network."""
    sizes, start = [], Trainer.start

    def noted(self, layers, state=None):
        sizes.append(layers[0].W.shape[0] if layers[0].W.ndim == 3 else 1)
        start(self, layers, state)

    monkeypatch.setattr(Trainer, "start", noted)
    return sizes


# Each member


@pytest.mark.usefixtures("dispatch")
@pytest.mark.parametrize("kind", TARGETS)
def test_each_member_is_the_single_estimator_with_its_random_state(backend, kind):
    given = backend.asarray(X), backend.asarray(TARGETS[kind], dtype=None)
    model = new(kind).fit(*given)
    assert len({member.random_state for member in model.estimators_}) == 3
    for member in model.estimators_:
        same(member, clone(member).fit(*given), backend.to_numpy)


RULES = {
    "early stopping": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 2},
    "early stopping by loss": {"early_stopping": True, "max_iter": 40, "n_iter_no_change": 2, "scoring": "loss"},
    "early stopping by a scorer": {"early_stopping": True, "n_iter_no_change": 2, "scoring": "f1_macro"},
    "adaptive": {"solver": "sgd", "learning_rate": "adaptive", "max_iter": 60, "n_iter_no_change": 2, "tol": 0.03},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "no shuffling": {"shuffle": False},
    "dropout": {"dropout": 0.2, "input_dropout": 0.1, "early_stopping": True},
    "schedule": {"schedule": "cosine", "solver": "adamw"},
    "penalties": {"l1": 1e-3, "l2": 1e-3, "alpha": 0.1},
    "weights of classes": {"class_weight": "balanced"},
    "another initialisation": {"init": "he_normal"},
    "L-BFGS": {"solver": "lbfgs"},
    "float32": {"dtype": "float32"},
}


@pytest.mark.parametrize("rule", [name for name in RULES if name != "float32"])
def test_members_keep_to_every_rule_as_the_single_estimator_does(rule):
    model = new("multiclass", **RULES[rule]).fit(X, CLASSES["multiclass"])
    for member in model.estimators_:
        same(member, clone(member).fit(X, CLASSES["multiclass"]))


def test_members_that_stop_in_different_epochs_are_those_that_stop_alone(monkeypatch):
    sizes = started_with(monkeypatch)
    model = new("multiclass", n_estimators=8, **RULES["early stopping"]).fit(X, CLASSES["multiclass"])
    assert len(set(model.n_iter_)) > 2
    assert sizes[0] == 8
    assert sizes[-1] < 8  # those that have ended leave the stack
    for member in model.estimators_:
        same(member, clone(member).fit(X, CLASSES["multiclass"]))


def test_a_validation_set_and_weights_reach_every_member():
    y, weights = REALS["regression"], np.arange(N) % 3 + 1.0
    given = {"sample_weight": weights[:40], "X_val": X[40:], "y_val": y[40:], "sample_weight_val": weights[40:]}
    model = new("regression", early_stopping=True).fit(X[:40], y[:40], **given)
    for member in model.estimators_:
        same(member, clone(member).fit(X[:40], y[:40], **given))


def test_members_are_trained_as_a_stack_where_they_can_be(monkeypatch):
    sizes = started_with(monkeypatch)
    new("binary").fit(X, CLASSES["binary"])
    assert sizes == [3]
    sizes.clear()
    new("binary").fit(sparse.csr_array(X), CLASSES["binary"])
    assert sizes == [1, 1, 1]


def test_sparse_examples_give_the_model_of_the_dense_ones():
    dense, thin = (new("binary").fit(given, CLASSES["binary"]) for given in (X, sparse.csr_array(X)))
    np.testing.assert_allclose(thin.predict_proba(sparse.csr_array(X)), dense.predict_proba(X), rtol=1e-8)


def test_a_member_goes_on_as_it_does_alone():
    model = new("regression").fit(X, REALS["regression"])
    for member in model.estimators_:
        alone = clone(member).fit(X, REALS["regression"])
        same(member.partial_fit(X, REALS["regression"]), alone.partial_fit(X, REALS["regression"]))


def test_a_warm_start_continues_every_member_and_adds_those_that_are_missing():
    y = CLASSES["multiclass"]
    model = new("multiclass", warm_start=True).fit(X, y)
    alone = [clone(member).fit(X, y).fit(X, y) for member in model.estimators_]
    seeds = [member.random_state for member in model.estimators_]
    model.set_params(n_estimators=4).fit(X, y)
    for member, other in zip(model.estimators_, alone, strict=False):
        same(member, other)
    assert [member.random_state for member in model.estimators_][:3] == seeds
    same(model.estimators_[3], clone(model.estimators_[3]).fit(X, y))


def test_the_same_seed_gives_the_same_ensemble_and_another_one_another():
    models = [new("binary", random_state=seed).fit(X, CLASSES["binary"]) for seed in (0, 0, 1)]
    first, again, other = (model.predict_proba(X) for model in models)
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


# The ensemble


@pytest.mark.parametrize("kind", CLASSES)
def test_probabilities_are_the_mean_of_the_members_and_classes_the_likeliest(kind):
    model = new(kind).fit(X, CLASSES[kind])
    p = np.mean([member.predict_proba(X) for member in model.estimators_], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-12)
    expected = p > 0.5 if kind == "multilabel" else model.classes_[p.argmax(axis=1)]
    np.testing.assert_array_equal(model.predict(X), expected)
    assert model.score(X, CLASSES[kind]) == np.mean((expected == CLASSES[kind]).reshape(N, -1).all(axis=1))


@pytest.mark.parametrize("kind", REALS)
def test_values_are_the_mean_of_the_members_with_their_standard_deviation(kind):
    model = new(kind).fit(X, REALS[kind])
    values = np.stack([member.predict(X) for member in model.estimators_])
    np.testing.assert_allclose(model.predict(X), values.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(model.predict_std(X), values.std(axis=0), rtol=1e-9)
    total, expected, disagreement = model.variance(X)
    np.testing.assert_allclose(total, values.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(disagreement, total)
    assert not expected.any()


@pytest.mark.parametrize("kind", CLASSES)
def test_the_entropy_is_that_of_the_members_and_what_they_disagree_on(kind):
    model = new(kind).fit(X, CLASSES[kind])
    p = np.stack([member.predict_proba(X) for member in model.estimators_])
    p = np.stack([1 - p, p], axis=-1) if kind == "multilabel" else p

    def entropy(p):
        return -(p * np.log(p)).sum(axis=-1)

    total, expected, mutual_information = model.entropy(X)
    np.testing.assert_allclose(total, entropy(p.mean(axis=0)), rtol=1e-9)
    np.testing.assert_allclose(expected, entropy(p).mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(mutual_information, total - expected, atol=1e-12)
    assert mutual_information.min() > 0
    assert total.shape == ((N, 3) if kind == "multilabel" else (N,))


def test_the_entropy_of_certain_members_is_0():
    separable = np.array([[-1e3], [1e3]] * 20)
    model = new("binary", hidden_layer_sizes=(), solver="lbfgs").fit(separable, [0, 1] * 20)
    entropy = model.entropy(separable * 1e3)
    np.testing.assert_allclose(entropy.total, 0.0, atol=1e-9)
    assert np.isfinite(entropy).all()


@pytest.mark.usefixtures("dispatch")
def test_predictions_are_arrays_of_the_library_of_x(backend):
    given = backend.asarray(X)
    classifier = new("multiclass").fit(given, backend.asarray(CLASSES["multiclass"], dtype=None))
    regressor = new("regression").fit(given, backend.asarray(REALS["regression"], dtype=None))
    outputs = [classifier.predict_proba(given), classifier.predict(given), *classifier.entropy(given)]
    for each in [*outputs, regressor.predict(given), regressor.predict_std(given), classifier.classes_]:
        assert backend.holds(each)
        assert backend.on_device(each)


@pytest.mark.usefixtures("dispatch")
def test_an_ensemble_moves_with_its_members(backend):
    model = new("multiclass").fit(X, CLASSES["multiclass"])
    expected = model.predict_proba(X)
    model.to(f"{backend.name}:{backend.device_name}")
    p = model.predict_proba(backend.asarray(X))
    assert backend.holds(p)
    np.testing.assert_allclose(backend.to_numpy(p), expected, rtol=1e-10)


@pytest.mark.parametrize("through", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])  # noqa: S301 - our own
def test_a_copy_and_a_pickle_predict_the_same(through):
    model = new("multiclass").fit(X, CLASSES["multiclass"])
    again = through(model)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.classes_, model.classes_)


def test_names_of_columns_are_those_of_the_frame():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = new("binary").fit(frame, CLASSES["binary"])
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.n_features_in_ == 4
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[list("dcba")])


def test_its_parameters_are_those_of_the_single_estimator_and_the_number_of_members():
    for ensemble, single in ((DeepEnsembleClassifier, MLPClassifier), (DeepEnsembleRegressor, MLPRegressor)):
        params = ensemble().get_params()
        assert params.pop("n_estimators") == 8
        assert params == single().get_params()


def test_each_member_that_has_not_converged_is_warned_of():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        new("binary", max_iter=1).fit(X, CLASSES["binary"])
    assert [each.category for each in caught] == [ConvergenceWarning] * 3
    assert {each.filename for each in caught} == {__file__}


@pytest.mark.parametrize("n_estimators", [0, 2.5, "8"])
def test_a_number_of_members_that_is_none_is_refused(n_estimators):
    with pytest.raises(ValueError, match="n_estimators"):
        new("binary", n_estimators=n_estimators).fit(X, CLASSES["binary"])


def test_what_no_member_can_be_fitted_to_is_refused_and_nothing_is_kept():
    model = new("binary")
    with pytest.raises(ValueError, match="NaN"):
        model.fit(np.full_like(X, np.nan), CLASSES["binary"])
    with pytest.raises(InputError, match="needs both X_val and y_val"):
        model.fit(X, CLASSES["binary"], X_val=X)
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        new("regression", solver="sgd", learning_rate_init=1e9).fit(X, REALS["regression"] * 1e9)
    with pytest.raises(NotFittedError):
        model.predict(X)
