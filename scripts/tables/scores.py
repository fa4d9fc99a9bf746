"""How good predictions are, and how contenders compare over many tables."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata, wilcoxon
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, r2_score

if TYPE_CHECKING:
    import pandas as pd

    from tables.contenders import Answer

HIGHER_IS_BETTER = {"accuracy": True, "log-loss": False, "R2": True, "normalised RMSE": False}
OF_CLASSES, OF_AMOUNTS = ("accuracy", "log-loss"), ("R2", "normalised RMSE")
MIN_PROBABILITY = 1e-7  # as float32 has it: no contender pays without bound for one row
DRAWS = 10_000  # of tables, for the interval of a mean


def score(answer: Answer, y: pd.Series, y_train: pd.Series) -> dict[str, float]:
    """Score predictions for rows that were not learnt from; the RMSE is in deviations of the training targets."""
    if answer.classes is None:
        true, root = y.to_numpy(dtype=float), math.sqrt(mean_squared_error(y.to_numpy(dtype=float), answer.predicted))
        return {"R2": float(r2_score(true, answer.predicted)), "normalised RMSE": root / float(np.std(y_train))}
    true = y.astype(str).to_numpy()
    classes = sorted(set(true) | set(answer.classes))  # the rows may have a class that was not learnt
    probabilities = np.zeros((len(true), len(classes)))
    probabilities[:, np.searchsorted(classes, answer.classes)] = answer.predicted
    probabilities = np.clip(probabilities, MIN_PROBABILITY, None)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    chosen = np.asarray(classes)[probabilities.argmax(axis=1)]
    return {
        "accuracy": float(accuracy_score(true, chosen)),
        "log-loss": float(log_loss(true, probabilities, labels=classes)),
    }


def summarise(results: list[dict[str, Any]], names: list[str], seed: int = 0) -> dict[str, dict[str, Any]]:
    """Compare contenders over the tables that all of them have done.

    Of each table, the mean of a score over the splits that all have done counts. A normalised score is 1 for the best
    contender of a table and 0 for the worst.

    Returns
    -------
    dict of str to dict
        For each score: the number of tables, and for each contender its mean, mean normalised score, and mean rank
        with the interval that holds 95 % of the means over tables drawn with replacement.
    """
    summary = {}
    for metric, values in _means(results, names).items():  # (tables, contenders)
        signed = -values if HIGHER_IS_BETTER[metric] else values
        ranks = rankdata(signed, axis=1)
        best, worst = signed.min(axis=1, keepdims=True), signed.max(axis=1, keepdims=True)
        normalised = np.where(worst > best, (worst - signed) / np.where(worst > best, worst - best, 1.0), 1.0)
        low, high = _interval(ranks, seed)
        summary[metric] = {
            "tables": len(values),
            "contenders": {
                name: {
                    "mean": float(values[:, j].mean()),
                    "normalised": float(normalised[:, j].mean()),
                    "rank": float(ranks[:, j].mean()),
                    "rank_95": [float(low[j]), float(high[j])],
                }
                for j, name in enumerate(names)
            },
        }
    return summary


def compare(results: list[dict[str, Any]], ours: str, theirs: str, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Compare two contenders, table by table.

    Returns
    -------
    dict of str to dict
        For each score: in how many tables ours is better, and theirs; the mean and the median over the tables of ours
        less theirs, with the interval that holds 95 % of the means over tables drawn with replacement; and the p-value
        of Wilcoxon's signed-rank test (two-sided).
    """
    found = {}
    for metric, values in _means(results, [ours, theirs]).items():
        difference = values[:, 0] - values[:, 1]
        gain = difference if HIGHER_IS_BETTER[metric] else -difference
        low, high = _interval(difference[:, None], seed)
        found[metric] = {
            "better": int((gain > 0).sum()),
            "worse": int((gain < 0).sum()),
            "mean": float(difference.mean()),
            "mean_95": [float(low[0]), float(high[0])],
            "median": float(np.median(difference)),
            "p": float(wilcoxon(difference).pvalue) if difference.any() else 1.0,
        }
    return found


def _means(results: list[dict[str, Any]], names: list[str]) -> dict[str, np.ndarray]:
    """Return the means of each score over the splits that all contenders have done, (tables, contenders)."""
    found: dict[str, dict[str, dict[int, dict[str, float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(dict))
    )
    for result in results:
        for metric, value in result["scores"].items():
            found[metric][result["table"]][result["split"]][result["contender"]] = value
    means: dict[str, list[np.ndarray]] = {metric: [] for metric in found}
    for metric, tables in found.items():
        for splits in tables.values():
            if whole := [[by[name] for name in names] for by in splits.values() if set(names) <= set(by)]:
                means[metric].append(np.mean(whole, axis=0))
    return {metric: np.array(values) for metric, values in means.items() if values}


def _interval(values: np.ndarray, seed: int) -> np.ndarray:
    """Return what holds 95 % of the means over tables drawn with replacement, (2, contenders)."""
    drawn = np.random.default_rng(seed).integers(0, len(values), (DRAWS, len(values)))
    bounds: np.ndarray = np.quantile(values[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    return bounds
