"""Folders that commands leave their results in: named after the data, and written to by one process at a time."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from xpmlp.common.errors import InputError
from xpmlp.common.files import PARTIAL, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Value = TypeVar("Value")


class FolderIsLockedError(InputError):
    """Another process works in a folder."""


class Folder:
    """A folder that a command leaves its results in.

    Its methods raise an `InputError` that names the file where one is missing, is damaged or cannot be written.

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

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def default(cls, dataset: str, time: datetime) -> Self:
        """Make a folder named after the data and the time, under ``runs/``; where there is one, it gets a number."""
        data = "input" if dataset == "-" else Path(dataset).absolute().stem
        name = f"{cls.prefix}{data}-{time:%Y%m%d-%H%M%S}"
        for number in count(1):
            folder = cls(Path("runs") / (name if number == 1 else f"{name}-{number}"))
            with folder._writing(), suppress(FileExistsError):
                folder.path.mkdir(parents=True)  # which one process alone can do
                break
        return folder

    @property
    def is_begun(self) -> bool:
        """Whether something was begun there."""
        return self.config.exists()

    def check_free(self, *, overwrite: bool = False) -> None:
        """Raise unless the folder can take new results: it does not exist, is empty, or may be overwritten."""
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"the output folder {self.path} exists and is a file: choose another with --out.")
        if not overwrite and self.path.is_dir() and not all(map(self._is_leftover, self.path.iterdir())):
            raise InputError(f"the output folder {self.path} {self._why_not_free()}")

    def _is_leftover(self, file: Path) -> bool:
        """Whether a file may be there before anything was begun: the lock, and what a kill left of a file."""
        return file == self.lock or (file.name.startswith(".") and file.suffix == PARTIAL)

    def _why_not_free(self) -> str:
        return "is not empty: choose another with --out."

    def write_config(self, values: dict[str, Any]) -> None:
        """Write the file that says what was asked for, and when; the folder is made where there is none."""
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.config, {"started": now(), **values})

    def configured(self, read: Callable[[dict[str, Any]], Value]) -> Value:
        """Read something from that file."""
        return read_json(self.config, read, f"is {self.path} the folder of a {self.kind}?")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from working in the folder, which is made where there is none.

        The lock is the operating system's, on ``.lock``: it ends with the process, however that ends.
        """
        from filelock import FileLock, Timeout  # noqa: PLC0415 - slow to import, and most commands lock nothing

        lock = FileLock(self.lock, fallback_to_soft=False)
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(blocking=False)
            except Timeout as error:
                raise FolderIsLockedError(
                    f"another process is {self.doing} in {self.path}: wait until it ends, or choose another folder "
                    "with --out."
                ) from error
            except NotImplementedError as error:
                raise InputError(f"the file system of {self.path} has no locks: choose another folder.") from error
        try:
            yield
        finally:
            lock.release()

    def is_locked(self) -> bool:
        """Whether another process works in the folder: the lock is taken for a moment to find out."""
        try:
            with self.locked() if self.lock.exists() else nullcontext():
                return False
        except InputError as error:
            return isinstance(error, FolderIsLockedError)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(f"the output folder {self.path} cannot be written to: {error}.") from error


def now() -> str:
    """Return the time, to the second, with the time zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")
