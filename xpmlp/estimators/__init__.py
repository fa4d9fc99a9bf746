"""scikit-learn's MLPClassifier and MLPRegressor, over the training loop of this package and arrays of any library.

It imports `common`, `backends`, `nn` and `training`.
"""

from xpmlp.estimators._classifier import MLPClassifier
from xpmlp.estimators._regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
