"""Mutation testing: change the calculus in small ways, and count the changes that no test notices.

    pip install -e '.[test]'
    python scripts/mutation_testing.py --mutants 300 --seed 0 --jobs 2 --out mutants.json

Mutants are drawn at random from all changes of a sign, an operator, a comparison, a boolean, a constant, an axis, a
function's name or a keyword in `xpmlp/nn` and `xpmlp/training`. Each is tested in a process of its own, on a copy of
the package: first the tests of its module, then the other fast ones, on NumPy's backends, until one fails. A mutant
that no test notices either has no effect, or shows a test that is missing.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from commands import print_table, run_script
from mutants.operators import Mutant, mutants_of
from mutants.server import ROOT, Outcome, load_packages, outcomes
from xpmlp import InputError, XpmlpError
from xpmlp.common.files import check_place, write_json

WINGS = ("nn", "training")
FIRST = {
    "nn/activations.py": ["test_activations", "test_equations", "test_properties"],
    "nn/dropout.py": ["test_dropout"],
    "nn/gradcheck.py": ["test_gradcheck", "test_equations_3_1"],
    "nn/initializers.py": ["test_initializers", "test_equations_3_1"],
    "nn/losses.py": ["test_losses", "test_equations", "test_properties"],
    "nn/network.py": ["test_network", "test_equations", "test_equations_3_1", "test_properties"],
    "nn/optimizers.py": ["test_optimizers"],
    "nn/regularization.py": ["test_regularization", "test_equations"],
    "nn/schedules.py": ["test_schedules"],
    "training/data_parallel.py": ["test_data_parallel"],
    "training/checks.py": ["test_training", "test_examples"],
}
THEN = (
    "test_training", "test_equations", "test_equations_3_1", "test_network", "test_losses", "test_activations",
    "test_gradcheck", "test_optimizers", "test_schedules", "test_regularization", "test_dropout", "test_initializers",
    "test_properties", "test_examples", "test_data_parallel", "test_tape", "test_graphs", "test_elementwise",
    "test_your_own_parts", "test_streams", "test_models", "test_checkpoints", "test_experiments", "test_exports",
    "test_estimators_parity", "test_estimators_beyond", "test_estimators_drop_in",
)  # fmt: skip
MIN_LIMIT = 120.0  # seconds of a stage
SLOWER = 5.0  # times the tests of the package as it is


def stages_of(mutant: Mutant) -> list[list[str]]:
    """Return the files of tests for a mutant: those of its module, then the others."""
    first = FIRST.get(mutant.path, ["test_training"])
    return [first, [name for name in THEN if name not in first]]


def draw(count: int, seed: int) -> list[Mutant]:
    """Draw mutants of the wings of the calculus, without repetition."""
    every = [
        mutant
        for wing in WINGS
        for path in sorted((ROOT / "xpmlp" / wing).glob("*.py"))
        for mutant in mutants_of(f"{wing}/{path.name}", path.read_bytes())
    ]
    print(f"{len(every):,} mutants, of which {min(count, len(every)):,} are drawn by seed {seed}")
    return random.Random(seed).sample(every, min(count, len(every)))  # noqa: S311 - a sample, not a secret


def main(
    mutants: Annotated[int, typer.Option(help="How many to draw.", min=1)] = 300,
    seed: Annotated[int, typer.Option(help="Of the draw.", min=0)] = 0,
    jobs: Annotated[int, typer.Option(help="How many to test at a time.", min=1)] = 2,
    out: Annotated[Path, typer.Option(help="Where to write the outcomes, as JSON.")] = Path("mutants.json"),
) -> None:
    """Draw mutants, test each, and print those that no test noticed; the exit code is 0 whatever they are."""
    check_place(out)
    missing = sorted(
        {name for name in (*THEN, *chain(*FIRST.values())) if not (ROOT / "tests" / f"{name}.py").exists()}
    )
    if missing:
        raise InputError(
            f"there are no tests {', '.join(missing)}: bring the lists of {Path(__file__).name} up to date."
        )
    drawn = draw(mutants, seed)
    load_packages()
    ((_, baseline),) = outcomes([(None, [list(THEN)])], jobs=1, limit=3600.0)
    if baseline.noticed:
        raise XpmlpError(f"the tests fail without a mutant, at {baseline.by}: mend that first.")
    limit = max(MIN_LIMIT, SLOWER * baseline.seconds)
    print(
        f"the tests of the package as it is take {baseline.seconds:.0f} s; a stage may take {limit:.0f} s", flush=True
    )
    found: list[tuple[Mutant, Outcome]] = []
    for mutant, outcome in outcomes([(mutant, stages_of(mutant)) for mutant in drawn], jobs=jobs, limit=limit):
        assert mutant is not None  # noqa: S101 - as all of these
        found.append((mutant, outcome))
        said = outcome.by if outcome.noticed else "NOT NOTICED"
        print(f"{len(found)}/{len(drawn)} {mutant.path}:{mutant.line} {mutant.kind}: {said}", flush=True)
        write_json(out, _report(seed, baseline, found))
    _print(found)


def _report(seed: int, baseline: Outcome, found: list[tuple[Mutant, Outcome]]) -> dict[str, object]:
    return {
        "seed": seed,
        "python": sys.version.split()[0],
        "baseline_seconds": round(baseline.seconds, 1),
        "mutants": len(found),
        "noticed": sum(outcome.noticed for _, outcome in found),
        "outcomes": [
            {**mutant._asdict(), **outcome._asdict(), "seconds": round(outcome.seconds, 1)}
            for mutant, outcome in sorted(found)
        ],
    }


def _print(found: list[tuple[Mutant, Outcome]]) -> None:
    kinds = Counter(mutant.kind for mutant, _ in found)
    noticed = Counter(mutant.kind for mutant, outcome in found if outcome.noticed)
    table = Table("kind", "mutants", "noticed")
    for kind in sorted(kinds):
        table.add_row(kind, str(kinds[kind]), str(noticed[kind]))
    table.add_section()
    table.add_row("all", str(len(found)), str(noticed.total()))
    print_table(table)
    survivors = Table("not noticed", "kind", "before", "after")
    for mutant, outcome in sorted(found):
        if not outcome.noticed:
            survivors.add_row(f"{mutant.path}:{mutant.line}", mutant.kind, mutant.before, mutant.after)
    print_table(survivors)


if __name__ == "__main__":
    run_script(main)
