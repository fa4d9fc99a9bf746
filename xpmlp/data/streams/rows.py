"""Arrays on disk, read by rows into memory of their own: no page of a file stays mapped."""

from __future__ import annotations

import math
import os
from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.data.numpy_files import check_unicode, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["JoinedRows", "NpyRows", "Rows", "StoredRows"]


class Rows(Protocol):
    """An array on disk."""

    shape: tuple[int, ...]  # rows first
    dtype: np.dtype  # in native byte order; "U" without a length for strings that are not stored at one
    piece_rows: int  # that are stored as one: reading fewer takes as long

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Read the rows from `start` up to `stop`, which there are; into `out`, contiguous and of their dtype."""


class NpyRows:
    """An .npy file.

    Raises
    ------
    InputError
        For a file that cannot be opened, is no .npy file, is shorter or longer than its header says, holds Python
        objects, or stores columns before rows; when it is read, for one that has become shorter.
    """

    piece_rows = 1

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name = path, name
        with open_file(path) as file:
            try:
                shape, fortran_order, dtype = read_header(file, os.fstat(file.fileno()).st_size, name, path)
                self._offset = file.tell()
            except InputError:
                raise
            except Exception as error:  # damaged bytes fail in NumPy in too many ways to list
                raise InputError(f"{path} is not an .npy file ({error}): write it with numpy.save.") from error
        if fortran_order and len(shape) > 1:
            raise InputError(
                f"{name} in {path} is stored column by column, so that its rows cannot be read: write "
                f"numpy.ascontiguousarray({name})."
            )
        if not shape or not dtype.itemsize:
            raise InputError(f"{name} in {path} has shape {shape} and dtype {dtype}: it has no rows to read.")
        self.shape, self.dtype, self._stored = shape, dtype.newbyteorder("="), dtype
        self._row_bytes = math.prod(shape[1:]) * dtype.itemsize

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        size = (stop - start) * self._row_bytes
        content = np.empty(size, np.uint8) if out is None else out.reshape(-1).view(np.uint8)
        with open_file(self._path) as file:
            try:
                file.seek(self._offset + start * self._row_bytes)
                found = file.readinto(content.data)
            except OSError as error:
                raise InputError(f"{self._name} in {self._path} cannot be read: {error}.") from error
        if found != size:
            raise InputError(f"{self._path} has become shorter since it was opened: do not change it during the run.")
        rows = content.view(self._stored).reshape(stop - start, *self.shape[1:])
        if not rows.dtype.isnative:
            rows = rows.byteswap(inplace=True).view(self.dtype)
        check_unicode(rows, self._name, self._path)
        return rows


class StoredRows:
    """An array of a library, sliced where it is stored: ``array[start:stop]`` reads rows.

    `chunks` is the shape of the pieces that it is stored in, if any. With dtype "U", what is read becomes strings.
    """

    def __init__(self, array: Any, chunks: tuple[int, ...] | None, dtype: np.dtype, name: str, path: Path) -> None:
        if dtype.hasobject:
            raise InputError(
                f"{name} in {path} holds Python objects, which xpmlp never loads: write numbers or strings."
            )
        self._array, self._name, self._path = array, name, path
        self.shape, self.dtype = array.shape or (), dtype.newbyteorder("=")
        self.piece_rows = chunks[0] if chunks else 1

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        try:
            rows = np.asarray(self._array[start:stop])
            is_text = self.dtype.kind == "U"
            rows = np.array(rows.tolist(), dtype=str) if is_text else rows.astype(self.dtype, copy=False)
        except Exception as error:  # the library's and its decoders' errors are too many to list
            cause = str(error).rstrip(".")
            raise InputError(f"{self._name} in {self._path} cannot be read from row {start} on: {cause}.") from error
        check_unicode(rows, self._name, self._path)
        if out is not None:
            out[...] = rows.reshape(out.shape)
        return rows


class JoinedRows:
    """Files, one after the other: alike in shape but for their rows, and in dtype but for strings' lengths."""

    piece_rows = 1

    def __init__(self, parts: Sequence[NpyRows]) -> None:
        self._parts = parts
        self._starts = [0, *accumulate(part.shape[0] for part in parts)]
        self.shape = (self._starts[-1], *parts[0].shape[1:])
        self.dtype = max((part.dtype for part in parts), key=lambda dtype: dtype.itemsize)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        pieces = []
        for number in range(bisect_right(self._starts, start) - 1, bisect_left(self._starts, stop)):
            begin, end = self._starts[number : number + 2]
            piece = slice(max(start, begin), min(stop, end))
            place = None if out is None else out[piece.start - start : piece.stop - start]
            pieces.append(self._parts[number].read(piece.start - begin, piece.stop - begin, place))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
