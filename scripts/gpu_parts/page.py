"""What was found on a card, as a page that a person can read, in one file that needs no other."""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from html_pages import render
from xpmlp.common.files import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["write_page"]

TEMPLATE = Path(__file__).with_name("page.html.jinja")
GRAPHS = "graphs against eager steps"


def write_page(path: Path, found: Mapping[str, Any]) -> None:
    """Write the page of what `gpu_check.py` has found, in the form of its file."""
    parts = found["parts"]
    values = {
        "found": found,
        "failed": [name for name, part in parts.items() if not part["passed"]],
        "backends": parts.get("machine", {}).get("found", {}).get("backends", []),
        "graphs": {name: x for name, x in parts.get(GRAPHS, {}).get("found", {}).items() if isinstance(x, dict)},
        "targets": list(_targets(parts)),
        "fallbacks": list(_fallbacks(parts)),
        "suite": parts.get("tests", {}).get("found", {}),
        "numbers": json.dumps(parts, indent=1),
    }
    write_whole(path, render(TEMPLATE, values).encode())


def _targets(parts: Mapping[str, Any]) -> Iterator[tuple[str, str, bool | None]]:
    """Give the part, the words of each target, and whether it was met; None where this was not measured."""
    for name, part in parts.items():
        targets = part["found"].get("targets", {})
        if isinstance(targets, dict):
            yield from ((name, target, met) for target, met in targets.items())
        else:  # of a benchmark
            yield from ((name, each["target"], each["met"]) for each in targets)


def _fallbacks(parts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give the part and the words of each warning: what was not done as it is meant to be, and why."""
    for name, part in parts.items():
        inner = [each for each in part["found"].values() if isinstance(each, dict)]
        warnings = chain(part["warnings"], *(each.get("warnings", ()) for each in inner))
        yield from ((name, warning) for warning in dict.fromkeys(warnings))
        skipped = part["found"].get("skipped", {})
        yield from ((name, f"{contender} was left out: {why}") for contender, why in skipped.items())
