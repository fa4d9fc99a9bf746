"""The one door for tables: a file of a user's, or a frame of another library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice
from xpmlp.common.wording import escaped, quoted
from xpmlp.data.tables.dates import check_date_format
from xpmlp.data.tables.dialect import MISSING
from xpmlp.data.tables.files import STANDARD_INPUT, FileColumns, file_columns
from xpmlp.data.tables.frames import frame_columns
from xpmlp.data.tables.kinds import column_of
from xpmlp.data.tables.table import KINDS, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def read_table(
    source: Any,
    *,
    header: bool | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    encoding: str = "utf-8",
    missing: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
    target: str | None = None,
) -> Table:
    """Read a table from a file, or take the frame of another library.

    Parameters
    ----------
    source : str, Path or frame
        A file of text (.csv, .tsv, .txt), as it is or compressed (.gz), of Parquet (.parquet, .pq) or of Feather
        (.feather, .arrow, .ipc); "-" for standard input; a frame of pandas, Polars or another library that narwhals
        knows; or a `Table`, which is given back.
    header : bool, optional
        Whether the first line of a file of text is a header; found by default.
    separator : str, optional
        What separates the columns of a file of text; found by default.
    decimal : {".", ","}, optional
        What stands before the decimals of a number; found by default.
    encoding : str
        Of a file of text, as Python calls it.
    missing : sequence of str
        What stands for a missing value in a file of text, beside nothing, NA, NaN, null, ? and their like.
    kinds : mapping of str to str, optional
        The kinds of some columns, by name, in place of those that are found. "date:%d/%m/%Y" says how the dates are
        written too, as `datetime.strptime` has it; "date:ISO" is ISO 8601.
    drop : sequence of str
        Columns to leave out.
    known : mapping of str to str, optional
        Names and kinds of the columns that a model was trained on, as in `kinds`. A header is known by them, and those
        that are there are read as what they were; `kinds` go before.
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
    BackendError
        For a file of Feather where Polars is not installed.
    """
    if isinstance(source, Table):
        return source
    known, kinds = known or {}, kinds or {}
    check_reading(kinds, decimal)
    if isinstance(source, str | Path):
        is_input = str(source) == STANDARD_INPUT
        name = "standard input" if is_input else escaped(Path(source).name.partition(".")[0])
        read = file_columns(
            source,
            header=header,
            separator=separator,
            decimal=decimal,
            encoding=encoding,
            missing=[*MISSING, *missing],
            drop=drop,
            known=known,
            kinds=kinds,
            target=target,
        )
    else:
        name, read = "table", FileColumns(frame_columns(source))
        for each in drop:
            read.arrays.pop(each, None)
    if absent := [each for each in kinds if each not in read.arrays]:
        raise InputError(f"{name} has no column {quoted(absent)}: it has {quoted(list(read.arrays))}.")
    given = {**known, **kinds}
    formats = read.date_formats
    columns = tuple(
        column_of(each, values, given.get(each), date_formats=formats.get(each, ()))
        for each, values in read.arrays.items()
    )
    return Table(name, columns, read.has_header, tuple(read.notes))


def check_reading(kinds: Mapping[str, str], decimal: str | None) -> None:
    """Raise an `InputError` for kinds of columns that there are not, and what cannot stand before decimals."""
    for kind in kinds.values():
        plain, colon, date_format = kind.partition(":")
        check_choice("the kind of a column", plain if plain == "date" else kind, KINDS)
        if colon:
            check_date_format(date_format)
    if decimal is not None:
        check_choice("decimal", decimal, (".", ","))
