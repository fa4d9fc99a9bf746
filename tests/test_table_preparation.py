"""What becomes of the columns of a table: numbers, dates and categories, their gaps and what is unseen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from xpmlp.common.errors import InputError
from xpmlp.data.tables.categories import MAX_ONE_HOT, MIN_EXAMPLES, SMOOTHING
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.data.tables.table import Column, Table

NAN, NAT = np.nan, "NaT"


def column(name, kind, values):
    dtype = {"date": "M8[us]", "category": object, "text": object, "identifier": object}.get(kind, np.float64)
    return Column(name, kind, np.array(values, dtype=dtype))


def table_of(*columns):
    return Table("people", tuple(column(*each) for each in columns))


def prepared(kind, values, new=None, scaling="robust"):
    """Names and values of what becomes of one column, learnt from some values and applied to others."""
    preparation = TablePreparation.fit(table_of(("x", kind, values)), scaling)
    return preparation.feature_names_out, preparation.apply(table_of(("x", kind, values if new is None else new)))


@pytest.fixture(name="people")
def a_table_with_every_kind():
    days = np.datetime64("2020-01-30T06:00") + np.arange(8) * np.timedelta64(60, "D")
    return table_of(
        ("age", "whole number", [20, 30, NAN, 40, 50, 60, 70, 80]),
        ("height", "number", [1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 1.7, 1.6]),
        ("married", "truth value", [1, 0, 1, 1, NAN, 0, 1, 1]),
        ("job", "category", ["smith", "nurse", "nurse", None, "smith", "smith", "nurse", "baker"]),
        ("joined", "date", days),
        ("remark", "text", list("abcdefgh")),
        ("id", "identifier", list("abcdefgh")),
    )


def test_numbers_are_scaled_by_median_and_quartiles_and_clipped_smoothly():
    values = np.array([0.0, 1.0, 2.0, 3.0, 1000.0])
    names, X = prepared("number", values)
    z = (values - 2.0) / 2.0
    assert names == ("x",)
    np.testing.assert_allclose(X[:, 0], z / np.sqrt(1 + (z / 3) ** 2), rtol=1e-15)
    assert X.max() < 3


def test_a_number_of_any_size_stays_within_the_clip():
    _, X = prepared("number", [0, 1, 2, 3, 4], new=[1e308, -1e308, 1e200])
    np.testing.assert_allclose(X[:, 0], [3, -3, 3])


def test_numbers_whose_middle_half_is_one_value_are_scaled_by_half_their_range():
    _, X = prepared("number", [5.0] * 8 + [1.0, 9.0])
    assert X[0, 0] == 0
    np.testing.assert_allclose(X[-1, 0], 1 / np.sqrt(1 + 1 / 9))


@pytest.mark.parametrize(
    ("scaling", "expected"),
    [("standard", [-1.0, 1.0, -1.0, 1.0]), ("range", [0.25, 1.0, 0.25, 1.0]), ("none", [1.0, 4.0, 1.0, 4.0])],
)
def test_other_scalings_do_not_clip(scaling, expected):
    assert prepared("number", [1.0, 4.0, 1.0, 4.0], scaling=scaling)[1][:, 0].tolist() == expected


def test_gaps_are_filled_by_the_median_and_marked():
    names, X = prepared("number", [1.0, 2.0, 9.0, NAN], scaling="none")
    assert names == ("x", "x missing")
    assert X.tolist() == [[1, 0], [2, 0], [9, 0], [2, 1]]


def test_a_gap_that_training_had_not_is_filled_and_told_of():
    preparation = TablePreparation.fit(table_of(("x", "number", [1.0, 2.0, 9.0])), "none")
    new = table_of(("x", "number", [NAN, 5.0, NAN]))
    assert preparation.apply(new).tolist() == [[2], [5], [2]]
    assert preparation.unseen(new) == ["column 'x' has 2 gaps, where training had none: filled by 2"]


def test_truth_values_are_0_and_1_and_gaps_are_marked():
    names, X = prepared("truth value", [1, 0, 1, NAN])
    assert names == ("x", "x missing")
    assert X.tolist() == [[1, 0], [0, 0], [1, 0], [1, 1]]


def test_a_date_becomes_year_month_weekday_hour_and_days():
    dates = np.array(["2019-12-31T12:00", "1969-07-20T18:00", "2024-02-29T00:00"], "M8[us]")
    names, X = prepared("date", dates, scaling="none")
    assert names == ("x year", "x month", "x weekday", "x hour", "x days")
    assert X.tolist() == [[2019, 12, 1, 12, 18261.5], [1969, 7, 6, 18, -164.25], [2024, 2, 3, 0, 19782]]


def test_parts_of_a_date_that_are_all_the_same_are_no_features():
    names, _ = prepared("date", ["2020-01-06", "2020-01-13", "NaT"])
    assert names == ("x days", "x missing")


def test_a_gap_among_dates_is_filled_by_the_median_of_each_part():
    _, X = prepared("date", ["2020-01-01", "2020-02-05", "2020-03-04", "NaT"], scaling="none")
    assert X[-1].tolist() == [2, 18297, 1]


def test_categories_are_one_hot_and_the_rarest_together():
    values = ["a"] * MIN_EXAMPLES + ["b"] * MIN_EXAMPLES + ["c", "d"]
    names, X = prepared("category", values, new=["b", "a", "c", "d"])
    assert names == ("x=a", "x=b", "x rare")
    assert X.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_gaps_among_categories_have_a_feature_where_training_had_gaps():
    names, X = prepared("category", ["a"] * 3 + ["b"] * 3 + [None], new=["a", None])
    assert names == ("x=a", "x=b", "x missing")
    assert X.tolist() == [[1, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize(("rare", "expected"), [([], [0, 0]), (["c"], [0, 0, 1])])
def test_unseen_categories_count_as_rare_and_are_told_of(rare, expected):
    preparation = TablePreparation.fit(table_of(("x", "category", ["a"] * 3 + ["b"] * 3 + rare)))
    new = table_of(("x", "category", ["z", "a", None, "y", "z"]))
    assert preparation.apply(new)[[0, 2, 3]].tolist() == [expected] * 3
    assert preparation.unseen(new) == [
        "column 'x' has 3 values unknown from training ('y', 'z') and 1 gap, where training had none"
    ]


def many_categories(n_each=4):
    """Return a column of more categories than are one-hot, and the number of each of its rows."""
    numbers = np.repeat(np.arange(MAX_ONE_HOT + 5), n_each)
    return ("x", "category", [f"c{number:03}" for number in numbers]), numbers


def test_of_many_categories_without_a_target_the_most_frequent_have_features_and_the_others_share_one():
    categories = [f"c{number:03}" for number in range(MAX_ONE_HOT + 5)]
    values = [each for number, each in enumerate(categories) for _ in range(3 + 2 * number)]
    names, X = prepared("category", values, new=[categories[-1], categories[0], "unseen"])
    assert names == (*(f"x={each}" for each in categories[5:]), "x rare")
    assert X[:, -1].tolist() == [0, 1, 1]
    assert X.sum(axis=1).tolist() == [1, 1, 1]


def test_of_many_categories_the_mean_of_an_amount_in_each_is_the_feature():
    column, numbers = many_categories()
    amounts = numbers + np.tile([-0.5, 0.5], len(numbers) // 2)
    preparation = TablePreparation.fit(table_of(column), targets=amounts)
    assert preparation.feature_names_out == ("x mean",)
    assert preparation.became == {"x": f"mean of the target in each of {MAX_ONE_HOT + 5} categories"}
    new = table_of(("x", "category", ["c000", "c036", "unseen", None]))
    means = preparation.apply(new)[:, 0]
    told = preparation.apply(table_of(column), targets=amounts)[:, 0]
    np.testing.assert_allclose([told.mean(), told.std()], [0, 1], atol=1e-12)  # of the training examples
    smoothed = np.array([(4 * own + SMOOTHING * 18) / (4 + SMOOTHING) for own in (0, 36)] + [18, 18])
    expected = (smoothed - 18) / (smoothed[1] - smoothed[0])
    np.testing.assert_allclose((means - means[2]) / (means[1] - means[0]), expected, atol=1e-12)
    assert preparation.unseen(new) == [
        "column 'x' has 1 value unknown from training ('unseen') and 1 gap, where training had none"
    ]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_of_many_categories_the_shares_of_the_classes_are_the_features(n_classes):
    column, numbers = many_categories()
    classes = np.array(["red", "green", "blue"])[numbers % n_classes]
    preparation = TablePreparation.fit(table_of(column), targets=classes)
    expected = {2: ("x share of red",), 3: ("x share of blue", "x share of green", "x share of red")}
    assert preparation.feature_names_out == expected[n_classes]
    share = {2: "share of red", 3: "share of each of 3 classes"}[n_classes]
    assert preparation.became == {"x": f"{share} in each of {MAX_ONE_HOT + 5} categories"}
    red = preparation.apply(table_of(("x", "category", ["c000", "c001"])))[:, -1]
    assert red[0] > 0 > red[1]


def test_of_many_categories_and_more_classes_than_one_hot_takes_the_categories_are_one_hot():
    column, numbers = many_categories()
    preparation = TablePreparation.fit(table_of(column), targets=numbers.astype(str))
    assert len(preparation.feature_names_out) == MAX_ONE_HOT + 1
    assert preparation.feature_names_out[0] == "x=c000"


def test_no_training_example_is_told_its_own_target():
    column, numbers = many_categories()
    table, amounts = table_of(column), np.random.default_rng(0).normal(size=len(numbers))
    preparation = TablePreparation.fit(table, targets=amounts)
    before = preparation.apply(table, targets=amounts)
    for row in (0, 17, 101):
        changed = amounts.copy()
        changed[row] += 1000.0
        assert preparation.apply(table, targets=changed)[row] == before[row]
    leaking = np.corrcoef(preparation.apply(table)[:, 0], amounts)[0, 1]
    assert leaking > 0.3  # what the means of all examples would tell of noise
    assert abs(np.corrcoef(before[:, 0], amounts)[0, 1]) < 0.2


def test_gaps_of_many_categories_have_their_own_mean():
    (name, kind, values), numbers = many_categories()
    gapped = table_of((name, kind, values + [None] * 20))
    preparation = TablePreparation.fit(gapped, targets=np.append(numbers, [100.0] * 20))
    gap, unseen = preparation.apply(table_of(("x", "category", [None, "unseen"])))[:, 0]
    assert gap > unseen + 1
    assert preparation.unseen(table_of(("x", "category", [None, "c001"]))) == []
    assert TablePreparation.from_json(preparation.to_json()) == preparation


def test_texts_identifiers_and_constant_columns_are_left_out_with_the_reason(people):
    preparation = TablePreparation.fit(people)
    became = preparation.became
    assert became["remark"] == "left out: text that is no category"
    assert became["id"] == "left out: each row has its own value"
    assert set(preparation.feature_names_in) == set(people.names) - {"remark", "id"}


@pytest.mark.parametrize(
    ("kind", "values"),
    [("number", [3.0, 3.0]), ("truth value", [1, 1]), ("category", ["a", "a"]), ("date", ["2020-01-01"] * 2)],
)
def test_a_column_with_one_value_in_the_training_part_is_left_out(kind, values):
    preparation = TablePreparation.fit(table_of(("x", kind, values), ("y", "number", [1.0, 2.0])))
    assert preparation.feature_names_out == ("y",)
    assert preparation.became["x"] == "left out: all rows of the training part have the same value"


@pytest.mark.parametrize(("kind", "values"), [("number", [3.0, NAN]), ("truth value", [1, NAN])])
def test_of_a_column_with_one_value_and_gaps_the_gaps_alone_are_marked(kind, values):
    names, X = prepared(kind, values)
    assert names == ("x missing",)
    assert X.tolist() == [[0], [1]]


@pytest.mark.parametrize(("kind", "gap"), [("number", NAN), ("category", None), ("date", NAT)])
def test_a_column_of_gaps_alone_is_left_out(kind, gap):
    preparation = TablePreparation.fit(table_of(("x", kind, [gap, gap]), ("y", "number", [1.0, 2.0])))
    assert preparation.feature_names_out == ("y",)


def test_columns_are_found_by_name_and_others_left_alone(people):
    preparation = TablePreparation.fit(people)
    other = table_of(("new", "number", [0.0] * 8))
    shuffled = Table("new", (*people.columns[::-1], *other.columns))
    np.testing.assert_array_equal(preparation.apply(shuffled), preparation.apply(people))
    with pytest.raises(InputError, match="new lacks the columns 'age', which the model was trained on"):
        preparation.apply(Table("new", people.columns[1:]).select(["height", "job", "married", "joined"]))


def test_a_column_of_another_kind_is_read_as_that_of_training(people):
    preparation = TablePreparation.fit(people)
    ages = people["age"]
    as_texts = Column("age", "category", np.array([None if np.isnan(a) else f"{a:.0f}" for a in ages.values], object))
    changed = Table("new", (as_texts, *people.columns[1:]))
    np.testing.assert_array_equal(preparation.apply(changed), preparation.apply(people))
    wrong = Table("new", (Column("age", "category", np.array(["old"] * 8, object)), *people.columns[1:]))
    with pytest.raises(InputError, match=r"column 'age' .* 'old'"):
        preparation.apply(wrong)


@pytest.mark.parametrize("kind", ["category", "number", "date"])
def test_a_column_of_gaps_alone_may_be_of_any_kind(people, kind):
    preparation = TablePreparation.fit(people)
    gaps = {"category": [None] * 8, "number": [NAN] * 8, "date": [NAT] * 8}[kind]
    emptied = Table("new", tuple(column(name, kind, gaps) for name in people.names))
    as_trained = people.take([0] * 8)
    gone = [
        replace(each, values=np.full(8, {"O": None, "M": np.datetime64("NaT")}.get(each.values.dtype.kind, np.nan)))
        for each in as_trained.columns
    ]
    np.testing.assert_array_equal(preparation.apply(emptied), preparation.apply(Table("new", tuple(gone))))


def test_what_is_applied_to_a_row_does_not_depend_on_the_other_rows(people):
    preparation = TablePreparation.fit(people.take(slice(5)))
    whole = preparation.apply(people)
    for row in range(len(people)):
        np.testing.assert_array_equal(preparation.apply(people.take([row])), whole[[row]])


def test_the_dtype_is_the_one_asked_for(people):
    preparation = TablePreparation.fit(people)
    single = preparation.apply(people, "float32")
    assert single.dtype == np.float32
    np.testing.assert_array_equal(single, preparation.apply(people).astype(np.float32))


@pytest.mark.parametrize("scaling", ["robust", "standard", "range", "none"])
def test_a_preparation_is_the_same_from_json(people, scaling):
    preparation = TablePreparation.fit(people, scaling)
    assert TablePreparation.from_json(json.loads(json.dumps(preparation.to_json()))) == preparation


def test_infinite_values_are_refused(people):
    with pytest.raises(InputError, match="column 'x' holds 1 infinite value: remove"):
        TablePreparation.fit(table_of(("x", "number", [1.0, np.inf, 2.0])))
    heights = people["height"]
    infinite = replace(heights, values=np.where(np.arange(8) > 5, np.inf, heights.values))
    with pytest.raises(InputError, match="column 'height' holds 2 infinite values: remove"):
        TablePreparation.fit(people).apply(Table("new", (infinite, *people.without(["height"]).columns)))


@pytest.mark.parametrize("values", [[-1.7e308, 1.7e308, 0.0], [0.0, 5e-324, 5e-324]])
def test_values_that_no_float_can_scale_are_refused_by_the_name_of_their_column(values):
    with pytest.raises(InputError, match="column 'x' cannot be scaled"):
        TablePreparation.fit(table_of(("x", "number", values)), "standard")


def test_what_nothing_can_be_learnt_from_is_refused(people):
    with pytest.raises(InputError, match=r"no column of people is left to learn from: 'id' left out: each row"):
        TablePreparation.fit(people.select(["id"]))
    with pytest.raises(InputError, match="people has no rows"):
        TablePreparation.fit(people.take([]))
    with pytest.raises(InputError, match="scaling is 'quantile'"):
        TablePreparation.fit(people, "quantile")


def test_a_preparation_shows_what_became_of_each_column(people):
    assert repr(TablePreparation.fit(people)).splitlines() == [
        "<TablePreparation of 7 columns, 2 of them left out, as 13 features>",
        "column   kind          became",
        "age      whole number  a number; gaps filled and marked",
        "height   number        a number",
        "married  truth value   0 and 1; gaps filled and marked",
        "job      category      one-hot, 2 of 3 categories and the rarest together; gaps marked",
        "joined   date          year, month, weekday, days",
        "remark   text          left out: text that is no category",
        "id       identifier    left out: each row has its own value",
    ]


def damaged(people, name, **changes):
    values = TablePreparation.fit(people).to_json()
    return [each | changes if each["name"] == name else each for each in values]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("age", {"kind": "colour"}),
        ("age", {"kind": "date"}),
        ("age", {"name": 3}),
        ("age", {"clip": 1}),
        ("age", {"gap": None}),
        ("age", {"parts": [{"name": "", "fill": 1.0, "center": 0.0, "factor": 0.0}]}),
        ("age", {"parts": [{"name": "", "fill": float("nan"), "center": 0.0, "factor": 1.0}]}),
        ("age", {"parts": [{"name": "", "fill": 1.0, "center": "0", "factor": 1.0}]}),
        ("age", {"parts": [{"name": "", "fill": 1.0, "center": 0.0}]}),
        ("age", {"parts": [{"name": "century", "fill": 1.0, "center": 0.0, "factor": 1.0}]}),
        ("age", {"parts": 2 * [{"name": "", "fill": 1.0, "center": 0.0, "factor": 1.0}]}),
        ("age", {"parts": None}),
        ("age", {"unknown": 1}),
        ("age", {"name": "job"}),
        ("job", {"own": ["a", "a"]}),
        ("job", {"own": ["a", 1]}),
        ("job", {"own": ["a"], "rare": ["a"]}),
        ("job", {"own": "ab"}),
        ("job", {"own": [["a"]]}),
        ("job", {"gap": 1}),
        ("job", {"kind": "number"}),
        ("id", {"reason": 1}),
        ("id", {"kind": None}),
    ],
)
def test_json_that_makes_no_preparation_is_refused(people, name, changes):
    with pytest.raises((InputError, AttributeError, LookupError, TypeError)):
        TablePreparation.from_json(damaged(people, name, **changes))


@pytest.mark.parametrize("values", [None, 3, [3], ["age"], [[]], [{}]])
def test_json_of_another_shape_is_refused(values):
    with pytest.raises((InputError, AttributeError, LookupError, TypeError)):
        TablePreparation.from_json(values)
