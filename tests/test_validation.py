"""Checks of what users hand over: each message names the value and what was expected."""

import re

import numpy as np
import pytest

from xpmlp.common.errors import BackendError, DivergenceError, InputError, XpmlpError
from xpmlp.common.validation import check_choice, check_features, check_labels, check_number

X = np.arange(12.0).reshape(4, 3)


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


def with_bad(*places, value=np.nan, dtype=np.float64):
    bad = X.astype(dtype)
    for place in places:
        bad[place] = value
    return bad


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (1, {"integer": True, "at_least": 1}),
        (2.0, {"integer": True}),
        (np.int64(3), {"integer": True}),
        (np.float32(0.5), {"above": 0, "below": 1}),
        (0, {"at_least": 0, "below": 1}),
        (-1e300, {}),
    ],
)
def test_a_number_within_its_bounds_passes(value, bounds):
    found = check_number("rate", value, **bounds)
    assert found == value
    assert type(found) in {int, float}


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (0, {"above": 0}, "rate is 0, but must be a number above 0."),
        (-0.5, {"at_least": 0}, "rate is -0.5, but must be a number at least 0."),
        (1, {"below": 1}, "rate is 1, but must be a number below 1."),
        (1.5, {"integer": True}, "rate is 1.5, but must be an integer."),
        (0, {"integer": True, "at_least": 1}, "rate is 0, but must be an integer at least 1."),
        (1.0, {"at_least": 0, "below": 1}, "rate is 1.0, but must be a number at least 0 and below 1."),
        (float("nan"), {}, "rate is nan, but must be a number."),
        (float("inf"), {"above": 0}, "rate is inf, but must be a number above 0."),
        (float("inf"), {"integer": True}, "rate is inf, but must be an integer."),
        (True, {}, "rate is True, but must be a number."),
        ("3", {"integer": True}, "rate is '3', but must be an integer."),
        (None, {}, "rate is None, but must be a number."),
        ([1], {}, "rate is [1], but must be a number."),
        (1j, {}, "rate is 1j, but must be a number."),
    ],
)
def test_a_number_that_cannot_be_used_is_named_with_what_was_expected(value, bounds, message):
    with refused(message):
        check_number("rate", value, **bounds)


def test_a_choice_that_is_known_passes():
    assert check_choice("mode", "loop", ("matrix", "loop")) is None


@pytest.mark.parametrize("value", ["rows", "", "LOOP", None, 1])
def test_a_choice_that_is_not_known_is_named_with_the_known_ones(value):
    with refused(f"mode is {value!r}, but must be one of: matrix, loop."):
        check_choice("mode", value, {"matrix": 1, "loop": 2})


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "uint8", "int64", "bool"])
def test_real_features_of_any_kind_pass(dtype):
    assert check_features(X.astype(dtype)) is None


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (X[0], "X has shape (3,), but must have two dimensions: (examples, features)."),
        (X[None], "X has shape (1, 4, 3), but must have two dimensions"),
        (np.array(1.0), "X has shape (), but must have two dimensions"),
        (X[:0], "X has no rows: at least one example is needed."),
        (X[:, :0], "X has no columns: at least one feature is needed."),
        (X.astype(complex), "X has dtype complex128, but must hold real numbers."),
        (X.astype(str), "X has dtype <U32, but must hold real numbers."),
        (X.astype(object), "X has dtype object, but must hold real numbers."),
    ],
)
def test_features_of_a_wrong_shape_or_kind_are_named(features, message):
    with refused(message):
        check_features(features)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_is_named_with_its_place(value, dtype):
    with refused(f"X holds 1 value that is NaN or infinite, the first ({value}) at row 2, column 1. Remove or impute"):
        check_features(with_bad((2, 1), value=value, dtype=dtype))


def test_several_values_that_are_not_finite_are_counted_and_the_first_is_named():
    with refused("test set holds 3 values that are NaN or infinite, the first (nan) at row 1, column 2."):
        check_features(with_bad((1, 2), (3, 0), (3, 1)), "test set")


def test_a_column_is_called_by_its_name_where_it_has_one():
    with refused("at row 0, column 'petal width'."):
        check_features(with_bad((0, 1)), feature_names=("sepal width", "petal width", "stem"))


@pytest.mark.parametrize(
    "labels",
    [[0, 1, 1], [True, False, True], ["a", "b", "a"], [1.0, 2.0, 5.0], np.array([0, 3, 3], dtype=np.uint8)],
    ids=["integers", "booleans", "texts", "whole floats", "bytes"],
)
def test_labels_of_two_or_more_classes_pass(labels):
    assert check_labels(np.array(labels), 3) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0], [1], [1]], "y has shape (3, 1), but must have one dimension: one label per example."),
        ([0, 1], "X has 3 rows but y has 2 labels: they must be of the same length."),
        ([0, 1, 1, 0], "X has 3 rows but y has 4 labels"),
        ([0j, 1j, 1j], "y has dtype complex128, but labels must be integers, booleans or strings."),
        ([0.0, np.nan, np.inf], "y holds 2 NaN or infinite labels, the first at row 1."),
        ([0.0, 1.0, 1.5], "y holds 1.5 at row 2, which is no class label: labels are integers or strings"),
        ([4, 4, 4], "y holds one class alone (4): at least two are needed to learn from."),
        (["cat", "cat", "cat"], "y holds one class alone (cat)"),
        (np.array(["a", 1, None], dtype=object), "y has dtype object, but labels must be integers"),
    ],
)
def test_labels_that_cannot_be_used_are_named(labels, message):
    with refused(message):
        check_labels(np.array(labels), 3)


def test_labels_are_called_as_asked():
    with refused("targets has shape (1, 2)"):
        check_labels(np.array([[0, 1]]), 1, "targets")


def test_checks_leave_what_they_check_as_it_is():
    features, labels = X.copy(), np.array([0, 1, 1, 0])
    features.flags.writeable = labels.flags.writeable = False
    check_features(features)
    check_labels(labels, 4)
    np.testing.assert_array_equal(features, X)
    assert labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("error", "kind"), [(InputError, ValueError), (BackendError, RuntimeError), (DivergenceError, ArithmeticError)]
)
def test_errors_are_of_the_package_and_of_the_kind_that_python_has_for_them(error, kind):
    assert issubclass(error, XpmlpError)
    assert issubclass(error, kind)
    assert str(error("what was wrong")) == "what was wrong"


def test_a_divergence_carries_the_last_good_record():
    assert DivergenceError("diverged").record is None
    assert DivergenceError("diverged", record="the record").record == "the record"
