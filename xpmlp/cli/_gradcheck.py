"""`xpmlp gradcheck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpmlp.cli._options import (
    L1,
    L2,
    TRAINING,
    Activation,
    BackendName,
    Device,
    Dropout,
    Hidden,
    Init,
    Mode,
    Seed,
    check_used,
)
from xpmlp.cli._terminal import FAILED, announce, parse_floats, parse_integers, parse_names, print_table
from xpmlp.experiments.options import Options

if TYPE_CHECKING:
    from xpmlp.nn.gradcheck import GradientCheck

__all__ = ["gradcheck"]

MOST_LISTED = 40


def gradcheck(
    context: typer.Context,
    *,
    mode: Mode = "matrix",
    batch_size: Annotated[
        int, typer.Option(help="Examples to take the gradients over.", rich_help_panel=TRAINING)
    ] = 10,
    hidden: Hidden = "2",
    activation: Activation = "relu",
    init: Init = "report",
    l1: L1 = "0",
    l2: L2 = "0",
    dropout: Dropout = "0",
    seed: Seed = 0,
    backend: BackendName = "numpy",
    device: Device = None,
    out: Annotated[Path, typer.Option(help="The figure to write.")] = Path("gradcheck.png"),
) -> None:
    """Check the gradients of the report's network on the circles against finite differences, in float64.

    Ends with exit code 1 where a relative error is not below 1e-7, or a ratio to bprop not within 0.99 to 1.01.
    """
    from xpmlp.backends import get_backend
    from xpmlp.common.files import FIGURE_KINDS, check_place
    from xpmlp.experiments.experiment import check_circles
    from xpmlp.plots import gradient_figure, save_figure

    check_place(out, FIGURE_KINDS)
    units = parse_integers("--hidden", hidden)
    check_used(context, Options("circles", hidden=units))
    place = get_backend(backend, device, "float64")
    announce(place.reason, place.name)
    check = check_circles(
        place,
        mode=mode,
        batch_size=batch_size,
        hidden=units,
        activation=parse_names(activation),
        init=init,
        l1=parse_floats("--l1", l1),
        l2=parse_floats("--l2", l2),
        dropout=parse_floats("--dropout", dropout),
        seed=seed,
    )
    _print(check)
    dropped = f", dropout {dropout}" if dropout != "0" else ""
    title = (
        f"circles, {hidden} hidden {activation}, {mode}{dropped}, K = {batch_size}, {place.name} on {place.device_name}"
    )
    typer.echo(title)
    save_figure(gradient_figure(check, title), out)
    typer.echo(f"figure: {out}")
    if not (check.passed and check.report_passed):
        raise typer.Exit(FAILED)


def _print(check: GradientCheck) -> None:
    from rich.table import Table

    shown = sorted(check.judged, key=lambda parameter: -parameter.error)[:MOST_LISTED]
    table = Table("parameter", "bprop", "central\ndifferences", "relative\nerror", "forward\ndifferences\n/ bprop")
    for parameter in check.parameters if len(check.parameters) <= MOST_LISTED else shown:
        table.add_row(
            parameter.name,
            f"{parameter.bprop:+.9e}",
            f"{parameter.central:+.9e}",
            f"{parameter.error:.1e}",
            f"{parameter.ratio:.6f}",
        )
    if len(check.parameters) > MOST_LISTED:
        table.caption = f"the {MOST_LISTED} worst of {len(check.parameters)} parameters"
    print_table(table)
    for parameter in check.kinks:
        typer.echo(f"not judged: {parameter.name}, where a unit sits on its kink")
    worst, ratio = check.worst, check.worst_ratio
    typer.echo(
        f"{'passed' if check.passed else 'FAILED'}: worst relative error {worst.error:.1e} at {worst.name}, "
        f"bar {check.tolerance:g}"
    )
    typer.echo(
        f"{'passed' if check.report_passed else 'FAILED'}: worst ratio of forward differences to bprop "
        f"{ratio.ratio:.6f} at {ratio.name}, the report's band 0.99 to 1.01"
    )
