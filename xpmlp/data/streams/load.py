"""A source as a data set: its parts, its classes, and the fingerprint by which a run knows it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.rng import make_generator
from xpmlp.common.validation import check_choice, check_number
from xpmlp.data.datasets import Splits
from xpmlp.data.datasets.dataset import ORDERS
from xpmlp.data.streams.formats import open_source
from xpmlp.data.streams.source import Part
from xpmlp.data.targets import Task

if TYPE_CHECKING:
    from pathlib import Path

    from xpmlp.data.streams.source import Source


@dataclass(frozen=True, eq=False, repr=False)
class StreamedData:
    """What is known of data that are read from disk by rows: as `Dataset`, without examples and labels.

    Attributes
    ----------
    name : str
        Of the folder, or the stem of the file.
    classes : ndarray of shape (m,), or None
        The labels of the training part, sorted; None for a regression.
    scaling : {"range", "standard"}
        What suits the data.
    pixel_max : float or None
        What "range" divides by; None for the largest value.
    sha256 : str
        A fingerprint: of dtype and shape, of every target, and of the first and the last example of each block.
    task : Task
        Classification or regression, and why.
    feature_names, class_names, target_name : None
        As in `Dataset`.
    """

    name: str
    classes: np.ndarray | None
    scaling: str
    pixel_max: float | None
    sha256: str
    task: Task = Task("classification")  # noqa: RUF009 - it is immutable
    feature_names: None = None
    class_names: None = None
    target_name: None = None

    def __repr__(self) -> str:
        learnt = "amounts" if self.classes is None else f"{self.classes.size} classes"
        return f"<StreamedData {self.name}: {learnt}, SHA-256 {self.sha256[:8]}...>"


def load_stream(
    path: str | Path,
    *,
    target: str | None = None,
    validation: float = 0.0,
    test: float = 0.0,
    seed: int = 0,
    task: str = "auto",
    order: str = "random",
    min_classes: int = 2,
) -> tuple[StreamedData, Splits[tuple[Part, None]]]:
    """Open data that are read from disk by rows, split them, and read all targets once.

    Parameters
    ----------
    path : str or Path
        As for `open_source`.
    target : str, optional
        As for `load_dataset`, and refused: the targets are `y`.
    validation, test, seed, order
        As for `split`, but of whole blocks; by default all is the training part.
    task : {"auto", "classification", "regression"}
        What the targets are, as for `decide_task`.
    min_classes : int
        How many classes the training part must hold: two to learn from, one to evaluate.

    Returns
    -------
    data : StreamedData
        What is known of them.
    parts : Splits
        Pairs of a `Part` and None: whole blocks, at least one in each part that is asked for.

    Raises
    ------
    InputError, BackendError
        As `open_source`; for a share out of range, too few blocks or classes to learn from, values that are no labels,
        and classes that the training part lacks.
    """
    if target is not None:
        raise InputError(f"the target {target!r} names a column of a .csv file, but the data are {path}: leave it out.")
    source = open_source(path)
    source.decide_task(task)
    check_choice("split", order, ORDERS)
    draw = make_generator(seed, "parts").permutation if order == "random" else lambda n: np.arange(n)[::-1]
    parts = _split_blocks(source, validation, test, draw(len(source.blocks)))
    classes, sha256 = _survey(source, parts)
    if classes is not None and classes.shape[0] < min_classes:
        raise InputError(
            f"the training part of {source.name} holds one class alone ({classes[0]}): at least two are needed."
        )
    is_pixels = source.dtype == np.uint8
    scaling, pixel_max = ("range", 255.0) if is_pixels else ("standard", None)
    return StreamedData(source.name, classes, scaling, pixel_max, sha256, source.task), parts


def _split_blocks(source: Source, validation: float, test: float, order: np.ndarray) -> Splits[tuple[Part, None]]:
    """Split a source into whole blocks, the first of an order for the test, the next for validation."""
    check_number("validation", validation, at_least=0, below=1)
    check_number("test", test, at_least=0, below=1)
    n_test = max(1, round(test * len(order))) if test else 0
    n_validation = max(1, round(validation * (len(order) - n_test))) if validation else 0
    if n_test + n_validation >= len(order):
        raise InputError(
            f"{source.name} has {len(order)} blocks, which are held out as a whole: test={test} and "
            f"validation={validation} leave none to learn from. Choose smaller shares, or give more examples."
        )
    pairs = [(Part(source, np.sort(some)), None) for some in np.split(order, [n_test, n_test + n_validation])]
    return Splits(pairs[2], pairs[1] if n_validation else None, pairs[0] if n_test else None)


def _survey(source: Source, parts: Splits[tuple[Part, None]]) -> tuple[np.ndarray | None, str]:
    """Read every target, and the ends of each block: return the classes of the training part, and the fingerprint."""
    is_training = np.zeros(len(source.blocks), dtype=bool)
    is_training[parts.train[0].numbers] = True
    digest = hashlib.sha256(f"{source.dtype.str}{source.shape}".encode())
    learnt, held_out = (source.targets(0, 1)[:0] for _ in range(2))
    for (start, stop), training in zip(source.blocks.tolist(), is_training, strict=True):
        y = source.targets(start, stop)
        digest.update(f"{start} {y.dtype.str}".encode() + y.tobytes())
        digest.update(source.ends(start, stop).tobytes())
        if source.task.name == "regression":
            continue
        if training:
            learnt = np.union1d(learnt, y)
        else:
            held_out = np.union1d(held_out, y)
    if (lost := np.setdiff1d(held_out, learnt)).size:
        raise InputError(
            f"class '{lost[0]}' of {source.name} is in the parts held out alone, so that none is left to learn from: "
            "hold out less, choose another --seed, or give the examples in a mixed order."
        )
    return None if source.task.name == "regression" else learnt, digest.hexdigest()
