"""Opening and writing files. A file is replaced whole, so that a reader finds the old content or the new."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xpmlp.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Value = TypeVar("Value")

FIGURE_KINDS = (".png", ".pdf", ".svg")
PARTIAL = ".partial"  # ends the name of a file that is being written


def open_file(path: Path) -> io.BufferedReader:
    """Open a file to read its bytes.

    Raises
    ------
    InputError
        When there is no such file, it is a folder, or permission to read it is denied.
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
        raise InputError(f"{path} cannot be read: permission denied.") from None
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
        Whether to replace a file that exists.

    Raises
    ------
    InputError
        For a folder that does not exist, a folder in the file's place, an ending that is not among `kinds`, and a file
        that exists, where `overwrite` is False.
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
    temporary = path.with_name(f".{path.name}{PARTIAL}")
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


def append_whole(path: Path, content: bytes) -> None:
    """Append to a file, or leave it as it was.

    Raises
    ------
    InputError
        Where that cannot be written whole.
    """
    try:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                while content:  # a disk that fills up takes a part, and refuses the next
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(end)
                raise
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error


def write_json(path: Path, values: Any) -> None:
    """Write plain values as `write_whole` does."""
    write_whole(path, (json.dumps(values, indent=2) + "\n").encode())


def read_json(path: Path, read: Callable[[Any], Value], absent: str = "restore it.") -> Value:
    """Return what `read` makes of the values in a file of ours.

    Raises
    ------
    InputError
        Where there is no file, and then it ends with `absent`; for a file that cannot be read; and for an error of
        `read`, such as that a value is missing.
    """
    try:
        return read(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"there is no {path}: {absent}") from error
    except (OSError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: {_flaw(error)}. Restore it, or start anew.") from error


def _flaw(error: Exception) -> str:
    """Say what is wrong with a file of ours."""
    if isinstance(error, json.JSONDecodeError):
        return f"it is damaged: no valid JSON at line {error.lineno}, column {error.colno}"
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    return str(error).rstrip(".") if isinstance(error, OSError | InputError) else f"it is damaged ({error})"


def csv_text(rows: Iterable[Iterable[Any]]) -> str:
    """Write rows as a .csv file has them."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()
