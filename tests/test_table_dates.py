"""Dates of tables: their format is found for each column, told, kept with the model, and used for other data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from test_table_commands import run

from xpmlp import InputError, TablePreparation, read_table
from xpmlp.data.streams.tables import load_table_stream
from xpmlp.data.tables.stored import store_table

DAY_FIRST = ["13/02/2015", "1/2/2015", "3/4/2016", "28/11/2017"]


@pytest.fixture(name="write")
def a_writer(tmp_path):
    def write(values, name="data.csv"):
        path = tmp_path / name
        path.write_text("".join(f"{line}\n" for line in ["joined;n", *(f"{v};{i}.5" for i, v in enumerate(values))]))
        return path

    return write


def days(table):
    return np.datetime_as_string(table["joined"].values, "D").tolist()


@pytest.mark.parametrize(
    ("written", "date", "date_format"),
    [
        ("2015-02-13", "2015-02-13", "ISO"),
        ("2015/2/13 10:30", "2015-02-13", "ISO"),
        ("13/2/2015", "2015-02-13", "%d/%m/%Y"),
        ("2/13/2015", "2015-02-13", "%m/%d/%Y"),
        ("13.2.75", "1975-02-13", "%d.%m.%y"),
        ("2-13-2015 3:04 pm", "2015-02-13", "%m-%d-%Y %I:%M %p"),
        ("13 Feb 2015", "2015-02-13", "%d %b %Y"),
        ("February 13, 2015", "2015-02-13", "%B %d, %Y"),
        ("1960 Jan", "1960-01-01", "%Y %b"),
        ("Jan 1960", "1960-01-01", "%b %Y"),
        ("2015-01", "2015-01-01", "%Y-%m"),
    ],
)
def test_the_format_of_dates_is_found_for_each_column(written, date, date_format, write):
    table = read_table(write([written, "", written.replace("15", "16").replace("60", "61").replace("75", "76")]))
    assert (table["joined"].kind, table["joined"].date_formats, days(table)[0]) == ("date", (date_format,), date)
    assert table.known == {"joined": f"date:{date_format}", "n": "number"}
    assert table.take([0])["joined"].date_formats == (date_format,)
    assert table.notes == ()


@pytest.mark.parametrize("values", [["10-12", "11-10"], ["2010-11", "2012-13"], ["May", "June"], ["1/2/2015", "soon"]])
def test_texts_that_are_not_all_dates_stay_texts(values, write):
    assert read_table(write(values))["joined"].kind == "category"


@pytest.mark.parametrize(
    ("values", "taken", "date", "other", "other_date"),
    [
        (["1/2/2015", "3/4/2015"], "%d/%m/%Y", "2015-02-01", "%m/%d/%Y", "2015-01-02"),
        (["1.2.15 10:00", "3.4.15 11:00"], "%d.%m.%y %H:%M", "2015-02-01", "%m.%d.%y %H:%M", "2015-01-02"),
        (["10-12-11", "11-11-09"], "%d-%m-%y", "2011-12-10", "%m-%d-%y", "2011-10-12"),
    ],
)
def test_dates_that_can_be_read_in_several_ways_are_said_and_can_be_told(values, taken, date, other, other_date, write):
    path = write(values)
    table = read_table(path)
    assert days(table)[0] == date
    (note,) = table.notes
    assert f"'joined' holds dates that can be read in several ways: {values[0]!r} is taken as {date}" in note
    assert f"by the format {taken}. --kinds " in note
    assert f"joined=date:{other}" in note
    told = read_table(path, kinds={"joined": f"date:{other}"})
    assert (days(told)[0], told.notes) == (other_date, ())


def test_dates_that_are_the_same_either_way_need_no_note(write):
    assert read_table(write(["1/1/2015", "3/3/2016"])).notes == ()


def test_of_several_ways_that_of_another_column_of_the_file_is_taken(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("joined,left\n1/2/2015,1/13/2016\n3/4/2015,2/14/2017\n")
    table = read_table(path)
    assert (days(table), table["left"].date_formats) == (["2015-01-02", "2015-03-04"], ("%m/%d/%Y",))
    assert len(table.notes) == 1


def test_numbers_are_dates_where_a_format_is_told(write):
    table = read_table(write(["20150213", "", "20161103"]), kinds={"joined": "date:%Y%m%d"})
    assert days(table) == ["2015-02-13", "NaT", "2016-11-03"]


def test_dates_that_are_to_be_categories_stay_as_they_are_written(write):
    assert read_table(write(DAY_FIRST), kinds={"joined": "category"})["joined"].values.tolist() == DAY_FIRST


@pytest.mark.parametrize("date_format", ["", "%d/%m", "%q", "day", "%Y-%", "%j %Y"])
def test_what_is_no_format_of_dates_is_refused(date_format, write):
    with pytest.raises(InputError, match=r"the format of a date is .*, but must be ISO or be written with %Y"):
        read_table(write(DAY_FIRST), kinds={"joined": f"date:{date_format}"})
    with pytest.raises(InputError, match="the kind of a column is 'number:%Y', but must be one of"):
        read_table(write(DAY_FIRST), kinds={"joined": "number:%Y"})


@pytest.mark.parametrize("values", [DAY_FIRST, ["2015-02-13", "2015-02-01", "2016-04-03", "2017-11-28"]])
def test_the_format_is_kept_with_the_preparation_and_used_for_other_files(values, write):
    preparation = TablePreparation.fit(read_table(write(values)))
    again = TablePreparation.from_json(json.loads(json.dumps(preparation.to_json())))
    assert again == preparation
    one = values[1]
    read = read_table(write([one], "new.csv"), known=again.known)
    assert (days(read), read.notes) == (["2015-02-01"], ())
    dates = [name.startswith("joined") for name in again.feature_names_out]
    expected = preparation.apply(read_table(write(values)))[1:2, dates]
    np.testing.assert_array_equal(again.apply(read)[:, dates], expected)


@pytest.mark.parametrize(("kind", "shown"), [("%d/%m/%Y", "not written as %d/%m/%Y"), ("ISO", "no date of ISO 8601")])
def test_values_of_another_format_are_refused_with_what_to_do(kind, shown, write):
    good = {"%d/%m/%Y": "13/02/2015", "ISO": "2015/2/3"}[kind]
    path = write([good, "", "2/13/2015"])
    with pytest.raises(InputError) as raised:
        read_table(path, known={"joined": f"date:{kind}"})
    assert str(raised.value) == (
        f"column 'joined' is to hold values of the kind 'date', but holds '2/13/2015' in row 2, which is {shown}: mend "
        "the value, or make a gap of it (--missing 2/13/2015), or say how all dates are written (--kinds "
        "joined=date:FORMAT)."
    )
    gap = read_table(path, known={"joined": f"date:{kind}"}, missing=["2/13/2015"])
    assert gap["joined"].missing.tolist() == [False, True, True]
    with (
        pytest.raises(InputError, match="holds '2/13/2015' in row 2"),
        store_table(path, kinds={"joined": f"date:{kind}"}) as stored,
    ):
        list(stored.batches(stored.kinds, 1))


def test_a_table_whose_dates_were_guessed_to_be_others_than_in_training_is_refused(write):
    trained = write(["2/13/2015", "1/2/2015", "3/4/2016"])
    preparation = TablePreparation.fit(read_table(trained))
    new = write(["1/2/2015"], "new.csv")
    with pytest.raises(InputError, match=r"read by the format %d/%m/%Y, but in training they were written as %m/%d/%Y"):
        preparation.apply(read_table(new))
    told = preparation.apply(read_table(new, kinds={"joined": "date:%d/%m/%Y"}))  # as the user says
    certain = preparation.apply(read_table(write(["2/1/2015", "1/13/2015"], "new.csv")))  # as the other row says
    np.testing.assert_array_equal(told, certain[:1])


def test_one_row_with_a_certain_date_is_read_as_in_training(write):
    preparation = TablePreparation.fit(read_table(write(DAY_FIRST)))
    expected = preparation.apply(read_table(write(DAY_FIRST[:1], "new.csv"), known=preparation.known))
    np.testing.assert_array_equal(preparation.apply(read_table(write(DAY_FIRST[:1], "new.csv"))), expected)


def test_texts_of_a_frame_are_read_by_the_format_of_training(write):
    pandas = pytest.importorskip("pandas")
    preparation = TablePreparation.fit(read_table(write(DAY_FIRST)))
    frame = read_table(pandas.DataFrame({"joined": ["1/2/2015", None], "n": [1.0, 2.0]}), known=preparation.known)
    assert days(frame) == ["2015-02-01", "NaT"]
    with pytest.raises(InputError, match="holds '2015-02-01' in row 0, which is not written as %d/%m/%Y"):
        read_table(pandas.DataFrame({"joined": ["2015-02-01"]}), known=preparation.known)


def test_preparations_of_earlier_versions_have_no_format(write):
    preparation = TablePreparation.fit(read_table(write(DAY_FIRST)))
    earlier = [{name: value for name, value in each.items() if name != "date_format"} for each in preparation.to_json()]
    loaded = TablePreparation.from_json(earlier)
    assert loaded.known == {"joined": "date", "n": "number"}
    assert loaded.encodings[0] == replace(preparation.encodings[0], date_format="")


def test_a_damaged_format_of_a_model_file_is_refused(write):
    date, number = TablePreparation.fit(read_table(write(DAY_FIRST))).to_json()
    for values in (date | {"date_format": "%q"}, date | {"date_format": 3}, number | {"date_format": "ISO"}):
        with pytest.raises(InputError, match="format"):
            TablePreparation.from_json([values])


def test_a_table_that_is_read_by_rows_keeps_the_format_too(tmp_path):
    path = tmp_path / "data.csv"
    rows = [f"{1 + n % 28}/{1 + n % 12}/{2000 + n % 20},{n % 7}.5,{'ab'[n % 2]}" for n in range(300)]
    path.write_text("\n".join(["joined,n,y", *rows]) + "\n")
    for reading in ({}, {"kinds": {"joined": "date:%d/%m/%Y"}}):
        data, _ = load_table_stream(path, target="y", reading=reading)
        assert data.preparation.known["joined"] == "date:%d/%m/%Y"
        assert data.columns[0][:2] == ("joined", "date")


def test_a_model_reads_dates_as_in_training_and_says_what_to_do_about_others(tmp_path, monkeypatch, capsys):
    """The days of training say which number is the month; the one row to predict does not."""
    train, new, out = tmp_path / "train.csv", tmp_path / "new.csv", tmp_path / "run"
    rows = [f"{1 + n % 12}/{1 + n % 28}/2015,{'true' if n % 3 else 'false'},{n % 12 + 0.25}" for n in range(120)]
    train.write_text("\n".join(["joined,member,price", *rows]) + "\n")
    assert run(monkeypatch, "train", train, "--target", "price", "--epochs", 2, "--out", out, "-q") == 0

    def predicted(rows, *options):
        new.write_text("\n".join(["joined,member", *rows]) + "\n")
        capsys.readouterr()
        code = run(monkeypatch, "predict", out, new, *options)
        return code, *capsys.readouterr()

    _, certain, _ = predicted(["1/2/2015,true", "1/13/2015,true"])
    code, alone, err = predicted(["1/2/2015,true"])
    assert code == 0
    # To rounding: libraries may compute a product of one row by another routine than one of two.
    assert float(alone.splitlines()[1]) == pytest.approx(float(certain.splitlines()[1]), rel=1e-5)
    assert "several ways" not in err
    code, _, err = predicted(["1/2/2015,true", "13/2/2015,yes"])
    assert code == 2
    assert "'joined' is to hold values of the kind 'date', but holds '13/2/2015' in row 1" in " ".join(err.split())
    code, _, err = predicted(["1/2/2015,true", "13/2/2015,yes"], "--missing", "13/2/2015")
    assert code == 2
    assert "kind 'truth value', but holds 'yes' in row 1: mend the value, or make a gap of it (--missing yes)" in (
        " ".join(err.split())
    )
    code, out_text, err = predicted(["1/2/2015,true", "13/2/2015,yes"], "--missing", "13/2/2015,yes")
    assert (code, len(out_text.splitlines())) == (0, 3)
    assert "column 'member' has 1 gap, where training had none" in " ".join(err.split())
    new.write_text("joined,member,price\n1/2/2015,true,1.5\n13/2/2015,yes,2.5\n")
    assert run(monkeypatch, "evaluate", out, new) == 2
    assert "(--missing 13/2/2015)" in " ".join(capsys.readouterr().err.split())
    assert run(monkeypatch, "evaluate", out, new, "--missing", "13/2/2015,yes") == 0
    assert run(monkeypatch, "predict", out, new, "--missing", "yes", "--kinds", "joined=date:%d/%m/%Y") == 0


def test_among_decimal_commas_the_text_that_is_no_number_is_named(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("n;c\n1,5;a\n2,5;b\nmany;c\n")
    with pytest.raises(InputError, match=r"kind 'number', but holds 'many' in row 2: .* \(--missing many\)\.$"):
        read_table(path, known={"n": "number"})
    assert read_table(path, known={"n": "number"}, missing=["many"])["n"].values[:2].tolist() == [1.5, 2.5]


@pytest.mark.parametrize("value", ["2015", "20150213", "today", "NaT"])
def test_what_other_libraries_take_for_a_date_of_iso_8601_is_refused(value, write):
    pandas = pytest.importorskip("pandas")
    for source in (write(["2015-02-13", value]), pandas.DataFrame({"joined": ["2015-02-13", value]})):
        with pytest.raises(InputError, match=f"holds '{value}' in row 1, which is no date of ISO 8601"):
            read_table(source, known={"joined": "date:ISO"})
    with pytest.raises(InputError, match=r"holds '2015.0' in row 0, which is no .* \(--missing 2015\)"):
        read_table(pandas.DataFrame({"joined": [2015, 2016]}), known={"joined": "date"})
