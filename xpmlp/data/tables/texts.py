"""The cells of a file of text in DuckDB: read as numbers, dates or texts, whichever all values of a column allow."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.wording import counted, quoted
from xpmlp.data.tables.dates import DATE_FORMATS, date_sql
from xpmlp.data.tables.dialect import NUMBER as WRITTEN_NUMBER

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from duckdb import DuckDBPyConnection

CODE = r"^[+-]?0[0-9]|_|^[+-]?[0-9]{16,}$"  # text that is no number, though it could be read as one
BETWEEN = "\x1f"  # cells of a row that are looked at as one text
CODE_AMONG = rf"(^|{BETWEEN}) *[+-]?(0[0-9]|[0-9]{{16}})|_"  # finds each row with a CODE, and few others
MOSTLY = 0.9  # of the values of a column: where so many are numbers, the others are worth a note
MAX_PROPOSED = 50  # rows that are looked at to tell which columns may be numbers
MANY_ROWS = 100_000  # of which equal texts are sought, and few different ones kept once each: it has a fixed cost
MAX_FEW = 1000  # different texts of a column
DATE_SAMPLES = (20, 1000)  # rows that are looked at to tell which columns may be dates, as DuckDB is slow to try
VALUE = "(v)"
TEXT = "nullif(trim(v), '')"
NUMBER = "try_cast(v AS DOUBLE)"
COMMA_NUMBER = "try_cast(replace(v, ',', '.') AS DOUBLE)"


@dataclass
class Cells:
    """The cells of a file, in the table `cells` of DuckDB: what may be text as text, and other columns as numbers.

    Attributes
    ----------
    connection : DuckDBPyConnection
        Where the table is.
    names : dict of int to str
        What the columns are called that are wanted, by their number in the file.
    decimal : {".", ","}, optional
        What stands before the decimals of a number; found for each column by default.
    kinds : mapping of str to str
        The kinds of some columns, by name, as `column_of` takes them.
    readings : dict of int to str
        The SQL that gives the values of each column of `cells`: numbers, dates or texts.
    date_formats : dict of str to tuple of str
        How the dates of each column of dates are written, by name; then the other formats that give other dates.
    notes : list of str
        Which columns a few values alone keep from being numbers, and which dates can be read in several ways.
    n_rows : int
        How many rows there are, once they are loaded.
    """

    connection: DuckDBPyConnection
    names: dict[int, str]
    decimal: str | None
    kinds: Mapping[str, str]
    readings: dict[int, str] = field(default_factory=dict)
    date_formats: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    n_rows: int = 0

    def load(self, relation: tuple[str, list[Any]], first: Sequence[Sequence[str]], missing: Collection[str]) -> None:
        """Read a file once, or again where columns are no numbers that look so in the first rows.

        Parameters
        ----------
        relation : (str, list)
            The SQL that reads the file as text, in columns c0, c1, ..., and its parameters.
        first : sequence of rows
            The texts of the first rows.
        missing : collection of str
            What stands for a gap.
        """
        numbers = self._proposed(first, missing)
        self._create(relation, numbers)
        while misread := self._misread(numbers):
            numbers = {index: sql for index, sql in numbers.items() if index not in misread}
            self._create(relation, numbers)
        texts = [index for index in self.names if index not in numbers]
        self.readings = dict.fromkeys(self.names, VALUE) | self._readings(texts)

    def arrays(self, names: Collection[str] | None = None, rows: slice | None = None) -> dict[str, np.ndarray]:
        """Return columns by their names, as `kinds.column_of` takes them: by default all, and of all rows."""
        wanted = {index: name for index, name in self.names.items() if names is None or name in names}
        readings, few = {index: self.readings[index] for index in wanted}, self._few(wanted) if rows is None else {}
        readings |= {index: f"enum_code((v)::texts{index})" for index in few}
        chosen = ", ".join(f"{of_column(index, sql)} AS c{index}" for index, sql in readings.items())
        where = "" if rows is None else f" WHERE rowid >= {rows.start} AND rowid < {rows.stop}"
        arrays = self.connection.execute(f"SELECT {chosen} FROM cells{where}").fetchnumpy()
        return {name: filled(arrays[f"c{index}"], few.get(index)) for index, name in wanted.items()}

    def _few(self, columns: Collection[int]) -> dict[int, np.ndarray]:
        """Make types of DuckDB of the few different texts of some columns of many rows; return these texts, then None.

        So each is one object of Python, and not one for each cell.
        """
        if self.n_rows < MANY_ROWS:
            return {}
        kinds = {name: kind for name, kind, *_ in self.connection.execute("DESCRIBE cells").fetchall()}
        texts = [index for index in columns if kinds[f"c{index}"] == "VARCHAR" and self.readings[index] == VALUE]
        counts = {index: count for index, (count,) in self._ask(texts, "approx_count_distinct(v)").items()}
        few = {}
        for index, count in counts.items():
            if count <= MAX_FEW:
                different = f"SELECT DISTINCT c{index} FROM cells WHERE c{index} IS NOT NULL"
                self.connection.execute(f"CREATE TYPE texts{index} AS ENUM ({different})")
                ((found,),) = self.connection.execute(f"SELECT enum_range(NULL::texts{index})").fetchall()
                few[index] = np.array([*found, None], dtype=object)
        return few

    def _proposed(self, first: Sequence[Sequence[str]], missing: Collection[str]) -> dict[int, str]:
        """Return the SQL that reads the columns whose first values all are numbers."""
        proposed = {}
        for index in self.names:
            if self._given_format(index):
                continue
            values = {row[index] for row in first[:MAX_PROPOSED]}.difference(missing)
            if all(WRITTEN_NUMBER.fullmatch(value) and not re.search(CODE, value) for value in values):
                has_commas = self.decimal == "," or (self.decimal is None and any("," in value for value in values))
                number = COMMA_NUMBER if has_commas else NUMBER
                proposed[index] = number.replace("(v", "(coalesce(v, 'nan')")
        return proposed

    def _create(self, relation: tuple[str, list[Any]], numbers: dict[int, str]) -> None:
        """Read the file into the table: some columns as numbers, NULL where they are none and NaN where missing."""
        sql, parameters = relation
        chosen = [f"{of_column(index, numbers.get(index, TEXT))} AS c{index}" for index in self.names]
        cells = ", ".join(f"coalesce(c{index}, '')" for index in numbers)
        row = f"concat_ws('{BETWEEN}', {cells or 'NULL'})"
        chosen.append(f"CASE WHEN regexp_matches({row}, '{CODE_AMONG}') THEN {row} END AS codes")
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE cells AS SELECT {', '.join(chosen)} FROM {sql}", parameters
        )

    def _misread(self, numbers: dict[int, str]) -> set[int]:
        """Return which of the columns read as numbers hold others values, or codes."""
        counts = ", ".join(["count(*)", "count(codes)", *(f"count(c{index})" for index in numbers)])
        ((self.n_rows, n_codes, *found),) = self.connection.execute(f"SELECT {counts} FROM cells").fetchall()
        misread = {index for index, count in zip(numbers, found, strict=True) if count < self.n_rows}
        if n_codes:
            split = f"SELECT string_split(codes, '{BETWEEN}') AS row FROM cells WHERE codes IS NOT NULL"
            cells = f"SELECT unnest(row) AS v, generate_subscripts(row, 1) AS position FROM ({split})"
            where = f"regexp_matches(trim(v), '{CODE}') AND position <= {len(numbers)}"
            positions = self.connection.execute(f"SELECT DISTINCT position FROM ({cells}) WHERE {where}").fetchall()
            misread |= {list(numbers)[position - 1] for (position,) in positions}
        return misread

    def _readings(self, texts: Collection[int]) -> dict[int, str]:
        """Return the SQL that reads columns of text as what all of their values are; note what a few others prevent."""
        readings, others = dict.fromkeys(texts, VALUE), [index for index in texts if self._given_format(index)]
        texts = [index for index in texts if index not in others]
        commas = "NULL" if self.decimal == "." else COMMA_NUMBER
        found = self._readable(texts, [NUMBER, commas, f"nullif(regexp_matches(v, '{CODE}'), false)"])
        for index in texts:
            n, n_plain, n_commas, is_code = found.get(index, (0, 0, 0, 0))  # without any value, it is not there
            if n == n_plain and not is_code and self.decimal != ",":
                readings[index] = NUMBER
            elif n == n_commas and not is_code:
                readings[index] = COMMA_NUMBER
            elif not n_plain:
                others.append(index)
            elif n_plain >= MOSTLY * n and not is_code:
                self.notes.append(self._note(index, n - n_plain))
        dates = [index for index in others if self._kind(index) in {"", "date"}]
        return readings | {index: date_sql(formats[0]) for index, formats in self._dates(dates).items()}

    def _dates(self, columns: Collection[int]) -> dict[int, tuple[str, ...]]:
        """Return the formats by which all values of a column can be read, of those columns where there are some.

        The one that is taken comes first: where several give other dates, one that another column has alone.
        """
        fits = {index: [given] if (given := self._given_format(index)) else list(DATE_FORMATS) for index in columns}
        for rows in (*(f"(FROM cells LIMIT {n})" for n in DATE_SAMPLES), "cells"):
            formats = list(dict.fromkeys(date_format for each in fits.values() for date_format in each))
            found = self._readable(fits, [date_sql(each) for each in formats], rows)
            for index, (n, *counts) in found.items():
                full = {each for each, count in zip(formats, counts, strict=True) if count == n}
                fits[index] = [each for each in fits[index] if each in full]
            fits = {index: each for index, each in fits.items() if each}
        fits = {index: each for index, each in fits.items() if index in found}  # others have no value
        certain = {each[0] for each in fits.values() if len(each) == 1}
        for index, each in fits.items():
            first, *others = sorted(each, key=lambda date_format: date_format not in certain)
            self.date_formats[self.names[index]] = first, *self._differing(index, first, others)
        return {index: self.date_formats[self.names[index]] for index in fits}

    def _differing(self, index: int, taken: str, others: Sequence[str]) -> list[str]:
        """Return which formats give other dates than the one that is taken, with a note on them."""
        examples = {}
        for date_format in others:
            chosen, other = (of_column(index, date_sql(each)) for each in (taken, date_format))
            sql = f"SELECT c{index}, strftime({chosen}, '%Y-%m-%d') FROM cells WHERE {chosen} <> {other} LIMIT 1"
            if found := self.connection.execute(sql).fetchone():
                examples[date_format] = found
        for date_format, (text, date) in list(examples.items())[:1]:
            name = self.names[index]
            self.notes.append(
                f"Column {name!r} holds dates that can be read in several ways: {text!r} is taken as {date}, by the "
                f"format {taken}. --kinds {shlex.quote(f'{name}=date:{date_format}')} reads them otherwise."
            )
        return list(examples)

    def _kind(self, index: int) -> str:
        """Return the kind that a column is to have, without a format of dates; "" where it is to be found."""
        return self.kinds.get(self.names[index], "").partition(":")[0]

    def _given_format(self, index: int) -> str:
        """Return how the dates of a column are to be written; "" where it is to be found, and for no dates."""
        return self.kinds.get(self.names[index], "").partition(":")[2]

    def _readable(
        self, columns: Collection[int], readings: Sequence[str], rows: str = "cells"
    ) -> dict[int, tuple[int, ...]]:
        """Return how many values each of some columns has, and how many of them each SQL for a value v can read."""
        if self.n_rows < MANY_ROWS:
            return self._ask(columns, ", ".join(["count(*)", *(f"count({sql})" for sql in readings)]), rows)
        counts = ", ".join(f"coalesce(sum(times) FILTER ({sql} IS NOT NULL), 0)" for sql in readings)
        return self._ask(
            columns, f"sum(times), {counts}", rows, "(SELECT k, v, count(*) AS times FROM {} GROUP BY k, v)"
        )

    def _ask(
        self, columns: Collection[int], aggregates: str, rows: str = "cells", values: str = "{}"
    ) -> dict[int, tuple[int, ...]]:
        """Return what aggregates over the values v of each of some columns say.

        The columns are put below each other for that, as DuckDB takes minutes for thousands of aggregates.
        """
        if not columns:
            return {}
        chosen = ", ".join(f"c{index}" for index in columns)
        below = f"(UNPIVOT (SELECT {chosen} FROM {rows}) ON COLUMNS(*) INTO NAME k VALUE v)"
        found = self.connection.execute(f"SELECT k, {aggregates} FROM {values.format(below)} GROUP BY k").fetchall()
        return {int(name[1:]): tuple(map(int, each)) for name, *each in found}

    def _note(self, index: int, n_others: int) -> str:
        others = f"SELECT c{index} AS v FROM cells WHERE c{index} IS NOT NULL"
        sql = f"SELECT v FROM ({others}) WHERE {NUMBER} IS NULL GROUP BY v ORDER BY count(*) DESC, v LIMIT 4"
        values = [value for (value,) in self.connection.execute(sql).fetchall()]
        return (
            f"Column {self.names[index]!r} holds numbers, but {counted(n_others, 'other value')} too, such as "
            f"{quoted(values)}: it is taken as text. --missing {values[0]!r} makes a gap of such a value."
        )


def of_column(index: int, sql: str) -> str:
    """Return the SQL for a value v as one for a column."""
    return sql.replace("(v", f"(c{index}")


def filled(values: np.ndarray, texts: np.ndarray | None = None) -> np.ndarray:
    """Return an array of DuckDB's with NaN, NaT or None where it is masked: of `texts` by their numbers, None last."""
    if texts is not None:
        return texts[np.ma.filled(values.astype(np.intp), -1)]
    if isinstance(values, np.ma.MaskedArray):
        gaps, values = values.mask, values.data
        values[gaps] = None if values.dtype == object else np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return values
