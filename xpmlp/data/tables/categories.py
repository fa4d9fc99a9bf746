"""How a column of categories becomes features: one-hot, or, of many categories, by what is predicted in each."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import line
from xpmlp.common.validation import check_choice, check_number
from xpmlp.common.wording import counted, quoted

if TYPE_CHECKING:
    from xpmlp.data.tables.table import Column

MAX_ONE_HOT = 32  # categories of a column with a feature of their own
MIN_EXAMPLES = 3  # of a category in the training part, for it to have one
N_FOLDS = 5  # of the training part, each encoded by the means of the others
SMOOTHING = 2.0  # examples of the mean of all that are added to each category


@dataclass(frozen=True)
class _Lookup:
    """A column of categories, each of which stands for a row of a table of features.

    Attributes
    ----------
    name, kind : str
        Of the column.
    gap : bool
        Whether the training part has gaps.
    """

    name: str
    kind: str
    gap: bool = field(kw_only=True)

    def __repr__(self) -> str:
        return line(self)

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("category",))
        if not all(isinstance(each, str) for each in self.categories) or len(set(self.categories)) < self.unseen_row:
            raise InputError(f"the categories of column {self.name!r} are not strings, each different.")

    @property
    def categories(self) -> tuple[str, ...]:
        """All of the training part, in the order of the rows of `table`."""
        raise NotImplementedError

    @property
    def table(self) -> np.ndarray:
        """The features of each category, of an unseen one, and of a gap, (c + 2, k)."""
        raise NotImplementedError

    @property
    def unseen_row(self) -> int:
        """The row of `table` for unseen categories; the one for gaps is the next."""
        return len(self.categories)

    def apply(self, column: Column) -> np.ndarray:
        """Return the features of a column, (n, k), float64."""
        features: np.ndarray = self.table[_rows_of(column, self.categories)]
        return features

    def unseen(self, column: Column) -> str:
        """Say which categories training had not, and which gaps there are where it had none; "" for none."""
        rows = _rows_of(column, self.categories)
        others = column.values[rows == self.unseen_row]
        gaps = 0 if self.gap else int((rows > self.unseen_row).sum())
        new = f"{counted(others.size, 'value')} unknown from training ({quoted(sorted(set(others)))})"
        return " and ".join(
            [new] * bool(others.size) + [f"{counted(gaps, 'gap')}, where training had none"] * bool(gaps)
        )


@dataclass(frozen=True, repr=False)
class CategoryEncoding(_Lookup):
    """A column of categories: one-hot, with one feature for all of the rarest.

    Attributes
    ----------
    own : tuple of str
        The categories with a feature of their own.
    rare : tuple of str
        The others of the training part, which share one. An unseen category counts as one of them; where there are
        none, all of its features are 0.
    gap : bool
        Whether there is a feature that is 1 for a gap: where the training part has gaps. Else a gap counts as an unseen
        category.
    """

    own: tuple[str, ...]
    rare: tuple[str, ...]

    @classmethod
    def fit(cls, column: Column) -> CategoryEncoding:
        """Learn the categories, and whether there are gaps."""
        counts = {category: count for category, count in column.counts.items() if category is not None}
        ranked = sorted(counts, key=lambda category: (-counts[category], category))
        own = sorted([category for category in ranked if counts[category] >= MIN_EXAMPLES][:MAX_ONE_HOT])
        rare = sorted(counts.keys() - set(own))
        return cls(column.name, column.kind, tuple(own), tuple(rare), gap=None in column.counts)

    @property
    def categories(self) -> tuple[str, ...]:
        """All of the training part, in the order of the rows of `table`."""
        return self.own + self.rare

    @property
    def features(self) -> list[str]:
        """The names of the features; none for one category without gaps."""
        names = [f"{self.name}={category}" for category in self.own]
        names += [f"{self.name} {what}" for what, is_there in (("rare", self.rare), ("missing", self.gap)) if is_there]
        return names if len(self.categories) + self.gap > 1 else []

    @property
    def became(self) -> str:
        """What became of the column, in words."""
        how = f"one-hot, {len(self.own)} of {len(self.categories):,} categories and the rarest together"
        how = how if self.rare else f"one-hot, {len(self.own)} categories"
        return f"{how}; gaps marked" if self.gap else how

    @property
    def table(self) -> np.ndarray:
        """The features of each category, of an unseen one, and of a gap, (c + 2, k)."""
        own, width = len(self.own), len(self.features)
        table = np.eye(self.unseen_row + 2, width)
        table[own:] = 0.0
        if self.rare:
            table[own:, own] = 1.0
        if self.gap:
            table[-1] = np.arange(width) == width - 1
        return table


@dataclass(frozen=True, repr=False)
class TargetEncoding(_Lookup):
    """A column of many categories: what is predicted is in the mean in each, as Micci-Barreca (2001) encodes them.

    To be less sure of rare categories, `SMOOTHING` examples of the mean of all are added to each. The training examples
    themselves are encoded in `N_FOLDS` parts, each by the means of the others, so that none is told its own target.

    Attributes
    ----------
    known : tuple of str
        The categories of the training part.
    outputs : tuple of str
        "mean" of an amount; "share of" each class, or of the second one of two.
    center, factor : tuple of float
        Of each output: a mean x becomes (x - center) * factor.
    means : tuple of tuple of float
        For each category the mean of each output, scaled; then for an unseen one, which has the mean of all, and for a
        gap.
    gap : bool
        Whether the training part has gaps. Else a gap counts as an unseen category.
    """

    known: tuple[str, ...]
    outputs: tuple[str, ...]
    center: tuple[float, ...]
    factor: tuple[float, ...]
    means: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = (self.center, self.factor, *self.means)
        if len(self.means) != self.unseen_row + 2 or any(len(each) != len(self.outputs) for each in numbers):
            raise InputError(f"column {self.name!r} has not {counted(len(self.outputs), 'mean')} for each category.")
        for number in (number for each in numbers for number in each):
            check_number("a category's mean", number)

    @classmethod
    def fit(cls, column: Column, targets: np.ndarray) -> TargetEncoding:
        """Learn the means of the targets, (n,): amounts where they are floating, else classes."""
        categories = tuple(sorted({each for each in column.values.tolist() if each is not None}))
        rows, (outputs, T) = _rows_of(column, categories), _outputs(targets)
        n_rows = len(categories) + 2
        told = _in_folds(rows, T, n_rows)
        center, deviation = told.mean(axis=0), told.std(axis=0)
        factor = 1.0 / np.where(deviation > 0, deviation, 1.0)
        means = (_means(rows, T, n_rows) - center) * factor
        return cls(
            column.name,
            column.kind,
            categories,
            outputs,
            tuple(center.tolist()),
            tuple(factor.tolist()),
            tuple(map(tuple, means.tolist())),
            gap=bool(column.missing.any()),
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """All of the training part, in the order of the rows of `table`."""
        return self.known

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return [f"{self.name} {output}" for output in self.outputs]

    @property
    def became(self) -> str:
        """What became of the column, in words."""
        n = len(self.outputs)
        how = self.outputs[0] if n == 1 else f"share of each of {n} classes"
        return f"{'mean of the target' if how == 'mean' else how} in each of {len(self.known):,} categories"

    @property
    def table(self) -> np.ndarray:
        """The features of each category, of an unseen one, and of a gap, (c + 2, k)."""
        return np.array(self.means)

    def apply_in_training(self, column: Column, targets: np.ndarray) -> np.ndarray:
        """Return the features of the training examples, (n, k), each without its own target in them."""
        told = _in_folds(_rows_of(column, self.known), _outputs(targets)[1], self.unseen_row + 2)
        return (told - self.center) * self.factor


def fit_categories(column: Column, targets: np.ndarray | None) -> CategoryEncoding | TargetEncoding:
    """Learn a column of categories: by the targets, where these are known and there are more than `MAX_ONE_HOT`.

    Of more classes than that the shares would be more features than one-hot has.
    """
    are_many = sum(count >= MIN_EXAMPLES for each, count in column.counts.items() if each is not None) > MAX_ONE_HOT
    if are_many and targets is not None and len(_outputs(targets)[0]) <= MAX_ONE_HOT:
        return TargetEncoding.fit(column, targets)
    return CategoryEncoding.fit(column)


def _rows_of(column: Column, categories: tuple[str, ...]) -> np.ndarray:
    """Return the place of each value, (n,), among categories, which unseen ones follow, and then gaps."""
    row_of = {category: row for row, category in enumerate(categories)} | {None: len(categories) + 1}
    rows = map(row_of.get, column.values.tolist(), repeat(len(categories)))
    return np.fromiter(rows, np.intp, len(column))


def _outputs(targets: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return what there are means of, and the targets as numbers, (n, k)."""
    if targets.dtype.kind == "f":
        return ("mean",), targets[:, None]
    classes = np.unique(targets)
    told = classes[1:] if len(classes) == 2 else classes  # of two shares, one says all
    return tuple(f"share of {each}" for each in told.tolist()), (targets[:, None] == told).astype(float)


def _means(rows: np.ndarray, T: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the smoothed mean of T, (n, k), in each row, (n_rows, k); that of all where a row has no example."""
    sums, counts = np.zeros((n_rows, T.shape[1])), np.bincount(rows, minlength=n_rows)[:, None]
    np.add.at(sums, rows, T)
    means: np.ndarray = (sums + SMOOTHING * T.mean(axis=0)) / (counts + SMOOTHING)
    return means


def _in_folds(rows: np.ndarray, T: np.ndarray, n_rows: int) -> np.ndarray:
    """Return for each example the mean of its row in the other folds, (n, k)."""
    folds, told = make_generator(0, "folds").permutation(len(rows)) % N_FOLDS, np.empty(T.shape)
    for fold in range(N_FOLDS):
        own = folds == fold
        told[own] = _means(rows[~own], T[~own], n_rows)[rows[own]]
    return told
