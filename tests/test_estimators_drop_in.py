"""Code that changes only its import keeps working: signatures, errors, labels, frames, pipelines, conversions."""

import contextlib
import copy
import inspect
import io
import pickle
import re
import warnings
from functools import partial

import joblib
import numpy as np
import pytest
import sklearn
import sklearn.neural_network as reference
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from sklearn.linear_model import PoissonRegressor
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

from xpmlp import MLPClassifier, MLPRegressor

CLASSIFIERS = (MLPClassifier, reference.MLPClassifier)
REGRESSORS = (MLPRegressor, reference.MLPRegressor)
PAIRS = {"classifier": CLASSIFIERS, "regressor": REGRESSORS}
FAST = {"hidden_layer_sizes": (6,), "learning_rate_init": 0.03, "max_iter": 8, "random_state": 4}
KINDS = ("binary", "multiclass", "multilabel", "regression", "multioutput", "poisson")
N = 60

each_estimator = pytest.mark.parametrize("which", PAIRS)
each_kind = pytest.mark.parametrize("kind", KINDS)
# Few epochs are run on purpose; what is said about that is compared in test_estimators_parity.py.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(kind):
    """Give X and y of a small problem."""
    draws = np.random.default_rng(17)
    X = draws.normal(size=(N, 4))
    hidden = np.tanh(X @ draws.normal(size=(4, 3)))
    y = {
        "binary": (hidden[:, 0] > 0).astype(int),
        "multiclass": np.argmax(hidden, axis=1),
        "multilabel": (hidden > 0.1).astype(int),
        "regression": hidden[:, 0],
        "multioutput": hidden,
        "poisson": np.floor(np.exp(hidden[:, 0])),
    }[kind]
    return X, y


def pair(kind, **params):
    """Give our estimator of this kind of problem and scikit-learn's, with the same parameters."""
    classifies = kind in {"binary", "multiclass", "multilabel"}
    loss = {"loss": "poisson"} if kind == "poisson" else {}
    return tuple(cls(**{**FAST, **loss, **params}) for cls in (CLASSIFIERS if classifies else REGRESSORS))


def outcome(call):
    """Give the type and the message of the error of a call, or None, and what warnings there were for users."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            failure = type(error), str(error)
        else:
            failure = None
    about = [(w.category, str(w.message)) for w in caught if issubclass(w.category, UserWarning)]
    return failure, about


def alike(first, second, X, rtol=1e-8):
    """Assert that two estimators predict the same."""
    for method in ("predict_proba", "predict"):
        if hasattr(second, method):
            ours, theirs = np.asarray(getattr(first, method)(X)), np.asarray(getattr(second, method)(X))
            assert ours.dtype == theirs.dtype
            if theirs.dtype.kind == "f" and not (method == "predict" and is_classifier(second)):
                np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())
            else:
                np.testing.assert_array_equal(ours, theirs)


# Signatures


@each_estimator
def test_every_parameter_has_the_name_the_default_and_the_position_of_scikit_learns(which):
    ours, theirs = (inspect.signature(cls).parameters for cls in PAIRS[which])
    for name, parameter in theirs.items():
        assert name in ours
        assert ours[name].default == parameter.default, name
        assert ours[name].kind == parameter.kind, name

    def positional(parameters):
        return [name for name, each in parameters.items() if each.kind is each.POSITIONAL_OR_KEYWORD]

    assert positional(ours) == positional(theirs)
    extra = set(ours) - set(theirs)
    assert all(ours[name].kind is inspect.Parameter.KEYWORD_ONLY for name in extra)


@each_estimator
def test_every_method_takes_the_arguments_of_scikit_learns(which):
    mine, other = PAIRS[which]
    methods = [name for name in dir(other) if not name.startswith("_") and callable(getattr(other, name))]
    assert {"fit", "predict", "score", "get_params", "set_fit_request", "set_partial_fit_request"} <= set(methods)
    for name in methods:
        assert callable(getattr(mine, name)), name
        ours, theirs = (list(inspect.signature(getattr(cls, name)).parameters.values()) for cls in (mine, other))
        if name.endswith("_request"):
            assert {each.name for each in theirs} <= {each.name for each in ours}, name
            continue
        assert [(each.name, each.default) for each in ours[: len(theirs)]] == [
            (each.name, each.default) for each in theirs
        ], name
        for each in ours[len(theirs) :]:
            assert each.default is not inspect.Parameter.empty, name
            assert each.kind is inspect.Parameter.KEYWORD_ONLY, name


@each_estimator
def test_parameters_are_kept_as_they_were_given(which):
    sizes = [5, 3]
    ours, theirs = (cls(sizes, "tanh", max_iter=7) if which == "classifier" else None for cls in PAIRS[which])
    if which == "regressor":
        ours, theirs = (cls("poisson", sizes, "tanh", max_iter=7) for cls in PAIRS[which])
    assert ours.hidden_layer_sizes is sizes
    params = ours.get_params()
    assert {name: params[name] for name in theirs.get_params()} == theirs.get_params()
    assert ours.set_params(alpha=0.5) is ours
    assert ours.alpha == 0.5
    assert repr(ours) == repr(theirs.set_params(alpha=0.5))


@each_estimator
def test_tags_are_those_of_scikit_learns(which):
    ours, theirs = (get_tags(cls()) for cls in PAIRS[which])
    for name in (
        "estimator_type",
        "classifier_tags",
        "regressor_tags",
        "target_tags",
        "requires_fit",
        "non_deterministic",
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.input_tags == theirs.input_tags
    check = is_classifier if which == "classifier" else is_regressor
    assert check(PAIRS[which][0]())


@each_kind
def test_fit_and_partial_fit_give_the_estimator_back(kind):
    X, y = make(kind)
    ours, theirs = pair(kind)
    assert ours.fit(X, y) is ours
    assert ours.partial_fit(X, y) is ours
    assert theirs.fit(X, y).n_outputs_ == ours.n_outputs_
    assert {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"} <= set(dir(ours))


# Errors


@pytest.mark.parametrize(
    "params",
    [
        {"hidden_layer_sizes": 0},
        {"hidden_layer_sizes": -3},
        {"hidden_layer_sizes": 2.5},
        {"hidden_layer_sizes": (5, 0)},
        {"hidden_layer_sizes": [-1]},
        {"hidden_layer_sizes": np.array([4, -2])},
        {"alpha": -1},
        {"batch_size": 0},
        {"batch_size": "large"},
        {"learning_rate_init": 0},
        {"learning_rate_init": -0.1},
        {"power_t": -1},
        {"max_iter": 0},
        {"max_iter": 2.5},
        {"shuffle": "yes"},
        {"random_state": "seed"},
        {"random_state": -1},
        {"tol": -1e-3},
        {"verbose": -1},
        {"warm_start": None},
        {"momentum": 2},
        {"momentum": -0.1},
        {"nesterovs_momentum": "no"},
        {"validation_fraction": 1.0},
        {"validation_fraction": -0.1},
        {"beta_1": 1.0},
        {"beta_2": -0.5},
        {"epsilon": 0},
        {"n_iter_no_change": 0},
        {"n_iter_no_change": 1.5},
        {"max_fun": 0},
    ],
    ids=str,
)
@each_estimator
def test_a_parameter_out_of_range_is_refused_in_the_words_of_scikit_learn(which, params):
    X, y = make("binary")
    ours, theirs = (outcome(lambda cls=cls: cls(**params).fit(X, y)) for cls in PAIRS[which])
    assert theirs[0] is not None
    assert ours == theirs


@pytest.mark.parametrize(
    "params",
    [
        {"solver": "hadoken"},
        {"activation": "ghost"},
        {"learning_rate": "ghost"},
        {"early_stopping": 3},
        {"loss": "ghost"},
    ],
    ids=str,
)
def test_an_unknown_choice_is_refused(params):
    X, y = make("binary")
    ((name, value),) = params.items()
    which = "regressor" if name == "loss" else "classifier"
    message = rf"The '{name}' parameter of MLP{which.title()} must be .* Got {value!r} instead\."
    for cls in PAIRS[which]:
        with pytest.raises(ValueError, match=message):
            cls(**params).fit(X, y)


def test_parameters_are_checked_by_fit_and_partial_fit_not_by_the_constructor():
    X, y = make("binary")
    model = MLPClassifier(alpha=-1)
    for call in (lambda: model.fit(X, y), lambda: model.partial_fit(X, y, classes=[0, 1])):
        with pytest.raises(ValueError, match="'alpha'"):
            call()
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_warnings_name_the_line_of_the_user(cls, method):
    X, y = make("binary")
    given = {"classes": [0, 1]} if (cls, method) == (MLPClassifier, "partial_fit") else {}
    own = {"quantile": 0.9} if cls is MLPRegressor else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(cls(hidden_layer_sizes=(3,), max_iter=1, batch_size=1000, **own), method)(X, y, **given)
    assert len(caught) == 1 + len(own) + (method == "fit")
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize("scale", [1.0, 1e30])  # too few iterations; too large to begin
def test_warnings_of_lbfgs_name_the_line_of_the_user(scale):
    X, y = make("regression")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        MLPRegressor(hidden_layer_sizes=(3,), max_iter=3, solver="lbfgs").fit(X, y * scale)
    assert [warning.category for warning in caught] == [ConvergenceWarning]
    assert caught[0].filename == __file__


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_predicting_before_fitting_is_refused(method):
    X, _ = make("binary")
    for classes in PAIRS.values():
        if hasattr(classes[1], method):
            ours, theirs = (outcome(lambda cls=cls: getattr(cls(), method)(X)) for cls in classes)
            assert ours == theirs
            assert ours[0][0] is NotFittedError


@each_estimator
def test_scoring_before_fitting_is_refused(which):
    ours, theirs = (outcome(lambda cls=cls: cls().score(*make("binary"))) for cls in PAIRS[which])
    assert ours == theirs
    assert ours[0][0] is NotFittedError


@pytest.mark.parametrize("method", ["predict", "predict_proba", "partial_fit", "warm start"])
def test_another_number_of_features_is_refused(method):
    X, y = make("binary")
    found = []
    for each in pair("binary", warm_start=True):
        each.fit(X, y)
        call = {
            "partial_fit": lambda e=each: e.partial_fit(X[:, :3], y),
            "warm start": lambda e=each: e.fit(X[:, :3], y),
        }
        found.append(outcome(call.get(method, lambda e=each: getattr(e, method)(X[:, :3]))))
    assert found[0] == found[1]
    assert found[0][0] == (
        ValueError,
        "X has 3 features, but MLPClassifier is expecting 4 features as input.",
    )


NAN, INFINITE = (np.where(np.eye(N, 4) == 1, value, make("binary")[0]) for value in (np.nan, np.inf))
BAD_INPUT = {
    "nan": (NAN, make("binary")[1]),
    "infinite": (INFINITE, make("binary")[1]),
    "infinite in float32": (INFINITE.astype(np.float32), make("binary")[1]),
    "nan in sparse": (sparse.csr_array(NAN), make("binary")[1]),
    "one dimension": (np.arange(N), make("binary")[1]),
    "three dimensions": (np.zeros((N, 2, 2)), make("binary")[1]),
    "no rows": (np.zeros((0, 4)), []),
    "no columns": (np.zeros((N, 0)), make("binary")[1]),
    "too few targets": (make("binary")[0], make("binary")[1][:-1]),
    "no targets": (make("binary")[0], None),
    "nan target": (make("binary")[0], np.where(np.arange(N) == 3, np.nan, 1.0)),
    "target of three dimensions": (make("binary")[0], np.zeros((N, 2, 2))),
    "continuous target": (make("binary")[0], np.linspace(0, 1, N)),
    "several classes in several columns": (make("binary")[0], np.arange(2 * N).reshape(N, 2) % 3),
}


@pytest.mark.parametrize("what", BAD_INPUT)
@each_estimator
def test_bad_input_is_refused_in_the_words_of_scikit_learn(which, what):
    X, y = BAD_INPUT[what]
    ours, theirs = (outcome(lambda cls=cls: cls(**FAST).fit(X, y)) for cls in PAIRS[which])
    assert ours == theirs
    ours, theirs = (outcome(lambda cls=cls: cls(**FAST).fit(*make("binary")).predict(X)) for cls in PAIRS[which])
    assert ours == theirs


def test_labels_as_words_and_numbers_are_refused_in_the_words_of_scikit_learn():
    X, _ = make("binary")
    labels = np.array(["a", 1] * (N // 2), dtype=object)
    ours, theirs = (outcome(lambda cls=cls: cls(**FAST).fit(X, labels)) for cls in PAIRS["classifier"])
    assert theirs[0] is not None
    assert ours == theirs


DATES = np.arange(60).reshape(20, 3).astype("datetime64[D]")
TIMES = {
    "datetime64[D]": DATES,
    "datetime64[ns]": DATES.astype("datetime64[ns]"),
    "timedelta64[s]": DATES - DATES[0],
    "list": list(map(list, DATES)),
}


@pytest.mark.parametrize("values", [*TIMES.values(), "frame", "frame of durations"], ids=[*TIMES, "frame", "durations"])
@each_estimator
def test_dates_and_durations_are_no_features(which, values):
    if isinstance(values, str):
        frames = pytest.importorskip("pandas")
        dates = DATES.astype("datetime64[ns]")
        values = frames.DataFrame(dates - dates[0] if "durations" in values else dates)
    X, y = np.ones((20, 3)), np.arange(20) % 2
    model = PAIRS[which][0](max_iter=2).fit(X, y)
    for call in (lambda: clone(model).fit(values, y), lambda: model.partial_fit(values, y)):
        with pytest.raises(TypeError, match=r"X has dtype .*, but must hold numbers"):
            call()
    for method in ("predict", "transform"):
        with pytest.raises(TypeError, match=r"X has dtype .*, but must hold numbers"):
            getattr(model, method)(values)
    with pytest.raises(TypeError, match="but must hold numbers"):
        model.sample_gradient_norms(values, y)
    with pytest.raises(TypeError, match="but must hold numbers"):
        clone(model).fit(X, y, X_val=values, y_val=y)


@pytest.mark.parametrize("dtype", ["datetime64[D]", "timedelta64[ns]", str, "S3"], ids=str)
def test_dates_durations_and_words_are_no_targets_of_a_regressor(dtype):
    X, y = np.ones((20, 3)), np.arange(20)
    odd = y.astype(dtype)
    for model in (MLPRegressor(max_iter=2), reference.MLPRegressor(max_iter=2)):
        for targets in (odd, np.stack([odd, odd], axis=1), odd.tolist() if dtype in {str, "S3"} else odd):
            with pytest.raises(TypeError):
                model.fit(X, targets)
    model = MLPRegressor(max_iter=2).fit(X, y)
    with pytest.raises(TypeError, match=r"y has dtype .*, but must hold numbers"):
        model.partial_fit(X, odd)
    with pytest.raises(TypeError, match=r"has dtype .*, but must hold numbers"):
        model.sample_gradient_norms(X, odd)
    with pytest.raises(TypeError, match=r"has dtype .*, but must hold numbers"):
        MLPRegressor(max_iter=2).fit(X, y, X_val=X, y_val=odd)


@pytest.mark.parametrize(
    "weights",
    [np.ones(N - 1), np.ones((N, 1)), np.full(N, np.nan)],
    ids=["length", "2d", "nan"],
)
@each_estimator
def test_bad_sample_weights_are_refused_in_the_words_of_scikit_learn(which, weights):
    X, y = make("binary")
    ours, theirs = (outcome(lambda cls=cls: cls(**FAST).fit(X, y, sample_weight=weights)) for cls in PAIRS[which])
    assert theirs[0] is not None
    assert ours == theirs


def test_a_warm_start_with_other_classes_is_refused():
    X, y = make("multiclass")
    for other in (y % 2, np.where(y == 2, 3, y), np.arange(N) % 4):
        found = []
        for each in pair("multiclass", warm_start=True, solver="lbfgs"):
            each.fit(X, y)
            found.append(outcome(lambda each=each, other=other: each.fit(X, other)))
        assert found[0] == found[1]
        kind, message = found[0][0]
        assert kind is ValueError
        assert message == (
            "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
            f"Previously got [0 1 2], `y` has {np.unique(other)}"
        )


def test_a_partial_fit_with_classes_that_were_not_announced_is_refused():
    X, y = make("multiclass")
    found = []
    for each in pair("multiclass"):
        each.partial_fit(X, y, classes=[0, 1, 2])
        found.append(outcome(lambda each=each: each.partial_fit(X, y + 1)))
        found.append(outcome(lambda each=each: each.partial_fit(X, y, classes=[0, 1])))
        assert each.partial_fit(X[:2], [2, 2], classes=[2, 1, 0]) is each
    assert found[:2] == found[2:]
    assert found[0][0] == (
        ValueError,
        "`y` has classes not in `self.classes_`. `self.classes_` has [0 1 2]. 'y' has [1 2 3].",
    )
    assert "is not the same as on last call to partial_fit" in found[1][0][1]


def test_the_first_partial_fit_of_a_classifier_needs_its_classes():
    X, y = make("binary")
    for arguments in ({}, {"classes": [2]}):
        ours, theirs = (
            outcome(lambda each=each, arguments=arguments: each.partial_fit(X, y, **arguments))
            for each in pair("binary")
        )
        assert ours == theirs
        assert ours[0][0] is ValueError


def test_a_classifier_with_lbfgs_has_no_partial_fit():
    mine, other = (cls(solver="lbfgs") for cls in CLASSIFIERS)
    assert not hasattr(mine, "partial_fit")
    assert hasattr(mine.set_params(solver="adam"), "partial_fit")
    mine.set_params(solver="lbfgs")
    with pytest.raises(AttributeError) as ours:
        _ = mine.partial_fit
    with pytest.raises(AttributeError) as theirs:
        _ = other.partial_fit
    assert str(ours.value) == str(theirs.value)
    assert str(ours.value.__cause__) == str(theirs.value.__cause__)


def test_a_regressor_with_lbfgs_does_what_scikit_learns_does_in_partial_fit():
    """Some versions refuse, as for the classifier; 1.9 goes on from the weights, by a slip that code may rely on."""
    X, y = make("regression")
    ours, theirs = pair("regression", solver="lbfgs")
    assert hasattr(ours, "partial_fit") == hasattr(theirs, "partial_fit")
    if hasattr(theirs, "partial_fit"):
        for each in (ours, theirs):
            each.partial_fit(X[:30], y[:30]).partial_fit(X, y)
        alike(ours, theirs, X, 1e-5)
        assert ours.n_iter_ == theirs.n_iter_


@each_kind
@pytest.mark.parametrize("fitted_first", [False, True])
def test_partial_fit_with_early_stopping_is_refused(kind, fitted_first):
    X, y = make(kind)
    classes = {"classes": np.unique(y)} if kind in {"binary", "multiclass"} and not fitted_first else {}
    found = []
    for each in pair(kind, early_stopping=True):
        if kind == "multilabel" and not fitted_first:
            classes = {"classes": [0, 1, 2]}
        if fitted_first:
            each.fit(X, y)
        found.append(outcome(lambda each=each, classes=classes: each.partial_fit(X, y, **classes)))
    assert found[0] == found[1]
    assert found[0][0] == (ValueError, "partial_fit does not support early_stopping=True")


def test_a_validation_set_that_is_too_small_is_refused():
    X, y = make("regression")
    ours, theirs = (
        outcome(lambda each=each: each.fit(X[:2], y[:2])) for each in pair("regression", early_stopping=True)
    )
    assert ours == theirs
    assert ours[0] == (
        ValueError,
        "The validation set is too small. Increase 'validation_fraction' or the size of your dataset.",
    )


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.5, 0.99])
def test_every_validation_fraction_does_what_scikit_learns_does(fraction):
    for kind in ("binary", "regression"):
        X, y = make(kind)
        both = pair(kind, early_stopping=True, validation_fraction=fraction)
        ours, theirs = (outcome(partial(each.fit, X, y)) for each in both)
        assert ours == theirs


def test_a_class_with_one_member_cannot_be_split_for_early_stopping():
    X, _ = make("binary")
    found = [outcome(lambda each=each: each.fit(X, np.arange(N) == 5)) for each in pair("binary", early_stopping=True)]
    assert found[0] == found[1]
    assert "The least populated classes in y have only 1 member" in found[0][0][1]
    assert found[0][0][1].endswith("['True']")


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_weights_that_are_not_finite_are_refused(solver):
    draws = np.random.RandomState(0)
    X, y = np.finfo(float).max * draws.uniform(size=(10, 2)), draws.standard_normal(size=10)
    ours, theirs = (outcome(lambda each=each: each.fit(X, y)) for each in pair("regression", solver=solver))
    assert ours[0] == theirs[0]
    if solver != "lbfgs":
        kind, message = ours[0]
        assert kind is ValueError
        assert message == (
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
            "preprocessed."
        )


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_targets_in_a_column_are_taken_with_a_warning(kind):
    X, y = make(kind)
    plain = pair(kind)[0].fit(X, y)
    for each in pair(kind):
        message = "A column-vector y was passed when a 1d array was expected"
        with pytest.warns(DataConversionWarning, match=message):
            each.fit(X, y[:, None])
        alike(plain, each, X)
        assert each.predict(X).shape == (N,)


class _Interrupting(io.StringIO):
    """A stream on which a line is the moment when the user presses Ctrl-C."""

    def __init__(self, moment):
        super().__init__()
        self.moment = moment

    def write(self, text):
        if self.moment in text:
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_an_interrupt_ends_the_training_and_keeps_the_model(kind, early_stopping):
    X, y = make(kind)
    models = pair(kind, verbose=True, early_stopping=early_stopping, max_iter=50)
    for each in models:
        with contextlib.redirect_stdout(_Interrupting("Iteration 4,")):
            _, caught = outcome(lambda each=each: each.fit(X, y))
        assert caught == [(UserWarning, "Training interrupted by user.")]
        assert each.n_iter_ == 4
        assert len(each.loss_curve_) == 4
    alike(*models, X)
    if early_stopping:
        assert models[0].best_validation_score_ == pytest.approx(models[1].best_validation_score_)
    else:
        whole, _ = pair(kind, max_iter=4)
        alike(models[0], whole.fit(X, y), X)


# Labels


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.parametrize(
    "labels",
    [
        np.array(["pear", "apple", "quince"]),
        np.array(["pear", "apple", "quince"], dtype=object),
        np.array([7, -1, 3]),
        np.array([0.0, 2.0, 1.0]),
        np.array([2, 1, 0], dtype=np.uint8),
        np.array([True, False]),
        np.array(["yes", "no"]),
        np.array([-1, 1]),
        np.array([2.0, 1.0]),
    ],
    ids=lambda labels: f"{labels.dtype}-{len(labels)}",
)
def test_labels_come_back_as_they_went_in(labels, params):
    X, y = make("multiclass" if len(labels) == 3 else "binary")
    models = pair("multiclass", **params)
    for each in models:
        each.fit(X, labels[y])
        assert each.classes_.tolist() == sorted(labels.tolist())
        assert each.classes_.dtype == (labels.dtype if labels.dtype != object else labels.astype(str).dtype)
    alike(*models, X, 1e-5)
    assert models[0].score(X, labels[y]) == models[1].score(X, labels[y])


def test_labels_in_lists_are_taken():
    X, y = make("binary")
    words = [["no", "yes"][label] for label in y]
    models = [each.fit(X.tolist(), words) for each in pair("binary")]
    alike(*models, X.tolist())


def test_multilabel_predictions_are_indicators():
    X, y = make("multilabel")
    models = [each.fit(X, y) for each in pair("multilabel")]
    alike(*models, X)
    assert models[0].classes_.tolist() == [0, 1, 2]
    assert set(np.unique(models[0].predict(X))) <= {0, 1}
    for target in (y.astype(bool), y.astype(float), sparse.csr_array(y)):
        ours, theirs = (outcome(lambda each=each, target=target: each.fit(X, target)) for each in pair("multilabel"))
        assert ours == theirs


# Behaviours of scikit-learn's own tests, in our words


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_lbfgs_learns(activation):
    params = {"solver": "lbfgs", "hidden_layer_sizes": 20, "max_iter": 150, "activation": activation}
    X, _ = make("binary")
    labels = np.argmax(np.c_[X[:, 0], X[:, 1], X[:, 2]], axis=1)
    for y in (labels, labels == 0):
        assert MLPClassifier(**{**FAST, **params}).fit(X, y).score(X, y) > 0.9
    y = X @ [1.0, -2.0, 0.5, 0.0] + (0 if activation == "identity" else X[:, 0] * X[:, 1])
    assert MLPRegressor(**{**FAST, **params}).fit(X, y).score(X, y) > 0.98
    Y = np.c_[X @ [1.0, -2.0, 0.5, 0.0], X[:, 0], X[:, 1] - X[:, 2]]
    assert MLPRegressor(**{**FAST, **params}).fit(X, Y).score(X, Y) > 0.95


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_a_stronger_penalty_gives_smaller_weights(solver):
    X, y = make("binary")
    sizes = []
    for alpha in (0, 1, 10):
        model = MLPClassifier(**{**FAST, "max_iter": 60}, solver=solver, alpha=alpha).fit(X, y)
        sizes.append([np.abs(W).sum() for W in model.coefs_])
    assert (np.diff(sizes, axis=0) < 0).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_probabilities_are_those_of_the_kind_of_problem(kind):
    X, y = make(kind)
    model = MLPClassifier(**{**FAST, "max_iter": 100}, solver="lbfgs").fit(X, y)
    with np.errstate(divide="ignore"):
        proba, log_proba = model.predict_proba(X), model.predict_log_proba(X)
    assert proba.shape == (N, 2 if kind == "binary" else 3)
    np.testing.assert_array_equal(proba, model.predict_proba(X))  # the logarithm was not taken in place
    kept = proba > 1e-8  # below it, what is left of 1 has lost its digits
    np.testing.assert_allclose(log_proba[kept], np.log(proba[kept]), rtol=1e-7, atol=1e-15)
    assert (log_proba[~kept] < np.log(1e-7)).all()
    if kind == "multilabel":
        assert not np.allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(proba > 0.5, model.predict(X))
    else:
        np.testing.assert_allclose(proba.sum(axis=1), 1)
        np.testing.assert_array_equal(model.classes_[proba.argmax(axis=1)], model.predict(X))
    if kind == "binary":
        assert roc_auc_score(y, proba[:, 1]) > 0.99


def test_a_poisson_network_without_curvature_is_a_poisson_regression():
    X = np.linspace(0, 1, 80)
    y = np.random.default_rng(3).poisson(np.exp(X + 1))
    X = X[:, None]
    linear = PoissonRegressor(alpha=0, tol=1e-8).fit(X, y).predict(X)
    params = {"activation": "identity", "alpha": 0, "solver": "lbfgs", "tol": 1e-8, "random_state": 1, "max_iter": 500}
    for sizes in ((1,), ()):
        poisson, squared = (
            MLPRegressor(loss, hidden_layer_sizes=sizes, **params).fit(X, y).predict(X)
            for loss in ("poisson", "squared_error")
        )
        np.testing.assert_allclose(poisson, linear, rtol=1e-4)
        assert not np.allclose(squared, linear, rtol=1e-3)


@each_estimator
def test_early_stopping_and_loss_attributes_exclude_each_other(which):
    X, y = make("binary")
    cls = PAIRS[which][0]
    stopped = cls(**{**FAST, "max_iter": 500}, tol=0.2, solver="sgd", early_stopping=True).fit(X, y)
    assert stopped.n_iter_ < 500
    assert stopped.best_loss_ is None
    assert max(stopped.validation_scores_) == stopped.best_validation_score_
    assert stopped.best_validation_score_ + 0.2 > stopped.validation_scores_[-1]
    plain = cls(**FAST, solver="sgd").fit(X, y)
    assert plain.validation_scores_ is None
    assert plain.best_validation_score_ is None
    assert plain.best_loss_ == min(plain.loss_curve_)
    again = cls(**FAST, solver="lbfgs").fit(X, y)
    assert not any(hasattr(again, name) for name in ("loss_curve_", "best_loss_", "validation_scores_"))


@each_estimator
def test_single_and_double_precision_predict_alike(which):
    X, y = make("binary")
    cls = PAIRS[which][0]
    double, single = (cls(**FAST).fit(X.astype(dtype), y) for dtype in (np.float64, np.float32))
    for dtype, model in ((np.float64, double), (np.float32, single)):
        assert {each.dtype for each in model.coefs_ + model.intercepts_} == {np.dtype(dtype)}
    method = "predict_proba" if which == "classifier" else "predict"
    ours = getattr(single, method)(X.astype(np.float32))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, getattr(double, method)(X), rtol=1e-3, atol=1e-4)


@each_estimator
def test_scores_are_python_floats_that_take_weights(which):
    X, y = make("binary")
    weights = np.linspace(0, 1, N)
    models = [cls(**FAST).fit(X, y) for cls in PAIRS[which]]
    ours, theirs = (each.score(X, y, sample_weight=weights) for each in models)
    assert isinstance(ours, float)
    assert ours == pytest.approx(theirs, rel=1e-8)


# Frames


@pytest.mark.parametrize("library", ["pandas", "polars"])
@each_estimator
def test_the_names_of_a_frames_columns_are_kept_and_compared(which, library):
    frames = pytest.importorskip(library)
    X, y = make("binary")
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abcd")})
    found = []
    for cls in PAIRS[which]:
        model = cls(**FAST, early_stopping=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(frame, frames.Series(y))
            predicted = model.predict(frame)
            model.score(frame, y)
        assert model.feature_names_in_.tolist() == list("abcd")
        assert isinstance(predicted, np.ndarray)
        np.testing.assert_array_equal(predicted, cls(**FAST, early_stopping=True).fit(X, y).predict(X))
        found.append(
            [
                outcome(lambda model=model: model.predict(X)),
                outcome(lambda model=model: model.predict(frame[["b", "a", "c", "d"]])),
                outcome(lambda model=model: model.predict(frame[["a", "b", "c"]])),
                outcome(lambda cls=cls: cls(**FAST).fit(X, y).predict(frame)),
            ]
        )
    assert found[0] == found[1]
    (_, unnamed), (disorder, _), (missing, _), (_, named) = found[0]
    assert unnamed[0][1].startswith("X does not have valid feature names, but")
    assert disorder[1].startswith("The feature names should match those that were passed during fit")
    assert missing[1].startswith("The feature names should match those that were passed during fit")
    assert named[-1][1].startswith("X has feature names, but")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_labels_of_a_frame_are_taken(library):
    frames = pytest.importorskip(library)
    X, y = make("multiclass")
    words = frames.Series(["pear", "apple", "quince"][label] for label in y) if library == "pandas" else None
    if words is None:
        words = frames.Series([["pear", "apple", "quince"][label] for label in y])
    models = [each.fit(X, words) for each in pair("multiclass")]
    assert models[0].classes_.tolist() == ["apple", "pear", "quince"]
    assert models[0].classes_.dtype == models[1].classes_.dtype
    alike(*models, X)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_pipeline_hands_frames_on(library):
    frames = pytest.importorskip(library)
    X, y = make("binary")
    frame = frames.DataFrame({name: X[:, i] for i, name in enumerate("abcd")})
    with sklearn.config_context(transform_output=library):
        pipelines = [make_pipeline(StandardScaler(), each).fit(frame, y) for each in pair("binary")]
        assert pipelines[0][-1].feature_names_in_.tolist() == list("abcd")
        alike(*pipelines, frame)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("names", ["abcd", None])
@each_estimator
def test_columns_are_named_for_the_layer_that_was_asked_for(which, library, names):
    frames = pytest.importorskip(library)
    X, y = make("binary")
    given = X if names is None else frames.DataFrame({name: X[:, i] for i, name in enumerate(names)})
    model = PAIRS[which][0](**{**FAST, "hidden_layer_sizes": (6, 3)}).fit(given, y)
    plain = [model.transform(given, layer) for layer in range(4)]
    model.set_output(transform=library)
    prefix = type(model).__name__.lower()
    units = {0: 4, 1: 6, 2: 3, 3: 1}
    expected = {layer: [f"{prefix}{unit}" for unit in range(n)] for layer, n in units.items()}
    expected[0] = list(names or ["x0", "x1", "x2", "x3"])
    for layer in range(-4, 4):
        features = model.transform(given, layer=layer)
        assert isinstance(features, frames.DataFrame)
        assert list(features.columns) == expected[layer % 4]
        assert model.get_feature_names_out(layer=layer).tolist() == expected[layer % 4]
        np.testing.assert_array_equal(features.to_numpy(), plain[layer % 4])
    assert list(model.transform(given).columns) == model.get_feature_names_out().tolist() == expected[2]
    assert list(clone(model).fit_transform(given, y).columns) == expected[2]
    assert model.get_feature_names_out(names and list(names)).tolist() == expected[2]
    for refused in (4, -5):
        with pytest.raises(IndexError, match=f"layer is {refused}, but the network has 4: 0 to 3"):
            model.get_feature_names_out(layer=refused)
    with pytest.raises(ValueError, match="input_features"):
        model.get_feature_names_out(["p", "q"])


def test_without_names_there_is_no_attribute_for_them():
    X, y = make("binary")
    assert not hasattr(pair("binary")[0].fit(X, y), "feature_names_in_")


# With the rest of scikit-learn


@each_kind
def test_in_a_pipeline_predictions_are_those_of_scikit_learns(kind):
    X, y = make(kind)
    pipelines = [make_pipeline(StandardScaler(), each).fit(10 * X + 3, y) for each in pair(kind)]
    alike(*pipelines, 10 * X + 3)


@pytest.mark.parametrize("kind", ["multiclass", "regression"])
def test_grid_search_finds_what_it_finds_with_scikit_learns(kind):
    X, y = make(kind)
    grid = {"alpha": [1e-4, 10.0], "hidden_layer_sizes": [(3,), (6, 3)]}
    ours, theirs = (GridSearchCV(each, grid, cv=3).fit(X, y) for each in pair(kind))
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-8)
    alike(ours, theirs, X)


@pytest.mark.parametrize("kind", ["binary", "regression", "poisson"])
def test_cross_validation_scores_are_those_of_scikit_learns(kind):
    X, y = make(kind)
    ours, theirs = (cross_val_score(each, X, y, cv=3) for each in pair(kind))
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_cross_validation_by_probabilities_gives_the_scores_of_scikit_learns(kind):
    X, y = make(kind)
    for scoring in ("neg_log_loss", "roc_auc_ovr"):
        ours, theirs = (cross_val_score(each, X, y, cv=3, scoring=scoring) for each in pair(kind))
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibrated_probabilities_are_those_of_scikit_learns(method):
    X, y = make("binary")
    folds = StratifiedKFold(3)
    ours, theirs = (CalibratedClassifierCV(each, method=method, cv=folds).fit(X, y) for each in pair("binary"))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_sample_weights_are_routed_through_a_pipeline():
    X, y = make("regression")
    weights = np.linspace(0.1, 3, N)
    with sklearn.config_context(enable_metadata_routing=True):
        ours, theirs = (
            make_pipeline(
                StandardScaler().set_fit_request(sample_weight=False), each.set_fit_request(sample_weight=True)
            ).fit(X, y, sample_weight=weights)
            for each in pair("regression")
        )
        alike(ours, theirs, X)


@each_kind
def test_a_clone_has_the_parameters_and_nothing_that_was_learnt(kind):
    X, y = make(kind)
    model = pair(kind)[0]
    fresh = clone(model.fit(X, y))
    assert fresh.get_params() == model.get_params()
    assert not [name for name in vars(fresh) if name.endswith("_")]
    alike(fresh.fit(X, y), model, X)


def _through_joblib(model):
    stream = io.BytesIO()
    joblib.dump(model, stream)
    stream.seek(0)
    return joblib.load(stream)


COPIES = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),  # noqa: S301 - our own bytes
    "joblib": _through_joblib,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize("solver", ["sgd", "adam"])
@each_kind
def test_a_copy_predicts_the_same_and_goes_on_the_same(kind, solver, way):
    X, y = make(kind)
    model, other = pair(kind, solver=solver)
    model.fit(X, y)
    copied = COPIES[way](model)
    for name in ("predict", "predict_proba"):
        if hasattr(model, name):
            np.testing.assert_array_equal(getattr(copied, name)(X), getattr(model, name)(X))
    before = model.predict(X)
    for _ in range(3):
        copied.partial_fit(X, y)
    np.testing.assert_array_equal(model.predict(X), before)  # it shares nothing with its copy
    for _ in range(3):
        model.partial_fit(X, y)
    for mine, its in zip(model.coefs_, copied.coefs_, strict=True):
        np.testing.assert_array_equal(mine, its)
    other.fit(X, y)
    for _ in range(3):
        other.partial_fit(X, y)
    alike(copied, other, X)


@pytest.mark.parametrize("rule", ["invscaling", "adaptive"])
def test_a_copy_goes_on_with_the_learning_rate_that_was_reached(rule):
    X, y = make("regression")
    params = {"solver": "sgd", "learning_rate": rule, "learning_rate_init": 0.05, "tol": 0.01, "n_iter_no_change": 1}
    estimators = pair("regression", **params)
    for _ in range(12):
        estimators = [pickle.loads(pickle.dumps(each)).partial_fit(X, y) for each in estimators]  # noqa: S301 - our own
    np.testing.assert_allclose(estimators[0].coefs_[0], estimators[1].coefs_[0], rtol=1e-8)


def test_an_unfitted_estimator_can_be_pickled():
    model = MLPClassifier(**FAST, verbose=True)
    assert COPIES["pickle"](model).get_params() == model.get_params()


def test_a_loaded_model_can_be_trained_for_another_target():
    model = MLPRegressor(hidden_layer_sizes=(42,), random_state=42, learning_rate_init=0.01).fit([[2]], [4])
    before = model.predict([[2]])
    loaded = COPIES["joblib"](model)
    for _ in range(200):
        loaded.partial_fit([[2]], [1])
    np.testing.assert_allclose(loaded.predict([[2]]), 1, rtol=1e-4)
    np.testing.assert_array_equal(model.predict([[2]]), before)


def test_estimators_are_shown_in_notebooks():
    page = MLPClassifier(alpha=0.125)._repr_html_()
    assert "MLPClassifier" in page
    assert "0.125" in page


# To scikit-learn and back


def shared(model, other):
    """Give the parameters of a model that another has too."""
    return {name: value for name, value in model.get_params().items() if name in other.get_params()}


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@each_kind
def test_to_sklearn_gives_a_model_of_scikit_learn_that_predicts_the_same(kind, solver):
    X, y = make(kind)
    ours, theirs = pair(kind, solver=solver)
    converted = ours.fit(X, y).to_sklearn()
    assert type(converted) is type(theirs)
    assert converted.get_params() == shared(ours, theirs)
    alike(converted, ours, X, 1e-12)
    assert converted.score(X, y) == pytest.approx(ours.score(X, y), rel=1e-12)
    theirs.fit(X, y)
    learnt = {name for name in vars(theirs) if name.endswith("_") and name[0] != "_"}
    assert learnt == {name for name in vars(converted) if name.endswith("_") and name[0] != "_"}
    for a, b in zip(converted.coefs_ + converted.intercepts_, theirs.coefs_ + theirs.intercepts_, strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("way", ["partial_fit", "warm start", "fit"])
@each_kind
def test_a_model_that_went_to_sklearn_goes_on_there(kind, way, solver):
    X, y = make(kind)
    ours, theirs = pair(kind, solver=solver, learning_rate="invscaling")
    converted = ours.fit(X, y).to_sklearn()
    kept = ours.predict(X)
    theirs.fit(X, y)
    for each in (converted, theirs):
        each.set_params(warm_start=way == "warm start")
        for _ in range(2):
            (each.partial_fit if way == "partial_fit" else each.fit)(X, y)
    alike(converted, theirs, X)
    assert converted.t_ == theirs.t_
    np.testing.assert_allclose(converted.loss_curve_, theirs.loss_curve_, rtol=1e-8)
    np.testing.assert_array_equal(ours.predict(X), kept)  # it shares nothing with what it was converted to


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@each_kind
def test_from_sklearn_gives_a_model_that_predicts_the_same(kind, solver):
    X, y = make(kind)
    ours, theirs = pair(kind, solver=solver)
    converted = type(ours).from_sklearn(theirs.fit(X, y))
    assert type(converted) is type(ours)
    assert shared(converted, theirs) == theirs.get_params()
    alike(converted, theirs, X, 1e-12)
    for name in (name for name in vars(theirs) if name.endswith("_") and name[0] != "_"):
        assert hasattr(converted, name), name
    alike(converted.to_sklearn(), theirs, X, 1e-12)


@pytest.mark.parametrize("solver", ["sgd", "adam"])
@pytest.mark.parametrize("way", ["partial_fit", "warm start", "fit"])
@each_kind
def test_a_model_that_came_from_sklearn_goes_on_here(kind, way, solver):
    X, y = make(kind)
    ours, theirs = pair(kind, solver=solver, learning_rate="invscaling")
    converted = type(ours).from_sklearn(theirs.fit(X, y))
    kept = theirs.predict(X)
    for each in (converted, theirs):
        each.set_params(warm_start=way == "warm start")
    for _ in range(2):
        (converted.partial_fit if way == "partial_fit" else converted.fit)(X, y)
    np.testing.assert_array_equal(theirs.predict(X), kept)  # it shares nothing with what it was converted from
    for _ in range(2):
        (theirs.partial_fit if way == "partial_fit" else theirs.fit)(X, y)
    alike(converted, theirs, X)
    np.testing.assert_allclose(converted.loss_curve_, theirs.loss_curve_, rtol=1e-8)


def test_labels_survive_the_way_to_sklearn_and_from_it():
    X, y = make("multiclass")
    labels = np.array(["pear", "apple", "quince"])
    ours, theirs = (each.fit(X, labels[y]) for each in pair("multiclass"))
    for converted in (ours.to_sklearn(), MLPClassifier.from_sklearn(theirs)):
        assert converted.classes_.tolist() == ["apple", "pear", "quince"]
        alike(converted, theirs, X)


def test_from_sklearn_refuses_another_kind_of_estimator():
    X, y = make("binary")
    for wrong in (reference.MLPRegressor(**FAST).fit(X, y), StandardScaler().fit(X)):
        with pytest.raises((TypeError, ValueError), match=re.escape(type(wrong).__name__)):
            MLPClassifier.from_sklearn(wrong)


def test_to_sklearn_and_from_sklearn_need_a_fitted_model():
    for call in (MLPClassifier().to_sklearn, lambda: MLPClassifier.from_sklearn(reference.MLPClassifier())):
        with pytest.raises(NotFittedError):
            call()


class FewParameters(MLPRegressor):
    """A subclass whose constructor takes few parameters, and sets the others."""

    def __init__(self, alpha=0.1):
        super().__init__(hidden_layer_sizes=(5,), alpha=alpha, max_iter=4, random_state=0)


class OneLabelOnly(MLPClassifier):
    """A subclass that leaves all but one parameter to the class's defaults."""

    def __init__(self, alpha=0.1):
        self.alpha = alpha


@pytest.mark.parametrize("cls", [FewParameters, OneLabelOnly])
def test_a_subclass_with_fewer_parameters_fits(cls):
    X, y = make("binary")
    model = clone(cls(alpha=0.5)).fit(X, y)
    assert model.get_params() == {"alpha": 0.5}
    model.partial_fit(X, y)
    copied = pickle.loads(pickle.dumps(model))  # noqa: S301 - our own
    np.testing.assert_array_equal(copied.predict(X), model.predict(X))
    np.testing.assert_allclose(model.to_sklearn().predict(X), model.predict(X))
    assert "alpha=0.5" in repr(model)


def test_a_model_stopped_early_by_its_loss_survives_the_way_to_sklearn_and_from_it():
    X, y = make("binary")
    ours = MLPClassifier(**FAST, early_stopping=True, scoring="loss").fit(X, y)
    back = MLPClassifier.from_sklearn(ours.to_sklearn())
    np.testing.assert_array_equal(back.predict_proba(X), ours.predict_proba(X))
    back.set_params(early_stopping=False).partial_fit(X, y)
    assert back.best_loss_ == back.loss_curve_[-1]


@pytest.mark.parametrize("before", [True, False])
@each_kind
def test_early_stopping_may_be_switched_off_for_a_model_of_scikit_learns(kind, before):
    X, y = make(kind)
    theirs = pair(kind, early_stopping=True, validation_fraction=0.3)[1].fit(X, y)
    if before:
        theirs.set_params(early_stopping=False)
    ours = type(pair(kind)[0]).from_sklearn(theirs).set_params(early_stopping=False)
    ours.partial_fit(X, y)
    assert len(ours.loss_curve_) == len(theirs.loss_curve_) + 1
    assert ours.best_loss_ == ours.loss_curve_[-1]
    assert ours.validation_scores_ is None


@each_estimator
def test_parameters_that_one_side_alone_knows_are_passed_over(which, monkeypatch):
    X, y = make("binary")
    ours, theirs = PAIRS[which]

    class Newer(theirs):
        def __init__(self, hidden_layer_sizes=(6,), alpha=0.1, of_a_later_release=1):
            super().__init__(hidden_layer_sizes=hidden_layer_sizes, alpha=alpha, max_iter=4, random_state=0)
            self.of_a_later_release = of_a_later_release

    model = Newer(alpha=0.5).fit(X, y)
    back = ours.from_sklearn(model)
    assert back.alpha == 0.5
    assert not hasattr(back, "of_a_later_release")
    np.testing.assert_allclose(back.predict(X), model.predict(X), rtol=1e-10)
    monkeypatch.setattr(reference, theirs.__name__, Newer)
    there = back.to_sklearn()
    assert (there.alpha, there.of_a_later_release) == (0.5, 1)
    np.testing.assert_allclose(there.predict(X), model.predict(X), rtol=1e-10)
