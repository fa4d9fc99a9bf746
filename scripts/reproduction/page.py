"""The page: every figure with its caption, the report's numbers beside ours, in one file that needs no other."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from reproduction import reference
from xpmlp import InputError
from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_jinja", "write_page"]

TEMPLATE = "page.html.jinja"


def check_jinja() -> None:
    """Raise unless the template library is installed.

    Raises
    ------
    InputError
        With the way to install it.
    """
    if find_spec("jinja2") is None:
        raise InputError("the page needs jinja2, which is not installed: pip install 'xpmlp[report]'.")


def write_page(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write ``index.html`` from the results, with the pictures of the folder embedded in it; gives its path."""
    import jinja2  # noqa: PLC0415 - an optional extra, which `check_jinja` has asked for

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = lambda name: embedded(folder / name)
    environment.filters["duration"] = duration
    reported = {name.lower(): getattr(reference, name) for name in dir(reference) if name.isupper()}
    page = environment.get_template(TEMPLATE).render(results=results, **results, **reported)
    path = folder / "index.html"
    write_whole(path, page.encode())
    return path


def embedded(path: Path) -> str:
    """Return a picture as a data URI, in 256 colours of its own: a third of the bytes, and as clear."""
    drawn = io.BytesIO()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(drawn, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(drawn.getvalue()).decode()}"


def duration(seconds: float) -> str:
    """Say a number of seconds in words."""
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"
