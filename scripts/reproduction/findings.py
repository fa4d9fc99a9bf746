"""Whether the report's findings on the circles (3.3) are seen in what was measured.

Each criterion stands on the page beside its verdict. A finding is seen where every model that it speaks of meets the
criterion, partly seen where some do, and not seen where none does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]

LEARNT = 0.95  # training accuracy from which the circle counts as learnt
FLAT = 0.5  # of the spread without regularisation


@dataclass(frozen=True)
class Finding:
    """A finding of the report, and what the models say of it.

    Attributes
    ----------
    figure : str
        The report's figure that shows it.
    finding, criterion : str
        What the report says, and what decides here.
    verdict : {"seen", "partly seen", "not seen"}
        Of the models that it speaks of: all, some or none meet the criterion.
    numbers : tuple of str
        One line for each of these models.
    models : tuple of int
        Which rows these are.
    remark : str
        What explains a verdict other than "seen".
    """

    figure: str
    finding: str
    criterion: str
    verdict: str
    numbers: tuple[str, ...]
    models: tuple[int, ...]
    remark: str = ""


def judge(rows: Sequence[Row], best_circle: Mapping[str, float]) -> list[Finding]:
    """Judge the three findings.

    Parameters
    ----------
    rows : sequence of dict
        The models, as in ``boundaries.csv``.
    best_circle : dict
        "errors" and "accuracy" on the training part of the best circle around the origin.
    """
    return [few_units_fail(rows), regularisation_flattens(rows), many_units_fit(rows, best_circle)]


def few_units_fail(rows: Sequence[Row]) -> Finding:
    """Judge whether 5 hidden units fail on the circle (fig. 3)."""
    models = [row for row in rows if row["hidden"] == 5 and row["l1"] == row["l2"] == 0.0]
    learnt = [row for row in models if row["train_accuracy"] >= LEARNT]
    failed = [row for row in models if row["train_accuracy"] < LEARNT]
    remark = ""
    if learnt:
        remark = (
            f"{_of(learnt, models)} learn the circle: {_rates(learnt)}. Five rectified units are enough to enclose the "
            "inner ring by a polygon."
        )
        if failed and max(map(_training, failed)) < min(map(_training, learnt)):
            remark += " Those that fail had the least training, in learning rate times epochs."
    return Finding(
        "3",
        "5 hidden units do not learn the circle",
        f"every model with 5 units and no regularisation has a training accuracy below {LEARNT:g}",
        _verdict(models, lambda row: row["train_accuracy"] < LEARNT),
        tuple(_line(row) for row in models),
        tuple(map(rows.index, models)),
        remark,
    )


def regularisation_flattens(rows: Sequence[Row]) -> Finding:
    """Judge whether the strongest regularisation flattens the probabilities (fig. 4)."""
    plain = {_settings(row): row for row in rows if row["l1"] == row["l2"] == 0.0}
    models = [row for row in rows if row["l1"] > 0.0 and row["l2"] > 0.0]

    def ratio(row: Row) -> float:
        return float(row["spread"] / plain[_settings(row)]["spread"])

    others = [row for row in models if ratio(row) >= FLAT]
    remark = ""
    if others:
        spreads = ", ".join(f"{plain[_settings(row)]['spread']:.3f}" for row in others)
        most = max(row["spread"] for row in plain.values())
        remark = (
            f"{_of(others, models)} are flattened less than that: {_rates(others)}. There the spread without "
            f"regularisation is {spreads}, where the largest of all models is {most:.3f}."
        )
    return Finding(
        "4",
        "too much regularisation flattens the circle",
        "with L1 and L2 both at 0.01, the standard deviation of the probability over the square drawn is below "
        f"{FLAT:g} of that of the same model without regularisation",
        _verdict(models, lambda row: ratio(row) < FLAT),
        tuple(f"{_line(row)}, spread {row['spread']:.3f}, {ratio(row):.2f} of that without any" for row in models),
        tuple(map(rows.index, models)),
        remark,
    )


def many_units_fit(rows: Sequence[Row], best_circle: Mapping[str, float]) -> Finding:
    """Judge whether 100 units after 100 epochs without regularisation fit the training data perfectly (fig. 5)."""
    models = [row for row in rows if row["hidden"] == 100 and row["epochs"] == 100 and row["l1"] == row["l2"] == 0.0]
    imperfect = [row for row in models if row["train_errors"]]
    remark = ""
    if imperfect:
        remark = (
            "On these training data the best circle around the origin has "
            f"{best_circle['errors']} examples on its wrong side (accuracy {best_circle['accuracy']:.4f}). "
            f"The models have {' and '.join(str(row['train_errors']) for row in models)}."
        )
    return Finding(
        "5",
        "100 units, 100 epochs and no regularisation fit the training data perfectly",
        "every such model classifies all training examples correctly",
        _verdict(models, lambda row: row["train_errors"] == 0),
        tuple(f"{_line(row)}, {row['train_errors']} wrong" for row in models),
        tuple(map(rows.index, models)),
        remark,
    )


def _verdict(models: Sequence[Row], meets: Callable[[Row], bool]) -> str:
    met = [meets(row) for row in models]
    return "seen" if all(met) else "partly seen" if any(met) else "not seen"


def _settings(row: Row) -> tuple[Any, ...]:
    return row["hidden"], row["learning_rate"], row["epochs"]


def _training(row: Row) -> float:
    return float(row["learning_rate"] * row["epochs"])


def _line(row: Row) -> str:
    return (
        f"{row['hidden']} units, rate {row['learning_rate']:g}, {row['epochs']} epochs: "
        f"training accuracy {row['train_accuracy']:.4f}"
    )


def _of(some: Sequence[Row], models: Sequence[Row]) -> str:
    return f"{len(some)} of {len(models)}"


def _rates(models: Sequence[Row]) -> str:
    return ", ".join(
        f"{row['hidden']} units at rate {row['learning_rate']:g} after {row['epochs']} epochs" for row in models
    )
