"""Tables larger than memory: prepared in batches into arrays on disk, which are then read as a folder of .npy is."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Any
from weakref import finalize

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.wording import counted, quoted
from xpmlp.data.datasets.from_table import check_label, check_label_length, identifier_note, label_column
from xpmlp.data.streams.formats import NpyRows
from xpmlp.data.streams.load import describe, draw_parts
from xpmlp.data.streams.source import Source, rows_of_block
from xpmlp.data.tables import STANDARD_INPUT, Table
from xpmlp.data.tables.files import FEATHER_SUFFIXES, TEXT_SUFFIXES, table_suffix
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.data.tables.stored import store_table
from xpmlp.data.targets import check_recurring

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from xpmlp.data.datasets import Splits
    from xpmlp.data.streams.load import StreamedData
    from xpmlp.data.streams.source import Part
    from xpmlp.data.tables import Column
    from xpmlp.data.tables.stored import StoredTable

MAX_IN_MEMORY = 2**30  # bytes of text; what is larger is read by rows
COMPRESSION = 4  # how many bytes of text a byte of a compressed file or of Parquet stands for
MAX_SAMPLED = 2**21  # cells of the training part by which the preparation is learnt, about
PLAIN = ("number", "whole number")
WIDEST = 24  # characters of a number or a date as a label


def is_large_table(source: str) -> bool:
    """Whether a file is a table that is read by rows: its size decides, and not for standard input and Feather."""
    suffix = "" if source == STANDARD_INPUT else table_suffix(Path(source))
    return bool(suffix) and suffix not in FEATHER_SUFFIXES and _text_bytes(Path(source)) > MAX_IN_MEMORY


def _text_bytes(path: Path) -> int:
    """Return about how many bytes a table takes as text; 0 where there is none."""
    size = os.path.getsize(path) if os.path.isfile(path) else 0  # noqa: PTH113, PTH202 - pathlib raises for names that are too long
    return size if path.suffix.lower() in TEXT_SUFFIXES else COMPRESSION * size


def load_table_stream(
    path: str | Path,
    *,
    target: str | None = None,
    reading: Mapping[str, Any] | None = None,
    validation: float = 0.0,
    test: float = 0.0,
    seed: int = 0,
    task: str = "auto",
    order: str = "random",
    scaling: str = "standard",
    dtype: str = "float32",
) -> tuple[StreamedData, Splits[tuple[Part, None]]]:
    """Read a table in batches, and prepare its rows into a temporary folder, which is removed with the data.

    The kinds of the columns are decided on all rows. Where all features are numbers without gaps, they are written as
    they are. Else a `TablePreparation` is learnt from the rows of the training part: from all of them, or from a random
    sample where they have more than about 2^21 cells.

    Parameters
    ----------
    path : str or Path
        A file of text or Parquet.
    target : str, optional
        The label's column: its name, or its number, from 1; the last one by default.
    reading : mapping, optional
        Keywords of `read_table`.
    validation, test, seed, task, order
        As for `load_stream`.
    scaling : {"standard", "robust", "range", "none"}
        Of a `TablePreparation`.
    dtype : {"float32", "float64"}
        Of the features that it prepares.

    Returns
    -------
    data : StreamedData
        With the preparation, if any, and a note on what was learnt from which rows.
    parts : Splits
        Pairs of a `Part` and None, as of `load_stream`.

    Raises
    ------
    InputError
        As `read_table` and `load_stream`; for infinite values, and where the disk has no room.
    """
    path = Path(path)
    needed, free = 2 * _text_bytes(path), shutil.disk_usage(gettempdir()).free
    if free < needed:
        raise InputError(
            f"{path} needs about {needed / 1e9:.1f} GB in {gettempdir()} during the training, but {free / 1e9:.1f} GB "
            "are free: make room, or name another folder in the environment variable TMPDIR."
        )
    with store_table(path, target=target, **(reading or {})) as table:
        writer = _Writer(path, table, target)
        label = table.facts[writer.label]
        if task == "auto" and label.plain_kind == "text":
            check_recurring(label.n_distinct, label.n, f"column {writer.label!r} of {path}")
        numbers = draw_parts(
            table.name, -(-writer.n // writer.block_rows), validation=validation, test=test, seed=seed, order=order
        )
        if not writer.is_plain:
            writer.learn(numbers["train"], scaling, seed)
        folder = Path(mkdtemp(prefix="xpmlp-"))
        try:
            writer.write(folder, dtype)
            X, y = (NpyRows(folder / f"{each}.npy", each) for each in "Xy")
            source = Source(table.name, X, y, block_rows=writer.block_rows, target=writer.label)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    finalize(source, shutil.rmtree, folder, ignore_errors=True)
    facts = table.facts.values()
    columns = ((f.name, table.kinds[f.name].partition(":")[0], f.n_distinct, f.n_rows - f.n, f.example) for f in facts)
    return describe(
        source,
        numbers,
        task=task,
        feature_names=tuple(writer.kinds) if table.has_header else None,
        target_name=writer.label if table.has_header else None,
        note=" ".join(writer.notes),
        columns=tuple(columns),
        preparation=writer.preparation,
    )


class _Writer:
    """Writes the features and the targets of a stored table as arrays."""

    def __init__(self, path: Path, table: StoredTable, target: str | None) -> None:
        head = next(iter(table.batches(table.kinds, 1)), None)
        if head is None or len(head.columns) < 2:
            raise InputError(f"{path} needs rows with features and a label, but has {quoted(list(table.kinds))}.")
        self._path, self._table = path, table
        label = label_column(path, head, target, is_model=False)
        check_label(path, label)
        self.label = label.name
        facts, kind = table.facts[self.label], table.kinds[self.label]
        self.n, self._longest = facts.n, max(facts.longest, WIDEST)
        where = f"{path}, column {self.label!r}"
        if not self.n:
            raise InputError(f"{where}: all labels are missing.")
        check_label_length(where, facts.longest)
        self._has_numbers = facts.plain_kind in PLAIN and kind in {*PLAIN, "constant"}
        self._label_kind = facts.plain_kind if self._has_numbers else kind
        self.kinds = {name: kind for name, kind in table.kinds.items() if name != self.label}
        self.is_plain = all(map(self._is_plain, self.kinds))
        self.block_rows = rows_of_block(8 * len(self.kinds), self.n)
        self.preparation: TablePreparation | None = None
        said = f"{path} is read by rows, as it is larger than {MAX_IN_MEMORY / 2**30:g} GiB as text."
        self.notes = [*table.notes, said]
        if facts.n < table.n_rows:
            gaps = counted(table.n_rows - facts.n, "row")
            self.notes.append(f"{gaps} without a value in column {self.label!r}, the target: left out.")
        if self.is_plain:
            self.notes += [identifier_note(head[name]) for name, kind in self.kinds.items() if kind == "identifier"]
        if target is None:
            self.notes.append(f"The label is the last column, {self.label!r}, as no --target is given.")

    def learn(self, blocks: np.ndarray, scaling: str, seed: int) -> None:
        """Learn the preparation from some rows of the training part, the blocks with these numbers."""
        is_training = np.zeros(-(-self.n // self.block_rows), np.bool_)
        is_training[blocks] = True
        ends = np.minimum((blocks + 1) * self.block_rows, self.n)
        n = int(np.sum(ends - blocks * self.block_rows))
        share, rng, sample = MAX_SAMPLED / (n * len(self.kinds)), make_generator(seed, "parts", 1), []
        for start, X, _ in self._rows(self.kinds):
            rows = np.arange(start, start + len(X))
            sample.append(X.take(is_training[rows // self.block_rows] & (rng.random(rows.size) < share)))
        columns = [
            replace(column, values=np.concatenate([X[column.name].values for X in sample]))
            for column in sample[0].columns
        ]
        table = Table(self._table.name, tuple(columns), self._table.has_header)
        # Without targets: rows are written once, for training and scoring alike, so none can be spared its own target.
        self.preparation = TablePreparation.fit(table, scaling)
        n_learnt = f"{len(table):,} of the {n:,}" if len(table) < n else f"all {n:,}"
        self.notes.append(f"What becomes of the columns was learnt from {n_learnt} rows of the training part.")

    def write(self, folder: Path, dtype: str) -> None:
        """Write X.npy and y.npy."""
        prepared = self.preparation
        d = len(self.kinds if prepared is None else prepared.feature_names_out)
        number = "f8" if self._label_kind == "number" else "i8"
        label_dtype = np.dtype(number if self._has_numbers else f"U{self._longest}")
        kinds = dict.fromkeys(self.kinds, "number") if prepared is None else prepared.kinds
        unseen: set[str] = set()
        try:
            with (folder / "X.npy").open("wb") as x_file, (folder / "y.npy").open("wb") as y_file:
                _write_header(x_file, (self.n, d), np.dtype(np.float64 if prepared is None else dtype))
                _write_header(y_file, (self.n,), label_dtype)
                for _, X, label in self._rows(kinds):
                    values = label.values if self._has_numbers else [label.text(value) for value in label.values]
                    y_file.write(np.array(values).astype(label_dtype).tobytes())
                    if prepared is None:
                        x_file.write(np.column_stack([column.values for column in X.columns]).tobytes())
                        continue
                    x_file.write(prepared.apply(X, dtype).tobytes())
                    unseen |= {each.name for each in prepared.used if each.unseen(X[each.name])}
        except OSError as error:
            raise InputError(
                f"{folder} cannot be written to: {error}. Make room, or name another in TMPDIR."
            ) from error
        if unseen:
            what = "are treated as at prediction (docs/tables.md)"
            self.notes.append(f"Values of {quoted(sorted(unseen))} that these rows have not {what}.")

    def _is_plain(self, name: str) -> bool:
        """Whether a column is a number of each example, however it is called."""
        facts, kind = self._table.facts[name], self._table.kinds[name]
        return facts.plain_kind in PLAIN and facts.n == facts.n_rows and kind in {*PLAIN, "constant", "identifier"}

    def _rows(self, kinds: dict[str, str]) -> Iterator[tuple[int, Table, Column]]:
        """Give the rows with a label in batches: the number of the first one, the features and the labels."""
        start = 0
        for batch in self._table.batches({**kinds, self.label: self._label_kind}):
            there = ~batch[self.label].missing
            rows = batch if there.all() else batch.take(there)
            if len(rows):
                _check_finite(rows, start)
                yield start, rows.without([self.label]), rows[self.label]
            start += len(rows)


def _check_finite(X: Table, start: int) -> None:
    for column in X.columns:
        if column.is_numeric and (infinite := np.isinf(column.values)).any():
            row = start + int(np.argmax(infinite))
            raise InputError(
                f"column {column.name!r} holds infinite values, the first in row {row}: remove or replace them."
            )


def _write_header(file: Any, shape: tuple[int, ...], dtype: np.dtype) -> None:
    described = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, described)
