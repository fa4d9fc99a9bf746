"""Downloads into the user's cache, each checked before it counts as there."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.progress import Progress

__all__ = ["cache_folder", "fetch"]

# Whatever a server does, it is done with after 256 times 30 seconds, and mostly far sooner.
_PATIENCE = 30.0  # seconds in which this much must come, or all the rest: 70 kbit/s
_LEAST_BYTES = 2**18
_MOST_BYTES = 2**26  # 64 MiB, more than twice the largest file that is downloaded
_PIECE = 2**16


def cache_folder() -> Path:
    """Give the folder in which this user's downloads are kept."""
    import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone

    folder: Path = pooch.os_cache("xpmlp")
    return folder


def fetch(files: Mapping[str, str], addresses: Sequence[str], folder: Path, *, progress: bool) -> None:
    """Download into `folder` those of the files that are not there, or not as they should be.

    A file is written under another name first, and gets its own once its checksum is right, so that the
    folder never holds a part of a file under that file's name, and several processes may do this at once.
    A server that sends fewer than 256 KiB in 30 seconds before the end, or more than 64 MiB, is given up.

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
    OSError
        When the folder cannot be made, read or written to.
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
    for address in addresses:
        downloader = _Downloader(_Bar(bars, name))
        try:
            pooch.retrieve(address + name, f"sha256:{checksum}", fname=name, path=folder, downloader=downloader)
        except (ConnectionError, ValueError) as error:  # the downloader's, and pooch's for a wrong checksum
            failures.append(f"{address}{name}: {error}")
        else:
            return
    raise ConnectionError("\n".join(failures))


class _Downloader:
    """What pooch asks of a downloader: its own one, given up where too little comes or too much.

    It waits for the server in a thread, since a server that sends a byte now and then never lets a socket time out.
    """

    def __init__(self, bar: _Bar) -> None:
        import pooch  # noqa: PLC0415 - slow to import, and needed for downloads alone

        # The socket's own limit is longer, so that it ends the thread alone, once nobody waits for it.
        self._http = pooch.HTTPDownloader(progressbar=bar, chunk_size=_PIECE, timeout=2 * _PATIENCE)

    def __call__(self, url: str, place: str, pooch: object) -> None:  # noqa: ARG002 - pooch hands itself over
        pieces = _Pieces()
        # A daemon, so that one that still waits for a server that was given up does not keep the program from ending.
        threading.Thread(target=self._receive, args=(url, pieces), daemon=True).start()
        try:
            with Path(place).open("wb") as file:
                file.writelines(pieces)
        finally:
            pieces.wanted = False

    def _receive(self, url: str, pieces: _Pieces) -> None:
        try:
            self._http(url, pieces, None)
        except Exception as error:  # noqa: BLE001 - it is raised where the pieces are waited for
            pieces.end(error)
        else:
            pieces.end(None)


class _Pieces:
    """A file to the thread that receives an answer; its pieces, as they come, to the one that waits for them."""

    def __init__(self) -> None:
        self.wanted = True
        self._size = 0
        self._queue: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()

    def write(self, piece: bytes) -> None:
        self._size += len(piece)
        if not self.wanted or self._size > _MOST_BYTES:
            raise ConnectionError(f"more than {_MOST_BYTES} bytes came, and no file is that large")
        self._queue.put(piece)

    def flush(self) -> None:
        pass

    def end(self, error: Exception | None) -> None:
        self._queue.put(error)

    def __iter__(self) -> Iterator[bytes]:
        recent, start = 0, time.monotonic()
        while (piece := self._next(start + _PATIENCE - time.monotonic())) is not None:
            yield piece
            recent += len(piece)
            if recent >= _LEAST_BYTES:
                recent, start = 0, time.monotonic()

    def _next(self, seconds: float) -> bytes | None:
        try:
            piece = self._queue.get(timeout=max(0.0, seconds))
        except queue.Empty:
            raise ConnectionError(f"fewer than {_LEAST_BYTES} bytes came in {_PATIENCE:g} seconds") from None
        if isinstance(piece, Exception):
            raise ConnectionError(str(_root(piece))) from piece
        return piece


def _root(error: BaseException) -> BaseException:
    # requests wraps the one line that says what went wrong into several layers of its own.
    while error.__context__ is not None:
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
