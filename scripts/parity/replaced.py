"""A plugin for pytest: scikit-learn's MLP is ours, and only tests that concern it run.

It is for `scripts/check_sklearn_tests.py`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from sklearn import neural_network
from sklearn.neural_network import _multilayer_perceptron

import xpmlp

if TYPE_CHECKING:
    import pytest

# Before any test module is imported: they take the names from here.
for module in (neural_network, _multilayer_perceptron):
    module.MLPClassifier, module.MLPRegressor = xpmlp.MLPClassifier, xpmlp.MLPRegressor


def concerns_mlp(item: Any) -> bool:
    """Whether a test is of the MLP's own file, has one among its parameters, or speaks of one."""
    if item.path.name == "test_mlp.py":
        return True
    if hasattr(item, "callspec"):
        return "MLP" in item.nodeid
    return "MLP" in inspect.getsource(item.function)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what concerns the MLP."""
    kept = [item for item in items if concerns_mlp(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept
