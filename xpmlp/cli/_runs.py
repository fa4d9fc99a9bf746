"""`xpmlp runs`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._terminal import print_table, say, warn
from xpmlp.common.wording import MEASURES, counted

if TYPE_CHECKING:
    from xpmlp.experiments.overview import Entry

KEYS = ("age", "folder", "data", "score", "state")
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look for them.", metavar="FOLDER")] = Path("runs"),
    *,
    sort: Annotated[str, typer.Option(help="By age (the newest first), folder, data, score or state.")] = "age",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the runs and searches below a folder: data, network, best and last scores, and how far each is."""
    import json
    from dataclasses import asdict

    from xpmlp.common.validation import check_choice
    from xpmlp.experiments.overview import entry_of, list_runs
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.search import SearchFolder, entry_of_search

    check_choice("sort", sort, KEYS)
    entries = list_runs(folder, {SearchFolder: entry_of_search, RunFolder: entry_of})
    entries.sort(key=lambda entry: _order(entry, sort))
    if as_json:
        typer.echo(json.dumps([asdict(entry) for entry in entries], indent=2))
    elif not entries:
        say(f"There are no runs below {folder}.")
    else:
        _print(folder, entries)


def _order(entry: Entry, key: str) -> tuple[Any, ...]:
    """Order entries by what they have; those that lack it come last."""
    if key == "age":
        return (entry.started is None, -_seconds(entry))
    if key == "score":
        value = entry.best and entry.best[1]
        return (entry.score is None, entry.score, value is None, -(value or 0.0))
    value = getattr(entry, key)
    return (value is None, value)


def _seconds(entry: Entry) -> float:
    return datetime.fromisoformat(entry.started).timestamp() if entry.started else 0.0


def _print(folder: Path, entries: list[Entry]) -> None:
    from rich.table import Table

    scores = sorted({_measure(entry.score) for entry in entries if entry.score})
    is_one = len(scores) == 1  # it is then said once, as a line has room for little
    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("folder", "data", "network", *([] if is_one else ["score"]), "best", "last", "state", "age"):
        whole = name in {"folder", "best", "last", "state", "age"}  # a folder's name can then be copied
        table.add_column(name, overflow="fold", no_wrap=whole, min_width=10 if name == "score" else None)
    for entry in entries:
        place = Path(entry.folder)
        name = str(place.relative_to(folder)) if place != folder else str(place)
        score = [] if is_one else [_measure(entry.score)]
        best, last = ("-" if each is None or each[1] is None else f"{each[1]:.4f}" for each in (entry.best, entry.last))
        points = (best, f"{last} ({entry.last[0]})" if entry.last else last)
        table.add_row(name, entry.data or "-", entry.network or "-", *score, *points, entry.state, _age(entry))
    of = f"best and last {scores[0]}" if is_one else "best and last score"
    print_table(table, f"{folder}: {counted(len(entries), 'run')}; {of} (and its epoch)")
    for entry in entries:
        if entry.problem:
            warn(f"{entry.folder}: {entry.problem}")


def _measure(score: str | None) -> str:
    """Write what a score is: "validation accuracy", "test R2"."""
    part, _, measure = (score or "-").partition(" ")
    return f"{part} {MEASURES.get(measure, measure)}".strip()


def _age(entry: Entry) -> str:
    if entry.started is None:
        return "-"
    passed = max(datetime.now().astimezone().timestamp() - _seconds(entry), 0.0)
    unit, seconds = next((each for each in UNITS if passed >= each[1]), UNITS[-1])
    return f"{passed / seconds:.0f} {unit}"
