"""Scalings of features and one-hot codes of labels."""

import re

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.data.preprocessing import CACHED_BYTES, SCALINGS, Scaling, encode

X = np.array([[0.0, 10.0, 5.0], [2.0, -30.0, 5.0], [4.0, 20.0, 5.0], [6.0, 0.0, 5.0]])


def refused(message):
    return pytest.raises(InputError, match=re.escape(message))


def test_none_leaves_the_features_as_they_are():
    np.testing.assert_array_equal(Scaling.fit("none", X).apply(X), X)


def test_range_divides_by_the_largest_absolute_value_or_by_the_one_given():
    np.testing.assert_allclose(Scaling.fit("range", X).apply(X), X / 30, rtol=1e-15)
    np.testing.assert_allclose(Scaling.fit("range", X, maximum=255).apply(X), X / 255, rtol=1e-15)


def test_standard_brings_each_feature_to_mean_0_and_deviation_1():
    scaled = Scaling.fit("standard", X).apply(X)
    np.testing.assert_allclose(scaled[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-15)
    np.testing.assert_allclose(scaled[:, :2].mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(scaled[:, :2].std(axis=0), 1, rtol=1e-15)


@pytest.mark.parametrize("n", [1, 3, 6, 10, 1797])
@pytest.mark.parametrize("value", [5.0, 0.1, -1e6 / 3])
def test_a_constant_feature_is_not_blown_up_by_the_rounding_of_its_mean(n, value):
    scaling = Scaling.fit("standard", np.full((n, 1), value))
    np.testing.assert_allclose(scaling.apply(np.array([[value], [value + 1]])), [[0], [1]], atol=1e-9)


@pytest.mark.parametrize("kind", SCALINGS)
def test_features_that_are_all_zero_stay_zero(kind):
    zeros = np.zeros((3, 2))
    np.testing.assert_array_equal(Scaling.fit(kind, zeros).apply(zeros), zeros)


@pytest.mark.parametrize("kind", SCALINGS)
def test_one_example_scales_to_finite_values(kind):
    assert np.isfinite(Scaling.fit(kind, X[:1]).apply(X)).all()


@pytest.mark.parametrize("kind", SCALINGS)
def test_other_data_are_scaled_as_the_training_data_were(kind):
    scaling = Scaling.fit(kind, X)
    new = np.array([[100.0, 7.0, -3.0]])
    np.testing.assert_allclose(scaling.apply(new), scaling.apply(np.vstack([X, new]))[4:], rtol=1e-15)


@pytest.mark.parametrize("kind", SCALINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_result_has_the_dtype_asked_for_and_the_features_stay_as_they_are(kind, dtype):
    for features in (X, X.astype(np.float32), X.astype(np.int8)):
        before = features.copy()
        features.flags.writeable = False
        scaling = Scaling.fit(kind, features)
        scaled = scaling.apply(features, dtype)
        assert scaled.dtype == dtype
        assert not np.shares_memory(scaled, features)
        np.testing.assert_array_equal(features, before)
        assert {scaling.shift.dtype, scaling.scale.dtype} == {np.dtype(np.float64)}
        assert scaling.shift.shape == scaling.scale.shape == (3,)


def test_bytes_are_scaled_without_overflow():
    pixels = np.array([[0, 255], [128, 255], [255, 0]], dtype=np.uint8)
    np.testing.assert_allclose(Scaling.fit("range", pixels).apply(pixels), pixels / 255, rtol=1e-15)
    expected = (pixels - pixels.mean(axis=0)) / pixels.std(axis=0)
    np.testing.assert_allclose(Scaling.fit("standard", pixels).apply(pixels), expected, rtol=1e-14)


def test_signed_bytes_are_scaled_by_their_largest_absolute_value():
    values = np.array([[-128, 127]], dtype=np.int8)
    np.testing.assert_allclose(Scaling.fit("range", values).apply(values), [[-1.0, 127 / 128]], rtol=1e-15)


def test_the_deviation_of_float32_features_far_from_zero_keeps_its_digits():
    far = (1e4 + np.arange(4)[:, None]).astype(np.float32)
    assert Scaling.fit("standard", far).scale[0] == pytest.approx(1 / np.std(np.arange(4)), rel=1e-12)


def test_float32_features_far_from_zero_keep_their_digits_when_scaled_in_float64():
    far = (1e6 + np.arange(4)[:, None] / 16).astype(np.float32)
    scaled = Scaling.fit("standard", far).apply(far)
    np.testing.assert_allclose(scaled.std(), 1, rtol=1e-9)


def test_float64_features_far_from_zero_keep_their_digits_when_scaled_in_float32():
    seconds = 1.7e9 + np.arange(4.0)[:, None]
    scaled = Scaling.fit("standard", seconds).apply(seconds, "float32")
    np.testing.assert_allclose(scaled[:, 0], np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("kind", SCALINGS)
def test_many_rows_are_scaled_to_the_bits_of_the_formula_into_an_array_that_is_given(rng, kind, dtype):
    """Of "standard" in float64, which is rounded once; of the others in the dtype of the result."""
    many = (200 * rng.random((CACHED_BYTES // 24 + 3, 3))).astype(dtype)
    scaling, out = Scaling.fit(kind, many), np.empty(many.shape, np.float32)
    assert scaling.apply(many, out=out) is out
    if kind == "standard":
        expected = ((many - scaling.shift) * scaling.scale).astype(np.float32)
    else:
        expected = many.astype(np.float32) * scaling.scale.astype(np.float32)
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(scaling.apply(many, "float32"), expected, strict=True)


def test_an_unknown_scaling_lists_the_known_ones():
    with refused("scaling is 'minmax', but must be one of: none, range, standard."):
        Scaling.fit("minmax", X)


def test_each_label_has_a_one_in_the_column_of_its_class():
    T = encode(np.array([2, 0, 1, 2]), np.arange(3))
    assert T.dtype == np.float32
    assert T.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_columns_are_those_of_the_training_data_where_a_class_is_absent():
    assert encode(np.array([3, 3]), np.array([1, 3, 7])).tolist() == [[0, 1, 0], [0, 1, 0]]


def test_no_labels_give_no_rows():
    assert encode(np.array([], dtype=int), np.arange(3)).shape == (0, 3)


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (["b", "a"], ["a", "b"]),
        (["b", "a"], ["a", "b", "a longer name"]),
        ([True, False], [False, True]),
        ([5.0, -1.0], [-1, 5]),
        (np.array([200, 3], dtype=np.uint8), [3, 200]),
    ],
    ids=["strings", "strings of other lengths", "booleans", "whole floats", "bytes"],
)
def test_labels_of_any_kind_are_found_by_value(y, classes):
    classes = np.sort(np.array(classes))
    T = encode(np.array(y), classes)
    assert T.sum(axis=1).tolist() == [1, 1]
    assert (classes[T.argmax(axis=1)] == np.array(y)).all()


def test_encoding_leaves_the_labels_as_they_are():
    y, classes = np.array([1, 0]), np.array([0, 1])
    y.flags.writeable = classes.flags.writeable = False
    encode(y, classes)
    assert (y.tolist(), classes.tolist()) == ([1, 0], [0, 1])


@pytest.mark.parametrize("unknown", [-1, 2, 99])
def test_an_unknown_label_is_named_counted_and_placed_with_the_known_classes(unknown):
    message = (
        f"test holds labels that the training data do not: {unknown} (2 times, first at row 1). The classes: 0, 1, 3."
    )
    with refused(message):
        encode(np.array([0, unknown, 3, unknown]), np.array([0, 1, 3]), "test")


def test_unknown_strings_are_each_named_once():
    with refused("y holds labels that the training data do not: 'cow', 'yak' (3 times, first at row 0)."):
        encode(np.array(["yak", "cat", "cow", "yak"]), np.array(["cat", "dog"]))


def test_a_long_list_of_classes_is_cut_short():
    with refused("The classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 90 more."):
        encode(np.array([100]), np.arange(100))


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (["1", "2"], [1, 2], "the labels in y are strings, but the model's classes are numbers: 1, 2."),
        ([1, 2], ["1", "2"], "the labels in y are numbers, but the model's classes are strings: '1', '2'."),
    ],
)
def test_strings_are_not_taken_for_numbers(y, classes, message):
    with refused(message):
        encode(np.array(y), np.array(classes))


def test_a_scaling_shows_itself_in_one_line():
    assert repr(Scaling.fit("range", X, 255.0)) == "<Scaling of 3 features: divided by 255>"
    assert repr(Scaling.fit("none", X[:, :1])) == "<Scaling of 1 feature: none>"


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        (np.array([0, 1]), 2, "classes is 2, but must be an array of labels, as np.unique(y) gives the classes."),
        (np.array([0, 1]), np.array([]), "classes is array([], dtype=float64), but must be an array of labels"),
        (np.eye(2), np.array([0, 1]), "y is array([[1., 0.],\n       [0., 1.]]), but must be an array of labels"),
        ([0, 1], np.array([0, 1]), "y is [0, 1], but must be an array of labels"),
    ],
)
def test_what_is_no_array_of_labels_is_named(y, classes, message):
    with refused(message):
        encode(y, classes)
