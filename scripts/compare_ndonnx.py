"""Compare the ONNX graphs of `export_model` with those that ndonnx records of the same `fprop`.

``python scripts/compare_ndonnx.py`` prints a line for each network: nodes and bytes of both graphs, how far their
probabilities or values lie apart, and the time of ndonnx's in onnxruntime over ours, for 1 row and for 10,000, measured
by turns in one process, the least of many. It needs ``pip install '.[onnx]' ndonnx onnxruntime``.
"""

from __future__ import annotations

import time
import warnings
from itertools import chain, product
from typing import TYPE_CHECKING

import ndonnx as ndx
import numpy as np
import onnx
import onnxruntime

from xpmlp import ACTIVATIONS, LOSSES, Layer, Model, Network, Scaling, initialize
from xpmlp.models.exports._onnx import onnx_of
from xpmlp.nn.network import fprop

if TYPE_CHECKING:
    from collections.abc import Sequence

D, HIDDEN, M = 64, 100, 10
ROWS = {1: 2000, 10_000: 150}  # and how often each is measured


def a_model(activation: str, loss: str, dtype: str) -> Model:
    """Return a network with random weights behind a standard scaling."""
    network, rng = Network.build(D, HIDDEN, M, activation=activation, loss=loss), np.random.default_rng(0)
    layers = [Layer(*(p.astype(dtype) for p in layer)) for layer in initialize(network, seed=0)]
    classes = None if network.loss.correct is None else np.arange(M)
    scaling = Scaling(rng.normal(size=D), rng.uniform(0.5, 1.5, D))
    return Model(network, layers, classes, scaling, multilabel=loss == "logistic")


def by_ndonnx(model: Model) -> bytes:
    """Return the graph that ndonnx records, with the outputs that ours has."""
    dtype, scaling = getattr(ndx, model.dtype), model.scaling
    X = ndx.argument(shape=("n", D), dtype=dtype)
    scaled = (ndx.astype(X, ndx.float64) - ndx.asarray(scaling.shift)) * ndx.asarray(scaling.scale)
    layers = [Layer(*map(ndx.asarray, layer)) for layer in model.layers]
    a = fprop(ndx, model.network, layers, ndx.astype(scaled, dtype)).a[-1]
    outputs = {"outputs": a}
    if model.classes is not None and not model.multilabel:
        outputs["prediction"] = ndx.take(ndx.asarray(model.classes), ndx.argmax(a, axis=-1), axis=0)
    content: bytes = ndx.build({"X": X}, outputs).SerializeToString()
    return content


def least_times(sessions: Sequence[onnxruntime.InferenceSession], X: np.ndarray, rounds: int) -> list[float]:
    """Return the least time of each session, measured by turns."""
    times = []
    for _ in range(rounds):
        for session in sessions:
            start = time.perf_counter()
            session.run(None, {"X": X})
            times.append(time.perf_counter() - start)
    return [min(times[i :: len(sessions)]) for i in range(len(sessions))]


def compare(activation: str, loss: str, dtype: str) -> str:
    """Return the line of a network."""
    model = a_model(activation, loss, dtype)
    graphs = [onnx_of(model), by_ndonnx(model)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    sessions = [onnxruntime.InferenceSession(graph, options) for graph in graphs]
    X = np.random.default_rng(1).normal(size=(max(ROWS), D)).astype(dtype)
    ours, theirs = (session.run(None, {"X": X})[0] for session in sessions)
    apart = abs(ours - theirs[:, : ours.shape[1]]).max()
    times = (least_times(sessions, X[:n], rounds) for n, rounds in ROWS.items())
    nodes = "/".join(str(len(onnx.load_from_string(graph).graph.node)) for graph in graphs)
    ratios = "".join(f"{theirs / ours:10.2f}" for ours, theirs in times)
    return f"{activation:11}{loss:10}{dtype:9}{nodes:>7}{len(graphs[0]):8}{len(graphs[1]):8}{apart:9.0e}{ratios}"


def main() -> None:
    """Print the table."""
    warnings.simplefilter("ignore")
    print(f"onnxruntime {onnxruntime.__version__}, ndonnx {ndx.__version__}; ours/ndonnx, and ndonnx over ours")
    print("activation loss      dtype      nodes   bytes   bytes    apart     1 row    10,000")
    networks = chain(
        product(ACTIVATIONS, ["softmax"]), product(["relu"], [loss for loss in LOSSES if loss != "softmax"])
    )
    for (activation, loss), dtype in product(networks, ["float32", "float64"]):
        print(compare(activation, loss, dtype), flush=True)


if __name__ == "__main__":
    main()
