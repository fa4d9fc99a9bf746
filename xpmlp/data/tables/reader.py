"""Reading a table: a file of a user's, by DuckDB, or a frame of another library, by narwhals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.validation import MAX_EXACT, check_choice
from xpmlp.common.wording import quoted
from xpmlp.data.tables.dialect import MISSING, find_dialect
from xpmlp.data.tables.frames import frame_columns
from xpmlp.data.tables.kinds import column_of
from xpmlp.data.tables.table import KINDS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from duckdb import DuckDBPyConnection

TEXT_SUFFIXES = (".csv", ".tsv", ".txt")
SETTINGS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}  # nothing is downloaded


class Relation(NamedTuple):
    """What DuckDB reads from: SQL with its parameters, and what its columns c0, c1, ... are called."""

    sql: str
    parameters: list[Any]
    names: tuple[str, ...]
    dates: tuple[str, ...] = ()


def read_table(
    source: Any,
    *,
    header: bool | None = None,
    separator: str | None = None,
    missing: Sequence[str] = MISSING,
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
    target: str | None = None,
) -> Table:
    """Read a table from a file, or take the frame of another library.

    Parameters
    ----------
    source : str, Path or frame
        A .csv, .tsv or .txt file, as it is or compressed (.gz); a frame of pandas, Polars or another library that
        narwhals knows; a `Table`, which is given back.
    header : bool, optional
        Whether the first line of a file is a header; found by default.
    separator : str, optional
        What separates the columns of a file; found by default.
    missing : sequence of str
        The texts that stand for a missing value.
    kinds : mapping of str to str, optional
        The kinds of some columns, by name, in place of those that are found.
    drop : sequence of str
        Columns to leave out.
    known : mapping of str to str, optional
        Names and kinds of the columns that a model was trained on. A header is known by them, and those that are there
        are read as what they were; `kinds` go before.
    target : str, optional
        The column to predict: a first line that holds its name is a header.

    Returns
    -------
    Table
        All other columns, in their order, each of the kind that its values suggest.

    Raises
    ------
    InputError
        For what cannot be opened or read, columns that are not there, and values that are not of the kind given.
    """
    for kind in (kinds or {}).values():
        check_choice("the kind of a column", kind, KINDS)
    if isinstance(source, Table):
        return source
    known, kinds = known or {}, kinds or {}
    if not isinstance(source, str | Path):
        arrays = {name: values for name, values in frame_columns(source).items() if name not in drop}
        given = dict(known) | dict(kinds)
        return Table("table", tuple(column_of(name, values, given.get(name)) for name, values in arrays.items()))
    path = Path(source)
    with open_file(path):
        pass
    import duckdb  # noqa: PLC0415 - slow to import, and needed for files alone

    connection = duckdb.connect(config=SETTINGS)
    dialect = find_dialect(connection, path, header=header, separator=separator, known=known, target=target)
    sql, parameters = dialect.relation(path, missing)
    relation = Relation(sql, parameters, dialect.names, dialect.dates)
    if absent := [name for name in [*kinds, *drop] if name not in dialect.names]:
        raise InputError(f"{path} has no columns {quoted(absent)}: it has {quoted(dialect.names)}.")
    wanted = [index for index, name in enumerate(dialect.names) if name not in drop]
    given = dict(known) | dict(kinds)
    columns = []
    for index, values in zip(wanted, _fetch(connection, relation, wanted), strict=True):
        name = dialect.names[index]
        columns.append(column_of(name, values, given.get(name)))
    return Table(path.name.partition(".")[0], tuple(columns), dialect.has_header, (dialect.note,) * bool(dialect.note))


def _fetch(connection: DuckDBPyConnection, relation: Relation, wanted: Sequence[int]) -> list[np.ndarray]:
    """Return columns as numbers, dates or texts, each as all of its values allow."""
    texts = [f"nullif(trim(c{index}), '')" for index in wanted]
    tests = [
        f"count({text}), count(try_cast({text} AS DOUBLE)), count(try_cast({text} AS TIMESTAMP)), "
        rf"coalesce(bool_or(regexp_matches({text}, '^[+-]?0[0-9]|_')), false), "
        f"coalesce(max(abs(try_cast({text} AS DOUBLE))), 0)"
        for text in texts
    ]
    sql = f"SELECT {', '.join(tests)} FROM {relation.sql}"  # noqa: S608 - made of names of ours alone
    (counts,) = connection.execute(sql, relation.parameters).fetchall()
    chosen = []
    for number, text in enumerate(texts):
        n, n_numbers, n_dates, is_code, largest = counts[5 * number : 5 * number + 5]
        if n == n_numbers and not is_code and not MAX_EXACT < largest < 1e18:
            chosen.append(f"try_cast({text} AS DOUBLE)")
        elif n == n_dates:
            chosen.append(f"try_cast({text} AS TIMESTAMP)")
        else:
            chosen.append(text)
    named = ", ".join(f"{text} AS c{index}" for index, text in zip(wanted, chosen, strict=True))
    sql = f"SELECT {named} FROM {relation.sql}"  # noqa: S608 - as above
    found = connection.execute(sql, relation.parameters).fetchnumpy()
    return [_filled(found[f"c{index}"]) for index in wanted]


def _filled(values: np.ndarray) -> np.ndarray:
    if isinstance(values, np.ma.MaskedArray):
        gaps, values = values.mask, values.data
        values[gaps] = None if values.dtype == object else np.datetime64("NaT") if values.dtype.kind == "M" else np.nan
    return values
