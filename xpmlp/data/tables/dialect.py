"""How a file of separated values is written: found by DuckDB's sniffer, or as the user says."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from dataclasses import dataclass, replace
from glob import escape
from itertools import pairwise
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
LINE_ENDS = {"\r\n": "\\r\\n", "\n": "\\n", "\r": "\\r"}
COMMENTS = ("#", "%", "//")
NUMBER = re.compile(r"\s*[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?\s*")
FIRST_YEAR, LAST_YEAR = 1500, 2100  # numbers between these are names of columns where they rise by 1
MIN_BELOW = 5  # rows below such names, for these to be told from an example
MAX_FIRST = 200  # rows that are looked at to tell whether the first one is a header
MAX_HEAD = 2**16  # bytes of a file that are looked at before it is sniffed
MAX_COLUMNS = 4096  # DuckDB takes minutes beyond
MAX_SNIFFED = 1000  # columns, beyond which the sniffer takes minutes
MIN_SAMPLE, MAX_SAMPLE = 2048, 20_480  # rows that are sniffed; the sniffer's own is the second
MAX_SAMPLED = 2**20  # cells that are sniffed, where that is not less than the first
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
    line_end: str = "\\n"  # with the backslash, as DuckDB has it
    note: str = ""  # what a user should know of a header that was guessed: the file "has no header ..."
    header_follows: bool = False  # after the lines that are passed over, which else hold it
    first: tuple[tuple[str, ...], ...] = ()  # the cells of the first rows

    def relation(self, path: Path, missing: Sequence[str] = MISSING) -> tuple[str, list[Any]]:
        """Return the SQL that reads the file, with columns c0, c1, ... that are all text, and its parameters."""
        options = {
            "delim": self.separator,
            "quote": self.quote,
            "escape": self.escape,
            "comment": self.comment,
            "new_line": self.line_end,
            "skip": self.skip,
            "header": self.header_follows,
            "nullstr": list(missing),
        }
        given = ", ".join(f"{name} = ?" for name in options)
        columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(len(self.names)))
        sql = f"read_csv(?, auto_detect = false, all_varchar = true, {given}, columns = {{{columns}}})"
        return sql, [escape(str(path)), *options.values()]


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
    n_columns = len(by_hand.names)
    sample = min(max(MAX_SAMPLED // n_columns, MIN_SAMPLE), MAX_SAMPLE)
    found = by_hand if n_columns > MAX_SNIFFED else _sniffed(connection, path, head, separator, sample) or by_hand
    rows = _first_rows(connection, path, found)
    if not found.has_header or found.header_follows:  # else it is R's, which the lines passed over hold
        first = rows[0] if rows else [""] * len(found.names)
        is_header, note = (header, "") if header is not None else _is_header(rows, found, known, target)
        cells = first if is_header else [""] * len(first)
        found = replace(found, names=tuple(cells), has_header=is_header, header_follows=is_header, note=note)
        rows = rows[is_header:]
    names = tuple(name.strip() or f"column {number}" for number, name in enumerate(found.names, start=1))
    if twice := sorted(name for name, count in Counter(names).items() if count > 1):
        raise InputError(f"{shown}: several columns are called {quoted(twice)}. Give every column a name of its own.")
    return replace(found, names=names, first=tuple(rows))


def _head(path: Path) -> list[str]:
    """Return the first lines of a file, as far as they can be decoded."""
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rb") as file:
        text: str = file.read(MAX_HEAD).decode("utf-8-sig", errors="replace")
    return text.splitlines(keepends=True)


def _first_of(head: Sequence[str]) -> int:
    """Return the number of the first line, from 0, that is neither blank nor a comment."""
    lines = (number for number, line in enumerate(head) if line.strip() and not line.startswith(COMMENTS))
    return next(lines, 0)


def _separator_of(head: Sequence[str]) -> str | None:
    """Return which of the usual separators stands in the first line, or None where that leaves it open."""
    found = [separator for separator in SEPARATORS if separator in head[_first_of(head)]]
    return found[0] if len(found) == 1 else None


def _sniffed(
    connection: DuckDBPyConnection, path: Path, head: Sequence[str], separator: str | None, sample: int
) -> Dialect | None:
    """Return what the sniffer finds, or None where it gives up, or passes over lines that are part of the table."""
    import duckdb  # noqa: PLC0415 - slow to import, and needed for files alone

    options = {"nullstr": list(MISSING), "sample_size": sample} | ({} if separator is None else {"delim": separator})
    given = "".join(f", {name} = ?" for name in options)
    written = "Delimiter, Quote, Escape, Comment, NewLineDelimiter"
    facts = f"len(Columns), {written}, SkipRows, HasHeader"
    sql = f"SELECT {facts} FROM sniff_csv(?{given})"
    try:
        (values,) = connection.execute(sql, [escape(str(path)), *options.values()]).fetchall()
    except duckdb.Error:  # reading by the first line says where the trouble is
        return None
    n, *characters, skip, has_header = values
    delimiter, quote, escaped, comment, line_end = ("" if character == EMPTY else character for character in characters)
    found = Dialect(
        names=("",) * n,
        has_header=has_header,
        skip=skip,
        separator=delimiter,
        quote=quote or '"',
        escape=escaped or quote or '"',
        comment=comment,
        line_end=line_end if line_end in LINE_ENDS.values() else _line_end(head),
        header_follows=has_header,
    )
    if all(_is_above(line) for line in head[:skip]):
        return found
    *above, last = head[:skip]
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
    names = ("",) * len(cells)
    return Dialect(names, has_header=False, skip=number, separator=separator, line_end=_line_end(head))


def _line_end(head: Sequence[str]) -> str:
    return next((name for end, name in LINE_ENDS.items() if any(line.endswith(end) for line in head)), "\\n")


def _first_rows(connection: DuckDBPyConnection, path: Path, dialect: Dialect) -> list[tuple[str, ...]]:
    """Return the cells of the first rows, a header among them where there is one."""
    sql, parameters = replace(dialect, header_follows=False).relation(path, [""])
    rows = connection.execute(f"FROM {sql} LIMIT {MAX_FIRST}", parameters).fetchall()
    return [tuple("" if cell is None else cell.strip() for cell in row) for row in rows]


def _is_header(
    rows: Sequence[Sequence[str]], found: Dialect, known: Collection[str], target: str | None
) -> tuple[bool, str]:
    """Return whether the first row is a header, and what to say of it where that is a guess."""
    cells = rows[0] if rows else []
    shown = quoted(cells)
    numbers = [index for index, cell in enumerate(cells) if NUMBER.fullmatch(cell)]
    if (known and set(known) <= set(cells)) or (target in cells and not _is_position(target, len(cells))):
        return True, ""
    if len(numbers) > 1 and all(cells[index] == str(index) for index in numbers):
        return True, f"has {shown} as its header; --no-header takes its first line as an example."
    columns = list(zip(*rows[1:], strict=True))
    is_named = len(rows) > MIN_BELOW and _are_names(cells, columns, numbers)
    n_again = sum(bool(cell) and cell in column for cell, column in zip(cells, columns, strict=False))
    if is_named and not n_again:
        return True, f"has {shown} as its header; --no-header takes its first line as an example."
    if (found.has_header or not numbers) and 2 * n_again < len(cells):
        return True, ""
    return False, f"has no header: its first line is taken as an example ({shown}); --header takes it as a header."


def _are_names(cells: Sequence[str], columns: Sequence[Sequence[str]], numbers: Sequence[int]) -> bool:
    """Whether the numbers of the first row are names of columns, which rise: years, wavelengths and their like.

    They do not continue below: values there are no years, or all are nearer to each other than to a name that is one of
    several in equal steps.
    """
    names = [_to_number(cells[index]) for index in numbers]
    steps = [round(after - before, 9) for before, after in pairwise(names)]
    if not steps or min(steps) <= 0:
        return False
    are_years = FIRST_YEAR <= names[0] < names[-1] <= LAST_YEAR and all(name.is_integer() for name in names)
    are_equal = len(set(steps)) == 1
    for name, index in zip(names, numbers, strict=True):
        below = [_to_number(cell) for cell in columns[index] if NUMBER.fullmatch(cell)]
        low, high = min(below, default=name), max(below, default=name)
        is_far = max(low - name, name - high) > high - low
        n_years = sum(FIRST_YEAR <= value <= LAST_YEAR for value in below)
        if not ((are_equal and is_far) or (are_years and 2 * n_years <= len(below))):
            return False
    return True


def _is_position(target: str | None, n_columns: int) -> bool:
    """Whether a target is the number of a column, and not its name."""
    return target is not None and target.isdecimal() and int(target) <= n_columns


def _to_number(cell: str) -> float:
    return float(cell.replace(",", "."))
