"""The page: every figure with its caption, the report's numbers beside ours, in one file that needs no other."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from html_pages import render
from reproduction import reference
from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["write_page"]

TEMPLATE = Path(__file__).with_name("page.html.jinja")


def write_page(folder: Path, results: Mapping[str, Any]) -> Path:
    """Write ``index.html`` from the results, with the pictures of the folder embedded in it; gives its path."""
    reported = {name.lower(): getattr(reference, name) for name in dir(reference) if name.isupper()}
    values = {"results": results, **results, **reported}
    page = render(TEMPLATE, values, embedded=lambda name: embedded(folder / name), duration=duration)
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
