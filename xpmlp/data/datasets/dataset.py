"""What a data set is, and its stratified, seeded parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_number
from xpmlp.common.wording import counted

Pair = TypeVar("Pair", bound=tuple[Any, Any])
Arrays = tuple[np.ndarray, np.ndarray]


# Without a generated __eq__: comparing arrays gives an array, which is neither true nor false.
@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Examples with their labels, and what is known about them.

    Attributes
    ----------
    name : str
        "digits", "circles", "fashion-mnist", or the stem of the file's name.
    X : ndarray of shape (n, d)
        Finite real numbers in their own dtype: 8-bit pixels stay uint8.
    y : ndarray of shape (n,)
        Labels of at least two classes: integers or strings (dtype kind "i", "u" or "U").
    feature_names : tuple of str, optional
        Names of the `d` columns.
    class_names : tuple of str, optional
        What to call class 0, 1, ... where the labels are numbers that have names.
    image_shape : (int, int), optional
        Height and width, where a row of `X` is an image, row by row.
    test : (ndarray of shape (m, d), ndarray of shape (m,)), optional
        Examples and labels of the test set that comes with the data, where one does.
    scaling : {"none", "range", "standard"}
        What suits the data: nothing, division by `pixel_max`, or mean 0 and standard deviation 1.
    pixel_max : float, optional
        What "range" divides by; None for the others.
    note : str, optional
        What a user should know of how the data were read, in a sentence.
    columns : tuple of (str, str, int, int, str)
        Of a table: name, kind, distinct and missing values and an example of each column, the label's among them.
    origin : str
        Where the labels were found, in words, where nobody said which column holds them.
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None
    test: Arrays | None = None
    scaling: Literal["none", "range", "standard"] = "standard"
    pixel_max: float | None = None
    note: str | None = None
    columns: tuple[tuple[str, str, int, int, str], ...] = ()
    origin: str = ""

    def __repr__(self) -> str:
        n, d = self.X.shape
        test = "" if self.test is None else f", and {self.test[0].shape[0]:,} to test"
        shape = f"{counted(n, 'example')} of {counted(d, 'feature')} in {self.X.dtype}"
        return f"<Dataset {self.name}: {shape}, {np.unique(self.y).size} classes{test}>"


@dataclass(frozen=True, eq=False, repr=False)
class Splits(Generic[Pair]):
    """The parts of a data set, each a pair of examples (n, d) and labels (n,), or None where there is no such part."""

    train: Pair
    validation: Pair | None = None
    test: Pair | None = None

    def __repr__(self) -> str:
        parts = ((name, part) for name, part in vars(self).items() if part is not None)
        return f"<Splits: {', '.join(f'{name} {part[0].shape[0]:,}' for name, part in parts)} examples>"


def split(dataset: Dataset, *, validation: float = 0.1, test: float = 0.2, seed: int = 0) -> Splits[Arrays]:
    """Split a data set so that each part has the classes in the proportions of the whole.

    The same data, fractions and seed give the same parts. The test part depends on `test` and `seed` alone, so that
    models chosen with different validation parts meet the same test set.

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
            train, test_part = _split_off("test", test, train, int(seed))
        if validation > 0:
            train, validation_part = _split_off("validation", validation, train, int(seed))
    except InputError as error:
        if dataset.note is None:
            raise
        raise InputError(f"{error} {dataset.note}") from error
    return Splits(train, validation_part, test_part)


def _split_off(part: str, fraction: float, whole: Arrays, seed: int) -> tuple[Arrays, Arrays]:
    """Return what is left of some data, and the part that is split off."""
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
    left, taken = train_test_split(np.arange(y.size), test_size=rows, random_state=seed, stratify=y)
    if (lost := np.setdiff1d(classes, y[left])).size:
        raise InputError(
            f"{part}={fraction} of {y.size} rows takes every example of class '{lost[0]}', so that none is left to "
            f"learn from. Choose a smaller fraction, or add examples of that class."
        )
    return (X[left], y[left]), (X[taken], y[taken])
