"""Fonts for names in any script: those that are installed on the machine, where matplotlib's own lacks a character."""

from __future__ import annotations

import warnings
from functools import cache
from typing import TYPE_CHECKING

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FaceFlags, FT2Font
from matplotlib.text import Text

from xpmlp.common.errors import XpmlpWarning
from xpmlp.common.wording import quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LAST_RESORT = "lastresort"  # a font that has a box for every character
_said: set[str] = set()


def use_fonts_with_all_characters(figure: Figure) -> None:
    """Let the texts of a figure fall back to installed fonts for what the first one lacks.

    Warns
    -----
    XpmlpWarning
        For characters that no font has, once in a process.
    """
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text()]
    wanted = {character for text in texts for character in text.get_text() if not character.isspace()}
    missing = frozenset(map(ord, wanted)) - _characters(font_manager.findfont(FontProperties()))
    if not missing:
        return
    families, lost = _fallbacks(missing)
    for text in texts:
        text.set_fontfamily([*text.get_fontfamily(), *families])
    if lost:
        _say(quoted(sorted(map(chr, lost))))


def _say(lost: str) -> None:
    """Warn of the first characters that no font has; a command draws several figures of the same names."""
    if not _said:
        _said.add(lost)
        warnings.warn(
            f"no installed font has {lost}, so that figures show boxes in place of such characters: install a "
            "font that has them, such as Noto Sans CJK for Chinese and Japanese. Other files have names as they are.",
            XpmlpWarning,
            stacklevel=4,
        )


@cache
def _fallbacks(missing: frozenset[int]) -> tuple[list[str], frozenset[int]]:
    """Return the families that have most of some characters between them, and the characters that none has."""
    found = {path: _characters(path) & missing for path in sorted(font_manager.findSystemFonts())}
    families = []
    while found and missing & found[best := max(found, key=lambda path: len(found[path] & missing))]:
        font_manager.fontManager.addfont(best)  # which may have been installed since matplotlib looked
        families.append(FT2Font(best).family_name)
        missing -= found.pop(best)
    return families, missing


@cache
def _characters(path: str) -> frozenset[int]:
    """Return the code points that a font can draw at any size; none of what is no such font."""
    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    has_boxes_for_all = LAST_RESORT in font.family_name.replace(" ", "").lower()
    is_fit = font.face_flags & FaceFlags.SCALABLE and not has_boxes_for_all
    return frozenset(font.get_charmap()) if is_fit else frozenset()
