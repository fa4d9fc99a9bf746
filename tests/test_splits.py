"""Parts of one's own: files for validation and test, rows in the order of time, and rows that belong together."""

from __future__ import annotations

import numpy as np
import pytest

from xpmlp import InputError, Options, load_dataset, prepare, split
from xpmlp.data.streams import load_stream
from xpmlp.experiments.experiment import load_splits


def write(path, rows, header="a,b,label"):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return str(path)


@pytest.fixture
def table(tmp_path):
    """Sixty rows in order: a counts them, and b their pairs."""
    return write(tmp_path / "data.csv", [(i, i // 2, "no" if i % 3 else "yes") for i in range(60)])


def first_columns(parts):
    return [part[0][:, 0].tolist() for part in (parts.train, parts.validation, parts.test)]


def test_rows_in_the_order_of_time_are_held_out_from_the_end(table):
    _, parts = load_splits(Options(table, split="last", test=0.2, validation=0.25))
    train, validation, test = first_columns(parts)
    assert (train, validation, test) == (list(range(36)), list(range(36, 48)), list(range(48, 60)))


def test_a_class_that_is_only_in_the_last_rows_is_refused(tmp_path):
    path = write(tmp_path / "data.csv", [(i, 0, "old" if i < 9 else "new") for i in range(10)])
    with pytest.raises(InputError, match="takes every example of class 'new'"):
        load_splits(Options(path, split="last", test=0.1))


def test_rows_of_a_group_stay_together_and_the_group_is_no_feature(tmp_path):
    rows = [(f"patient {i // 5}", i, "no" if i % 3 else "yes") for i in range(100)]
    path = write(tmp_path / "data.csv", rows, "who,a,label")
    dataset, parts = load_splits(Options(path, group="who", test=0.2, validation=0.25))
    assert dataset.feature_names == ("a",)
    groups = [{int(a) // 5 for a in column} for column in first_columns(parts)]
    assert [len(each) for each in groups] == [12, 4, 4]
    assert set.union(*groups) == set(range(20))
    again = load_splits(Options(path, group="who", test=0.2, validation=0.25))[1]
    assert first_columns(again) == first_columns(parts)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group": "b", "split": "last"}, "split last takes rows in their order: choose one"),
        ({"group": "label"}, "the group 'label' must be a column beside the target"),
        (
            {"group": "who"},
            "the group 'who' must be a column beside the target, but .* has the columns 'a', 'b', 'label'",
        ),
        ({"split": "first"}, "split is 'first', but must be one of: random, last"),
    ],
)
def test_groups_and_orders_that_there_are_not_are_refused(table, options, message):
    with pytest.raises(InputError, match=message):
        load_splits(Options(table, **options))


def test_a_single_group_cannot_be_parted(tmp_path):
    path = write(tmp_path / "data.csv", [("x", i, i % 2) for i in range(10)], "who,a,label")
    with pytest.raises(InputError, match="1 group of rows cannot be parted"):
        load_splits(Options(path, group="who"))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_file_of_ones_own_is_the_part_and_its_columns_are_found_by_name(table, tmp_path, part):
    other = write(tmp_path / "other.csv", [("yes", 2, 1), ("no", 4, 3)], "label,b,a")
    _, parts = load_splits(Options(table, target="label", **{f"{part}_file": other}))
    X, y = getattr(parts, part)
    assert (X.tolist(), y.tolist()) == ([[1, 2], [3, 4]], ["yes", "no"])
    rest = load_splits(Options(table, target="label", **{part: 0.0}))[1]
    assert parts.train[0].shape == rest.train[0].shape
    known = {prepare(Options(table, target="label", **more)).data_sha256 for more in ({}, {f"{part}_file": other})}
    assert len(known) == 2


def test_a_file_with_other_columns_or_labels_is_refused(table, tmp_path):
    lacking = write(tmp_path / "lacking.csv", [(1, "yes")], "a,label")
    with pytest.raises(InputError, match="lacks the columns 'b'"):
        load_splits(Options(table, test_file=lacking))
    unknown = write(tmp_path / "unknown.csv", [(1, 2, "perhaps")])
    with pytest.raises(InputError, match="labels that the training data do not: 'perhaps'"):
        prepare(Options(table, test_file=unknown))


def test_files_train_validate_and_are_evaluated_again_from_the_command_line(cli, table, tmp_path):
    rows = [(i, i // 2, "no" if i % 3 else "yes") for i in range(100, 112)]
    write(tmp_path / "later.csv", rows)
    few = ["--hidden", "4", "--epochs", "2", "--quiet"]
    files = ["--test-file", "later.csv", "--validation-file", "later.csv", "--patience", "2"]
    assert cli("train", "data.csv", *few, *files, "--out", "run")[0] == 0
    assert "data, test: accuracy" in cli("evaluate", "run")[1]
    assert "12 examples" in cli("evaluate", "run", "--part", "validation")[1]
    code, _, err = cli("train", "data.csv", *few, "--test-file", "later.csv", "--test", "0.3")
    assert code == 2
    assert "--test is a share of the data, but --test-file brings the test part: leave it out" in err
    write(tmp_path / "later.csv", rows[:-1])
    code, _, err = cli("evaluate", "run")
    assert code == 2
    assert "has changed since the run was trained" in err


def test_data_on_disk_are_held_out_from_the_end_by_blocks(tmp_path):
    np.save(tmp_path / "X.npy", np.arange(1280.0).reshape(1280, 1))
    np.save(tmp_path / "y.npy", np.arange(1280) % 2)
    _, parts = load_stream(tmp_path, test=0.25, validation=0.5, order="last")
    starts = [int(part[0].blocks[0, 0]) for part in (parts.train, parts.validation, parts.test)]
    assert starts == [0, 480, 960]
    with pytest.raises(InputError, match=r"test_file is 'x\.csv', but needs data in memory"):
        load_splits(Options(str(tmp_path), test_file="x.csv"))
    with pytest.raises(InputError, match="class_weight balanced needs data in memory"):
        prepare(Options(str(tmp_path), class_weight="balanced"))


@pytest.mark.parametrize("shape", ["column", "one-hot", "plain"])
def test_an_npz_file_with_train_and_test_brings_its_own_test_set(tmp_path, shape):
    y = np.arange(30) % 3
    shaped = {"column": y[:, None], "one-hot": np.eye(3)[y], "plain": y}[shape]
    X = np.arange(120, dtype=np.uint8).reshape(30, 2, 2)
    arrays = {"x_train": X[:24], "y_train": shaped[:24], "x_test": X[24:], "y_test": shaped[24:]}
    np.savez(tmp_path / "data.npz", **arrays)
    dataset = load_dataset(tmp_path / "data.npz")
    assert (dataset.X.shape, dataset.image_shape, dataset.task.name) == ((24, 4), (2, 2), "classification")
    assert dataset.y.tolist() == y[:24].tolist()
    parts = split(dataset, validation=0.25)
    assert parts.test[0].tolist() == X[24:].reshape(6, 4).tolist()
    assert parts.test[1].tolist() == y[24:].tolist()


def test_parts_of_an_npz_file_with_other_features_are_refused(tmp_path):
    np.savez(tmp_path / "data.npz", x_train=np.eye(4), y_train=np.arange(4), x_test=np.eye(3), y_test=np.arange(3))
    with pytest.raises(InputError, match="4 features in x_train, but of 3 in x_test"):
        load_dataset(tmp_path / "data.npz")


def test_several_targets_are_refused_with_their_shape(tmp_path):
    np.savez(tmp_path / "data.npz", X=np.eye(3), y=np.arange(6.0).reshape(3, 2))
    with pytest.raises(InputError, match=r"has shape \(3, 2\), but must have one dimension.* such as y\[:, 0\]"):
        load_dataset(tmp_path / "data.npz")


def test_rows_without_a_group_are_refused_and_the_group_is_named(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text(
        "a,who,label\n" + "".join(f"{i},{'' if i in {3, 5} else i // 4},{'xy'[i % 2]}\n" for i in range(40))
    )
    message = (
        "column 'who': 2 groups missing, the first in row 4. Remove the rows, or give each the group that it belongs"
    )
    with pytest.raises(InputError, match=message):
        load_splits(Options(str(path), group="who"))


def test_several_targets_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "several.csv"
    path.write_text("a,b,c\n" + "1,2,3\n4,5,6\n" * 10)
    message = "the target is 'b, c', but must be one column: train a model for each of 'b', 'c'"
    with pytest.raises(InputError, match=message):
        load_splits(Options(str(path), target="b, c"))
    path.write_text('a,"b,c"\n' + "1,2\n4,5\n" * 10)
    assert load_splits(Options(str(path), target="b,c"))[0].target_name == "b,c"
