"""Arrays in NumPy's .npy format, from files that nobody vouches for."""

from __future__ import annotations

import math
import sys
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.lib import format as npy

from xpmlp.common.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Header", "check_unicode", "read_header"]

_READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


class Header(NamedTuple):
    """What stands before the values of an array."""

    shape: tuple[int, ...]
    fortran_order: bool
    dtype: np.dtype
    offset: int  # bytes from the beginning to the first value


def read_header(file: IO[bytes], size: int, name: str, path: Path) -> Header:
    """Read what stands before the values, and compare what it claims with the bytes that there are.

    Parameters
    ----------
    file : binary file
        At the beginning of the array.
    size : int
        The bytes of the array, its header included.
    name, path : str, Path
        What the array is called and where it is, for messages.

    Raises
    ------
    InputError
        For structured arrays, for Python objects, which are never unpickled, and for a shape that the bytes do not bear
        out. NumPy's own errors, which are many, for bytes that are no header.
    """
    version = npy.read_magic(file)
    if version not in _READERS:
        raise InputError(f"{name} in {path} is a structured array: write plain arrays of numbers.")
    shape, fortran_order, dtype = _READERS[version](file)
    if dtype.hasobject:
        raise InputError(
            f"{name} in {path} holds pickled Python objects, which xpmlp never loads, since they can run code: "
            f"write numbers, or strings as numpy.asarray({name}, dtype=str)."
        )
    header = Header(shape, fortran_order, dtype, file.tell())
    if min(shape, default=0) < 0 or header.offset + math.prod(shape) * dtype.itemsize != size:
        raise InputError(
            f"{name} in {path} claims shape {shape} of {dtype}, but its {size} bytes are not as many as that "
            "takes: the file is damaged, so write it again."
        )
    return header


def check_unicode(array: np.ndarray, name: str, path: Path) -> None:
    """Raise where an array holds text of characters that Unicode lacks.

    NumPy keeps any 32 bits for a character, and fails where they are to become a Python string.
    """
    if array.dtype.kind != "U" or not array.dtype.itemsize:
        return
    codes = array.reshape(-1).view(np.uint32)
    if not np.all((codes < 0xD800) | ((codes > 0xDFFF) & (codes <= sys.maxunicode))):
        raise InputError(f"{name} in {path} holds text that is not Unicode: the file is damaged, so write it again.")
