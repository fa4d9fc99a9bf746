"""`xpmlp predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import RunOrModel, open_backend, takes_options
from xpmlp.cli._terminal import say
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    import numpy as np

    from xpmlp.models.model import Model


@takes_options("backend", "device", own_first=True)
def predict(
    run: RunOrModel,
    file: Annotated[
        Path,
        typer.Argument(
            help="Examples: .npz with X, or .csv with the columns of training.", metavar="FILE", show_default=False
        ),
    ],
    *,
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
    X = read_features(file, n_features=model.network.sizes[0], feature_names=model.feature_names)
    probabilities = model.predict_proba(X, open_backend(**options, dtype=model.dtype))
    table = _csv(model, probabilities, proba=proba)
    if out is None:
        sys.stdout.write(table)
    else:
        write_whole(out, table.encode())
        say(f"{counted(X.shape[0], 'prediction')} written to {out}")


def _csv(model: Model, probabilities: np.ndarray, *, proba: bool) -> str:
    import csv
    import io

    text, labels = io.StringIO(), model.classes.tolist()
    rows = [["prediction", *(f"probability {label}" for label in labels)]]
    rows += [[labels[int(row.argmax())], *(f"{p:.6g}" for p in row.tolist())] for row in probabilities]
    csv.writer(text, lineterminator="\n").writerows(rows if proba else ([prediction] for prediction, *_ in rows))
    return text.getvalue()
