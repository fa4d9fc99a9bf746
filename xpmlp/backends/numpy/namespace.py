"""NumPy by the names of the array API standard: this module is the namespace.

The functions that xpmlp uses are our shortcuts, or NumPy's own, which from 2.0 on do what the standard says of them
(`reshape` has its ``copy`` since 2.1). Others are those of array-api-compat, which imports all of NumPy: that takes a
tenth of a second, so it is imported for the first of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xpmlp.backends.numpy.shortcuts import SHORTCUTS

OWN = (
    *("abs", "all", "any", "argmax", "asarray", "bitwise_xor", "broadcast_to", "concat", "cos", "exp", "expm1"),
    *("finfo", "float32", "float64", "floor", "int32", "int64", "isdtype", "isfinite", "log", "logaddexp", "maximum"),
    *(
        "mean",
        "min",
        "minimum",
        "remainder",
        "reshape",
        "sign",
        "sin",
        "sqrt",
        "stack",
        "tanh",
        "var",
        "where",
        "zeros",
    ),
)

globals().update({name: getattr(np, name) for name in OWN}, **SHORTCUTS)


def __getattr__(name: str) -> Any:
    if name.startswith("__") and not name.startswith("__array_"):  # Python looks for some of its own
        raise AttributeError(name)
    import array_api_compat.numpy  # noqa: PLC0415 - as above

    found = globals()[name] = getattr(array_api_compat.numpy, name)
    return found
