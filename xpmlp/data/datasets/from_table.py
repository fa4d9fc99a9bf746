"""From a table to what a network is given: numbers in the columns of features, and the labels of another column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import MAX_EXACT
from xpmlp.common.wording import counted, quoted
from xpmlp.data.datasets.dataset import Dataset
from xpmlp.data.features import positions_of
from xpmlp.data.tables import Table, plain_numbers, read_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from xpmlp.data.tables import Column

# NumPy gives every label the room of the longest, 4 bytes a character: one absurd label would take all memory. So no
# label is longer than this, and labels take more than 64 MiB only where that is at most 64 bytes for each character.
MAX_LABEL_LENGTH = 256
SAFE_BYTES = 2**26
MAX_RATIO = 64


class ColumnSchema(NamedTuple):
    """The columns of the data that a model was trained on, by which those of other data are found."""

    feature_names: tuple[str, ...]  # none where they had no header
    target: str | None
    n_features: int
    classes: np.ndarray | None = None  # by which labels are read: 1 in a file is the "1" of a model, and 0.0 is 0
    kinds: Mapping[str, str] | None = None  # of the columns, where the model takes a table


class Features(NamedTuple):
    """Examples to predict, and what is known of how they were read."""

    X: np.ndarray | Table
    note: str | None = None
    kept: tuple[tuple[str, list[str]], ...] = ()  # columns to put beside the predictions: name and texts


def load_table(
    path: Path,
    target: str | None,
    schema: ColumnSchema | None,
    *,
    group: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Dataset:
    """Load a table; its features are an array where all of them are numbers, without gaps.

    Parameters
    ----------
    path : Path
        A file, as `read_table` takes it.
    target : str, optional
        The label's column: its name, or its number, from 1. By default the schema's, or the last one.
    schema : ColumnSchema, optional
        The columns that a model was trained on: these alone are taken, by name where both have names.
    group : str, optional
        The column by which rows belong together, which is no feature then.
    reading : mapping, optional
        Keywords of `read_table`.

    Raises
    ------
    InputError
        For columns that are not there, or that hold no numbers where a model takes numbers, and for labels that are
        missing.
    """
    wanted = schema.feature_names if schema else ()
    named = schema.target if schema and target is None else target
    kinds = schema.kinds if schema else None
    table = read_table(path, known=kinds or dict.fromkeys(wanted, "number"), target=named, **(reading or {}))
    if len(table.columns) < 2:
        raise InputError(
            f"{path} has one column, {table.names[0]!r}, but needs features and a label. Where its columns are "
            "separated by another character than a comma, name it: --separator ';'."
        )
    if target is None and not table.has_header and not (named or "").isdecimal():
        named = None  # a model's own target is a name, and there are none
    label = label_column(path, table, named, is_model=schema is not None)
    if schema is None:
        check_label(path, label)
        if not table.has_header and (reading or {}).get("header") is None:
            _check_first_label(path, label)
    notes = list(table.notes)
    if 0 < (gaps := int(label.missing.sum())) < len(table):  # nothing can be learnt from these rows, or compared
        table = table.take(~label.missing)
        label = table[label.name]
        notes.append(f"{counted(gaps, 'row')} without a value in column {label.name!r}, the target: left out.")
    groups = None if group is None else _groups(path, table, label, group)
    others = table.without([label.name, *([] if group is None else [group])])
    if schema is not None:
        others = _of_schema(path, table, label, others, schema)
    origin = ""
    if named is None:
        among = quoted(table.names) if table.has_header else f"1 to {len(table.columns)}"
        origin = f"the last column, {label.name!r}, as no --target is given ({among})"
    is_table = bool(kinds) or (schema is None and not _all_numbers(others))
    if origin and (is_table or not table.has_header):
        notes.append(f"The label is {origin}.")
    if schema is None and not is_table:
        notes += [identifier_note(column) for column in others.columns if column.kind == "identifier"]
    return Dataset(
        table.name,
        others if is_table else numeric_features(path, others, f" The label is {origin}." if origin else ""),
        _labels(path, label, None if schema is None else schema.classes),
        feature_names=tuple(others.names) if table.has_header else None,
        note=" ".join(notes) or None,
        columns=tuple(table.summary()),
        target_name=label.name if table.has_header else None,
        groups=groups,
        origin=origin,
    )


def _of_schema(path: Path, table: Table, label: Column, others: Table, schema: ColumnSchema) -> Table:
    """Return the columns of a model among those beside the label; all of them where it takes a table."""
    wanted = schema.feature_names
    if schema.kinds or (wanted and _has_names(table, wanted)):
        if label.name in wanted:
            free = quoted([name for name in table.names if name not in wanted])
            hint = f"choose the target among {free}" if free else "it has no others, so add one with the labels"
            raise InputError(f"the label's column in {path} would be {label.name!r}, a feature of the model: {hint}.")
        positions_of(wanted, others.names, str(path))
        return others if schema.kinds else others.select(wanted)
    if len(others.columns) != schema.n_features:
        raise InputError(
            f"{path} has {counted(len(table.columns), 'column')}, but must have {schema.n_features + 1}: the "
            f"{counted(schema.n_features, 'feature')} that the model was trained on, and the label."
        )
    return others


def _groups(path: Path, table: Table, label: Column, group: str) -> np.ndarray:
    """Return what group each row is of, (n,)."""
    if table.has_header and group in table and group != label.name:
        _check_complete(path, table[group], "group", "Remove the rows, or give each the group that it belongs to")
        return _labels(path, table[group], None)
    what = f"has the columns {quoted(table.names)}" if table.has_header else "has no header"
    raise InputError(f"the group {group!r} must be a column beside the target, but {path} {what}.")


def table_features(
    path: Path,
    n_features: int,
    wanted: Sequence[str],
    keep: Sequence[str],
    kinds: Mapping[str, str] | None,
    reading: Mapping[str, Any],
) -> Features:
    """Read the features of a table; parameters and errors are those of `read_features`."""
    table = read_table(path, known=kinds or dict.fromkeys(wanted, "number"), **reading)
    kept = tuple((name, [column.text(v) for v in column.values]) for name in keep for column in [table[name]])
    note = " ".join(table.notes) or None
    if kinds:
        return Features(table, note, kept)
    if wanted and _has_names(table, wanted):
        positions_of(wanted, table.names, str(path))
        table = table.select(wanted)
    else:
        others = table.without(keep)
        check_count(path, len(others.columns), n_features)
        table = others
    return Features(numeric_features(path, table), note, kept)


def _all_numbers(table: Table) -> bool:
    """Whether all columns are numbers, without gaps."""
    return all(plain_numbers(column) is not None and not column.missing.any() for column in table.columns)


def _has_names(table: Table, wanted: Sequence[str]) -> bool:
    """Whether columns are found by their names; 0, 1, ... are those of a frame without names, if not the model's."""
    are_numbers = all(name.isdecimal() for name in table.names)
    return table.has_header and not (are_numbers and not set(wanted) & set(table.names))


def check_count(path: Path, found: int, expected: int) -> None:
    """Raise an `InputError` unless a file has as many columns as a model was trained on."""
    if found != expected:
        hint = " Remove the label's column, or name the columns in a header." if found == expected + 1 else ""
        columns, features = counted(found, "column"), counted(expected, "feature")
        raise InputError(f"{path} has {columns}, but the model was trained on {features}.{hint}")


def label_column(path: Path, table: Table, target: str | None, *, is_model: bool) -> Column:
    """Return the column that a target names, or whose number, from 1, it is; the last one where it is None.

    Raises
    ------
    InputError
        Where there is none; for a model (`is_model`) with a hint.
    """
    if target is None:
        return table.columns[-1]
    if target in table:
        return table[target]
    if target.isdecimal() and 1 <= int(target) <= len(table.columns):
        return table.columns[int(target) - 1]
    if not table.has_header:
        raise InputError(
            f"{path} has no header, so that no column is called {target!r}: add a header, or give the number of the "
            f"column, 1 to {len(table.columns)} (the last column is the label by default)."
        )
    several = [name.strip() for name in target.split(",")]
    if len(several) > 1 and all(name in table for name in several):
        raise InputError(
            f"the target is {target!r}, but must be one column: train a model for each of {quoted(several)}."
        )
    hint = " For a file without labels, use `xpmlp predict`." if is_model else ""
    raise InputError(
        f"{path} has no column {target!r}: choose the target, the label's column, among {quoted(table.names)}.{hint}"
    )


def check_label(path: Path, label: Column) -> None:
    """Raise an `InputError` for a column that does no more than to tell the rows apart."""
    if label.kind == "identifier":
        number = ""
        if plain_numbers(label) is not None:
            number = f", or say that it is an amount (--kinds {_shell(f'{label.name}=number')})"
        raise InputError(
            f"{path}, column {label.name!r} tells the rows apart, and can be no target: each row has its own value. "
            f"Choose another target (--target NAME){number}."
        )


def _check_first_label(path: Path, label: Column) -> None:
    """Raise an `InputError` where a text in the first line seems to be the name of the column."""
    if label.values.dtype != object or not len(label):
        return
    first, others = label.values[0], set(label.values[1:])
    if first is not None and first not in others and len(others) < len(label) - 1:
        raise InputError(
            f"{path}, column {label.name!r}: {first!r} is in the first line alone, as the name of a column is. Say "
            "whether that line is a header (--header) or an example (--no-header)."
        )


def identifier_note(column: Column) -> str:
    """Say that a feature tells the rows apart, and how to leave it out."""
    return (
        f"Column {column.name!r} tells the rows apart, and may say nothing else: --drop {_shell(column.name)} leaves "
        "it out."
    )


def _shell(text: str) -> str:
    return f"'{text}'" if " " in text else text


def numeric_features(path: Path, table: Table, hint: str = "") -> np.ndarray:
    """Return the columns of a table as features, float64 of shape (n, d); a `hint` ends what is said of others.

    A gap becomes NaN.

    Raises
    ------
    InputError
        For columns that hold no numbers.
    """
    if not len(table):
        raise InputError(f"{path} has no rows: at least one example is needed.")
    arrays = {c.name: np.full(len(c), np.nan) if c.missing.all() else plain_numbers(c) for c in table.columns}
    if others := [column for column in table.columns if arrays[column.name] is None]:
        shown = ", ".join(f"{column.name!r} ({column.kind}: {_examples(column)})" for column in others[:4])
        more = f" and {len(others) - 4} more" if len(others) > 4 else ""
        names = _shell(",".join(column.name for column in others))
        what = f"features must be numbers, but some columns are not: {shown}{more}"
        raise InputError(f"{path}: {what}. To leave them out, give --drop {names}, or else replace them.{hint}")
    return np.column_stack([values for values in arrays.values() if values is not None])


def _examples(column: Column) -> str:
    values = [column.text(value) for value in column.distinct[:2]]
    return ", ".join(repr(value if len(value) <= 40 else f"{value[:40]}...") for value in values)


def _labels(path: Path, column: Column, classes: np.ndarray | None) -> np.ndarray:
    """Return labels as integers or strings, by the classes of a model where there is one; amounts as float64."""
    where = f"{path}, column {column.name!r}"
    _check_complete(path, column, "label", "Remove the rows or fill in labels")
    numbers = plain_numbers(column)
    if classes is not None and classes.dtype.kind == "U":
        known = {_key(label): label for label in classes.tolist()}
        texts = [column.text(value) for value in column.values]
        return _strings(where, [text if text in classes else known.get(_key(text), text) for text in texts])
    if numbers is None and classes is not None:
        known_numbers = {float(label) for label in classes}
        keys = [_key(value) for value in column.distinct]
        if all(key in known_numbers for key in keys):
            numbers = np.array([_key(value) for value in column.values])
    if numbers is not None:
        is_whole = (np.abs(numbers) <= MAX_EXACT).all() and (numbers == np.floor(numbers)).all()
        return numbers.astype(np.int64) if is_whole else numbers
    return _strings(where, [column.text(value) for value in column.values])


def _check_complete(path: Path, column: Column, noun: str, what_to_do: str) -> None:
    if count := int(column.missing.sum()):
        row = int(np.argmax(column.missing)) + 1
        raise InputError(
            f"{path}, column {column.name!r}: {counted(count, noun)} missing, the first in row {row}. {what_to_do}."
        )


def _key(label: str) -> float | str:
    """Return what two labels have in common that are the same: 1, 1.0 and 1e0; true and True."""
    try:
        return float(label)
    except ValueError:
        return label.lower() if label.lower() in {"true", "false"} else label


def check_label_length(where: str, longest: int) -> None:
    """Raise an `InputError` for labels that would take too much memory, where the longest has so many characters."""
    if longest > MAX_LABEL_LENGTH:
        raise InputError(
            f"{where}: a label has {longest} characters, but at most {MAX_LABEL_LENGTH} are read. Give every class a "
            "short name, or choose another target (--target NAME)."
        )


def _strings(where: str, labels: Sequence[str]) -> np.ndarray:
    longest = max(map(len, labels), default=0)
    check_label_length(where, longest)
    room = 4 * longest * len(labels)
    if room > max(SAFE_BYTES, MAX_RATIO * sum(map(len, labels))):
        raise InputError(
            f"{where}: its longest label has {longest} characters, many more than most, and {len(labels)} labels of "
            f"that length would take {room} bytes. Give every class a short name."
        )
    return np.array(labels)
