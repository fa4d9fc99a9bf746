"""The user's own .csv and .npz files: what is read from them, and what is said about those that cannot be."""

import contextlib
import csv
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xpmlp.datasets import load_dataset, read_features
from xpmlp.datasets._npz import read_npz
from xpmlp.errors import InputError

TABLE = "width,height,kind\n1,2.5,cat\n-3e2,4,dog\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def savez(tmp_path):
    def savez(name="data.npz", **arrays):
        np.savez_compressed(tmp_path / name, **arrays)
        return tmp_path / name

    return savez


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


# .csv


def test_a_csv_file_with_a_header_is_read_with_its_names(write):
    data = load_dataset(write(TABLE, "pets.csv"))
    assert data.name == "pets"
    assert data.X.dtype == np.float64
    assert data.X.tolist() == [[1, 2.5], [-300, 4]]
    assert data.y.tolist() == ["cat", "dog"]
    assert data.feature_names == ("width", "height")
    assert (data.scaling, data.pixel_max, data.test, data.class_names) == ("standard", None, None, None)


def test_a_csv_file_without_a_header_is_read_from_its_first_row(write):
    data = load_dataset(write("1,2,0\n3,4,1\n"))
    assert data.X.tolist() == [[1, 2], [3, 4]]
    assert data.feature_names is None


def test_the_suffix_may_be_in_capitals_and_the_path_a_string(write):
    assert load_dataset(str(write(TABLE, "PETS.CSV"))).y.size == 2


def test_the_target_may_be_any_column_that_the_header_names(write):
    data = load_dataset(write("kind,width,height\ncat,1,2\ndog,3,4\n"), target="kind")
    assert data.X.tolist() == [[1, 2], [3, 4]]
    assert data.y.tolist() == ["cat", "dog"]
    assert data.feature_names == ("width", "height")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("\ufeff" + TABLE, id="byte order mark"),
        pytest.param(TABLE.replace("\n", "\r\n"), id="Windows line ends"),
        pytest.param(TABLE.replace("\n", "\n\n  \n"), id="blank lines"),
        pytest.param(TABLE.replace(",", " , "), id="spaces around commas"),
        pytest.param(TABLE.rstrip("\n"), id="no line end at the end"),
        pytest.param(TABLE.replace("cat", '"cat"'), id="quotes"),
    ],
)
def test_ways_of_writing_a_csv_file_that_make_no_difference(content, write):
    data = load_dataset(write(content))
    assert data.feature_names == ("width", "height")
    assert data.X.tolist() == [[1, 2.5], [-300, 4]]
    assert data.y.tolist() == ["cat", "dog"]


@pytest.mark.parametrize(
    ("labels", "kind"),
    [(["0", "1"], "i"), (["-1", "+1"], "i"), (["1", "b"], "U"), (["1.0", "2.0"], "U"), (["9" * 30, "1"], "U")],
)
def test_labels_are_numbers_only_when_all_are_integers(labels, kind, write):
    y = load_dataset(write("".join(f"1,{label}\n" for label in labels))).y
    assert y.dtype.kind == kind
    assert y.tolist() == ([int(label) for label in labels] if kind == "i" else labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a\n1\n", "has one column.*commas"),
        ("1;2;3\n", "has one column.*commas"),
        ("a,b,y\n", "has no rows"),
        ("a,b,y\n1,2,cat\n3,dog\n", "line 3: found 2 cells, but expected 3"),
        ("a,b,y\n1,2,cat\n3,4,5,dog\n", "line 3: found 4 cells, but expected 3"),
        ("a,b,y\n1,2,cat\n3,four,dog\n", "line 3, column 'b': 'four' is not a finite number"),
        ("1,2,cat\n3,four,dog\n", "line 2, column 2: 'four' is not a finite number"),
        ("id,2,cat\n3,4,dog\n", "line 1, column 1: 'id' is not .* header only if none of its features is a number"),
        ("a,b,y\n1,nan,cat\n", "line 2, column 'b': 'nan' is not a finite number"),
        ("a,b,y\n1,-inf,cat\n", "line 2, column 'b': '-inf' is not a finite number"),
        ("a,b,y\n1,1e999,cat\n", "line 2, column 'b': '1e999' is not a finite number"),
        ("a,b,y\n1_000,2,cat\n", "line 2, column 'a': '1_000' is not a finite number"),
        ("a,b,y\n,2,cat\n", "line 2, column 'a': the value is missing"),
        ("a,b,y\n1,2,\n", "line 2, column 'y': the label is missing"),
        (f"a,b,y\n1,2,{'x' * 257}\n", "line 2, column 'y': the label has 257 characters"),
        ("a,b,y\n1,2,cat\n3,4,cat\n", "one class alone"),
        ("a,a,y\n1,2,cat\n", "columns 1 and 2 are both called 'a'"),
        (",a,y\n0,2,cat\n", "column 1 has no name.*index=False"),
        ('a,b,y\n1,2,"cat\n', "line 2: unexpected end of data"),
        ('a,b,y\n1,2,"c"at\n', "line 2: .* expected after"),
        ("größe,b,y\n1,2,cat\n".encode("latin-1"), "is not UTF-8"),
        ("a,b,y\n1,2,cat\n".encode("utf-16"), "is not UTF-8"),
        ("a,b,y\n1," + "2" * 200_000, "field larger than field limit"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_refused_with_the_place(content, message, write):
    with pytest.raises(InputError, match=message):
        load_dataset(write(content))


def test_a_target_that_is_no_column_lists_the_columns(write):
    with pytest.raises(InputError, match=r"no column 'colour': .* 'width', 'height', 'kind'"):
        load_dataset(write(TABLE), target="colour")


def test_a_target_needs_a_header(write):
    with pytest.raises(InputError, match="has no header"):
        load_dataset(write("1,2,3\n4,5,6\n"), target="3")


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=9)


@given(
    rows=st.lists(st.tuples(numbers, numbers, words), min_size=1, max_size=8),
    header=st.sampled_from([None, ("a", "b", "y"), ("x,1", 'say "x"', "line\nbreak")]),
)
@settings(deadline=None)
def test_what_is_written_as_csv_is_read_back_exactly(rows, header, scratch):
    rows = [*rows, (0.0, -1.5, "sure to be another class")]
    with (scratch / "trip.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows if header is None else [header, *rows])
    data = load_dataset(scratch / "trip.csv")
    assert data.X.tolist() == [[a, b] for a, b, _ in rows]
    assert data.y.tolist() == [label for _, _, label in rows]
    assert data.feature_names == (header and header[:2])


# .npz


def test_an_npz_file_is_read_in_its_own_dtypes(savez):
    X = np.array([[1, 2], [3, 4]], np.float32)
    data = load_dataset(savez("mine.npz", X=X, y=np.array(["a", "b"]), feature_names=np.array(["u", "v"])))
    assert data.name == "mine"
    assert data.X.dtype == np.float32
    assert data.X.tolist() == X.tolist()
    assert data.y.tolist() == ["a", "b"]
    assert data.feature_names == ("u", "v")
    assert (data.scaling, data.pixel_max, data.image_shape) == ("standard", None, None)


def test_bytes_are_taken_for_pixels(savez):
    data = load_dataset(savez(X=np.eye(3, dtype=np.uint8), y=np.arange(3)))
    assert (data.X.dtype, data.scaling, data.pixel_max) == (np.uint8, "range", 255)


def test_images_are_flattened_and_their_shape_is_kept(savez):
    X = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = load_dataset(savez(X=X, y=np.arange(2)))
    np.testing.assert_array_equal(data.X, X.reshape(2, 12))
    assert data.image_shape == (3, 4)


def test_images_with_channels_are_flattened_but_are_no_single_image(savez):
    data = load_dataset(savez(X=np.zeros((2, 3, 4, 3)), y=np.arange(2)))
    assert data.X.shape == (2, 36)
    assert data.image_shape is None


def test_arrays_become_contiguous_and_native(savez):
    X = np.asfortranarray(np.arange(6, dtype=">f8").reshape(2, 3))
    data = load_dataset(savez(X=X, y=np.arange(2, dtype=">i4")))
    assert data.X.flags.c_contiguous
    assert data.X.dtype.isnative
    assert data.y.dtype.isnative
    np.testing.assert_array_equal(data.X, X)


@pytest.mark.parametrize("y", [np.array([0.0, 2.0]), np.array([False, True])])
def test_whole_floats_and_booleans_become_integer_labels(y, savez):
    data = load_dataset(savez(X=np.eye(2), y=y))
    assert data.y.dtype == np.int64
    assert data.y.tolist() == y.tolist()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.eye(2)}, "lacks 'y': it holds 'X'"),
        ({"data": np.eye(2)}, "lacks 'X', 'y': it holds 'data'"),
        ({}, "lacks 'X', 'y': it holds no arrays"),
        ({"X": np.eye(2), "y": np.arange(3)}, "2 rows but y of .* has 3 labels"),
        ({"X": np.eye(2), "y": np.eye(2)}, "must have one dimension"),
        ({"X": np.eye(2), "y": np.array([{}, []], dtype=object)}, "y in .* holds pickled Python objects"),
        ({"X": np.array([[1, None]], dtype=object), "y": np.arange(1)}, "X in .* holds pickled Python objects"),
        ({"X": np.array([["a"], ["b"]]), "y": np.arange(2)}, "must hold real numbers"),
        ({"X": np.array([[np.nan], [1]]), "y": np.arange(2)}, "NaN or infinite"),
        ({"X": np.zeros((0, 2)), "y": np.arange(0)}, "no rows"),
        ({"X": np.zeros((0, 2, 2)), "y": np.arange(0)}, "no rows"),
        ({"X": np.float64(1), "y": np.arange(2)}, "two dimensions"),
        ({"X": np.arange(2), "y": np.arange(2)}, "two dimensions"),
        ({"X": np.eye(2), "y": np.array([0.5, 1])}, "no class label"),
        ({"X": np.eye(2), "y": np.array([0, 1e300])}, "floats beyond"),
        ({"X": np.eye(2), "y": np.ones(2)}, "one class alone"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.array(["a"])}, "a string for each of the 2"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.array(["a", "a"])}, "each different"),
        ({"X": np.eye(2), "y": np.arange(2), "feature_names": np.arange(2)}, "a string for each of the 2"),
        ({"X": np.zeros(2, [("λ", "f8")]), "y": np.arange(2)}, "structured array"),
    ],
)
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_an_npz_file_that_cannot_be_used_is_refused(arrays, message, savez):
    with pytest.raises(InputError, match=message):
        load_dataset(savez(**arrays))


def npy(shape, dtype="<f8", data=b""):
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def write_zip(path, compression=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("shape", ["(1073741824, 1024)", "(-1, -16)", "(4, 2)", "(2, 1)"])
def test_a_shape_that_the_bytes_do_not_bear_out_is_refused_before_memory_is_taken(shape, tmp_path):
    path = write_zip(tmp_path / "data.npz", X=npy(shape, data=bytes(128 - 8 * (shape == "(2, 1)"))))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="claims shape"):
            read_npz(path, ["X"])
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("content", [b"", b"not an array", npy("(2,"), npy("'ab'"), npy("(" * 900), npy("(2,)", "<zz")])
def test_a_member_that_is_no_array_is_refused(content, tmp_path):
    with pytest.raises(InputError, match=r"is not a complete \.npz file"):
        read_npz(write_zip(tmp_path / "data.npz", X=content), ["X"])


def test_an_archive_that_would_unpack_into_far_more_than_it_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("xpmlp.datasets._npz._SAFE_BYTES", 2**20)
    np.savez_compressed(tmp_path / "bomb.npz", X=np.zeros((2**10, 2**8)))
    np.savez_compressed(tmp_path / "data.npz", X=np.random.default_rng(0).random((2**10, 2**8)))
    with pytest.raises(InputError, match="would unpack into 2097280, more than 100 times"):
        read_npz(tmp_path / "bomb.npz", ["X"])
    assert read_npz(tmp_path / "data.npz", ["X"])["X"].shape == (2**10, 2**8)


def test_a_half_written_npz_file_is_refused(savez):
    path = savez(X=np.eye(9), y=np.arange(9))
    content = path.read_bytes()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"is not a complete \.npz file .*numpy\.savez"):
            load_dataset(path)


def test_a_member_whose_bytes_were_changed_is_refused(tmp_path):
    path = write_zip(tmp_path / "data.npz", zipfile.ZIP_STORED, X=npy("(2,)", data=b"0123456789abcdef"))
    path.write_bytes(path.read_bytes().replace(b"abc", b"xyz"))
    with pytest.raises(InputError, match="Bad CRC"):
        read_npz(path, ["X"])


def test_pickles_are_never_loaded(tmp_path):
    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    y = np.array([Harmful(), Harmful()], dtype=object)
    np.savez(tmp_path / "data.npz", X=np.eye(2), y=y)
    with pytest.raises(InputError, match="pickled Python objects"):
        load_dataset(tmp_path / "data.npz")
    assert not (tmp_path / "harm").exists()


# Files in general


@pytest.mark.parametrize("suffix", [".csv", ".npz"])
@pytest.mark.parametrize("read", [load_dataset, lambda path: read_features(path, n_features=2)])
class TestFilesThatCannotBeOpened:
    def test_a_missing_file_is_named(self, read, suffix, tmp_path):
        with pytest.raises(InputError, match=rf"There is no file .*none\{suffix}"):
            read(tmp_path / f"none{suffix}")

    def test_a_folder_is_no_file(self, read, suffix, tmp_path):
        path = tmp_path / f"folder{suffix}"
        path.mkdir()
        with pytest.raises(InputError, match="is a folder"):
            read(path)

    def test_a_path_that_cannot_be_is_refused(self, read, suffix):
        with pytest.raises(InputError, match="cannot be opened"):
            read(f"a\0b{suffix}")

    def test_a_file_that_may_not_be_read_is_refused(self, read, suffix, write):
        path = write(TABLE, f"secret{suffix}")
        path.chmod(0)
        if os.access(path, os.R_OK):
            pytest.skip("this user, such as root, may read every file")
        with pytest.raises(InputError, match="may not be read"):
            read(path)


@given(
    content=st.binary(max_size=80) | st.text(',\n\r"\0 01e.-ax', max_size=80).map(str.encode),
    suffix=st.sampled_from([".csv", ".npz"]),
)
@settings(deadline=None, max_examples=300)
def test_arbitrary_bytes_give_an_input_error_or_valid_data(content, suffix, scratch):
    path = scratch / f"random{suffix}"
    path.write_bytes(content)
    for read in (load_dataset, lambda path: read_features(path, n_features=2, feature_names=["a", "x"])):
        with contextlib.suppress(InputError):
            read(path)


@given(data=st.data())
@settings(deadline=None, max_examples=200)
def test_an_npz_file_with_changed_bytes_gives_an_input_error_or_valid_data(data, scratch):
    path = scratch / "changed.npz"
    np.savez_compressed(path, X=np.eye(2), y=np.arange(2))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        load_dataset(path)


# Examples to predict


def features(path, n_features=2, feature_names=("width", "height")):
    return read_features(path, n_features=n_features, feature_names=feature_names).tolist()


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
        ("width,height\n1,\n", ("width", "height"), "line 2, column 'height': the value is missing"),
        ("width,height\n", ("width", "height"), "no rows"),
        ("", None, "is empty"),
    ],
)
def test_csv_files_with_other_columns_than_the_models_are_refused(content, names, message, write):
    with pytest.raises(InputError, match=message):
        features(write(content), feature_names=names)


def test_the_features_of_an_npz_file_are_read_without_its_labels(savez):
    path = savez(X=np.array([[[1, 2]], [[3, 4]]], np.uint8), y=np.array([None, None]))
    X = read_features(path, n_features=2)
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
    ],
)
def test_npz_files_with_other_features_than_the_models_are_refused(X, message, savez):
    with pytest.raises(InputError, match=message):
        read_features(savez(X=X), n_features=2)


def test_files_of_another_kind_are_refused_for_prediction(write):
    with pytest.raises(InputError, match=r"give a file \.csv or \.npz"):
        read_features(write(TABLE, "data.tsv"), n_features=2)
