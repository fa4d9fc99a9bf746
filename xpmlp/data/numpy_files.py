"""Reading NumPy's formats, .npy and .npz, from files that are not trusted: nothing is ever unpickled."""

from __future__ import annotations

import math
import os
import sys
import zipfile
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEADER_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
# A few hundred bytes can unpack into gigabytes. Arrays that unpack into more than 64 MiB are therefore read
# only when they take at least a hundredth of that on the disk, which real data that large do.
SAFE_BYTES = 2**26
MAX_RATIO = 100
COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without regard to memory


def read_header(file: IO[bytes], size: int, name: str, path: Path) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read what stands before the values: shape, whether columns come first, and dtype; the file is then at the values.

    The claims are compared with `size`, the bytes of the array with its header; `name` and `path` are for messages.

    Raises
    ------
    InputError
        For structured arrays, for Python objects, which are never unpickled, and for a shape that does not match the
        bytes. NumPy's own errors, which are many, for bytes that are no header.
    """
    version = npy.read_magic(file)
    if version not in HEADER_READERS:
        raise InputError(f"{name} in {path} is a structured array: write plain arrays of numbers.")
    shape, fortran_order, dtype = HEADER_READERS[version](file)
    if dtype.hasobject:
        raise InputError(
            f"{name} in {path} holds pickled Python objects, which xpmlp never loads, since they can run code: "
            f"write numbers, or strings as numpy.asarray({name}, dtype=str)."
        )
    if min(shape, default=0) < 0 or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise InputError(
            f"{name} in {path} claims shape {shape} of {dtype}, which does not match its {size} bytes: the file is "
            "damaged, so write it again."
        )
    return shape, fortran_order, dtype


def check_unicode(array: np.ndarray, name: str, path: Path) -> None:
    """Raise an `InputError` where an array holds strings with characters that are not in Unicode.

    NumPy keeps any 32 bits for a character, and fails where they are to become a Python string.
    """
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return
    codes = array.reshape(-1).view(np.uint32)
    if not np.all((codes < 0xD800) | ((codes > 0xDFFF) & (codes <= sys.maxunicode))):
        raise InputError(f"{name} in {path} holds text that is not Unicode: the file is damaged, so write it again.")


def array_names(path: Path) -> set[str]:
    """Return the names of the arrays in an .npz file; none where it is damaged, which `read_npz` says."""
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return set()


def read_npz(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of these names from an .npz file, without ever unpickling.

    They are returned by their names, C-contiguous and in native byte order, without the optional ones that are not
    there. Other arrays in the file are left alone.

    Raises
    ------
    InputError
        For a file that cannot be opened, is no complete .npz file, lacks a required array, holds Python objects or text
        that is not Unicode, claims sizes that do not match its bytes, is compressed otherwise than by deflation, or
        would unpack into more than 64 MiB and more than a hundred times its size.
    """
    with open_file(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read_arrays(path, archive, os.fstat(file.fileno()).st_size, required, optional)
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(f"{path} does not fit into this machine's memory: give fewer examples.") from error
        except Exception as error:  # damaged bytes fail in zipfile and NumPy in too many ways to list
            raise InputError(f"{path} is not a complete .npz file ({error}): write it with numpy.savez.") from error


def _read_arrays(
    path: Path, archive: zipfile.ZipFile, on_disk: int, required: Sequence[str], optional: Sequence[str]
) -> dict[str, np.ndarray]:
    held = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
    if missing := [name for name in required if name not in held]:
        raise InputError(
            f"{path} lacks {quoted(missing)}: it holds {quoted(sorted(held)) or 'no arrays'}. "
            f"Write it with numpy.savez(path, {', '.join(f'{name}={name}' for name in required)})."
        )
    wanted = {name: archive.getinfo(held[name]) for name in (*required, *optional) if name in held}
    unpacked = sum(info.file_size for info in wanted.values())
    if unpacked > max(SAFE_BYTES, MAX_RATIO * on_disk):
        raise InputError(
            f"{path} has {on_disk} bytes that would unpack into {unpacked}, more than {MAX_RATIO} times as many, "
            "which real data do not: write it with numpy.savez, uncompressed, if you trust it."
        )
    for name, info in wanted.items():
        if info.compress_type not in COMPRESSIONS:
            raise InputError(f"{name} in {path} is compressed in a way that is not read: use numpy.savez_compressed.")
    return {name: _read_array(path, name, archive, info) for name, info in wanted.items()}


def _read_array(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        read_header(stream, info.file_size, name, path)  # NumPy allocates what it claims before it reads
    with archive.open(info) as stream:
        array: np.ndarray = npy.read_array(stream, allow_pickle=False)
    array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    check_unicode(array, name, path)
    return array
