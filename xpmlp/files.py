"""Files written whole: a reader finds the old one or the new one, and never half of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from xpmlp.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write_whole"]


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
