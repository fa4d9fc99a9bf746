"""What a type checker says of a user's program: it knows the estimators, their results and what trains a network."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

PROGRAM = """
from collections.abc import Iterator
from typing import assert_type

import numpy as np

import xpmlp
from xpmlp import MLPClassifier, MLPRegressor, Model, Network, Options, Recipe, prepare

X, y = np.zeros((4, 2)), np.array([0, 1, 0, 1])

model = MLPClassifier(hidden_layer_sizes=(4,), activation="gelu", class_weight="balanced").fit(X, y)
assert_type(model, MLPClassifier)
for predicted in (model.predict(X), model.predict_proba(X), model.transform(X, layer=1), model.classes_):
    assert_type(predicted, np.ndarray)
assert_type(MLPClassifier().partial_fit(X, y, classes=[0, 1]), MLPClassifier)
assert_type(model.set_params(alpha=0.1).to("torch"), MLPClassifier)
assert_type(model.score(X, y), float)
assert_type(model.coefs_, list[np.ndarray])
assert_type(model.loss_curve_, list[float])
assert_type(model.n_iter_, int)
assert_type(model.max_iter, int)
assert_type(model.summary(), str)

regressor = MLPRegressor(loss="huber").fit(X, y, X_val=X, y_val=y)
assert_type(regressor, MLPRegressor)
assert_type(regressor.predict(X), np.ndarray)
assert_type(regressor.sample_gradient_norms(X, y), np.ndarray)

experiment = prepare(Options("iris.csv", hidden=(8,), epochs=3))
for record in experiment.records():
    assert_type(record, xpmlp.Record)
assert_type(experiment.trained(record.layers), Model)
assert_type(experiment.trained(record.layers).predict(X), np.ndarray)

backend = xpmlp.get_backend("numpy")
network = Network.build(2, [8], 2)
records = xpmlp.train(backend, network, xpmlp.initialize(network), X, None, experiment.recipe)
assert_type(records, Iterator[xpmlp.Record])
"""
MISTAKES = """
from xpmlp import MLPClassifier, Options

MLPClassifier(max_iter="many")
MLPClassifier().fit()
MLPClassifier().fit([[0.0]], [0]).predict([[0.0]]).shap
Options("iris.csv", epoch=3)
"""


def test_a_type_checker_knows_the_estimators_and_their_results_and_finds_what_is_misspelt(tmp_path):
    api = pytest.importorskip("mypy.api")
    for name, text in (("program.py", PROGRAM), ("mistakes.py", MISTAKES)):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in ("program.py", "mistakes.py")]
    options = [f"--config-file={ROOT / 'pyproject.toml'}", f"--cache-dir={ROOT / '.mypy_cache'}"]
    found, problem, _ = api.run([*options, *files])
    assert not problem
    errors = re.findall(r"(\w+)\.py:(\d+): error", found)
    assert errors == [("mistakes", line) for line in ("4", "5", "6", "7")], found
