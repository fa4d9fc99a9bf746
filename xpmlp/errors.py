"""The errors that xpmlp raises on purpose: each says what was wrong, what was expected and what to do."""

__all__ = ["BackendError", "DivergenceError", "InputError", "XpmlpError"]


class XpmlpError(Exception):
    """Base of every error that xpmlp raises on purpose."""


class InputError(XpmlpError, ValueError):
    """A value, an array, an option or a file that cannot be used as given."""


class BackendError(XpmlpError, RuntimeError):
    """An array library that is missing, or that cannot compute on this machine."""


class DivergenceError(XpmlpError, ArithmeticError):
    """A training run whose loss or weights stopped being finite."""
