"""Rehearsals: a fast way of a function is compared with the plain way, on the machine at hand, before it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.common.types import Array


def rehearse(
    fast: Callable[..., Any],
    plain: Callable[..., Any],
    arguments: tuple[Any, ...],
    written: int,
    *,
    copy: Callable[[Array], Array],
    to_numpy: Callable[[Array], np.ndarray] = np.asarray,
    roundings: int = 0,
) -> tuple[Any, bool]:
    """Do the same in a fast way and in the plain way, each on memory of its own.

    Parameters
    ----------
    fast, plain : callable
        Both take the arguments, and give arrays, or lists and named tuples of them. The plain way is given copies of
        what they may write to, the first `written` arguments.
    copy, to_numpy : callable
        Copy an array, on its device and to the host.

    Returns
    -------
    tuple
        The results of the fast way and True, if they are the same (`is_same`); else those of the plain way and False.
    """
    copies = mapped(copy, arguments[:written])
    found = fast(*arguments)
    expected = plain(*copies, *arguments[written:])
    pairs = zip(leaves(found), leaves(expected), strict=True)
    same = all(is_same(to_numpy(one), to_numpy(other), roundings) for one, other in pairs)
    return (found if same else expected), same


def is_same(found: np.ndarray, expected: np.ndarray, roundings: int = 0) -> bool:
    """Whether two arrays have the same dtype, shape and bytes; in floating point they may differ by some roundings.

    The norm of their difference is then at most so many times the dtype's epsilon, relative to that of what is
    expected. Single numbers may be further apart, as cancellation makes them.
    """
    if (found.shape, found.dtype) != (expected.shape, expected.dtype):
        return False
    if found.tobytes() == expected.tobytes():
        return True
    finite = np.isfinite(expected)
    if not roundings or expected.dtype.kind != "f" or not np.array_equal(np.isfinite(found), finite):
        return False
    one, other = (np.where(finite, x, 0).astype(np.float64) for x in (found, expected))
    bound = roundings * np.finfo(expected.dtype).eps * np.linalg.norm(other)
    return bool(np.linalg.norm(one - other) <= bound)


def mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    """Return lists and tuples, named or not, of what a function makes of what is in them; None and numbers stay."""
    if isinstance(nest, tuple | list):
        parts = [mapped(function, part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    return nest if nest is None or isinstance(nest, int | float) else function(nest)


def leaves(nest: Any) -> list[Any]:
    """Return what is in lists and tuples, except None."""
    found: list[Any] = []
    _collect(nest, found)
    return found


def _collect(nest: Any, found: list[Any]) -> None:
    if isinstance(nest, tuple | list):
        for part in nest:
            _collect(part, found)
    elif nest is not None:
        found.append(nest)
