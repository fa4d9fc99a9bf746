"""Tables, and the kinds of their columns."""

import numpy as np
import pytest

from xpmlp import Column, InputError, Table, read_table
from xpmlp.data.tables import plain_numbers
from xpmlp.data.tables.kinds import column_of


def objects(*values):
    return np.array(values, dtype=object)


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("x", np.array([1.5, 2, np.nan]), "number"),
        ("x", np.array([1.0, 2, np.nan]), "whole number"),
        ("x", np.array([2.0, 2, np.nan]), "whole number"),  # that it is missing may say something
        ("x", np.array([2.0, 2, 2]), "constant"),
        ("x", np.full(3, np.nan), "constant"),
        ("x", objects(None, None), "constant"),
        ("x", objects("a", "a"), "constant"),
        ("x", objects("a", "b", None), "category"),
        ("x", objects("True", "false", None), "truth value"),
        ("x", objects("yes", "no"), "category"),
        ("x", np.array(["2020-01-01", "2020-01-02"], "M8[D]"), "date"),
        ("id", np.arange(1000.0, 1030), "identifier"),
        ("userId", np.arange(1000.0, 1030), "identifier"),
        ("column 1", np.arange(30.0), "identifier"),
        ("price", np.arange(1000.0, 1030), "whole number"),
        ("year", np.arange(1990.0, 2020), "whole number"),
        ("valid", np.arange(1000.0, 1030), "whole number"),
        ("id", np.arange(30.0) // 2, "whole number"),
        ("x", objects(*(f"u{i}" for i in range(30))), "identifier"),
        ("x", objects(*(f"the text number {i} of a person" for i in range(30))), "text"),
        ("x", objects(*(f"name {i // 3 * 2}{i % 2}" for i in range(30))), "text"),
        ("x", objects(*(f"name {i % 3}" for i in range(30))), "category"),
    ],
)
def test_the_kind_of_a_column_is_what_its_values_suggest(name, values, kind):
    column = column_of(name, values)
    assert column.kind == kind
    expected = {"number": "f", "whole number": "f", "truth value": "f", "date": "M"}.get(kind, "O")
    assert column.values.dtype.kind == expected
    assert column.missing.tolist() == [value is None or value != value for value in values.tolist()]  # noqa: PLR0124 - NaN


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (np.array([1.0, 2.5, np.nan]), "category", ["1.0", "2.5", None]),
        (np.array([1.0, 2, np.nan]), "category", ["1", "2", None]),
        (objects("007", None), "number", [7.0, None]),
        (objects("true", "FALSE", None), "truth value", [1.0, 0.0, None]),
        (np.array([1.0, 0.0]), "truth value", [1.0, 0.0]),
        (objects(None, None), "number", [None, None]),
    ],
)
def test_a_column_is_read_as_a_kind_that_is_given(values, kind, expected):
    column = column_of("x", values, kind)
    assert column.kind == kind
    assert [None if gap else value for gap, value in zip(column.missing, column.values, strict=True)] == expected


@pytest.mark.parametrize(
    ("values", "kind", "shown"),
    [
        (objects("1", "two"), "number", "two"),
        (objects("true", "two"), "truth value", "two"),
        (np.array([1.0, 2.0]), "truth value", "2.0"),
        (objects("a"), "date", "a"),
        (np.array(["2020-01-01"], "M8[us]"), "number", "2020-01-01"),
    ],
)
def test_values_that_are_not_of_the_given_kind_are_named(values, kind, shown):
    with pytest.raises(InputError, match=f"column 'x' is to .* of the kind '{kind}', but holds '{shown}"):
        column_of("x", values, kind)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("x", "number", np.array([1.5])), [1.5]),
        (Column("x", "constant", objects("2", "2")), [2.0, 2.0]),
        (Column("x", "identifier", objects("1", "2")), [1.0, 2.0]),
        (Column("x", "identifier", objects("01", "02")), None),
        (Column("x", "constant", objects("a", "a")), None),
        (Column("x", "category", objects("1", "2")), None),
    ],
)
def test_constants_and_identifiers_that_are_numbers_can_be_had_as_such(column, expected):
    numbers = plain_numbers(column)
    assert (numbers if numbers is None else numbers.tolist()) == expected


TABLE = Table("t", (Column("a", "number", np.array([1.5, np.nan])), Column("b", "category", objects("x", None))))


def test_a_table_gives_columns_and_rows():
    assert TABLE.names == ["a", "b"]
    assert (len(TABLE), TABLE.n_rows) == (2, 2)
    assert TABLE["b"].values.tolist() == ["x", None]
    assert TABLE.select(["b", "a"]).names == ["b", "a"]
    assert TABLE.without(["a"]).names == ["b"]
    assert TABLE.take([1, 0])["b"].values.tolist() == [None, "x"]
    assert TABLE.take(np.array([True, False]))["a"].values.tolist() == [1.5]
    assert read_table(TABLE) is TABLE
    for wrong in (lambda: TABLE["c"], lambda: TABLE.select(["c"]), lambda: TABLE.without(["c"])):
        with pytest.raises(InputError, match="t has no column 'c': it has 'a', 'b'"):
            wrong()


def test_a_table_shows_its_columns():
    assert repr(TABLE).splitlines() == [
        "<Table t: 2 rows>",
        "column  kind      distinct  missing  example",
        "a       number    1         1        1.5",
        "b       category  1         1        x",
    ]


def test_columns_of_several_lengths_or_of_one_name_make_no_table():
    a, b = TABLE.columns
    with pytest.raises(InputError, match="of the same length: 'a' 2, 'b' 1"):
        Table("t", (a, b.take([0])))
    with pytest.raises(InputError, match="several columns are called 'a'"):
        Table("t", (a, a))
