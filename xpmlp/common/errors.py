"""The errors that xpmlp raises on purpose: each says what was wrong, what was expected and what to do."""

from __future__ import annotations

from typing import Any


class XpmlpError(Exception):
    """Base of every error that xpmlp raises on purpose."""


class InputError(XpmlpError, ValueError):
    """A value, an array, an option or a file that cannot be used as given."""


class BackendError(XpmlpError, RuntimeError):
    """An array library that is missing, or that cannot compute on this machine."""


class CommunicatorError(XpmlpError, RuntimeError):
    """Processes that cannot work together: a library that is missing, or ranks that have lost each other."""


class WorkerError(XpmlpError, RuntimeError):
    """A worker of a search that was lost before its trial had ended."""


class OutOfMemoryError(XpmlpError, MemoryError):
    """Work that needs more memory than the device, or the machine, has."""


class DivergenceError(XpmlpError, ArithmeticError):
    """A training run whose loss or weights stopped being finite.

    Attributes
    ----------
    record : xpmlp.Record or None
        What the last good epoch left behind, its weights among it; None if there was none.
    """

    def __init__(self, message: str, record: Any = None) -> None:
        super().__init__(message)
        self.record = record


class XpmlpWarning(UserWarning):
    """Input that was changed before use, or something else that a user should know."""


EXPECTED = (XpmlpError, MemoryError, OSError)  # errors whose message is all that a command shows
