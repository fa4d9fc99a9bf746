"""`xpmlp evaluate`."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xpmlp.cli._options import (
    READING,
    OwnActivations,
    OwnLoss,
    RunOrModel,
    check_used,
    given,
    import_parts,
    open_backend,
    parse_options,
    takes_options,
)
from xpmlp.cli._report import warn_never_predicted
from xpmlp.cli._terminal import print_table, say, warn
from xpmlp.common.errors import InputError
from xpmlp.common.wording import amount, brief, counted, loss_label, measures_text
from xpmlp.experiments.options import Options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from xpmlp.data.datasets import Dataset
    from xpmlp.data.streams import StreamedData
    from xpmlp.experiments.evaluation import AmountReport, ClassReport, Importance
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.models.model import Model
    from xpmlp.plots import Regions
    from xpmlp.training.scoring import Score


MAX_COLUMNS = 10  # in the table


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
            help="The confusion matrix, or the errors of amounts; other figures are named after it.",
            show_default="confusion.png or residuals.png in the run's folder; none for other data",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    activation: OwnActivations = None,
    loss: OwnLoss = None,
    **options: Any,
) -> None:
    """Score a trained model: by class, with the confusion matrix, ROC curves and calibration; or the errors of amounts.

    It also finds which columns matter, where they have names: how much worse the model is where one is shuffled.
    A model file needs data: `xpmlp evaluate model.safetensors data.csv`.
    """
    from xpmlp.common.files import FIGURE_KINDS, check_place
    from xpmlp.common.validation import check_choice
    from xpmlp.experiments.evaluation import (
        can_be_permuted,
        decision_regions,
        permutation_importances,
        report_amounts,
        report_classes,
    )
    from xpmlp.experiments.experiment import score_model
    from xpmlp.experiments.runs import RunFolder, model_at

    check_choice("part", part, ["test", "validation", "train"])
    folder, model, chosen = RunFolder(run), model_at(run, import_parts(activation, loss)), parse_options(options)
    if model.multilabel:
        raise InputError(f"{run} predicts several labels for an example, but `xpmlp evaluate` scores one for each.")
    figures = None if out is None and dataset is not None else _Figures(folder, out)
    if out is not None and figures is not None:
        names = ("residuals",) if model.classes is None else ("confusion", "probabilities", "regions")
        for name in (*names, "importance"):
            check_place(figures.place(name), FIGURE_KINDS, overwrite=overwrite)
        check_place(figures.place("importance").with_suffix(".csv"), (".csv",), overwrite=overwrite)
    if dataset is not None and "part" in given(context):
        raise InputError(f"--part {part} is one of the run's own data: leave DATASET out, or --part.")
    if dataset is not None:
        check_used(context, Options(dataset))
        name, X, y = _other_data(folder, model, replace(chosen, dataset=dataset))
    else:
        name, X, y = _own_data(context, folder, part, replace(chosen, task=model.task))
    backend = open_backend(chosen.backend, chosen.device, model.dtype)
    score = score_model(model, backend, X, y)
    if model.classes is None:
        _report_amounts(model, score, report_amounts(model, backend, X, y), name, figures)
    else:
        _report_classes(model, score, report_classes(model, backend, X, y), name, figures)
        if figures is not None and (regions := decision_regions(model, backend, X, y, part)) is not None:
            _draw_regions(model, regions, f"{name}: accuracy {score.accuracy:.4f}", figures)
    if figures is not None and can_be_permuted(model, X):
        _report_importances(model, permutation_importances(model, backend, X, y), name, figures)


class _Figures:
    """Where figures go, by their names: into the run's folder, or beside the first one that a user names."""

    def __init__(self, folder: RunFolder, out: Path | None) -> None:
        self._folder, self._out = folder.path, out
        self._is_refused = False

    def place(self, name: str) -> Path:
        if self._out is None:
            return self._folder / f"{name}.png"
        return self._out if name in {"confusion", "residuals"} else self._out.with_stem(f"{self._out.stem}-{name}")

    def save(self, name: str, figure: Figure, title: str, rows: Sequence[Sequence[str]] = ()) -> None:
        """Write a figure, with a table beside it where there are rows, and say where; a run may be read-only."""
        from xpmlp.common.files import csv_text, write_whole
        from xpmlp.plots import save_figure

        if self._is_refused:
            return
        path = self.place(name)
        try:
            save_figure(figure, path)
            if rows:
                write_whole(path.with_suffix(".csv"), csv_text(rows).encode())
        except InputError as error:
            if self._out is not None:
                raise
            self._is_refused = True
            warn(f"{error} The scores are printed alone: --out says where figures go, as in --out confusion.png.")
        else:
            typer.echo(f"{title}: {path}" + (f", {path.with_suffix('.csv').name}" if rows else ""))


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
    # The loss has decided the task, and may be one of the user's own.
    options = replace(options, data_dir=chosen.data_dir or options.data_dir, task=chosen.task, loss="auto")
    found, parts = load_splits(options)
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
        other, parts = load_stream(dataset, target=target, task=model.task, min_classes=1)
        pair = parts.train
    else:
        known = folder.options().target if folder.config.exists() else None
        kinds = None if model.preparation is None else model.preparation.known
        schema = ColumnSchema(model.feature_names or (), known, model.network.sizes[0], model.classes, kinds)
        loading: Any = {"target": target, "schema": schema, "task": model.task, "min_classes": 1}
        other = load_dataset(dataset, data_dir=chosen.data_dir, reading=chosen.reading, **loading)
        if other.note:
            say(other.note)
        if other.test:
            return f"{other.name}, test", *other.test
        pair = features_of(model, other), other.y
    if folder.config.exists() and fingerprint(other) == folder.data_sha256():
        warn("these are the data that the run was trained on: leave DATASET out to see its test part alone.")
    return f"{other.name}, all of it", *pair


def _report_classes(model: Model, score: Score, report: ClassReport, name: str, figures: _Figures | None) -> None:
    from rich.table import Table

    names = _class_names(model)
    counts = report.confusion.sum(axis=1)
    table = Table("class", "precision", "recall", "F1", "average precision", "examples")
    measures = (report.precision, report.recall, report.f1, report.average_precision)
    for label, count, *shares in zip(names, counts, *measures, strict=True):
        table.add_row(label, *("-" if math.isnan(share) else f"{share:.4f}" for share in shares), f"{count:,}")
    examples, balanced = counted(int(counts.sum()), "example"), f"balanced accuracy {report.balanced_accuracy:.4f}"
    accuracy = f"accuracy {score.accuracy:.4f}"
    loss = f"{loss_label(model.network.loss.name)} {brief(score.loss)}"
    print_table(table, f"{name}: {accuracy}, {loss}, {balanced}, {examples}")
    if report.never_predicted:
        warn_never_predicted([names[position] for position in report.never_predicted])
    if figures is None:
        return
    from xpmlp.plots import confusion_figure, probabilities_figure

    title = f"{name}: {accuracy}"
    figures.save("confusion", confusion_figure(report.confusion, names, title), "confusion matrix")
    if report.calibration is not None:
        curves = {label: roc for label, roc in zip(names, report.roc, strict=True) if roc is not None}
        curves = dict(list(curves.items())[1:]) if len(names) == 2 else curves  # one is the other turned round
        figure = probabilities_figure(curves, report.calibration, title)
        figures.save("probabilities", figure, "ROC curves and calibration")


def _class_names(model: Model) -> tuple[str, ...]:
    return model.class_names or tuple(map(str, model.classes.tolist() if model.classes is not None else ()))


def _draw_regions(model: Model, regions: Regions, title: str, figures: _Figures) -> None:
    from xpmlp.plots import regions_figure

    names = model.feature_names or ("feature 0", "feature 1")
    are_numbers = model.class_names is None and model.classes is not None and model.classes.dtype.kind in "iufb"
    classes = [f"class {name}" if are_numbers else name for name in _class_names(model)]
    figure = regions_figure([regions], title, features=(names[0], names[1]), classes=classes)
    figures.save("regions", figure, "decision regions")


def _report_amounts(model: Model, score: Score, report: AmountReport, name: str, figures: _Figures | None) -> None:
    from rich.table import Table

    target = model.target_names[0] if model.target_names else "target"
    table = Table("measure", f"in the unit of {target}")
    for measure, value in report.errors.items():
        table.add_row(measure, amount(value))
    if model.network.loss.name == "quantile":
        table.add_row("share at or below the prediction", f"{report.share_below:.4f}")
    if report.coverage is not None:
        table.add_row("share within 1.96 predicted deviations (0.95)", f"{report.coverage:.4f}")
    title = f"{name}: {measures_text(score.measures, ', ')}"
    print_table(table, f"{title}, loss {brief(score.loss)}, {counted(report.true.shape[0], 'example')}")
    if figures is not None:
        from xpmlp.plots import residuals_figure

        figure = residuals_figure(report.true, report.predicted, target, title)
        figures.save("residuals", figure, "predicted against true, and errors")


def _report_importances(model: Model, found: Sequence[Importance], name: str, figures: _Figures) -> None:
    from rich.table import Table

    from xpmlp.plots import importance_figure

    measure = "fall of R2" if model.classes is None else "growth of the NLL"
    table = Table("column", measure)
    for each in found[:MAX_COLUMNS]:
        table.add_row(each.feature, f"{each.mean:.4f} ± {each.deviation:.4f}")
    print_table(table, f"{name}: where a column is shuffled, the {measure}")
    rows = [[each.feature, f"{each.mean:.6g}", f"{each.deviation:.6g}"] for each in found]
    names, means, deviations = zip(*((each.feature, each.mean, each.deviation) for each in found), strict=True)
    figure = importance_figure(names, means, deviations, f"{measure} where the column is shuffled", name)
    figures.save("importance", figure, "importance of columns", [["column", "mean", "deviation"], *rows])
