"""Searches whose candidates and folds are trained as stacks: their scores are those of scikit-learn's searches."""

import pickle

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, GroupKFold, RandomizedSearchCV, ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from xpmlp import MLPClassifier, MLPRegressor, StackedGridSearchCV, StackedRandomizedSearchCV
from xpmlp.training import Trainer

N = 60
DRAWS = np.random.default_rng(8)
X = DRAWS.normal(size=(N, 4))
HIDDEN = np.tanh(X @ DRAWS.normal(size=(4, 3)))
Y = HIDDEN.argmax(axis=1)
NETWORK = MLPClassifier((6,), max_iter=6, batch_size=16, learning_rate_init=0.03, random_state=2)
REGRESSOR = MLPRegressor(hidden_layer_sizes=(4,), max_iter=6, batch_size=16, random_state=1)
GRID = {"learning_rate_init": [0.1, 0.01], "hidden_layer_sizes": [(5,), (6, 4)]}

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.FitFailedWarning"),
    pytest.mark.filterwarnings("ignore:One or more of the test scores"),
]


@pytest.fixture
def sizes(monkeypatch):
    """Give the sizes of the stacks that are trained; 1 for a lone network."""
    sizes, start = [], Trainer.start

    def noted(self, layers, state=None):
        sizes.append(layers[0].W.shape[0] if layers[0].W.ndim == 3 else 1)
        start(self, layers, state)

    monkeypatch.setattr(Trainer, "start", noted)
    return sizes


def both(estimator, grid, y=Y, given=X, fit=None, **params):
    """Give scikit-learn's search and the stacked one, fitted to the same."""
    searches = [search(estimator, grid, **params) for search in (GridSearchCV, StackedGridSearchCV)]
    return [each.fit(given, y, **fit or {}) for each in searches]


def same(theirs, ours):
    """Assert that two searches found the same."""
    assert theirs.cv_results_["params"] == ours.cv_results_["params"]
    assert theirs.cv_results_.keys() == ours.cv_results_.keys()
    for name in theirs.cv_results_:
        if ("score" in name and "time" not in name) or name.startswith("rank"):
            np.testing.assert_allclose(ours.cv_results_[name], theirs.cv_results_[name], rtol=1e-10, atol=1e-12)
    assert ours.best_params_ == theirs.best_params_
    assert ours.best_score_ == pytest.approx(theirs.best_score_, rel=1e-10)
    assert ours.n_splits_ == theirs.n_splits_


GRIDS = {
    "rates and sizes": (NETWORK, GRID, Y, {}),
    "early stopping": (NETWORK, {"early_stopping": [True], "alpha": [0.1, 1.0], "n_iter_no_change": [1]}, Y, {}),
    "solvers": (NETWORK, {"solver": ["adam", "sgd", "lbfgs"], "momentum": [0.5, 0.9]}, Y, {}),
    "dropout": (NETWORK, {"dropout": [0.0, 0.2]}, Y, {}),
    "weights of classes": (NETWORK, {"class_weight": ["balanced", None]}, Y, {}),
    "one candidate": (NETWORK, {"alpha": [0.1]}, Y, {}),
    "devices": (NETWORK, {"device": ["cpu", None], "dtype": ["float32", None]}, Y, {"scoring": "neg_log_loss"}),
    "several scores": (NETWORK, GRID, Y, {"scoring": ["accuracy", "neg_log_loss"], "refit": "accuracy"}),
    "training scores": (NETWORK, GRID, Y, {"return_train_score": True}),
    "folds of two sizes": (NETWORK, GRID, Y[:58], {"cv": 5}),
    "other folds": (NETWORK, GRID, Y, {"cv": ShuffleSplit(3, random_state=0)}),
    "two processes": (NETWORK, GRID, Y, {"n_jobs": 2}),
    "labels": (NETWORK, GRID, (HIDDEN > 0) * 1, {"cv": 3}),
    "real numbers": (REGRESSOR, {"loss": ["huber", "squared_error"]}, HIDDEN, {}),
}


@pytest.mark.parametrize("grid", GRIDS)
def test_the_scores_are_those_of_scikit_learns_search(grid):
    estimator, values, y, params = GRIDS[grid]
    theirs, ours = both(estimator, values, y, X[: len(y)], **params)
    same(theirs, ours)
    for p, q in zip(theirs.best_estimator_.coefs_, ours.best_estimator_.coefs_, strict=True):
        np.testing.assert_array_equal(p, q)


def test_a_randomized_search_draws_the_same_candidates():
    draws = {"learning_rate_init": loguniform(1e-3, 1e-1), "hidden_layer_sizes": [(5,), (7,)]}
    searches = (RandomizedSearchCV, StackedRandomizedSearchCV)
    same(*(search(NETWORK, draws, n_iter=5, random_state=3).fit(X, Y) for search in searches))


def test_candidates_and_folds_of_one_shape_are_one_stack(sizes):
    StackedGridSearchCV(NETWORK, GRID, refit=False).fit(X, Y)
    assert sizes == [10, 10]  # of two rates and five folds, for each shape


def test_the_data_are_checked_once_for_all_fits_of_a_search(monkeypatch):
    checks, learn_classes = [], MLPClassifier._learn_classes

    def counted(self, labels, *, like):
        checks.append(len(labels))
        learn_classes(self, labels, like=like)

    monkeypatch.setattr(MLPClassifier, "_learn_classes", counted)
    StackedGridSearchCV(NETWORK, GRID, refit=False).fit(X, Y)
    assert checks == [N]


def test_an_unknown_scoring_of_a_candidate_fails_it_alone(sizes):
    grid = {"early_stopping": [True], "scoring": [None, "no such score"]}
    same(*both(NETWORK, grid))
    assert max(sizes) == 5


def test_weights_and_groups_reach_every_fold():
    weights, groups = np.arange(N) % 3 + 1.0, np.arange(N) % 7
    same(*both(NETWORK, GRID, fit={"sample_weight": weights, "groups": groups}, cv=GroupKFold(3)))


def test_arrays_of_other_libraries_are_searched_as_stacks(backend, sizes, dispatch):
    arrays = backend.asarray(X), backend.asarray(Y, dtype=None)
    theirs, ours = both(NETWORK, {"alpha": [1.0, 0.1]}, given=arrays[0], y=arrays[1])
    same(theirs, ours)
    assert max(sizes) == 10


@pytest.mark.parametrize(
    ("estimator", "grid", "given"),
    [
        (NETWORK, GRID, sparse.csr_array(X)),
        (make_pipeline(StandardScaler(), NETWORK), {"mlpclassifier__alpha": [0.1, 1.0]}, X),
    ],
    ids=["sparse examples", "a pipeline"],
)
def test_what_cannot_be_a_stack_is_searched_one_by_one(sizes, estimator, grid, given):
    same(*both(estimator, grid, given=given))
    assert set(sizes) == {1}


def test_a_fold_that_lacks_a_class_is_fitted_by_itself():
    y = np.array([0, 1] * 28 + [2] * 4)
    folds = [(np.arange(30), np.arange(30, N)), (np.arange(30, N), np.arange(30)), (np.arange(10, 40), np.arange(10))]
    same(*both(NETWORK, GRID, y, cv=folds))


def test_a_candidate_that_fails_is_scored_as_scikit_learn_does_and_the_others_are_a_stack(sizes):
    grid = {"solver": ["sgd"], "learning_rate_init": [0.1, 1e200, -1.0, 0.01]}
    with np.errstate(all="ignore"), pytest.warns(FitFailedWarning):
        theirs, ours = both(NETWORK, grid)
    same(theirs, ours)
    assert np.isnan(ours.cv_results_["mean_test_score"]).sum() == 2
    assert max(sizes) == 15
    with pytest.raises(ValueError, match="non-finite"):
        StackedGridSearchCV(NETWORK, grid, error_score="raise").fit(X, Y)


def test_the_estimator_stays_as_it_was_and_the_search_is_a_search():
    network = clone(NETWORK)
    search = StackedGridSearchCV(network, GRID).fit(X, Y)
    assert search.estimator is network
    assert not hasattr(network, "coefs_")
    assert type(search.best_estimator_) is MLPClassifier
    assert search.best_estimator_.fit(X, Y).coefs_[0].shape[0] == 4  # it can be fitted again
    assert "fit" not in vars(search.best_estimator_)
    again = pickle.loads(pickle.dumps(search))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.predict(X), search.predict(X))
    assert clone(search).get_params().keys() == GridSearchCV(network, GRID).get_params().keys()


def test_the_time_of_a_stack_is_divided_among_its_fits():
    search = StackedGridSearchCV(NETWORK, GRID | {"solver": ["adam", "lbfgs"]}).fit(X, Y)
    assert (search.cv_results_["mean_fit_time"] > 0).all()
