"""Hyperparameters of a stack: a number that all of its networks share, or one for each of them.

A stack is M networks of one architecture, its members, whose arrays have a leading axis of M. A rule, such as `SGD` or
`ElasticNet`, names in `OWN` the hyperparameters that a member may have for itself. `join` makes one rule of those of
all members, with a `PerMember` where they differ; `place` makes arrays of these, (M,), for the steps.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.common.types import Array, Namespace

    Number = Array | float

Part = TypeVar("Part")


class PerMember(tuple[float, ...]):
    """One number for each member of a stack, in their order."""

    __slots__ = ()


def check_own(name: str, value: Any, **bounds: Any) -> Any:
    """As `check_number`, of each number where there is one for each member; arrays were checked before."""
    if isinstance(value, PerMember):
        return PerMember(check_number(name, number, **bounds) for number in value)
    return value if hasattr(value, "ndim") and value.ndim == 1 else check_number(name, value, **bounds)


def each(function: Callable[..., Any], number: Any) -> Any:
    """Return a function of a hyperparameter, or of that of each member."""
    return PerMember(map(function, number)) if isinstance(number, PerMember) else function(number)


def is_zero(number: Number) -> bool:
    """Whether a hyperparameter is the number 0, so that there is nothing to do for any member."""
    return isinstance(number, float) and number == 0.0


def over(number: Number, p: Array) -> Number:
    """Return a hyperparameter as it multiplies a parameter: the numbers of the members, (M,), with the axes of `p`."""
    return cast("Any", number)[(..., *(None,) * (p.ndim - 1))] if getattr(number, "ndim", 0) else number


def log(xp: Namespace, number: Number) -> Number:
    """Return the natural logarithm of a hyperparameter above 0."""
    return math.log(number) if isinstance(number, int | float) else xp.log(number)


def at_least_one(xp: Namespace, number: Number) -> Number:
    """Return a hyperparameter, or 1 where it is less."""
    return max(number, 1) if isinstance(number, int | float) else xp.maximum(number, xp.ones_like(number))


def join(parts: Sequence[Part]) -> Part:
    """Return one rule that does for each member of a stack what its own rule does.

    Parameters
    ----------
    parts : sequence
        The rules of the members, of one `kind`.

    Raises
    ------
    InputError
        For rules that differ in more than the hyperparameters that each member may have for itself.
    """
    first = parts[0]
    if all(part == first for part in parts):
        return first
    if others := [part for part in parts if kind(part) != kind(first)]:
        raise InputError(
            f"the members of a stack have {first!r} and {others[0]!r}, but may differ in "
            f"{' and '.join(_own(first)) or 'none of their numbers'} alone: train them in two stacks."
        )
    own = {name: _joined([getattr(part, name) for part in parts]) for name in _own(first)}
    return cast("Part", replace(cast("Any", first), **own))


def kind(part: Any) -> Any:
    """Return what rules that one stack can hold have in common: their type, and all but the members' own numbers."""
    own = _own(part)
    if not own:
        return part
    shared = [(name, value) for name, value in vars(part).items() if name not in own]
    return type(part), *shared, *(_kind_of_own(getattr(part, name)) for name in own)


def _own(part: Any) -> tuple[str, ...]:
    return getattr(part, "OWN", ())


def _kind_of_own(value: Any) -> Any:
    """Return what the members of a stack have in common of what each may have for itself: nothing, of a number."""
    if isinstance(value, int | float):
        return None
    return len(value) if isinstance(value, tuple) else kind(value)


def _joined(values: Sequence[Any]) -> Any:
    """Join what the members have: a number, a tuple with one for each layer, or a rule."""
    if all(value == values[0] for value in values):
        return values[0]
    if isinstance(values[0], tuple):
        return tuple(map(_joined, zip(*values, strict=True)))
    return PerMember(values) if isinstance(values[0], int | float) else join(values)


def lengths(part: Any) -> set[int]:
    """Return how many numbers a rule, or a tuple of rules, has where there is one for each member of a stack."""
    if isinstance(part, PerMember):
        return {len(part)}
    inner = part if isinstance(part, tuple) else [getattr(part, name) for name in _own(part)]
    return set().union(*map(lengths, inner))


def place(part: Part, asarray: Callable[[Any], Array]) -> Part:
    """Return a rule with arrays, (M,), made by `Backend.asarray`, in place of the numbers of the members."""

    def placed(value: Any) -> Any:
        if isinstance(value, PerMember):
            return asarray(value)
        return tuple(map(placed, value)) if isinstance(value, tuple) else value

    own = {name: placed(getattr(part, name)) for name in _own(part)}
    return cast("Part", replace(cast("Any", part), **own)) if own else part
