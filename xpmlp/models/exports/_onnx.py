"""ONNX files."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from xpmlp import __version__
from xpmlp.common.errors import InputError
from xpmlp.common.packages import load_package
from xpmlp.models.exports._onnx_graph import Graph
from xpmlp.models.exports._onnx_tables import ML, ML_OPSET, add_preparation
from xpmlp.models.exports._onnx_tracing import XP, Traced, operator, recording
from xpmlp.models.files import named_arrays
from xpmlp.nn import activations
from xpmlp.nn.activations import identity
from xpmlp.nn.losses import MIN_VARIANCE, exponential, log_softmax, mean_and_variance
from xpmlp.nn.network import Layer, fprop
from xpmlp.training.step import flat

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from xpmlp.common.types import Namespace
    from xpmlp.data.preprocessing import Scaling
    from xpmlp.models.model import Model
    from xpmlp.nn.network import Network

    Function = Callable[..., Any]

OPSET, IR_VERSION = 13, 7  # of 2020: old enough for any runtime, and new enough for all operators needed here
MAX_BYTES = 2**31 - 2**20  # of weights: protobuf ends at 2 GiB
MAX_SHIFT = 16.0  # standard deviations from zero at which float32 still holds a feature to a millionth of one


def onnx_of(model: Model) -> bytes:
    """Return an ONNX file: the scaling, the network and what it predicts as one graph.

    Its input is ``X``, (n, d): raw features, as `Model.predict` takes them; or, of a model with a preparation, each
    column of the table, (n, 1), under its name, as `_onnx_tables` says. Its outputs are ``prediction``, what
    `Model.predict` gives, and ``probabilities``, what `Model.predict_proba` gives, both by row; of a regression
    ``outputs``, the values as a matrix, (n, m), in place of probabilities, and with the loss "gaussian"
    ``standard_deviation``, (n, m), too. Features and values are float32 where the
    model is, unless they lie so far from zero that float32 could not tell them apart; else float64.

    Raises
    ------
    BackendError
        Where the package ``onnx`` is not installed.
    InputError
        For weights of more than 2 GiB, and a column that is called as an output is.
    """
    onnx = load_package("onnx")
    check_size(flat(model.layers))
    graph = Graph(onnx, model.dtype)
    layers = [Layer(*(p.astype(graph.dtype, copy=False) for p in layer)) for layer in model.layers]
    graph.labels |= named_arrays(layers)
    return written(graph, predicted(model, trace_network(model, add_features(graph, model), layers)), model)


def check_size(arrays: Sequence[np.ndarray]) -> None:
    """Raise an `InputError` for more than an ONNX file can hold."""
    if sum(array.nbytes for array in arrays) > MAX_BYTES:
        raise InputError("the weights take more than the 2 GiB that an ONNX file can hold: export them to .npz.")


def add_features(graph: Graph, model: Model) -> Traced:
    """Add the inputs of raw features; return the features as the network is given them, (n, d)."""
    if model.preparation is None:
        return _scaled(graph, model)
    return Traced(graph, add_preparation(graph, model.preparation), model.dtype, ["n", model.network.sizes[0]])


def written(graph: Graph, ends: Sequence[Traced], model: Model) -> bytes:
    """Return an ONNX file of a graph with these outputs, which describes a model."""
    onnx = load_package("onnx")
    helper = onnx.helper
    if taken := [each.name for each in ends if each.name in graph.inputs]:
        raise InputError(
            f"column {taken[0]!r} has the name of an output of the graph: give it another one, and train anew."
        )
    graph.prune([each.name for each in ends])
    opsets = [("", OPSET)] if model.preparation is None else [("", OPSET), (ML, ML_OPSET)]
    results = [graph.info(each.name, each.dtype, each.shape) for each in ends]
    described = helper.make_model(
        helper.make_graph(graph.nodes, "xpmlp", list(graph.inputs.values()), results, list(graph.constants.values())),
        producer_name="xpmlp",
        producer_version=__version__,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid(*opset) for opset in opsets],
    )
    helper.set_model_props(described, _notes(model))
    onnx.checker.check_model(described, full_check=True)
    content: bytes = described.SerializeToString()
    return content


def trace_network(model: Model, x: Traced, layers: Sequence[Layer]) -> list[Traced]:
    """Record `fprop`, from features as the network is given them to the blocks of the outputs.

    A single one, (n, m), is the mean of what the members of an ensemble give; of several, each is (M, n, m) of one.
    """
    network = with_operators(model.network)
    if (network.loss.normalise, network.loss.output) == (log_softmax, exponential):
        loss = replace(network.loss, normalise=identity, output=lambda _, z: operator("Softmax", z, axis=-1))
        network = replace(network, loss=loss)
    with recording(model.network):
        u = fprop(XP, network, layers, x).u
        blocks = network.loss.output(XP, *network.loss.blocks(u))
    return list(blocks) if isinstance(blocks, tuple) else [mean_of_members(blocks)]


def predicted(model: Model, blocks: list[Traced]) -> list[Traced]:
    """Add what a model predicts, from what `trace_network` gives."""
    return _values(model, blocks) if model.classes is None else add_probabilities(model, model.classes, blocks[0])


def with_operators(network: Network) -> Network:
    """Return a network with ONNX's own operators in place of functions that are one there."""
    activations = tuple(replace(each, function=_operators(each.function)) for each in network.activations)
    loss = replace(network.loss, output=_operators(network.loss.output))
    return replace(network, activations=activations, loss=loss)


def _operators(function: Function) -> Function:
    return OPERATORS.get(function, function)


def mean_of_members(a: Traced) -> Traced:
    """Record the mean of what the networks of an ensemble give, (M, n, m); as it is of a single one."""
    return a if a.ndim == 2 else cast("Traced", XP.mean(a, axis=0))


def end(name: str, a: Traced) -> Traced:
    """Name what a graph gives."""
    return Traced(a.graph, a.graph.add("Identity", a.name, name=name), a.dtype, a.shape)


def add_probabilities(model: Model, classes: np.ndarray, a: Traced) -> list[Traced]:
    """Add the probabilities and the classes or labels that are predicted."""
    graph = a.graph
    if model.network.sizes[-1] == 1:
        a = XP.concat([1.0 - a, a], axis=-1)
    a = end("probabilities", a)
    if model.multilabel:
        return [a, end("prediction", XP.astype(a > 0.5, np.int64))]
    labels = graph.constant("classes", classes)
    chosen = graph.add("Gather", labels, XP.argmax(a, axis=-1).name, name="prediction")
    return [a, Traced(graph, chosen, classes.dtype if classes.dtype.kind != "U" else object, a.shape[:1])]


def _values(model: Model, blocks: list[Traced]) -> list[Traced]:
    """Add the values that a regression predicts, in the targets' own units."""
    scaling, means = model.target_scaling, blocks[0]
    a, dtype = mean_of_members(means), means.dtype
    if scaling is not None and not scaling.is_identity:
        dtype = np.float64 if is_far(scaling) else dtype
        a = XP.astype(a / scaling.scale + scaling.shift, dtype)
    ends = [end("outputs", a)]
    if model.network.n_targets == 1:
        name = a.graph.add("Squeeze", a.name, a.graph.unnamed(np.array([-1])))
        a = Traced(a.graph, name, a.dtype, a.shape[:1])
    ends.append(end("prediction", a))
    if model.has_variance:
        variance = blocks[1]
        if model.n_members > 1:  # of the mixture: the mean of the variances, and the variance of the means
            variance = XP.mean(variance, axis=0) + XP.var(means, axis=0)
        deviation = XP.sqrt(variance)
        if scaling is not None:
            deviation = deviation / scaling.scale.astype(deviation.dtype)
        ends.append(end("standard_deviation", deviation))
    return ends


def is_far(scaling: Scaling) -> bool:
    """Whether what is scaled lies so far from zero that float32 could not tell one value from another."""
    return bool(np.any(np.abs(scaling.shift * scaling.scale) > MAX_SHIFT))


def _notes(model: Model) -> dict[str, str]:
    """Describe the model in strings, as ONNX has them; lists are JSON."""
    lists = {
        "classes": None if model.classes is None else model.classes.tolist(),
        "class_names": model.class_names,
        "feature_names": model.feature_names,
        "target_names": model.target_names,
        "kinds": model.preparation and model.preparation.kinds,
        "activations": [activation.name for activation in model.network.activations],
    }
    return {"xpmlp": __version__, "task": model.task, "loss": model.network.loss.name} | {
        name: json.dumps(values) for name, values in lists.items() if values is not None
    }


def _scaled(graph: Graph, model: Model) -> Traced:
    """Add the input ``X``, (n, d), fill its gaps and scale it as `Scaling.apply` does: in float64 where it shifts."""
    scaling, shape = model.scaling, ("n", model.network.sizes[0])
    dtype = "float64" if is_far(scaling) else graph.dtype
    x = Traced(graph, graph.input("X", dtype, shape), dtype, shape)
    if model.medians is not None:
        x = XP.where(XP.isnan(x), model.medians.astype(dtype), x)
    if scaling.is_identity:
        return x
    if scaling.only_scales:
        return cast("Traced", x * scaling.scale.astype(graph.dtype))
    return cast("Traced", XP.astype((x - scaling.shift) * scaling.scale, graph.dtype))


# Where ONNX has operators that runtimes do faster: in float32 and float64 alike, and in all opsets.
OPERATORS: dict[Any, Function] = {
    activations.relu: lambda _, z: operator("Relu", z),
    activations.logistic: lambda _, z: operator("Sigmoid", z),
    activations.elu: lambda xp, z: operator("Relu", z) + (xp.exp(xp.minimum(z, 0.0)) - 1.0),
    activations.silu: lambda _, z: z * operator("Sigmoid", z),
    mean_and_variance: lambda xp, mean, s: (mean, _softplus(xp, s) + MIN_VARIANCE),
}


def _softplus(xp: Namespace, s: Traced) -> Traced:
    """ONNX's own has all digits of small values; runtimes have it in float32 alone, where they matter."""
    return operator("Softplus", s) if s.dtype == np.float32 else activations.softplus(xp, s)
