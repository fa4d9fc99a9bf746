"""The known data sets, and how data are split."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import Dataset, load_dataset, split


def dataset(counts, test=None):
    """Give a data set with so many examples of classes 0, 1, ..., each example told apart by its one feature."""
    y = np.repeat(np.arange(len(counts)), counts)
    return Dataset("made", np.arange(y.size, dtype=np.float32)[:, None], y, test=test)


def rows(*parts):
    return sorted(int(row) for part in parts if part is not None for row in part[0][:, 0])


def test_digits_are_the_1797_images_of_scikit_learn():
    digits = load_dataset("digits")
    assert digits.X.shape == (1797, 64)
    assert digits.X.flags.c_contiguous
    assert digits.y.dtype == np.int64
    assert np.unique(digits.y).tolist() == list(range(10))
    assert (digits.image_shape, digits.scaling, digits.pixel_max) == ((8, 8), "range", 16)
    assert digits.X.max() == digits.pixel_max
    assert len(digits.feature_names) == 64
    assert digits.test is None


def test_circles_are_two_rings_of_500_points_and_always_the_same():
    circles = load_dataset("circles")
    assert circles.X.shape == (1000, 2)
    assert np.bincount(circles.y).tolist() == [500, 500]
    assert (circles.feature_names, circles.scaling, circles.pixel_max) == (("x0", "x1"), "none", None)
    radius = np.hypot(*circles.X.T)
    assert radius[circles.y == 0].mean() == pytest.approx(1, abs=0.05)
    assert radius[circles.y == 1].mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_array_equal(circles.X, load_dataset("circles").X)


@pytest.mark.torch_or_jax
def test_importing_the_package_imports_no_heavy_library():
    heavy = "{'sklearn', 'pooch', 'rich', 'requests', 'cupy', 'torch', 'jax'}"
    command = [sys.executable, "-c", f"import sys, xpmlp.data.datasets; print(*{heavy} & {{*sys.modules}})"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert result.stdout.split() == []


@pytest.mark.parametrize("name", ["digit", "MNIST", "data.doc", "", "x" * 5000, "a\0b"])
def test_an_unknown_name_lists_the_known_data_sets_and_kinds_of_files(name):
    with pytest.raises(InputError, match=r"circles, digits, fashion-mnist.*\.csv, .*\.npz.*no such file"):
        load_dataset(name)


def test_a_file_of_another_kind_is_said_to_exist(tmp_path):
    path = tmp_path / "data.xlsx"
    path.write_text("")
    with pytest.raises(InputError, match="Such a file exists, but is of another kind"):
        load_dataset(path)


@pytest.mark.parametrize("source", ["digits", "circles", "fashion-mnist", "data.npz", "unknown"])
def test_a_target_is_refused_for_anything_but_a_table(source):
    with pytest.raises(InputError, match=r"the target 'label' names a column of a table"):
        load_dataset(source, target="label")


def test_a_split_keeps_the_proportions_of_the_classes():
    parts = split(dataset([100, 300]), validation=0.25, test=0.2, seed=3)
    assert np.bincount(parts.test[1]).tolist() == [20, 60]
    assert np.bincount(parts.validation[1]).tolist() == [20, 60]
    assert np.bincount(parts.train[1]).tolist() == [60, 180]


@given(
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=4),
    validation=st.sampled_from([0, 0.25, 0.5]),
    test=st.sampled_from([0, 0.2, 0.6]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(deadline=None, max_examples=30)
def test_every_example_lands_in_exactly_one_part_with_its_label(counts, validation, test, seed):
    whole = dataset(counts)
    parts = split(whole, validation=validation, test=test, seed=seed)
    present = [part for part in (parts.train, parts.validation, parts.test) if part is not None]
    assert rows(*present) == list(range(sum(counts)))
    for X, y in present:
        assert X.dtype == np.float32
        np.testing.assert_array_equal(y, whole.y[X[:, 0].astype(int)])
    assert (parts.validation is None) == (validation == 0)
    assert (parts.test is None) == (test == 0)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    def order(seed):
        return split(dataset([50, 50]), seed=seed).train[0][:, 0].tolist()

    assert order(1) == order(1)
    assert order(1) != order(2)


def test_the_test_part_does_not_depend_on_the_validation_fraction():
    first, second = (split(dataset([50, 50]), validation=fraction).test for fraction in (0, 0.5))
    np.testing.assert_array_equal(first[0], second[0])


def test_a_test_set_that_comes_with_the_data_is_the_test_part():
    own = (np.zeros((3, 1), np.float32), np.array([0, 1, 1]))
    parts = split(dataset([50, 50], test=own), validation=0.1, test=0.9)
    assert parts.test is own
    assert parts.train[1].size + parts.validation[1].size == 100


def test_nothing_to_split_off_leaves_the_data_as_they_are():
    whole = dataset([2, 2])
    parts = split(whole, validation=0, test=0)
    assert parts.train == (whole.X, whole.y)
    assert parts.validation is None
    assert parts.test is None


def test_parts_are_rounded_to_the_nearest_number_of_rows():
    assert split(dataset([50, 50]), validation=0, test=0.07).test[1].size == 7  # 0.07 * 100 > 7


def test_string_labels_can_be_split():
    whole = Dataset("made", np.zeros((20, 1)), np.array(["cat", "dog"] * 10))
    assert sorted(split(whole, validation=0, test=0.2).test[1]) == ["cat", "cat", "dog", "dog"]


@pytest.mark.parametrize("option", ["validation", "test"])
@pytest.mark.parametrize("value", [-0.1, 1, 1.5, float("nan"), "0.1", None, True])
def test_fractions_out_of_range_are_refused(option, value):
    with pytest.raises(InputError, match=f"{option} is .* at least 0 and below 1"):
        split(dataset([50, 50]), **{option: value})


@pytest.mark.parametrize("seed", [-1, 0.5, 2**32])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(InputError, match="seed is"):
        split(dataset([50, 50]), seed=seed)


def test_a_class_with_one_example_has_it_in_the_training_part_and_is_named():
    whole = dataset([100, 1, 200])
    parts = split(whole)
    assert [np.bincount(part[1], minlength=3).tolist() for part in parts.parts.values()] == [
        [72, 1, 144],
        [8, 0, 16],
        [20, 0, 40],
    ]
    assert rows(*parts.parts.values()) == list(range(301))
    assert parts.notes == (
        "The test part has no example of 1 of the 3 classes, which are rare: 1.",
        "The validation part has no example of 1 of the 3 classes, which are rare: 1.",
    )


def test_parts_that_hold_every_class_are_worth_no_note():
    assert split(dataset([50, 50])).notes == ()
    assert split(dataset([50, 50]), validation=0, test=0).notes == ()


@pytest.mark.parametrize(
    ("counts", "fraction", "size"),
    [([5, 5, 5, 5], 0.1, 2), ([100, 2], 0.9, 92), ([2] * 40, 0.3, 24), ([1, 1, 8], 0.7, 7)],
)
def test_too_many_classes_for_a_part_are_drawn_from_but_each_is_left_an_example(counts, fraction, size):
    whole = dataset(counts)
    for seed in range(5):
        parts = split(whole, validation=0, test=fraction, seed=seed)
        assert parts.test[1].size == size
        assert np.unique(parts.train[1]).tolist() == list(range(len(counts)))
        assert rows(parts.train, parts.test) == list(range(whole.y.size))
        lacking = len(counts) - np.unique(parts.test[1]).size
        assert bool(parts.notes) == bool(lacking)
        assert not lacking or f"no example of {lacking} of the {len(counts)} classes" in parts.notes[0]
        np.testing.assert_array_equal(parts.test[0], split(whole, validation=0, test=fraction, seed=seed).test[0])


def test_a_part_that_leaves_fewer_rows_than_classes_is_refused():
    with pytest.raises(
        InputError,
        match=r"leaves 2 in the part left for training, .* the 4 classes that it must hold\. Choose a smaller",
    ):
        split(dataset([5, 5, 5, 5]), test=0.9)


def test_a_data_set_and_its_parts_show_themselves_in_one_line():
    whole = dataset([50, 50], test=(np.zeros((3, 1)), np.array([0, 1, 1])))
    assert repr(whole) == "<Dataset made: 100 examples of 1 feature in float32, 2 classes, and 3 to test>"
    assert repr(dataset([10, 10])) == "<Dataset made: 20 examples of 1 feature in float32, 2 classes>"
    assert repr(split(whole, validation=0.1)) == "<Splits: train 90, validation 10, test 3 examples>"
    assert repr(split(whole, validation=0)) == "<Splits: train 100, test 3 examples>"
