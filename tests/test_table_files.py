"""Tables read from files: how they are written is found out, or can be told."""

import gzip
import io
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from xpmlp import InputError, read_table
from xpmlp.common.errors import BackendError
from xpmlp.data.tables import files
from xpmlp.data.tables import texts as cells_of_text

FILES = Path(__file__).with_name("tables")


def texts(table):
    """The values of a table as a person reads them."""
    return {column.name: [column.text(value) for value in column.values] for column in table.columns}


@pytest.mark.parametrize(
    ("file", "n", "kinds"),
    [
        ("comment-lines.csv", 60, {"a": "number", "b": "number", "y": "whole number"}),
        ("infinity-named-column.csv", 60, {"inf": "number", "nan": "number", "y": "whole number"}),
        ("label-first-header.csv", 60, {"label": "category", "p1": "number", "p2": "number"}),
        ("mixed-number-labels.csv", 80, {"a": "number", "b": "number", "y": "whole number"}),
        ("numeric-header-features.csv", 3, {"0": "number", "1": "number"}),
        ("numeric-header-train.csv", 60, {"0": "number", "1": "number", "label": "category"}),
        (
            "people.csv",
            200,
            {
                "id": "identifier",
                "age": "whole number",
                "job": "category",
                "married": "truth value",
                "joined": "date",
                "income": "category",
            },
        ),
        ("row-names.csv", 60, {"row names": "identifier", "a": "number", "b": "number", "y": "whole number"}),
        ("semicolons-decimal-comma.csv", 60, {"a": "number", "b": "number", "y": "whole number"}),
        ("semicolons-quoted.csv", 80, {"fixed": "number", "volatile": "number", "quality": "whole number"}),
        ("tabs.tsv", 60, {"a": "number", "b": "number", "y": "whole number"}),
        ("zero-padded-codes.csv", 60, {"a": "number", "b": "number", "code": "category"}),
    ],
)
def test_tables_are_read_as_they_are_meant(file, n, kinds):
    table = read_table(FILES / file)
    assert len(table) == n
    assert table.kinds == kinds


def test_a_target_in_the_first_line_proves_a_header(write):
    path = write("8,3,kind\n1,2,a\n3,4,b\n")
    assert read_table(path).names[0] == "column 1"
    assert read_table(path, target="kind").names == ["8", "3", "kind"]
    table = read_table(FILES / "wavelength-header.csv", target="class")
    assert (table.names, table.notes) == (["400.5", "402.5", "404.5", "class"], ())
    assert read_table(FILES / "wavelength-header.csv").names == table.names


def test_columns_that_a_model_knows_prove_a_header(write):
    path = write("2020,2021\n1,2\n3,4\n")
    assert not read_table(path).has_header
    assert read_table(path, known={"2021": "number", "2020": "number"}).names == ["2020", "2021"]


def test_a_header_of_positions_is_named_and_may_be_an_example(write):
    path = write("0,1\n.1,.2\n.3,.4\n")
    assert "data.csv has '0', '1' as its header; --no-header" in read_table(path).notes[0]
    assert texts(read_table(path, header=False)) == {
        "column 1": ["0.0", "0.1", "0.3"],
        "column 2": ["1.0", "0.2", "0.4"],
    }


def rows_below(n_columns, first=0.0):
    return "".join(",".join(f"{first + (7 * i + j) % 9:g}" for j in range(n_columns)) + ",x\n" for i in range(9))


@pytest.mark.parametrize(
    "header", ["1990,1991,1992,y", "1990,1991,1993,y", "400,410,420,y", "1990,2000,2010,y", "400.1,400.2,400.3,y"]
)
def test_numbers_that_rise_and_do_not_continue_below_are_names(write, header):
    table = read_table(write(f"{header}\n{rows_below(3)}"))
    assert table.names == header.split(",")
    assert len(table) == 9
    assert "as its header; --no-header takes its first line as an example." in table.notes[0]
    assert len(read_table(write(f"{header}\n{rows_below(3)}"), header=False)) == 10


@pytest.mark.parametrize(
    "content",
    [
        f"1,2,3,x\n{rows_below(3)}",  # within the values below
        f"9,10,11,x\n{rows_below(3)}",  # goes on from them
        f"1992,1991,1990,x\n{rows_below(3)}",  # falls
        f"1990,1991,1992,x\n{rows_below(3)}",  # with a text that recurs
        f"1990,1991,1992,y\n{rows_below(3, 1990)}",  # years of examples
        "1,2,a\n2,4,b\n3,6,c\n4,8,d\n5,10,e\n6,12,f\n7,14,g\n",
        "2020,2021\n1,2\n3,4\n",  # too few rows to tell
    ],
)
def test_other_numbers_of_the_first_line_are_an_example(write, content):
    assert not read_table(write(content)).has_header


def test_a_target_that_is_the_number_of_no_column_is_a_name(write):
    content = "1970,2016,y\n2000,1999,a\n1980,1900,b\n"
    assert not read_table(write(content)).has_header
    assert read_table(write(content), target="2016").names == ["1970", "2016", "y"]
    assert not read_table(write("3,7,y\n5,1,a\n"), target="3").has_header


def test_a_first_line_of_texts_that_recur_below_is_no_header(write):
    table = read_table(write("p,x\ne,x\np,y\ne,y\n"))
    assert not table.has_header
    assert len(table) == 4
    assert "has no header: its first line is taken as an example ('p', 'x'); --header" in table.notes[0]


def test_numbers_are_read_to_the_last_bit(write):
    values = np.random.default_rng(0).standard_normal(1000) * 10.0 ** np.arange(-500, 500, 1).clip(-300, 300)
    table = read_table(write("x,y\n" + "".join(f"{value!r},{value:.3e}\n" for value in values.tolist())))
    assert table["x"].values.tolist() == values.tolist()


def test_mixed_ways_to_write_a_number_are_one_value_and_leading_zeros_are_kept():
    assert read_table(FILES / "mixed-number-labels.csv")["y"].distinct.tolist() == [0, 1]
    assert read_table(FILES / "zero-padded-codes.csv")["code"].distinct.tolist() == ["002", "01", "1"]


def test_large_whole_numbers_that_floats_do_not_tell_apart_are_text(write):
    table = read_table(write("card,x\n9007199254740993,1\n9007199254740992,2\n"))
    assert texts(table)["card"] == ["9007199254740993", "9007199254740992"]


def test_gaps_are_missing_in_columns_of_all_kinds(write):
    rows = ["1,a,2000-01-01,true", ",,,", "NA,NA,NA,NA", "?,?,?,?", "nan,null,N/A,NaN", "2,b,2001-01-01,false"]
    table = read_table(write("\n".join(["n,c,d,t", *rows])))
    assert table.kinds == {"n": "whole number", "c": "category", "d": "date", "t": "truth value"}
    for column in table.columns:
        assert column.missing.tolist() == [False, True, True, True, True, False]


def test_what_stands_for_a_gap_can_be_told(write):
    path = write("n,c\n1,a\n-99,-\n2,b\n")
    assert read_table(path, missing=["-99", "-"])["n"].missing.tolist() == [False, True, False]
    assert read_table(path)["n"].missing.sum() == 0


def test_a_few_texts_among_numbers_are_named(write):
    table = read_table(write("n,c\n" + "1,a\n" * 30 + "unknown,b\n"))
    assert table["n"].kind == "category"
    assert "Column 'n' holds numbers, but 1 other value too, such as 'unknown'" in table.notes[0]
    assert "--missing 'unknown'" in table.notes[0]


@pytest.mark.parametrize(
    ("written", "iso"),
    [("13/02/2020", "2020-02-13"), ("2020-02-13 10:30:00", "2020-02-13 10:30:00"), ("2020/02/13", "2020-02-13")],
)
def test_dates_are_read_as_they_are_written(written, iso, write):
    table = read_table(write(f"when,c\n{written},a\n{written.replace('13', '14')},b\n"))
    assert table["when"].kind == "date"
    assert texts(table)["when"][0] == iso


def test_bytes_and_compression_make_no_difference(write):
    content = (FILES / "people.csv").read_bytes()
    plain = texts(read_table(write(content)))
    assert texts(read_table(write(gzip.compress(content), "data.csv.gz"))) == plain
    assert texts(read_table(write(b"\xef\xbb\xbf" + content))) == plain
    assert texts(read_table(write(content.replace(b"\n", b"\r\n")))) == plain


def test_a_file_in_another_encoding_is_read_once_that_is_named(write):
    content = "größe,art\n1,süß\n2,weiß\n".encode("latin-1")
    with pytest.raises(InputError, match=r"not UTF-8.*--encoding latin-1"):
        read_table(write(content))
    for path in (write(content), write(gzip.compress(content), "data.csv.gz")):
        assert texts(read_table(path, encoding="latin-1")) == {"größe": ["1", "2"], "art": ["süß", "weiß"]}
    with pytest.raises(InputError, match="'latin-99', which is not known"):
        read_table(write(content), encoding="latin-99")
    with pytest.raises(InputError, match="is not in utf-16"):
        read_table(write(b"abc"), encoding="utf-16")


def test_separator_and_decimal_can_be_told(write):
    path = write("a b\n1,5 x\n2,5 y\n")
    table = read_table(path, separator=" ", decimal=",")
    assert table["a"].values.tolist() == [1.5, 2.5]
    assert read_table(path, separator=" ", decimal=".")["a"].kind == "category"
    with pytest.raises(InputError, match="decimal is ';', but must be one of"):
        read_table(path, decimal=";")


def test_standard_input_is_read_in_any_format(monkeypatch):
    plain = texts(read_table(FILES / "people.csv"))
    content = (FILES / "people.csv").read_bytes()
    named = io.BytesIO()
    with gzip.GzipFile("people.csv", "wb", fileobj=named) as file:  # as `gzip people.csv` does
        file.write(content)
    for given in (content, gzip.compress(content), named.getvalue()):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        assert texts(read_table("-")) == plain


def test_files_of_parquet_and_feather_are_read_as_the_frame_in_them(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.read_csv(FILES / "people.csv", try_parse_dates=True, null_values=["?", "NA"])
    frame = frame.with_columns(polars.col("job").cast(polars.Categorical))
    frame.write_parquet(tmp_path / "people.parquet")
    frame.write_ipc(tmp_path / "people.feather")
    wanted = read_table(FILES / "people.csv")
    for table in (read_table(tmp_path / "people.parquet"), read_table(tmp_path / "people.feather"), read_table(frame)):
        assert table.kinds == wanted.kinds
        assert texts(table) == texts(wanted)


def test_a_column_of_lists_is_refused_unless_it_is_dropped(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"a": [1.5, 2.5], "lists": [[1], [2]]})
    frame.write_parquet(tmp_path / "data.parquet")
    for source in (frame, tmp_path / "data.parquet"):
        with pytest.raises(InputError, match=r"column 'lists' holds .*leave it out"):
            read_table(source)
    assert read_table(tmp_path / "data.parquet", drop=["lists"]).names == ["a"]


def test_frames_of_pandas_are_read_by_the_same_rules():
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(FILES / "people.csv", parse_dates=["joined"], na_values=["?"])
    frame["job"] = frame["job"].astype("category")
    assert read_table(frame).kinds == read_table(FILES / "people.csv").kinds
    assert texts(read_table(frame)) == texts(read_table(FILES / "people.csv"))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_texts_of_a_frame_are_trimmed_as_those_of_a_file(write, library):
    frames = pytest.importorskip(library)
    file = read_table(write('job,n\n" smith ",1\nnurse,2\n"  ",3\n smith,4\n'))
    frame = read_table(frames.DataFrame({"job": [" smith ", "nurse", "  ", " smith"], "n": [1.0, 2.0, 3.0, 4.0]}))
    assert frame["job"].values.tolist() == file["job"].values.tolist() == ["smith", "nurse", None, "smith"]
    assert frame.kinds == file.kinds


def test_columns_are_dropped_and_kinds_are_told(write):
    table = read_table(FILES / "people.csv", drop=["id"], kinds={"age": "category"})
    assert "id" not in table
    assert table["age"].kind == "category"
    assert table["age"].values[0] == "37"
    for wrong in ({"drop": ["idd"]}, {"kinds": {"idd": "number"}}):
        with pytest.raises(InputError, match="no column 'idd': it has 'id', 'age'"):
            read_table(FILES / "people.csv", **wrong)
    with pytest.raises(InputError, match="the kind of a column is 'colour', but must be one of: number"):
        read_table(FILES / "people.csv", kinds={"age": "colour"})


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("none.csv", "There is no file none.csv"),
        (".", "is a folder"),
        (3, "a table is read from the path of a file or a frame of pandas or Polars, but this is int"),
    ],
)
def test_what_is_no_table_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        read_table(source)


@pytest.mark.parametrize("suffix", [".parquet", ".feather"])
def test_a_file_that_is_not_what_its_name_says_is_refused(suffix, write):
    with pytest.raises((InputError, BackendError), match=r"data.* cannot be read"):
        read_table(write("a,b\n1,2\n", f"data{suffix}"))


def compressed():
    return bytearray(gzip.compress("".join(["a,b\n", *(f"{i * i},{i % 7}\n" for i in range(2000))]).encode()))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"a,b\n1,2\n", id="plain text"),
        pytest.param(compressed()[:-100], id="cut off"),
        pytest.param(compressed()[:60] + bytes(9) + compressed()[60:], id="damaged"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_file_that_is_no_complete_gzip_is_refused_by_its_name(content, encoding, tmp_path):
    path = tmp_path / "data.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"data\.csv\.gz is not a complete gzip file .*: get it again"):
        read_table(path, encoding=encoding)


def test_a_name_with_the_characters_of_patterns_is_a_name(write):
    write("a,b\n9,9\n", "data1.csv")
    assert texts(read_table(write("a,b\n1,2\n", "data[1]*.csv"))) == {"a": ["1"], "b": ["2"]}


N_FIRST = 3000  # numbers, before a row that is another


@pytest.mark.parametrize(
    ("row", "kinds"),
    [
        ("7,0.5,x", {"a": "whole number", "b": "number"}),
        ("007,0.5,x", {"a": "identifier", "b": "number"}),
        (" +07 , 1 ,x", {"a": "identifier", "b": "number"}),
        ("7,01.5,x", {"b": "category"}),
        ("7,1_000,x", {"b": "category"}),
        ("7,1e-05,x", {"b": "number"}),
        ("7,1234567890123456,x", {"b": "category"}),
        ("7,1234567890123456.5,x", {"b": "number"}),
        ("7,unknown,x", {"b": "category"}),
        ("7,2020-01-01,x", {"b": "category"}),
        ("7, NA ,x", {"b": "category"}),
        ("7,   ,x", {"b": "number"}),
        ("seven\x1f7,01.5,x", {"a": "identifier", "b": "category"}),
    ],
)
def test_the_kind_of_a_column_depends_on_all_of_its_rows(row, kinds, write):
    lines = [f"{i},{i % 50 + 0.5},{'yz'[i % 2]}" for i in range(N_FIRST)]
    table = read_table(write("\n".join(["a,b,c", *lines, row])))
    assert {name: table[name].kind for name in kinds} == kinds
    for name, cell in zip("ab", row.split(","), strict=False):
        value = texts(table)[name][-1]
        if table[name].values.dtype == object:
            assert value == cell.strip()
            assert texts(table)[name][4] == lines[4].split(",")["ab".index(name)]
        else:
            assert value == "" if not cell.strip() else float(value) == float(cell)


def test_decimal_commas_are_read_wherever_they_stand(write):
    early = read_table(write("a;b\n" + "1,5;1.5\n" * 200 + "2;2\n"))
    assert (early["a"].values[[0, -1]].tolist(), early["b"].values[[0, -1]].tolist()) == ([1.5, 2], [1.5, 2])
    late = read_table(write("a;b\n" + "1;1.5\n" * 200 + "2,5;2,5\n"))
    assert late["a"].values[[0, -1]].tolist() == [1, 2.5]
    assert late["b"].kind == "number"
    told = read_table(write("a;b\n" + "1;1.5\n" * 200 + "2;2\n"), decimal=",")
    assert told["a"].values[[0, -1]].tolist() == [1, 2]


def test_a_file_of_many_rows_is_read_as_one_of_few(write, monkeypatch):
    rows = [
        f"{'xyz'[i % 3] if i % 7 else ''},{i} words of {i},{i % 28 + 1:02}/03/2024,{i % 9}.5,00{i % 4}"
        for i in range(90)
    ]
    path = write("\n".join(["few,many,day,number,code", *rows, ",,,,", "é,it's,01/03/2024,1,x"]))
    expected = read_table(path)
    monkeypatch.setattr(cells_of_text, "MANY_ROWS", 1)
    monkeypatch.setattr(cells_of_text, "MAX_FEW", 30)
    found = read_table(path)
    for one, other in zip(found.columns, expected.columns, strict=True):
        assert (one.name, one.kind, one.date_formats) == (other.name, other.kind, other.date_formats)
        np.testing.assert_array_equal(one.values, other.values)
    values = found["few"].values
    assert values[1] is values[4]  # few different texts are kept once each


def test_ctrl_c_ends_the_reading_of_a_file(tmp_path):
    """DuckDB makes an error of its own of it."""
    ctrl_c = threading.Timer(0.2, signal.raise_signal, [signal.SIGINT])

    def read():
        with files._connected("a.csv", tmp_path) as connection:
            connection.execute("SET threads = 1")  # several may be done before one of them looks for signals
            ctrl_c.start()
            connection.execute("SELECT sum(hash(i)) FROM range(1000000000000) numbers(i)")

    with pytest.raises(KeyboardInterrupt):
        read()
