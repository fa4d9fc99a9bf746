"""Downloads into the user's cache: a file counts as there once its checksum is right."""

from __future__ import annotations

import queue
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from rich.progress import Progress

    Pieces = queue.SimpleQueue[bytes | Exception | None]

PIECE_BYTES = 2**16


class Limits(NamedTuple):
    """When a download is abandoned: by default after 256 times 30 seconds at the latest, and mostly far sooner."""

    seconds: float = 30.0  # in which `min_bytes` must come, or all the rest: 70 kbit/s
    min_bytes: int = 2**18
    max_bytes: int = 2**26  # 64 MiB, more than twice the largest file that is downloaded


DEFAULT_LIMITS = Limits()


def fetch(
    files: Mapping[str, str], addresses: Sequence[str], folder: Path, *, progress: bool, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Download into `folder`, which is made where it is not there, the files that it lacks or has otherwise.

    `files` are the SHA-256 checksums by the files' names. `addresses` say where they lie, each without the name: the
    next is tried when one fails. A file is written under another name first, and gets its own once its checksum is
    right. So the folder never holds a part of a file under its name, and several processes may download at once.

    Raises
    ------
    ConnectionError
        When no address gives a file: each with what went wrong, one a line.
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

            def download(url: str, place: str, _: object) -> None:
                with Path(place).open("wb") as file:
                    file.writelines(_pieces(url, limits, bars))

            for name, checksum in files.items():
                failures = []
                for address in addresses:
                    try:
                        pooch.retrieve(address + name, f"sha256:{checksum}", name, folder, downloader=download)
                    except (ConnectionError, ValueError) as error:  # of `_pieces`, and pooch's for a wrong checksum
                        failures.append(f"{address}{name}: {error}")
                    else:
                        break
                else:
                    raise ConnectionError("\n".join(failures))
    finally:
        logger.setLevel(level)


def _pieces(url: str, limits: Limits, bars: Progress) -> Generator[bytes]:
    """Give a file piece by piece, as a thread receives it.

    The thread is needed since a server that sends a byte now and then never lets a socket time out. It is a daemon, so
    that one that still waits for a server that was given up does not keep the program from ending.
    """
    pieces: Pieces = queue.SimpleQueue()
    given_up = threading.Event()
    threading.Thread(target=_receive, args=(url, limits, bars, pieces, given_up), daemon=True).start()
    received, recent, deadline = 0, 0, time.monotonic() + limits.seconds
    try:
        while True:
            try:
                piece = pieces.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                few = f"fewer than {limits.min_bytes} bytes came in {limits.seconds:g} seconds"
                raise ConnectionError(few) from None
            if piece is None:
                return
            if isinstance(piece, Exception):
                cause: BaseException = piece  # requests wraps the one that says what went wrong into several others
                while cause.__context__ is not None:
                    cause = cause.__context__
                raise ConnectionError(str(cause)) from piece
            received, recent = received + len(piece), recent + len(piece)
            if received > limits.max_bytes:
                raise ConnectionError(f"more than {limits.max_bytes} bytes came, and no file is that large")
            yield piece
            if recent >= limits.min_bytes:
                recent, deadline = 0, time.monotonic() + limits.seconds
    finally:
        given_up.set()


def _receive(url: str, limits: Limits, bars: Progress, pieces: Pieces, given_up: threading.Event) -> None:
    """Put the pieces of a file into a queue; last, None or what went wrong."""
    import requests  # noqa: PLC0415 - slow to import, and needed for downloads alone

    try:
        # The socket's own limit is longer, so that it ends this thread alone, once nobody waits for it.
        with requests.get(url, stream=True, timeout=2 * limits.seconds) as answer:
            answer.raise_for_status()
            task = bars.add_task(url.rpartition("/")[2], total=int(answer.headers.get("content-length", 0)) or None)
            received = 0
            for piece in answer.iter_content(PIECE_BYTES):
                pieces.put(piece)
                bars.advance(task, len(piece))
                received += len(piece)
                if received > limits.max_bytes or given_up.is_set():
                    return
        pieces.put(None)
    except Exception as error:  # noqa: BLE001 - it is raised where the pieces are waited for
        pieces.put(error)
