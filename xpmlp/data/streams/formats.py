"""Sources by path: folders of .npy files, HDF5 files, Zarr groups.

They are read by rows into memory of their own: no page of a file stays mapped.
"""

from __future__ import annotations

import math
import os
import re
import warnings
from bisect import bisect_left, bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError, XpmlpError, XpmlpWarning
from xpmlp.common.files import open_file
from xpmlp.common.packages import load_package
from xpmlp.common.wording import counted, escaped, quoted
from xpmlp.data.datasets import NAMES
from xpmlp.data.numpy_files import check_unicode, read_header
from xpmlp.data.streams.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HDF5, ZARR = (".h5", ".hdf5"), ".zarr"
PAIR = re.compile(r"([Xy])(-.*|)\.npy")
TEXT = np.dtype("U")

# What Zarr's codecs are called that turn bytes into numbers, and nothing else: some that others bring unpickle.
CODECS = {
    *("bytes", "endian", "blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma", "crc32", "crc32c", "adler32"),
    *("shuffle", "delta", "bitround", "fixedscaleoffset", "transpose", "sharding_indexed", "vlen-utf8", "default"),
}


def is_streamed(source: str) -> bool:
    """Whether data are read from disk by rows: what a path is, or is called, decides."""
    if source in NAMES:
        return False
    return os.path.splitext(source)[1].lower() in {*HDF5, ZARR} or os.path.isdir(source)  # noqa: PTH112, PTH122 - pathlib raises for names that are too long


def open_source(path: str | Path) -> Source:
    """Open data that are read from disk by rows.

    - A folder with `X.npy` and `y.npy`, or with shards of them, such as `X-0000.npy` and `y-0000.npy`, which are taken
      in the order of their names.
    - An HDF5 file (`.h5`, `.hdf5`) with datasets `X` and `y`; needs h5py.
    - A Zarr group (`.zarr`) with arrays `X` and `y`; needs zarr.

    Raises
    ------
    InputError
        For data that are missing, damaged or of another form. Python objects are never unpickled.
    BackendError
        Where the library that reads them is not installed.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in {*HDF5, ZARR}:
        return _folder(path)
    try:
        return Source(escaped(path.stem), *(_hdf5(path) if suffix in HDF5 else _zarr(path)))
    except XpmlpError:
        raise
    except Exception as error:  # damaged files fail in the libraries in too many ways to list
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}.") from error


def _folder(path: Path) -> Source:
    shards = _shards(path)
    _warn_of_gaps(path, [int(shard[1:]) for shard in shards if shard[1:].isdecimal()])
    X, y = ([NpyRows(path / f"{letter}{shard}.npy", letter) for shard in shards] for letter in "Xy")
    for shard, x, t in zip(shards, X, y, strict=True):
        file = path / f"X{shard}.npy"
        if x.shape[:1] != t.shape[:1]:
            raise InputError(f"{file} has shape {x.shape}, but its y has shape {t.shape}: they must be of one length.")
        if (x.shape[1:], x.dtype) != (X[0].shape[1:], X[0].dtype):
            raise InputError(
                f"{file} has rows of shape {x.shape[1:]} and dtype {x.dtype}, but the first shard has "
                f"{X[0].shape[1:]} and {X[0].dtype}: all must be alike."
            )
        if (t.shape[1:], t.dtype.kind) != (y[0].shape[1:], y[0].dtype.kind):
            raise InputError(f"the y of {file} has dtype {t.dtype}, but that of the first shard has {y[0].dtype}.")
    return Source(escaped(path.absolute().name or str(path)), JoinedRows(X), JoinedRows(y))


def _shards(path: Path) -> list[str]:
    """Return what follows X and y in the names of the files in a folder: "", or "-0000" and the like."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        raise InputError(f"there is no folder {path}: check its name.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"the folder {path} cannot be read: {error}.") from error
    found = [match.groups() for name in names if (match := PAIR.fullmatch(name))]
    X, y = ([shard for letter, shard in found if letter == which] for which in "Xy")
    if not found:
        raise InputError(f"{path} holds neither X.npy and y.npy nor shards of them, X-0000.npy and y-0000.npy.")
    if "" in X and len(X) > 1:
        raise InputError(f"{path} holds both X.npy and shards of it, such as X{max(X)}.npy: keep one of them.")
    for letter, shards, other, others in (("X", X, "y", y), ("y", y, "X", X)):
        if lone := [shard for shard in shards if shard not in others]:
            raise InputError(f"{path} holds {letter}{lone[0]}.npy, but no {other}{lone[0]}.npy: each needs the other.")
    return X


def _warn_of_gaps(path: Path, numbers: list[int]) -> None:
    """Warn where numbers of shards are missing, but not where most are: they count something else then."""
    lost = max(numbers, default=-1) - min(numbers, default=0) + 1 - len(set(numbers))
    if 0 < lost < len(numbers):
        first = next(number for number in range(min(numbers), max(numbers)) if number not in numbers)
        message = f"{path} seems to lack {counted(lost, 'shard')}, the first with number {first}: the others are used."
        warnings.warn(message, XpmlpWarning, stacklevel=2)


def _hdf5(path: Path) -> Iterator[StoredRows]:
    """Give the examples and the labels of an HDF5 file."""
    h5py = load_package("h5py", "hdf5")
    open_file(path).close()  # where that fails, the message is ours
    file = h5py.File(path, "r")
    for name in "Xy":
        _check_member(file, name, path)
        if not isinstance(file.get(name, getlink=True), h5py.HardLink):
            raise InputError(f"{name} in {path} is a link: copy what it points to into the file.")
        dataset = file[name]
        if not isinstance(dataset, h5py.Dataset):
            raise InputError(f"{name} in {path} is not a dataset.")
        if dataset.external or dataset.is_virtual:
            raise InputError(f"{name} in {path} keeps its values in other files: copy them into the file.")
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        array, dtype = (dataset.asstr(), TEXT) if is_text else (dataset, dataset.dtype)
        yield StoredRows(array, dataset.chunks, dtype, name, path)


def _zarr(path: Path) -> Iterator[StoredRows]:
    """Give the examples and the labels of a Zarr group."""
    zarr = load_package("zarr")
    if not path.is_dir():
        raise InputError(f"there is no folder {path}, and a Zarr group is a folder.")
    group = zarr.open_group(path, mode="r")
    for name in "Xy":
        _check_member(group, name, path)
        array = group[name]
        if not isinstance(array, zarr.Array):
            raise InputError(f"{name} in {path} is not an array.")
        metadata = array.metadata.to_dict()
        stages = [metadata.get("codecs"), metadata.get("filters"), metadata.get("compressor")]
        if unknown := sorted(set(_codecs(stages)) - CODECS):
            raise InputError(f"{name} in {path} is encoded by {', '.join(unknown)}, which xpmlp does not read.")
        yield StoredRows(array, array.chunks, TEXT if array.dtype.kind == "T" else array.dtype, name, path)


def _codecs(stages: Any) -> list[str]:
    """Name the codecs of an array, with those inside of others."""
    if isinstance(stages, dict):
        inner = stages.get("configuration") or {}
        nested = [inner.get(key) for key in ("codecs", "index_codecs")]
        return [str(stages.get("name", stages.get("id"))).removeprefix("numcodecs."), *_codecs(nested)]
    return [name for stage in stages or () for name in _codecs(stage)]


def _check_member(group: Any, name: str, path: Path) -> None:
    if name not in group:
        raise InputError(f"{path} lacks {name!r}: it holds {quoted(sorted(group)) or 'nothing'}.")


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
                f"{name} in {path} holds Python objects, which are never loaded: write numbers or strings."
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
