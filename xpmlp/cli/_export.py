"""`xpmlp export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xpmlp.cli._options import OwnActivations, OwnLoss, RunOrModel, import_part, import_parts
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
    what: Annotated[
        str,
        typer.Option(help="model; or step, of .onnx alone: a training step, for where there is no Python."),
    ] = "model",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    activation: OwnActivations = None,
    loss: OwnLoss = None,
    schedule: Annotated[
        str | None,
        typer.Option(
            help="A schedule of your own, module:name, that the run was trained with: a step has it in it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Export a trained model for other programs, with the scaling of its features."""
    from xpmlp.common.errors import InputError
    from xpmlp.common.validation import check_choice
    from xpmlp.experiments.runs import RunFolder, model_at
    from xpmlp.models.exports import export_model, export_step

    check_choice("what", what, ("model", "step"))
    model = model_at(run, import_parts(activation, loss))
    if what == "model":
        export_model(model, file, to=to, overwrite=overwrite)
    elif run.is_file():
        raise InputError(f"{run} holds a model alone: a step is that of a run, whose folder says how it was trained.")
    else:
        check_choice("to", to or "onnx", ("onnx",))
        own = None if schedule is None else import_part("schedule", schedule)
        export_step(model, RunFolder(run).recipe(own), file, overwrite=overwrite)
    say(f"{what} written to {file}")
