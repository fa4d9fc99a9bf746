"""Files of examples to predict."""

import numpy as np
import pytest
from references import TABLE

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import read_features


def features(path, n_features=2, feature_names=("width", "height")):
    return read_features(path, n_features=n_features, feature_names=feature_names).X.tolist()


def test_columns_are_taken_by_name_in_the_order_of_the_model_and_others_left_alone(write):
    content = "kind,height,note,width\ncat,2,,1\n,4,old,3\n"
    assert features(write(content)) == [[1, 2], [3, 4]]


def test_a_file_without_a_header_is_taken_by_position(write):
    assert features(write("1,2\n3,4\n")) == [[1, 2], [3, 4]]
    assert features(write("1,2\n3,4\n"), feature_names=None) == [[1, 2], [3, 4]]


def test_a_header_is_no_example_even_when_the_model_knows_no_names(write):
    assert features(write("u,v\n1,2\n"), feature_names=None) == [[1, 2]]


def test_a_label_called_by_a_number_does_not_hide_the_header(write):
    assert features(write("width,height,2020\n1,2,9\n")) == [[1, 2]]


def test_names_may_come_as_an_array(write):
    assert features(write(TABLE), feature_names=np.array(["height", "width"])) == [[2.5, 1], [4, -300]]


@pytest.mark.parametrize(
    ("content", "names", "message"),
    [
        ("width,depth\n1,2\n", ("width", "height"), "lacks the columns 'height', .* it has 'width', 'depth'"),
        ("1,2,3\n", ("width", "height"), "has 3 columns, but .* 2 features. Remove the label's column"),
        ("1,2,cat\n", None, "has 3 columns, but .* 2 features. Remove the label's column"),
        ("u,v,w\n1,2,cat\n", None, "has 3 columns, but .* 2 features. Remove the label's column"),
        ("1\n2\n", None, "has 1 column, but .* 2 features"),
        ("1,2,3,4\n", None, "has 4 columns, but .* 2 features"),
        ("width,height\n", ("width", "height"), "no rows"),
        ("", None, "is empty"),
    ],
)
def test_csv_files_with_other_columns_than_the_models_are_refused(content, names, message, write):
    with pytest.raises(InputError, match=message):
        features(write(content), feature_names=names)


def test_gaps_of_a_file_are_nan_which_a_model_fills_or_refuses(write):
    found = features(write("width,height\n1,\n2,3\n"))
    np.testing.assert_array_equal(found, [[1, np.nan], [2, 3]])
    found = features(write("1,\n2,\n"), feature_names=None)
    np.testing.assert_array_equal(found, [[1, np.nan], [2, np.nan]])
    with pytest.raises(InputError, match=r"NaN or infinite, the first \(inf\) at row 0, column 'height'"):
        features(write("width,height\n1,inf\n2,\n"))


def test_the_features_of_an_npz_file_are_read_without_its_labels(savez):
    path = savez(X=np.array([[[1, 2]], [[3, 4]]], np.uint8), y=np.array([None, None]))
    X = read_features(path, n_features=2).X
    assert X.dtype == np.uint8
    assert X.tolist() == [[1, 2], [3, 4]]


def test_the_columns_of_an_npz_file_that_names_them_are_taken_by_name(savez):
    path = savez(X=np.array([[1, 2, 3]]), feature_names=np.array(["height", "depth", "width"]))
    assert features(path) == [[3, 1]]
    with pytest.raises(InputError, match="lacks the columns 'age'"):
        features(path, feature_names=["age", "width"])


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.eye(3), "has 3 columns, but .* 2 features"),
        (np.array([1.0, 2]), "two dimensions"),
        (np.array([[1, np.inf]]), "NaN or infinite"),
        (np.array([[1, 2, np.nan]]), "NaN or infinite.* column 2"),
    ],
)
def test_npz_files_with_other_features_than_the_models_are_refused(X, message, savez):
    with pytest.raises(InputError, match=message):
        read_features(savez(X=X), n_features=2, feature_names=["width", "height"])


def test_files_of_another_kind_are_refused_for_prediction(write):
    with pytest.raises(InputError, match=r"is neither \.csv nor .*\.npz, .* write X by numpy\.savez"):
        read_features(write(TABLE, "data.xlsx"), n_features=2)
