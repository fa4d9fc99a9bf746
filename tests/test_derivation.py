"""docs/derivation.md: every equation of the report once and in its order, each with code and a test that exist.

An entry has the heading `### FIRST Title` or `### FIRST-LAST Title`. Its links have the two forms of `links.py` alone.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from links import LINK, ROOT, Link, broken, links_of, targets_of
from markdown_it import MarkdownIt

TEXT = (ROOT / "docs" / "derivation.md").read_text(encoding="utf-8")

HEADING = re.compile(r"### (?P<section>\d+(?:\.\d+)*)\.(?P<first>\d+)(?:-(?P=section)\.(?P<last>\d+))? [A-Z]")
INLINE = re.compile(r"(?<!\$)\$(?!\$)([^$]+)\$")

EXPECTED = [
    f"{section}.{number}" for section, last in (("1", 40), ("2", 72), ("3.1", 6)) for number in range(1, last + 1)
]


class Entry(NamedTuple):
    numbers: list[str]
    links: list[Link]


def entries_of(text):
    """Give the numbered parts of a document; a part ends at the next heading of its level or above."""
    parts = [(HEADING.match(part), part) for part in re.split(r"^(?=#{1,3} )", text, flags=re.MULTILINE)]
    return [Entry(numbers_of(heading), links_of(part)) for heading, part in parts if heading]


def numbers_of(heading):
    first, last = int(heading["first"]), int(heading["last"] or heading["first"])
    return [f"{heading['section']}.{number}" for number in range(first, last + 1)]


def covered(text):
    return [number for entry in entries_of(text) for number in entry.numbers]


def unproved(text):
    """Give the first number of each entry without code, or without a test whose name has the numbers of the entry."""
    lacking = []
    for entry in entries_of(text):
        span = "_to_".join(number.replace(".", "_") for number in dict.fromkeys((entry.numbers[0], entry.numbers[-1])))
        tests = [link for link in entry.links if re.match(rf"test_(eq_)?{span}_(?!to_\d)", link.name)]
        if not tests or all(link.folder != "xpmlp" for link in entry.links):
            lacking.append(entry.numbers[0])
    return lacking


def irregular(text):
    """Give the targets of links that are of no form known here: these would go unchecked."""
    regular = [match.group().split("](")[1].rstrip(")") for match in LINK.finditer(text)]
    targets = targets_of(text)
    return sorted(target for target in targets if targets.count(target) != regular.count(target))


def mangled(text):
    """Give the inline formulas that Markdown would change: GitHub finds `$...$` in what Markdown has left."""
    found = []
    for block in MarkdownIt("commonmark").enable("table").parse(re.sub(r"`[^`\n]*`", "", text)):
        parts = [part for part in block.children or () if part.type != "html_inline"]
        left = "".join("\n" if part.type == "softbreak" else part.content for part in parts)
        found += [formula for formula in INLINE.findall(block.content) if f"${formula}$" not in left]
    return found


def test_every_equation_of_the_report_is_covered_once_and_in_its_order():
    assert covered(TEXT) == EXPECTED


def test_every_link_leads_to_code_or_a_test_that_exists():
    assert links_of(TEXT)
    assert broken(TEXT) == []


def test_no_link_escapes_the_check_by_its_form():
    assert irregular(TEXT) == []


def test_every_entry_names_its_code_and_the_test_of_its_numbers():
    assert unproved(TEXT) == []


def test_inline_formulas_come_through_markdown_as_they_are_written():
    assert mangled(TEXT) == []


CODE = "[`network.bprop`](../xpmlp/nn/network.py)"
TEST = "[`test_eq_2_4_to_2_5_the_output_layer`](../tests/test_equations.py)"


@pytest.mark.parametrize(
    ("check", "text", "found"),
    [
        (covered, "### 2.4-2.5 A\n### 2.5 B\n### Other\n#### 2.7 C\n### 2.8-1.9 D\n### 2.9 b\n", ["2.4", "2.5", "2.5"]),
        (broken, f"{CODE} {TEST} [`base.Backend.minibatches`](../xpmlp/backends/base.py)", []),
        (broken, CODE.replace("bprop`", "brop`"), ["network.brop"]),
        (broken, CODE.replace("network.py", "networks.py"), ["network.bprop"]),
        (broken, CODE.replace("network.py", "losses.py"), ["network.bprop"]),
        (broken, "[`network`](../xpmlp/nn/network.py)", ["network"]),
        (broken, "[`network.check_choice`](../xpmlp/nn/network.py)", ["network.check_choice"]),  # only imported there
        (broken, "[`losses.Loss.deltas`](../xpmlp/nn/losses.py)", ["losses.Loss.deltas"]),
        (broken, TEST.replace("2_5", "2_6"), ["test_eq_2_4_to_2_6_the_output_layer"]),
        (broken, TEST.replace("test_equations", "test_network"), ["test_eq_2_4_to_2_5_the_output_layer"]),
        (broken, "[`columns`](../tests/test_equations.py)", ["columns"]),  # a helper, and no test
        (irregular, f"{CODE} [bprop](../xpmlp/nn/network.py)", ["../xpmlp/nn/network.py"] * 2),
        (mangled, "$x_1$ and $\\mathrm{f}_m(y)$ | $\\lbrace c \\rbrace$, $a\nb$\n", []),
        (
            mangled,
            "$h \\, x$ and $\\{c\\}$, $a*b*c$, $[a](b)$, $a <b> c$\n",
            ["h \\, x", "\\{c\\}", "a*b*c", "[a](b)", "a <b> c"],
        ),
        (unproved, f"### 2.4-2.5 A\n{CODE}\n{TEST}\n", []),
        (unproved, f"### 2.4-2.5 A\n{TEST}\n### 2.6 B\n{CODE}\n## C\n{TEST}\n", ["2.4", "2.6"]),
        (unproved, f"### 2.4 A\n{CODE}\n{TEST}\n### 2.5-2.6 B\n{CODE}\n{TEST}\n", ["2.4", "2.5"]),
    ],
)
def test_what_is_wrong_in_a_document_is_found(check, text, found):
    assert check(text) == found
