"""Trained models for other programs: ONNX, plain arrays, scikit-learn. Each file has a module of its own."""

from xpmlp.models.exports._export import export_model
from xpmlp.models.exports._onnx import OPSET, add_probabilities, end, mean_of_members, trace_network
from xpmlp.models.exports._onnx_graph import Graph
from xpmlp.models.exports._onnx_step import export_step
from xpmlp.models.exports._onnx_tracing import Traced
from xpmlp.models.exports._skops import SKLEARN_ACTIVATIONS, common_activation
from xpmlp.models.files import ENDINGS

__all__ = [
    "ENDINGS",
    "OPSET",
    "SKLEARN_ACTIVATIONS",
    "Graph",
    "Traced",
    "add_probabilities",
    "common_activation",
    "end",
    "export_model",
    "export_step",
    "mean_of_members",
    "trace_network",
]
