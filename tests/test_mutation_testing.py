"""Mutation testing: what is changed, and that tests notice it."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutants.operators import mutants_of

ROOT = Path(__file__).parent.parent
SOURCE = b'''"""Text with 1 number."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    LIMIT = 3


def f(x: int = 2, *, y: "1 + 1" = None) -> int:
    """-1."""
    total = xp.sum(x, axis=0) if x < 4 and y else -x
    total *= 0.5
    return f"{1 + 1}" + total


zip(f, f, strict=True)
'''


def test_mutants_are_changes_of_what_is_computed_of_every_kind():
    found = mutants_of("module.py", SOURCE)
    changes = {(mutant.line, mutant.kind, mutant.before, mutant.after) for mutant in found}
    assert changes == {
        (9, "constant", "2", "1"),
        (9, "constant", "2", "3"),
        (11, "name", "xp.sum", "xp.max"),
        (11, "keyword", "xp.sum(x, axis=0)", "(xp.sum(x))"),
        (11, "axis", "0", "1"),
        (11, "constant", "0", "1"),
        (11, "constant", "0", "-1"),
        (11, "comparison", "x < 4", "(x <= 4)"),
        (11, "comparison", "x < 4", "(x > 4)"),
        (11, "constant", "4", "3"),
        (11, "constant", "4", "5"),
        (11, "boolean", "x < 4 and y", "(x < 4 or y)"),
        (11, "sign", "-x", "(x)"),
        (11, "boolean", "xp.sum(x, axis=0) if x < 4 and y else -x", "(-x if x < 4 and y else xp.sum(x, axis=0))"),
        (12, "operator", "total *= 0.5", "total /= 0.5"),
        (12, "constant", "0.5", "1.0"),
        (12, "constant", "0.5", "-0.5"),
        (13, "operator", 'f"{1 + 1}" + total', "(f'{1 + 1}' - total)"),
    }


@pytest.mark.parametrize("path", sorted((ROOT / "xpmlp" / "nn").glob("*.py")), ids=lambda path: path.name)
def test_every_mutant_of_the_calculus_is_another_program(path):
    source = path.read_bytes()
    same = ast.dump(ast.parse(source))
    for mutant in mutants_of(path.name, source):
        assert ast.dump(ast.parse(mutant.apply(source))) != same


OUTCOMES = """
import json, sys
sys.path.insert(0, "scripts")
from mutants.operators import mutants_of
from mutants.server import ROOT, load_packages, outcomes

path = "nn/schedules.py"
changed = {mutant.after: mutant for mutant in mutants_of(path, (ROOT / "xpmlp" / path).read_bytes())}
tasks = [None, changed["(t - 0.5)"]]
load_packages()
stages = [["test_wording"], ["test_schedules"]]
found = outcomes([(mutant, stages) for mutant in tasks], jobs=2, limit=100.0)
print(json.dumps([[mutant and mutant.before, outcome.noticed, outcome.by] for mutant, outcome in found]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_mutant_is_noticed_by_the_first_test_that_fails_and_the_package_as_it_is_passes():
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", OUTCOMES], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    outcomes = {before: (noticed, by) for before, noticed, by in json.loads(done.stdout.splitlines()[-1])}
    assert outcomes[None] == (False, "")
    noticed, by = outcomes["t + 0.5"]
    assert noticed
    assert by.startswith("tests/test_schedules.py::test_step_decay_multiplies_after_every_so_many_steps")
