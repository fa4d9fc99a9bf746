"""Files that a user names: opened, or written whole, so that a reader finds the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from xpmlp.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import BufferedReader

__all__ = ["FIGURE_KINDS", "check_place", "open_file", "write_whole"]

FIGURE_KINDS = (".png", ".pdf", ".svg")


def open_file(path: Path) -> BufferedReader:
    """Open a file to read its bytes.

    Raises
    ------
    InputError
        When there is no such file, it is a folder, or it may not be read.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(
            f"There is no file {path}: check its name (relative paths start at the current folder, {Path.cwd()})."
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, but a file is needed: give the path of a file in it.") from None
    except PermissionError:
        raise InputError(f"{path} may not be read: ask for permission to read it, or copy it elsewhere.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be opened ({error}): give another file.") from error


def check_place(path: Path, kinds: Sequence[str] = (), *, overwrite: bool = True) -> None:
    """Raise unless a file can be put there, before the work that makes it.

    Parameters
    ----------
    path : Path
        The file to come.
    kinds : sequence of str
        The endings that it may have; any by default.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        For a folder that does not exist, a folder in the file's place, an ending that is not among `kinds`, and a file
        that is there and may not be replaced.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}. Make it first.")
    if path.is_dir():
        raise InputError(f"{path} cannot be written: it is a folder. Name a file.")
    if kinds and path.suffix.lower() not in kinds:
        raise InputError(f"{path} cannot be written: its name must end in one of {', '.join(kinds)}.")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists: choose another name, or give --overwrite (overwrite=True) to replace it.")


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to disk, and put it there in one move.

    Raises
    ------
    InputError
        Where it cannot be written; nothing of it is left then.
    """
    temporary = path.with_name(f".{path.name}.partial")
    try:
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
