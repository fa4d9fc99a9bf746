"""Pages of HTML that stand by themselves, made from templates."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from xpmlp import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["check_jinja", "render"]


def check_jinja() -> None:
    """Raise unless the template library is installed.

    Raises
    ------
    InputError
        With the way to install it.
    """
    if find_spec("jinja2") is None:
        raise InputError("the page needs jinja2, which is not installed: pip install 'xpmlp[report]'.")


def render(template: Path, values: Mapping[str, Any], **filters: Callable[..., Any]) -> str:
    """Return the page that a template gives with some values, all of whose texts are escaped."""
    import jinja2  # noqa: PLC0415 - an optional extra, which `check_jinja` has asked for

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(template.name).render(values)
