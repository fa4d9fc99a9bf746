"""Records as plain values: lists and dicts of arrays, numbers and strings.

Files of skops name every class that they hold, for their reader to trust, and pickles import it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from xpmlp.estimators._placement import to_host

TYPE = "type"  # the key of a record's type


def plain(value: Any) -> Any:
    """Copy a nest of lists, dicts and records, a dict for each record, with its arrays as NumPy's."""
    if is_dataclass(value):
        value = {TYPE: type(value).__name__} | {field.name: getattr(value, field.name) for field in fields(value)}
    elif hasattr(value, "_fields"):
        value = {TYPE: type(value).__name__} | value._asdict()
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(plain, value))
    return value if isinstance(value, int | float | str) else to_host(value)


def rebuilt(value: Any, types: tuple[type, ...]) -> Any:
    """Return what `plain` was given, of records of these types; other values are left as they are."""
    if isinstance(value, list):
        return [rebuilt(each, types) for each in value]
    if not isinstance(value, dict):
        return value
    built = {name: rebuilt(each, types) for name, each in value.items()}
    if TYPE not in built:
        return built
    return {kind.__name__: kind for kind in types}[built.pop(TYPE)](**built)
