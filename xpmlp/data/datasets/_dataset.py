"""What a data set is, and what its parts are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Dataset", "Scaling", "Splits"]

Scaling = Literal["none", "range", "standard"]
Pair = TypeVar("Pair")


# Without a generated __eq__: comparing arrays gives an array, which is neither true nor false.
@dataclass(frozen=True, eq=False)
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
    """

    name: str
    X: np.ndarray
    y: np.ndarray
    feature_names: tuple[str, ...] | None = None
    class_names: tuple[str, ...] | None = None
    image_shape: tuple[int, int] | None = None
    test: tuple[np.ndarray, np.ndarray] | None = None
    scaling: Scaling = "standard"
    pixel_max: float | None = None
    note: str | None = None


@dataclass(frozen=True, eq=False)
class Splits(Generic[Pair]):
    """The parts of a data set, each a pair of examples (n, d) and labels (n,), or None where there is no such part."""

    train: Pair
    validation: Pair | None = None
    test: Pair | None = None
