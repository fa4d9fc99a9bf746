"""Data by name, or from the user's own tables and .npz files: to learn from, or to predict."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features, check_label_column
from xpmlp.common.wording import escaped
from xpmlp.data.datasets.dataset import Dataset
from xpmlp.data.datasets.fashion_mnist import load_fashion_mnist
from xpmlp.data.datasets.from_table import Features, check_count, load_table, table_features
from xpmlp.data.features import positions_of
from xpmlp.data.numpy_files import array_names, read_npz
from xpmlp.data.tables import STANDARD_INPUT, Table, table_suffix
from xpmlp.data.targets import as_column, check_targets, decide_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from xpmlp.data.datasets.from_table import ColumnSchema

NAMES = ("circles", "digits", "fashion-mnist")
SUFFIXES = (".csv", ".tsv", ".parquet", ".feather", ".npz")


def load_dataset(
    source: str | Path,
    *,
    data_dir: str | Path | None = None,
    target: str | None = None,
    schema: ColumnSchema | None = None,
    reading: Mapping[str, Any] | None = None,
    task: str = "auto",
    group: str | None = None,
    min_classes: int = 2,
    progress: bool = False,
) -> Dataset:
    """Load one of the known data sets, or the user's own.

    - "circles": two noisy rings, 1,000 points in the plane.
    - "digits": 1,797 images of 8 x 8 pixels from 0 to 16, which come with scikit-learn.
    - "fashion-mnist": 60,000 images of 28 x 28 pixels from 0 to 255, and a test set of 10,000. Looked for in
      `data_dir` if given, else in `$XPMLP_DATA` if set, else in the user's cache, into which it is downloaded.
    - A table, as `read_table` takes it, such as a .csv file, or "-", which is standard input: one example per row,
      and the target in the last column or the one called `target`.
    - An .npz file: `X` of shape (n, d) or (n, height, width), `y` of shape (n,), (n, 1) or one-hot, and, if wanted,
      `feature_names` of shape (d,). Further dimensions of `X` are flattened too. Or `x_train` and `y_train` in their
      place, with `x_test` and `y_test`, the test set that comes with the data, where they are there.

    Parameters
    ----------
    source : str or Path
        A name or a path, as above.
    data_dir : str or Path, optional
        For "fashion-mnist": a folder with its four files, or with a folder `fashion-mnist` that has them.
        The other sources have no use for it.
    target : str, optional
        For a table: the name of the target's column, or its number, from 1.
    schema : ColumnSchema, optional
        The columns that a model was trained on: those of a table with a header are taken by these names, in this
        order, and others are left alone. The label is in the column of the schema's target, where there is one.
    reading : mapping, optional
        For a table: keywords of `read_table`.
    task : {"auto", "classification", "regression"}
        What the targets are, as for `decide_task`.
    group : str, optional
        For a table: the column by which rows belong together, which is no feature then.
    min_classes : int
        How many classes or values `y` must hold: two to learn from, one to evaluate.
    progress : bool
        Show the progress of a download on standard error.

    Returns
    -------
    Dataset
        Features in the dtype in which they come (float64 from a table of numbers; a `Table` where columns hold other
        values, or gaps), and labels that are integers or strings: booleans and whole floats in an .npz file become
        int64. Amounts are float64.

    Raises
    ------
    InputError
        For an unknown source, a `target` or `reading` for anything but a table, data that cannot be downloaded or read,
        and features or labels that nothing can be learnt from.
    """
    dataset = _load(source, data_dir, target, schema, group, reading or {}, progress=progress)
    if not isinstance(dataset.X, Table):
        gaps = schema is not None and is_table(source)  # which the model fills, or refuses
        check_features(dataset.X, f"X of {source}", dataset.feature_names, gaps=gaps)
    y, column = as_column(dataset.y), dataset.target_name or target
    if dataset.origin:
        name = f"y of {source}, {dataset.origin},"
    else:
        name = f"column {column!r} of {source}" if column else f"y of {source}"
    check_label_column(y.shape, y.dtype, dataset.X.shape[0], name)
    known = "classification" if source in NAMES and task == "auto" else task
    decided = decide_task(y, known, dataset.target_name or "y")
    y = check_targets(y, dataset.X.shape[0], name, decided, min_classes=min_classes)
    test = dataset.test
    if test is not None and not isinstance(test[0], Table):
        check_features(test[0], f"the test X of {source}", dataset.feature_names)
        name = f"the test y of {source}"
        test = test[0], check_targets(as_column(test[1]), test[0].shape[0], name, decided, min_classes=1)
    return replace(dataset, y=y, test=test, task=decided)


def _load(
    source: str | Path,
    data_dir: str | Path | None,
    target: str | None,
    schema: ColumnSchema | None,
    group: str | None,
    reading: Mapping[str, Any],
    *,
    progress: bool,
) -> Dataset:
    if source not in NAMES and is_table(source):
        return load_table(Path(source), target, schema, group=group, reading=reading)
    for what, name in (("target", target), ("group", group)):
        if name is not None:
            raise InputError(f"the {what} {name!r} names a column of a table, but the data are {source}: leave it out.")
    refuse_reading(source, reading)
    path = Path(source)
    suffix = path.suffix.lower()
    if source == "circles":
        return _circles()
    if source == "digits":
        return _digits()
    if source == "fashion-mnist":
        return load_fashion_mnist(data_dir, progress=progress)
    if suffix == ".npz":
        return _load_npz(path)
    if suffix == ".npy":
        there = "An .npy file holds one array: put examples and labels into a folder, as X.npy and y.npy, and name that"
    elif os.path.exists(source):  # noqa: PTH110 - pathlib raises for names that are too long
        there = "Such a file exists, but is of another kind"
    else:
        there = "There is no such file either"
    raise InputError(
        f"{str(source)!r} is neither a known data set ({', '.join(NAMES)}) nor the path of data that xpmlp reads "
        f"({', '.join(SUFFIXES)}; or, by rows, a folder with X.npy and y.npy, .h5 or .zarr). {there}."
    )


def is_table(source: str | Path) -> bool:
    """Whether data are a table, by the name of their file."""
    return str(source) == STANDARD_INPUT or bool(table_suffix(Path(source)))


def refuse_reading(source: str | Path, reading: Mapping[str, Any]) -> None:
    """Raise an `InputError` where there are keywords of `read_table`, as the data are no table."""
    if reading:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in reading)
        raise InputError(f"{names} is for the reading of a table, but the data are {source}: leave it out.")


def _circles() -> Dataset:
    from sklearn.datasets import make_circles  # noqa: PLC0415 - slow to import, and needed here alone

    X, y = make_circles(n_samples=1000, noise=0.1, factor=0.5, random_state=0)
    return Dataset("circles", X, y, feature_names=("x0", "x1"), scaling="none")


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, and needed here alone

    digits = load_digits()
    X, names = np.ascontiguousarray(digits.data), tuple(digits.feature_names)
    return Dataset("digits", X, digits.target, names, image_shape=(8, 8), scaling="range", pixel_max=16.0)


def _load_npz(path: Path) -> Dataset:
    held, test = array_names(path), None
    letters = ("x_train", "y_train") if "X" not in held and {"x_train", "y_train"} <= held else ("X", "y")
    X, names, arrays = _read_npz(path, *letters)
    if letters[0] == "x_train" and {"x_test", "y_test"} <= held:
        test_X, _, tests = _read_npz(path, "x_test", "y_test")
        if test_X.shape[1:] != X.shape[1:]:
            raise InputError(
                f"{path} has examples of {X.shape[1]} features in x_train, but of {test_X.shape[1]} in x_test."
            )
        test = test_X, tests["y_test"]
    _, *shape = arrays[letters[0]].shape or (0,)
    is_pixels = X.dtype == np.uint8
    return Dataset(
        escaped(path.stem),
        X,
        arrays[letters[1]],
        names,
        image_shape=(shape[0], shape[1]) if len(shape) == 2 else None,
        scaling="range" if is_pixels else "standard",
        pixel_max=255.0 if is_pixels else None,
        test=test,
    )


def read_features(
    path: str | Path,
    *,
    n_features: int,
    feature_names: Sequence[str] | None = None,
    keep: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
    reading: Mapping[str, Any] | None = None,
) -> Features:
    """Read examples to predict.

    Where the file names its columns and `feature_names` are known, columns are taken by name, in that order, and
    others, such as a label, are left alone. Otherwise the file must have exactly `n_features` columns.

    Parameters
    ----------
    path : str or Path
        A table, as `read_table` takes it, or an .npz file with an array `X` (its `y` is left alone).
    n_features : int
        How many features the model was trained on.
    feature_names : sequence of str, optional
        Their names, where they have names.
    keep : sequence of str
        Columns of a table to give back as they are.
    kinds : mapping of str to str, optional
        Where the model takes a table: the kinds of its columns.
    reading : mapping, optional
        Keywords of `read_table`.

    Returns
    -------
    Features
        `X`, (n, n_features): finite real numbers, float64 from a table, where gaps are NaN, in their own dtype from an
        .npz file; or with `kinds` the table. Then a note on how the table was read, and the columns kept.

    Raises
    ------
    InputError
        For a file that cannot be read, is of another kind, or has other columns than the model was trained on.
    """
    path = Path(path)
    wanted = [] if feature_names is None else [str(name) for name in feature_names]
    if path.suffix.lower() == ".npz":
        refuse_reading(path, {**(reading or {}), **({"keep": keep} if keep else {})})
        X, names, _ = _read_npz(path, "X")
        if names and wanted:
            X = X[:, positions_of(wanted, names, str(path))]
        read = Features(X)
    elif is_table(path):
        read = table_features(path, n_features, wanted, keep, kinds, reading or {})
    else:
        raise InputError(f"{path} is neither {' nor '.join(SUFFIXES)}, which can be predicted: write X by numpy.savez.")
    if not isinstance(read.X, Table):
        check_features(read.X, f"X of {path}", wanted or None, gaps=is_table(path))
        check_count(path, read.X.shape[1], n_features)
    return read


def _read_npz(path: Path, *required: str) -> tuple[np.ndarray, tuple[str, ...] | None, dict[str, np.ndarray]]:
    """Return examples, flattened, the names of their features where the file has them, and its arrays."""
    arrays = read_npz(path, required, ("feature_names",))
    X, names = arrays[required[0]], arrays.get("feature_names")
    columns = math.prod(X.shape[1:])
    if X.ndim > 2:
        X = X.reshape(X.shape[0], columns)  # not -1, which stands for anything when there are no rows
    if names is None:
        return X, None, arrays
    if names.dtype.kind != "U" or names.shape != (columns,) or np.unique(names).size != columns:
        raise InputError(
            f"feature_names in {path} has shape {names.shape} and dtype {names.dtype}, but must hold a string for each "
            f"of the {columns} columns of {required[0]}, each different."
        )
    return X, tuple(names.tolist()), arrays
