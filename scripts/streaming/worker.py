"""One training in a process of its own, which answers with a line of JSON.

python -m streaming.worker FOLDER {stream,memory} EPOCHS CHUNK_BYTES BACKEND
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.worker import peak_bytes, pools
from xpmlp import SGD, Constant, ElasticNet, Network, Recipe, Scaling, encode, get_backend, initialize, train
from xpmlp.data.examples import QuantizedExamples
from xpmlp.data.streams import Stream, load_stream

if TYPE_CHECKING:
    from xpmlp.backends import Backend

HIDDEN = 50
LEARNING_RATE, L2, BATCH_SIZE = 1e-3, 1e-3, 256  # the report's


def main(folder: str, kind: str, epochs: str, chunk_bytes: str, backend_name: str) -> None:
    """Lay out the data, train, and say how long each epoch took and what memory all of it."""
    backend = get_backend(backend_name)
    base = peak_bytes()
    start = time.perf_counter()
    X, T = streamed(backend, folder, int(chunk_bytes)) if kind == "stream" else loaded(backend, folder)
    prepared = time.perf_counter() - start
    d, m = X.shape[1], T.shape[1] if kind == "memory" else X.n_outputs
    network = Network.build(d, [HIDDEN], m)
    penalty = ElasticNet.build(2, l2=L2)
    recipe = Recipe(SGD(), Constant(LEARNING_RATE), penalty, batch_size=BATCH_SIZE, epochs=int(epochs))
    records = list(train(backend, network, initialize(network, init="report"), X, T, recipe))
    ends = [0.0, *(record.seconds for record in records)]
    answer: dict[str, Any] = {
        "examples": X.shape[0],
        "prepared_seconds": prepared,
        "seconds": np.diff(ends).tolist(),
        "loss": records[-1].loss,
        "base_bytes": base,
        "peak_bytes": peak_bytes(),
        "pools": pools(),
    }
    print(json.dumps(answer))


def streamed(backend: Backend, folder: str, chunk_bytes: int) -> tuple[Any, Any]:
    """Open the data as `xpmlp train` does, and hold nothing out."""
    data, parts = load_stream(folder)
    scaling = Scaling.fit("range" if data.pixel_max else "none", np.empty((0, parts.train[0].shape[1])), data.pixel_max)
    return Stream(backend, parts.train[0], data.classes, scaling, chunk_bytes=chunk_bytes), None


def loaded(backend: Backend, folder: str) -> tuple[Any, Any]:
    """Load all of the data."""
    X, y = np.load(Path(folder) / "X.npy"), np.load(Path(folder) / "y.npy")
    T = backend.asarray(encode(y, np.unique(y)))
    if X.dtype == np.uint8:
        return QuantizedExamples(backend.asarray(X, dtype=None), backend.asarray([1 / 255])), T
    return backend.asarray(X), T


if __name__ == "__main__":
    main(*sys.argv[1:])
