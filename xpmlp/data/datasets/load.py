"""Data by name or by path."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_features, check_labels, whole_labels
from xpmlp.data.datasets.dataset import Dataset
from xpmlp.data.datasets.fashion_mnist import load_fashion_mnist
from xpmlp.data.datasets.files import SUFFIXES, ColumnSchema, load_csv, load_npz

__all__ = ["NAMES", "load_dataset"]

NAMES = ("circles", "digits", "fashion-mnist")


def load_dataset(
    source: str | Path,
    *,
    data_dir: str | Path | None = None,
    target: str | None = None,
    schema: ColumnSchema | None = None,
    min_classes: int = 2,
    progress: bool = False,
) -> Dataset:
    """Load one of the known data sets, or the user's own.

    - "circles": two noisy rings, 1,000 points in the plane.
    - "digits": 1,797 images of 8 x 8 pixels from 0 to 16, which come with scikit-learn.
    - "fashion-mnist": 60,000 images of 28 x 28 pixels from 0 to 255, and a test set of 10,000. Looked for in
      `data_dir` if given, else in `$XPMLP_DATA` if set, else in the user's cache, into which it is downloaded.
    - A .csv file in UTF-8: one example per row, numbers, and a label in the last column or the one called
      `target`. A first row without any number among its features is a header.
    - An .npz file: `X` of shape (n, d) or (n, height, width), `y` of shape (n,) and, if wanted,
      `feature_names` of shape (d,). Further dimensions of `X` are flattened too.

    Parameters
    ----------
    source : str or Path
        A name or a path, as above.
    data_dir : str or Path, optional
        For "fashion-mnist": a folder with its four files, or with a folder `fashion-mnist` that has them.
        The other sources have no use for it.
    target : str, optional
        For a .csv file with a header: the name of the label's column.
    schema : ColumnSchema, optional
        The columns that a model was trained on: those of a .csv file with a header are taken by these names, in this
        order, and others are left alone. The label is in the column of the schema's target, where there is one.
    min_classes : int
        How many classes `y` must hold: two to learn from, one to evaluate.
    progress : bool
        Show the progress of a download on standard error.

    Returns
    -------
    Dataset
        Features in the dtype in which they come (float64 from a .csv file), and labels that are integers or strings:
        booleans and whole floats in an .npz file become int64.

    Raises
    ------
    InputError
        For an unknown source, a `target` for anything but a .csv file, data that cannot be downloaded or read, and
        features or labels that nothing can be learnt from.
    """
    dataset = _load(source, data_dir, target, schema, progress=progress)
    check_features(dataset.X, f"X of {source}", dataset.feature_names)
    check_labels(dataset.y, dataset.X.shape[0], f"y of {source}", min_classes=min_classes)
    if dataset.test is not None:
        check_features(dataset.test[0], f"the test X of {source}", dataset.feature_names)
        check_labels(dataset.test[1], dataset.test[0].shape[0], f"the test y of {source}")
    return replace(dataset, y=whole_labels(dataset.y, f"y of {source}"))


def _load(
    source: str | Path, data_dir: str | Path | None, target: str | None, schema: ColumnSchema | None, *, progress: bool
) -> Dataset:
    path = Path(source)
    is_csv = source not in NAMES and path.suffix.lower() == ".csv"
    if target is not None and not is_csv:
        raise InputError(
            f"the target {target!r} names a column of a .csv file, but the data are {source}: leave it out."
        )
    if source == "circles":
        return _circles()
    if source == "digits":
        return _digits()
    if source == "fashion-mnist":
        return load_fashion_mnist(data_dir, progress=progress)
    if is_csv:
        return load_csv(path, target, schema)
    if path.suffix.lower() == ".npz":
        return load_npz(path)
    if path.suffix.lower() == ".npy":
        there = "An .npy file holds one array: put examples and labels into a folder, as X.npy and y.npy, and name that"
    elif os.path.exists(source):  # noqa: PTH110 - pathlib raises for names that are too long
        there = "Such a file exists, but is of another kind"
    else:
        there = "There is no such file either"
    raise InputError(
        f"{str(source)!r} is neither a known data set ({', '.join(NAMES)}) nor the path of data that xpmlp reads "
        f"({', '.join(SUFFIXES)}; or, by rows, a folder with X.npy and y.npy, .h5 or .zarr). {there}."
    )


def _circles() -> Dataset:
    from sklearn.datasets import make_circles  # noqa: PLC0415 - slow to import, and needed here alone

    X, y = make_circles(n_samples=1000, noise=0.1, factor=0.5, random_state=0)
    return Dataset("circles", X, y, feature_names=("x0", "x1"), scaling="none")


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import, and needed here alone

    digits = load_digits()
    return Dataset(
        "digits",
        np.ascontiguousarray(digits.data),
        digits.target,
        feature_names=tuple(digits.feature_names),
        image_shape=(8, 8),
        scaling="range",
        pixel_max=16.0,
    )
