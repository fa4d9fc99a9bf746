"""Trained models for other programs: ONNX, plain arrays, scikit-learn. Each file has a module of its own."""

from xpmlp.models.checkpoints import ENDINGS
from xpmlp.models.exports._export import check_functions, export_model
from xpmlp.models.exports._onnx import OPSET, Graph, add_network, add_probabilities

__all__ = ["ENDINGS", "OPSET", "Graph", "add_network", "add_probabilities", "check_functions", "export_model"]
