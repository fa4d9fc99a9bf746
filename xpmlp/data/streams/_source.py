"""Examples and labels on disk, read a few rows at a time."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_labels, whole_labels

if TYPE_CHECKING:
    from xpmlp.data.streams._rows import Rows

__all__ = ["BLOCK_BYTES", "LEAST_BLOCKS", "MOST_TOGETHER", "Source"]

BLOCK_BYTES = 2**20  # of the rows of a block: long enough to be read at the disk's speed, short enough to be mixed well
LEAST_BLOCKS = 128  # of fewer rows each, where there are few
MOST_BLOCKS = 2**22  # 4 TiB and more; an HDF5 file or a Zarr group may claim any number of rows
MOST_TOGETHER = 2**24  # bytes of rows that a file stores as one, and that have to be read as one


class Source:
    """Examples and labels on disk.

    Parameters
    ----------
    name : str
        What to call the data.
    X : Rows
        Examples, (n, d) or (n, height, width), or with more dimensions.
    y : Rows
        Their labels, (n,).

    Attributes
    ----------
    name : str
        As above.
    shape : (int, int)
        Examples and features.
    dtype : dtype
        Of the examples.
    blocks : ndarray of int, (blocks, 2)
        Where each block of contiguous rows begins and ends: what is read, shuffled and held out as one.

    Raises
    ------
    InputError
        For wrong ranks, no rows or columns, lengths that differ, dtypes that are neither numbers nor, for labels, text,
        and rows that can be read only in large pieces.
    """

    def __init__(self, name: str, X: Rows, y: Rows) -> None:
        self.name = name
        if len(X.shape) < 2:
            raise InputError(f"X of {name} has shape {X.shape}, but must have two dimensions: (examples, features).")
        if len(y.shape) != 1:
            raise InputError(f"y of {name} has shape {y.shape}, but must have one dimension: one label per example.")
        if X.shape[0] != y.shape[0]:
            raise InputError(f"X of {name} has {X.shape[0]} rows, but y has {y.shape[0]} labels: they must be as many.")
        self.shape = (X.shape[0], math.prod(X.shape[1:]))
        self.dtype = X.dtype
        if not all(self.shape):
            raise InputError(f"X of {name} has shape {X.shape}: at least one example and one feature are needed.")
        if X.dtype.kind not in "fiub":
            raise InputError(f"X of {name} has dtype {X.dtype}, but must hold real numbers.")
        if y.dtype.kind not in "fiubU":
            raise InputError(f"y of {name} has dtype {y.dtype}, but labels must be integers, booleans or strings.")
        self._X, self._y = X, y
        row_bytes = self.shape[1] * X.dtype.itemsize
        for rows, size, letter in ((X, row_bytes, "X"), (y, y.dtype.itemsize, "y")):
            if rows.together > 1 and rows.together * size > MOST_TOGETHER:
                raise InputError(
                    f"{letter} of {name} is stored in pieces of {rows.together} rows, {rows.together * size} bytes "
                    f"each, which can only be read as one: write it in chunks of at most {MOST_TOGETHER} bytes."
                )
        n = self.shape[0]
        least = max(1, min(BLOCK_BYTES // row_bytes, n // LEAST_BLOCKS))
        size = -(-least // X.together) * X.together
        if -(-n // size) > MOST_BLOCKS:
            raise InputError(f"X of {name} claims {n} rows, more than {MOST_BLOCKS} blocks of {size}: is it damaged?")
        starts = np.arange(0, n, size)
        self.blocks = np.stack([starts, np.minimum(starts + size, n)], axis=1)

    def examples(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read the examples from row `start` up to `stop`, (rows, d), as they are stored; into `out` where given."""
        return self._X.read(start, stop, out).reshape(stop - start, self.shape[1])

    def ends(self, start: int, stop: int) -> np.ndarray:
        """Read the first and the last of the examples from row `start` up to `stop`, (2, d)."""
        if stop - start <= self._X.together:  # they are stored as one
            return self.examples(start, stop)[[0, -1]]
        return np.concatenate([self.examples(row, row + 1) for row in (start, stop - 1)])

    def labels(self, start: int, stop: int) -> np.ndarray:
        """Read labels, (rows,), as integers or strings.

        Raises
        ------
        InputError
            For values that are no labels.
        """
        y, name = self._y.read(start, stop), f"y of {self.name}"
        check_labels(y, stop - start, name, min_classes=1, first_row=start)
        return whole_labels(y, name)
