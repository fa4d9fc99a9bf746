"""How well a trained model does on data, in more detail than its score: scikit-learn's measures."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.calibration import calibration_curve
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    auc,
    average_precision_score,
    confusion_matrix,
    log_loss,
    median_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    roc_curve,
)

from xpmlp.common.errors import XpmlpWarning
from xpmlp.common.shown import Shown, line
from xpmlp.common.wording import amount, counted
from xpmlp.data.streams import Part
from xpmlp.plots import MAX_REGIONS, Regions, plane_grid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xpmlp.backends import Backend
    from xpmlp.common.shown import Content
    from xpmlp.data.tables import Table
    from xpmlp.models.model import Model

POINTS = 201  # of decision regions, along each side
MARGIN = 0.05  # beside the data, of their range
MAX_KEPT = 2**28  # bytes of probabilities
NORMAL_95 = 1.96  # standard deviations around the mean of a normal distribution, between which 95 % of it lie
BINS = 10  # of a calibration curve, with about as many examples in each
REPEATS, MAX_ROWS, MAX_FEATURES = 5, 5_000, 200  # of a permutation importance


class RocCurve(NamedTuple):
    """The ROC curve of a class against all others."""

    false_positives: np.ndarray  # rates, (k,)
    true_positives: np.ndarray  # rates, (k,)
    area: float

    def __repr__(self) -> str:
        return line(self)


class Calibration(NamedTuple):
    """How often predictions of some probability come true."""

    predicted: np.ndarray  # mean probability in each bin, (k,)
    found: np.ndarray  # share of the examples in the bin for which it comes true, (k,)
    meaning: str  # of these probabilities

    def __repr__(self) -> str:
        return line(self)


@dataclass(frozen=True, eq=False)
class ClassReport(Shown):
    """How well a classifier does, class by class.

    Attributes
    ----------
    confusion : ndarray of shape (m, m)
        Numbers of examples: row for the true class, column for the predicted one.
    precision, recall, f1, average_precision : ndarray of shape (m,)
        Of each class; NaN where there are no examples of it, or for precision no predictions.
    roc : list of RocCurve or None
        Of each class; None where all or none of the examples are of it.
    calibration : Calibration or None
        Of the most probable class; of two classes of the second one. None where the probabilities would take more than
        256 MiB; nor are there average precisions and ROC curves then.
    """

    confusion: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    average_precision: np.ndarray
    roc: list[RocCurve | None]
    calibration: Calibration | None

    def __repr__(self) -> str:
        n, m = int(self.confusion.sum()), self.confusion.shape[0]
        right = int(np.trace(self.confusion))
        return (
            f"<ClassReport of {counted(n, 'example')} in {m} classes: {right:,} right, "
            f"balanced accuracy {self.balanced_accuracy:.4f}>"
        )

    def _content(self) -> Content:
        columns = (self.precision, self.recall, self.f1, self.average_precision)
        areas = [float("nan") if roc is None else roc.area for roc in self.roc]
        heads = ("class", "examples", "precision", "recall", "F1", "average precision", "area under ROC")
        numbers = zip(*columns, areas, strict=True)
        rows = zip(self.confusion.sum(axis=1).tolist(), numbers, strict=True)
        return heads, [(j, f"{n:,}", *(f"{value:.4f}" for value in of_class)) for j, (n, of_class) in enumerate(rows)]

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that have examples."""
        return float(np.nanmean(self.recall))

    @property
    def never_predicted(self) -> list[int]:
        """The classes that have examples, but are predicted for none."""
        return np.flatnonzero((self.confusion.sum(axis=1) > 0) & (self.confusion.sum(axis=0) == 0)).tolist()


def report_classes(model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any) -> ClassReport:
    """Compare what a classifier predicts with labels, (n,), of raw features, (n, d), or with those of data on disk."""
    classes, model = np.asarray(model.classes), _taking(model, X)
    m = classes.shape[0]
    matrix, labels, kept = np.zeros((m, m), int), [], []
    for examples, targets in blocks_of(X, y):
        p = model.predict_proba(examples, backend).astype(np.float64)
        matrix += confusion_matrix(targets, model.decide(p), labels=classes)
        if 8 * X.shape[0] * m <= MAX_KEPT:
            labels.append(targets)
            kept.append(p)
    true, predicted = np.repeat(classes, m), np.tile(classes, m)  # of each count in the matrix
    precision, recall, f1, _ = precision_recall_fscore_support(
        true, predicted, labels=classes, sample_weight=matrix.ravel(), zero_division=np.nan
    )
    averages, calibration = np.full(m, np.nan), None
    roc: list[RocCurve | None] = [None] * m
    if kept:
        y, p = np.concatenate(labels), np.concatenate(kept)
        for j, label in enumerate(classes):
            is_class = y == label
            if is_class.any():
                averages[j] = average_precision_score(is_class, p[:, j])
                roc[j] = None if is_class.all() else _roc(is_class, p[:, j])
        calibration = _calibration(model, classes, p, y)
    return ClassReport(matrix, precision, recall, f1, averages, roc, calibration)


def _roc(is_class: np.ndarray, p: np.ndarray) -> RocCurve:
    false_positives, true_positives, _ = roc_curve(is_class, p)
    return RocCurve(false_positives, true_positives, float(auc(false_positives, true_positives)))


def _calibration(model: Model, classes: np.ndarray, p: np.ndarray, y: np.ndarray) -> Calibration:
    if classes.shape[0] == 2:
        comes_true, probability, meaning = y == classes[1], p[:, 1], "probability of {1}"
    else:
        comes_true, probability, meaning = model.decide(p) == y, p.max(axis=1), "probability of the predicted class"
    names = model.class_names or tuple(map(str, classes.tolist()))
    found, predicted = calibration_curve(comes_true, probability.clip(0.0, 1.0), n_bins=BINS, strategy="quantile")
    return Calibration(predicted, found, meaning.format(*names))


def decision_regions(model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any, part: str) -> Regions | None:
    """Compute the probabilities of up to six classes in the plane of two features, around the examples; else None.

    `part` says of which part the examples are: "train", "validation" or "test".
    """
    classes = np.asarray(model.classes)
    if not isinstance(X, np.ndarray) or X.shape[1] != 2 or classes.shape[0] > MAX_REGIONS:
        return None
    if np.isnan(X).all(axis=0).any():
        return None
    low, high = np.nanmin(X, axis=0).astype(float), np.nanmax(X, axis=0).astype(float)  # a gap has no place
    room = MARGIN * np.where(high > low, high - low, 1.0)
    (left, bottom), (right, top) = (low - room).tolist(), (high + room).tolist()
    extent = left, right, bottom, top
    p = model.predict_proba(plane_grid(extent, POINTS), backend).reshape(POINTS, POINTS, -1)
    return Regions("", p.astype(np.float64), extent, {part: (X, np.searchsorted(classes, y))})


@dataclass(frozen=True, eq=False)
class AmountReport(Shown):
    """What a regression predicts, beside the true values.

    Attributes
    ----------
    true, predicted : ndarray of shape (n,)
        In the unit of the target.
    deviations : ndarray of shape (n,), or None
        The standard deviations that a model with loss "gaussian" predicts.
    """

    true: np.ndarray
    predicted: np.ndarray
    deviations: np.ndarray | None = None

    def __repr__(self) -> str:
        mean = amount(float(np.abs(self.predicted - self.true).mean()))
        deviations = "" if self.deviations is None else ", with deviations"
        return f"<AmountReport of {counted(len(self.true), 'example')}: mean absolute error {mean}{deviations}>"

    def _content(self) -> Content:
        return ("error", "value"), [(name, amount(value)) for name, value in self.errors.items()]

    @property
    def errors(self) -> dict[str, float]:
        """More of the errors, predicted minus true, than a score has: in the unit of the target, by name."""
        errors = self.predicted - self.true
        return {
            "median absolute error": float(median_absolute_error(self.true, self.predicted)),
            "largest absolute error": float(np.abs(errors).max()),
            "mean error": float(errors.mean()),
            "RMSE of predicting the mean": float(self.true.std()),
        }

    @property
    def share_below(self) -> float:
        """The share of the true values that are at most what is predicted: the level of a quantile."""
        return float(np.mean(self.true <= self.predicted))

    @property
    def coverage(self) -> float | None:
        """The share of the true values within 1.96 of the deviations predicted, 0.95 at best; None without these."""
        if self.deviations is None:
            return None
        return float(np.mean(np.abs(self.predicted - self.true) <= NORMAL_95 * self.deviations))


def report_amounts(model: Model, backend: Backend, X: np.ndarray | Table | Part, y: Any) -> AmountReport:
    """Compare what a regression predicts with amounts, (n,), of raw features, (n, d), or with those of data on disk."""
    model = _taking(model, X)
    columns: list[tuple[np.ndarray, ...]] = []
    for examples, targets in blocks_of(X, y):
        if model.has_variance:
            columns.append((targets, *model.predict_with_std(examples, backend)))
        else:
            columns.append((targets, model.predict(examples, backend)))
    return AmountReport(*map(np.concatenate, zip(*columns, strict=True)))


def _taking(model: Model, X: np.ndarray | Table | Part) -> Model:
    """Return a model that takes the examples as they are: those on disk of a table are prepared already."""
    return replace(model, preparation=None) if isinstance(X, Part) else model


def blocks_of(X: np.ndarray | Table | Part, y: Any) -> Iterable[tuple[Any, np.ndarray]]:
    """Give examples with their targets: all at once, or block by block where they are on disk."""
    return X.labelled() if isinstance(X, Part) else [(X, y)]


class Importance(NamedTuple):
    """How much worse a model does where the values of a column are shuffled among the examples."""

    feature: str
    mean: float  # over some shuffles
    deviation: float


def can_be_permuted(model: Model, X: np.ndarray | Table | Part) -> bool:
    """Whether it takes little time to measure the importance of each column, and the columns have names."""
    return model.feature_names is not None and X.shape[1] <= MAX_FEATURES and not isinstance(X, Part)


def permutation_importances(model: Model, backend: Backend, X: Any, y: np.ndarray) -> list[Importance]:
    """Measure by how much R2 falls, or for classes NLL grows, where a column is shuffled (Breiman, 2001).

    Each column is shuffled five times, in up to 5,000 of the rows, by scikit-learn's `permutation_importance`. `X` is a
    `Table` for a model with a preparation, else an array, (n, d).

    Returns
    -------
    list of Importance
        The most important column first.
    """
    names, n = model.feature_names or tuple(map(str, range(X.shape[1]))), X.shape[0]
    preparation, prepared = model.preparation, None
    if preparation is not None:  # the numbers of its rows are shuffled, for each column by themselves
        names, prepared = preparation.feature_names_in, preparation.apply(X, backend.dtype)
        column_of = np.repeat(np.arange(len(names)), [len(each.features) for each in preparation.used])
        X, model = np.repeat(np.arange(n)[:, None], len(names), axis=1), replace(model, preparation=None)

    def score(_: Any, examples: np.ndarray, targets: np.ndarray) -> float:
        if prepared is not None:
            examples = prepared[examples[:, column_of], np.arange(column_of.size)]
        if model.classes is None:
            return float(r2_score(targets, model.predict(examples, backend)))
        p = model.predict_proba(examples, backend).astype(np.float64)
        return -float(log_loss(targets, p / p.sum(axis=1, keepdims=True), labels=model.classes))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XpmlpWarning)  # of what training had not, at each of many predictions
        found = permutation_importance(
            _Fitted(), X, y, scoring=score, n_repeats=REPEATS, random_state=0, max_samples=min(MAX_ROWS, n)
        )
    pairs = zip(names, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    return sorted((Importance(*each) for each in pairs), key=lambda each: -each.mean)


class _Fitted:
    """What scikit-learn takes for an estimator: the score above is all that it asks for."""

    def fit(self) -> None:
        """Exist: scikit-learn checks that."""
