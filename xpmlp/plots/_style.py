"""Colours that all figures share: those of Okabe and Ito, which readers with any kind of colour vision can tell apart.

Each line has a dash pattern and each set of points a marker of its own beside its colour.
"""

from __future__ import annotations

BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#666666"
PART_STYLES = {"train": (BLUE, "-"), "validation": (ORANGE, "--"), "test": (GREEN, "-.")}
MOST_LABELLED = 40  # classes or parameters whose names still fit beside an axis
