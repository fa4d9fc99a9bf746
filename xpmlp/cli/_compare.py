"""`xpmlp compare`."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._terminal import print_table, warn
from xpmlp.common.wording import MEASURES, brief, loss_label, measured
from xpmlp.experiments.options import to_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.experiments.overview import ComparedRun

PARTS = ("train", "validation", "test")
MAX_BESIDE = 4  # runs in a table; others follow in another one


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="The folders of two runs or more.", metavar="RUN RUN ...", show_default=False)
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="The figure of their curves.", show_default="compare.png, and replaced where it exists"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Set runs side by side: the options that differ, the scores of the epoch that each keeps, and their curves."""
    import json

    from xpmlp.common.files import FIGURE_KINDS, check_place
    from xpmlp.experiments.overview import compare_runs
    from xpmlp.plots import MAX_COMPARED, comparison_figure, save_figure

    place = out or Path("compare.png")
    check_place(place, FIGURE_KINDS, overwrite=overwrite or out is None)
    compared = compare_runs(runs)
    if as_json:
        typer.echo(json.dumps([run.to_json() for run in compared], indent=2))
    else:
        _print(compared)
    curves = {run.name: run.records for run in compared if run.records}
    if len(curves) > MAX_COMPARED:
        warn(f"{place} has the first {MAX_COMPARED} runs: the curves of more cannot be told apart.")
    if curves:
        shown = dict(list(curves.items())[:MAX_COMPARED])
        is_likelihood = all(loss_label(run.loss) == "NLL" for run in compared)
        title = f"{len(shown)} runs side by side"
        save_figure(comparison_figure(shown, title, _parts(compared), is_likelihood=is_likelihood), place)
        if not as_json:
            typer.echo(f"figure: {place}")


def _parts(compared: Sequence[ComparedRun]) -> list[str]:
    """Choose the parts whose curves are drawn: training, and the one that says most and all runs have."""
    kept = [run.kept for run in compared]
    known = [part for part in ("validation", "test") if all(part in record.scores for record in kept if record)]
    return ["train", *known[:1]]


def _print(compared: Sequence[ComparedRun]) -> None:
    from rich.table import Table

    lines = list(_lines(compared))
    for start in range(0, len(compared), MAX_BESIDE):
        beside = slice(start, start + MAX_BESIDE)
        table = Table("")
        for run in compared[beside]:
            table.add_column(run.name, overflow="fold")
        for name, *cells in lines:
            table.add_row(name, *cells[beside])
        print_table(table)


def _lines(compared: Sequence[ComparedRun]) -> Iterator[list[str]]:
    """Give what is set side by side: a name, and the text of each run."""
    for name in compared[0].options:
        yield [name.replace("_", "-"), *(_setting(run.options[name]) for run in compared)]
    kept = [run.kept for run in compared]
    counts = [len(run.records) for run in compared]
    yield ["epoch kept", *(f"{one.epoch} of {n}" if one else "-" for one, n in zip(kept, counts, strict=True))]
    known = [{} if record is None else record.scores for record in kept]
    for part in PARTS:
        values = [{"loss": each[part].loss, **each[part].measures} if part in each else {} for each in known]
        for name in dict.fromkeys(chain.from_iterable(values)):
            cells = [(brief(v[name]) if name == "loss" else measured(name, v[name])) if v else "-" for v in values]
            yield [f"{part} {MEASURES.get(name, name)}", *cells]
    yield ["seconds", *(f"{run.records[-1].seconds:.1f}" if run.records else "-" for run in compared)]
    if any(run.state != "complete" for run in compared):
        yield ["state", *(run.state for run in compared)]


def _setting(value: Any) -> str:
    """Write an option; JSON has lists for its tuples, and None for what was decided by default."""
    return "-" if value is None else to_text(tuple(value) if isinstance(value, list) else value) or "none"
