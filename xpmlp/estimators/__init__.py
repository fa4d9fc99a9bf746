"""scikit-learn's MLPClassifier and MLPRegressor, over the training loop of this package and arrays of any library.

It imports `common`, `backends`, `data`, `nn`, `training` and `models`.
"""

from xpmlp.estimators import _compat  # noqa: F401 - first: where scikit-learn is too old or too new, it says so
from xpmlp.estimators._ensemble import DeepEnsembleClassifier, DeepEnsembleRegressor
from xpmlp.estimators._mlp import MLPClassifier, MLPRegressor
from xpmlp.estimators._pack import PackClassifier, PackRegressor
from xpmlp.estimators._preprocessor import TablePreprocessor
from xpmlp.estimators._skl2onnx import register_on_import, register_skl2onnx
from xpmlp.estimators._stacked_search import StackedGridSearchCV, StackedRandomizedSearchCV

__all__ = [
    "DeepEnsembleClassifier",
    "DeepEnsembleRegressor",
    "MLPClassifier",
    "MLPRegressor",
    "PackClassifier",
    "PackRegressor",
    "StackedGridSearchCV",
    "StackedRandomizedSearchCV",
    "TablePreprocessor",
    "register_skl2onnx",
]

register_on_import()
