"""`TablePreprocessor`: the preparation of tables as a transformer of scikit-learn's."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from xpmlp import InputError, MLPClassifier, TablePreparation, TablePreprocessor, XpmlpWarning, read_table

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
N = 60


@parametrize_with_checks([TablePreprocessor(), TablePreprocessor(scaling="robust")])
def test_the_preprocessor_passes_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def people(library=pd):
    rng = np.random.default_rng(0)
    age = rng.integers(20, 70, N).astype(float)
    age[::7] = np.nan
    job = rng.choice(["smith", "nurse", "clerk"], N).astype(object)
    job[::5] = None
    columns = {
        "age": age,
        "job": job,
        "married": rng.choice([True, False], N),
        "joined": pd.date_range("2001-02-03", periods=N, freq="17D").to_numpy(),
        "id": [f"p{number}" for number in range(N)],
    }
    return library.DataFrame(columns)


def income(X):
    return (np.nan_to_num(X["age"].to_numpy(), nan=40.0) + 20 * X["married"].to_numpy() > 55).astype(int)


@pytest.mark.parametrize("library", [pd, pl])
def test_a_frame_becomes_what_its_preparation_makes_of_it(library):
    X = people(library)
    preprocessor = TablePreprocessor().fit(X)
    expected = TablePreparation.fit(read_table(X))
    assert preprocessor.preparation_ == expected
    np.testing.assert_array_equal(preprocessor.transform(X), expected.apply(read_table(X)))
    assert preprocessor.get_feature_names_out().tolist() == list(expected.feature_names_out)
    assert preprocessor.feature_names_in_.tolist() == list(X.columns)


@pytest.mark.parametrize("y", [np.arange(200) // 4 + 0.5, [f"{i // 8}" for i in range(199)] + ["other"]])
def test_of_many_categories_the_means_of_y_are_the_features_and_no_example_is_told_its_own(y):
    X = pd.DataFrame({"town": [f"t{i // 4}" for i in range(200)]})
    preprocessor = TablePreprocessor()
    told = preprocessor.fit_transform(X, y)
    n_classes = len(set(y)) if isinstance(y, list) else 1
    assert told.shape == (200, n_classes)
    means = preprocessor.transform(X)
    assert (means[::4] == means[3::4]).all()  # of the same town
    assert (told[::4] != told[3::4]).any()


@pytest.mark.parametrize(("output", "library"), [("pandas", pd), ("polars", pl)])
def test_the_features_are_a_frame_with_names_where_that_is_asked_for(output, library):
    found = TablePreprocessor().set_output(transform=output).fit_transform(people())
    assert isinstance(found, library.DataFrame)
    assert list(found.columns)[:5] == ["age", "age missing", "job=clerk", "job=nurse", "job=smith"]


@pytest.mark.parametrize(
    "estimator", [MLPClassifier((5,), solver="lbfgs", random_state=0), LogisticRegression(), RandomForestClassifier(20)]
)
def test_it_stands_before_any_estimator_in_a_pipeline_that_is_cloned_searched_and_pickled(estimator):
    X = people()
    pipeline = make_pipeline(TablePreprocessor(), estimator)
    assert cross_val_score(clone(pipeline), X, income(X), cv=3).mean() > 0.6
    search = GridSearchCV(pipeline, {"tablepreprocessor__scaling": ["robust", "standard"]}, cv=2).fit(X, income(X))
    again = pickle.loads(pickle.dumps(search.best_estimator_))  # noqa: S301 - our own
    np.testing.assert_array_equal(again.predict(X), search.predict(X))


def test_unseen_categories_and_gaps_are_counted_in_one_warning():
    X = people()
    preprocessor = TablePreprocessor().fit(X)
    new = X.assign(job=["baker", "smith"] * (N // 2), married=[None, True] * (N // 2))
    with pytest.warns(XpmlpWarning) as warned:
        preprocessor.transform(new)
    (warning,) = warned
    assert str(warning.message) == (
        "column 'job' has 30 values unknown from training ('baker'); "
        "column 'married' has 30 gaps, where training had none: filled by 0."
    )
    assert warning.filename == __file__


def test_kinds_may_be_given():
    X = people().assign(age=np.resize([1.0, 2.0], N))
    names = TablePreprocessor(kinds={"age": "category", "id": "category"}).fit(X).get_feature_names_out()
    assert {"age=1", "age=2", "id rare"} <= set(names)
    with pytest.raises(InputError, match="the kind of a column is 'colour'"):
        TablePreprocessor(kinds={"age": "colour"}).fit(X)


def test_columns_of_arrays_are_numbers_or_else_categories():
    X = np.array([[1, "a", None], [2, "b", 3.5], [np.nan, None, 4.0], [4, "a", 5.0]], dtype=object)
    preprocessor = TablePreprocessor(scaling="none").fit(X)
    assert preprocessor.get_feature_names_out().tolist() == [
        "x0",
        "x0 missing",
        "x1 rare",
        "x1 missing",
        "x2",
        "x2 missing",
    ]
    assert preprocessor.transform(X)[:2].tolist() == [[1, 0, 1, 0, 4, 1], [2, 0, 1, 0, 3.5, 0]]


def test_a_column_that_held_categories_holds_them_still_where_new_ones_look_like_numbers():
    preprocessor = TablePreprocessor().fit(np.array([["a"], ["1"], ["a"], ["1"], ["a"], ["1"]], dtype=object))
    assert preprocessor.transform(np.array([["1"], ["1"]], dtype=object)).tolist() == [[1, 0], [1, 0]]
