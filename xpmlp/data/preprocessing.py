"""What is done to examples and labels before the network sees them: a learnt scaling, and one-hot."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.silence import silent_context
from xpmlp.common.validation import check_choice
from xpmlp.common.wording import counted, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CACHED_BYTES = 2**19  # of intermediate float64 values
SCALINGS = ("none", "range", "standard")


@dataclass(frozen=True, repr=False)
class Scaling:
    """An affine map of each feature, (X - shift) * scale.

    Attributes
    ----------
    shift, scale : ndarray of shape (d,), float64
        One entry per feature.
    """

    shift: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, kind: str, X: np.ndarray, maximum: float | None = None) -> Scaling:
        """Learn a scaling.

        Parameters
        ----------
        kind : {"none", "range", "standard"}
            Features as they are; divided by `maximum`; or brought to mean 0 and standard deviation 1.
        X : ndarray of shape (n, d)
            The training examples.
        maximum : float, optional
            The largest value that a feature can take: 255 for 8-bit pixels. By default the largest in `X`.

        Raises
        ------
        InputError
            For an unknown kind.
        """
        return cls.fit_blocks(kind, [X], X.shape[1], maximum)

    @classmethod
    def fit_blocks(cls, kind: str, blocks: Iterable[np.ndarray], d: int, maximum: float | None = None) -> Scaling:
        """Learn a scaling from the training examples block by block, each of them (k, d); the rest is as for `fit`.

        Blocks are asked for where their values decide: not for "none", nor for "range" with a `maximum`. Means and
        standard deviations are merged in float64.
        """
        check_choice("scaling", kind, SCALINGS)
        if kind == "standard":
            from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - slow to import, and needed here alone

            scaler = StandardScaler()  # it knows a constant column from a rounded one
            for X in blocks:
                scaler.partial_fit(X.astype(np.float64))
            return cls(scaler.mean_, 1.0 / scaler.scale_)
        if kind == "none":
            maximum = 1.0
        elif maximum is None:
            maximum = max(max(abs(float(X.min())), abs(float(X.max()))) for X in blocks)
        return cls(np.zeros(d), np.full(d, 1.0 / (maximum or 1.0)))

    def __repr__(self) -> str:
        return f"<Scaling of {counted(self.scale.shape[0], 'feature')}: {self}>"

    def __str__(self) -> str:
        if not self.only_scales:
            return "each feature to mean 0 and standard deviation 1"
        if self.is_identity:
            return "none"
        largest = 1.0 / self.factors
        return f"divided by {largest[0]:g}" if largest.shape[0] == 1 else "each feature divided by its own scale"

    @property
    def only_scales(self) -> bool:
        """Whether nothing is shifted."""
        return not self.shift.any()

    @property
    def factors(self) -> np.ndarray:
        """What the features are multiplied by, of shape (d,); (1,) where it is the same for all, which is faster."""
        return self.scale[:1] if (self.scale == self.scale[0]).all() else self.scale

    @property
    def is_identity(self) -> bool:
        """Whether nothing is changed."""
        return self.only_scales and bool((self.scale == 1).all())

    def apply(self, X: np.ndarray, dtype: str = "float64", out: np.ndarray | None = None) -> np.ndarray:
        """Return the scaled features in `dtype`, or in `out` and its dtype; `X` stays as it is."""
        scaled = np.empty(X.shape, dtype) if out is None else out
        with np.errstate(over="ignore", invalid="ignore"):  # who looks for what is not finite says more
            if self.only_scales:
                np.multiply(X, self.factors.astype(scaled.dtype), out=scaled, dtype=scaled.dtype, casting="unsafe")
                return scaled
            rows = max(1, CACHED_BYTES // (8 * X.shape[1]))  # at a time, which stay in the cache
            for start in range(0, X.shape[0], rows):
                self.into(scaled[start : start + rows])(X[start : start + rows])
        return scaled

    def into(self, out: np.ndarray) -> Callable[[np.ndarray], Any]:
        """Return a function that scales features into `out`, of their shape, whenever it is called."""
        silently: Any = silent_context().run  # who looks for what is not finite says more
        if self.only_scales:
            factors = self.factors.astype(out.dtype)
            factors = factors.reshape(()) if factors.shape[0] == 1 else factors  # which NumPy is done with sooner

            def multiply(X: np.ndarray) -> None:
                if X.dtype != out.dtype:
                    out[...] = X
                    X = out
                np.multiply(X, factors, out)

            return partial(silently, multiply)
        exact = np.empty(out.shape)  # float64, as a feature may lie far from zero

        def scale(X: np.ndarray) -> None:
            np.subtract(X, self.shift, exact)
            np.multiply(exact, self.scale, exact)
            out[...] = exact

        return partial(silently, scale)

    def invert(self, Z: np.ndarray) -> np.ndarray:
        """Return what `apply` was given for `Z`, (n, d), in float64."""
        restored: np.ndarray = Z.astype(np.float64) / self.scale + self.shift
        return restored


def encode(y: np.ndarray, classes: np.ndarray, name: str = "y", *, first_row: int = 0) -> np.ndarray:
    """One-hot encode labels, column j for class j: the classes of the whole training set, whatever `y` holds.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    classes : ndarray of shape (m,)
        The known labels, sorted.
    name, first_row : str, int
        What to call the labels in messages, and the number of the first one, where `y` is a part of more.

    Returns
    -------
    ndarray of shape (n, m), float32
        A 1 in each row, the rest 0.

    Raises
    ------
    InputError
        For labels that are not among the classes, and for what is no array of one dimension.
    """
    for what, labels, at_least in ((name, y, 0), ("classes", classes, 1)):
        if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.size < at_least:
            raise InputError(
                f"{what} is {labels!r}, but must be an array of labels, as np.unique(y) gives the classes."
            )
    kinds = ["strings" if labels.dtype.kind == "U" else "numbers" for labels in (y, classes)]
    if kinds[0] != kinds[1]:
        raise InputError(
            f"the labels in {name} are {kinds[0]}, but the model's classes are {kinds[1]}: {quoted(classes.tolist())}."
        )
    position = np.searchsorted(classes, y).clip(max=classes.shape[0] - 1)
    unknown = classes[position] != y
    if unknown.any():
        raise InputError(
            f"{name} holds labels that the training data do not: {quoted(np.unique(y[unknown]).tolist())} "
            f"({counted(int(unknown.sum()), 'time')}, first at row {first_row + int(np.argmax(unknown))}). "
            f"The classes: {quoted(classes.tolist())}."
        )
    T = np.zeros((y.shape[0], classes.shape[0]), np.float32)
    T[np.arange(y.shape[0]), position] = 1.0
    return T
