"""ONNX files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp import __version__
from xpmlp.common.errors import InputError
from xpmlp.common.packages import load_package
from xpmlp.models.exports._onnx_graph import Graph
from xpmlp.models.exports._onnx_tables import ML, ML_OPSET, add_preparation
from xpmlp.nn import activations
from xpmlp.nn.activations import GELU_CUBIC, GELU_SCALE, LEAKY_SLOPE
from xpmlp.nn.losses import MIN_VARIANCE, output_name
from xpmlp.nn.network import parted

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.data.preprocessing import Scaling
    from xpmlp.models.model import Model
    from xpmlp.nn.network import Layer, Network

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
    helper = onnx.helper
    if sum(p.nbytes for layer in model.layers for p in layer) > MAX_BYTES:
        raise InputError("the weights take more than the 2 GiB that an ONNX file can hold: export them to .npz.")
    graph = Graph(onnx, model.dtype)
    a = _scaled(graph, model) if model.preparation is None else add_preparation(graph, model.preparation)
    a = add_network(graph, model, a)
    ends = _values(graph, model, a) if model.classes is None else add_probabilities(graph, model, model.classes, a)
    if taken := [name for name, *_ in ends if name in graph.inputs]:
        raise InputError(
            f"column {taken[0]!r} has the name of an output of the graph: give it another one, and train anew."
        )
    results = [helper.make_tensor_value_info(*end) for end in ends]
    opsets = [("", OPSET)] if model.preparation is None else [("", OPSET), (ML, ML_OPSET)]
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


def add_network(graph: Graph, model: Model, a: str) -> str:
    """Add the network, from scaled features to the outputs, in the dtype of the graph."""
    network = model.network
    functions = [ACTIVATIONS[activation.function] for activation in network.activations]
    functions.append(OUTPUTS[output_name(network.loss)])
    embedding, layers = parted(network, model.layers)
    a = a if embedding is None else _embedded(graph, network, embedding, a)
    for number, ((W, b), function) in enumerate(zip(layers, functions, strict=True), start=1):
        product = graph.add("MatMul", a, graph.constant(f"W{number}", W.astype(graph.dtype)))
        row = b[..., None, :] if model.n_members > 1 else b  # of each network of an ensemble
        a = function(graph, graph.add("Add", product, graph.constant(f"b{number}", row.astype(graph.dtype))))
    return a if model.has_variance else mean_of_members(graph, model, a)


def _embedded(graph: Graph, network: Network, embedding: Layer, a: str) -> str:
    """Add the cosines beside the features, (n, d + cosines); for each network of an ensemble (M, n, d + cosines)."""
    w, c = (p.reshape(*p.shape[:-2], 1, network.n_cosines).astype(graph.dtype) for p in embedding)
    columns = np.repeat(network.embedded, network.frequencies)  # in the order of w
    x = graph.add("Gather", a, graph.constant("embedded", columns), axis=-1)
    z = graph.add("Add", graph.add("Mul", x, graph.constant("w", w)), graph.constant("c", c))
    of_each = graph.add("Add", a, graph.constant("zeros", np.zeros_like(w[..., :1])))  # by broadcasting
    return graph.add("Concat", of_each, graph.add("Cos", z), axis=-1)


def mean_of_members(graph: Graph, model: Model, a: str) -> str:
    """Add the mean of what the networks of an ensemble give, (M, n, m); as it is of a single one."""
    return a if model.n_members == 1 else graph.add("ReduceMean", a, axes=[0], keepdims=0)


def add_probabilities(graph: Graph, model: Model, classes: np.ndarray, a: str) -> list[tuple[str, int, list[Any]]]:
    """Add the probabilities and the classes or labels that are predicted: name, type and shape of each."""
    if model.network.sizes[-1] == 1:
        a = graph.add("Concat", graph.add("Sub", graph.number(1.0), a), a, axis=-1)
    a = graph.add("Identity", a, name="probabilities")
    probabilities = (a, graph.type_of(graph.dtype), ["n", classes.shape[0]])
    if model.multilabel:
        labels = graph.add(
            "Cast", graph.add("Greater", a, graph.number(0.5)), name="prediction", to=graph.type_of("int64")
        )
        return [probabilities, (labels, graph.type_of("int64"), ["n", classes.shape[0]])]
    position = graph.add("ArgMax", a, axis=-1, keepdims=0)
    labels = graph.constant("classes", classes)
    chosen = graph.add("Gather", labels, position, name="prediction")
    return [probabilities, (chosen, graph.constants[labels].data_type, ["n"])]


def block(graph: Graph, model: Model, a: str, number: int) -> str:
    """Add the columns of the outputs that are one of each target's: all of them where a target has one."""
    network = model.network
    if network.loss.outputs_per_target == 1:
        return a
    ends = [np.array([network.n_targets * each]) for each in (number, number + 1)]
    return graph.add("Slice", a, *(graph.constant(f"columns_{each[0]}", each) for each in ends), _last(graph))


def _last(graph: Graph) -> str:
    return graph.constant("last", np.array([-1]))


def _deviations(graph: Graph, model: Model, z: str) -> list[tuple[str, int, list[Any]]]:
    """Add the standard deviations that a regression predicts beside its values, in the targets' own units."""
    softplus = _softplus if graph.dtype == "float64" else _operator("Softplus")  # onnxruntime has it in float32 alone
    variance = graph.add("Add", softplus(graph, block(graph, model, z, 1)), graph.number(MIN_VARIANCE))
    if model.n_members > 1:  # of the mixture: the mean of the variances, and the variance of the means
        means = block(graph, model, z, 0)
        apart = graph.add("Sub", means, mean_of_members(graph, model, means))
        variance = mean_of_members(graph, model, graph.add("Add", variance, graph.add("Mul", apart, apart)))
    a, dtype = graph.add("Sqrt", variance), graph.dtype
    if model.target_scaling is not None:
        a = graph.add("Div", a, graph.constant("deviation_scale", model.target_scaling.scale.astype(dtype)))
    a = graph.add("Identity", a, name="standard_deviation")
    return [(a, graph.type_of(dtype), ["n", model.network.n_targets])]


def _values(graph: Graph, model: Model, a: str) -> list[tuple[str, int, list[Any]]]:
    """Add the values that a regression predicts, in the targets' own units: name, type and shape of each output."""
    scaling, m, dtype = model.target_scaling, model.network.n_targets, graph.dtype
    more = _deviations(graph, model, a) if model.has_variance else []
    if model.has_variance:
        a = mean_of_members(graph, model, block(graph, model, a, 0))
    if scaling is not None and not scaling.is_identity:
        a = a if dtype == "float64" else graph.cast(a, "float64")
        a = graph.add("Div", a, graph.constant("target_scale", scaling.scale))
        a = graph.add("Add", a, graph.constant("target_shift", scaling.shift))
        dtype = "float64" if _is_far(scaling) else graph.dtype
        a = a if dtype == "float64" else graph.cast(a, dtype)
    outputs = graph.add("Identity", a, name="outputs")
    row: list[Any] = ["n"] if m == 1 else ["n", m]
    if m == 1:
        a = graph.add("Squeeze", a, _last(graph), name="prediction")
    else:
        a = graph.add("Identity", a, name="prediction")
    return [(outputs, graph.type_of(dtype), ["n", m]), (a, graph.type_of(dtype), row), *more]


def _is_far(scaling: Scaling) -> bool:
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


def _scaled(graph: Graph, model: Model) -> str:
    """Add the input ``X``, (n, d), fill its gaps and scale it as `Scaling.apply` does: in float64 where it shifts."""
    scaling = model.scaling
    dtype = "float64" if _is_far(scaling) else graph.dtype
    x = graph.input("X", dtype, model.network.sizes[0])
    if model.medians is not None:
        x = graph.add("Where", graph.add("IsNaN", x), graph.constant("medians", model.medians.astype(dtype)), x)
    if scaling.is_identity:
        return x
    if scaling.only_scales:
        return graph.add("Mul", x, graph.constant("scale", scaling.scale.astype(graph.dtype)))
    x = x if dtype == "float64" else graph.cast(x, "float64")
    x = graph.add("Sub", x, graph.constant("shift", scaling.shift))
    x = graph.add("Mul", x, graph.constant("scale", scaling.scale))
    return x if graph.dtype == "float64" else graph.cast(x, graph.dtype)


# Of simple operators: runtimes have LeakyRelu, Elu and Softplus for float32 alone, and opsets before 20 have no Gelu.


def _leaky_relu(graph: Graph, z: str) -> str:
    return graph.add("Max", z, graph.add("Mul", z, graph.number(LEAKY_SLOPE)))


def _elu(graph: Graph, z: str) -> str:
    below = graph.add("Exp", graph.add("Min", z, graph.number(0.0)))
    return graph.add("Add", graph.add("Relu", z), graph.add("Sub", below, graph.number(1.0)))


def _softplus(graph: Graph, z: str) -> str:
    tail = graph.add("Exp", graph.add("Neg", graph.add("Abs", z)))
    return graph.add("Add", graph.add("Relu", z), graph.add("Log", graph.add("Add", tail, graph.number(1.0))))


def _gelu(graph: Graph, z: str) -> str:
    cubic = graph.add("Mul", graph.add("Mul", z, z), graph.number(GELU_CUBIC))
    u = graph.add("Mul", z, graph.add("Add", cubic, graph.number(1.0)))
    u = graph.add("Tanh", graph.add("Mul", u, graph.number(GELU_SCALE)))
    half = graph.add("Mul", z, graph.number(0.5))
    return graph.add("Mul", half, graph.add("Add", u, graph.number(1.0)))


def _operator(name: str, **attributes: Any) -> Callable[[Graph, str], str]:
    return lambda graph, z: graph.add(name, z, **attributes)


ACTIVATIONS: dict[Any, Callable[[Graph, str], str]] = {
    activations.identity: lambda _, z: z,
    activations.relu: _operator("Relu"),
    activations.leaky_relu: _leaky_relu,
    activations.elu: _elu,
    activations.tanh: _operator("Tanh"),
    activations.logistic: _operator("Sigmoid"),
    activations.softplus: _softplus,
    activations.silu: lambda graph, z: graph.add("Mul", z, graph.add("Sigmoid", z)),
    activations.gelu: _gelu,
}
OUTPUTS: dict[str, Callable[[Graph, str], str]] = {
    "softmax": _operator("Softmax", axis=-1),
    "logistic": _operator("Sigmoid"),
    "identity": lambda _, z: z,
    "exponential": _operator("Exp"),
    "mean and variance": lambda _, z: z,  # what of z is which, `_values` knows
}
