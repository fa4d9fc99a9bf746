"""Parts of a user's own, which options and files name by their places, "module:name"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any, Self

from xpmlp.common.errors import InputError
from xpmlp.nn.activations import Activation
from xpmlp.nn.losses import CLASS_LOSSES, REAL_LOSSES, Loss

KINDS: dict[str, tuple[Any, str]] = {
    "activation": (Activation, "an Activation, a function with its derivative"),
    "loss": (Loss, "a Loss, such as one that dataclasses.replace makes of another"),
    "schedule": (Callable, "a function of xp and the number of steps taken"),
}


class OwnPart(str):
    """The place of a part of a user's own, "module:name", that comes with what was found there.

    Options and files hold the mere string, which imports nothing: whoever reads them has to name the place again.
    """

    __slots__ = ("kind", "part")
    kind: str
    part: Any

    @classmethod
    def at(cls, kind: str, place: str) -> Self:
        """Import what a user has named.

        Raises
        ------
        InputError
            Where there is no such module, it fails, or what it has of that name is not of the kind.
        """
        module, colon, name = place.partition(":")
        if not (module and colon and name):
            raise InputError(f"{kind} is {place!r}, but must say where one of your own is: module:name.")
        try:
            found = getattr(import_module(module), name)
        except Exception as error:  # whatever a module of the user's raises
            raise InputError(f"{kind} {place!r} cannot be imported: {type(error).__name__}: {error}.") from error
        wanted, what = KINDS[kind]
        if not isinstance(found, wanted) or isinstance(found, type):
            is_what = f"the class {found.__name__}" if isinstance(found, type) else type(found).__name__
            raise InputError(f"{kind} {place!r} is {is_what}, but must be {what}: see docs/your-own-parts.md.")
        self = cls(place)
        self.kind = kind
        self.part = replace(found, name=place) if isinstance(found, Activation | Loss) else found
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).at, (self.kind, str(self))  # another process imports it too: not every part can be sent


def is_place(kind: str, text: str) -> bool:
    """Whether an option or a file names a part of a user's own; "huber:1.35" is a loss with its number."""
    head, colon, _ = text.partition(":")
    return bool(colon) and not (kind == "loss" and head in {*CLASS_LOSSES, *REAL_LOSSES})


def own_part(kind: str, given: object) -> Any:
    """Return the part that a place comes with; None for what is no place.

    Raises
    ------
    InputError
        For a mere place, as a file has it.
    """
    if isinstance(given, OwnPart) and given.kind == kind:
        return given.part
    if isinstance(given, str) and is_place(kind, given):
        call = "" if kind == "schedule" else ", or `load_model(path, parts=[...])`"  # which is in no model
        raise InputError(
            f"{kind} {given!r} is a part of your own, and a file brings no code in: name it again, with --{kind} "
            f"{given}{call}."
        )
    return None
