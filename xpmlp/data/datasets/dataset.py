"""What a data set is, and its stratified, seeded parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import Content, Shown
from xpmlp.common.validation import check_choice, check_number
from xpmlp.common.wording import amount, counted, quoted
from xpmlp.data.tables import Table
from xpmlp.data.tables.table import COLUMN_HEADS
from xpmlp.data.targets import Task

Pair = TypeVar("Pair", bound=tuple[Any, Any])
ORDERS = ("random", "last")

Examples: TypeAlias = np.ndarray | Table
Labelled: TypeAlias = tuple[Examples, np.ndarray]


# Without a generated __eq__: comparing arrays gives an array, which is neither true nor false.
@dataclass(frozen=True, eq=False, repr=False)
class Dataset(Shown):
    """Examples with their targets, and what is known about them.

    Attributes
    ----------
    name : str
        "digits", "circles", "fashion-mnist", or the stem of the file's name.
    X : ndarray of shape (n, d), or Table
        Finite real numbers in their own dtype: 8-bit pixels stay uint8. A table where columns hold other values than
        numbers, or gaps.
    y : ndarray of shape (n,)
        Labels of at least two classes, integers or strings (dtype kind "i", "u" or "U"); or amounts, float64, where the
        task is a regression.
    feature_names : tuple of str, optional
        Names of the `d` columns.
    class_names : tuple of str, optional
        What to call class 0, 1, ... where the labels are numbers that have names.
    image_shape : (int, int), optional
        Height and width, where a row of `X` is an image, row by row.
    test : (ndarray of shape (m, d), ndarray of shape (m,)), optional
        Examples and targets of the test set that comes with the data, where one does.
    scaling : {"none", "range", "standard"}
        What suits the data: nothing, division by `pixel_max`, or mean 0 and standard deviation 1.
    pixel_max : float, optional
        What "range" divides by; None for the others.
    note : str, optional
        What a user should know of how the data were read, in a sentence.
    columns : tuple of (str, str, int, int, str)
        Of a table: name, kind, distinct and missing values and an example of each column, the label's among them.
    task : Task
        Classification or regression, and why.
    target_name : str, optional
        What the column of the targets is called.
    validation : (ndarray of shape (k, d), ndarray of shape (k,)), optional
        Likewise of a validation set.
    groups : ndarray of shape (n,), optional
        What group each example is of: those of a group belong together, and come into the same part.
    origin : str
        Where the labels were found, in words, where nobody said which column holds them.
    """

    name: str
    X: Examples
    y: np.ndarray
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None
    test: Labelled | None = None
    scaling: Literal["none", "range", "standard"] = "standard"
    pixel_max: float | None = None
    note: str | None = None
    columns: tuple[tuple[str, str, int, int, str], ...] = ()
    task: Task = Task("classification")  # noqa: RUF009 - it is immutable
    target_name: str | None = None
    validation: Labelled | None = None
    groups: np.ndarray | None = None
    origin: str = ""

    def __repr__(self) -> str:
        n, d = self.X.shape
        learnt = "amounts" if self.task.name == "regression" else f"{np.unique(self.y).size} classes"
        test = "" if self.test is None else f", and {self.test[0].shape[0]:,} to test"
        columns = counted(d, "column") if isinstance(self.X, Table) else f"{counted(d, 'feature')} in {self.X.dtype}"
        return f"<Dataset {self.name}: {counted(n, 'example')} of {columns}, {learnt}{test}>"

    def _content(self) -> Content:
        if self.columns:
            return COLUMN_HEADS, self.columns
        if self.task.name == "regression":
            shown = {"lowest": self.y.min(), "mean": self.y.mean(), "highest": self.y.max()}
            return ("target", "value"), [(name, amount(float(value))) for name, value in shown.items()]
        labels, counts = np.unique(self.y, return_counts=True)
        names = labels.tolist() if self.class_names is None else self.class_names
        return ("class", "examples"), [(name, f"{n:,}") for name, n in zip(names, counts.tolist(), strict=True)]


@dataclass(frozen=True, eq=False, repr=False)
class Splits(Shown, Generic[Pair]):
    """The parts of a data set, each a pair of examples (n, d) and targets (n,), or None where there is no such part.

    Attributes
    ----------
    train, validation, test : (examples, targets)
        The parts.
    notes : tuple of str
        Which classes are too rare for a part, in sentences.
    """

    train: Pair
    validation: Pair | None = None
    test: Pair | None = None
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> dict[str, Pair]:
        """Those that are there, by name."""
        named = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in named.items() if part is not None}

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name} {part[0].shape[0]:,}" for name, part in self.parts.items())
        return f"<Splits: {sizes} examples>"

    def _content(self) -> Content:
        shapes = {name: part[0].shape for name, part in self.parts.items()}
        return ("part", "examples", "features"), [(name, f"{n:,}", f"{d:,}") for name, (n, d) in shapes.items()]


def split(
    dataset: Dataset, *, validation: float = 0.1, test: float = 0.2, seed: int = 0, order: str = "random"
) -> Splits[Labelled]:
    """Split a data set so that each part has the classes, where there are some, in the proportions of the whole.

    The same data, fractions and seed give the same parts. The test part depends on `test` and `seed` alone, so that
    models chosen with different validation parts meet the same test set. Every class has an example in the training
    part; one with too few for all parts is missing in the others, which `notes` of the result say. Where rows belong
    together (`dataset.groups`), whole groups are drawn, as many as the fractions say, and classes are not looked at.

    Parameters
    ----------
    dataset : Dataset
        What to split.
    validation : float
        The fraction, in [0, 1), of what remains after the test part was taken; 0 for no validation part. Ignored where
        the data come with a validation set.
    test : float
        The fraction, in [0, 1), of the whole; 0 for no test part. Ignored where the data come with a test
        set (`dataset.test`), which then is the test part.
    seed : int
        Seed of the shuffling, in [0, 2**32).
    order : {"random", "last"}
        Whether to draw rows, or, where they are in the order of time, to take the last ones as the test part and those
        before as the validation part.

    Returns
    -------
    Splits
        Copies in the dtypes of `dataset`, shuffled unless `order` is "last". With nothing to split off, the training
        part is `dataset.X` and `dataset.y` themselves.

    Raises
    ------
    InputError
        For an option out of range, and where a class would have no example in the training part; with the `note` of
        the data.
    """
    check_number("validation", validation, at_least=0, below=1)
    check_number("test", test, at_least=0, below=1)
    check_number("seed", seed, at_least=0, below=2**32, integer=True)
    check_choice("split", order, ORDERS)
    if dataset.groups is not None and order == "last":
        raise InputError("rows that belong together are drawn, but split last takes rows in their order: choose one.")
    rows = np.arange(dataset.y.shape[0])
    parts: dict[str, Labelled | None] = {"test": dataset.test, "validation": dataset.validation}
    notes = []
    try:
        for part, fraction in (("test", test), ("validation", validation)):
            if parts[part] is None and fraction > 0:
                rows, taken = _split_off(part, fraction, dataset, rows, int(seed), last=order == "last")
                parts[part] = _rows(dataset.X, taken), dataset.y[taken]
                notes += _lacking(part, dataset, taken)
    except InputError as error:
        if dataset.note is None:
            raise
        raise InputError(f"{error} {dataset.note}") from error
    whole = rows.shape[0] == dataset.y.shape[0]
    train = (dataset.X, dataset.y) if whole else (_rows(dataset.X, rows), dataset.y[rows])
    return Splits(train, **parts, notes=tuple(notes))


def _split_off(
    part: str, fraction: float, dataset: Dataset, rows: np.ndarray, seed: int, *, last: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return which of some rows are left, and which are split off."""
    from sklearn.model_selection import GroupShuffleSplit, train_test_split  # noqa: PLC0415 - slow to import

    y, has_classes = dataset.y[rows], dataset.task.name == "classification"
    # Rounded, since a ceiling makes 8 of 0.07 * 100 = 7.000000000000001.
    size = max(1, round(fraction * y.size))
    by_class = has_classes and not last and dataset.groups is None
    n_classes = np.unique(y).size if by_class else 0
    if y.size - size < n_classes:
        raise InputError(
            f"{part}={fraction} of {y.size} rows leaves {y.size - size} in the part left for training, fewer than the "
            f"{n_classes} classes that it must hold. Choose a smaller fraction, add examples, or hold out none "
            f"(--{part} 0)."
        )
    if size >= y.size:
        raise InputError(
            f"{part}={fraction} of {counted(y.size, 'row')} leaves none to learn from. Choose a smaller fraction, add "
            f"examples, or hold out none (--{part} 0)."
        )
    if last:
        left, taken = np.split(np.arange(y.size), [y.size - size])
    elif dataset.groups is not None:
        groups = dataset.groups[rows]
        if (found := np.unique(groups).size) < 2:
            raise InputError(
                f"the {part} part cannot be split off: {counted(found, 'group')} of rows cannot be parted."
            )
        left, taken = next(GroupShuffleSplit(1, test_size=fraction, random_state=seed).split(y, groups=groups))
    elif by_class:
        left, taken = _drawn_by_class(y, size, seed)
    else:
        left, taken = train_test_split(np.arange(y.size), test_size=size, random_state=seed)
    if has_classes and (lost := np.setdiff1d(y, y[left])).size:
        raise InputError(
            f"{part}={fraction} of {y.size} rows takes every example of class '{lost[0]}', so that none is left to "
            f"learn from. Choose a smaller fraction, or add examples of that class."
        )
    return rows[left], rows[taken]


def _drawn_by_class(y: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which examples are left, some of each class, and which are drawn, of each class its share where it can be.

    A class with one example is left. Where the others are too many to be spread, one example of each is left, and all
    else is drawn whatever its class.
    """
    from sklearn.model_selection import train_test_split  # noqa: PLC0415 - slow to import

    _, positions, counts = np.unique(y, return_inverse=True, return_counts=True)
    is_alone = counts[positions] == 1
    alone, others = np.flatnonzero(is_alone), np.flatnonzero(~is_alone)
    if (counts > 1).sum() <= min(size, others.size - size):
        left, taken = train_test_split(others, test_size=size, random_state=seed, stratify=y[others])
        if np.unique(y[left]).size == (counts > 1).sum():
            return np.concatenate([left, alone]), taken
    order = make_generator(seed, "parts").permutation(y.size)
    is_first = np.zeros(y.size, np.bool_)
    is_first[np.unique(y[order], return_index=True)[1]] = True
    free = order[~is_first]
    return np.concatenate([order[is_first], free[size:]]), free[:size]


def _lacking(part: str, dataset: Dataset, taken: np.ndarray) -> list[str]:
    """Say which classes a part has no example of."""
    if dataset.task.name != "classification" or not (rare := np.setdiff1d(dataset.y, dataset.y[taken])).size:
        return []
    n = np.unique(dataset.y).size
    return [
        f"The {part} part has no example of {rare.size} of the {n} classes, which are rare: {quoted(rare.tolist())}."
    ]


def _rows(X: Examples, rows: np.ndarray) -> Examples:
    return X.take(rows) if isinstance(X, Table) else X[rows]
