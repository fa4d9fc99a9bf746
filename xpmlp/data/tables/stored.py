"""A table that is larger than memory: kept by DuckDB, on disk where it is large, and given in batches of rows."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.validation import MAX_EXACT
from xpmlp.common.wording import escaped, quoted
from xpmlp.data.tables.dialect import MISSING
from xpmlp.data.tables.files import stored_cells
from xpmlp.data.tables.kinds import IDENTIFIER, column_of, kind_of
from xpmlp.data.tables.reader import check_reading
from xpmlp.data.tables.table import Table, shortened
from xpmlp.data.tables.texts import of_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from xpmlp.data.tables.texts import Cells

MAX_CELLS = 2**20  # of a batch: numbers take 8 MiB
MAX_ASKED = 100  # columns whose facts are asked for at once: DuckDB takes minutes for thousands


@dataclass(frozen=True)
class StoredFacts:
    """The facts of a column of DuckDB; `n_distinct` of numbers is an estimate where `kinds.Facts` has no use for it."""

    name: str
    plain_kind: str
    n_rows: int
    n: int
    is_constant: bool
    n_distinct: int
    counts_rows: bool = False
    is_truth: bool = False
    n_words: float = 0.0
    longest: int = 0  # characters of a text
    example: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class StoredTable:
    """A table whose rows are on disk.

    Attributes
    ----------
    name : str
        The stem of the file's name.
    facts : dict of str to StoredFacts
        What is known of each column, over all rows, by its name.
    kinds : dict of str to str
        Of each column, by its name: decided on all rows, or given, with a format of dates where it was given with one.
    n_rows : int
        How many rows there are.
    has_header : bool
        Whether the names come with the data.
    notes : list of str
        What a user should know of how the table was read, in sentences.
    """

    name: str
    facts: dict[str, StoredFacts]
    kinds: dict[str, str]
    n_rows: int
    has_header: bool
    notes: list[str]
    _cells: Cells

    def batches(self, kinds: dict[str, str], size: int | None = None) -> Iterator[Table]:
        """Give some columns of all rows, in their order.

        Parameters
        ----------
        kinds : dict of str to str
            The columns, each with the kind that it is to have.
        size : int, optional
            How many rows a table is to have; by default as many as have 2^20 cells.

        Raises
        ------
        InputError
            For values that are not of the kind given.
        """
        size = size or max(1, MAX_CELLS // max(1, len(kinds)))
        for start in range(0, self.n_rows, size):
            arrays = self._cells.arrays(kinds, slice(start, start + size))
            formats = self._cells.date_formats
            columns = tuple(
                column_of(name, arrays[name], kind, date_formats=formats.get(name, ()), first_row=start)
                for name, kind in kinds.items()
            )
            yield Table(self.name, columns, self.has_header)


@contextmanager
def store_table(
    path: str | Path,
    *,
    decimal: str | None = None,
    missing: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    **reading: Any,
) -> Iterator[StoredTable]:
    """Read a file of text or Parquet into a table on disk, which is there until the context ends.

    Parameters and errors are those of `read_table`, without `known`. The kinds of the columns are decided as there.
    """
    kinds = kinds or {}
    check_reading(kinds, decimal)
    reading |= {"decimal": decimal, "missing": [*MISSING, *missing], "kinds": kinds}
    with stored_cells(path, drop=drop, **reading) as (cells, has_header):
        facts = _facts(cells)
        if absent := [name for name in kinds if name not in facts]:
            raise InputError(f"{path} has no column {quoted(absent)}: it has {quoted(list(facts))}.")
        decided = {name: kinds.get(name) or kind_of(each) for name, each in facts.items()}
        n_rows = next(iter(facts.values())).n_rows if facts else 0
        yield StoredTable(
            escaped(Path(path).name.partition(".")[0]), facts, decided, n_rows, has_header, list(cells.notes), cells
        )


def _facts(cells: Cells) -> dict[str, StoredFacts]:
    """Ask for the facts of all columns."""
    chosen = [(name, of_column(index, cells.readings[index])) for index, name in cells.names.items()]
    sql = ", ".join(f"{value} AS c{number}" for number, (_, value) in enumerate(chosen))
    types = [str(kind) for _, kind, *_ in cells.connection.execute(f"DESCRIBE SELECT {sql} FROM cells").fetchall()]
    ((n_rows,),) = cells.connection.execute("SELECT count(*) FROM cells").fetchall()
    numbers = [each for each, kind in zip(chosen, types, strict=True) if kind == "DOUBLE"]
    found: dict[str, StoredFacts] = {}
    for start in range(0, len(numbers), MAX_ASKED):
        some = dict(numbers[start : start + MAX_ASKED])
        found |= {each.name: each for each in _facts_of_numbers(cells, n_rows, some)}
    for (name, value), kind in zip(chosen, types, strict=True):
        if kind != "DOUBLE":
            found[name] = _facts_of_others(cells, n_rows, name, value, "text" if kind == "VARCHAR" else "date")
    return {name: found[name] for name in cells.names.values()}


def _facts_of_numbers(cells: Cells, n_rows: int, values: dict[str, str]) -> Iterator[StoredFacts]:
    chosen = [
        f"CASE WHEN NOT isnan({value}) THEN {value} END AS x{number}" for number, value in enumerate(values.values())
    ]
    asked = [aggregate for number in range(len(values)) for aggregate in _aggregates(f"x{number}")]
    sql = f"SELECT {', '.join(asked)} FROM (SELECT rowid, {', '.join(chosen)} FROM cells)"
    (row,) = cells.connection.execute(sql).fetchall()
    width = len(asked) // len(values)
    for number, (name, value) in enumerate(values.items()):
        n, least, most, is_whole, counts, n_distinct, example = row[number * width : (number + 1) * width]
        if is_whole and IDENTIFIER.search(name):
            ((n_distinct,),) = cells.connection.execute(
                f"SELECT count(*) FROM (SELECT DISTINCT {value} AS v FROM cells WHERE NOT isnan({value}))"
            ).fetchall()
        counts = counts and n == n_rows
        yield StoredFacts(
            name,
            "whole number" if is_whole else "number",
            n_rows,
            n,
            is_constant=n == 0 or (n == n_rows and least == most),
            n_distinct=n if counts else n_distinct,
            counts_rows=counts,
            example="" if example is None else f"{example:.15g}",
        )


def _aggregates(x: str) -> list[str]:
    """Return what is asked of a column of numbers, NULL where missing."""
    return [
        f"count({x})",
        f"min({x})",
        f"max({x})",
        f"coalesce(bool_and(floor({x}) = {x} AND abs({x}) <= {MAX_EXACT}), true)",
        f"coalesce(bool_and({x} = rowid) OR bool_and({x} = rowid + 1), false)",
        f"approx_count_distinct({x})",
        f"any_value({x})",
    ]


def _facts_of_others(cells: Cells, n_rows: int, name: str, value: str, kind: str) -> StoredFacts:
    distinct = f"SELECT {value} AS v, count(*) AS n FROM cells WHERE {value} IS NOT NULL GROUP BY v"
    words = "avg(len(regexp_split_to_array(trim(v), '\\s+')))" if kind == "text" else "0"
    truth = "coalesce(bool_and(lower(v) IN ('true', 'false')), false)" if kind == "text" else "false"
    longest = "max(length(v))" if kind == "text" else "0"
    sql = f"SELECT coalesce(sum(n), 0), count(*), {truth}, {words}, {longest}, first(v) FROM ({distinct})"
    ((n, n_distinct, is_truth, n_words, n_characters, example),) = cells.connection.execute(sql).fetchall()
    is_constant = n == 0 or (n == n_rows and n_distinct == 1)
    return StoredFacts(
        name,
        kind,
        n_rows,
        int(n),
        is_constant,
        n_distinct,
        is_truth=is_truth,
        n_words=n_words or 0.0,
        longest=n_characters or 0,
        example=shortened(str(example or "").removesuffix(" 00:00:00")),
    )
