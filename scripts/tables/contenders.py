"""Who learns from a table: each is given frames as they were read, and the target, and says what it predicts.

Each runs as its own documentation has it for a table of numbers and texts with gaps, with its defaults.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

    Learn = Callable[[pd.DataFrame, pd.Series, pd.DataFrame, "Setting"], "Answer"]


class Setting(NamedTuple):
    """What a contender is told beside the data."""

    amounts: bool
    seed: int
    threads: int


class Answer(NamedTuple):
    """What is predicted for the rows that were not learnt from.

    Attributes
    ----------
    predicted : ndarray of shape (n,) or (n, m)
        Amounts, or the probabilities of the classes.
    classes : ndarray of shape (m,), or None
        Which class each column stands for.
    """

    predicted: np.ndarray
    classes: np.ndarray | None


def answer_of(model: Any, X: pd.DataFrame, *, amounts: bool) -> Answer:
    """Ask a fitted estimator."""
    if amounts:
        return Answer(np.asarray(model.predict(X), dtype=float).reshape(-1), None)
    return Answer(np.asarray(model.predict_proba(X), dtype=float), np.asarray(model.classes_).astype(str))


def xpmlp_train(X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, setting: Setting, **options: Any) -> Answer:
    """Do what ``xpmlp train table.csv --target y`` does with these options, on all rows that are there."""
    from xpmlp import Options, prepare  # noqa: PLC0415 - each contender loads what it needs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        X.assign(**{str(y.name): y}).to_csv(path, index=False)
        task = "regression" if setting.amounts else "classification"
        given: dict[str, Any] = {"target": str(y.name), "task": task, "test": 0.0, "seed": setting.seed}
        experiment = prepare(Options(str(path), **given | options))
        *_, record = experiment.records()
    model = experiment.trained(record.selected.layers)
    if setting.amounts:
        return Answer(np.asarray(model.predict(X_new), dtype=float), None)
    return Answer(np.asarray(model.predict_proba(X_new), dtype=float), np.asarray(model.classes).astype(str))


def scikit_learn_pipeline(X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, setting: Setting) -> Answer:
    """Put the steps of scikit-learn's guide before its MLP: gaps filled, numbers standardised, categories one-hot."""
    from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer  # noqa: PLC0415 - as above
    from sklearn.impute import SimpleImputer  # noqa: PLC0415 - as above
    from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: PLC0415 - as above
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415 - as above
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415 - as above

    numbers, words = (make_column_selector(**{key: ["number", "bool"]}) for key in ("dtype_include", "dtype_exclude"))
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", min_frequency=5), words),
    )
    if setting.amounts:
        mlp: Any = TransformedTargetRegressor(MLPRegressor(random_state=setting.seed), transformer=StandardScaler())
    else:
        mlp = MLPClassifier(random_state=setting.seed)
    return answer_of(make_pipeline(columns, mlp).fit(X, y), X_new, amounts=setting.amounts)


def gradient_boosting(X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, setting: Setting) -> Answer:
    """Let scikit-learn's HistGradientBoosting learn, which takes gaps and up to 255 categories as they are."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: PLC0415 - as above
    from sklearn.preprocessing import OrdinalEncoder  # noqa: PLC0415 - as above

    X, X_new = X.copy(), X_new.copy()
    words = list(X.select_dtypes(exclude=["number", "bool"]).columns)
    few = [name for name in words if X[name].nunique() < 255]
    for name in few:
        known = pd.CategoricalDtype(sorted(X[name].dropna().unique()))
        X[name], X_new[name] = X[name].astype(known), X_new[name].astype(known)
    if many := [name for name in words if name not in few]:
        encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1).fit(X[many])
        X[many], X_new[many] = encoder.transform(X[many]), encoder.transform(X_new[many])
    kind = HistGradientBoostingRegressor if setting.amounts else HistGradientBoostingClassifier
    return answer_of(kind(random_state=setting.seed).fit(X, y), X_new, amounts=setting.amounts)


def _pytabkit(name: str, **settings: Any) -> Learn:
    """Return a contender of pytabkit: by its default it stops by the class error, or the squared error."""

    def learn(X: pd.DataFrame, y: pd.Series, X_new: pd.DataFrame, setting: Setting) -> Answer:
        import pytabkit  # noqa: PLC0415 - as above

        kind = getattr(pytabkit, f"{name}_{'Regressor' if setting.amounts else 'Classifier'}")
        model = kind(device="cpu", random_state=setting.seed, n_threads=setting.threads, verbosity=0, **settings)
        words = list(X.select_dtypes(exclude=["number", "bool"]).columns)
        medians = X.drop(columns=words).astype(float).median().fillna(0.0)
        X, X_new = (_without_gaps(frame, words, medians) for frame in (X, X_new))
        target = y.astype(float) if setting.amounts else y.astype(str)
        model.fit(X, target, cat_col_names=words)
        return answer_of(model, X_new, amounts=setting.amounts)

    return learn


# A fit of the full one, 32 members of 512 units, takes minutes on a core for a thousand rows.
SMALL_TABM = {"tabm_k": 16, "d_block": 256, "n_blocks": 2}


def _without_gaps(X: pd.DataFrame, words: list[str], medians: pd.Series) -> pd.DataFrame:
    """Fill gaps, which pytabkit refuses in numbers: by medians, and categories by a category of their own."""
    return X.assign(
        **{name: X[name].astype(float).fillna(value) for name, value in medians.items()},
        **{name: X[name].astype(object).where(X[name].notna(), "missing").astype(str) for name in words},
    )


CONTENDERS: dict[str, Learn] = {
    "xpmlp": xpmlp_train,
    "xpmlp, 8 members": partial(xpmlp_train, members=8),
    "xpmlp, a pack of 64": partial(xpmlp_train, pack=64),
    "scikit-learn": scikit_learn_pipeline,
    "boosting": gradient_boosting,
    "RealMLP-TD-S": _pytabkit("RealMLP_TD_S"),
    "TabM": _pytabkit("TabM_D", **SMALL_TABM),
    "TabM-full": _pytabkit("TabM_D"),
}
