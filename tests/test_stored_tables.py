"""Tables larger than memory: the same columns as in memory, in batches of rows."""

from pathlib import Path

import numpy as np
import pytest

from xpmlp import InputError, read_table
from xpmlp.data.tables import Column, files
from xpmlp.data.tables.stored import store_table

FILES = Path(__file__).with_name("tables")


def joined(stored, kinds, size):
    """The values of all batches, by column."""
    batches = list(stored.batches(kinds, size))
    assert all(len(batch) == size for batch in batches[:-1])
    return {name: np.concatenate([batch[name].values for batch in batches]) for name in kinds}


def assert_same(stored, table, size=17):
    assert stored.kinds == table.kinds
    assert (stored.n_rows, stored.notes, stored.has_header) == (len(table), list(table.notes), table.has_header)
    for name, values in joined(stored, stored.kinds, size).items():
        wanted = table[name].values
        assert values.dtype == wanted.dtype
        gaps = table[name].missing
        assert Column(name, stored.kinds[name], values).missing.tolist() == gaps.tolist()
        assert values[~gaps].tolist() == wanted[~gaps].tolist()
        assert stored.facts[name].n == len(table) - gaps.sum()


@pytest.mark.parametrize("file", sorted(path.name for path in FILES.iterdir()))
def test_a_stored_table_has_the_kinds_and_the_values_of_one_in_memory(file):
    with store_table(FILES / file) as stored:
        assert_same(stored, read_table(FILES / file))


@pytest.mark.parametrize(
    "column",
    [
        *(["1"] * 40, ["1"] * 40 + [""], [""] * 40, ["a"] * 40, ["true"] * 39 + ["FALSE"], ["true"] * 40),
        *([str(i) for i in range(40)], [str(i + 1) for i in range(40)], [str(i + 2) for i in range(40)]),
        *([f"word {i} of many others" for i in range(40)], [f"item {i}" for i in range(40)]),
        *([str(2**53 + i) for i in range(40)], ["inf"] * 20 + ["1"] * 20, ["1.5"] * 40),
        *(["2000-01-01"] * 40, ["2000-01-01", "", "2001-01-01 10:00"] * 13, ["2.5", "-1"] * 20),
    ],
)
@pytest.mark.parametrize("name", ["x", "id"])
def test_kinds_are_decided_by_the_same_facts(name, column, write):
    path = write("\n".join([f"{name},y", *(f"{cell},{i % 7 / 2}" for i, cell in enumerate(column))]))
    with store_table(path) as stored:
        assert_same(stored, read_table(path))


def test_what_is_told_of_the_reading_holds_for_a_stored_table_too(write):
    path = write("a|b|c\n1,5|x|-99\n2,5|y|3\n")
    told = {"decimal": ",", "missing": ["-99"], "kinds": {"c": "category"}, "drop": ["b"], "separator": "|"}
    with store_table(path, **told) as stored:
        assert_same(stored, read_table(path, **told))
    with pytest.raises(InputError, match="no column 'd': it has 'a', 'b', 'c'"), store_table(path, kinds={"d": "date"}):
        pass


def test_files_of_parquet_are_stored_too(tmp_path):
    polars = pytest.importorskip("polars")
    frame = polars.read_csv(FILES / "people.csv", try_parse_dates=True, null_values=["?", "NA"])
    frame.write_parquet(tmp_path / "people.parquet")
    with store_table(tmp_path / "people.parquet") as stored:
        assert_same(stored, read_table(tmp_path / "people.parquet"))


def test_what_is_larger_than_the_memory_of_duckdb_goes_to_disk(write, monkeypatch):
    monkeypatch.setattr(files, "BASE_MEMORY", 88)  # and 12 for the columns
    X = np.random.default_rng(0).random((1000, 12)).round(6)
    block = "".join(",".join(map(repr, row)) + "\n" for row in X.tolist())
    path = write(",".join("abcdefghijkl") + "\n" + 1200 * block)
    with store_table(path) as stored:
        assert stored.n_rows * 12 * 8 > 100e6
        for batch in stored.batches(stored.kinds, 100_000):
            assert (np.stack([column.values for column in batch.columns], axis=1) == np.tile(X, (100, 1))).all()


def test_examples_are_shown_as_those_in_memory_are(write):
    path = write(f"x,when,long,some\n1,2001-01-05,{'a' * 40},\n2,2001-01-05,{'a' * 40},b\n")
    with store_table(path) as stored:
        shown = [facts.example for facts in stored.facts.values()]
    assert shown == [example for *_, example in read_table(path).summary()]
