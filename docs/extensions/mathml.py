"""Equations as MathML, which browsers draw by themselves: no script, no font and no network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.writers.html5 import HTML5Translator

__all__ = ["setup"]

APPLIED = re.compile(r"<mo>&ApplyFunction;</mo>(?=\s*<m(?!o))")  # such as ln to a name; no browser leaves a space there


def _mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    return APPLIED.sub('<mo rspace="0.17em">&ApplyFunction;</mo>', tex2mathml(node.astext(), as_block=as_block))


def _inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="equation">{_mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer that `html_math_renderer = "mathml"` names."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
