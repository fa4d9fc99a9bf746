"""Downloads into the user's cache, each checked before it counts as there."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.progress import Progress

__all__ = ["cache_folder", "fetch"]

_TIMEOUTS = (10, 30)  # seconds: to connect, and between two pieces of an answer


def cache_folder() -> Path:
    """Give the folder in which this user's downloads are kept."""
    import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone

    folder: Path = pooch.os_cache("xpmlp")
    return folder


def fetch(files: Mapping[str, str], addresses: Sequence[str], folder: Path, *, progress: bool) -> None:
    """Download into `folder` those of the files that are not there, or not as they should be.

    A file is written under another name first, and gets its own once its checksum is right, so that the
    folder never holds a part of a file under that file's name.

    Parameters
    ----------
    files : mapping of str to str
        The SHA-256 checksum of each file, by its name.
    addresses : sequence of str
        Where they lie, each without the file's name: the next is tried when one fails.
    folder : Path
        Where they go; made when it is not there.
    progress : bool
        Show the progress on standard error.

    Raises
    ------
    ConnectionError
        When a file can be had from no address: each with what went wrong, one a line.
    """
    import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.progress import Progress  # noqa: PLC0415 - as above

    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")  # or pooch would announce each file on standard error
    try:
        with Progress(console=Console(stderr=True), disable=not progress) as bars:
            for name, checksum in files.items():
                _fetch_one(name, checksum, addresses, folder, bars)
    finally:
        logger.setLevel(level)


def _fetch_one(name: str, checksum: str, addresses: Sequence[str], folder: Path, bars: Progress) -> None:
    import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone

    failures = []
    outer = sys.exception()  # what the caller was handling, if anything: no part of why a download fails
    for address in addresses:
        downloader = pooch.HTTPDownloader(progressbar=_Bar(bars, name), chunk_size=2**16, timeout=_TIMEOUTS)
        try:
            pooch.retrieve(address + name, f"sha256:{checksum}", fname=name, path=folder, downloader=downloader)
        except (OSError, ValueError) as error:  # the base of what requests raises, and pooch's for a wrong checksum
            failures.append(f"{address}{name}: {_root(error, outer)}")
        else:
            return
    raise ConnectionError("\n".join(failures))


def _root(error: BaseException, outer: BaseException | None) -> BaseException:
    # requests wraps the one line that says what went wrong into several layers of its own.
    while error.__context__ not in (None, outer):
        error = error.__context__
    return error


class _Bar:
    """What pooch asks of a progress bar, drawn by rich."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._name = bars, name

    @property
    def total(self) -> int:
        return self._total

    @total.setter
    def total(self, size: int) -> None:
        # pooch sets this when a download starts, and never for a file that is there: no bar is drawn for that.
        self._total = size
        self._task = self._bars.add_task(self._name, total=size or None)

    def update(self, size: int) -> None:
        self._bars.advance(self._task, size)

    def reset(self) -> None:
        self._bars.reset(self._task)

    def close(self) -> None:
        self._bars.stop_task(self._task)
