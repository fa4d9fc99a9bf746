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

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.packages import load_package
from xpmlp.common.wording import counted, quoted
from xpmlp.data.tables.dialect import find_dialect
from xpmlp.data.tables.frames import frame_columns
from xpmlp.data.tables.texts import Cells, filled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy as np
    from duckdb import DuckDBPyConnection

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow", ".ipc")
STANDARD_INPUT = "-"
MAGIC = {b"PAR1": ".parquet", b"ARRO": ".feather", b"\x1f\x8b\x08\x00": ".csv.gz"}  # what a file begins with
# DuckDB would download what it lacks.
SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
NOT_UTF8 = "save it in UTF-8, or name its encoding, such as --encoding latin-1 (encoding='latin-1')"


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

        with _explaining(shown), duckdb.connect(config=SETTINGS | {"temp_directory": name}) as connection:
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
            cells = Cells(connection, wanted, decimal, found.dates)
            cells.load(found.relation(path, missing), found.first, missing)
            notes = [f"{shown} {found.note}"] * bool(found.note) + cells.notes
            return FileColumns(cells.arrays(), found.has_header, notes)


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
        frame = polars.read_ipc(path)
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
    sql = f"SELECT {chosen} FROM read_parquet(?)"
    found = connection.execute(sql, [escape(str(path))]).fetchnumpy()
    return {name: filled(found[f"c{index}"]) for index, name in enumerate(wanted)}


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
