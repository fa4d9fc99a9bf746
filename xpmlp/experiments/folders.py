"""Folders that commands leave their results in: named after the data, and taken by one process at a time."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from filelock import FileLock, Timeout

from xpmlp.common.errors import InputError
from xpmlp.common.files import read_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

__all__ = ["Folder"]

Value = TypeVar("Value")


class Folder:
    """A folder that a command leaves its results in.

    Parameters
    ----------
    path : Path
        Where it is.

    Attributes
    ----------
    path : Path
        As given.
    config, lock : Path
        The file that says, in JSON, what was asked for; and ``.lock``, which stays.
    kind, doing, config_name, prefix : str
        Of all folders of a class: what it is of, and what is done there; how the file is called, and what the names of
        folders begin with.
    """

    kind: ClassVar[str]
    doing: ClassVar[str]
    config_name: ClassVar[str]
    prefix: ClassVar[str] = ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / self.config_name
        self.lock = path / ".lock"

    @classmethod
    def default(cls, dataset: str, now: datetime) -> Self:
        """Name a folder after the data and the time, under ``runs/``; a second one in that second gets a number."""
        name = f"{cls.prefix}{Path(dataset).absolute().stem}-{now:%Y%m%d-%H%M%S}"
        path, number = Path("runs") / name, 1
        while path.exists():
            number += 1
            path = Path("runs") / f"{name}-{number}"
        return cls(path)

    def _check_is_folder(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"the output folder {self.path} exists and is a file: choose another with --out.")

    def _check_is_empty(self, advice: str = "choose another with --out.") -> None:
        if self.path.is_dir() and any(file != self.lock for file in self.path.iterdir()):
            raise InputError(f"the output folder {self.path} is not empty: {advice}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working in the folder, which is made where there is none.

        The lock is the operating system's, on ``.lock``: it ends with the process, however that ends.

        Raises
        ------
        InputError
            Where another process works there, and for a folder that cannot be made or written to.
        """
        lock = FileLock(self.lock, fallback_to_soft=False)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout as error:
            raise InputError(
                f"another process is {self.doing} in {self.path}: wait until it ends, or choose another folder with "
                "--out."
            ) from error
        except NotImplementedError as error:
            raise InputError(f"the file system of {self.path} has no locks: choose another folder.") from error
        except OSError as error:
            raise InputError(f"the output folder {self.path} cannot be written to: {error}.") from error
        try:
            yield
        finally:
            lock.release()

    def _is_locked(self) -> bool:
        """Whether another process works in the folder: the lock is taken for a moment to find out."""
        if not self.lock.exists():
            return False
        lock = FileLock(self.lock, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except (NotImplementedError, OSError) as error:
            return isinstance(error, Timeout)
        lock.release()
        return False

    def configured(self, read: Callable[[dict[str, Any]], Value]) -> Value:
        """Read something from the file that says what was asked for.

        Raises
        ------
        InputError
            Where it is missing, damaged, or lacks what is read.
        """
        return read_json(self.config, read, f"is {self.path} the folder of a {self.kind}?")
