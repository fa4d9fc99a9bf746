"""`TablePreprocessor`: the preparation of tables as a transformer of scikit-learn's."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from xpmlp.common.errors import XpmlpWarning
from xpmlp.data.tables import Column, Table, read_table
from xpmlp.data.tables.encodings import SCALINGS
from xpmlp.data.tables.kinds import column_of
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.data.targets import decide_task
from xpmlp.estimators._compat import StrOptions, fit_method

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sklearn.utils import Tags


class TablePreprocessor(TransformerMixin, BaseEstimator):
    """Make numbers of the columns of a frame: of numbers, truth values, categories and dates, with or without gaps.

    It is what `xpmlp train` does to a table, for `MLPClassifier`, `MLPRegressor` and any other estimator. Numbers are
    scaled and their gaps filled and marked; categories become one-hot, or, of more than 32 and with y, the mean of y in
    each; dates become year, month, weekday, hour and days; texts that are no categories, identifiers and constant
    columns are left out. All of it is learnt in `fit`.

    Parameters
    ----------
    scaling : {"standard", "robust", "range", "none"}, default="standard"
        Of numbers and dates: to mean 0 and standard deviation 1; less their median, divided by the range of their
        middle half, and clipped smoothly to [-3, 3]; divided by the largest magnitude; or not at all.
    kinds : mapping of str to str, default=None
        The kinds of some columns of a frame, in place of those that their values suggest: "number", "whole number",
        "truth value", "category", "date", "text", "identifier" or "constant".

    Attributes
    ----------
    preparation_ : TablePreparation
        What becomes of each column. Shown, it says so in words.
    n_features_in_ : int
        The number of columns.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where all are strings.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.pipeline import make_pipeline
    >>> from xpmlp import MLPClassifier, TablePreprocessor
    >>> X = pd.DataFrame({"age": [30, None, 50, 20] * 9, "job": ["smith", "nurse", None, "smith"] * 9})
    >>> network = MLPClassifier((8,), solver="lbfgs", random_state=0)
    >>> model = make_pipeline(TablePreprocessor(), network).fit(X, [0, 1, 1, 0] * 9)
    >>> model[0].get_feature_names_out().tolist()
    ['age', 'age missing', 'job=nurse', 'job=smith', 'job missing']
    >>> model.predict(X[:4])
    array([0, 1, 1, 0])
    """

    _parameter_constraints = {"scaling": [StrOptions(set(SCALINGS))], "kinds": [dict, None]}  # noqa: RUF012 - as scikit-learn has it

    def __init__(self, scaling: str = "standard", kinds: Mapping[str, str] | None = None) -> None:
        self.scaling = scaling
        self.kinds = kinds

    @fit_method
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what becomes of each column.

        Parameters
        ----------
        X : frame or array, (n, d)
            A frame of pandas, Polars or another library that narwhals knows; or an array, whose columns are numbers
            where all of their values are, and else categories.
        y : array-like of shape (n,), optional
            What is to be predicted, without gaps. With it, columns of many categories are encoded by its means.

        Returns
        -------
        TablePreprocessor
            This one.
        """
        self.preparation_ = TablePreparation.fit(self._table(X, reset=True), self.scaling, _targets(y))
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Learn what becomes of each column, and return the features of these examples, (n, d), float64.

        They are not those of `transform`: no feature holds an example's own y (Micci-Barreca, 2001, cross-fitted).
        """
        self.fit(X, y)
        return self.preparation_.apply(self._table(X, reset=False), targets=_targets(y))

    def transform(self, X: Any) -> np.ndarray:
        """Return the features, (n, d), float64, of a frame or an array with the columns that were fitted.

        Categories that were not there then, and gaps where there were none, are treated as `preparation_` says, and a
        warning counts them.
        """
        check_is_fitted(self)
        table = self._table(X, reset=False)
        if unseen := self.preparation_.unseen(table):
            warnings.warn(f"{'; '.join(unseen)}.", XpmlpWarning, stacklevel=3)  # from within scikit-learn's set_output
        return self.preparation_.apply(table)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:  # noqa: ARG002 - scikit-learn gives it
        """Return the names of the features, (d,): of a column itself, or with what was taken from it."""
        check_is_fitted(self)
        return np.asarray(self.preparation_.feature_names_out, dtype=object)

    def _table(self, X: Any, *, reset: bool) -> Table:
        """Return X as a table, its columns of the kinds that they were fitted with."""
        known = {} if reset else self.preparation_.known
        kinds = self.kinds or {}
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            return read_table(X, kinds=kinds, known=known)
        least = 2 if reset else 1  # nothing varies in one row
        X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite="allow-nan", ensure_min_samples=least)
        given = {**known, **kinds}
        return Table("X", tuple(_column(f"x{j}", X[:, j], given.get(f"x{j}")) for j in range(X.shape[1])))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _targets(y: Any) -> np.ndarray | None:
    """Return y, (n,), as amounts, which are floating, or as classes; None where there is none, or several columns."""
    y = None if y is None else np.asarray(y)
    if y is None or y.ndim != 1:
        return None
    is_regression = y.dtype.kind in "fiu" and decide_task(y).name == "regression"
    return y.astype(np.float64 if is_regression else np.str_)


def _column(name: str, values: np.ndarray, kind: str | None) -> Column:
    """Return a column of an array: of numbers where all of its values are numbers, else of categories."""
    if values.dtype.kind == "M":
        return column_of(name, values, kind)
    try:
        return column_of(name, values.astype(np.float64), kind or "number")
    except (TypeError, ValueError):
        texts = [None if each is None or each != each else str(each) for each in values]  # noqa: PLR0124 - NaN
        return column_of(name, np.array(texts, dtype=object), kind or "category")
