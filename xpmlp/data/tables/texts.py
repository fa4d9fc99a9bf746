"""Columns of text in DuckDB: read as numbers, dates or texts, whichever all values of a column allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.wording import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Collection

    from duckdb import DuckDBPyConnection

CODE = r"^[+-]?0[0-9]|_|^[+-]?[0-9]{16,}$"  # text that is no number, though it could be read as one
MOSTLY = 0.9  # of the values of a column: where so many are numbers, the others are worth a note
NUMBER = "try_cast(v AS DOUBLE)"
COMMA_NUMBER = "try_cast(replace(v, ',', '.') AS DOUBLE)"


@dataclass(frozen=True)
class TextColumns:
    """The columns c0, c1, ... of a table `cells` in DuckDB, all of them text.

    Attributes
    ----------
    connection : DuckDBPyConnection
        Where the table is.
    names : dict of int to str
        What the columns are called that are wanted.
    decimal : {".", ","}, optional
        What stands before the decimals of a number; found for each column by default.
    dates : tuple of str
        Formats of dates, beside those of ISO 8601.
    """

    connection: DuckDBPyConnection
    names: dict[int, str]
    decimal: str | None
    dates: tuple[str, ...]

    def read(self, notes: list[str]) -> dict[str, np.ndarray]:
        """Return the columns by their names; add to `notes` where a few values alone keep one from being numbers."""
        reading, others = dict.fromkeys(self.names, "(v)"), []
        commas = "NULL" if self.decimal == "." else COMMA_NUMBER
        tests = f"count({NUMBER}), count({commas}), bool_or(regexp_matches(v, '{CODE}'))"
        found = self._ask(self.names, tests)
        for index in self.names:
            n, n_plain, n_commas, is_code = found.get(index, (0, 0, 0, False))  # without any value, it is not there
            if n == n_plain and not is_code and self.decimal != ",":
                reading[index] = NUMBER
            elif n == n_commas and not is_code:
                reading[index] = COMMA_NUMBER
            elif not n_plain:
                others.append(index)
            elif n_plain >= MOSTLY * n and not is_code:
                notes.append(self._note(index, n - n_plain))
        date = self._date()
        for index, (n, n_dates) in self._ask(others, f"count({date})").items():
            reading[index] = date if n == n_dates else "(v)"
        chosen = ", ".join(f"{sql.replace('(v', f'(c{index}')} AS c{index}" for index, sql in reading.items())
        arrays = self.connection.execute(f"SELECT {chosen} FROM cells").fetchnumpy()
        return {name: filled(arrays[f"c{index}"]) for index, name in self.names.items()}

    def _ask(self, columns: Collection[int], tests: str) -> dict[int, tuple[Any, ...]]:
        """Return how many values each of some columns has, and what aggregates over its values v say.

        The columns are put below each other for that, as DuckDB takes minutes for thousands of aggregates.
        """
        if not columns:
            return {}
        chosen = ", ".join(f"c{index}" for index in columns)
        below = f"(UNPIVOT (SELECT {chosen} FROM cells) ON COLUMNS(*) INTO NAME k VALUE v)"
        rows = self.connection.execute(f"SELECT k, count(*), {tests} FROM {below} GROUP BY k").fetchall()
        return {int(name[1:]): tuple(values) for name, *values in rows}

    def _date(self) -> str:
        parsed = [f"try_strptime(v, '{date}')" for date in self.dates if "'" not in date]
        return f"coalesce({', '.join(['try_cast(v AS TIMESTAMP)', *parsed])})"

    def _note(self, index: int, n_others: int) -> str:
        others = f"SELECT c{index} AS v FROM cells WHERE c{index} IS NOT NULL"
        sql = f"SELECT v FROM ({others}) WHERE {NUMBER} IS NULL GROUP BY v ORDER BY count(*) DESC, v LIMIT 4"
        values = [value for (value,) in self.connection.execute(sql).fetchall()]
        return (
            f"Column {self.names[index]!r} holds numbers, but {counted(n_others, 'other value')} too, such as "
            f"{quoted(values)}: it is taken as text. --missing {values[0]!r} makes a gap of such a value."
        )


def filled(values: np.ndarray) -> np.ndarray:
    """Return an array of DuckDB's with NaN, NaT or None where it is masked."""
    if isinstance(values, np.ma.MaskedArray):
        gaps, values = values.mask, values.data
        values[gaps] = None if values.dtype == object else np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return values
