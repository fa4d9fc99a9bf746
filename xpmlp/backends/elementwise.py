"""Work on arrays element by element, marked so that a namespace may do all of it at once.

A GPU takes about as long for one small kernel as for another, whatever they compute. What is marked here is one kernel
to a namespace that has a function called `fused`, and to any other namespace the body as it stands.
"""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array, Namespace

Body = TypeVar("Body", bound="Callable[..., Any]")


def elementwise(*, inplace: int = 0) -> Callable[[Body], Body]:
    """Mark a function as one of elements.

    Parameters
    ----------
    inplace : int
        How many of its results, the first ones, are its first arrays, written to in place. It may use up the others.

    Returns
    -------
    callable
        A decorator of ``body(xp, *arguments, **functions)``, which gives an array or a tuple of them. It takes arrays
        and Python numbers by position, and by keyword what it is another body with: functions of its kind, a dtype, a
        choice. It uses operators and elementwise functions alone: no product, sum, shape or index. What it computes of
        numbers alone may have the precision of the arrays.
    """

    def mark(body: Body) -> Body:
        vars(body)["inplace"] = inplace
        return body

    return mark


def fuse(xp: Namespace, body: Body) -> Body:
    """Return a function that was marked, to be called with `xp` too, as the namespace does it best."""
    return cast("Body", xp.fused(body)) if "fused" in xp.__dict__ else body


def replacing(namespace: ModuleType, /, **functions: Any) -> ModuleType:
    """Return a namespace of the array API with some functions in place of its own: how a backend does better."""
    replaced = ModuleType(namespace.__name__, namespace.__doc__)
    vars(replaced).update(vars(namespace), **functions)
    return replaced


# A namespace may have a function of the same name that does one of these in one pass.


def add_scaled(xp: Namespace, x: Array, factor: Array | float, y: Array) -> Array:
    """Return ``x + factor * y``, for a number or a 0-d array: in place where the library can."""
    if "add_scaled" in xp.__dict__:
        return cast("Array", xp.add_scaled(x, factor, y))
    x += factor * y
    return x


def subtract_scaled(xp: Namespace, x: Array, factor: Array | float, y: Array) -> Array:
    """Return ``x - factor * y``, as `add_scaled` does, and use up `y`."""
    if "subtract_scaled" in xp.__dict__:
        return cast("Array", xp.subtract_scaled(x, factor, y))
    y *= factor
    x -= y
    return x


def positives(xp: Namespace, x: Array) -> Array:
    """Return 1{x > 0}, in the dtype of `x`."""
    return cast("Array", xp.positives(x) if "positives" in xp.__dict__ else xp.astype(x > 0, x.dtype))
