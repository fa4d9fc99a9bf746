"""Reading comma-separated values: numbers in the feature columns, a label in one other."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
import re
from array import array
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.validation import MAX_EXACT

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from pathlib import Path

INTEGER = re.compile(r"[+-]?[0-9]{1,18}")  # 18 digits always fit into int64
# NumPy gives every label the room of the longest, 4 bytes a character: one absurd label would take all memory. So no
# label is longer than this, and labels take more than 64 MiB only where that is at most 64 bytes for each character.
MAX_LABEL_LENGTH = 256
SAFE_BYTES = 2**26
MAX_RATIO = 64


class Columns(NamedTuple):
    """What the cells of a row mean."""

    features: Sequence[int]  # their positions, in the order in which they are wanted
    label: int | None = None  # its position, where it is wanted
    names: tuple[str, ...] | None = None  # what the header calls the columns, where there is one
    group: int | None = None  # the position of what rows belong together by, where that is wanted

    def describe(self, index: int) -> str:
        """Say which column this is, as a message names it."""
        return f"column {index + 1}" if self.names is None else f"column {self.names[index]!r}"


class Read(NamedTuple):
    """What a file holds."""

    X: np.ndarray  # (n, d), float64; n may be 0
    y: np.ndarray | None  # (n,), int64, float64 or str: numbers if all of the labels are
    groups: np.ndarray | None  # (n,), str
    columns: Columns  # what was chosen


def read_csv(path: Path, choose: Callable[[list[str]], Columns]) -> Read:
    """Read the features, and the labels where they are wanted, of a file of comma-separated values.

    Cells are stripped of surrounding white space, and blank lines are passed over.

    Parameters
    ----------
    path : Path
        The file: UTF-8, with or without a byte order mark.
    choose : callable
        Takes the cells of the first row and says what they mean; it gives names when that row is a header.

    Returns
    -------
    Read
        The features, and the labels and groups where `choose` named their columns.

    Raises
    ------
    InputError
        For a file that cannot be opened, is empty, is not UTF-8, holds NUL bytes or is not well-formed; with the line
        and the column, for rows of different lengths, missing values and cells that are not finite numbers; and for
        labels so different in length that they would take far more memory than the file.
    """
    numbers: array[float] = array("d")
    labels: list[str] = []
    groups: list[str] = []
    with contextlib.closing(_rows(path)) as rows:
        start, first = next(rows, (0, []))
        if not first:
            raise InputError(f"{path} is empty: give a file with one example per line, its values separated by commas.")
        columns = choose(first)
        if columns.names is not None:
            _check_header(f"{path}, line {start}", first)
        for line, cells in rows if columns.names else itertools.chain([(start, first)], rows):
            where = f"{path}, line {line}"
            if len(cells) != len(first):
                raise InputError(
                    f"{where}: found {len(cells)} cells, but expected {len(first)} as in the first row. "
                    "Give every row the same number of cells, and quote cells that hold commas."
                )
            numbers.extend(_features(where, cells, columns))
            if columns.label is not None:
                labels.append(_label(where, cells[columns.label], columns.describe(columns.label)))
            if columns.group is not None:
                groups.append(_label(where, cells[columns.group], columns.describe(columns.group)))
    X = np.array(numbers, dtype=np.float64).reshape(-1, len(columns.features))
    y = None if columns.label is None else _labels(path, labels)
    return Read(X, y, None if columns.group is None else np.array(groups), columns)


def has_number(cells: Sequence[str]) -> bool:
    """Say whether any of these cells is a number: no header is then assumed."""
    for cell in cells:
        with contextlib.suppress(ValueError):
            float(cell)
            return True
    return False


def _rows(path: Path) -> Generator[tuple[int, list[str]]]:
    with open_file(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(_without_nul(path, text), strict=True)
        try:
            for row in reader:
                cells = [cell.strip() for cell in row]
                if len(cells) > 1 or any(cells):
                    yield reader.line_num, cells
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not UTF-8 text ({error.reason}): save it as CSV in UTF-8.") from error
        except csv.Error as error:
            raise InputError(
                f"{path}, line {reader.line_num}: {error}. Quote a cell that holds commas, quotes or line breaks as a "
                'whole ("like ""this"""), and nothing else.'
            ) from error


def _without_nul(path: Path, text: Iterable[str]) -> Iterator[str]:
    for line in text:
        if "\0" in line:
            raise InputError(f"{path} holds NUL bytes, as no text does (UTF-16 has them): save it as CSV in UTF-8.")
        yield line


def _check_header(where: str, names: Sequence[str]) -> None:
    seen: dict[str, int] = {}
    for index, name in enumerate(names):
        if not name:
            raise InputError(
                f"{where}: column {index + 1} has no name in the header. Name it, or, if it is the index that pandas "
                "writes, save the file with index=False."
            )
        if seen.setdefault(name, index) != index:
            raise InputError(
                f"{where}: columns {seen[name] + 1} and {index + 1} are both called {name!r}. "
                "Give every column a name of its own."
            )


def _features(where: str, cells: Sequence[str], columns: Columns) -> list[float]:
    values = [_number(cells[index]) for index in columns.features]
    if all(map(math.isfinite, values)):
        return values
    bad = next(index for index, value in zip(columns.features, values, strict=True) if math.isnan(value))
    where, cell = f"{where}, {columns.describe(bad)}", cells[bad]
    if not cell:
        raise InputError(f"{where}: the value is missing. Remove the row or fill in a number.")
    shown = cell if len(cell) <= 40 else f"{cell[:40]}..."
    hint = "" if columns.names else " The first line is taken as an example, and not as a header, as it has a number."
    raise InputError(
        f"{where}: {shown!r} is not a finite number such as -1.5e3, as features must be. Remove the row, or the "
        f"column, or replace its strings by numbers.{hint}"
    )


def _label(where: str, cell: str, column: str) -> str:
    if not cell:
        raise InputError(f"{where}, {column}: the label is missing. Remove the row or fill in a label.")
    if len(cell) > MAX_LABEL_LENGTH:
        raise InputError(
            f"{where}, {column}: the label has {len(cell)} characters, but at most {MAX_LABEL_LENGTH} are read. "
            "Give every class a short name."
        )
    return cell


def _number(cell: str) -> float:
    """Return the finite number that a cell holds, or NaN."""
    try:
        value = float(cell)
    except ValueError:
        return math.nan
    # Python reads 1_000 as a number, but in a data file it is more likely a name.
    return value if "_" not in cell and math.isfinite(value) else math.nan


def _labels(path: Path, labels: Sequence[str]) -> np.ndarray:
    longest = max(map(len, labels), default=0)
    room = 4 * longest * len(labels)
    if room > max(SAFE_BYTES, MAX_RATIO * sum(map(len, labels))):
        raise InputError(
            f"{path}: its longest label has {longest} characters, many more than most, and {len(labels)} labels of "
            f"that length would take {room} bytes. Give every class a short name."
        )
    if all(map(INTEGER.fullmatch, labels)):
        return np.array([int(label) for label in labels], dtype=np.int64)
    numbers = np.fromiter(map(_number, labels), np.float64, len(labels))
    exact = np.isfinite(numbers).all() and np.abs(numbers).max(initial=0.0) <= MAX_EXACT
    return numbers if exact else np.array(labels)
