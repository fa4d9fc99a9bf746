"""What targets are taken for, classes or amounts, and how amounts are scaled."""

from __future__ import annotations

import numpy as np
import pytest

from xpmlp import InputError, load_dataset, split
from xpmlp.data.streams import load_stream
from xpmlp.data.streams.tables import load_table_stream
from xpmlp.data.targets import decide_task, fit_target_scaling, total_squares


@pytest.mark.parametrize(
    ("y", "task", "reason"),
    [
        (["ant", "bee"], "classification", "price holds text"),
        ([True, False], "classification", "price holds truth values"),
        (["True", "False", "True"], "classification", "price holds truth values"),
        (list(range(20)), "classification", "price holds at most 20 different whole numbers"),
        ([0.0, 1.0, 1.0], "classification", "price holds at most 20 different whole numbers"),
        (list(range(21)), "regression", "price holds more than 20 different whole numbers"),
        ([1.0, 2.5, 3.0], "regression", "price holds numbers with fractions, such as 2.5"),
    ],
)
def test_text_truth_values_and_few_whole_numbers_are_classes_and_other_numbers_amounts(y, task, reason):
    decided = decide_task(np.array(y), what="price")
    assert decided.name == task
    assert reason in str(decided)


def test_what_is_asked_for_is_taken():
    assert decide_task(np.arange(100), "classification").name == "classification"
    assert decide_task(np.array([0, 1]), "regression").name == "regression"
    with pytest.raises(InputError, match="task is 'ranking', but must be one of: auto, classification, regression"):
        decide_task(np.array([0, 1]), "ranking")


def csv_of(folder, y, name="data.csv"):
    path = folder / name
    path.write_text("a,b,price\n" + "".join(f"{i % 7},{i % 3},{value}\n" for i, value in enumerate(y)))
    return path


def test_a_table_of_amounts_is_loaded_as_a_regression_and_split_without_classes(tmp_path):
    dataset = load_dataset(csv_of(tmp_path, range(100, 150)))
    assert (dataset.task.name, dataset.target_name, dataset.y.dtype) == ("regression", "price", np.float64)
    assert repr(dataset) == "<Dataset data: 50 examples of 2 features in float64, amounts>"
    parts = split(dataset, validation=0.25, test=0.2)
    sizes = [part[1].size for part in (parts.train, parts.validation, parts.test)]
    assert sizes == [30, 10, 10]
    assert sorted(np.concatenate([parts.train[1], parts.validation[1], parts.test[1]])) == list(range(100, 150))


def test_the_same_table_is_one_of_classes_where_that_is_asked_for(tmp_path):
    dataset = load_dataset(csv_of(tmp_path, range(100, 150)), task="classification")
    assert (dataset.task.name, dataset.y.dtype) == ("classification", np.int64)


@pytest.mark.parametrize(
    "values", [[f"{i}-th day of a long year" for i in range(50)], [f"t{i // 1.9}" for i in range(50)]]
)
def test_texts_that_mostly_do_not_recur_are_no_target_unless_that_is_said(tmp_path, values):
    with pytest.raises(
        InputError, match=r"different values in 50 rows.* Choose another target .*--task classification"
    ):
        load_dataset(csv_of(tmp_path, values))
    if len(set(values)) < 50:
        assert load_dataset(csv_of(tmp_path, values), task="classification").y.tolist() == values


@pytest.mark.parametrize("values", [[f"person-{i}" for i in range(50)], range(1, 51)])
def test_a_column_that_tells_the_rows_apart_is_no_target(tmp_path, values):
    with pytest.raises(InputError, match=r"column 'price' tells the rows apart, and can be no target: .*--target NAME"):
        load_dataset(csv_of(tmp_path, values))
    if values == range(1, 51):
        with pytest.raises(InputError, match=r"or say that it is an amount \(--kinds price=number\)"):
            load_dataset(csv_of(tmp_path, values))
        found = load_dataset(csv_of(tmp_path, values), reading={"kinds": {"price": "number"}})
        assert (found.task.name, found.y.tolist()) == ("regression", list(values))


def test_numbers_among_which_a_few_texts_are_have_to_be_mended_or_called_classes(tmp_path):
    values = [*range(100, 145), "tall", "5'10", "tall"]
    with pytest.raises(InputError, match="price holds numbers, but 3 other values too, such as 'tall', \"5'10\": mend"):
        load_dataset(csv_of(tmp_path, values))
    path = csv_of(tmp_path, [*values, *values])
    assert np.unique(load_dataset(path, task="classification").y).size == 47
    found = load_dataset(path, reading={"missing": ("tall", "5'10")})
    assert (found.task.name, found.y.size) == ("regression", 90)


@pytest.mark.parametrize("y", [[1.0, 1.0, 1.0], [1.5, 1.5]])
def test_amounts_that_are_all_the_same_are_refused(tmp_path, y):
    with pytest.raises(InputError, match="holds one value alone"):
        load_dataset(csv_of(tmp_path, y), task="regression")


def test_errors_about_the_targets_of_a_table_name_their_column(tmp_path):
    path = tmp_path / "houses.csv"
    path.write_text("price,area\n" + "".join(f"cheap,{n}.5\n" for n in range(4)))
    for target in ("price", "1"):
        with pytest.raises(InputError, match=r"^column 'price' of .*houses\.csv holds text, but a regression"):
            load_dataset(path, target=target, task="regression")
    with pytest.raises(InputError, match=r"^column 'price' of .*houses\.csv holds one class"):
        load_dataset(path, target="price")
    with pytest.raises(InputError, match=r"column 'price' of houses holds text, but a regression"):
        load_table_stream(path, target="price", task="regression")
    path.write_text("".join(f"2.5,{n}.5\n" for n in range(4)))
    with pytest.raises(InputError, match=r"^column '1' of .*houses\.csv holds one value alone"):
        load_dataset(path, target="1", task="regression")


def test_text_is_no_amount(tmp_path):
    with pytest.raises(InputError, match=r"holds text, but a regression learns numbers: .*'cheap'"):
        load_dataset(csv_of(tmp_path, ["1.5", "cheap"]), task="regression")


def test_amounts_that_are_not_finite_are_refused_with_their_row(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.eye(3), y=[1.5, np.nan, 2.0])
    with pytest.raises(InputError, match="holds 1 NaN or infinite values, the first at row 1"):
        load_dataset(tmp_path / "data.npz")


def test_a_part_that_would_take_all_amounts_is_refused(tmp_path):
    dataset = load_dataset(csv_of(tmp_path, [1.5, 2.5]))
    with pytest.raises(InputError, match="leaves none to learn from"):
        split(dataset, test=0.9)


def test_targets_are_scaled_by_mean_and_deviation_block_by_block():
    y = np.array([1e9, 1e9 + 2.0, 1e9 + 4.0, 1e9 + 6.0])
    scaling = fit_target_scaling([y[:3], y[3:]], "squared")
    assert scaling.shift.tolist() == [1e9 + 3.0]
    np.testing.assert_allclose(scaling.apply(y[:, None])[:, 0], (y - y.mean()) / y.std(), rtol=1e-12)
    np.testing.assert_allclose(scaling.invert(scaling.apply(y[:, None]))[:, 0], y, rtol=1e-15)


def test_counts_stay_as_they_are_and_negative_ones_are_refused():
    assert fit_target_scaling([np.array([0.0, 3.0])], "poisson") is None
    with pytest.raises(InputError, match="holds -1, but loss poisson is of counts"):
        fit_target_scaling([np.array([0.0, -1.0])], "poisson")


def test_total_squares_are_those_around_the_mean_of_each_column(rng):
    T = rng.normal(size=(30, 2)) + 5.0
    expected = ((T - T.mean(axis=0)) ** 2).sum(axis=0)
    assert total_squares([T[:7], T[7:]]) == pytest.approx(expected.sum())
    assert total_squares([T], [3.0, 0.5]) == pytest.approx(expected[0] * 9.0 + expected[1] * 0.25)


@pytest.mark.parametrize(
    ("y", "task"), [(np.linspace(0, 1, 400), "regression"), (np.arange(400) % 3, "classification")]
)
def test_data_on_disk_are_decided_by_all_their_targets(tmp_path, y, task):
    np.save(tmp_path / "X.npy", np.ones((400, 2)))
    np.save(tmp_path / "y.npy", y)
    data, parts = load_stream(tmp_path, test=0.25)
    assert data.task.name == task
    assert (data.classes is None) == (task == "regression")
    known = np.concatenate([*parts.train[0].targets(), *parts.test[0].targets()])
    np.testing.assert_allclose(np.sort(known), np.sort(y))
    assert load_stream(tmp_path, task="regression")[0].classes is None
