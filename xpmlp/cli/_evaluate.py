"""`xpmlp evaluate`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xpmlp.cli._options import BackendName, DataDir, Device, Run, Target
from xpmlp.cli._terminal import announce, print_table, warn

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from xpmlp.models import Model
    from xpmlp.runs import RunFolder
    from xpmlp.scoring import Score

__all__ = ["evaluate"]


def evaluate(
    run: Run,
    dataset: Annotated[
        str | None,
        typer.Argument(
            help="Other data: a name, or a .npz or .csv file with labels, evaluated whole.",
            show_default="the run's own",
        ),
    ] = None,
    *,
    part: Annotated[str, typer.Option(help="Of the run's own data: test, validation or train.")] = "test",
    target: Target = None,
    data_dir: DataDir = None,
    backend: BackendName = "numpy",
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option(help="The figure to write.", show_default="confusion.png in the run's folder")
    ] = None,
) -> None:
    """Score a trained model: accuracy, NLL, precision and recall of each class, and the confusion matrix."""
    from xpmlp.backends import get_backend
    from xpmlp.experiments import score_model
    from xpmlp.files import FIGURE_KINDS, check_place
    from xpmlp.runs import RunFolder

    folder = RunFolder(run)
    picture = out or folder.confusion
    model = folder.load()
    check_place(picture, FIGURE_KINDS)
    name, X, y = _data(folder, model, dataset, part, target, data_dir)
    place = get_backend(backend, device, model.dtype)
    announce(place.reason, place.name)
    score = score_model(model, place, X, y)
    _report(model, score, name, y, model.predict(X, place), picture)


def _data(
    folder: RunFolder, model: Model, dataset: str | None, part: str, target: str | None, data_dir: Path | None
) -> tuple[str, np.ndarray, np.ndarray]:
    """Find the examples and labels to score, and say what they are."""
    from dataclasses import replace

    from xpmlp.checks import check_choice
    from xpmlp.datasets import Like, load_dataset
    from xpmlp.errors import InputError
    from xpmlp.experiments import features_of, fingerprint, load_splits

    check_choice("part", part, ["test", "validation", "train"])
    if dataset is None:
        options = folder.options()
        if target is not None:
            raise InputError("--target goes with DATASET: the run's own data have the target of their training.")
        if data_dir is not None:
            options = replace(options, data_dir=str(data_dir))
        found, parts = load_splits(options)
        if fingerprint(found) != folder.data_sha256():
            raise InputError(
                f"{options.dataset} is not what it was when the run was trained, so its parts cannot be told apart "
                "again. Give it, or other data, as DATASET, to evaluate the whole of it."
            )
        pair = getattr(parts, part)
        if pair is None:
            raise InputError(f"the run held no {part} set out of {found.name}: choose another --part, or give DATASET.")
        return f"{found.name}, {part}", *pair
    if part != "test":
        raise InputError(f"--part {part} is one of the run's own data: leave DATASET out, or --part.")
    like = Like(model.feature_names or (), folder.options().target if folder.config.exists() else None)
    other = load_dataset(dataset, data_dir=data_dir, target=target, like=like, least_classes=1)
    if other.test:
        return f"{other.name}, test", *other.test
    if folder.config.exists() and fingerprint(other) == folder.data_sha256():
        warn("these are the data that the run was trained on: leave DATASET out to see its test part alone.")
    return f"{other.name}, all of it", features_of(model, other), other.y


def _report(model: Model, score: Score, name: str, y: np.ndarray, predicted: np.ndarray, picture: Path) -> None:
    from rich.table import Table
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    from xpmlp.plots import confusion_figure, save_figure

    names = _names(model)
    matrix = confusion_matrix(y, predicted, labels=model.classes)
    measures = precision_recall_fscore_support(y, predicted, labels=model.classes, zero_division=float("nan"))
    table = Table("class", "precision", "recall", "F1", "examples")
    title = f"{name}: accuracy {score.accuracy:.4f}, NLL {score.loss:.4f}, {y.shape[0]:,} examples"
    for label, precision, recall, f1, support in zip(names, *measures, strict=True):
        shares = ("-" if math.isnan(share) else f"{share:.4f}" for share in (precision, recall, f1))
        table.add_row(label, *shares, f"{support:,}")
    print_table(table, title)
    save_figure(confusion_figure(matrix, names, f"{name}: accuracy {score.accuracy:.4f}"), picture)
    typer.echo(f"confusion matrix: {picture}")


def _names(model: Model) -> Sequence[str]:
    return model.class_names or [str(label) for label in model.classes.tolist()]
