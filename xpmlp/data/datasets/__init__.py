"""The data to learn from: circles, digits, Fashion-MNIST and the user's own files, as NumPy arrays.

Examples
--------
>>> from xpmlp.data.datasets import load_dataset, split
>>> digits = load_dataset("digits")
>>> digits
<Dataset digits: 1,797 examples of 64 features in float64, 10 classes>
>>> split(digits, validation=0.1, test=0.2, seed=0)
<Splits: train 1,294, validation 144, test 359 examples>
"""

from xpmlp.data.datasets.dataset import Dataset, Splits, split
from xpmlp.data.datasets.from_table import ColumnSchema
from xpmlp.data.datasets.load import NAMES, is_table, load_dataset, read_features, refuse_reading

__all__ = [
    "NAMES",
    "ColumnSchema",
    "Dataset",
    "Splits",
    "is_table",
    "load_dataset",
    "read_features",
    "refuse_reading",
    "split",
]
