"""Fashion-MNIST: found on this machine or downloaded, checked byte by byte, and read from its IDX files."""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.data.datasets.dataset import Dataset
from xpmlp.data.datasets.download import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

ADDRESSES = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
CHECKSUMS = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
VARIABLE = "XPMLP_DATA"
FOLDER = "fashion-mnist"
RANKS = {2049: 1, 2051: 3}  # the magic numbers of labels and of images, and how many sizes follow them
MAX_BYTES = 2**26  # 64 MiB, where Fashion-MNIST's largest file unpacks into 45: no header can claim more
PIECE_BYTES = 2**20


def load_fashion_mnist(data_dir: str | Path | None = None, *, progress: bool = False) -> Dataset:
    """Load Fashion-MNIST: X (60000, 784) uint8, y (60000,) int64, and a test set of 10,000.

    `data_dir` is a folder with the four files, or with a folder `fashion-mnist` that has them. Without it, the files
    are looked for in `$XPMLP_DATA/fashion-mnist` if that variable is set, else in the user's cache, into which they are
    downloaded if need be, showing the `progress` on standard error.

    Raises
    ------
    InputError
        When the folder named does not have the four files, when one is not as published, or when they are nowhere on
        this machine and cannot be downloaded.
    """
    variable = os.environ.get(VARIABLE)
    if data_dir is not None:
        folder = _named_folder("The data folder", [Path(data_dir) / FOLDER, Path(data_dir)])
    elif variable:
        folder = _named_folder(f"${VARIABLE}", [Path(variable) / FOLDER])
    else:
        folder = _cached_folder(progress=progress)
    (X, y, shape), (X_test, y_test, _) = _read_part(folder, "train"), _read_part(folder, "t10k")
    test = X_test, y_test
    return Dataset(
        "fashion-mnist", X, y, class_names=CLASS_NAMES, image_shape=shape, test=test, scaling="range", pixel_max=255.0
    )


def _named_folder(what: str, places: Sequence[Path]) -> Path:
    """Return the first of some folders that has the four files, once these are checked."""
    troubles = []
    for folder in places:
        try:
            missing = sorted(CHECKSUMS.keys() - {entry.name for entry in folder.iterdir()})
        except (OSError, ValueError) as error:
            troubles.append(f"{folder} cannot be listed ({error})")
            continue
        if not missing:
            _check_files(folder)
            return folder
        troubles.append(f"{folder} lacks {', '.join(missing)}")
    raise InputError(
        f"{what} does not have Fashion-MNIST: {'; '.join(troubles)}. Put its four files there, or leave this folder "
        "out to have them downloaded."
    )


def _check_files(folder: Path) -> None:
    for name, expected in CHECKSUMS.items():
        with open_file(folder / name) as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
        if actual != expected:
            raise InputError(
                f"{folder / name} is not Fashion-MNIST's file: its SHA-256 is {actual}, but {expected} was expected. "
                "It is damaged or belongs to another data set (MNIST's files have the same names): get it again."
            )


def _cached_folder(*, progress: bool) -> Path:
    import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone

    folder = pooch.os_cache("xpmlp") / FOLDER
    try:
        fetch(CHECKSUMS, ADDRESSES, folder, progress=progress)
    except ConnectionError as error:
        raise InputError(
            f"Fashion-MNIST is not on this machine, and the download failed:\n{error}\n"
            f"Give it in one of these ways: data_dir (--data-dir), a folder with its four files; ${VARIABLE}, a folder "
            f"that contains a folder {FOLDER} with them; the cache, {folder}; or a download, with a network that "
            "reaches one of the addresses above."
        ) from error
    except OSError as error:
        raise InputError(
            f"The cache, {folder}, cannot be used ({error}): check that it is writable and that the disk has room, or "
            f"give a folder with Fashion-MNIST's four files: data_dir (--data-dir), or ${VARIABLE}."
        ) from error
    return Path(folder)


def _read_part(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    images = read_idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = read_idx(folder / f"{part}-labels-idx1-ubyte.gz")
    n, height, width = images.shape
    return images.reshape(n, height * width), labels.astype(np.int64), (height, width)


def read_idx(path: Path) -> np.ndarray:
    """Read a gzipped file of labels or images in IDX: a big-endian magic number, the sizes, then the bytes.

    The memory taken grows with the bytes that the file holds, never with those that its header claims.

    Returns
    -------
    ndarray of uint8, C-contiguous
        Labels of shape (n,), or images of shape (n, height, width).

    Raises
    ------
    InputError
        For a file that cannot be opened, is not gzip, has another magic number, claims nothing or more than 64 MiB, or
        holds fewer or more bytes than its header says.
    """
    try:
        with open_file(path) as file, gzip.open(file) as stream:
            (magic,) = _header(path, stream, 1)
            if magic not in RANKS:
                raise InputError(
                    f"{path} starts with the magic number {magic}, but IDX files of bytes start with 2049 (labels) or "
                    "2051 (images): give a file of that format."
                )
            shape = _header(path, stream, RANKS[magic])
            count = math.prod(shape)
            if not count:
                raise InputError(f"{path} claims {shape} items, none at all: it is damaged, so get it again.")
            if count > MAX_BYTES:
                raise InputError(
                    f"{path} claims {shape} items, {count} bytes, more than the {MAX_BYTES} that xpmlp reads of such a "
                    "file: it is damaged or not what it seems, so get it again."
                )
            data = bytearray()
            # One byte more than is claimed is asked for, so that bytes too many are seen.
            while len(data) <= count and (piece := stream.read(min(PIECE_BYTES, count + 1 - len(data)))):
                data += piece
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
