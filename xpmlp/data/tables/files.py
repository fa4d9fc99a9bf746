"""The columns of a user's file, read by DuckDB: as numbers, dates or texts, whichever all values of a column allow."""

from __future__ import annotations

import gzip
import re
import shutil
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.packages import load_package
from xpmlp.common.wording import counted, quoted
from xpmlp.data.tables.dialect import find_dialect
from xpmlp.data.tables.frames import frame_columns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from duckdb import DuckDBPyConnection

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow", ".ipc")
STANDARD_INPUT = "-"
MAGIC = {b"PAR1": ".parquet", b"ARRO": ".feather", b"\x1f\x8b\x08\x00": ".csv.gz"}  # what a file begins with
# DuckDB would download what it lacks.
SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
CODE = r"^[+-]?0[0-9]|_|^[+-]?[0-9]{16,}$"  # text that is no number, though it could be read as one
NOT_UTF8 = "save it in UTF-8, or name its encoding, such as --encoding latin-1 (encoding='latin-1')"
MOSTLY = 0.9  # of the values of a column: those that are numbers, where a few others are worth a note


@dataclass
class FileColumns:
    """The columns of a file as `kinds.column_of` takes them, and what is known of how they were read."""

    arrays: dict[str, np.ndarray]
    has_header: bool = True
    notes: list[str] = field(default_factory=list)


def table_suffix(path: Path) -> str:
    """Return the ending of a file of a table, without that of its compression; "" for a file of another kind."""
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    return suffix if suffix in {*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *FEATHER_SUFFIXES} else ""


def file_columns(
    source: str | Path,
    *,
    header: bool | None,
    separator: str | None,
    decimal: str | None,
    encoding: str,
    missing: Sequence[str],
    drop: Collection[str],
    known: Collection[str],
    target: str | None,
) -> FileColumns:
    """Read a file; parameters and errors are those of `read_table`."""
    with TemporaryDirectory(prefix="xpmlp-") as name:
        path = _received(Path(name)) if str(source) == STANDARD_INPUT else Path(source)
        shown = "standard input" if str(source) == STANDARD_INPUT else str(source)
        with open_file(path):
            pass
        suffix = table_suffix(path)
        if not suffix:
            kinds = ", ".join((*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *FEATHER_SUFFIXES))
            raise InputError(f"{shown} is no table that xpmlp reads: its name must end in one of {kinds}, or in .gz.")
        if suffix in FEATHER_SUFFIXES:
            return FileColumns(_feather_columns(path, drop))
        import duckdb  # noqa: PLC0415 - slow to import, and needed for files alone

        with _explaining(shown), duckdb.connect(config=SETTINGS) as connection:
            if suffix in PARQUET_SUFFIXES:
                return FileColumns(_parquet_columns(connection, path, shown, drop))
            path = _as_utf8(path, shown, encoding, Path(name))
            found = find_dialect(
                connection, path, shown, header=header, separator=separator, known=known, target=target
            )
            wanted = {index: name for index, name in enumerate(found.names) if name not in drop}
            _check_present(shown, found.names, drop)
            if decimal is None and found.separator == ",":
                decimal = "."
            sql, parameters = found.relation(path, missing or [""])
            texts = _Texts(connection, sql, parameters, wanted, decimal, found.dates)
            notes = [f"{shown}: {found.note}"] if found.note else []
            return FileColumns(texts.read(notes), found.has_header, notes)


def _received(folder: Path) -> Path:
    """Write standard input to a file, which DuckDB can read more than once."""
    content = sys.stdin.buffer
    start = content.read(4)
    path = folder / f"input{MAGIC.get(start, '.csv')}"
    with path.open("wb") as file:
        file.write(start)
        shutil.copyfileobj(content, file)
    return path


def _as_utf8(path: Path, shown: str, encoding: str, folder: Path) -> Path:
    """Return the file, or a copy of it in UTF-8 where it is in another encoding."""
    if encoding.lower().replace("-", "").replace("_", "") in {"utf8", "utf8sig"}:
        return path
    copy = folder / "utf-8.csv"
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with (
            opened(path, "rt", encoding=encoding, newline="") as old,
            copy.open("w", encoding="utf-8", newline="") as new,
        ):
            shutil.copyfileobj(old, new)
    except LookupError:
        raise InputError(
            f"the encoding is {encoding!r}, which is not known: give one such as latin-1 or cp1252."
        ) from None
    except UnicodeError as error:
        raise InputError(f"{shown} is not in {encoding} ({error}): give another encoding.") from error
    return copy


def _check_present(shown: str, names: Sequence[str], wanted: Collection[str]) -> None:
    if absent := [name for name in wanted if name not in names]:
        raise InputError(f"{shown} has no column {quoted(absent)}: it has {quoted(names)}.")


def _feather_columns(path: Path, drop: Collection[str]) -> dict[str, np.ndarray]:
    polars = load_package("polars", "feather")
    try:
        frame = polars.read_ipc(path, memory_map=False)
    except (OSError, polars.exceptions.PolarsError) as error:
        raise InputError(f"{path} cannot be read as a Feather file: {error}.") from error
    _check_present(str(path), frame.columns, drop)
    return frame_columns(frame.drop(list(drop)))


def _parquet_columns(
    connection: DuckDBPyConnection, path: Path, shown: str, drop: Collection[str]
) -> dict[str, np.ndarray]:
    connection.execute(f"DESCRIBE FROM read_parquet('{escape(str(path)).replace(chr(39), chr(39) * 2)}')")
    types = {name: kind for name, kind, *_ in connection.fetchall()}
    _check_present(shown, list(types), drop)
    wanted = {name: kind for name, kind in types.items() if name not in drop}
    chosen = ", ".join(f"{_cast(name, kind)} AS c{index}" for index, (name, kind) in enumerate(wanted.items()))
    sql = f"SELECT {chosen} FROM read_parquet(?)"  # noqa: S608 - the names of columns are quoted
    found = connection.execute(sql, [escape(str(path))]).fetchnumpy()
    return {name: _filled(found[f"c{index}"]) for index, name in enumerate(wanted)}


def _cast(name: str, kind: str) -> str:
    """Return the SQL that reads a column of Parquet as numbers, dates or texts."""
    column = '"' + name.replace('"', '""') + '"'
    if kind.startswith(("DECIMAL", "DOUBLE", "FLOAT")) or kind.endswith(("INT", "INTEGER")):
        return f"CAST({column} AS DOUBLE)"
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return f"CAST({column} AS TIMESTAMP)"
    if kind in {"BOOLEAN", "VARCHAR", "UUID", "TIME"} or kind.startswith("ENUM"):
        return f"CAST({column} AS VARCHAR)"
    raise InputError(f"column {name!r} holds {kind}, which is no number, date or text: leave it out (--drop).")


@dataclass(frozen=True)
class _Texts:
    """Columns c0, c1, ... of text, by what they are called; the SQL that reads them, and how they write numbers."""

    connection: DuckDBPyConnection
    sql: str
    parameters: list[Any]
    names: dict[int, str]
    decimal: str | None
    dates: tuple[str, ...]

    def read(self, notes: list[str]) -> dict[str, np.ndarray]:
        """Return the columns, each as all of its values allow; say where a few values alone are no numbers."""
        texts = {index: f"nullif(trim(c{index}), '')" for index in self.names}
        tests = {index: self._number_tests(text) for index, text in texts.items()}
        chosen, others = dict(texts), []
        for index, (n, n_plain, n_commas, is_code) in self._ask(tests).items():
            if n == n_plain and not is_code and self.decimal != ",":
                chosen[index] = _number(texts[index])
            elif n == max(n_plain, n_commas) and not is_code:
                chosen[index] = _number(f"replace({texts[index]}, ',', '.')")
            elif not n_plain:
                others.append(index)
            elif MOSTLY * n <= n_plain and not is_code:
                notes.append(self._note(index, texts[index], n - n_plain))
        dates = {index: self._date(texts[index]) for index in others}
        tests = {index: [f"count({texts[index]})", f"count({date})"] for index, date in dates.items()}
        chosen |= {index: dates[index] for index, (n, n_dates) in self._ask(tests).items() if n == n_dates}
        named = ", ".join(f"{text} AS c{index}" for index, text in chosen.items())
        found = self._execute(f"SELECT {named} FROM {self.sql}").fetchnumpy()  # noqa: S608 - made of names of ours
        return {name: _filled(found[f"c{index}"]) for index, name in self.names.items()}

    def _number_tests(self, text: str) -> list[str]:
        commas = _number(f"replace({text}, ',', '.')") if self.decimal != "." else "NULL"
        is_code = f"coalesce(bool_or(regexp_matches({text}, '{CODE}')), false)"
        return [f"count({text})", f"count({_number(text)})", f"count({commas})", is_code]

    def _date(self, text: str) -> str:
        parsed = [f"try_strptime({text}, '{date}')" for date in self.dates if "'" not in date]
        return f"coalesce({', '.join([f'try_cast({text} AS TIMESTAMP)', *parsed])})"

    def _note(self, index: int, text: str, n_others: int) -> str:
        where = f"{_number(text)} IS NULL AND {text} IS NOT NULL"
        sql = f"SELECT DISTINCT {text} FROM {self.sql} WHERE {where} LIMIT 4"  # noqa: S608 - as below
        values = [value for (value,) in self._execute(sql).fetchall()]
        return (
            f"Column {self.names[index]!r} holds numbers, but {counted(n_others, 'other value')} too, such as "
            f"{quoted(values)}: it is taken as text. --missing {values[0]!r} makes a gap of such a value."
        )

    def _ask(self, tests: dict[int, list[str]]) -> dict[int, list[Any]]:
        """Return what SQL aggregates say of some columns."""
        if not tests:
            return {}
        asked = ", ".join(test for each in tests.values() for test in each)
        (answers,) = self._execute(f"SELECT {asked} FROM {self.sql}").fetchall()  # noqa: S608 - made of names of ours
        size = len(answers) // len(tests)
        return {index: list(answers[start * size : (start + 1) * size]) for start, index in enumerate(tests)}

    def _execute(self, sql: str) -> DuckDBPyConnection:
        return self.connection.execute(sql, self.parameters)


def _number(text: str) -> str:
    return f"try_cast({text} AS DOUBLE)"


def _filled(values: np.ndarray) -> np.ndarray:
    """Return an array with NaN, NaT or None where DuckDB's is masked."""
    if isinstance(values, np.ma.MaskedArray):
        gaps, values = values.mask, values.data
        values[gaps] = None if values.dtype == object else np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return values


@contextmanager
def _explaining(shown: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours: in which line, what was seen, and what to do."""
    import duckdb  # noqa: PLC0415 - as above

    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        found = re.search(r"CSV Error on Line: (\d+)", text)
        where = f"{shown}, line {found[1]}" if found else shown
        if "unicode" in text:
            raise InputError(f"{where}: the text is not UTF-8: {NOT_UTF8}.") from error
        if cells := re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text):
            raise InputError(
                f"{where}: found {counted(int(cells[2]), 'cell')}, but expected {cells[1]} as in the first row. Give "
                "every row the same number of cells, and quote cells that hold the separator."
            ) from error
        if "quote" in text:
            raise InputError(
                f"{where}: a quote is not closed, or stands inside of a cell. Quote a cell that holds separators, "
                'quotes or line breaks as a whole ("like ""this"""), and nothing else.'
            ) from error
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise InputError(f"{where} cannot be read: {' '.join(lines[:3])}") from error
