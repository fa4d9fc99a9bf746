"""Packages that not everybody needs, each an extra."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["load_package"]


def load_package(name: str, extra: str | None = None) -> ModuleType:
    """Import a module of a package that is optional.

    Parameters
    ----------
    name : str
        Of the module.
    extra : str, optional
        What installs it; an extra of the package's name by default.

    Raises
    ------
    BackendError
        Where it is not installed, with the extra that installs it, or cannot be imported.
    """
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in {package, name}:
            command = f"pip install 'xpmlp[{extra or package}]'"
            raise BackendError(f"{package} is not installed. Install it with: {command}") from error
        raise _unfit(package, error) from error
    except (ImportError, OSError) as error:
        raise _unfit(package, error) from error


def _unfit(package: str, cause: object) -> BackendError:
    return BackendError(f"{package} is installed, but cannot be imported: {cause}.")
