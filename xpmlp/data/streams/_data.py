"""A source as a data set: its parts, its classes, and the fingerprint by which a run knows it again."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.data.datasets import NAMES
from xpmlp.data.streams._open import HDF5, ZARR, open_source
from xpmlp.data.streams._parts import split_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from xpmlp.data.datasets import Splits
    from xpmlp.data.streams._parts import Part
    from xpmlp.data.streams._source import Source

__all__ = ["StreamedData", "is_streamed", "load_stream"]


@dataclass(frozen=True, eq=False)
class StreamedData:
    """What is known of data that are read from disk by rows: as `Dataset`, without examples and labels.

    Attributes
    ----------
    name : str
        Of the folder, or the stem of the file.
    classes : ndarray of shape (m,)
        The labels of the training part, sorted.
    scaling : {"range", "standard"}
        What suits the data.
    pixel_max : float or None
        What "range" divides by; None for the largest value.
    sha256 : str
        A fingerprint: of dtype and shape, of every label, and of the first and the last example of each block.
    feature_names, class_names : None
        As in `Dataset`.
    """

    name: str
    classes: np.ndarray
    scaling: str
    pixel_max: float | None
    sha256: str
    feature_names: None = None
    class_names: None = None


def is_streamed(source: str) -> bool:
    """Whether data are read from disk by rows: what a path is, or is called, decides."""
    if source in NAMES:
        return False
    return os.path.splitext(source)[1].lower() in {*HDF5, ZARR} or os.path.isdir(source)  # noqa: PTH112, PTH122 - pathlib raises for names that are too long


def load_stream(
    path: str | Path,
    *,
    target: str | None = None,
    validation: float = 0.0,
    test: float = 0.0,
    seed: int = 0,
    min_classes: int = 2,
) -> tuple[StreamedData, Splits[tuple[Part, None]]]:
    """Open data that are read from disk by rows, part them, and read all labels once.

    Parameters
    ----------
    path : str or Path
        As for `open_source`.
    target : str, optional
        As for `load_dataset`, and refused: the labels are `y`.
    validation, test, seed
        As for `split_blocks`: shares of whole blocks. By default all is the training part.
    min_classes : int
        How many classes the training part must hold: two to learn from, one to evaluate.

    Returns
    -------
    data : StreamedData
        What is known of them.
    parts : Splits
        Pairs of a `Part` and None.

    Raises
    ------
    InputError, BackendError
        As `open_source`; for labels that are none, too few classes, and classes that the training part lacks.
    """
    if target is not None:
        raise InputError(f"the target {target!r} names a column of a .csv file, but the data are {path}: leave it out.")
    source = open_source(path)
    parts = split_blocks(source, validation=validation, test=test, seed=seed)
    classes, sha256 = _survey(source, parts)
    if classes.shape[0] < min_classes:
        raise InputError(
            f"the training part of {source.name} holds one class alone ({classes[0]}): at least two are needed."
        )
    is_pixels = source.dtype == np.uint8
    scaling, pixel_max = ("range", 255.0) if is_pixels else ("standard", None)
    return StreamedData(source.name, classes, scaling, pixel_max, sha256), parts


def _survey(source: Source, parts: Splits[tuple[Part, None]]) -> tuple[np.ndarray, str]:
    """Read every label, and the ends of each block: the classes of the training part, and the fingerprint."""
    is_training = np.zeros(len(source.blocks), dtype=bool)
    is_training[parts.train[0].numbers] = True
    digest = hashlib.sha256(f"{source.dtype.str}{source.shape}".encode())
    learnt, held_out = (source.labels(0, 1)[:0] for _ in range(2))
    for (start, stop), training in zip(source.blocks.tolist(), is_training, strict=True):
        y = source.labels(start, stop)
        digest.update(f"{start} {y.dtype.str}".encode() + y.tobytes())
        digest.update(source.ends(start, stop).tobytes())
        if training:
            learnt = np.union1d(learnt, y)
        else:
            held_out = np.union1d(held_out, y)
    if (lost := np.setdiff1d(held_out, learnt)).size:
        raise InputError(
            f"class '{lost[0]}' of {source.name} is in the parts held out alone, so that none is left to learn from: "
            "hold out less, choose another --seed, or give the examples in a mixed order."
        )
    return learnt, digest.hexdigest()
