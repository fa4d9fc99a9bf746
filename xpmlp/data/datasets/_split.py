"""Stratified, seeded splits into training, validation and test parts."""

from __future__ import annotations

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_number
from xpmlp.data.datasets._dataset import Dataset, Splits

__all__ = ["split"]

_Pair = tuple[np.ndarray, np.ndarray]


def split(dataset: Dataset, *, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> Splits[_Pair]:
    """Split a data set so that each part has the classes in the proportions of the whole.

    The same data, fractions and seed give the same parts, and the test part depends on `test` and `seed`
    alone, so that models chosen with different validation parts meet the same test set.

    Parameters
    ----------
    dataset : Dataset
        What to split.
    validation : float
        The fraction, in [0, 1), of what remains after the test part was taken; 0 for no validation part.
    test : float
        The fraction, in [0, 1), of the whole; 0 for no test part. Ignored where the data come with a test
        set (`dataset.test`), which then is the test part.
    seed : int
        Seed of the shuffling, in [0, 2**32).

    Returns
    -------
    Splits
        Copies in the dtypes of `dataset`, shuffled. With nothing to split off, the training part is
        `dataset.X` and `dataset.y` themselves.

    Raises
    ------
    InputError
        For an option out of range, or where the classes cannot be spread over the parts: a class with one
        example, or a part with fewer rows than there are classes; with the `note` of the data.
    """
    check_number("validation", validation, at_least=0, below=1)
    check_number("test", test, at_least=0, below=1)
    check_number("seed", seed, at_least=0, below=2**32, integer=True)
    train = (dataset.X, dataset.y)
    test_part, validation_part = dataset.test, None
    try:
        if test_part is None and test > 0:
            train, test_part = _take("test", test, train, int(seed))
        if validation > 0:
            train, validation_part = _take("validation", validation, train, int(seed))
    except InputError as error:
        if dataset.note is None:
            raise
        raise InputError(f"{error} {dataset.note}") from error
    return Splits(train, validation_part, test_part)


def _take(part: str, fraction: float, whole: _Pair, seed: int) -> tuple[_Pair, _Pair]:
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - slow to import, and needed here alone

    X, y = whole
    classes, counts = np.unique(y, return_counts=True)
    # Rounded, since a ceiling makes 8 of 0.07 * 100 = 7.000000000000001.
    rows = max(1, round(fraction * y.size))
    rarest = int(np.argmin(counts))
    if counts[rarest] < 2:
        raise InputError(
            f"The {part} part cannot be split off: class '{classes[rarest]}' has 1 example among the {y.size} to "
            f"split, but each class needs at least 2. Add examples of it, leave the class out, or hold out"
            f" none (--{part} 0)."
        )
    sizes = ((f"{part} part", rows, "larger"), ("part left for training", y.size - rows, "smaller"))
    for name, size, other in sizes:
        if size < classes.size:
            raise InputError(
                f"{part}={fraction} of {y.size} rows leaves {size} in the {name}, fewer than the {classes.size} "
                f"classes that it must hold. Choose a {other} fraction, add examples, or hold out none (--{part} 0)."
            )
    kept, taken = train_test_split(np.arange(y.size), test_size=rows, random_state=seed, stratify=y)
    lost = np.setdiff1d(classes, y[kept])
    if lost.size:
        raise InputError(
            f"{part}={fraction} of {y.size} rows takes every example of class '{lost[0]}', so that none is left to "
            f"learn from. Choose a smaller fraction, or add examples of that class."
        )
    return (X[kept], y[kept]), (X[taken], y[taken])
