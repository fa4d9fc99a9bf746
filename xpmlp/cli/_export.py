"""`xpmlp export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpmlp.cli._options import OwnActivations, RunOrModel, find_activations
from xpmlp.cli._terminal import say


def export(
    run: RunOrModel,
    file: Annotated[
        Path,
        typer.Argument(
            help="What to write: .onnx; .npz, plain arrays; or .skops, scikit-learn's estimator.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    *,
    to: Annotated[
        str | None,
        typer.Option(help="onnx, npz or sklearn: checked against the file's ending.", show_default="by the ending"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    activation: OwnActivations = None,
) -> None:
    """Export a trained model for other programs, with the scaling of its features."""
    from xpmlp.experiments.runs import model_at
    from xpmlp.models.exports import export_model

    export_model(model_at(run, find_activations(activation)), file, to=to, overwrite=overwrite)
    say(f"model written to {file}")
