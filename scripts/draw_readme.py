"""Draw the picture that the README begins with, from the gallery, for light pages and for dark ones.

`python scripts/draw_readme.py` writes it into docs/static/, `python scripts/draw_readme.py FOLDER` elsewhere.
"""

from __future__ import annotations

import io
import runpy
import sys
from pathlib import Path

import matplotlib as mpl
from PIL import Image

__all__ = ["COLOURS", "draw"]

DOCS = Path(__file__).parent.parent / "docs"
COLOURS = {"light": ("black", "white"), "dark": ("#e6edf3", "#0d1117")}  # words, and the page behind them


def draw(folder: Path) -> None:
    """Write a picture for each kind of page; 64 colours make it a small file."""
    mpl.use("agg")
    program = runpy.run_path(str(DOCS / "gallery" / "plot_front_page.py"))
    for page, (ink, paper) in COLOURS.items():
        drawn = io.BytesIO()
        program["draw"](ink).savefig(drawn, dpi=160, facecolor=paper)
        Image.open(drawn).convert("RGB").quantize(64).save(folder / f"readme-{page}.png", optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS / "static")
