"""Trained models for other programs: ONNX, plain arrays, scikit-learn. Each file has a module of its own."""

from xpmlp.models.exports._export import ENDINGS, export_model

__all__ = ["ENDINGS", "export_model"]
