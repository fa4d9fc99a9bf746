"""The columns of a user's file, read by DuckDB: as numbers, dates or texts, whichever all values of a column allow."""

from __future__ import annotations

import gzip
import re
import shutil
import sys
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.packages import load_package
from xpmlp.common.wording import counted, escaped, quoted
from xpmlp.data.tables.dialect import MISSING, find_dialect
from xpmlp.data.tables.frames import frame_columns
from xpmlp.data.tables.texts import VALUE, Cells, filled

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import numpy as np
    from duckdb import DuckDBPyConnection

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
PARQUET_SUFFIXES = (".parquet", ".pq")
FEATHER_SUFFIXES = (".feather", ".arrow", ".ipc")
STANDARD_INPUT = "-"
MAGIC = {b"PAR1": ".parquet", b"ARRO": ".feather", b"\x1f\x8b": ".csv.gz"}  # what a file begins with
# DuckDB would download what it lacks.
SETTINGS: dict[str, Any] = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
# Of a table that is kept on disk: what DuckDB may have in memory, in MB. Each thread has buffers, and each column some.
BASE_MEMORY, COLUMN_MEMORY, THREADS = 160, 1, 2
NOT_UTF8 = "save it in UTF-8, or name its encoding, such as --encoding latin-1 (encoding='latin-1')"


@dataclass
class FileColumns:
    """The columns of a file as `kinds.column_of` takes them, and what is known of how they were read."""

    arrays: dict[str, np.ndarray]
    has_header: bool = True
    notes: list[str] = field(default_factory=list)
    date_formats: dict[str, tuple[str, ...]] = field(default_factory=dict)  # of `Cells`


def table_suffix(path: Path) -> str:
    """Return the ending of a file of a table, without that of its compression; "" for a file of another kind."""
    suffix = path.with_suffix("").suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()
    return suffix if suffix in {*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *FEATHER_SUFFIXES} else ""


def file_columns(source: str | Path, *, drop: Collection[str], **reading: Any) -> FileColumns:
    """Read a file into memory; parameters and errors are those of `read_table`."""
    with _opened(source) as (path, shown, folder):
        if table_suffix(path) in FEATHER_SUFFIXES:
            return FileColumns(_feather_columns(path, drop))
        with _connected(shown, folder) as connection:
            if table_suffix(path) in PARQUET_SUFFIXES:
                relation, wanted = _parquet_relation(connection, path, shown, drop)
                found = connection.execute(f"FROM {relation}").fetchnumpy()
                return FileColumns({name: filled(found[f"c{index}"]) for index, name in wanted.items()})
            cells, has_header = _text_cells(connection, path, shown, folder, drop=drop, **reading)
            return FileColumns(cells.arrays(), has_header, cells.notes, cells.date_formats)


@contextmanager
def stored_cells(source: str | Path, *, drop: Collection[str], **reading: Any) -> Iterator[tuple[Cells, bool]]:
    """Read a file of text or Parquet into a table of DuckDB, which is on disk as far as it is larger than its memory.

    Parameters and errors are those of `read_table`. Gives the cells, and whether the file has a header.
    """
    with _opened(source) as (path, shown, folder), _connected(shown, folder) as connection:
        if table_suffix(path) in PARQUET_SUFFIXES:
            relation, wanted = _parquet_relation(connection, path, shown, drop)
            _bound_memory(connection, len(wanted))
            connection.execute(f"CREATE TEMP TABLE cells AS FROM {relation}")
            yield Cells(connection, wanted, None, {}, dict.fromkeys(wanted, VALUE)), True
        else:
            yield _text_cells(connection, path, shown, folder, drop=drop, is_bounded=True, **reading)


@contextmanager
def _opened(source: str | Path) -> Iterator[tuple[Path, str, Path]]:
    """Give the path of a table, what to call it, and a folder for what is needed meanwhile."""
    with TemporaryDirectory(prefix="xpmlp-") as name:
        path = _received(Path(name)) if str(source) == STANDARD_INPUT else Path(source)
        shown = "standard input" if str(source) == STANDARD_INPUT else str(source)
        with open_file(path):
            pass
        if not table_suffix(path):
            kinds = ", ".join((*TEXT_SUFFIXES, *PARQUET_SUFFIXES, *FEATHER_SUFFIXES))
            raise InputError(f"{shown} is no table that xpmlp reads: its name must end in one of {kinds}, or in .gz.")
        if escaped(str(path)) != str(path):  # which DuckDB does not take
            link = Path(name) / f"link{table_suffix(path)}{'.gz' * (path.suffix.lower() == '.gz')}"
            link.symlink_to(path.absolute())
            path = link
        yield path, shown, Path(name)


@contextmanager
def _connected(shown: str, folder: Path) -> Iterator[DuckDBPyConnection]:
    import duckdb  # noqa: PLC0415 - slow to import, and needed for files alone

    with _explaining(shown), duckdb.connect(config=SETTINGS | {"temp_directory": str(folder)}) as connection:
        yield connection


def _bound_memory(connection: DuckDBPyConnection, n_columns: int) -> None:
    connection.execute(f"SET memory_limit = '{BASE_MEMORY + COLUMN_MEMORY * n_columns}MB'; SET threads = {THREADS}")


def _text_cells(
    connection: DuckDBPyConnection,
    path: Path,
    shown: str,
    folder: Path,
    *,
    header: bool | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
    missing: Sequence[str] = MISSING,
    drop: Collection[str] = (),
    known: Mapping[str, str] | None = None,
    kinds: Mapping[str, str] | None = None,
    target: str | None = None,
    is_bounded: bool = False,
) -> tuple[Cells, bool]:
    """Read a file of text; return its cells, and whether it has a header."""
    known, kinds = known or {}, kinds or {}
    path = _as_utf8(path, shown, encoding, folder)
    found = find_dialect(connection, path, shown, header=header, separator=separator, known=known, target=target)
    _check_present(shown, found.names, drop)
    wanted = {index: name for index, name in enumerate(found.names) if name not in drop}
    if is_bounded:
        _bound_memory(connection, len(wanted))
    if decimal is None and found.separator == ",":
        decimal = "."
    notes = [f"{shown} {found.note}"] if found.note else []
    cells = Cells(connection, wanted, decimal, {**known, **kinds}, notes=notes)
    cells.load(found.relation(path, missing), found.first, missing)
    return cells, found.has_header


def _received(folder: Path) -> Path:
    """Write standard input to a file, which DuckDB can read more than once."""
    content = sys.stdin.buffer
    start = content.read(4)
    suffix = next((suffix for magic, suffix in MAGIC.items() if start.startswith(magic)), ".csv")
    path = folder / f"input{suffix}"
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


def _parquet_relation(
    connection: DuckDBPyConnection, path: Path, shown: str, drop: Collection[str]
) -> tuple[str, dict[int, str]]:
    """Return the SQL that reads columns c0, c1, ... of a file, and what they are called."""
    file = f"read_parquet('{escape(str(path)).replace(chr(39), chr(39) * 2)}')"
    types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE FROM {file}").fetchall()}
    _check_present(shown, list(types), drop)
    wanted = {index: name for index, name in enumerate(types) if name not in drop}
    chosen = ", ".join(f"{_cast(name, types[name])} AS c{index}" for index, name in wanted.items())
    return f"(SELECT {chosen} FROM {file})", wanted


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
    """Turn errors of DuckDB and of gzip into ours: in which line, what was seen, and what to do."""
    import duckdb  # noqa: PLC0415 - as above

    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # what DuckDB makes of Ctrl-C
            raise KeyboardInterrupt from error
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{shown} is not a complete gzip file ({error}): get it again, or compress it again."
        ) from error
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
        if "Out of Memory" in text:
            raise InputError(
                f"{shown} is too wide to be read by rows in the memory meant for it: leave columns out (--drop), "
                "or write X and y as a folder of .npy (docs/streams.md)."
            ) from error
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        raise InputError(f"{where} cannot be read: {' '.join(lines[:3])}") from error
