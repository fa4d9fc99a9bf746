"""What a weight means: 2 is a row given twice, 0 is a row left out, for every solver and entry point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpmlp import MLPClassifier, MLPRegressor

N = 16
DRAWS = np.random.default_rng(5)
X = DRAWS.normal(size=(N, 3))
TARGETS = {
    "binary": np.arange(N) % 2,
    "multiclass": np.arange(N) % 3,
    "multilabel": np.c_[X[:, :2] > 0, np.arange(N) % 2].astype(int),
    "regression": np.tanh(X[:, 0]),
    "multioutput": np.tanh(X[:, :2]),
}
WEIGHTS = st.lists(st.integers(0, 3), min_size=N - 3, max_size=N - 3).map(lambda drawn: np.array([1, 2, 1, *drawn]))

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
each_kind = pytest.mark.parametrize("kind", TARGETS)
each_minibatch_solver = pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])


def new(kind, solver, n, **params):
    """Return an estimator that takes all of its n rows in one minibatch."""
    cls = MLPRegressor if kind in {"regression", "multioutput"} else MLPClassifier
    fixed = {"activation": "tanh", "alpha": 0.1, "max_iter": 4, "random_state": 0}
    return cls(hidden_layer_sizes=(4,), solver=solver, batch_size=n, **fixed, **params)


def classes_of(kind):
    classes = {"binary": [0, 1], "multiclass": [0, 1, 2], "multilabel": [0, 1, 2]}.get(kind)
    return {"classes": classes} if classes else {}


def assert_same(one, other):
    for a, b in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    assert one.loss_ == pytest.approx(other.loss_, rel=1e-7)


@each_kind
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "lbfgs"])
@settings(max_examples=4, deadline=None)
@given(weights=WEIGHTS)
def test_a_fit_with_weights_is_one_with_rows_repeated_or_left_out(kind, solver, weights):
    rows, y = np.repeat(np.arange(N), weights), TARGETS[kind]
    weighted = new(kind, solver, N).fit(X, y, sample_weight=weights)
    repeated = new(kind, solver, rows.size).fit(X[rows], y[rows])
    assert_same(weighted, repeated)
    assert weighted.score(X, y, sample_weight=weights) == pytest.approx(repeated.score(X[rows], y[rows]))


@each_kind
@each_minibatch_solver
@settings(max_examples=4, deadline=None)
@given(weights=WEIGHTS)
def test_partial_fits_with_weights_are_those_with_rows_repeated_or_left_out(kind, solver, weights):
    rows, y = np.repeat(np.arange(N), weights), TARGETS[kind]
    weighted, repeated = new(kind, solver, N), new(kind, solver, rows.size)
    for _ in range(3):
        weighted.partial_fit(X, y, sample_weight=weights, **classes_of(kind))
        repeated.partial_fit(X[rows], y[rows], **classes_of(kind))
    assert_same(weighted, repeated)


@each_kind
@each_minibatch_solver
@pytest.mark.parametrize("scoring", [None, "loss"])
@settings(max_examples=3, deadline=None)
@given(weights=WEIGHTS)
def test_a_validation_set_with_weights_is_one_with_rows_repeated_or_left_out(kind, solver, scoring, weights):
    rows, y = np.repeat(np.arange(N), weights), TARGETS[kind]
    model = new(kind, solver, N, early_stopping=True, scoring=scoring)
    model.fit(X, y, X_val=X, y_val=y, sample_weight_val=weights)
    losses, scores = model.validation_loss_curve_, model.validation_scores_
    model.fit(X, y, X_val=X[rows], y_val=y[rows])
    assert losses == pytest.approx(model.validation_loss_curve_)
    assert scores == (None if scoring == "loss" else pytest.approx(model.validation_scores_))


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw", "lbfgs"])
@settings(max_examples=4, deadline=None)
@given(weights=st.tuples(*[st.integers(1, 3)] * 3))
def test_class_weights_are_rows_repeated(solver, weights):
    y = TARGETS["multiclass"]
    rows = np.repeat(np.arange(N), np.array(weights)[y])
    named = {label: weight for label, weight in enumerate(weights) if weight != 1}
    weighted = new("multiclass", solver, N, class_weight=named).fit(X, y)
    assert_same(weighted, new("multiclass", solver, rows.size).fit(X[rows], y[rows]))


@each_kind
@each_minibatch_solver
def test_a_minibatch_whose_rows_all_weigh_0_takes_a_step_of_the_penalties_alone(kind, solver):
    weights, y = np.repeat([1.0, 0.0], N // 2), TARGETS[kind]
    params = {"alpha": 0.0, "l2": 0.3, "shuffle": False, "max_iter": 1, "batch_size": N // 2}
    half = new(kind, solver, N).set_params(**params).fit(X, y, sample_weight=weights)
    other = y.copy()
    other[N // 2 :] = y[: N // 2]  # whatever they are
    assert_same(half, new(kind, solver, N).set_params(**params).fit(X, other, sample_weight=weights))
    without = new(kind, solver, N).set_params(**params | {"l2": 0.0}).fit(X, y, sample_weight=weights)
    assert half.loss_ > without.loss_ > 0


def test_the_share_that_early_stopping_holds_out_counts_by_sample_weight_times_class_weight():
    y, weights, named = TARGETS["binary"], np.linspace(0.5, 2.0, N), {1: 5.0}
    params = {"early_stopping": True, "validation_fraction": 0.5}
    model = new("binary", "adam", 8, class_weight=named, **params).fit(X, y, sample_weight=weights)
    product = new("binary", "adam", 8, **params).fit(X, y, sample_weight=weights * np.where(y == 1, 5.0, 1.0))
    assert model.validation_scores_ == product.validation_scores_
    assert model.validation_loss_curve_ == product.validation_loss_curve_
    alone = new("binary", "adam", 8, **params).fit(X, y, sample_weight=weights)
    assert model.validation_loss_curve_ != alone.validation_loss_curve_
