"""A source as a data set: its parts, its classes, and the fingerprint by which a run knows it again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
    from xpmlp.data.tables.preparation import TablePreparation


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
    feature_names, target_name, note, columns, class_names
        As in `Dataset`.
    preparation : TablePreparation, optional
        Of a table, by which the examples on disk have been prepared.
    """

    name: str
    classes: np.ndarray | None
    scaling: str
    pixel_max: float | None
    sha256: str
    task: Task = Task("classification")  # noqa: RUF009 - it is immutable
    feature_names: tuple[str, ...] | None = None
    target_name: str | None = None
    note: str | None = None
    columns: tuple[tuple[str, str, int, int, str], ...] = ()
    preparation: TablePreparation | None = None
    class_names: None = None

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
    numbers = draw_parts(source.name, len(source.blocks), validation=validation, test=test, seed=seed, order=order)
    return describe(source, numbers, task=task, min_classes=min_classes)


def draw_parts(
    name: str, n_blocks: int, *, validation: float, test: float, seed: int, order: str
) -> dict[str, np.ndarray]:
    """Draw whole blocks for the parts: the numbers of those of "train", "validation" and "test", in order.

    Parameters and errors are those of `load_stream`; a part that is not asked for has none.
    """
    check_choice("split", order, ORDERS)
    check_number("validation", validation, at_least=0, below=1)
    check_number("test", test, at_least=0, below=1)
    n_test = max(1, round(test * n_blocks)) if test else 0
    n_validation = max(1, round(validation * (n_blocks - n_test))) if validation else 0
    if n_test + n_validation >= n_blocks:
        raise InputError(
            f"{name} has {n_blocks} blocks, which are held out as a whole: test={test} and "
            f"validation={validation} leave none to learn from. Choose smaller shares, or give more examples."
        )
    drawn = make_generator(seed, "parts").permutation(n_blocks) if order == "random" else np.arange(n_blocks)[::-1]
    some = np.split(drawn, [n_test, n_test + n_validation])
    return dict(zip(("test", "validation", "train"), map(np.sort, some), strict=True))


def describe(
    source: Source, numbers: dict[str, np.ndarray], *, task: str, min_classes: int = 2, **known: Any
) -> tuple[StreamedData, Splits[tuple[Part, None]]]:
    """Read all targets of a source once; `numbers` is of `draw_parts`, others are those of `load_stream`.

    What else is `known` goes into the `StreamedData`.
    """
    source.decide_task(task, known.get("target_name") or "y")
    pairs = {name: (Part(source, some), None) for name, some in numbers.items() if some.size}
    parts = Splits(pairs["train"], pairs.get("validation"), pairs.get("test"))
    classes, sha256 = _survey(source, parts)
    if classes is not None and classes.shape[0] < min_classes:
        raise InputError(
            f"the training part of {source.name} holds one class alone ({classes[0]}): at least two are needed."
        )
    is_pixels = source.dtype == np.uint8
    scaling, pixel_max = ("range", 255.0) if is_pixels else ("standard", None)
    return StreamedData(source.name, classes, scaling, pixel_max, sha256, source.task, **known), parts


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
