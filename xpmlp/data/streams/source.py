"""Examples and targets on disk, in blocks of rows: what is read, shuffled and held out as one."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features, check_label_column, check_matrix
from xpmlp.common.wording import counted
from xpmlp.data.targets import Task, check_targets, decide_task

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK_BYTES = 2**20  # of the rows of a block: long enough to be read at the disk's speed, short enough to be mixed well
MIN_BLOCKS = 128  # of fewer rows each, where there are few
MAX_BLOCKS = 2**22  # 4 TiB and more; an HDF5 file or a Zarr group may claim any number of rows
MAX_PIECE_BYTES = 2**24  # of rows that a file stores as one, and that have to be read as one


class Rows(Protocol):
    """An array on disk."""

    shape: tuple[int, ...]  # rows first
    dtype: np.dtype  # in native byte order; "U" without a length for strings that are not stored at one
    piece_rows: int  # that are stored as one: reading fewer takes as long

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read the rows from `start` up to `stop`, which there are; into `out`, contiguous and of their dtype."""


class Source:
    """Examples and targets on disk.

    Parameters
    ----------
    name : str
        What to call the data.
    X : Rows
        Examples, (n, d) or (n, height, width), or with more dimensions.
    y : Rows
        Their targets, (n,).
    block_rows : int, optional
        How many rows a block has; by default as many as take 1 MiB, or a 128th of them where that is less.
    target : str, optional
        What the column of the targets is called, where it has a name.

    Attributes
    ----------
    y_name : str
        What to call the targets in messages.
    shape : (int, int)
        Examples and features.
    dtype : dtype
        Of the examples.
    blocks : ndarray of int, (blocks, 2)
        Where each block of contiguous rows begins and ends.
    task : Task
        What the targets are: classes, until `decide_task` finds amounts.

    Raises
    ------
    InputError
        For wrong ranks, no rows or columns, lengths that differ, dtypes that are neither numbers nor, for labels, text,
        and rows that can be read only in large pieces.
    """

    def __init__(self, name: str, X: Rows, y: Rows, *, block_rows: int | None = None, target: str = "") -> None:
        n, *features = X.shape or (0,)
        self.name, self.dtype = name, X.dtype
        self.y_name = f"column {target!r} of {name}" if target else f"y of {name}"
        self.shape = (n, math.prod(features))
        check_matrix(self.shape if len(features) > 1 else X.shape, X.dtype, f"X of {name}")
        check_label_column(y.shape, y.dtype, n, self.y_name)
        self._X, self._y = X, y
        row_bytes = self.shape[1] * X.dtype.itemsize
        for rows, size, letter in ((X, row_bytes, "X"), (y, y.dtype.itemsize, "y")):
            if rows.piece_rows > 1 and rows.piece_rows * size > MAX_PIECE_BYTES:
                raise InputError(
                    f"{letter} of {name} is stored in pieces of {rows.piece_rows} rows, {rows.piece_rows * size} bytes "
                    f"each, which can only be read as one: write it in chunks of at most {MAX_PIECE_BYTES} bytes."
                )
        size = -(-(block_rows or rows_of_block(row_bytes, n)) // X.piece_rows) * X.piece_rows
        if -(-n // size) > MAX_BLOCKS:
            raise InputError(f"X of {name} claims {n} rows, more than {MAX_BLOCKS} blocks of {size}: is it damaged?")
        self.task = Task("classification")
        starts = np.arange(0, n, size)
        self.blocks = np.stack([starts, np.minimum(starts + size, n)], axis=1)

    def __repr__(self) -> str:
        return f"<Source {self.name}: {_size(self.shape)} in {self.dtype}, {len(self.blocks):,} blocks>"

    def examples(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read the examples from row `start` up to `stop`, (rows, d), as they are stored; into `out` where given."""
        return self._X.read(start, stop, out).reshape(stop - start, self.shape[1])

    def ends(self, start: int, stop: int) -> np.ndarray:
        """Read the first and the last of the examples from row `start` up to `stop`, (2, d)."""
        if stop - start <= self._X.piece_rows:  # they are stored as one
            return self.examples(start, stop)[[0, -1]]
        return np.concatenate([self.examples(row, row + 1) for row in (start, stop - 1)])

    def decide_task(self, asked: str, what: str = "y") -> None:
        """Decide by all targets what they are, as `targets.decide_task` does, which calls them `what`."""
        seen = self._y.read(0, 1)
        for start, stop in self.blocks.tolist():
            seen = np.union1d(seen, self._y.read(start, stop))
            self.task = decide_task(seen, asked, what)
            if asked != "auto" or self.task.name == "regression":
                break

    def targets(self, start: int, stop: int) -> np.ndarray:
        """Read targets, (rows,), as `check_targets` gives them; an `InputError` names values that are none."""
        y = self._y.read(start, stop)
        return check_targets(y, stop - start, self.y_name, self.task, min_classes=1, first_row=start)


class Part:
    """Some blocks of a source: a training, validation or test part.

    Attributes
    ----------
    source : Source
        Where the examples are.
    numbers : ndarray of int
        Of its blocks, in ascending order.
    blocks : ndarray of int, (blocks, 2)
        Where they begin and end.
    shape : (int, int)
        Examples and features.
    """

    def __init__(self, source: Source, numbers: np.ndarray) -> None:
        self.source, self.numbers = source, numbers
        self.blocks = source.blocks[numbers]
        self.shape = (int(np.sum(self.blocks[:, 1] - self.blocks[:, 0])), source.shape[1])

    def __repr__(self) -> str:
        return f"<Part of {self.source.name}: {_size(self.shape)}, {len(self.numbers):,} blocks>"

    def examples(self) -> Iterator[np.ndarray]:
        """Read the examples block by block, (rows, d); an `InputError` names NaN and infinite values."""
        for start, stop in self.blocks.tolist():
            X = self.source.examples(start, stop)
            check_features(X, f"X of {self.source.name}", first_row=start)
            yield X

    def targets(self) -> Iterator[np.ndarray]:
        """Read the targets block by block, (rows,); raises as `Source.targets`."""
        for start, stop in self.blocks.tolist():
            yield self.source.targets(start, stop)

    def labelled(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read examples, (rows, d), and targets, (rows,), block by block; raises as `examples` and `targets`."""
        yield from zip(self.examples(), self.targets(), strict=True)


def rows_of_block(row_bytes: int, n: int) -> int:
    """Return how many of `n` rows make a block."""
    return max(1, min(BLOCK_BYTES // row_bytes, n // MIN_BLOCKS))


def _size(shape: tuple[int, int]) -> str:
    return f"{counted(shape[0], 'example')} of {counted(shape[1], 'feature')}"
