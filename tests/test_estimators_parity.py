"""Same seed, same model: the estimators against those of the installed scikit-learn, parameter by parameter."""

import contextlib
import copy
import io
import warnings

import numpy as np
import pytest
import sklearn.neural_network as reference
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from xpmlp import MLPClassifier, MLPRegressor

PAIRS = {"classifier": (MLPClassifier, reference.MLPClassifier), "regressor": (MLPRegressor, reference.MLPRegressor)}
ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_iter_",
    "t_",
    "loss_",
    "loss_curve_",
    "best_loss_",
    "validation_scores_",
    "best_validation_score_",
    "coefs_",
    "intercepts_",
)
EXACT, LBFGS, SINGLE = 1e-8, 1e-5, 1e-3  # relative to the largest entry of what is compared

ACTIVATIONS = ("identity", "logistic", "tanh", "relu")
STOCHASTIC = ("sgd", "adam")
SOLVERS = (*STOCHASTIC, "lbfgs")

N, D = 67, 5  # 67 rows in minibatches of 40: the last has 27
COMMON = {"hidden_layer_sizes": (5, 4), "learning_rate_init": 0.02, "batch_size": 40, "max_iter": 4, "random_state": 3}


def make(kind, n=N, dtype=np.float64):
    """Give the kind of estimator, X and y of a small problem that is learnt well within a few epochs."""
    draws = np.random.default_rng(7)
    X = draws.normal(size=(n, D))
    hidden = np.tanh(X @ draws.normal(size=(D, 3))) + 0.1 * draws.normal(size=(n, 3))
    if kind == "binary":
        estimator, y = "classifier", (hidden[:, 0] > 0).astype(int)
    elif kind == "multiclass":
        estimator, y = "classifier", np.argmax(hidden, axis=1)
    elif kind == "multilabel":
        estimator, y = "classifier", (hidden > 0.2).astype(int)
    elif kind == "regression":
        estimator, y = "regressor", hidden[:, 0]
    elif kind == "multioutput":
        estimator, y = "regressor", hidden * [1.0, 2.0, 0.5]
    else:
        estimator, y = "regressor", np.floor(np.exp(hidden[:, 0]))  # counts, some of them zero
    if kind == "multioutput-poisson":
        y = np.floor(np.exp(hidden))
    return estimator, X.astype(dtype), y


CLASSIFICATION = ("binary", "multiclass", "multilabel")
KINDS = (*CLASSIFICATION, "regression", "multioutput", "poisson", "multioutput-poisson")


def loss_of(kind):
    return {"loss": "poisson"} if kind.endswith("poisson") else {}


def close(ours, theirs, rtol, what, *, dtypes=True):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    if theirs.dtype.kind != "f":
        np.testing.assert_array_equal(ours, theirs, err_msg=what)
        return
    assert ours.dtype == theirs.dtype or not dtypes, f"{what}: {ours.dtype}, not {theirs.dtype}"
    finite = np.abs(theirs[np.isfinite(theirs)])
    np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * finite.max(initial=0.0), err_msg=what)


def same(ours, theirs, X=None, rtol=EXACT, *, dtypes=True):
    """Assert that two fitted estimators have the same fitted attributes, and the same predictions for X."""
    for name in ATTRIBUTES:
        assert hasattr(ours, name) == hasattr(theirs, name), name
        if not hasattr(theirs, name):
            continue
        mine, other = getattr(ours, name), getattr(theirs, name)
        if name in {"coefs_", "intercepts_"}:
            assert isinstance(mine, list), name
            assert len(mine) == len(other), name
            for layer, (a, b) in enumerate(zip(mine, other, strict=True)):
                assert isinstance(a, np.ndarray), f"{name}[{layer}] is a {type(a)}"
                close(a, b, rtol, f"{name}[{layer}]", dtypes=dtypes)
        elif isinstance(other, list) and name != "classes_":
            assert isinstance(mine, list), name
            close(np.asarray(mine, dtype=float), np.asarray(other, dtype=float), rtol, name)
        elif other is None or isinstance(other, (int, str)):
            assert mine == other, name
        elif isinstance(other, (float, np.floating)):
            close(float(mine), float(other), rtol, name)
        else:
            close(mine, other, rtol, name)
            assert np.asarray(mine).dtype == np.asarray(other).dtype, name
    if X is not None:
        same_predictions(ours, theirs, X, rtol, dtypes=dtypes)


def same_predictions(ours, theirs, X, rtol=EXACT, *, dtypes=True):
    for method in ("predict", "predict_proba"):
        if hasattr(theirs, method):
            mine, other = getattr(ours, method)(X), getattr(theirs, method)(X)
            assert np.asarray(mine).dtype == np.asarray(other).dtype or not dtypes, method
            close(mine, other, rtol, method, dtypes=dtypes)
    if hasattr(theirs, "predict_log_proba"):
        proba = theirs.predict_proba(X)
        with np.errstate(divide="ignore"):  # the logarithm of a probability that is 0
            mine, other = ours.predict_log_proba(X), theirs.predict_log_proba(X)
        assert mine.shape == other.shape
        certain = np.sqrt(np.finfo(proba.dtype).eps)  # below it, what is left of 1 has lost its digits
        kept = proba > certain
        close(mine[kept], other[kept], rtol, "predict_log_proba", dtypes=dtypes)
        assert (mine[~kept] < np.log(certain) + 0.1).all()


def quietly(call, *arguments, **options):
    """Call, and give the warnings for users (those of floating point are not compared)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call(*arguments, **options)
    return [(w.category, str(w.message)) for w in caught if issubclass(w.category, UserWarning)]


def pair(estimator, **params):
    return tuple(cls(**{**COMMON, **params}) for cls in PAIRS[estimator])


def both(estimators, method, *arguments, **options):
    """Call a method of both, and give the warnings, which must be the same."""
    ours, theirs = (quietly(getattr(estimator, method), *arguments, **options) for estimator in estimators)
    assert ours == theirs
    return theirs


def fitted(estimator, X, y, sample_weight=None, **params):
    estimators = pair(estimator, **params)
    both(estimators, "fit", X, y, sample_weight=sample_weight)
    return estimators


def rtol_of(solver):
    return LBFGS if solver == "lbfgs" else EXACT


each_solver = pytest.mark.parametrize("solver", SOLVERS)
each_stochastic_solver = pytest.mark.parametrize("solver", STOCHASTIC)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


# Solvers, activations and kinds of problem


@each_kind
@each_activation
@each_solver
def test_every_solver_activation_and_kind_of_problem_gives_the_same_model(solver, activation, kind):
    estimator, X, y = make(kind)
    ours, theirs = fitted(estimator, X, y, solver=solver, activation=activation, **loss_of(kind))
    same(ours, theirs, X, rtol_of(solver))
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS[:-1])
@each_activation
@each_stochastic_solver
def test_early_stopping_gives_the_same_model(solver, activation, kind):
    estimator, X, y = make(kind)
    params = {"early_stopping": True, "validation_fraction": 0.2, "max_iter": 5, "n_iter_no_change": 2}
    ours, theirs = fitted(estimator, X, y, solver=solver, activation=activation, **params, **loss_of(kind))
    assert len(theirs.validation_scores_) == theirs.n_iter_
    assert theirs.best_loss_ is None
    same(ours, theirs, X)


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@each_stochastic_solver
def test_early_stopping_restores_the_best_weights(solver, kind):
    estimator, X, y = make(kind)
    params = {"early_stopping": True, "n_iter_no_change": 4, "max_iter": 300, "tol": 0.01, "learning_rate_init": 0.1}
    ours, theirs = fitted(estimator, X, y, solver=solver, **params)
    scores = theirs.validation_scores_
    assert scores.index(max(scores)) < len(scores) - 1, "the last epoch is the best: nothing is restored"
    assert theirs.n_iter_ < 300
    same(ours, theirs, X)


def test_lbfgs_takes_no_notice_of_early_stopping():
    estimator, X, y = make("binary")
    ours, theirs = fitted(estimator, X, y, solver="lbfgs", early_stopping=True)
    same(ours, theirs, X, LBFGS)
    plain, _ = fitted(estimator, X, y, solver="lbfgs")
    close(ours.coefs_[0], plain.coefs_[0], EXACT, "coefs_[0]")


def test_a_multiclass_split_for_early_stopping_is_that_of_scikit_learn():
    """It is not stratified: a class with one example is no error there."""
    estimator, X, y = make("multiclass")
    y[0] = 3
    ours, theirs = fitted(estimator, X, y, early_stopping=True)
    same(ours, theirs, X)


@each_kind
@each_solver
def test_float32_gives_nearly_the_same_model_in_float32(solver, kind):
    """scikit-learn's lbfgs gives float64 weights, which SciPy makes; ours may keep to the dtype of X there."""
    estimator, X, y = make(kind, dtype=np.float32)
    ours, theirs = fitted(estimator, X, y, solver=solver, **loss_of(kind))
    if solver == "lbfgs":
        same(ours, theirs, X, 5e-3, dtypes=False)
    else:
        assert all(W.dtype == np.float32 for W in ours.coefs_ + ours.intercepts_)
        same(ours, theirs, X, SINGLE)


@each_stochastic_solver
def test_float32_with_early_stopping_and_weights_gives_nearly_the_same_model(solver):
    estimator, X, y = make("multiclass", dtype=np.float32)
    weights = np.linspace(0.5, 2, N)
    ours, theirs = fitted(estimator, X, y, weights, solver=solver, early_stopping=True)
    assert all(W.dtype == np.float32 for W in ours.coefs_ + ours.intercepts_)
    same(ours, theirs, X, SINGLE)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_held_out_rows_are_scored_by_the_weights_that_were_given():
    """They used to be rounded to float32: the score of a constant target then was 0, not -4e31 as in scikit-learn."""
    _, X, _ = make("regression", dtype=np.float32)
    weights = np.random.default_rng(1).uniform(0.5, 2, N)
    params = {"early_stopping": True, "max_iter": 3}
    ours, theirs = fitted("regressor", X, np.full(N, 3.0), weights, **params)
    assert max(theirs.validation_scores_) < -1e20
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_, rel=1e-3)

    def scorer(_estimator, _X, _y, sample_weight):
        np.testing.assert_array_equal(sample_weight, weights)
        return 0.5

    y, model = np.full(N, 3.0), MLPRegressor(max_iter=2, early_stopping=True, scoring=scorer)
    assert model.fit(X, y, X_val=X, y_val=y, sample_weight_val=weights).validation_scores_ == [0.5, 0.5]


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_the_score_of_a_classifier_that_diverges_is_that_of_its_labels(kind):
    estimator, X, y = make(kind)
    params = {"solver": "sgd", "batch_size": 1, "learning_rate_init": 100.0, "early_stopping": True, "max_iter": 4}
    ours, theirs = (each.set_params(**params) for each in pair(estimator))
    for each in (ours, theirs):
        with contextlib.suppress(ValueError):  # the weights of the last epoch may not be finite
            each.fit(100 * X, y)
    assert np.isfinite(theirs.validation_scores_).all()
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        np.asfortranarray,
        lambda X: np.round(3 * X).astype(int),
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
        lambda X: X.astype(np.float16),
        lambda X: np.round(X).astype(bool),
    ],
    ids=["list", "fortran", "integers", "strided", "float16", "booleans"],
)
@each_solver
def test_every_form_of_dense_input_gives_the_same_model(solver, convert):
    estimator, X, y = make("multiclass")
    X = convert(X)
    ours, theirs = fitted(estimator, X, y.tolist(), solver=solver)
    same(ours, theirs, X, rtol_of(solver))


def test_input_is_not_written_to():
    for kind in ("multiclass", "regression", "poisson"):
        estimator, X, y = make(kind)
        weights = np.linspace(0.5, 2, N)
        before = X.copy(), y.copy(), weights.copy()
        for array in (X, y, weights):
            array.flags.writeable = False
        for solver in SOLVERS:
            ours, theirs = fitted(estimator, X, y, weights, solver=solver, **loss_of(kind))
            same(ours, theirs, X, rtol_of(solver))
        for array, copied in zip((X, y, weights), before, strict=True):
            np.testing.assert_array_equal(array, copied)


@pytest.mark.parametrize("convert", [sparse.csr_array, sparse.csc_matrix])
@pytest.mark.parametrize("shuffle", [True, False])
@each_solver
def test_sparse_input_gives_the_same_model(solver, shuffle, convert):
    estimator, dense, y = make("multiclass")
    dense[np.abs(dense) < 0.7] = 0
    X = convert(dense)
    ours, theirs = fitted(estimator, X, y, solver=solver, shuffle=shuffle)
    same(ours, theirs, X, rtol_of(solver))
    same(ours, theirs, dense, rtol_of(solver))
    close(ours.predict_proba(X), ours.predict_proba(dense), 1e-12, "sparse and dense predictions")


@each_kind
def test_sparse_input_gives_the_same_model_with_early_stopping_weights_and_partial_fit(kind):
    estimator, dense, y = make(kind, dtype=np.float32)
    dense[np.abs(dense) < 0.7] = 0
    X, weights = sparse.csr_array(dense), np.linspace(0.5, 2, N)
    estimators = fitted(estimator, X, y, weights, early_stopping=True, **loss_of(kind))
    same(*estimators, X, SINGLE)
    estimators = fitted(estimator, X, y, weights, solver="sgd", **loss_of(kind))
    both(estimators, "partial_fit", X, y, sample_weight=weights)
    same(*estimators, X, SINGLE)


def test_coordinate_format_is_converted():
    estimator, X, y = make("binary")
    X = sparse.coo_array(np.where(np.abs(X) < 0.7, 0, X))
    same(*fitted(estimator, X, y), X)


# The stochastic solvers' parameters


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("rule", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("kind", ["multiclass", "regression"])
@each_stochastic_solver
def test_every_learning_rate_rule_gives_the_same_model(solver, kind, rule, early_stopping):
    estimator, X, y = make(kind)
    params = {"learning_rate": rule, "early_stopping": early_stopping, "power_t": 0.3, "learning_rate_init": 0.1}
    ours, theirs = fitted(estimator, X, y, solver=solver, **params)
    same(ours, theirs, X)


def rate_of(theirs):
    """Give scikit-learn's learning rate, which has no public name: the test is of one that has changed."""
    return theirs._optimizer.learning_rate


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_an_adaptive_rate_is_divided_until_it_is_too_small(kind, early_stopping):
    estimator, X, y = make(kind)
    params = {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 2, "max_iter": 200, "momentum": 0.5}
    ours, theirs = fitted(estimator, X, y, solver="sgd", early_stopping=early_stopping, **params)
    assert rate_of(theirs) == pytest.approx(COMMON["learning_rate_init"] / 5**7)  # below 1e-6
    assert theirs.n_iter_ < 200
    same(ours, theirs, X)


def test_an_adaptive_rate_that_has_been_divided_goes_on_dividing_in_partial_fit_and_starts_anew_in_a_warm_start():
    estimator, X, y = make("regression")
    params = {"learning_rate": "adaptive", "tol": 0.05, "n_iter_no_change": 1, "max_iter": 12, "warm_start": True}
    estimators = fitted(estimator, X, y, solver="sgd", **params)
    assert rate_of(estimators[1]) < COMMON["learning_rate_init"] / 5
    for _ in range(5):
        both(estimators, "partial_fit", X, y)
        same(*estimators, X)
    both(estimators, "fit", X, y)
    same(*estimators, X)


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("momentum", [0, 0.5, 0.9, 1.0])
def test_momentum_with_and_without_nesterov_gives_the_same_model(momentum, nesterov):
    for kind in ("multilabel", "regression"):
        estimator, X, y = make(kind)
        ours, theirs = fitted(estimator, X, y, solver="sgd", momentum=momentum, nesterovs_momentum=nesterov)
        same(ours, theirs, X)


@pytest.mark.parametrize(
    "params", [{"beta_1": 0.0}, {"beta_1": 0.5, "beta_2": 0.9}, {"beta_2": 0.5}, {"epsilon": 0.1}], ids=str
)
def test_the_parameters_of_adam_give_the_same_model(params):
    estimator, X, y = make("multiclass")
    same(*fitted(estimator, X, y, solver="adam", activation="tanh", **params), X)


@pytest.mark.parametrize("alpha", [0, 0.1, 10])
@each_solver
def test_every_strength_of_the_penalty_gives_the_same_model(solver, alpha):
    for weights in (None, np.linspace(0, 3, N)):
        estimator, X, y = make("multiclass")
        same(*fitted(estimator, X, y, weights, solver=solver, alpha=alpha), X, rtol_of(solver))


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("batch_size", ["auto", 1, 7, N - 1])
@each_stochastic_solver
def test_every_batch_size_shuffled_or_not_gives_the_same_model(solver, batch_size, shuffle):
    estimator, X, y = make("multiclass")
    same(*fitted(estimator, X, y, solver=solver, batch_size=batch_size, shuffle=shuffle, max_iter=2), X)


@each_stochastic_solver
def test_automatic_minibatches_have_200_rows(solver):
    estimator, X, y = make("regression", n=230)
    ours, theirs = fitted(estimator, X, y, solver=solver, batch_size="auto", max_iter=3)
    same(ours, theirs, X)
    explicit, _ = fitted(estimator, X, y, solver=solver, batch_size=200, max_iter=3)
    close(ours.coefs_[0], explicit.coefs_[0], EXACT, "coefs_[0]")


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_batch_size_larger_than_the_data_is_clipped_with_the_same_warning(early_stopping):
    estimator, X, y = make("binary")
    estimators = pair(estimator, batch_size=N, n_iter_no_change=50, early_stopping=early_stopping)
    estimators = [estimator.set_params(batch_size=N + (not early_stopping)) for estimator in estimators]
    caught = both(estimators, "fit", X, y)
    assert caught[0] == (
        UserWarning,
        "Got `batch_size` less than 1 or larger than sample size. It is going to be clipped",
    )
    same(*estimators, X)


def test_lbfgs_takes_no_notice_of_the_batch_size():
    estimator, X, y = make("binary")
    estimators = pair(estimator, solver="lbfgs", batch_size=1000, max_iter=500, tol=1e-2)
    assert both(estimators, "fit", X, y) == []
    same(*estimators, X, 1e-4)


@pytest.mark.parametrize(
    "sizes",
    [6, np.int64(6), (), [], (5, 3), [5, 3], np.array([5, 3]), np.array([4]), (3, 2, 4)],
    ids=lambda sizes: f"{type(sizes).__name__}-{sizes}",
)
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_hidden_layers_may_be_a_number_or_any_sequence(solver, sizes):
    estimator, X, y = make("multiclass")
    ours, theirs = fitted(estimator, X, y, solver=solver, hidden_layer_sizes=sizes)
    same(ours, theirs, X, rtol_of(solver))
    assert ours.n_layers_ == np.size(sizes) + 2


def test_the_defaults_give_the_same_model():
    for kind in KINDS:
        estimator, X, y = make(kind)
        estimators = [cls(random_state=0, max_iter=3, **loss_of(kind)) for cls in PAIRS[estimator]]
        both(estimators, "fit", X, y)
        same(*estimators, X)


# Stopping


@pytest.mark.parametrize("patience", [1, 2, 5, 10])
@pytest.mark.parametrize("early_stopping", [False, True])
@each_stochastic_solver
def test_patience_and_tolerance_stop_at_the_same_epoch_without_a_warning(solver, early_stopping, patience):
    estimator, X, y = make("binary")
    params = {"tol": 1e9, "n_iter_no_change": patience, "max_iter": 50, "early_stopping": early_stopping}
    estimators = pair(estimator, solver=solver, **params)
    assert both(estimators, "fit", X, y) == []
    # Without early stopping the first epoch improves on infinity by anything; its patience is exceeded, not reached.
    assert estimators[0].n_iter_ == patience + 2
    same(*estimators, X)


@pytest.mark.parametrize("early_stopping", [False, True])
@each_stochastic_solver
def test_infinite_patience_never_stops(solver, early_stopping):
    estimator, X, y = make("binary")
    params = {"tol": 1e9, "n_iter_no_change": np.inf, "max_iter": 15, "early_stopping": early_stopping}
    estimators = pair(estimator, solver=solver, **params)
    caught = both(estimators, "fit", X, y)
    assert [category for category, _ in caught] == [ConvergenceWarning]
    assert estimators[0].n_iter_ == 15
    same(*estimators, X)


@each_kind
def test_a_tolerance_that_is_met_on_the_way_stops_at_the_same_epoch(kind):
    estimator, X, y = make(kind)
    params = {"tol": 0.02, "n_iter_no_change": 3, "max_iter": 300, "learning_rate_init": 0.05}
    estimators = pair(estimator, **params, **loss_of(kind))
    assert both(estimators, "fit", X, y) == []
    assert 5 < estimators[1].n_iter_ < 300
    same(*estimators, X, 1e-6)


@each_solver
def test_stopping_at_the_last_epoch_warns_in_the_same_words(solver):
    estimator, X, y = make("multiclass")
    estimators = pair(estimator, solver=solver)
    ((category, message),) = both(estimators, "fit", X, y)
    assert category is ConvergenceWarning
    if solver != "lbfgs":
        assert (
            message == "Stochastic Optimizer: Maximum iterations (4) reached and the optimization hasn't converged yet."
        )
    else:
        assert message.startswith("lbfgs failed to converge after 4 iteration(s) (status=1)")
        assert "Increase the number of iterations to improve the convergence (max_iter=4)." in message


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_number_of_function_calls_limits_lbfgs(kind):
    for max_fun in (1, 4, 10):
        estimator, X, y = make(kind)
        estimators = pair(estimator, solver="lbfgs", max_fun=max_fun, max_iter=150, tol=0)
        ((category, message),) = both(estimators, "fit", X, y)
        assert category is ConvergenceWarning
        assert "status=1" in message
        assert estimators[0].n_iter_ <= max_fun
        same(*estimators, X, LBFGS)


def test_the_tolerance_stops_lbfgs_without_a_warning():
    for kind in ("multiclass", "regression"):
        estimator, X, y = make(kind)
        estimators = pair(estimator, solver="lbfgs", tol=0.1, max_iter=100)
        assert both(estimators, "fit", X, y) == []
        assert estimators[1].n_iter_ < 100
        same(*estimators, X, LBFGS)


def test_lbfgs_without_a_tolerance_stops_where_the_loss_no_longer_falls():
    """The tolerance is one of the gradient; that of the loss is SciPy's own."""
    estimator, X, y = make("regression")
    params = {"solver": "lbfgs", "tol": 0, "max_iter": 1000, "hidden_layer_sizes": (), "alpha": 1.0}
    ours, theirs = estimators = pair(estimator, **params)
    assert both(estimators, "fit", X, y) == []
    assert abs(ours.n_iter_ - theirs.n_iter_) <= 1  # rounding may decide the last step
    assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-7)
    same_predictions(ours, theirs, X, 1e-3)


# Weights of the examples


@each_kind
@each_solver
def test_sample_weights_give_the_same_model(solver, kind):
    estimator, X, y = make(kind)
    weights = np.random.default_rng(1).exponential(size=N)
    ours, theirs = fitted(estimator, X, y, weights, solver=solver, **loss_of(kind))
    same(ours, theirs, X, rtol_of(solver))
    plain, _ = fitted(estimator, X, y, solver=solver, **loss_of(kind))
    assert not np.allclose(plain.coefs_[0], ours.coefs_[0])
    assert ours.score(X, y, weights) == pytest.approx(theirs.score(X, y, weights), rel=1e-4)


@pytest.mark.parametrize("kind", ["binary", "multilabel", "multioutput", "regression"])
@each_stochastic_solver
def test_sample_weights_give_the_same_model_with_early_stopping(solver, kind):
    estimator, X, y = make(kind)
    weights = np.random.default_rng(1).exponential(size=N)
    ours, theirs = fitted(estimator, X, y, weights, solver=solver, early_stopping=True)
    same(ours, theirs, X)
    assert (
        theirs.validation_scores_ != fitted(estimator, X, y, solver=solver, early_stopping=True)[1].validation_scores_
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_equal_weights_are_no_weights(early_stopping):
    estimator, X, y = make("multioutput")
    for weights in (np.ones(N), [1] * N):
        ours, theirs = fitted(estimator, X, y, weights, early_stopping=early_stopping)
        same(ours, theirs, X)
        plain, _ = fitted(estimator, X, y, early_stopping=early_stopping)
        close(ours.coefs_[0], plain.coefs_[0], EXACT, "coefs_[0]")


def test_a_number_and_zeros_are_weights_too():
    estimator, X, y = make("binary")
    for weights in (2.5, np.arange(N) % 3):
        same(*fitted(estimator, X, y, weights, solver="sgd"), X)


# Going on: warm starts and partial fits


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "multioutput", "poisson"])
@each_solver
def test_a_warm_start_goes_on_as_scikit_learns(solver, kind):
    estimator, X, y = make(kind)
    estimators = pair(estimator, solver=solver, warm_start=True, max_iter=3, **loss_of(kind))
    for _ in range(3):
        both(estimators, "fit", X, y)
        assert estimators[0].n_iter_ == 3
        same(*estimators, X, rtol_of(solver))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@each_stochastic_solver
def test_a_warm_start_with_early_stopping_goes_on_as_scikit_learns(solver, kind):
    """A second fit that does not beat the first's best score keeps its last weights: they are the best's, in place."""
    estimator, X, y = make(kind)
    params = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.1}
    estimators = pair(estimator, solver=solver, n_iter_no_change=3, **params)
    for max_iter in (8, 4, 1, 12):
        for each in estimators:
            each.set_params(max_iter=max_iter)
        both(estimators, "fit", X, y)
        same(*estimators, X)


@each_stochastic_solver
def test_warm_starts_of_one_epoch_run_out_of_patience_as_scikit_learns(solver):
    """The count of epochs without improvement is carried from one fit to the next, and is never set back."""
    estimator, X, y = make("binary")
    estimators = pair(estimator, solver=solver, warm_start=True, max_iter=1, tol=1e9, n_iter_no_change=3)
    warned = [bool(both(estimators, "fit", X, y)) for _ in range(7)]
    assert warned == [True, True, True, True, False, False, False]
    same(*estimators, X)


@pytest.mark.parametrize("rule", ["constant", "invscaling", "adaptive"])
@pytest.mark.parametrize("momentum", [0, 0.9])
def test_a_warm_start_has_no_momentum_and_the_rate_of_the_rule(momentum, rule):
    """With invscaling the first epoch has the initial rate again; the next one that of all the examples seen."""
    estimator, X, y = make("regression")
    params = {"solver": "sgd", "warm_start": True, "max_iter": 2, "learning_rate": rule, "momentum": momentum}
    estimators = pair(estimator, **params)
    for _ in range(3):
        both(estimators, "fit", X, y)
        same(*estimators, X)
    assert estimators[0].t_ == 6 * N


def test_a_warm_start_with_other_parameters_and_other_data_goes_on_as_scikit_learns():
    estimator, X, y = make("multiclass")
    estimators = pair(estimator, warm_start=True, solver="adam")
    changes = [
        {},
        {"solver": "sgd", "learning_rate_init": 0.1},
        {"alpha": 1.0, "max_iter": 3},
        {"solver": "lbfgs"},
        {"solver": "adam", "random_state": 9},
    ]
    for rows, change in zip((N, 40, 50, 60, N), changes, strict=True):
        for each in estimators:
            each.set_params(**change)
        both(estimators, "fit", X[:rows], y[:rows])
        same(*estimators, X, LBFGS)


def test_a_warm_start_in_another_precision_goes_on_as_scikit_learns():
    estimator, X, y = make("regression")
    estimators = pair(estimator, warm_start=True)
    both(estimators, "fit", X, y)
    both(estimators, "fit", X.astype(np.float32), y)
    same(*estimators, X, SINGLE, dtypes=False)


def test_a_fit_without_warm_start_starts_anew():
    estimator, X, y = make("multiclass")
    once, _ = fitted(estimator, X, y)
    estimators = fitted(estimator, X, y)
    both(estimators, "partial_fit", X, y)
    both(estimators, "fit", X[:, :3], y % 2)
    assert estimators[0].coefs_[0].shape[0] == 3
    both(estimators, "fit", X, y)
    same(*estimators, X)
    close(estimators[0].coefs_[0], once.coefs_[0], EXACT, "coefs_[0]")


@each_kind
@each_stochastic_solver
def test_partial_fits_go_on_as_scikit_learns(solver, kind):
    estimator, X, y = make(kind)
    estimators = pair(estimator, solver=solver, **loss_of(kind))
    classes = {"classes": np.arange(y.shape[1] if y.ndim == 2 else y.max() + 1)} if kind in CLASSIFICATION else {}
    for part in (slice(0, 30), slice(30, N), slice(0, N), slice(3, 4)):
        both(estimators, "partial_fit", X[part], y[part], **classes)
        classes = {}
        same(*estimators, X)
        assert estimators[0].n_iter_ == 1
    assert len(estimators[0].loss_curve_) == 4
    assert estimators[0].t_ == 2 * N + 1


@pytest.mark.parametrize("kind", ["multiclass", "multilabel", "regression"])
@each_stochastic_solver
def test_partial_fits_after_a_fit_go_on_with_its_momentum(solver, kind):
    estimator, X, y = make(kind)
    estimators = fitted(estimator, X, y, solver=solver)
    for _ in range(3):
        both(estimators, "partial_fit", X, y)
        same(*estimators, X)


@pytest.mark.parametrize("rule", ["invscaling", "adaptive"])
def test_the_rate_goes_on_through_partial_fits(rule):
    estimator, X, y = make("regression")
    params = {"solver": "sgd", "learning_rate": rule, "tol": 0.01, "n_iter_no_change": 1, "learning_rate_init": 0.05}
    estimators = pair(estimator, **params)
    for _ in range(12):
        both(estimators, "partial_fit", X, y)
    assert rate_of(estimators[1]) < 0.05
    same(*estimators, X)


def test_partial_fits_with_sample_weights_go_on_as_scikit_learns():
    for kind in ("multiclass", "regression"):
        estimator, X, y = make(kind)
        estimators = pair(estimator)
        classes = {"classes": [0, 1, 2]} if kind == "multiclass" else {}
        for weights in (None, np.linspace(0.1, 3, N), np.ones(N)):
            both(estimators, "partial_fit", X, y, sample_weight=weights, **classes)
            same(*estimators, X)


def test_a_partial_fit_after_lbfgs_goes_on_as_scikit_learns():
    estimator, X, y = make("regression")
    estimators = fitted(estimator, X, y, solver="adam")
    for each in estimators:
        each.set_params(solver="lbfgs", warm_start=True)
    both(estimators, "fit", X, y)
    for each in estimators:
        each.set_params(solver="adam")
    both(estimators, "partial_fit", X, y)
    same(*estimators, X, LBFGS)


def test_parameters_set_between_partial_fits_reach_the_network_but_not_the_optimizer():
    """scikit-learn's optimiser is made once: a learning rate that is set later has no effect in partial_fit."""
    estimator, X, y = make("regression")
    estimators = pair(estimator, solver="sgd")
    both(estimators, "partial_fit", X, y)
    for each in estimators:
        each.set_params(learning_rate_init=10.0, momentum=0.0, alpha=2.0, batch_size=7, shuffle=False)
    both(estimators, "partial_fit", X, y)
    same(*estimators, X)


def test_partial_fits_of_classes_that_come_later_go_on_as_scikit_learns():
    labels = np.array(["ant", "bee", "cat", "dog"])
    _, X, y = make("multiclass")
    estimators = pair("classifier")
    both(estimators, "partial_fit", X, labels[y], classes=labels[::-1])
    both(estimators, "partial_fit", X[:9], labels[[3] * 9])
    both(estimators, "partial_fit", X[:1], labels[:1], classes=list(labels))
    same(*estimators, X)
    assert estimators[0].classes_.tolist() == labels.tolist()


def test_many_partial_fits_are_one_fit():
    """With an integer seed every partial fit shuffles alike, so this holds for full batches only."""
    estimator, X, y = make("regression")
    for momentum in (0, 0.9):
        params = {"solver": "sgd", "batch_size": N, "momentum": momentum, "tol": 0}
        whole, _ = fitted(estimator, X, y, max_iter=20, **params)
        estimators = pair(estimator, **params)
        for _ in range(20):
            both(estimators, "partial_fit", X, y)
        same(*estimators, X)
        close(estimators[0].coefs_[0], whole.coefs_[0], EXACT, "coefs_[0]")


@each_stochastic_solver
def test_weights_that_users_change_are_those_that_are_used(solver):
    estimator, X, y = make("regression")
    estimators = fitted(estimator, X, y, solver=solver)
    before = estimators[0].predict(X)
    for each in estimators:
        each.coefs_[0] *= 0.5
        each.intercepts_[-1][:] = 3.0
    same(*estimators, X)
    assert not np.allclose(before, estimators[0].predict(X))
    for each in estimators:
        each.coefs_ = [2 * W for W in each.coefs_]
    both(estimators, "partial_fit", X, y)
    same(*estimators, X)
    for each in estimators:
        each.set_params(warm_start=True)
        each.intercepts_ = [np.zeros_like(b) for b in each.intercepts_]
    both(estimators, "fit", X, y)
    same(*estimators, X)


# Random states


def states(first, second):
    """Give the states of two RandomState as comparable lists."""
    return [[np.asarray(part).tolist() for part in state.get_state()] for state in (first, second)]


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@each_solver
def test_a_generator_is_drawn_from_as_scikit_learn_does(solver, shuffle, early_stopping):
    estimator, X, y = make("multiclass")
    generators = np.random.RandomState(11), np.random.RandomState(11)
    estimators = pair(estimator, solver=solver, shuffle=shuffle, early_stopping=early_stopping)
    for each, generator in zip(estimators, generators, strict=True):
        each.set_params(random_state=generator)
    for _ in range(2):  # the second fit goes on with the same generator
        both(estimators, "fit", X, y)
        same(*estimators, X, rtol_of(solver))
        ours, theirs = states(*generators)
        assert ours == theirs


def test_a_generator_goes_on_through_partial_fits():
    estimator, X, y = make("regression")
    generators = np.random.RandomState(11), np.random.RandomState(11)
    estimators = [each.set_params(random_state=g) for each, g in zip(pair(estimator), generators, strict=True)]
    for _ in range(3):
        both(estimators, "partial_fit", X, y)
        ours, theirs = states(*generators)
        assert ours == theirs
    same(*estimators, X)


def test_no_seed_is_numpys_global_generator():
    estimator, X, y = make("binary")
    estimators = pair(estimator, random_state=None)
    kept = np.random.get_state()  # noqa: NPY002 - scikit-learn draws from it
    try:
        for each in estimators:
            np.random.seed(5)  # noqa: NPY002 - as above
            quietly(each.fit, X, y)
    finally:
        np.random.set_state(kept)  # noqa: NPY002 - as above
    same(*estimators, X)


def test_the_same_seed_gives_the_same_model_and_another_seed_another():
    estimator, X, y = make("regression")
    first, second, third = (fitted(estimator, X, y, random_state=seed)[0] for seed in (1, 1, 2))
    for a, b in zip(first.coefs_, second.coefs_, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(first.coefs_[0], third.coefs_[0])


def test_shuffling_makes_a_difference():
    estimator, X, y = make("regression")
    shuffled, _ = fitted(estimator, X, y, shuffle=True, batch_size=5)
    in_order, _ = fitted(estimator, X, y, shuffle=False, batch_size=5)
    assert not np.allclose(shuffled.coefs_[0], in_order.coefs_[0])


# What is printed


def printed(call, *arguments):
    stream = io.StringIO()
    with contextlib.redirect_stdout(stream):
        quietly(call, *arguments)
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("verbose", [True, 10, False])
@pytest.mark.parametrize(
    "params",
    [
        {"solver": "adam"},
        {"solver": "sgd", "early_stopping": True},
        {"solver": "sgd", "tol": 1.0, "n_iter_no_change": 2, "max_iter": 20},
        {"solver": "adam", "tol": 1.0, "n_iter_no_change": 2, "max_iter": 20, "early_stopping": True},
        {"solver": "sgd", "tol": 1.0, "n_iter_no_change": 1, "max_iter": 60, "learning_rate": "adaptive"},
    ],
    ids=["adam", "early-stopping", "tolerance", "early-stopping-tolerance", "adaptive"],
)
def test_verbose_prints_the_same_lines(params, verbose):
    estimator, X, y = make("multiclass")
    estimators = pair(estimator, verbose=verbose, **params)
    ours, theirs = (printed(each.fit, X, y) for each in estimators)
    assert ours == theirs
    assert bool(ours) == bool(verbose)
    if verbose and "learning_rate" in params:
        assert sum("Setting learning rate to" in line for line in ours) == 7
        assert ours[-1].endswith("Learning rate too small. Stopping.")
    estimators = pair(estimator, verbose=verbose, **{**params, "early_stopping": False})
    ours, theirs = (printed(each.partial_fit, X, y, None, [0, 1, 2]) for each in estimators)
    assert ours == theirs
    assert bool(ours) == bool(verbose)


def test_lbfgs_is_as_verbose_as_scikit_learns(capfd):
    estimator, X, y = make("multiclass")
    lines = []
    for each in pair(estimator, solver="lbfgs", verbose=True):
        quietly(each.fit, X, y)
        lines.append(capfd.readouterr().out.count("\n"))
    assert lines[0] == lines[1]


# Corners


def test_a_single_example_can_be_learnt():
    for solver in SOLVERS:
        for estimator in PAIRS:
            same(*fitted(estimator, [[2.0]], [4], solver=solver, batch_size="auto"), [[1.0], [2.0]], rtol_of(solver))


def test_a_single_class_can_be_learnt():
    _, X, _ = make("binary")
    for solver in SOLVERS:
        same(*fitted("classifier", X, ["only"] * N, solver=solver), X, rtol_of(solver))


@pytest.mark.parametrize(
    ("y", "columns"),
    [
        ([[1, 0], [0, 1]], 2),
        ([[1, 0], [1, 1]], 2),
        ([[0, 0, 0], [0, 0, 0]], 3),
        ([["b"], ["a"]], 1),
    ],
    ids=["identity", "constant-column", "no-label", "strings"],
)
def test_few_labels_can_be_learnt(y, columns):
    X = [[1.0, 2.0], [3.0, -1.0]]
    estimators = fitted("classifier", X, y, batch_size="auto")
    same(*estimators, X)
    assert estimators[0].n_outputs_ == columns


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", CLASSIFICATION)
def test_losses_of_certain_and_wrong_predictions_are_clipped_alike(kind, dtype):
    """A probability of 0 or 1 is moved by the epsilon of its dtype, which bounds the loss."""
    estimator, X, y = make(kind, dtype=dtype)
    ours, theirs = fitted(estimator, 1e4 * X, y, solver="sgd", learning_rate_init=1e-9, activation="relu")
    assert theirs.loss_ > 5
    same(ours, theirs, None, SINGLE if dtype == np.float32 else EXACT)


def test_a_negative_target_of_a_poisson_loss_is_no_error_and_the_loss_is_nan():
    estimator, X, y = make("poisson")
    y[::3] = -1
    for params in ({"solver": "sgd"}, {"solver": "adam"}, {"early_stopping": True}):
        ours, theirs = fitted(estimator, X, y, loss="poisson", **params)
        assert np.isnan(theirs.loss_)
        same(ours, theirs, X)


def test_training_that_diverges_with_early_stopping_keeps_the_best_weights():
    _, X, _ = make("regression")
    params = {"hidden_layer_sizes": 100, "activation": "identity", "solver": "sgd", "learning_rate_init": 1}
    ours, theirs = fitted("regressor", 10 * X, 50 * X[:, 0], early_stopping=True, **params, max_iter=20)
    assert np.isnan(theirs.validation_scores_[-1])
    assert isinstance(ours.validation_scores_[-1], float)
    assert np.isnan(ours.validation_scores_[-1])
    assert len(ours.validation_scores_) == len(theirs.validation_scores_)
    for a, b in zip(ours.coefs_, theirs.coefs_, strict=True):
        close(a, b, EXACT, "coefs_")


# The maths, without scikit-learn


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_step_of_gradient_descent_is_the_worked_out_one(method):
    x, alpha, rate = np.array([[0.6, 0.8, 0.7]]), 0.1, 0.1
    draws = np.random.RandomState(1)
    W1, b1, W2, b2 = (draws.uniform(-r, r, s) for r, s in zip(_bounds(3, 2, 1), [(3, 2), 2, (2, 1), 1], strict=True))
    params = {"solver": "sgd", "alpha": alpha, "learning_rate_init": rate, "activation": "logistic", "momentum": 0}
    model = MLPClassifier(2, random_state=1, max_iter=1, **params)
    if method == "partial_fit":
        model.partial_fit(x, [0], classes=[0, 1])
    else:  # one class alone: 0 is what is left of it
        quietly(model.fit, x, [0])

    h = 1 / (1 + np.exp(-(x @ W1 + b1)))
    o = 1 / (1 + np.exp(-(h @ W2 + b2)))
    inner = o @ W2.T * h * (1 - h)  # the target is 0, so that the output is its own error
    expected = -np.log(1 - o[0, 0]) + alpha / 2 * ((W1**2).sum() + (W2**2).sum())
    assert model.loss_ == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(model.coefs_[0], W1 - rate * (x.T @ inner + alpha * W1), rtol=1e-12)
    np.testing.assert_allclose(model.coefs_[1], W2 - rate * (h.T @ o + alpha * W2), rtol=1e-12)
    np.testing.assert_allclose(model.intercepts_[0], b1 - rate * inner[0], rtol=1e-12)
    np.testing.assert_allclose(model.intercepts_[1], b2 - rate * o[0], rtol=1e-12)


def _bounds(fan_in, hidden, fan_out):
    """Give the bounds of the first weights of a logistic network, for W and b of its two layers."""
    first, second = np.sqrt(2 / (fan_in + hidden)), np.sqrt(2 / (hidden + fan_out))
    return first, first, second, second


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "poisson"])
@each_activation
def test_a_step_of_gradient_descent_follows_finite_differences_of_the_loss(activation, kind):
    """`loss_` after one epoch of one minibatch is that of the weights before it, and the step is minus its gradient."""
    estimator, X, y = make(kind, n=12)
    weights = np.linspace(0.5, 2, 12)
    params = {"activation": activation, "hidden_layer_sizes": 3, "batch_size": 12, "max_iter": 1, "warm_start": True}
    params |= {"solver": "sgd", "momentum": 0, "alpha": 0.3, "learning_rate_init": 1e-3, **loss_of(kind)}
    model = PAIRS[estimator][0](**{**COMMON, **params})
    quietly(model.fit, X, y, sample_weight=weights)
    start = copy.deepcopy(model)
    quietly(model.fit, X, y, sample_weight=weights)

    def loss_at(name, layer, index, step):
        moved = copy.deepcopy(start)
        getattr(moved, name)[layer][index] += step
        quietly(moved.fit, X, y, sample_weight=weights)
        return moved.loss_

    for name in ("coefs_", "intercepts_"):
        for layer in (0, 1):
            before, after = getattr(start, name)[layer], getattr(model, name)[layer]
            index = tuple(size // 2 for size in before.shape)
            difference = (loss_at(name, layer, index, 1e-5) - loss_at(name, layer, index, -1e-5)) / 2e-5
            assert (before - after)[index] / 1e-3 == pytest.approx(difference, rel=1e-5, abs=1e-8), (name, layer)
