"""docs/tour.md: its code runs and prints what the page shows, and what it quotes of the package stands there."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
import re

import pytest
from links import ROOT, links_of

TEXT = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
MAX_LINES = 150
BLOCK = re.compile(r"^```python\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
QUOTE = re.compile(r"(?P<link>\[`[\w.]+`\]\(\S+?\)):\n\n```py\n(?P<code>.*?)^```$", flags=re.DOTALL | re.MULTILINE)


def test_the_page_is_as_short_as_it_promises():
    assert len(TEXT.splitlines()) <= MAX_LINES


def test_its_code_runs_block_after_block_and_prints_what_the_page_shows():
    names = {}
    for code in BLOCK.findall(TEXT):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, "tour.md", "exec"), names)  # noqa: S102 - it is our own page
        assert printed.getvalue().splitlines() == re.findall(r"^# -> (.+)$", code, flags=re.MULTILINE)


def lines(code):
    """Give the code without the space before its lines."""
    return "".join(f"{line.strip()}\n" for line in code.splitlines())


@pytest.mark.parametrize("quote", list(QUOTE.finditer(TEXT)), ids=lambda quote: quote["link"].split("`")[1])
def test_the_lines_that_it_quotes_stand_in_the_function_that_it_names(quote):
    (link,) = links_of(quote["link"])
    found = importlib.import_module(f"xpmlp.{link.path.replace('/', '.')}")
    for name in link.name.split(".")[1:]:
        found = getattr(found, name)
    assert lines(quote["code"]) in lines(inspect.getsource(found)), quote["code"]


def test_every_block_of_another_kind_is_a_quotation():
    assert len(QUOTE.findall(TEXT)) == TEXT.count("```py\n") > 0
    assert TEXT.count("```") == 2 * (len(BLOCK.findall(TEXT)) + len(QUOTE.findall(TEXT)))


def test_every_number_of_an_equation_is_a_link_to_its_derivation():
    prose = re.sub(r"^```.*?^```$", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    bare = re.sub(r"\[[\d.-]+\]\(derivation\.md#\S+?\)", "", prose)
    assert re.findall(r"\b[123]\.\d+(?:\.\d+)?\b", bare) == ["2.1"]  # which the introduction explains
    for numbers, anchor in re.findall(r"\[([\d.-]+)\]\(derivation\.md#([\d-]+)", prose):
        assert anchor.strip("-") == numbers.replace(".", "")
