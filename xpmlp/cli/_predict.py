"""`xpmlp predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import READING, RunOrModel, open_backend, parse_options, takes_options
from xpmlp.cli._terminal import say
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from xpmlp.models.model import Model


@takes_options(*READING, "backend", "device", own_first=True)
def predict(
    run: RunOrModel,
    file: Annotated[
        Path,
        typer.Argument(
            help="Examples: a table with the columns of training, - for standard input, or .npz with X.",
            metavar="FILE",
            show_default=False,
        ),
    ],
    *,
    keep: Annotated[
        str, typer.Option(help="Columns of the table to put beside the predictions: id,name.", show_default="none")
    ] = "",
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each class.")] = False,
    out: Annotated[Path | None, typer.Option(help="A .csv file to write.", show_default="standard output")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    **options: Any,
) -> None:
    """Predict the class of each example of a file, as CSV."""
    import sys

    from xpmlp.common.files import check_place, write_whole
    from xpmlp.data.datasets import read_features
    from xpmlp.experiments.runs import model_at

    if out is not None:
        check_place(out, (".csv",), overwrite=overwrite)
    model = model_at(run)
    chosen = parse_options(options)
    features = read_features(
        file,
        n_features=model.network.sizes[0],
        feature_names=model.feature_names,
        keep=[name.strip() for name in keep.split(",") if name.strip()],
        reading=chosen.reading,
    )
    if features.note:
        say(features.note)
    probabilities = model.predict_proba(features.X, open_backend(chosen.backend, chosen.device, model.dtype))
    table = _csv(model, probabilities, features.kept, proba=proba)
    if out is None:
        sys.stdout.write(table)
    else:
        write_whole(out, table.encode())
        say(f"{counted(features.X.shape[0], 'prediction')} written to {out}")


def _csv(model: Model, probabilities: np.ndarray, kept: Sequence[tuple[str, Sequence[str]]], *, proba: bool) -> str:
    import csv
    import io

    text, labels = io.StringIO(), model.classes.tolist()
    columns = [[name, *values] for name, values in kept]
    columns.append(["prediction", *(labels[index] for index in probabilities.argmax(axis=1).tolist())])
    if proba:
        columns += [
            [f"probability {label}", *(f"{p:.6g}" for p in column)]
            for label, column in zip(labels, probabilities.T.tolist(), strict=True)
        ]
    csv.writer(text, lineterminator="\n").writerows(zip(*columns, strict=True))
    return text.getvalue()
