"""NumPy by the names of the array API standard."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from xpmlp.backends.numpy.shortcuts import SHORTCUTS

# Those that xpmlp uses and NumPy, from 2.0 on, has as the standard does.
OWN = (
    *("abs", "all", "any", "argmax", "asarray", "bitwise_xor", "bool", "broadcast_to", "concat", "cos", "exp", "expm1"),
    *("finfo", "float32", "float64", "floor", "int32", "int64", "isdtype", "isfinite", "log", "logaddexp", "maximum"),
    *("mean", "min", "minimum", "remainder", "sign", "sin", "sqrt", "stack", "tanh", "var", "where", "zeros"),
)


def _otherwise(name: str) -> Any:
    """Return another name as array-api-compat has it, which imports all of NumPy: that takes a tenth of a second."""
    if name.startswith("__") and not name.startswith("__array_"):  # Python looks for some of its own
        raise AttributeError(name)
    import array_api_compat.numpy  # noqa: PLC0415 - as above

    found = vars(namespace)[name] = getattr(array_api_compat.numpy, name)
    return found


namespace = ModuleType("xpmlp.backends.numpy.namespace", __doc__)
vars(namespace).update({name: getattr(np, name) for name in OWN}, **SHORTCUTS, __getattr__=_otherwise)
