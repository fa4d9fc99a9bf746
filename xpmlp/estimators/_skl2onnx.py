"""Converters for skl2onnx, which writes fitted estimators and pipelines as ONNX graphs."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.packages import load_package
from xpmlp.estimators._mlp import MLPClassifier, MLPRegressor
from xpmlp.models.exports import OPSET, Graph, Traced, add_probabilities, end, mean_of_members, trace_network
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

OPTIONS = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [False, True]}


def register_skl2onnx(*subclasses: type) -> None:
    """Let skl2onnx convert fitted `MLPClassifier` and `MLPRegressor`, alone and in pipelines.

    The graphs have the inputs, the outputs and the options of those of scikit-learn's MLP; of several real targets, the
    output is of shape (n, m). This happens by itself where skl2onnx is imported, before or after the estimators.

    Parameters
    ----------
    *subclasses : type
        Classes derived from these two, to be converted likewise: skl2onnx tells a class from the one that it extends.

    Raises
    ------
    BackendError
        Where skl2onnx is not installed.
    """
    register = load_package("skl2onnx").update_registered_converter
    for kind in (MLPClassifier, MLPRegressor, *subclasses):
        if issubclass(kind, MLPClassifier):
            register(kind, "XpmlpMLPClassifier", classifier_shapes, convert, options=OPTIONS)
        else:
            register(kind, "XpmlpMLPRegressor", regressor_shapes, convert)


class ImportHook(MetaPathFinder):
    """Registers the converters once skl2onnx has been imported."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find skl2onnx alone, as Python does."""
        spec = PathFinder.find_spec(name, path, target) if name == "skl2onnx" else None
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                execute(module)
                register_skl2onnx()

            vars(spec.loader)["exec_module"] = exec_module
        return spec


def register_on_import() -> None:
    """Register the converters if skl2onnx is imported already, else once it is."""
    if sys.modules.get("skl2onnx"):
        register_skl2onnx()
    elif not any(isinstance(finder, ImportHook) for finder in sys.meta_path):
        sys.meta_path.insert(0, ImportHook())


# What skl2onnx calls.


def classifier_shapes(operator: Any) -> None:
    """Tell the types and shapes of the classes, or labels, and of their probabilities."""
    if not isinstance(operator.raw_operator.classes_, np.ndarray):
        raise InputError("the classes are not an array of NumPy: move the estimator with estimator.to('cpu') first.")
    load_package("skl2onnx.common.shape_calculator").calculate_linear_classifier_output_shapes(operator)
    if operator.raw_operator.to_model().multilabel:
        operator.outputs[0].type.shape = operator.outputs[1].type.shape


def regressor_shapes(operator: Any) -> None:
    """Tell the type and the shape of the predictions."""
    load_package("skl2onnx.common.shape_calculator").calculate_linear_regressor_output_shapes(operator)
    operator.outputs[0].type.shape[1] = operator.raw_operator.n_outputs_


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the graph of a fitted estimator to that which skl2onnx builds, in the dtype of the examples."""
    if container.target_opset < OPSET:
        raise InputError(f"target_opset is {container.target_opset}, but xpmlp's graphs need {OPSET} or higher.")
    estimator, (given,) = operator.raw_operator, operator.inputs
    model, onnx = estimator.to_model(), load_package("onnx")
    graph = Graph(onnx, "float64" if type(given.type).__name__ == "DoubleTensorType" else "float32")
    x = Traced(graph, graph.cast("X", graph.dtype), graph.dtype, ["n", model.network.sizes[0]])
    layers = [Layer(*(p.astype(graph.dtype, copy=False) for p in layer)) for layer in model.layers]
    a = mean_of_members(trace_network(model, x, layers)[0])
    if model.classes is None:
        ends = [end("outputs", a).name]
    else:
        classes = model.classes if model.classes.dtype.kind == "U" else model.classes.astype(np.int64)
        if scope.get_options(estimator, {"nocl": False})["nocl"]:
            classes = np.arange(classes.size)
        add_probabilities(model, classes, a)
        ends = ["prediction", "probabilities"]
    graph.prune(ends)
    names = {"X": given.full_name} | {end: each.full_name for end, each in zip(ends, operator.outputs, strict=True)}
    for name in (*graph.constants, *(node.output[0] for node in graph.nodes)):
        if name not in names:
            names[name] = scope.get_unique_variable_name(name)
    for name, constant in graph.constants.items():
        constant.name = names[name]
        container.initializers.append(constant)
    for node in graph.nodes:
        inputs, outputs = ([names[name] for name in side] for side in (node.input, node.output))
        attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        container.add_node(node.op_type, inputs, outputs, op_version=OPSET, **attributes)
