"""Made-up images of any size, written block by block, with labels that can be learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["write"]

FEATURES, CLASSES = 784, 10
ROWS = 8192  # drawn at a time


def write(folder: Path, size: int, dtype: str, seed: int = 0) -> int:
    """Write `X.npy` and `y.npy` of `size` bytes of examples: each the pattern of its class, and noise.

    Parameters
    ----------
    folder : Path
        Made where there is none.
    size : int
        Bytes of `X`; rounded to whole examples.
    dtype : {"uint8", "float32"}
        0 to 255, or 0 to 1.
    seed : int
        Of patterns, labels and noise.

    Returns
    -------
    int
        Examples.
    """
    n = max(CLASSES, size // (FEATURES * np.dtype(dtype).itemsize))
    patterns = np.random.default_rng((seed, 0)).integers(0, 32, (CLASSES, FEATURES), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "X.npy").open("wb") as X_file, (folder / "y.npy").open("wb") as y_file:
        for file, shape, kind in ((X_file, (n, FEATURES), np.dtype(dtype)), (y_file, (n,), np.dtype(np.int64))):
            header = {"descr": npy.dtype_to_descr(kind), "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, header)
        for start in range(0, n, ROWS):
            rng = np.random.default_rng((seed, 1, start))
            y = rng.integers(0, CLASSES, min(ROWS, n - start))
            noise = np.frombuffer(rng.bytes(y.shape[0] * FEATURES), np.uint8).reshape(-1, FEATURES)
            X = noise // 8 * 7 + patterns[y]
            X_file.write((X if dtype == "uint8" else X.astype(np.float32) / 255).tobytes())
            y_file.write(y.tobytes())
    return n
