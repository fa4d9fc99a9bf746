"""What is to be learnt from the targets of data: classes, or amounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice, check_label_column, check_labels, whole_labels
from xpmlp.common.wording import counted, quoted
from xpmlp.data.preprocessing import Scaling

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TASKS = ("auto", "classification", "regression")
MAX_WHOLE_CLASSES = 20  # different whole numbers that are taken for classes
MIN_ROWS, MAX_DISTINCT = 20, 0.5  # of more rows, at most this share may be classes
MOSTLY = 0.9  # of the values: where so many are numbers, the others are no classes


class Task(NamedTuple):
    """What is to be learnt, and why that was decided."""

    name: str  # "classification" or "regression"
    reason: str = ""  # a clause; "" where it was asked for

    def __str__(self) -> str:
        return f"Task: {self.name}, as {self.reason}." if self.reason else f"Task: {self.name}."


def as_column(y: np.ndarray) -> np.ndarray:
    """Return targets, (n,), of a column, (n, 1), or of one-hot labels, (n, m), which become 0, 1, ...; others stay."""
    if y.ndim != 2:
        return y
    if y.shape[1] == 1:
        return y[:, 0]
    is_one_hot = y.dtype.kind in "fiub" and bool(np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all())
    return np.argmax(y, axis=1) if is_one_hot and y.size else y


def decide_task(y: np.ndarray, asked: str = "auto", what: str = "y") -> Task:
    """Decide whether targets are classes or amounts.

    Texts, truth values and up to 20 different whole numbers are classes. Numbers with fractions, and more whole numbers
    than these, are amounts.

    Parameters
    ----------
    y : ndarray of shape (n,)
        The targets, finite.
    asked : {"auto", "classification", "regression"}
        What the user says.
    what : str
        What to call them.

    Raises
    ------
    InputError
        For another task, and for numbers among which a few texts are.

    Examples
    --------
    >>> decide_task(np.array([1.5, 2.0, 4.0])).name
    'regression'
    >>> decide_task(np.array(["ant", "bee"]))
    Task(name='classification', reason='y holds text')
    """
    check_choice("task", asked, TASKS)
    if asked != "auto":
        return Task(asked)
    if y.dtype.kind == "U":
        _check_texts(y, what)
    if y.dtype.kind not in "fiu":
        are_truths = y.dtype.kind == "b" or set(np.unique(y).tolist()) <= {"False", "True"}
        return Task("classification", f"{what} holds {'truth values' if are_truths else 'text'}")
    if y.dtype.kind == "f" and (fractional := y != np.floor(y)).any():
        return Task("regression", f"{what} holds numbers with fractions, such as {y[np.argmax(fractional)]:g}")
    few, many = np.unique(y).size <= MAX_WHOLE_CLASSES, f"{MAX_WHOLE_CLASSES} different whole numbers"
    if few:
        return Task("classification", f"{what} holds at most {many} (--task regression takes them for amounts)")
    return Task("regression", f"{what} holds more than {many} (--task classification takes them for classes)")


def _check_texts(y: np.ndarray, what: str) -> None:
    """Raise an `InputError` where texts are many different numbers, and a few others that keep them from being that."""
    values, counts = np.unique(y, return_counts=True)
    others = {value: n for value, n in zip(values.tolist(), counts.tolist(), strict=True) if not _is_number(value)}
    if len(values) - len(others) <= MAX_WHOLE_CLASSES or sum(others.values()) > (1 - MOSTLY) * y.size:
        return
    frequent = sorted(others, key=lambda value: (-others[value], value))
    n_others = counted(sum(others.values()), "other value")
    raise InputError(
        f"{what} holds numbers, but {n_others} too, such as {quoted(frequent[:4])}: mend these, make gaps of them "
        f"(--missing {frequent[0]!r}), which leaves their rows out, or take all values for classes (--task "
        "classification)."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def check_targets(
    y: np.ndarray, n: int, name: str, task: Task, *, min_classes: int = 2, first_row: int = 0
) -> np.ndarray:
    """Return the targets of a task, (n,): labels as integers or strings, or amounts as float64.

    Raises
    ------
    InputError
        As `check_labels`, which takes the other parameters, and `check_amounts`; and for texts to learn that mostly do
        not recur, unless the user says that they are classes.
    """
    if task.name == "regression":
        y = check_amounts(y, n, name, first_row=first_row)
        if min_classes > 1 and (y == y[0]).all():
            raise InputError(f"{name} holds one value alone ({y[0]:g}): there is nothing to learn.")
        return y
    check_labels(y, n, name, min_classes=min_classes, first_row=first_row)
    if task.reason and min_classes > 1:
        check_recurring(np.unique(y).size, n, name)
    return whole_labels(y, name)


def check_recurring(n_classes: int, n: int, name: str) -> None:
    """Raise an `InputError` where so many different texts in `n` rows are no classes that one can learn."""
    if n > MIN_ROWS and n_classes > MAX_DISTINCT * n:
        raise InputError(
            f"{name} holds {n_classes:,} different values in {n:,} rows, so that most classes would have one example. "
            "Choose another target (--target NAME), or take them for classes all the same (--task classification)."
        )


def check_amounts(y: np.ndarray, n: int, name: str = "y", *, first_row: int = 0) -> np.ndarray:
    """Return amounts to learn, (n,), as float64.

    Raises
    ------
    InputError
        For a wrong rank or length, text, and NaN or infinite values; `first_row` is as for `check_features`.
    """
    check_label_column(y.shape, y.dtype, n, name)
    try:
        amounts = y.astype(np.float64)
    except ValueError as error:
        raise InputError(f"{name} holds text, but a regression learns numbers: {error}.") from error
    if (bad := ~np.isfinite(amounts)).any():
        raise InputError(
            f"{name} holds {int(bad.sum())} NaN or infinite values, the first at row {first_row + int(np.argmax(bad))}."
        )
    return amounts


def fit_target_scaling(blocks: Iterable[np.ndarray], loss: str, name: str = "y") -> Scaling | None:
    """Learn how the targets of a regression are scaled in training: to mean 0 and standard deviation 1.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (k,)
        The targets of the training part.
    loss : str
        The name of the loss: the counts of "poisson" stay as they are.
    name : str
        What to call them.

    Raises
    ------
    InputError
        Where all are the same, and for counts below 0.
    """
    scaling, lowest, highest = None, np.inf, -np.inf

    def columns() -> Iterable[np.ndarray]:
        nonlocal lowest, highest
        for y in blocks:
            lowest, highest = min(lowest, float(y.min())), max(highest, float(y.max()))
            yield y[:, None]

    scaling = Scaling.fit_blocks("standard", columns(), 1)
    if lowest == highest:
        raise InputError(f"the training part of {name} holds one value alone ({lowest:g}): there is nothing to learn.")
    if loss != "poisson":
        return scaling
    if lowest < 0:
        raise InputError(f"{name} holds {lowest:g}, but loss poisson is of counts, which are at least 0.")
    return None


def total_squares(blocks: Iterable[np.ndarray], units: Sequence[float] | None = None) -> float:
    """Return the sum of the squared distances of targets, blocks of (k, m), from the mean of their column.

    Each column is multiplied by its unit first, where given.
    """
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - slow to import, and needed here alone

    scaler = StandardScaler()  # it merges the blocks
    for T in blocks:
        scaler.partial_fit(T.astype(np.float64))
    factors = np.ones(scaler.var_.shape) if units is None else np.asarray(units)
    return float(np.sum(scaler.var_ * scaler.n_samples_seen_ * factors**2))
