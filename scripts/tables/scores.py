"""How good predictions are, and how contenders compare over many tables."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import rankdata
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

    Of each table, the mean of a score over its splits counts. A normalised score is 1 for the best contender of a table
    and 0 for the worst.

    Returns
    -------
    dict of str to dict
        For each score: the number of tables, and for each contender its mean, mean normalised score, and mean rank
        with the interval that holds 95 % of the means over tables drawn with replacement.
    """
    found: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for result in results:
        for metric, value in result["scores"].items():
            found[metric][result["table"]][result["contender"]].append(value)
    summary = {}
    for metric, tables in found.items():
        means = [[np.mean(by[name]) for name in names] for by in tables.values() if set(names) <= set(by)]
        if not means:
            continue
        values = np.array(means)  # (tables, contenders)
        signed = -values if HIGHER_IS_BETTER[metric] else values
        ranks = rankdata(signed, axis=1)
        best, worst = signed.min(axis=1, keepdims=True), signed.max(axis=1, keepdims=True)
        normalised = np.where(worst > best, (worst - signed) / np.where(worst > best, worst - best, 1.0), 1.0)
        rng = np.random.default_rng(seed)
        drawn = ranks[rng.integers(0, len(ranks), (DRAWS, len(ranks)))].mean(axis=1)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
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
