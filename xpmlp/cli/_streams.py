"""Standard streams that end no command: closed, full, unread, or in an encoding that lacks a character."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from xpmlp.cli._terminal import FAILED, UNREAD, say, warn

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Lossy(io.RawIOBase):
    """What lies below a standard stream: once a write has failed, what is written is dropped."""

    def __init__(self, raw: io.RawIOBase) -> None:
        self._raw = raw
        self.loss: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: Any) -> int | None:
        if self.loss is None:
            try:
                return self._raw.write(data)
            except OSError as error:
                self.loss = error
        return memoryview(data).nbytes


@contextmanager
def lasting_streams(*, show_results: bool) -> Iterator[None]:
    """Let nothing that happens to a standard stream end a command; what its encoding lacks is escaped.

    A command that has ended well ends with an error all the same where its results were to be read on standard output
    alone, as `show_results` says, and were lost there: quietly where the reader has left, as ``head`` does. A stream
    that is closed was not to be read, and loses nothing.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            opened = open(os.devnull, mode)  # noqa: PTH123, SIM115 - for good; it takes the number that was the stream's
            os.set_inheritable(opened.fileno(), True)
            setattr(sys, name, opened)
        elif mode == "w" and stream is getattr(sys, f"__{name}__"):  # else a program has replaced it
            raw = _Lossy(getattr(stream.buffer, "raw", stream.buffer))
            by_lines = stream.line_buffering or stream.write_through  # as standard error is
            lasting = io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, "backslashreplace", line_buffering=by_lines
            )
            setattr(sys, name, lasting)
    try:
        yield
    except SystemExit as end:
        if not end.code and (loss := _stdout_loss()):
            if show_results and isinstance(loss, BrokenPipeError):
                sys.exit(UNREAD)
            cause = f"standard output cannot be written to: {loss.strerror}."
            if show_results:
                say(f"Error: {cause}")
                sys.exit(FAILED)
            warn(f"{cause} All is saved.")
        raise


def _stdout_loss() -> OSError | None:
    sys.stdout.flush()
    return getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "loss", None)
