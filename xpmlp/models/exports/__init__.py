"""Trained models for other programs: ONNX, plain arrays, scikit-learn. Each file has a module of its own."""

from xpmlp.models.checkpoints import ENDINGS
from xpmlp.models.exports._export import check_functions, export_model
from xpmlp.models.exports._onnx import OPSET, add_network, add_probabilities, block
from xpmlp.models.exports._onnx_graph import Graph
from xpmlp.models.exports._skops import SKLEARN_ACTIVATIONS, common_activation

__all__ = [
    "ENDINGS",
    "OPSET",
    "SKLEARN_ACTIVATIONS",
    "Graph",
    "add_network",
    "add_probabilities",
    "block",
    "check_functions",
    "common_activation",
    "export_model",
]
