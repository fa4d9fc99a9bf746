"""The data to learn from: circles, digits, Fashion-MNIST and the user's own files, as NumPy arrays.

Examples
--------
>>> from xpmlp.data.datasets import load_dataset, split
>>> digits = load_dataset("digits")
>>> digits.X.shape
(1797, 64)
>>> parts = split(digits, validation=0.1, test=0.2, seed=0)
>>> [len(y) for _, y in (parts.train, parts.validation, parts.test)]
[1294, 144, 359]
"""

from xpmlp.data.datasets._dataset import Dataset, Splits
from xpmlp.data.datasets._files import Like, read_features
from xpmlp.data.datasets._load import NAMES, load_dataset
from xpmlp.data.datasets._split import split

__all__ = ["NAMES", "Dataset", "Like", "Splits", "load_dataset", "read_features", "split"]
