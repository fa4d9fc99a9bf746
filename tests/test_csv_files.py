"""The user's own .csv files."""

import contextlib
import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from references import TABLE

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import load_dataset
from xpmlp.data.tables import Table
from xpmlp.data.tables.dialect import MISSING


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
        pytest.param(TABLE.replace("\n", "\n\n\n"), id="blank lines"),
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
    [
        (["0", "1"], "i"),
        (["-1", "+1"], "i"),
        (["1", "b"], "U"),
        (["1.0", "2.0"], "i"),
        (["01", "1"], "U"),
        (["9" * 30, "1"], "U"),
    ],
)
def test_labels_are_numbers_only_when_all_are_whole_numbers_without_leading_zeros(labels, kind, write):
    y = load_dataset(write("".join(f"1,{label}\n" for label in labels))).y
    assert y.dtype.kind == kind
    assert y.tolist() == ([int(float(label)) for label in labels] if kind == "i" else labels)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a\n1\n", "has one column, 'a'.*--separator"),
        ("1 2 3\n", "has one column, '1 2 3'.*--separator"),
        ("a,b,y\n", "has no rows"),
        ("a,b,y\n1,2,cat\n3,dog\n", "line 3: found 2 cells, but expected 3"),
        ("a,b,y\n1,2,cat\n3,4,5,dog\n", "line 3: found 4 cells, but expected 3"),
        ("a,b,y\n1,-inf,cat\n", r"NaN or infinite, the first \(-inf\) at row 0, column 'b'"),
        ("a,b,y\n1,1e999,cat\n", r"NaN or infinite, the first \(inf\) at row 0, column 'b'"),
        ("a,b,y\n1,2,\n", "column 'y': 1 label missing, the first in row 1"),
        (f"a,b,y\n1,2,{'x' * 257}\n", "column 'y': a label has 257 characters"),
        ("a,b,y\n1,2,cat\n3,4,cat\n", "one class alone"),
        ("a,a,y\n1,2,cat\n", "several columns are called 'a'"),
        ('a,b,y\n1,2,"cat\n', "line 2: a quote is not closed"),
        ('a,b,y\n1,2,"c"at\n', "line 2: a quote is not closed, or stands inside of a cell"),
        ("größe,b,y\n1,2,cat\n".encode("latin-1"), "is not UTF-8.*--encoding latin-1"),
        ("a,b,y\n1,2,cat\n".encode("utf-16"), "holds NUL bytes.*UTF-8"),
        ("a,b,y\n1,2,cat\n".encode("utf-16-le"), "holds NUL bytes.*UTF-8"),
        ("a,b,y\n1,2,cat\n3,4,cat\0\n", "holds NUL bytes.*UTF-8"),
        (b"\x1f\x8b\x08\x00\x00", "holds NUL bytes"),
        ("a,b,y\n1," + "2" * 200_000, "line 2: found 2 cells, but expected 3"),
        (",".join(f"x{i}" for i in range(5000)) + "\n", "has 5,000 columns, but at most 4,096"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_refused_with_the_place(content, message, write):
    with pytest.raises(InputError, match=message):
        load_dataset(write(content))


@pytest.mark.parametrize("cells", ["3,four", "1_000,4", ",4", "3,nan"])
def test_a_file_with_texts_or_gaps_among_its_features_is_a_table(cells, write):
    dataset = load_dataset(write(f"a,b,y\n1,2,cat\n{cells},dog\n"))
    assert isinstance(dataset.X, Table)
    assert dataset.X.names == ["a", "b"]


MANY = 50_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("1,a\n" * MANY + "1,b\n", id="many rows"),
        pytest.param("1,2\n" + "," * 4 * MANY, id="many empty cells"),
        pytest.param("1,2\n" + ",ab" * MANY, id="many short cells"),
        pytest.param(",".join(f"{i:x}x" for i in range(MANY)), id="many names"),
        pytest.param("\n" * 4 * MANY, id="many blank lines"),
        pytest.param("a" * 4 * MANY, id="one long cell"),
        pytest.param("1,2\n" + "\U0001f600" * MANY, id="one long cell of wide characters"),
        pytest.param('1,"' + "\n" * 2 * MANY + '"\n', id="one cell of many lines"),
    ],
)
def test_memory_stays_below_64_times_the_size_of_the_file(content, write, peak):
    path = write(content)

    def read():
        with contextlib.suppress(InputError):
            load_dataset(path)

    read()  # what the first call imports is not the file's
    assert peak(read) < 64 * path.stat().st_size


def test_one_long_label_does_not_take_its_length_for_every_row(write, peak):
    path = write("1,a\n" * 70_000 + f"1,{'b' * 256}\n")

    def read():
        with pytest.raises(InputError, match=r"its longest label has 256 characters.*Give every class a short name"):
            load_dataset(path)

    assert peak(read) < 32 * path.stat().st_size


def test_a_target_that_is_no_column_lists_the_columns(write):
    with pytest.raises(InputError, match=r"no column 'colour': .* 'width', 'height', 'kind'"):
        load_dataset(write(TABLE), target="colour")


def test_a_target_needs_a_header(write):
    with pytest.raises(InputError, match="has no header"):
        load_dataset(write("1,2,3\n4,5,6\n"), target="kind")


def test_a_column_without_a_name_is_called_by_its_number(write):
    data = load_dataset(write(",a,y\n7,2,cat\n5,3,dog\n"))
    assert data.feature_names == ("column 1", "a")


def test_a_header_may_hold_a_number_where_the_column_below_another_name_proves_it(write):
    data = load_dataset(write("id,2,kind\n3,4,dog\n5,6,cat\n"))
    assert data.feature_names == ("id", "2")


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=9)
words = words.filter(lambda word: word not in MISSING)


@given(
    rows=st.lists(st.tuples(numbers, numbers, words), min_size=1, max_size=8),
    header=st.sampled_from([None, ("a", "b", "y"), ("x,1", 'say "x"', "line\nbreak")]),
)
@settings(deadline=None)
def test_what_is_written_as_csv_is_read_back_exactly(rows, header, scratch):
    rows = [*rows, (0.0, -1.5, "sure to be another class")]
    with (scratch / "trip.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows if header is None else [header, *rows])
    data = load_dataset(scratch / "trip.csv", reading={"header": header is not None, "separator": ","})
    assert data.X.tolist() == [[a, b] for a, b, _ in rows]
    assert data.y.tolist() == [label for _, _, label in rows]
    assert data.feature_names == (header and header[:2])
