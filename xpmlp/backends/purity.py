"""Which functions may be recorded, captured or compiled for good."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

PACKAGE = __name__.partition(".")[0]
CONSTANTS = (str, bool, int, float, type, np.dtype, type(None))


def is_pure(part: Any) -> bool:
    """Whether a function, or what has functions in it, is known to give the same whenever it is given the same.

    What is recorded, captured or compiled has the numbers in it that Python computed on the way. So it stays right for
    functions of this package, which depend on their arguments alone; one of the user's own may depend on what changes.
    A part is a function, an instance of a dataclass such as `Network` or `Recipe`, a tuple of parts, or a constant.
    """
    if isinstance(part, CONSTANTS):
        return True
    if isinstance(part, tuple):
        return all(map(is_pure, part))
    # What a function calls itself, by `functools.wraps` for example, is not where it is from.
    module = getattr(part, "__globals__", {}).get("__name__", getattr(part, "__module__", ""))
    ours = str(module).partition(".")[0] == PACKAGE
    if ours and dataclasses.is_dataclass(part):
        return all(is_pure(getattr(part, field.name)) for field in dataclasses.fields(part))
    return ours and callable(part)
