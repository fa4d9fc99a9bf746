"""`xpmlp evaluate`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import READING, RunOrModel, check_used, given, open_backend, parse_options, takes_options
from xpmlp.cli._terminal import print_table, say, warn
from xpmlp.common.errors import InputError
from xpmlp.common.wording import brief, counted
from xpmlp.experiments.options import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from xpmlp.backends import Backend
    from xpmlp.data.datasets import Dataset
    from xpmlp.data.streams import Part, StreamedData
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.models.model import Model
    from xpmlp.training.scoring import Score


@takes_options("target", "data_dir", *READING, "backend", "device", own_first=True)
def evaluate(
    context: typer.Context,
    run: RunOrModel,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Other data with labels, as `xpmlp train` takes them, evaluated whole.",
            metavar="DATASET",
            show_default="the run's own",
        ),
    ] = None,
    *,
    part: Annotated[str, typer.Option(help="Of the run's own data: test, validation or train.")] = "test",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The figure to write.", show_default="confusion.png in the run's folder; none for other data"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    **options: Any,
) -> None:
    """Score a trained model: accuracy, NLL, precision and recall of each class, and the confusion matrix.

    A model file needs data: `xpmlp evaluate model.safetensors data.csv`.
    """
    from xpmlp.common.files import FIGURE_KINDS, check_place
    from xpmlp.common.validation import check_choice
    from xpmlp.experiments.experiment import score_model
    from xpmlp.experiments.runs import RunFolder, model_at

    check_choice("part", part, ["test", "validation", "train"])
    if out is not None:
        check_place(out, FIGURE_KINDS, overwrite=overwrite)
    folder, model, chosen = RunFolder(run), model_at(run), parse_options(options)
    if (classes := model.classes) is None or model.multilabel:
        raise InputError(
            f"{run} is a {model.task} model, which `xpmlp evaluate` does not score: it scores classifiers."
        )
    if dataset is not None and "part" in given(context):
        raise InputError(f"--part {part} is one of the run's own data: leave DATASET out, or --part.")
    if dataset is not None:
        check_used(context, Options(dataset))
        name, X, y = _other_data(folder, model, replace(chosen, dataset=dataset))
    else:
        name, X, y = _own_data(context, folder, part, chosen)
    backend = open_backend(chosen.backend, chosen.device, model.dtype)
    score = score_model(model, backend, X, y)
    picture = folder.confusion if out is None and dataset is None else out
    names = model.class_names or tuple(map(str, classes.tolist()))
    _report(classes, names, score, name, _confusion(model, backend, X, y), picture)


def _own_data(context: typer.Context, folder: RunFolder, part: str, chosen: Options) -> tuple[str, Any, Any]:
    """Find a part of the data that the run was trained on, and say what it is."""
    from xpmlp.data.tables import STANDARD_INPUT
    from xpmlp.experiments.experiment import fingerprint, load_splits

    if not folder.config.exists():
        raise InputError(
            f"{folder.path} does not say which data its model was trained on: give some, as in `xpmlp evaluate "
            f"{folder.path} data.csv`."
        )
    alone = given(context)
    for name in ("target", *READING):
        if name in alone:
            raise InputError(f"{alone[name]} goes with DATASET: the run's own data are read as in training.")
    options = folder.options()
    if options.dataset == STANDARD_INPUT:
        raise InputError("the run's own data came from standard input, and are gone: give data as DATASET.")
    check_used(context, options)
    found, parts = load_splits(replace(options, data_dir=chosen.data_dir or options.data_dir))
    if fingerprint(found) != folder.data_sha256():
        raise InputError(
            f"{options.dataset} has changed since the run was trained, so its parts cannot be found "
            "again. Give it, or other data, as DATASET, to evaluate the whole of it."
        )
    pair = getattr(parts, part)
    if pair is None:
        raise InputError(f"the run held no {part} set out of {found.name}: choose another --part, or give DATASET.")
    return f"{found.name}, {part}", *pair


def _other_data(folder: RunFolder, model: Model, chosen: Options) -> tuple[str, Any, Any]:
    """Find data that a user names: their test set where they bring one, else all of them."""
    from xpmlp.data.datasets import ColumnSchema, load_dataset, refuse_reading
    from xpmlp.data.streams import is_streamed, load_stream
    from xpmlp.experiments.experiment import features_of, fingerprint

    dataset, target = chosen.dataset, chosen.target
    other: Dataset | StreamedData
    pair: tuple[Any, Any]
    if is_streamed(dataset):
        refuse_reading(dataset, chosen.reading)
        other, parts = load_stream(dataset, target=target, min_classes=1)
        pair = parts.train
    else:
        known = folder.options().target if folder.config.exists() else None
        kinds = None if model.preparation is None else model.preparation.kinds
        schema = ColumnSchema(model.feature_names or (), known, model.network.sizes[0], model.classes, kinds)
        other = load_dataset(
            dataset, data_dir=chosen.data_dir, target=target, schema=schema, reading=chosen.reading, min_classes=1
        )
        if other.note:
            say(other.note)
        if other.test:
            return f"{other.name}, test", *other.test
        pair = features_of(model, other), other.y
    if folder.config.exists() and fingerprint(other) == folder.data_sha256():
        warn("these are the data that the run was trained on: leave DATASET out to see its test part alone.")
    return f"{other.name}, all of it", *pair


def _confusion(model: Model, backend: Backend, X: np.ndarray | Part, y: Any) -> np.ndarray:
    """Count the examples of each class, a row, that each class, a column, is predicted for."""
    from sklearn.metrics import confusion_matrix

    from xpmlp.data.streams import Part

    blocks = X.labelled() if isinstance(X, Part) else [(X, y)]
    matrix: np.ndarray = sum(
        confusion_matrix(labels, model.predict(examples, backend), labels=model.classes) for examples, labels in blocks
    )
    return matrix


def _report(
    classes: np.ndarray, names: Sequence[str], score: Score, name: str, matrix: np.ndarray, picture: Path | None
) -> None:
    import numpy as np
    from rich.table import Table
    from sklearn.metrics import precision_recall_fscore_support

    m = len(names)
    true, predicted = np.repeat(classes, m), np.tile(classes, m)  # of each count in the matrix
    *measures, _ = precision_recall_fscore_support(
        true, predicted, labels=classes, sample_weight=matrix.ravel(), zero_division=float("nan")
    )
    table = Table("class", "precision", "recall", "F1", "examples")
    examples = counted(int(matrix.sum()), "example")
    title = f"{name}: accuracy {score.accuracy:.4f}, NLL {brief(score.loss)}, {examples}"
    for label, precision, recall, f1, support in zip(names, *measures, matrix.sum(axis=1), strict=True):
        shares = ("-" if math.isnan(share) else f"{share:.4f}" for share in (precision, recall, f1))
        table.add_row(label, *shares, f"{support:,}")
    print_table(table, title)
    if picture is not None:
        from xpmlp.plots import confusion_figure, save_figure

        save_figure(confusion_figure(matrix, names, f"{name}: accuracy {score.accuracy:.4f}"), picture)
        typer.echo(f"confusion matrix: {picture}")
