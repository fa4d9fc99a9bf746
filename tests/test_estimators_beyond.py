"""What scikit-learn's MLP does not have, each against a computation by hand or an estimator that has it."""

import functools
import inspect
import pickle
import re
import warnings
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import make_friedman1
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import HuberRegressor, QuantileRegressor
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from xpmlp import ACTIVATIONS, INITIALIZERS, Activation, Layer, MLPClassifier, MLPRegressor, Network, initialize
from xpmlp.common.errors import InputError, XpmlpError
from xpmlp.estimators._checks import accuracy
from xpmlp.nn.losses import LOSSES, huber, quantile
from xpmlp.nn.network import fprop, gradient_function

FAST = {"hidden_layer_sizes": (5,), "learning_rate_init": 0.03, "max_iter": 6, "random_state": 4, "batch_size": 16}
STEP = {"hidden_layer_sizes": (5,), "max_iter": 1, "random_state": 4, "batch_size": 60, "shuffle": False, "alpha": 0.0}
SOLVERS = ("sgd", "adam", "adamw", "lbfgs")
N = 60

# Few epochs are run on purpose.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@functools.cache
def make(kind):
    draws = np.random.default_rng(17)
    X = draws.normal(size=(N, 4))
    hidden = np.tanh(X @ draws.normal(size=(4, 3)))
    y = {
        "binary": (hidden[:, 0] > 0.3).astype(int),
        "multiclass": np.argmax(X[:, :3] + np.array([0.5, 0, 0]), axis=1),
        "multilabel": (hidden > 0.1).astype(int),
        "regression": hidden[:, 0],
        "multioutput": hidden,
    }[kind]
    return X, y


def new(kind, **params):
    return (MLPRegressor if kind in {"regression", "multioutput"} else MLPClassifier)(**{**FAST, **params})


def layers_of(model):
    return [Layer(W, b) for W, b in zip(model.coefs_, model.intercepts_, strict=True)]


def network_of(model, loss="softmax", activation="relu"):
    sizes = [W.shape[0] for W in model.coefs_]
    return Network.build(sizes[0], sizes[1:], model.n_outputs_, activation=activation, loss=loss)


def one_hot(y):
    return np.eye(y.max() + 1)[y]


def same(first, second, rtol=1e-10):
    for mine, its in zip([*first.coefs_, *first.intercepts_], [*second.coefs_, *second.intercepts_], strict=True):
        np.testing.assert_allclose(mine, its, rtol=rtol, atol=1e-12)


def initial(**params):
    """Give the weights that a fit with these parameters starts from: those after a step of no length."""
    kind = params.pop("kind", "multiclass")
    params = {**STEP, **params, "solver": "sgd", "learning_rate_init": 1e-300, "max_iter": 1}
    return layers_of(new(kind, **params).fit(*make(kind)))


# Weights of classes


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1.0, 1: 3.0, 2: 0.5}, {1: 4.0}], ids=str)
def test_weights_of_classes_are_weights_of_their_examples(solver, class_weight):
    X, y = make("multiclass")
    weights = compute_sample_weight(class_weight, y)
    model = new("multiclass", solver=solver, class_weight=class_weight).fit(X, y)
    same(model, new("multiclass", solver=solver).fit(X, y, sample_weight=weights))
    own = np.linspace(1, 2, N)
    model = new("multiclass", solver=solver, class_weight=class_weight).fit(X, y, sample_weight=own)
    same(model, new("multiclass", solver=solver).fit(X, y, sample_weight=own * weights))


def test_weights_of_classes_count_for_the_share_that_early_stopping_holds_out():
    X, y = make("multiclass")
    weights = compute_sample_weight("balanced", y)
    params = {"early_stopping": True, "validation_fraction": 0.3}
    model = new("multiclass", class_weight="balanced", **params).fit(X, y)
    expected = new("multiclass", **params).fit(X, y, sample_weight=weights)
    assert model.validation_scores_ == expected.validation_scores_
    same(model, expected)


@pytest.mark.parametrize("scoring", [None, "loss", "accuracy", "neg_log_loss"])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 1, 1: 5, 2: 1}], ids=str)
@pytest.mark.parametrize("own", [None, np.linspace(1, 2, 25)], ids=["plain", "weighted"])
def test_a_validation_set_counts_by_sample_weight_val_and_not_by_class_weight(class_weight, scoring, own):
    X, y = make("multiclass")
    held_out = {"X_val": X[:25], "y_val": y[:25], "sample_weight_val": own}
    params = {"early_stopping": True, "scoring": scoring}
    model = new("multiclass", class_weight=class_weight, **params).fit(X[25:], y[25:], **held_out)
    weights = compute_sample_weight(class_weight, y[25:])
    expected = new("multiclass", **params).fit(X[25:], y[25:], sample_weight=weights, **held_out)
    assert model.validation_loss_curve_ == expected.validation_loss_curve_
    assert model.validation_scores_ == expected.validation_scores_
    if scoring in {None, "accuracy"}:
        assert model.best_validation_score_ == pytest.approx(model.score(X[:25], y[:25], sample_weight=own))


def test_weights_of_classes_count_in_partial_fit_but_cannot_be_balanced_there():
    X, y = make("multiclass")
    weights = {0: 1.0, 1: 3.0, 2: 0.5}
    model = new("multiclass", class_weight=weights).partial_fit(X, y, classes=[0, 1, 2])
    expected = new("multiclass").partial_fit(X, y, classes=[0, 1, 2], sample_weight=compute_sample_weight(weights, y))
    same(model, expected)
    with pytest.raises(ValueError, match="'balanced' needs all examples, but partial_fit sees some"):
        new("multiclass", class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])


def test_a_minibatch_without_weight_adds_nothing():
    X, y = make("multiclass")
    weights = np.zeros(N)
    weights[:10] = 1.0
    model = new("multiclass", alpha=0.0, batch_size=5, shuffle=False).fit(X, y, sample_weight=weights)
    assert np.isfinite(model.loss_)
    assert model.score(X[:10], y[:10]) > 0.5


def test_a_warm_start_keeps_the_sizes_of_its_weights_and_refuses_another_number_of_layers():
    X, y = make("multiclass")
    model = new("multiclass", hidden_layer_sizes=(10,), warm_start=True, dropout=0.2).fit(X, y)
    model.set_params(hidden_layer_sizes=(20,)).fit(X, y)
    assert model.coefs_[0].shape[1] == 10
    with pytest.raises(ValueError, match=r"hidden_layer_sizes is \[20, 20\], but the weights .* have 1 hidden layer:"):
        model.set_params(hidden_layer_sizes=(20, 20)).fit(X, y)


def test_an_unknown_scorer_is_said_before_anything_is_trained():
    X, y = make("multiclass")
    model = new("multiclass", early_stopping=True, scoring="nonsense", max_iter=10**9)
    with pytest.raises(ValueError, match="nonsense"):
        model.fit(X, y)


def test_a_regressor_with_a_loss_that_scikit_learn_lacks_goes_there_to_predict_and_not_with_its_optimizer():
    X, y = make("regression")
    model = new("regression", loss="huber").fit(X, y)
    theirs = model.to_sklearn()
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    assert not hasattr(theirs, "_optimizer")


def test_weights_of_classes_may_name_words_and_labels_in_a_column():
    X, y = make("multiclass")
    words = np.array(["no", "perhaps", "yes"])[y]
    model = new("multiclass", class_weight={"no": 1, "perhaps": 3, "yes": 0.5}).fit(X, words)
    same(model, new("multiclass", class_weight={0: 1, 1: 3, 2: 0.5}).fit(X, y))
    with pytest.warns(UserWarning, match="column-vector"):
        same(new("multiclass", class_weight={0: 1, 1: 3, 2: 0.5}).fit(X, y[:, None]), model)


def test_weights_of_classes_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match=r"class_weight names \['ghost'\], which are not in y; its classes are "):
        new("multiclass", class_weight={"ghost": 2}).fit(*make("multiclass"))
    with pytest.raises(ValueError, match="'class_weight'"):
        new("multiclass", class_weight="heavy").fit(*make("multiclass"))


@pytest.mark.parametrize("names", [[0, 1, 2], ["0", "1", "2"], [10, 20, 30]], ids=str)
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
def test_a_class_that_class_weight_does_not_name_counts_1_and_a_batch_need_not_have_every_class(solver, names):
    X, y = make("multiclass")
    words, some = np.array(names)[y], y != 1
    model = new("multiclass", solver=solver, class_weight={names[1]: 9})
    expected = new("multiclass", solver=solver)
    for rows in (some, ~some, slice(None)):
        model.partial_fit(X[rows], words[rows], classes=names)
        expected.partial_fit(X[rows], words[rows], classes=names, sample_weight=np.where(y == 1, 9.0, 1.0)[rows])
    same(model, expected)
    same(new("multiclass", class_weight={names[1]: 9}).fit(X, words), new("multiclass", class_weight={1: 9}).fit(X, y))


LABELS = [{0: 1, 1: 5}, {1: 2}, {}]  # of class_weight, for the three labels of "multilabel"


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("container", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize("class_weight", ["balanced", LABELS], ids=["balanced", "dicts"])
def test_the_weights_of_several_labels_are_multiplied(solver, container, class_weight):
    X, Y = make("multilabel")
    full = [{0: 1, 1: 5}, {0: 1, 1: 2}, {0: 1, 1: 1}]
    weights = compute_sample_weight("balanced" if class_weight == "balanced" else full, Y)
    model = new("multilabel", solver=solver, class_weight=class_weight).fit(X, container(Y))
    same(model, new("multilabel", solver=solver).fit(X, Y, sample_weight=weights))


def test_the_weights_of_several_labels_count_in_partial_fit_where_a_batch_lacks_a_label():
    X, Y = make("multilabel")
    rows = Y[:, 0] == 0
    model, expected = new("multilabel", class_weight=LABELS), new("multilabel")
    model.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    expected.partial_fit(X[rows], Y[rows], classes=[0, 1, 2], sample_weight=np.where(Y[rows, 1], 2.0, 1.0))
    same(model, expected)


@pytest.mark.parametrize(
    ("kind", "class_weight", "message"),
    [
        ("multilabel", {0: 1, 1: 5}, "must be 'balanced' or a list of 3 dicts, one for each label, but it is {0: 1"),
        ("multilabel", [{1: 5}], "must be 'balanced' or a list of 3 dicts, one for each label"),
        ("multilabel", [{1: 5}, {1: 5}, {7: 5}], r"class_weight names \[7\]"),
        ("multiclass", [{1: 5}, {1: 5}], "must be 'balanced' or one dict for all classes"),
        ("binary", [{1: 5}], "must be 'balanced' or one dict for all classes"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_class_weights_of_another_form_than_y_are_refused(kind, class_weight, message, method):
    X, y = make(kind)
    classes = {"classes": range(3) if kind != "binary" else [0, 1]} if method == "partial_fit" else {}
    with pytest.raises(ValueError, match=message):
        getattr(new(kind, class_weight=class_weight), method)(X, y, **classes)


def test_a_validation_set_need_not_have_the_class_that_class_weight_names():
    X, y = make("multiclass")
    model = new("multiclass", class_weight={1: 9}).fit(X, y, X_val=X[y != 1], y_val=y[y != 1])
    plain = new("multiclass", class_weight={1: 9}).fit(X, y)
    same(model, plain)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "multioutput"])
def test_negative_weights_do_what_they_do_in_scikit_learn(kind, solver, early_stopping):
    X, y = make(kind)
    weights = np.random.default_rng(0).uniform(-1.2, -0.2, size=N)  # the sum of every minibatch is below 0
    model = new(kind, solver=solver, early_stopping=early_stopping, max_iter=3)
    theirs = clone(model.fit(X, y).to_sklearn())
    model.fit(X, y, sample_weight=weights)
    theirs.fit(X, y, sample_weight=weights)
    for ours, expected in zip(model.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("scoring", [None, "loss"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "multioutput"])
def test_a_share_without_weight_is_refused_by_early_stopping(kind, scoring, solver):
    X, y = make(kind)
    model = new(kind, solver=solver, early_stopping=True, validation_fraction=0.5, scoring=scoring)
    stratify = y if kind == "binary" else None
    draw = np.random.RandomState(FAST["random_state"])
    outputs = 1 if y.ndim == 1 and kind != "multiclass" else 3
    for fan_in, fan_out in ((4, 5), (5, outputs)):  # the initial weights are drawn first
        draw.uniform(size=fan_in * fan_out + fan_out)
    parts = train_test_split(np.arange(N), test_size=0.5, random_state=draw, stratify=stratify)
    for part, name in zip(parts, ("the share of X that is trained on", "the validation set"), strict=True):
        weights = np.ones(N)
        weights[part] = 0.0
        with pytest.raises(ValueError, match=f"at least one non-zero number, but those of {name} sum to 0"):
            model.fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="must contain at least one non-zero number"):
        model.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.zeros(N))
    with pytest.raises(ValueError, match="those of the validation set sum to 0"):
        model.fit(X, y, X_val=X, y_val=y, sample_weight_val=np.resize([1.0, -1.0], N))


@pytest.mark.parametrize("solver", SOLVERS)
def test_class_weights_of_0_alone_are_refused(solver):
    X, y = make("binary")
    with pytest.raises(ValueError, match="at least one non-zero number, times those of class_weight"):
        new("binary", solver=solver, class_weight={0: 0, 1: 0}).fit(X, y)


def _no_weights(estimator, X, y):
    return float((estimator.predict(X) == y).mean())


def _named_weights(estimator, X, y, sample_weight=None):
    return accuracy_score(y, estimator.predict(X), sample_weight=sample_weight)


def _any_name(estimator, X, y, **given):
    return accuracy_score(y, estimator.predict(X), **given)


def _plain_metric(y, predicted):
    return float((y == predicted).mean())


@pytest.mark.parametrize("weights", ["class_weight", "sample_weight", "sample_weight_val"])
@pytest.mark.parametrize(
    ("scoring", "weighted"),
    [(_no_weights, False), (make_scorer(_plain_metric), False), (_named_weights, True), (_any_name, True)],
    ids=["callable", "metric", "callable with weights", "callable with any"],
)
def test_a_scorer_that_takes_no_weights_scores_without_them(scoring, weighted, weights):
    X, y = make("multiclass")
    own = np.linspace(1, 9, N)
    params, given = {"early_stopping": True, "scoring": scoring, "validation_fraction": 0.4}, {}
    if weights == "class_weight":
        params["class_weight"] = {1: 9}
    elif weights == "sample_weight":
        given = {"sample_weight": own}
    else:
        given = {"X_val": X, "y_val": y, "sample_weight_val": own}
    model = new("multiclass", **params).fit(X, y, **given)
    as_weighted = new("multiclass", **{**params, "scoring": "accuracy"}).fit(X, y, **given)
    if weighted:
        assert model.validation_scores_ == as_weighted.validation_scores_
    else:
        n = N if weights == "sample_weight_val" else 24
        right = np.array(model.validation_scores_) * n
        np.testing.assert_allclose(right, np.round(right))
        assert model.validation_scores_ != as_weighted.validation_scores_


def test_a_metric_of_scikit_learn_that_takes_no_weights_scores_without_them():
    X, y = make("regression")
    held_out = {"X_val": X, "y_val": y}
    model = new("regression", early_stopping=True, scoring="neg_max_error")
    model.fit(X, y, **held_out, sample_weight_val=np.linspace(1, 2, N))
    assert model.validation_scores_ == clone(model).fit(X, y, **held_out).validation_scores_


def test_a_rare_class_is_found_more_often_when_classes_are_balanced():
    draws = np.random.default_rng(1)
    X = draws.normal(size=(600, 2))
    y = (X[:, 0] + 0.7 * draws.normal(size=600) > 1.8).astype(int)
    params = {"max_iter": 60, "batch_size": 64}
    plain, balanced = (new("binary", class_weight=each, **params).fit(X, y) for each in (None, "balanced"))
    assert balanced.predict(X)[y == 1].mean() > plain.predict(X)[y == 1].mean() + 0.2


# Validation sets


@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "multioutput"])
def test_the_validation_loss_is_that_of_the_weights_of_each_epoch(kind, solver):
    X, y = make(kind)
    weights = np.linspace(1, 2, 20)
    held_out = {"X_val": X[:20], "y_val": y[:20], "sample_weight_val": weights}
    model = new(kind, solver=solver).fit(X[20:], y[20:], **held_out)
    assert len(model.validation_loss_curve_) == len(model.loss_curve_) == 6
    for n in (1, 4, 6):
        then = new(kind, solver=solver, max_iter=n).fit(X[20:], y[20:])
        if kind in {"binary", "multiclass"}:
            expected = log_loss(y[:20], then.predict_proba(X[:20]), sample_weight=weights)
        elif kind == "multilabel":
            p = then.predict_proba(X[:20])
            terms = -np.where(y[:20] == 1, np.log(p), np.log(1 - p)).sum(axis=1)
            expected = np.average(terms, weights=weights)
        else:
            squares = (then.predict(X[:20]) - y[:20]).reshape(20, -1) ** 2
            expected = np.average(squares.mean(axis=1) / 2, weights=weights)
        assert model.validation_loss_curve_[n - 1] == pytest.approx(expected, rel=1e-10)


def test_a_validation_set_changes_nothing_of_the_fit():
    X, y = make("multiclass")
    model = new("multiclass", alpha=0.1).fit(X, y, X_val=X[:10], y_val=y[:10])
    plain = new("multiclass", alpha=0.1).fit(X, y)
    same(model, plain)
    assert model.loss_curve_ == plain.loss_curve_
    assert not hasattr(plain, "validation_loss_curve_")
    assert not hasattr(model.fit(X, y), "validation_loss_curve_")


def test_a_validation_set_has_examples_and_targets():
    X, y = make("multiclass")
    for held_out in ({"X_val": X}, {"y_val": y}):
        with pytest.raises(InputError, match="needs both X_val and y_val"):
            new("multiclass").fit(X, y, **held_out)
    with pytest.raises(InputError, match="sample_weight_val needs X_val and y_val"):
        new("multiclass", early_stopping=True).fit(X, y, sample_weight_val=np.ones(N))


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("multiclass", lambda X, y: (X, y + 1), r"y has classes that were not in the y of fit: \[3\]"),
        ("multiclass", lambda X, _: (X, np.array(["a"] * N)), "y has classes that were not in the y of fit"),
        ("multiclass", lambda X, y: (X[:, :3], y), "X has 3 features, but MLPClassifier is expecting 4"),
        ("multiclass", lambda X, y: (X.tolist(), y[:7]), "inconsistent numbers of samples"),
        ("multiclass", lambda X, y: (X[:7], y), "inconsistent numbers of samples"),
        ("regression", lambda X, y: (X[:7], y), "inconsistent numbers of samples"),
        ("regression", lambda X, y: (X, np.where(y > 0, np.nan, y)), "contains NaN"),
        ("regression", lambda X, y: (X * np.nan, y), "contains NaN"),
        ("regression", lambda X, y: (X, np.c_[y, y]), "The targets have 2 outputs, but the network has 1"),
        ("multioutput", lambda X, y: (X, y[:, 0]), "The targets have 1 output, but the network has 3"),
        ("multioutput", lambda X, y: (X[:0], y[:0]), "0 sample"),
    ],
)
def test_a_validation_set_that_does_not_fit_is_refused(kind, change, message):
    X, y = make(kind)
    X_val, y_val = change(X, y)
    with pytest.raises(InputError, match=rf"^the validation set \(X_val, y_val\) cannot be used: (?s:.*){message}"):
        new(kind).fit(X, y, X_val=X_val, y_val=y_val)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@pytest.mark.parametrize("weights", [{"sample_weight_val": np.ones(N)}, {}])
def test_a_score_of_the_validation_set_that_is_nan_is_refused(weights):
    X, y = make("binary")
    one = np.zeros(N, dtype=y.dtype) + y[0]
    model = new("binary", early_stopping=True, scoring="roc_auc")
    with pytest.raises(InputError, match="scoring 'roc_auc' gives nan for the validation set"):
        model.fit(X, y, X_val=X, y_val=one, **weights)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf])
def test_class_weights_that_are_not_finite_are_refused(weight):
    X, y = make("binary")
    with pytest.raises(InputError, match="class_weight must hold finite numbers, but it is "):
        new("binary", class_weight={y[0]: weight}).fit(X, y)
    X, Y = make("multilabel")
    with pytest.raises(InputError, match="class_weight must hold finite numbers, but it is "):
        new("multilabel", class_weight=[{1: weight}] + [{}] * (Y.shape[1] - 1)).fit(X, Y)


@pytest.mark.parametrize(
    "fails",
    [
        lambda model, X, y: model.fit(X, y + 5, X_val=X, y_val=y),
        lambda model, X, y: model.fit(X[:, :2] * 2, y, sample_weight=np.zeros(N)),
        lambda model, X, y: model.set_params(device="torch:nowhere").fit(X[:, :2], y + 5),
        lambda model, X, y: model.set_params(dropout=[0.1, 0.1, 0.1]).fit(X[:, :2], y + 5),
        lambda model, X, y: model.partial_fit(X, y, sample_weight=np.zeros(N)),
    ],
)
def test_a_fit_that_is_refused_leaves_the_model_that_was_there(fails):
    X, y = make("multiclass")
    model = new("multiclass").fit(X, y)
    expected, classes, curve = model.predict_proba(X), model.classes_, list(model.loss_curve_)
    with pytest.raises((ValueError, XpmlpError)):
        fails(model, X, y)
    model.set_params(device=None, dropout=0.0)
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    np.testing.assert_array_equal(model.predict(X), classes[expected.argmax(axis=1)])
    assert model.loss_curve_ == curve


def test_a_first_partial_fit_that_fails_leaves_no_classes_behind():
    X, y = make("multiclass")
    model = new("multiclass")
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(X * np.nan, y, classes=[0, 1, 2])
    assert not [name for name in vars(model) if name.endswith("_")]
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        model.partial_fit(X, y)
    assert model.partial_fit(X, y, classes=[0, 1, 2, 3]).classes_.tolist() == [0, 1, 2, 3]


def test_weights_of_a_validation_set_have_its_length():
    X, y = make("regression")
    with pytest.raises(ValueError, match="sample_weight"):
        new("regression").fit(X, y, X_val=X, y_val=y, sample_weight_val=np.ones(3))


def test_sparse_validation_sets_go_with_sparse_examples():
    from scipy import sparse

    X, y = make("multiclass")
    held_out = {"X_val": sparse.csc_array(X[:20]), "y_val": y[:20]}
    model = new("multiclass").fit(sparse.csr_array(X), y, **held_out)
    expected = new("multiclass").fit(X, y, X_val=X[:20], y_val=y[:20]).validation_loss_curve_
    assert model.validation_loss_curve_ == pytest.approx(expected)
    with pytest.raises(InputError, match="X_val is sparse, but X is not"):
        new("multiclass").fit(X, y, **held_out)


def test_lbfgs_refuses_a_validation_set():
    X, y = make("multiclass")
    with pytest.raises(InputError, match="lbfgs has no epochs"):
        new("multiclass", solver="lbfgs").fit(X, y, X_val=X, y_val=y)


# Early stopping


OVERFIT = {"hidden_layer_sizes": (30,), "learning_rate_init": 0.01, "max_iter": 60, "alpha": 0.0}


def noisy():
    draws = np.random.default_rng(5)
    X = draws.normal(size=(120, 4))
    y = (X[:, 0] + draws.normal(size=120) > 0).astype(int)
    return X[:60], y[:60], X[60:], y[60:]


def test_early_stopping_on_the_loss_keeps_the_weights_of_the_best_epoch():
    X, y, X_val, y_val = noisy()
    params = {**OVERFIT, "early_stopping": True, "scoring": "loss", "n_iter_no_change": 5}
    model = new("binary", **params).fit(X, y, X_val=X_val, y_val=y_val)
    best = int(np.argmin(model.validation_loss_curve_)) + 1
    assert 1 < best < model.n_iter_ < 60
    same(model, new("binary", **{**OVERFIT, "max_iter": best}).fit(X, y))
    assert log_loss(y_val, model.predict_proba(X_val)) == pytest.approx(min(model.validation_loss_curve_))
    assert model.validation_scores_ is None


@pytest.mark.parametrize(
    "scoring", ["neg_brier_score", "roc_auc", lambda model, X, y: -log_loss(y, model.predict_proba(X))]
)
def test_early_stopping_on_a_scorer_keeps_the_weights_of_the_best_epoch(scoring):
    from sklearn.metrics import check_scoring

    X, y, X_val, y_val = noisy()
    params = {**OVERFIT, "early_stopping": True, "scoring": scoring, "n_iter_no_change": 5}
    model = new("binary", **params).fit(X, y, X_val=X_val, y_val=y_val)
    best = int(np.argmax(model.validation_scores_)) + 1
    assert best < model.n_iter_ < 60
    same(model, new("binary", **{**OVERFIT, "max_iter": best}).fit(X, y))
    assert model.best_validation_score_ == max(model.validation_scores_)
    assert check_scoring(model, scoring)(model, X_val, y_val) == pytest.approx(model.best_validation_score_)


def test_early_stopping_by_default_watches_the_accuracy_of_the_validation_set():
    X, y, X_val, y_val = noisy()
    model = new("binary", **{**OVERFIT, "early_stopping": True}).fit(X, y, X_val=X_val, y_val=y_val)
    assert model.best_validation_score_ == accuracy_score(y_val, model.predict(X_val))
    assert len(model.validation_loss_curve_) == len(model.validation_scores_)


def test_the_share_held_out_for_a_scorer_is_the_one_that_is_held_out_without():
    X, y = make("regression")
    params = {"early_stopping": True, "validation_fraction": 0.25}
    by_default, by_name = (new("regression", scoring=each, **params).fit(X, y) for each in (None, "r2"))
    assert by_name.validation_scores_ == pytest.approx(by_default.validation_scores_)
    same(by_name, by_default)


def test_early_stopping_that_is_switched_on_for_a_warm_start_works():
    X, y, X_val, y_val = noisy()
    model = new("binary", **{**OVERFIT, "max_iter": 3, "warm_start": True}).fit(X, y)
    model.set_params(early_stopping=True, scoring="loss", max_iter=60, n_iter_no_change=5)
    model.fit(X, y, X_val=X_val, y_val=y_val)
    assert model.n_iter_ < 60
    assert log_loss(y_val, model.predict_proba(X_val)) == pytest.approx(min(model.validation_loss_curve_))


def test_an_unknown_scorer_is_refused():
    with pytest.raises(ValueError, match="'ghost' is not a valid scoring value"):
        new("binary", early_stopping=True, scoring="ghost").fit(*make("binary"))


@pytest.mark.parametrize("stratified", [False, True])
def test_the_share_held_out_is_stratified_where_that_is_asked_for(stratified):
    draws = np.random.default_rng(0)
    X, y = draws.normal(size=(200, 2)), np.repeat([0, 1, 2, 3], [140, 40, 10, 10])
    seen = []

    def scorer(model, X, y):
        seen.append(np.bincount(y, minlength=4).tolist())
        return 0.0

    params = {"early_stopping": True, "validation_fraction": 0.2, "max_iter": 1, "scoring": scorer}
    new("multiclass", stratify_validation=stratified, **params).fit(X, y)
    assert (seen == [[28, 8, 2, 2]]) == stratified
    seed = np.random.RandomState(FAST["random_state"])
    new("multiclass", **params)
    draws_of_weights = [seed.uniform(size=size) for size in ((2, 5), 5, (5, 4), 4)]
    _, held_out = train_test_split(y, random_state=seed, test_size=0.2, stratify=y if stratified else None)
    assert len(draws_of_weights) == 4
    assert seen == [np.bincount(held_out, minlength=4).tolist()]


def test_words_and_binary_labels_are_stratified_too():
    X, y = make("multiclass")
    for labels in (np.array(["no", "perhaps", "yes"])[y], y > 0):
        new("multiclass", early_stopping=True, stratify_validation=True).fit(X, labels)


# Penalties


def penalty(model, l1, l2):
    return sum(a * np.abs(W).sum() + b * (W**2).sum() for W, a, b in zip(model.coefs_, l1, l2, strict=True))


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.02), (0.01, 0.0), ([0.02, 0.0], [0.0, 0.05]), ((0.01, 0.03), 0.02)])
def test_a_step_descends_the_mean_loss_with_the_elastic_net(l1, l2):
    X, y = make("multiclass")
    start = initial()
    model = new("multiclass", **STEP, solver="sgd", momentum=0, learning_rate_init=0.1, l1=l1, l2=l2).fit(X, y)
    _, gradients = gradient_function(np, network_of(model))(start, X, one_hot(y))
    of_layers = [np.broadcast_to(each, 2) for each in (l1, l2)]
    for i, (layer, gradient) in enumerate(zip(start, gradients, strict=True)):
        dW = gradient.W + of_layers[0][i] * np.sign(layer.W) + 2 * of_layers[1][i] * layer.W
        np.testing.assert_allclose(model.coefs_[i], layer.W - 0.1 * dW, rtol=1e-10)
        np.testing.assert_allclose(model.intercepts_[i], layer.b - 0.1 * gradient.b, rtol=1e-10)
    at_start = new("multiclass", **STEP, solver="sgd", learning_rate_init=1e-300).fit(X, y)
    expected = log_loss(y, at_start.predict_proba(X)) + penalty(at_start, *of_layers)
    assert model.loss_ == pytest.approx(expected, rel=1e-10)


def test_lbfgs_finds_a_minimum_of_the_penalised_loss():
    X, y = make("multiclass")
    params = {"solver": "lbfgs", "max_iter": 3000, "tol": 1e-7, "activation": "tanh", "alpha": 0.6}
    model = new("multiclass", l2=[0.01, 0.03], **params).fit(X, y)
    _, gradients = gradient_function(np, network_of(model, activation="tanh"))(layers_of(model), X, one_hot(y))
    for W, gradient, l2 in zip(model.coefs_, gradients, [0.01, 0.03], strict=True):
        assert np.abs(gradient.W + 2 * l2 * W + 0.6 / N * W).max() < 1e-4
        assert np.abs(gradient.b).max() < 1e-4
    expected = log_loss(y, model.predict_proba(X)) + penalty(model, [0, 0], [0.01 + 0.3 / N, 0.03 + 0.3 / N])
    assert model.loss_ == pytest.approx(expected, rel=1e-9)


def test_l1_makes_weights_small_that_are_not_needed():
    draws = np.random.default_rng(0)
    X = draws.normal(size=(200, 10))
    y = X[:, 0] - X[:, 1]
    params = {"hidden_layer_sizes": (), "max_iter": 300, "learning_rate": "adaptive", "solver": "sgd"}
    W = new("regression", l1=0.1, **params).fit(X, y).coefs_[0][:, 0]
    assert np.abs(W[2:]).max() < 0.02
    np.testing.assert_allclose(W[:2], [0.9, -0.9], atol=0.08)  # soft thresholding


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"l1": [0.1]}, "l1 gives 1 value .* for 2 layers"),
        ({"l2": [0.1, 0.2, 0.3]}, "l2 gives 3 values .* for 2 layers"),
        ({"l2": [0.1, -0.2]}, "l2 is -0.2, but must be a number at least 0"),
        ({"l1": -0.1}, "'l1' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"dropout": [1.5]}, "dropout is 1.5"),
        ({"dropout": [0.1, 0.1]}, "dropout gives 2 values .* for 1 hidden layer:"),
        ({"input_dropout": 1}, "'input_dropout' parameter"),
        ({"weight_decay": -1}, "'weight_decay' parameter"),
        ({"schedule": "ghost"}, "'schedule' parameter"),
        ({"init": "ghost"}, "'init' parameter"),
        ({"dtype": "float16"}, "'dtype' parameter"),
        ({"device": 0}, "'device' parameter"),
        ({"activation": ["relu", "relu"]}, "activation gives 2 values .* for 1 hidden layer:"),
        ({"activation": ["ghost"]}, "activation is 'ghost'"),
    ],
)
def test_parameters_out_of_range_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        new("multiclass", **params).fit(*make("multiclass"))


# Dropout


@pytest.mark.parametrize("params", [{"dropout": 0.5}, {"input_dropout": 0.3}, {"dropout": [0.2], "input_dropout": 0.1}])
def test_a_seed_means_the_same_masks_on_every_backend(backend, params):
    X, y = make("multiclass")
    device = f"{backend.name}:{backend.device_name}"
    model, expected = (new("multiclass", device=each, **params).fit(X, y) for each in (device, None))
    same(model, expected, rtol=1e-8)
    another = new("multiclass", random_state=5, **params).fit(X, y)
    assert not np.allclose(another.coefs_[0], expected.coefs_[0])


def test_dropout_drops_in_training_and_not_in_predictions():
    X, y = make("multiclass")
    plain, dropping = new("multiclass").fit(X, y), new("multiclass", dropout=0.5, input_dropout=0.2).fit(X, y)
    assert not np.allclose(plain.coefs_[0], dropping.coefs_[0])
    np.testing.assert_array_equal(dropping.predict_proba(X), dropping.predict_proba(X))
    expected = fprop(np, network_of(dropping), layers_of(dropping), X)
    np.testing.assert_allclose(dropping.predict_proba(X), expected.a[-1], rtol=1e-12)
    np.testing.assert_allclose(dropping.transform(X), expected.a[1], rtol=1e-12)


def test_dropout_of_nothing_is_no_dropout():
    X, y = make("multiclass")
    same(new("multiclass", dropout=[0.0], input_dropout=0.0).fit(X, y), new("multiclass").fit(X, y), rtol=0)


def test_lbfgs_refuses_dropout():
    for params in ({"dropout": 0.1}, {"input_dropout": 0.1}):
        with pytest.raises(InputError, match="lbfgs needs the same loss at every evaluation"):
            new("multiclass", solver="lbfgs", **params).fit(*make("multiclass"))


# Activations and initial weights


def cubic(xp, z):
    return 0.1 * z * z * z + z


def d_cubic(xp, z, a):
    return 0.3 * z * z + 1.0


CUBIC = Activation("cubic", cubic, d_cubic)


@dataclass
class Power:
    """A function without a hash, as a dataclass has none."""

    exponent: float

    def __call__(self, _, z):
        return 0.1 * z**self.exponent + z


def test_functions_of_ones_own_need_no_hash():
    X, y = make("regression")
    own = Activation("power", Power(3.0), d_cubic)
    expected = new("regression", activation=CUBIC).fit(X, y).predict(X)
    for activation in (own, [own]):
        np.testing.assert_allclose(new("regression", activation=activation).fit(X, y).predict(X), expected, rtol=1e-9)


@pytest.mark.parametrize("rows", [4, 40])
def test_gradient_norms_of_sparse_examples_are_those_of_dense_ones(rows):
    X, y = make("regression")
    X = np.where(np.abs(X) < 0.5, 0.0, X)
    model = new("regression").fit(X, y)
    expected = model.sample_gradient_norms(X[:rows], y[:rows])
    np.testing.assert_allclose(model.sample_gradient_norms(sparse.csr_array(X[:rows]), y[:rows]), expected, rtol=1e-10)


def test_large_finite_examples_are_predicted_without_a_warning():
    X, y = make("regression")
    model = new("regression", activation="tanh").fit(np.float32(X), y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isfinite(model.predict(np.full((3, X.shape[1]), 2e38, "float32"))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_examples_that_are_not_finite_are_refused(bad):
    X, y = make("regression")
    model = new("regression").fit(X, y)
    X = X.copy()
    X[1, 0] = bad
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        model.predict(X)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_the_library_learns(name):
    X, y = make("regression")
    model = new("regression", activation=name, hidden_layer_sizes=(8, 8), solver="lbfgs", max_iter=200).fit(X, y)
    assert model.score(X, y) > 0.8
    np.testing.assert_allclose(
        model.transform(X, layer=1),
        ACTIVATIONS[name].function(np, X @ model.coefs_[0] + model.intercepts_[0]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("name", ["relu", "logistic", "tanh"])
def test_one_activation_for_each_layer_is_the_same_as_one_for_all(name):
    X, y = make("multiclass")
    sizes = {"hidden_layer_sizes": (5, 4)}
    model = new("multiclass", activation=name, **sizes).fit(X, y)
    for several in ([name, name], (ACTIVATIONS[name], name)):
        same(new("multiclass", activation=several, **sizes).fit(X, y), model, rtol=0)


def test_each_layer_has_the_activation_that_is_given_for_it():
    X, y = make("multiclass")
    model = new("multiclass", activation=["tanh", CUBIC], hidden_layer_sizes=(5, 4)).fit(X, y)
    first = np.tanh(X @ model.coefs_[0] + model.intercepts_[0])
    np.testing.assert_allclose(model.transform(X, layer=1), first, rtol=1e-12)
    expected = cubic(np, first @ model.coefs_[1] + model.intercepts_[1])
    np.testing.assert_allclose(model.transform(X, layer=2), expected, rtol=1e-12)


def test_an_activation_of_the_users_own_is_trained_by_its_derivative_and_can_be_pickled(backend):
    X, y = make("multiclass")
    device = f"{backend.name}:{backend.device_name}"
    model = new("multiclass", activation=CUBIC, device=device).fit(X, y)
    same(model, new("multiclass", activation=CUBIC).fit(X, y), rtol=1e-8)
    loaded = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert "cubic" in loaded.summary()
    assert clone(model).activation == CUBIC
    step = new("multiclass", **STEP, solver="sgd", momentum=0, learning_rate_init=0.1, activation=CUBIC).fit(X, y)
    start = initial(activation=CUBIC)
    _, gradients = gradient_function(np, network_of(step, activation=CUBIC))(start, X, one_hot(y))
    np.testing.assert_allclose(step.coefs_[0], start[0].W - 0.1 * gradients[0].W, rtol=1e-10)


@pytest.mark.parametrize("init", INITIALIZERS)
def test_initial_weights_are_those_of_the_library(init):
    start = initial(init=init)
    seed = np.random.RandomState(STEP["random_state"]).randint(2**31 - 1)
    expected = initialize(Network.build(4, [5], 3), init=init, seed=seed)
    for mine, its in zip(start, expected, strict=True):
        np.testing.assert_allclose(mine.W, its.W, rtol=0, atol=1e-290)
        np.testing.assert_allclose(mine.b, its.b, rtol=0, atol=1e-290)


# Optimisers and schedules


def test_a_step_of_adamw_decays_the_weights_and_takes_adams_step():
    X, y = make("multiclass")
    start = initial()
    params = {**STEP, "learning_rate_init": 0.01}
    model = new("multiclass", **params, solver="adamw", weight_decay=0.2).fit(X, y)
    adam = new("multiclass", **params, solver="adam").fit(X, y)
    for before, decayed, W in zip(start, model.coefs_, adam.coefs_, strict=True):
        np.testing.assert_allclose(decayed, W - 0.01 * 0.2 * before.W, rtol=1e-10)
    _, gradients = gradient_function(np, network_of(model))(start, X, one_hot(y))
    for before, gradient, W in zip(start, gradients, adam.coefs_, strict=True):
        m, v = 0.1 * gradient.W, 0.001 * gradient.W**2
        step = 0.01 * np.sqrt(1 - 0.999) / (1 - 0.9) * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(W, before.W - step, rtol=1e-8)


def test_adamw_goes_on_in_partial_fits_and_warm_starts():
    X, y = make("multiclass")
    model = new("multiclass", solver="adamw", shuffle=False, warm_start=True)
    for _ in range(3):
        model.partial_fit(X, y, classes=[0, 1, 2])
    same(model, new("multiclass", solver="adamw", shuffle=False, max_iter=3).fit(X, y))
    assert model.fit(X, y).loss_curve_[-1] < model.loss_curve_[0]


@pytest.mark.parametrize("schedule", ["constant", "step", "cosine"])
def test_a_schedule_scales_the_rate_over_all_epochs(schedule):
    from xpmlp.nn.schedules import build_schedule

    X, y = make("regression")
    params = {**STEP, "max_iter": 5, "solver": "sgd", "momentum": 0, "learning_rate_init": 0.05, "tol": 0.0}
    model = new("regression", **params, schedule=schedule).fit(X, y)
    rates = build_schedule(schedule, 1.0, 5)
    layers, network = initial(kind="regression"), network_of(model, loss="squared")
    for step in range(5):
        rate = rates(np, np.asarray(float(step)))
        _, gradients = gradient_function(np, network)(layers, X, y[:, None])
        layers = [
            Layer(W - 0.05 * rate * dW, b - 0.05 * rate * db)
            for (W, b), (dW, db) in zip(layers, gradients, strict=True)
        ]
    for layer, W in zip(layers, model.coefs_, strict=True):
        np.testing.assert_allclose(W, layer.W, rtol=1e-9)


# Losses of regression


def linear_problem(n=400):
    draws = np.random.default_rng(3)
    X = draws.normal(size=(n, 3))
    return X, X @ [1.0, -2.0, 0.5] + 3 + draws.standard_t(2, size=n)


@pytest.mark.parametrize(
    ("loss", "params", "by_hand"),
    [
        ("huber", {"huber_threshold": 0.4}, huber(0.4)),
        ("absolute_error", {}, LOSSES["absolute"]),
        ("quantile", {"quantile": 0.8}, quantile(0.8)),
    ],
)
def test_the_loss_is_the_mean_over_the_examples(loss, params, by_hand):
    X, y = make("regression")
    step = new("regression", **STEP, solver="sgd", learning_rate_init=1e-300, loss=loss, **params).fit(X, y)
    assert step.loss_ == pytest.approx(by_hand.value(np, step.predict(X)[:, None], y[:, None]) / N, rel=1e-12)
    error = step.predict(X) - y
    expected = {
        "huber": np.where(np.abs(error) <= 0.4, error**2 / 2, 0.4 * np.abs(error) - 0.08),
        "absolute_error": np.abs(error),
        "quantile": np.maximum(0.2 * error, -0.8 * error),
    }[loss]
    assert step.loss_ == pytest.approx(expected.mean(), rel=1e-12)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.9])
def test_a_quantile_lies_above_its_share_of_the_targets(level):
    X, y = linear_problem(2000)
    params = {"hidden_layer_sizes": (8,), "max_iter": 40, "learning_rate_init": 0.01, "batch_size": 100}
    model = new("regression", loss="quantile", quantile=level, **params).fit(X, y)
    assert (y < model.predict(X)).mean() == pytest.approx(level, abs=0.03)


def test_a_linear_network_with_the_loss_of_a_quantile_is_a_quantile_regression():
    X, y = linear_problem()
    params = {"hidden_layer_sizes": (), "alpha": 0.0, "solver": "adam", "batch_size": 400, "max_iter": 3000}
    params |= {"learning_rate_init": 0.05, "schedule": "cosine", "tol": 0.0, "n_iter_no_change": np.inf}
    for level in (0.5, 0.8):
        ours = new("regression", loss="quantile", quantile=level, **params).fit(X, y)
        theirs = QuantileRegressor(quantile=level, alpha=0).fit(X, y)
        np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, atol=0.01)
        np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, atol=0.01)


def test_a_linear_network_with_the_loss_of_huber_is_a_huber_regression():
    X, y = linear_problem()
    theirs = HuberRegressor(alpha=0, epsilon=1.35, max_iter=1000, tol=1e-9).fit(X, y)
    threshold = theirs.epsilon * theirs.scale_
    params = {"hidden_layer_sizes": (), "alpha": 0.0, "solver": "lbfgs", "max_iter": 2000, "tol": 1e-9}
    ours = new("regression", loss="huber", huber_threshold=threshold, **params).fit(X, y)
    np.testing.assert_allclose(ours.coefs_[0][:, 0], theirs.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.intercepts_[0], theirs.intercept_, atol=1e-4)


@pytest.mark.parametrize("loss", ["huber", "absolute_error"])
def test_robust_losses_take_no_notice_of_outliers(loss):
    draws = np.random.default_rng(0)
    X = draws.normal(size=(300, 2))
    truth = np.sin(X[:, 0]) + X[:, 1]
    y = np.where(np.arange(300) % 12 == 0, truth + 50, truth)
    params = {"hidden_layer_sizes": (20,), "max_iter": 150, "learning_rate_init": 0.01, "batch_size": 50}
    robust, plain = (new("regression", loss=each, **params).fit(X, y) for each in (loss, "squared_error"))
    assert np.abs(robust.predict(X) - truth).mean() < 0.3
    assert np.abs(plain.predict(X) - truth).mean() > 3


@pytest.mark.parametrize("params", [{"quantile": 0}, {"quantile": 1}, {"huber_threshold": 0}], ids=str)
def test_parameters_of_losses_are_checked(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        MLPRegressor(**params).fit(*make("regression"))


def log_cosh(xp, z, T):
    return xp.log(0.5 * (xp.exp(z - T) + xp.exp(T - z)))


def d_log_cosh(xp, a, T):
    return xp.tanh(a - T)


def softplus_output(xp, z):
    return xp.log(1.0 + xp.exp(z))


LOG_COSH = replace(LOSSES["squared"], name="log-cosh", terms=log_cosh, delta=d_log_cosh)


def test_a_loss_of_the_users_own_is_trained_by_its_derivative_and_can_be_pickled(backend):
    X, y = make("regression")
    device = f"{backend.name}:{backend.device_name}"
    model = new("regression", loss=LOG_COSH, device=device, early_stopping=True, scoring="loss").fit(X, y)
    same(model, new("regression", loss=LOG_COSH, early_stopping=True, scoring="loss").fit(X, y), rtol=1e-8)
    loaded = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert clone(model).loss == LOG_COSH
    step = new("regression", **STEP, solver="sgd", momentum=0, learning_rate_init=0.1, loss=LOG_COSH).fit(X, y)
    start = initial(kind="regression")
    _, gradients = gradient_function(np, network_of(step, loss=LOG_COSH))(start, X, y[:, None])
    np.testing.assert_allclose(step.coefs_[0], start[0].W - 0.1 * gradients[0].W, rtol=1e-10)
    first = new("regression", **STEP, solver="sgd", learning_rate_init=1e-300, loss=LOG_COSH).fit(X, y)
    assert first.loss_ == pytest.approx(np.log(np.cosh(first.predict(X) - y)).mean(), rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_loss_that_is_given_is_the_same_as_its_name(solver):
    X, y = make("regression")
    for loss, params in (
        (huber(0.3), {"loss": "huber", "huber_threshold": 0.3}),
        (LOSSES["squared"], {"loss": "squared_error"}),
        (LOSSES["absolute"], {"loss": "absolute_error"}),
        (LOSSES["poisson"], {"loss": "poisson"}),
    ):
        ours, named = (new("regression", solver=solver, **each).fit(X, np.abs(y)) for each in ({"loss": loss}, params))
        same(ours, named, rtol=0)
        assert ours.out_activation_ == named.out_activation_


def test_a_loss_of_the_users_own_may_have_an_output_function_that_scikit_learn_lacks():
    X, y = make("regression")
    identity = new("regression", loss=LOG_COSH).fit(X, y)
    np.testing.assert_array_equal(identity.to_sklearn().predict(X), identity.predict(X))
    own = replace(LOG_COSH, name="own", output=softplus_output)
    model = new("regression", loss=own).fit(X, y)
    z = X @ model.coefs_[0] + model.intercepts_[0]
    z = np.maximum(z, 0) @ model.coefs_[1] + model.intercepts_[1]
    np.testing.assert_allclose(model.predict(X), np.log1p(np.exp(z[:, 0])), rtol=1e-10)
    assert model.out_activation_ == "own"
    with pytest.raises(InputError, match="scikit-learn has no output function like that of loss 'own'"):
        model.to_sklearn()


@pytest.mark.parametrize("name", ["softmax", "logistic"])
def test_a_loss_for_classes_is_refused_by_the_regressor(name):
    with pytest.raises(InputError, match=f"loss '{name}' is for classes"):
        MLPRegressor(loss=LOSSES[name]).fit(*make("multioutput"))


# Looking inside


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel", "regression", "multioutput"])
def test_transform_gives_every_layer(kind):
    X, y = make(kind)
    model = new(kind, hidden_layer_sizes=(5, 3)).fit(X, y)
    output = model.predict(X).reshape(N, -1) if kind in {"regression", "multioutput"} else model.predict_proba(X)
    if kind == "binary":
        output = output[:, 1:]
    hidden = [X]
    for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        hidden.append(np.maximum(hidden[-1] @ W + b, 0))
    expected = [*hidden, output]
    for layer in range(4):
        np.testing.assert_allclose(model.transform(X, layer=layer), expected[layer], rtol=1e-12)
        np.testing.assert_allclose(model.transform(X, layer=layer - 4), expected[layer], rtol=1e-12)
    np.testing.assert_array_equal(model.transform(X), model.transform(X, layer=-2))
    for layer in (4, -5):
        with pytest.raises(IndexError, match=f"layer is {layer}, but the network has 4: 0 to 3"):
            model.transform(X, layer=layer)


def test_hidden_features_go_on_in_a_pipeline():
    X, y = make("multiclass")
    pipeline = make_pipeline(StandardScaler(), new("multiclass"), new("multiclass")).fit(X, y)
    features = pipeline[1].transform(pipeline[0].transform(X))
    assert features.shape == (N, 5)
    np.testing.assert_array_equal(pipeline.predict(X), pipeline[2].predict(features))


def test_the_summary_is_a_table_of_layers_shapes_and_parameters():
    model = new("multiclass", hidden_layer_sizes=(50, 20), activation=["tanh", "relu"]).fit(*make("multiclass"))
    assert model.summary() == inspect.cleandoc(
        """
        layer  shape    activation  parameters
        1      4 x 50   tanh               250
        2      50 x 20  relu             1,020
        3      20 x 3   softmax             63
        total                            1,333
        """
    )
    linear = new("regression", hidden_layer_sizes=()).fit(*make("regression")).summary()
    assert "identity" in linear
    assert linear.splitlines()[-1].split() == ["total", "5"]


@pytest.mark.parametrize(
    ("kind", "loss", "params"),
    [
        ("binary", "logistic", {}),
        ("multiclass", "softmax", {"hidden_layer_sizes": (5, 3)}),
        ("multilabel", "logistic", {}),
        ("regression", "squared", {"hidden_layer_sizes": ()}),
        ("multioutput", "squared", {}),
        ("regression", huber(1.0), {"loss": "huber"}),
    ],
)
def test_norms_of_gradients_are_those_of_the_gradients_of_single_examples(kind, loss, params):
    X, y = make(kind)
    model = new(kind, **params).fit(X, y)
    T = one_hot(y).astype(float) if kind == "multiclass" else y.reshape(N, -1).astype(float)
    gradients_of = gradient_function(np, network_of(model, loss=loss))
    expected = []
    for i in range(N):
        _, gradients = gradients_of(layers_of(model), X[i : i + 1], T[i : i + 1])
        expected.append(np.sqrt(sum((p**2).sum() for layer in gradients for p in layer)))
    np.testing.assert_allclose(model.sample_gradient_norms(X, y), expected, rtol=1e-10)


def test_labels_that_are_wrong_have_large_gradients():
    draws = np.random.default_rng(0)
    X = draws.normal(size=(300, 5))
    y = (X[:, 0] + X[:, 1] > 0).astype(int)
    wrong = np.abs(X[:, 0] + X[:, 1]) > 1.5
    wrong &= np.arange(300) % 4 == 0
    assert 10 < wrong.sum() < 40
    given = np.where(wrong, 1 - y, y)
    model = new("binary", max_iter=10, learning_rate_init=0.01).fit(X, given)
    order = np.argsort(-model.sample_gradient_norms(X, given))
    assert wrong[order[: wrong.sum()]].mean() > 0.9


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_norms_of_gradients_need_a_target_for_each_example(kind):
    X, y = make(kind)
    model = new(kind).fit(X, y)
    for targets in (y[:5], y[:1]):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model.sample_gradient_norms(X, targets)
    if kind == "multiclass":
        with pytest.raises(ValueError, match=r"y has classes that were not in the y of fit: \[3\]"):
            model.sample_gradient_norms(X, y + 1)


def test_the_representation_of_a_notebook_has_the_parameters():
    page = new("multiclass", dropout=0.125, device="cpu", class_weight="balanced")._repr_html_()
    for word in ("MLPClassifier", "dropout", "0.125", "balanced", "device"):
        assert word in page
    assert "dropout=0.125" in repr(new("multiclass", dropout=0.125))


# Callbacks


class Recorder:
    """Notes what it is told, and asks for an end after some iterations; its methods are scikit-learn's protocol."""

    def __init__(self, end_after=None):
        self.end_after = end_after
        self.told = []
        self.losses = []

    def setup(self, estimator, context):  # noqa: ARG002 - the protocol's
        self.told.append("setup")

    def teardown(self, estimator, context):  # noqa: ARG002 - the protocol's
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):  # noqa: ARG002 - the protocol's
        assert X is not None
        assert y is not None
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(
        self,
        estimator,  # noqa: ARG002 - the protocol's
        context,
        *,
        X=None,
        y=None,
        metadata=None,
        fitted_estimator=None,
    ):
        self.told.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.losses.append(log_loss(y, fitted_estimator.predict_proba(X)))
            self.metadata = metadata
            return len(self.losses) == self.end_after
        return False


@pytest.mark.parametrize("solver", SOLVERS)
def test_callbacks_are_told_of_every_iteration_with_a_model_that_predicts(solver):
    X, y = make("multiclass")
    recorder = Recorder()
    model = new("multiclass", solver=solver).set_callbacks(recorder).fit(X, y)
    iterations = ["begin iteration", "end iteration"] * 6
    assert recorder.told == ["setup", "begin fit", *iterations, "end fit", "teardown"]
    same(model, new("multiclass", solver=solver).fit(X, y), rtol=0)
    assert recorder.losses[-1] == log_loss(y, model.predict_proba(X))
    assert len(set(recorder.losses)) == 6


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_callback_can_ask_for_an_end(solver, recwarn):
    X, y = make("multiclass")
    model = new("multiclass", solver=solver).set_callbacks(Recorder(end_after=3)).fit(X, y)
    assert model.n_iter_ == 3
    assert not [each for each in recwarn if issubclass(each.category, ConvergenceWarning)]
    same(model, new("multiclass", solver=solver, max_iter=3).fit(X, y))


def test_callbacks_are_told_of_early_stopping_validation_sets_and_weights():
    X, y = make("multiclass")
    weights = np.linspace(1, 2, N)
    recorder = Recorder()
    model = new("multiclass", early_stopping=True, n_iter_no_change=2, tol=10.0).set_callbacks(recorder)
    model.fit(X, y, sample_weight=weights, X_val=X, y_val=y)
    assert len(recorder.losses) == model.n_iter_ < 6
    assert recorder.losses == pytest.approx(model.validation_loss_curve_)
    assert recorder.metadata["sample_weight"] is weights


def test_partial_fit_tells_callbacks_of_one_iteration():
    X, y = make("multiclass")
    recorder = Recorder()
    model = new("multiclass").set_callbacks(recorder)
    for _ in range(2):
        model.partial_fit(X, y, classes=[0, 1, 2])
    assert recorder.told == ["setup", "begin fit", "begin iteration", "end iteration", "end fit", "teardown"] * 2


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_monitor_of_scikit_learn_records_scores_of_every_iteration(solver):
    X, y = make("multiclass")
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = new("multiclass", solver=solver).set_callbacks(monitor).fit(X, y)
    rows = monitor.get_logs().data
    assert len(rows) == 6
    assert rows[-1]["accuracy"] == model.score(X, y)
    assert rows[-1]["neg_log_loss"] == pytest.approx(-log_loss(y, model.predict_proba(X)))
    weights = np.linspace(1, 2, N)
    model.fit(X, y, sample_weight=weights)
    last = monitor.get_logs().data[-1]
    assert last["accuracy"] == pytest.approx(model.score(X, y, sample_weight=weights))


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_progress_bar_of_scikit_learn_runs(solver, capsys):
    new("regression", solver=solver).set_callbacks(ProgressBar()).fit(*make("regression"))
    assert "MLPRegressor" in capsys.readouterr().out


def test_the_callbacks_of_a_search_reach_the_estimator(capsys):
    X, y = make("multiclass")
    monitor = ScoringMonitor(scoring="accuracy")
    search = GridSearchCV(new("multiclass").set_callbacks(monitor), {"alpha": [0.1, 1.0]}, cv=2)
    search.set_callbacks(ProgressBar(max_propagation_depth=None)).fit(X, y)
    rows = monitor.get_logs().data
    assert len(rows) == 6 * (2 * 2 + 1)
    assert {row["estimator_name"] for row in rows} == {"MLPClassifier"}
    assert "MLPClassifier" in capsys.readouterr().out


def test_a_model_with_callbacks_can_be_pickled_and_cloned():
    X, y = make("multiclass")
    model = new("multiclass").set_callbacks(Recorder()).fit(X, y)
    loaded = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    clone(model).fit(X, y)


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_sparse_targets_of_a_regressor_are_those_of_dense_ones(form, solver):
    X, y = make("multioutput")
    y = np.where(y > 0, y, 0.0)
    model, expected = new("multioutput", solver=solver).fit(X, form(y)), new("multioutput", solver=solver).fit(X, y)
    same(model, expected)
    np.testing.assert_allclose(model.sample_gradient_norms(X, form(y)), expected.sample_gradient_norms(X, y))
    assert model.score(X, form(y)) == pytest.approx(expected.score(X, y))
    if solver == "adam":
        same(model.partial_fit(X, form(y)), expected.partial_fit(X, y))
        model.fit(X, form(y), X_val=X, y_val=form(y))
        expected.fit(X, y, X_val=X, y_val=y)
        assert model.validation_loss_curve_ == expected.validation_loss_curve_


@pytest.mark.parametrize("form", [lambda y: y[:, None].tolist(), lambda y: y[:, None], lambda y: y.tolist()])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_targets_take_the_forms_that_fit_takes_at_every_entry_point(kind, form):
    X, y = make(kind)
    model, expected = new(kind).fit(X, form(y), X_val=X, y_val=form(y)), new(kind).fit(X, y, X_val=X, y_val=y)
    same(model, expected)
    assert model.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_)
    np.testing.assert_allclose(model.sample_gradient_norms(X, form(y)), expected.sample_gradient_norms(X, y))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_targets_of_three_dimensions_are_refused_at_every_entry_point(kind):
    X, y = make(kind)
    model = new(kind).fit(X, y)
    for call in (
        lambda: model.fit(X, y, X_val=X, y_val=y[:, None, None]),
        lambda: model.sample_gradient_norms(X, y[:, None, None]),
    ):
        with pytest.raises(ValueError, match="Found array with dim 3"):
            call()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression", "multioutput"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_targets_that_are_not_finite_are_named(kind, bad):
    X, y = make(kind)
    odd = y.astype(float)
    odd[3] = bad
    with pytest.raises(InputError, match=r"^the validation set .* cannot be used: Input y_val contains (NaN|infinity)"):
        new(kind).fit(X, y, X_val=X, y_val=odd)
    with pytest.raises(ValueError, match=r"^Input y contains (NaN|infinity)"):
        new(kind).fit(X, y).sample_gradient_norms(X, odd)


@pytest.mark.parametrize("labels", [[1, 2, 3, 4], ["a", "b", "c", "d"]], ids=str)
def test_a_class_with_too_few_members_to_stratify_is_named(labels):
    y = np.array(labels)[[*np.arange(39) % (len(labels) - 1), -1]]
    model = new("multiclass", early_stopping=True, stratify_validation=True)
    with pytest.raises(ValueError, match=rf"{labels[-1]}'?\]"):
        model.fit(np.ones((40, 2)), y)


@pytest.mark.parametrize("unknown", ["unknown", ["unknown"], ("relu", "unknown")])
def test_an_activation_that_is_unknown_after_the_fit_is_refused_by_every_method(unknown):
    X, y = make("multiclass")
    model = new("multiclass", hidden_layer_sizes=(5,) * (1 if isinstance(unknown, str) else len(unknown))).fit(X, y)
    model.set_params(activation=unknown)
    calls = [lambda: model.predict(X[:1]), lambda: model.predict_proba(X), lambda: model.score(X, y), model.summary]
    for call in [*calls, lambda: model.sample_gradient_norms(X, y), model.to_sklearn]:
        with pytest.raises(InputError, match=r"activation is 'unknown', but must be one of: identity, relu"):
            call()


# Precision


@pytest.mark.parametrize("way", [{}, {"dtype": "float32"}, {"device": "torch"}, {"device": "jax"}], ids=str)
@pytest.mark.parametrize(
    ("loss", "scale", "shift", "least"),
    [
        ("squared_error", 1e7, 0.0, 0.85),
        ("huber", 1e7, 0.0, 0.8),
        ("absolute_error", 1e7, 0.0, 0.8),
        ("squared_error", 1.0, 1e6, 0.7),
        ("huber", 1.0, 1e4, 0.65),
        ("absolute_error", 1.0, 1e4, 0.65),
        ("quantile", 1.0, 1e4, 0.65),
    ],
)
@pytest.mark.parametrize("targets", ["float64", "float32"])
def test_lbfgs_on_float32_examples_learns_large_targets(targets, loss, scale, shift, least, way):
    if "device" in way:
        pytest.importorskip(way["device"])
    X, t = make_friedman1(n_samples=300, noise=1.0, random_state=0)
    X = StandardScaler().fit_transform(X).astype("float32")
    y = (t * scale + shift).astype(targets)
    model = MLPRegressor(loss, (16,), solver="lbfgs", max_iter=300, random_state=0, **way).fit(X, y)
    assert model.coefs_[0].dtype == np.float32
    assert model.score(X, y) > least


def test_lbfgs_that_cannot_improve_on_its_first_steps_says_so():
    X, y = make("regression")
    with pytest.warns(ConvergenceWarning, match=r"lbfgs stopped after \d iteration\(s\), as no step lowered the loss"):
        new("regression", solver="lbfgs").fit(X, y * 1e25)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        new("regression", solver="lbfgs", max_iter=5000, alpha=1.0).fit(X, np.zeros(N))


@pytest.mark.parametrize("way", [{}, {"device": "torch"}], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("solver", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    ("loss", "target"),
    [
        *((loss, lambda t: t + 1e6) for loss in ("squared_error", "huber", "absolute_error", "quantile")),
        ("absolute_error", lambda t: 1e7 * t),
        ("poisson", lambda t: np.floor(1e4 * np.exp(t))),
    ],
)
def test_a_float32_fit_has_the_losses_of_a_float64_fit(loss, target, solver, weighted, way):
    """In float32 alone, losses of targets far from 0 stay the same from epoch to epoch, and training stops."""
    if "device" in way:
        pytest.importorskip(way["device"])
    X, t = make("regression")
    y, weights = target(t), np.linspace(0.5, 2.0, N) if weighted else None
    rate = 1e-7 if solver == "sgd" else 1e-5
    params = {"loss": loss, "solver": solver, "learning_rate_init": rate, "max_iter": 30, "batch_size": N, **way}
    single, double = (new("regression", **params).fit(x, y, weights) for x in (X.astype("float32"), X))
    assert single.coefs_[0].dtype == np.float32
    assert single.n_iter_ == double.n_iter_
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-5)


def test_a_float32_fit_of_many_minibatches_has_the_losses_of_a_float64_fit():
    """So many that they are recorded, and replayed."""
    X, t = np.tile(make("regression")[0], (10, 1)), np.tile(make("regression")[1], 10)
    single, double = (
        new("regression", tol=0.0).fit(x, t + 1e6, X_val=x, y_val=t + 1e6) for x in (X.astype("float32"), X)
    )
    np.testing.assert_allclose(single.loss_curve_, double.loss_curve_, rtol=1e-4)
    np.testing.assert_allclose(single.validation_loss_curve_, double.validation_loss_curve_, rtol=1e-2)


# Targets of another network


@pytest.mark.parametrize("way", ["partial_fit", "warm_start"])
@pytest.mark.parametrize(("fitted", "given"), [("multioutput", "regression"), ("regression", "multioutput")])
def test_targets_of_another_number_than_the_network_has_outputs_are_refused(fitted, given, way):
    X, _ = make(fitted)
    model = new("regression", warm_start=True).fit(X, make(fitted)[1])
    again = model.partial_fit if way == "partial_fit" else model.fit
    before = [W.copy() for W in model.coefs_]
    with pytest.raises(ValueError, match=r"The targets have \d outputs?, but the network has \d"):
        again(X, make(given)[1])
    assert all(np.array_equal(W, b) for W, b in zip(model.coefs_, before, strict=True))
    assert model.n_outputs_ == model.coefs_[-1].shape[1]


@pytest.mark.parametrize("activation", ["logistic", "tanh"])
def test_a_linear_model_keeps_its_activation_on_the_way_to_scikit_learn(activation):
    X, y = make("multiclass")
    model = new("multiclass", hidden_layer_sizes=(), activation=activation).fit(X, y)
    theirs = model.to_sklearn()
    assert theirs.activation == activation
    theirs.fit(X, y)  # which draws weights by it
    for mine, its in zip(model.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-8)


def test_a_linear_model_whose_activation_scikit_learn_lacks_goes_there():
    X, y = make("multiclass")
    model = new("multiclass", hidden_layer_sizes=(), activation="gelu").fit(X, y)
    np.testing.assert_allclose(model.to_sklearn().predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", ["max_iter", "batch_size"])
def test_true_is_taken_for_1_as_scikit_learn_does(name):
    X, y = make("multiclass")
    same(new("multiclass", **{name: True}).fit(X, y), new("multiclass", **{name: 1}).fit(X, y))


PLAIN_LABELS = {
    "integers": (np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1], np.uint8)),
    "strings": (np.array(["a", "bc", "a"]), np.array(["a", "a", "a"])),
    "floats": (np.array([0.0, 1.0, 1.0]), np.array([0, 1, 0])),
    "a list": ([0, 1, 1], np.array([0, 1, 0])),
    "labels": (np.array([[0, 1], [1, 1]]), np.array([[0, 1], [0, 1]])),
}


@pytest.mark.parametrize("labels", PLAIN_LABELS)
def test_the_accuracy_is_scikit_learns(labels):
    y, predicted = PLAIN_LABELS[labels]
    assert accuracy(y, predicted) == accuracy_score(y, predicted)
    weights = np.arange(1, len(y) + 1)
    assert accuracy(y, predicted, sample_weight=weights) == accuracy_score(y, predicted, sample_weight=weights)


@pytest.mark.parametrize("y", [np.array([0, 1]), np.array([0.5, 1, 1]), np.array(["a", "b", "b"]), np.ones((3, 2, 1))])
def test_what_scikit_learn_gives_no_accuracy_of_is_refused_in_its_words(y):
    predicted = np.array([0, 1, 2])
    with pytest.raises((ValueError, TypeError)) as expected:
        accuracy_score(y, predicted)
    with pytest.raises(type(expected.value), match=re.escape(str(expected.value))):
        accuracy(y, predicted)
