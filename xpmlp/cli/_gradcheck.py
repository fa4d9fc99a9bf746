"""`xpmlp gradcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import check_used, open_backend, parse_options, takes_options
from xpmlp.cli._terminal import FAILED, print_table
from xpmlp.experiments.options import CIRCLES, to_text

if TYPE_CHECKING:
    from xpmlp.nn.gradcheck import GradientCheck

MAX_ROWS = 40
NETWORK = ("hidden", "activation", "dropout", "frequencies", "frequency_scale", "init", "l1", "l2", "loss")


@takes_options(*NETWORK, "mode", "batch_size", "seed", "backend", "device", defaults=CIRCLES)
def gradcheck(
    context: typer.Context,
    *,
    out: Annotated[Path, typer.Option(help="The figure to write.")] = Path("gradcheck.png"),
    **options: Any,
) -> None:
    """Check the gradients of the report's network on the circles against finite differences, in float64.

    The exit code is 1 where a relative error is not below 1e-7, or a ratio to bprop not within 0.99 to 1.01.
    """
    from xpmlp.common.files import FIGURE_KINDS, check_place
    from xpmlp.experiments.experiment import check_circles
    from xpmlp.plots import gradient_figure, save_figure

    check_place(out, FIGURE_KINDS)
    chosen = parse_options(options, CIRCLES)
    check_used(context, chosen)
    backend = open_backend(chosen.backend, chosen.device, "float64")
    check = check_circles(backend, chosen)
    _print(check)
    network = f"{to_text(chosen.hidden)} hidden {to_text(chosen.activation)}, {chosen.mode}"
    dropped = f", dropout {to_text(chosen.dropout)}" if any(chosen.dropout) else ""
    place = f"{backend.name} on {backend.device_name}"
    cosines = f", {chosen.frequencies} frequencies" if chosen.frequencies else ""
    loss = "" if chosen.loss == "auto" else f", loss {chosen.loss}"
    title = f"circles, {network}{cosines}{loss}{dropped}, K = {chosen.batch_size}, {place}"
    typer.echo(title)
    save_figure(gradient_figure(check, title), out)
    typer.echo(f"figure: {out}")
    if not (check.passed and check.report_passed):
        raise typer.Exit(FAILED)


def _print(check: GradientCheck) -> None:
    from rich.table import Table

    parameters = list(check.parameters)
    table = Table("parameter", "bprop", "central\ndifferences", "relative\nerror", "forward\ndifferences\n/ bprop")
    if len(parameters) > MAX_ROWS:
        parameters = sorted(check.judged, key=lambda parameter: -parameter.error)[:MAX_ROWS]
        table.caption = f"the {MAX_ROWS} worst of {len(check.parameters)} parameters"
    for p in parameters:
        table.add_row(p.name, f"{p.bprop:+.9e}", f"{p.central:+.9e}", f"{p.error:.1e}", f"{p.ratio:.6f}")
    print_table(table)
    for parameter in check.kinks:
        typer.echo(f"not judged: {parameter.name}, where a unit is at its kink")
    worst, ratio = check.worst, check.worst_ratio
    typer.echo(
        f"{'passed' if check.passed else 'FAILED'}: worst relative error {worst.error:.1e} at {worst.name}, "
        f"tolerance {check.tolerance:g}"
    )
    typer.echo(
        f"{'passed' if check.report_passed else 'FAILED'}: worst ratio of forward differences to bprop "
        f"{ratio.ratio:.6f} at {ratio.name}, the report's band 0.99 to 1.01"
    )
