"""Optional packages, each of which an extra of xpmlp installs."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from types import ModuleType


def load_package(name: str, extra: str | None = None) -> ModuleType:
    """Import a module of an optional package.

    Parameters
    ----------
    name : str
        Of the module.
    extra : str, optional
        That installs the package; by default the one of the package's name.

    Raises
    ------
    BackendError
        Where it is not installed, with the extra that installs it, or cannot be imported.
    """
    package = name.partition(".")[0]
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in {package, name}:
            command = f"pip install 'xpmlp[{extra or package}]'"
            raise BackendError(f"{package} is not installed. Install it with: {command}") from error
        raise BackendError(f"{package} is installed, but cannot be imported: {error}.") from error
