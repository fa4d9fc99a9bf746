"""`xpmlp predict`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import (
    READING,
    OwnActivations,
    OwnLoss,
    RunOrModel,
    import_parts,
    open_backend,
    parse_options,
    takes_options,
)
from xpmlp.cli._terminal import say, warn
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from xpmlp.backends import Backend
    from xpmlp.data.tables import Table
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
    proba: Annotated[
        bool, typer.Option("--proba", help="Add the probability of each class, and how far members disagree on it.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="A .csv file to write.", show_default="standard output")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    activation: OwnActivations = None,
    loss: OwnLoss = None,
    **options: Any,
) -> None:
    """Predict the class or the value of each example of a file, as CSV; of amounts a deviation too, if there is one."""
    import sys

    from xpmlp.common.files import check_place, write_whole
    from xpmlp.data.datasets import read_features
    from xpmlp.experiments.runs import model_at

    if out is not None:
        check_place(out, (".csv",), overwrite=overwrite)
    model = model_at(run, import_parts(activation, loss))
    chosen = parse_options(options)
    features = read_features(
        file,
        n_features=model.network.sizes[0],
        feature_names=model.feature_names,
        keep=[name.strip() for name in keep.split(",") if name.strip()],
        kinds=None if model.preparation is None else model.preparation.known,
        reading=chosen.reading,
    )
    if features.note:
        say(features.note)
    backend = open_backend(chosen.backend, chosen.device, model.dtype)
    table = _csv(model, features.X, backend, features.kept, proba=proba)
    if out is None:
        _warn_of_escapes(table, sys.stdout.encoding or "utf-8")
        sys.stdout.write(table)
    else:
        write_whole(out, table.encode())
        say(f"{counted(features.X.shape[0], 'prediction')} written to {out}")


def _warn_of_escapes(text: str, encoding: str) -> None:
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        lacking = text[error.start]
        warn(f"standard output is in {encoding}, which lacks {lacking!r}: it is escaped there; --out writes UTF-8.")


def _csv(
    model: Model, X: np.ndarray | Table, backend: Backend, kept: Sequence[tuple[str, Sequence[str]]], *, proba: bool
) -> str:
    import csv
    import io

    text, labels = io.StringIO(), [] if model.classes is None else model.classes.tolist()
    probabilities = disagreement = deviations = None
    if proba and model.has_disagreement:
        probabilities, disagreement = model.predict_with_disagreement(X, backend)
    elif proba:
        probabilities = model.predict_proba(X, backend)
    if model.has_deviations:
        predicted, deviations = model.predict_with_std(X, backend)
    else:
        predicted = model.predict(X, backend) if probabilities is None else model.decide(probabilities)
    header = ["prediction"]
    if predicted.ndim == 2:
        names = labels or model.target_names or range(1, predicted.shape[1] + 1)
        header = [f"prediction {name}" for name in names]
    rows = predicted.reshape(predicted.shape[0], -1).tolist()
    if model.task == "regression":
        rows = [[f"{value:.9g}" for value in row] for row in rows]
    if deviations is not None:
        header += [each.replace("prediction", "standard_deviation", 1) for each in header]
        pairs = zip(rows, deviations.reshape(predicted.shape[0], -1), strict=True)
        rows = [[*row, *(f"{each:.9g}" for each in beside)] for row, beside in pairs]
    if probabilities is not None:
        header += [f"probability {label}" for label in labels]
        pairs = zip(rows, probabilities.tolist(), strict=True)
        rows = [[*row, *(f"{p:.6g}" for p in shares)] for row, shares in pairs]
    if disagreement is not None:
        header.append("disagreement")
        rows = [[*row, f"{nats:.6g}"] for row, nats in zip(rows, disagreement.tolist(), strict=True)]
    if kept:
        header = [*(name for name, _ in kept), *header]
        beside = zip(*(values for _, values in kept), strict=True)
        rows = [[*values, *row] for values, row in zip(beside, rows, strict=True)]
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue()
