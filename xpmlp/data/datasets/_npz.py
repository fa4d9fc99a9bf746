"""Reading arrays from an .npz file that nobody vouches for."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.data.npy import check_unicode, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["read_npz"]

# A few hundred bytes can unpack into gigabytes. Arrays that unpack into more than 64 MiB are therefore read
# only when they take at least a hundredth of that on the disk, which real data that large do.
_SAFE_BYTES = 2**26
_SAFE_RATIO = 100

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks the others without regard to memory


def read_npz(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Read the arrays of these names from an .npz file, without ever unpickling.

    Parameters
    ----------
    path : Path
        The file, as `numpy.savez` or `numpy.savez_compressed` writes it.
    required, optional : sequence of str
        Names of the arrays; others in the file are left alone.

    Returns
    -------
    dict of str to ndarray
        The arrays, C-contiguous and in native byte order; without the optional ones that are not there.

    Raises
    ------
    InputError
        For a file that cannot be opened, is no complete .npz file, lacks a required array, holds Python
        objects or text that is not Unicode, claims sizes that its bytes do not bear out, is compressed
        otherwise than by deflation, or would unpack into more than 64 MiB and more than a hundred times its
        size.
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
            raise InputError(
                f"{path} is not a complete .npz file ({error}): write it again with numpy.savez."
            ) from error


def _read_arrays(
    path: Path, archive: zipfile.ZipFile, on_disk: int, required: Sequence[str], optional: Sequence[str]
) -> dict[str, np.ndarray]:
    held = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
    missing = [name for name in required if name not in held]
    if missing:
        raise InputError(
            f"{path} lacks {_listed(missing)}: it holds {_listed(sorted(held))}. "
            f"Write it with numpy.savez(path, {', '.join(f'{name}={name}' for name in required)})."
        )
    wanted = {name: archive.getinfo(held[name]) for name in (*required, *optional) if name in held}
    unpacked = sum(info.file_size for info in wanted.values())
    if unpacked > max(_SAFE_BYTES, _SAFE_RATIO * on_disk):
        raise InputError(
            f"{path} has {on_disk} bytes that would unpack into {unpacked}, more than {_SAFE_RATIO} times as many, "
            "which real data do not: write it with numpy.savez, uncompressed, if you trust it."
        )
    for name, info in wanted.items():
        if info.compress_type not in _COMPRESSIONS:
            raise InputError(
                f"{name} in {path} is compressed in a way that xpmlp does not read: write it with "
                "numpy.savez_compressed."
            )
    return {name: _read_array(path, name, archive, info) for name, info in wanted.items()}


def _read_array(path: Path, name: str, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(info) as stream:
        read_header(stream, info.file_size, name, path)  # NumPy allocates what it claims before it reads
    with archive.open(info) as stream:
        array: np.ndarray = npy.read_array(stream, allow_pickle=False)
    array = np.asarray(array, dtype=array.dtype.newbyteorder("="), order="C")
    check_unicode(array, name, path)
    return array


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown or "no arrays"
