"""The user's own data: examples to learn from, or to predict, out of .csv and .npz files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features
from xpmlp.common.wording import counted, quoted
from xpmlp.data.datasets.csv_reader import Columns, has_number, read_csv
from xpmlp.data.datasets.dataset import Dataset
from xpmlp.data.features import positions_of
from xpmlp.data.numpy_files import read_npz

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SUFFIXES", "ColumnSchema", "load_csv", "load_npz", "read_features"]

SUFFIXES = (".csv", ".npz")


class ColumnSchema(NamedTuple):
    """The columns of the data that a model was trained on, by which those of other data are found."""

    feature_names: tuple[str, ...]  # none where they had no header
    target: str | None
    n_features: int


def load_csv(path: Path, target: str | None = None, schema: ColumnSchema | None = None) -> Dataset:
    """Load a .csv file: numbers, and a label in the last column or in the one called `target`.

    With a `schema`, columns are found by the names that the header gives them, and others are left alone.

    Raises
    ------
    InputError
        As `read_csv`, and for a file without features, without a column called `target`, or without the columns of
        the schema and one more.
    """

    def choose(cells: list[str]) -> Columns:
        if len(cells) < 2:
            raise InputError(
                f"{path} has one column, but needs features and a label: separate its columns by commas, not by "
                "semicolons or tabs."
            )
        wanted = schema.feature_names if schema else ()
        named = schema.target if schema and target is None else target
        label = cells.index(named) if named in cells else len(cells) - 1
        features = [index for index in range(len(cells)) if index != label]
        is_known = bool(wanted) and set(wanted) <= set(cells)
        names = tuple(cells) if is_known or not has_number([cells[index] for index in features]) else None
        if target is not None and names is None:
            raise InputError(
                f"{path} has no header, so that no column is called {target!r}: add a header, or leave the target out "
                "(the last column is then the label)."
            )
        if names and wanted:
            features = positions_of(wanted, cells, str(path))
        elif schema and len(features) != schema.n_features:
            raise InputError(
                f"{path} has {counted(len(cells), 'column')}, but must have {schema.n_features + 1}: the "
                f"{counted(schema.n_features, 'feature')} that the model was trained on, and the label."
            )
        if names and named is not None and named not in cells:
            otherwise = " For a file without labels, use `xpmlp predict`." if schema else ""
            raise InputError(
                f"{path} has no column {named!r}: choose the target, the label's column, among {quoted(cells)}."
                f"{otherwise}"
            )
        if label in features:
            others = quoted([cell for cell in cells if cell not in wanted])
            what = f"choose the target among {others}" if others else "it has no others, so add one with the labels"
            raise InputError(f"the label's column in {path} would be {cells[label]!r}, a feature of the model: {what}.")
        return Columns(features, label, names)

    X, y, columns = read_csv(path, choose)
    names = columns.names and tuple(columns.names[index] for index in columns.features)
    note = f"{path} has no header: its first line is taken as an example, its last column as the label."
    return Dataset(path.stem, X, np.asarray(y), feature_names=names, note=None if names else note)


def load_npz(path: Path) -> Dataset:
    """Load an .npz file with arrays `X` (n, d) or (n, height, width), `y` (n,) and, if wanted, `feature_names` (d,).

    Raises
    ------
    InputError
        As `read_npz`, and for `feature_names` that are not `d` strings.
    """
    arrays = read_npz(path, ("X", "y"), ("feature_names",))
    X = arrays["X"]
    is_pixels = X.dtype == np.uint8
    return Dataset(
        path.stem,
        _flattened(X),
        arrays["y"],
        feature_names=_names(path, arrays),
        image_shape=(X.shape[1], X.shape[2]) if X.ndim == 3 else None,
        scaling="range" if is_pixels else "standard",
        pixel_max=255.0 if is_pixels else None,
    )


def read_features(path: str | Path, *, n_features: int, feature_names: Sequence[str] | None = None) -> np.ndarray:
    """Read examples to predict.

    Where the file names its columns and `feature_names` are known, columns are taken by name, in that order, and
    others, such as a label, are left alone. Otherwise the file must have exactly `n_features` columns.

    Parameters
    ----------
    path : str or Path
        A .csv file, or an .npz file with an array `X` (its `y` is left alone).
    n_features : int
        How many features the model was trained on.
    feature_names : sequence of str, optional
        Their names, where they have names.

    Returns
    -------
    ndarray of shape (n, n_features)
        Finite real numbers: float64 from a .csv file, in their own dtype from an .npz file.

    Raises
    ------
    InputError
        For a file that cannot be read, is of another kind, or has other columns than the model was trained on.
    """
    path = Path(path)
    wanted = [] if feature_names is None else [str(name) for name in feature_names]
    suffix = path.suffix.lower()
    if suffix == ".csv":
        X = read_csv(path, lambda cells: _choose_features(path, cells, n_features, wanted))[0]
    elif suffix == ".npz":
        arrays = read_npz(path, ("X",), ("feature_names",))
        X, names = _flattened(arrays["X"]), _names(path, arrays)
        if names and wanted:
            X = X[:, positions_of(wanted, names, str(path))]
    else:
        kinds = " nor ".join(SUFFIXES)
        raise InputError(f"{path} is neither {kinds}, from which predictions are read: write X by numpy.savez.")
    check_features(X, f"X of {path}", wanted or None)
    _check_count(path, X.shape[1], n_features)
    return X


def _choose_features(path: Path, cells: list[str], n_features: int, wanted: Sequence[str]) -> Columns:
    # Where all names are there, the other columns say nothing about a header: a label may be called 2020.
    has_header = not has_number(wanted if wanted and set(wanted) <= set(cells) else cells)
    names = tuple(cells) if has_header else None
    if names and wanted:
        return Columns(positions_of(wanted, cells, str(path)), names=names)
    _check_count(path, len(cells), n_features)
    return Columns(range(n_features), names=names)


def _check_count(path: Path, found: int, expected: int) -> None:
    if found != expected:
        hint = " Remove the label's column, or name the columns in a header." if found == expected + 1 else ""
        columns, features = counted(found, "column"), counted(expected, "feature")
        raise InputError(f"{path} has {columns}, but the model was trained on {features}.{hint}")


def _flattened(X: np.ndarray) -> np.ndarray:
    # Not reshape(n, -1), which cannot tell what -1 stands for when n is 0.
    return X.reshape(X.shape[0], math.prod(X.shape[1:])) if X.ndim > 2 else X


def _names(path: Path, arrays: dict[str, np.ndarray]) -> tuple[str, ...] | None:
    names, columns = arrays.get("feature_names"), math.prod(arrays["X"].shape[1:])
    if names is None:
        return None
    if names.dtype.kind != "U" or names.shape != (columns,) or np.unique(names).size != columns:
        raise InputError(
            f"feature_names in {path} has shape {names.shape} and dtype {names.dtype}, but must hold a string for each "
            f"of the {columns} columns of X, each different."
        )
    return tuple(names.tolist())
