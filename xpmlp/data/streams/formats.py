"""Sources by path: folders of .npy files, HDF5 files, Zarr groups."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError, XpmlpError, XpmlpWarning
from xpmlp.common.files import open_file
from xpmlp.common.packages import load_package
from xpmlp.common.wording import quoted
from xpmlp.data.datasets import NAMES
from xpmlp.data.streams.rows import JoinedRows, NpyRows, StoredRows
from xpmlp.data.streams.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_streamed", "open_source"]

HDF5, ZARR = (".h5", ".hdf5"), ".zarr"
PAIR = re.compile(r"([Xy])(-.*)?\.npy")
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
        return Source(path.stem, *(_hdf5(path) if suffix in HDF5 else _zarr(path)))
    except XpmlpError:
        raise
    except Exception as error:  # damaged files fail in the libraries in too many ways to list
        raise InputError(f"{path} cannot be read: {type(error).__name__}: {error}.") from error


def _folder(path: Path) -> Source:
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except FileNotFoundError:
        raise InputError(f"there is no folder {path}: check its name.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"the folder {path} cannot be read: {error}.") from error
    found = [match.groups() for name in names if (match := PAIR.fullmatch(name))]
    shards = {letter: [shard for which, shard in found if which == letter] for letter in "Xy"}
    if not found:
        raise InputError(f"{path} holds neither X.npy and y.npy nor shards of them, X-0000.npy and y-0000.npy.")
    if None in shards["X"] and len(shards["X"]) > 1:
        shard = next(filter(None, shards["X"]))
        raise InputError(f"{path} holds both X.npy and shards of it, such as X{shard}.npy: keep one of them.")
    for letter, other in ("Xy", "yX"):
        if lone := [shard or "" for shard in shards[letter] if shard not in shards[other]]:
            raise InputError(f"{path} holds {letter}{lone[0]}.npy, but no {other}{lone[0]}.npy: each needs the other.")
    _warn_of_gaps(path, [int(shard[1:]) for shard in shards["X"] if shard and shard[1:].isdecimal()])
    X, y = ([NpyRows(path / f"{letter}{shard or ''}.npy", letter) for shard in shards["X"]] for letter in "Xy")
    for shard, examples, labels in zip(shards["X"], X, y, strict=True):
        _check_shard(path / f"X{shard or ''}.npy", examples, labels, X[0], y[0])
    return Source(path.absolute().name or str(path), JoinedRows(X), JoinedRows(y))


def _warn_of_gaps(path: Path, numbers: list[int]) -> None:
    """Warn where numbers of shards are left out, but not where most are: they count something else then."""
    lost = max(numbers, default=-1) - min(numbers, default=0) + 1 - len(set(numbers))
    if 0 < lost < len(numbers):
        first = next(number for number in range(min(numbers), max(numbers)) if number not in numbers)
        message = f"the numbers of the shards in {path} leave out {lost}, first {first}: the others are taken."
        warnings.warn(message, XpmlpWarning, stacklevel=2)


def _check_shard(path: Path, X: NpyRows, y: NpyRows, first_X: NpyRows, first_y: NpyRows) -> None:
    if X.shape[:1] != y.shape[:1]:
        raise InputError(f"{path} has shape {X.shape}, but its y has shape {y.shape}: they must be of one length.")
    if (X.shape[1:], X.dtype) != (first_X.shape[1:], first_X.dtype):
        raise InputError(
            f"{path} has rows of shape {X.shape[1:]} and dtype {X.dtype}, but the first shard has "
            f"{first_X.shape[1:]} and {first_X.dtype}: all must be alike."
        )
    if (y.shape[1:], y.dtype.kind) != (first_y.shape[1:], first_y.dtype.kind):
        raise InputError(f"the y of {path} has dtype {y.dtype}, but that of the first shard has {first_y.dtype}.")


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
        raise InputError(f"there is no folder {path}: a Zarr group is one.")
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
