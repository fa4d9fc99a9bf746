"""Parts of a source: whole blocks for training, validation and test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.validation import check_features, check_number
from xpmlp.data.datasets import Splits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xpmlp.data.streams._source import Source

__all__ = ["Part", "split_blocks"]


class Part:
    """Some blocks of a source.

    Parameters
    ----------
    source : Source
        Where the examples are.
    numbers : ndarray of int
        Of its blocks, in ascending order.

    Attributes
    ----------
    source, numbers
        As above.
    blocks : ndarray of int, (blocks, 2)
        Where they begin and end.
    shape : (int, int)
        Examples and features.
    """

    def __init__(self, source: Source, numbers: np.ndarray) -> None:
        self.source, self.numbers = source, numbers
        self.blocks = source.blocks[numbers]
        self.shape = (int(np.sum(self.blocks[:, 1] - self.blocks[:, 0])), source.shape[1])

    def examples(self) -> Iterator[np.ndarray]:
        """Read the examples block by block, (rows, d).

        Raises
        ------
        InputError
            For NaN or infinite values.
        """
        for start, stop in self.blocks.tolist():
            X = self.source.examples(start, stop)
            check_features(X, f"X of {self.source.name}", first_row=start)
            yield X

    def labelled(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Read examples, (rows, d), and labels, (rows,), block by block; raises as `examples`, and for labels."""
        for (start, stop), X in zip(self.blocks.tolist(), self.examples(), strict=True):
            yield X, self.source.labels(start, stop)


def split_blocks(source: Source, *, validation: float, test: float, seed: int) -> Splits[tuple[Part, None]]:
    """Part a source into training, validation and test: whole blocks, drawn by the seed.

    Parameters
    ----------
    source : Source
        What to part.
    validation : float
        The share, in [0, 1), of the blocks that the test part leaves; 0 for no validation part.
    test : float
        The share, in [0, 1), of all blocks; 0 for no test part.
    seed : int
        The test part depends on it and on `test` alone.

    Returns
    -------
    Splits
        Pairs of a part and None: the labels are in the part. A part that is asked for has a block at least.

    Raises
    ------
    InputError
        For a share out of range, and where too few blocks are left to learn from.
    """
    check_number("validation", validation, at_least=0, below=1)
    check_number("test", test, at_least=0, below=1)
    order = make_generator(seed, "parts").permutation(len(source.blocks))
    n_test = _share(test, len(order))
    n_validation = _share(validation, len(order) - n_test)
    if n_test + n_validation >= len(order):
        raise InputError(
            f"{source.name} has {len(order)} blocks, which are held out as a whole: test={test} and "
            f"validation={validation} leave none to learn from. Choose smaller shares, or give more examples."
        )

    def part(numbers: np.ndarray) -> tuple[Part, None]:
        return Part(source, np.sort(numbers)), None

    test_numbers, validation_numbers, rest = np.split(order, [n_test, n_test + n_validation])
    return Splits(
        part(rest),
        part(validation_numbers) if n_validation else None,
        part(test_numbers) if n_test else None,
    )


def _share(fraction: float, blocks: int) -> int:
    return max(1, round(fraction * blocks)) if fraction > 0 else 0
