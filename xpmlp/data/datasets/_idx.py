"""IDX, the format of MNIST and its kin: a big-endian header with a magic number and the sizes, then the bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_idx"]

_RANKS = {2049: 1, 2051: 3}  # the magic numbers of labels and of images, and how many sizes follow them
_MOST_BYTES = 2**26  # 64 MiB, where Fashion-MNIST's largest file unpacks into 45: no header can claim more
_CHUNK = 2**20


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped IDX file of labels or images.

    What is held in memory grows with the bytes that are there, never with those that a header claims.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    ndarray of uint8, C-contiguous
        Labels of shape (n,), or images of shape (n, height, width).

    Raises
    ------
    InputError
        For a file that cannot be opened, is not gzip, has another magic number, claims nothing or more than
        64 MiB, or holds fewer or more bytes than its header says.
    """
    try:
        with open_file(path) as file, gzip.open(file) as stream:
            (magic,) = _header(path, stream, 1)
            if magic not in _RANKS:
                raise InputError(
                    f"{path} starts with the magic number {magic}, but IDX files of bytes start with 2049 (labels) or "
                    "2051 (images): give a file of that format."
                )
            shape = _header(path, stream, _RANKS[magic])
            count = math.prod(shape)
            if not count:
                raise InputError(f"{path} claims {shape} items, none at all: it is damaged, so get it again.")
            if count > _MOST_BYTES:
                raise InputError(
                    f"{path} claims {shape} items, {count} bytes, more than the {_MOST_BYTES} that xpmlp reads of such "
                    "a file: it is damaged or not what it seems, so get it again."
                )
            data = bytearray()
            # One byte more than is claimed is asked for, so that bytes too many are seen.
            while len(data) <= count and (chunk := stream.read(min(_CHUNK, count + 1 - len(data)))):
                data += chunk
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a complete gzip file ({error}): get it again.") from error
    if len(data) != count:
        held = "more" if len(data) > count else f"{len(data)}"
        raise InputError(f"{path} says that {count} bytes follow its header, but holds {held}: get it again.")
    return np.frombuffer(data, dtype=np.uint8).reshape(shape)


def _header(path: Path, stream: gzip.GzipFile, count: int) -> tuple[int, ...]:
    raw = stream.read(4 * count)
    if len(raw) < 4 * count:
        raise InputError(f"{path} ends within its header: get it again.")
    return struct.unpack(f">{count}I", raw)
