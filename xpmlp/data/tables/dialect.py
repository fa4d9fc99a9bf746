"""How a file of separated values is written: found by DuckDB's sniffer, or as the user says."""

from __future__ import annotations

import csv
import gzip
import re
from dataclasses import dataclass, replace
from glob import escape
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

# What stands for a missing value, by default.
MISSING = ("", "?", "#N/A", "<NA>", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null")
SEPARATORS = (",", ";", "\t", "|")
COMMENTS = ("#", "%", "//")
NUMBER = re.compile(r"\s*[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?\s*")
MAX_HEAD = 2**16  # bytes of a file that are looked at before it is sniffed
MAX_COLUMNS = 4096  # DuckDB takes minutes beyond
MAX_SNIFFED = 1000  # columns, beyond which the sniffer takes minutes
EMPTY = "(empty)"  # how the sniffer says that there is no such character


@dataclass(frozen=True)
class Dialect:
    """How the rows of a file are written, and what its columns are called."""

    names: tuple[str, ...]
    has_header: bool
    skip: int  # lines that are passed over
    separator: str
    quote: str = '"'
    escape: str = '"'
    comment: str = ""
    dates: tuple[str, ...] = ()  # formats of dates that are not as ISO 8601 has them
    note: str = ""  # what a user should know of a header that was guessed
    header_follows: bool = False  # after the lines that are passed over, which else hold it

    def relation(
        self, path: Path, missing: Sequence[str] = MISSING, *, collect_errors: bool = False
    ) -> tuple[str, list[Any]]:
        """Return the SQL that reads the file, with columns c0, c1, ... that are all text, and its parameters."""
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(self.names)))
        more = ", store_rejects = true, rejects_limit = 1" if collect_errors else ""
        sql = (
            "read_csv(?, auto_detect = false, all_varchar = true, delim = ?, quote = ?, escape = ?, comment = ?, "
            f"skip = ?, header = ?, nullstr = ?, columns = {{{columns}}}{more})"
        )
        parameters = [
            self.separator,
            self.quote,
            self.escape,
            self.comment,
            self.skip,
            self.header_follows,
            list(missing),
        ]
        return sql, [escape(str(path)), *parameters]


def find_dialect(
    connection: DuckDBPyConnection,
    path: Path,
    shown: str,
    *,
    header: bool | None = None,
    separator: str | None = None,
    known: Collection[str] = (),
    target: str | None = None,
) -> Dialect:
    """Find how a file is written.

    Parameters
    ----------
    connection : DuckDBPyConnection
        What reads it.
    path : Path
        A file in UTF-8, compressed by gzip or not.
    shown : str
        What to call it in messages.
    header : bool, optional
        Whether its first line is a header; found by default.
    separator : str, optional
        What separates its columns; found by default.
    known : collection of str
        The columns that a model was trained on: a line that holds them all is a header.
    target : str, optional
        A column that the user names: a line that holds it is a header.

    Raises
    ------
    InputError
        For a file that is empty, and for a header with a name that stands there twice.
    """
    head = _head(path)
    if not any(line.strip() for line in head):
        raise InputError(f"{shown} is empty: give a file with one example per line.")
    if any("\0" in line for line in head):
        raise InputError(f"{shown} holds NUL bytes, as no text does (UTF-16 has them): save it as CSV in UTF-8.")
    separator = separator or _separator_of(head)
    by_hand = _of_first_line(head, separator)
    if len(by_hand.names) > MAX_COLUMNS:
        raise InputError(
            f"{shown} has {len(by_hand.names):,} columns, but at most {MAX_COLUMNS:,} are read from a table: write X "
            "and y by numpy.savez."
        )
    found = by_hand if len(by_hand.names) > MAX_SNIFFED else _sniffed(connection, path, head, separator) or by_hand
    if not found.has_header or found.header_follows:  # else it is R's, which the lines passed over hold
        first = _first_row(connection, path, found)
        is_header, note = (header, "") if header is not None else _is_header(first, found, known, target)
        cells = first if is_header else [""] * len(first)
        found = replace(found, names=tuple(cells), has_header=is_header, header_follows=is_header, note=note)
    names = tuple(name.strip() or f"column {number}" for number, name in enumerate(found.names, start=1))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{shown}: several columns are called {quoted(twice)}. Give every column a name of its own.")
    return replace(found, names=names)


def _head(path: Path) -> list[str]:
    """Return the first lines of a file, as far as they can be decoded."""
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        text: str = file.read(MAX_HEAD).decode("utf-8-sig", errors="replace")
    return text.splitlines()


def _first_of(head: Sequence[str]) -> int:
    """Return the number of the first line, from 0, that is neither blank nor a comment."""
    lines = (number for number, line in enumerate(head) if line.strip() and not line.startswith(COMMENTS))
    return next(lines, 0)


def _separator_of(head: Sequence[str]) -> str | None:
    """Return which of the usual separators stands in the first line, or None where that leaves it open."""
    found = [separator for separator in SEPARATORS if separator in head[_first_of(head)]]
    return found[0] if len(found) == 1 else None


def _sniffed(connection: DuckDBPyConnection, path: Path, head: Sequence[str], separator: str | None) -> Dialect | None:
    """Return what the sniffer finds, or None where it gives up, or passes over lines that are part of the table."""
    import duckdb  # noqa: PLC0415 - slow to import, and needed for files alone

    options = {"nullstr": list(MISSING)} | ({} if separator is None else {"delim": separator})
    given = "".join(f", {name} = ?" for name in options)
    columns = "Columns, Delimiter, Quote, Escape, Comment, SkipRows, HasHeader, DateFormat, TimestampFormat"
    sql = f"SELECT {columns} FROM sniff_csv(?{given})"
    try:
        (values,) = connection.execute(sql, [escape(str(path)), *options.values()]).fetchall()
    except duckdb.Error:  # reading by the first line says where the trouble is
        return None
    fields, *characters, skip, has_header, date, timestamp = values
    delimiter, quote, escaped, comment = ("" if character == EMPTY else character for character in characters)
    found = Dialect(
        names=("",) * len(fields),
        has_header=has_header,
        skip=skip,
        separator=delimiter,
        quote=quote or '"',
        escape=escaped or quote or '"',
        comment=comment,
        dates=tuple(each for each in (date, timestamp) if each),
        header_follows=has_header,
    )
    if all(_is_above(line) for line in head[:skip]):
        return found
    (*above, last), n = head[:skip], len(fields)
    cells = next(csv.reader([last], delimiter=delimiter))
    if all(map(_is_above, above)) and len(cells) == n - 1 and not any(map(NUMBER.fullmatch, cells)):
        return replace(found, names=("row names", *cells), has_header=True)
    return None


def _is_above(line: str) -> bool:
    """Whether a line is blank, a comment or a title, and no part of the table below it."""
    return line.startswith(COMMENTS) or not any(separator in line for separator in SEPARATORS)


def _of_first_line(head: Sequence[str], separator: str | None) -> Dialect:
    """Return a dialect that takes the first line as it stands."""
    number = _first_of(head)
    separator = separator or max(SEPARATORS, key=head[number].count)
    cells = next(csv.reader([head[number]], delimiter=separator))
    return Dialect(names=("",) * len(cells), has_header=False, skip=number, separator=separator)


def _first_row(connection: DuckDBPyConnection, path: Path, dialect: Dialect) -> list[str]:
    """Return the cells of the first row, whatever it is."""
    sql, parameters = replace(dialect, header_follows=False).relation(path, [""])
    row = connection.execute(f"FROM {sql} LIMIT 1", parameters).fetchone()
    return ["" if cell is None else cell.strip() for cell in row or dialect.names]


def _is_header(cells: Sequence[str], found: Dialect, known: Collection[str], target: str | None) -> tuple[bool, str]:
    """Return whether a first row is a header, and what to say of it where that is a guess."""
    shown = quoted(cells)
    numbers = [index for index, cell in enumerate(cells) if NUMBER.fullmatch(cell)]
    if (known and set(known) <= set(cells)) or (target in cells and not NUMBER.fullmatch(target or "")):
        return True, ""
    if len(numbers) > 1 and all(cells[index] == str(index) for index in numbers):
        return True, f"Its first line, {shown}, is taken as a header; --no-header takes it as an example."
    if found.has_header or not numbers:
        return True, ""
    return False, f"It has no header: its first line, {shown}, is taken as an example; --header takes it as a header."
