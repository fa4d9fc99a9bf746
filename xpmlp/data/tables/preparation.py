"""From a table to the matrix that a network is given: learnt from the training part, kept as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.shown import Shown, as_text
from xpmlp.common.validation import check_choice
from xpmlp.common.wording import counted
from xpmlp.data.features import positions_of
from xpmlp.data.tables.categories import CategoryEncoding, TargetEncoding
from xpmlp.data.tables.encodings import (
    SCALINGS,
    Encoding,
    LeftOut,
    NumberEncoding,
    encoding_from_json,
    fit_encoding,
)
from xpmlp.data.tables.kinds import column_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.common.shown import Content
    from xpmlp.data.tables.table import Column, Table


@dataclass(frozen=True, repr=False)
class TablePreparation(Shown):
    """What becomes of each column of a table before the network is given it.

    Numbers and dates are filled, scaled and marked where the training part has gaps; categories become one-hot, or,
    where there are many, the mean of the target in each; texts, identifiers and constant columns are left out.
    `encodings` says how, in `xpmlp.data.tables.encodings` and `xpmlp.data.tables.categories`.

    Attributes
    ----------
    encodings : tuple of NumberEncoding, CategoryEncoding, TargetEncoding or LeftOut
        One for each column of the training data.

    Examples
    --------
    >>> import pandas as pd
    >>> from xpmlp import TablePreparation, read_table
    >>> table = read_table(pd.DataFrame({"age": [30, None, 50], "job": ["smith", "nurse", "smith"]}))
    >>> preparation = TablePreparation.fit(table)
    >>> preparation.feature_names_out
    ('age', 'age missing', 'job rare')
    >>> preparation.apply(table)
    array([[-1.,  0.,  1.],
           [ 0.,  1.,  1.],
           [ 1.,  0.,  1.]])
    """

    encodings: tuple[Encoding, ...]

    @classmethod
    def fit(cls, table: Table, scaling: str = "standard", targets: np.ndarray | None = None) -> TablePreparation:
        """Learn what becomes of the columns.

        Parameters
        ----------
        table : Table
            The features of the training examples, and of no others.
        scaling : {"standard", "robust", "range", "none"}
            Of numbers and dates: to mean 0 and standard deviation 1; less their median, divided by the range of their
            middle half, and clipped smoothly to [-3, 3], as in RealMLP; divided by the largest magnitude; or not.
        targets : ndarray of shape (n,), optional
            What is to be predicted of these examples: amounts where they are floating, else classes. With them, columns
            of many categories are encoded by their means.

        Raises
        ------
        InputError
            For a table without rows, infinite values, and where no column is left to learn from.
        """
        check_choice("scaling", scaling, SCALINGS)
        if not len(table):
            raise InputError(f"{table.name} has no rows: at least one example is needed.")
        preparation = cls(tuple(fit_encoding(column, scaling, targets) for column in table.columns))
        if not preparation.feature_names_out:
            why = "; ".join(f"{each.name!r} {each.became}" for each in preparation.encodings) or "there is none"
            raise InputError(
                f"no column of {table.name} is left to learn from: {why}. Give other columns, or say what one holds "
                "(--kinds NAME=number)."
            )
        return preparation

    @cached_property
    def used(self) -> list[NumberEncoding | CategoryEncoding | TargetEncoding]:
        """The encodings of the columns that are not left out."""
        return [each for each in self.encodings if not isinstance(each, LeftOut)]

    @property
    def feature_names_in(self) -> tuple[str, ...]:
        """The columns that a table must have."""
        return tuple(encoding.name for encoding in self.used)

    @property
    def feature_names_out(self) -> tuple[str, ...]:
        """The names of the features, the columns of the matrix."""
        return tuple(name for encoding in self.used for name in encoding.features)

    @property
    def number_columns(self) -> tuple[int, ...]:
        """Which columns of the matrix are numbers or parts of dates; the others are 0 or 1, or means of the target."""
        is_number = [
            isinstance(each, NumberEncoding) and each.kind != "truth value" and position < len(each.parts)
            for each in self.used
            for position in range(len(each.features))
        ]
        return tuple(column for column, found in enumerate(is_number) if found)

    @property
    def kinds(self) -> dict[str, str]:
        """The kinds of these columns in training, by name."""
        return {encoding.name: encoding.kind for encoding in self.used}

    @property
    def known(self) -> dict[str, str]:
        """The kinds of these columns with the formats of their dates, by name, as `read_table` takes them."""
        return {encoding.name: _known_kind(encoding) for encoding in self.used}

    @property
    def became(self) -> dict[str, str]:
        """What became of each column, in words, by its name."""
        return {encoding.name: encoding.became for encoding in self.encodings}

    def __str__(self) -> str:
        columns, features = counted(len(self.encodings), "column"), counted(len(self.feature_names_out), "feature")
        return f"{columns}, {len(self.encodings) - len(self.used)} of them left out, as {features}"

    def __repr__(self) -> str:
        return f"<TablePreparation of {self}>\n{as_text(self._content())}"

    def _content(self) -> Content:
        return ("column", "kind", "became"), [(each.name, each.kind, each.became) for each in self.encodings]

    def apply(self, table: Table, dtype: str = "float64", targets: np.ndarray | None = None) -> np.ndarray:
        """Prepare a table as in training.

        Columns are found by name; others are left alone. A category or a gap that the training part had not is treated
        as `encodings` says; `unseen` counts them. The training examples themselves are prepared with their `targets`,
        those of `fit`, so that no feature holds an example's own target.

        Returns
        -------
        ndarray of shape (n, d), dtype
            The features, in the order of `feature_names_out`.

        Raises
        ------
        InputError
            For no rows, columns that are missing, values of another kind than in training, and infinite ones.
        """
        if not len(table):
            raise InputError(f"{table.name} has no rows: at least one example is needed.")
        features = np.empty((len(table), len(self.feature_names_out)), dtype)
        start = 0
        for encoding, column in zip(self.used, self._columns(table), strict=True):
            if targets is not None and isinstance(encoding, TargetEncoding):
                own = encoding.apply_in_training(column, targets)
            else:
                own = encoding.apply(column)
            features[:, start : start + len(encoding.features)] = own
            start += len(encoding.features)
        return features

    def unseen(self, table: Table) -> list[str]:
        """Say of each column which categories and which gaps it has that the training part had not, in a clause."""
        clauses = zip(self.used, self._columns(table), strict=True)
        return [f"column {each.name!r} has {clause}" for each, column in clauses if (clause := each.unseen(column))]

    def _columns(self, table: Table) -> list[Column]:
        """Return the columns of a table that are used, each of the kind that it had in training."""
        positions_of(self.feature_names_in, table.names, table.name)
        return [_as_in_training(table[encoding.name], encoding) for encoding in self.used]

    def to_json(self) -> list[dict[str, Any]]:
        """Return plain values, as JSON has them."""
        return [asdict(encoding) for encoding in self.encodings]

    @classmethod
    def from_json(cls, values: Sequence[dict[str, Any]]) -> TablePreparation:
        """Build a preparation from what `to_json` returned.

        Raises
        ------
        InputError, AttributeError, LookupError, TypeError
            For values that describe none.
        """
        preparation = cls(tuple(encoding_from_json(each) for each in values))
        if len({encoding.name for encoding in preparation.encodings}) < len(preparation.encodings):
            raise InputError("columns of a preparation have the same name.")
        return preparation


def _known_kind(encoding: NumberEncoding | CategoryEncoding | TargetEncoding) -> str:
    """Return the kind of a column in training, with the format of its dates."""
    if isinstance(encoding, NumberEncoding) and encoding.date_format:
        return f"{encoding.kind}:{encoding.date_format}"
    return encoding.kind


def _as_in_training(column: Column, encoding: NumberEncoding | CategoryEncoding | TargetEncoding) -> Column:
    """Return a column of the kind that it had in training; refuse dates that were only guessed to be others."""
    name, kind = column.name, _known_kind(encoding)
    _, _, date_format = kind.partition(":")
    if date_format in column.date_formats[1:]:
        raise InputError(
            f"the dates of column {name!r} were read by the format {column.date_formats[0]}, but in training they were "
            f"written as {date_format}: read the table by read_table(..., kinds={{{name!r}: {kind!r}}})."
        )
    if column.kind == encoding.kind:
        return column
    return column_of(name, column.values, encoding.kind if column.date_formats else kind)  # if so, in ISO now
