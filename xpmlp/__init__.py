"""xpmlp: a multilayer perceptron with hand-derived gradients, written once for every array library.

The public names stand in ``__init__.pyi``, once for type checkers and for the table below. Each is imported when it is
first used, so that ``import xpmlp`` costs next to nothing.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOME_OF = {
    alias.name: str(node.module) for node in _STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names
}

__version__ = "0.2.0"
__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604 - the names are strings, from the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
