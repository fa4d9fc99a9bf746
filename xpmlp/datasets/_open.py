"""Opening a file that the user named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from xpmlp.errors import InputError

if TYPE_CHECKING:
    from io import BufferedReader

__all__ = ["open_file"]


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
