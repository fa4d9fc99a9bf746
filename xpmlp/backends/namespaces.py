"""Namespaces of the array API with some functions replaced: how a backend does better at a name."""

from types import ModuleType
from typing import Any

__all__ = ["replacing"]


def replacing(namespace: ModuleType, /, **functions: Any) -> ModuleType:
    """Return a namespace with all that another has, and some functions in place of its own."""
    replaced = ModuleType(namespace.__name__, namespace.__doc__)
    vars(replaced).update(vars(namespace), **functions)
    return replaced
