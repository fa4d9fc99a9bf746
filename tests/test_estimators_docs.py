"""What is said of the estimators: their docstrings stand alone, and the examples of their page run as printed."""

import ast
import doctest
import importlib.util
import inspect
import os
import pydoc
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sklearn.neural_network as theirs

from xpmlp import (
    ACTIVATIONS,
    INITIALIZERS,
    DeepEnsembleClassifier,
    DeepEnsembleRegressor,
    MLPClassifier,
    MLPRegressor,
    PackClassifier,
    PackRegressor,
    StackedGridSearchCV,
    StackedRandomizedSearchCV,
)
from xpmlp.estimators._pack import Pack

PAGE = (Path(__file__).parent.parent / "docs" / "estimators.md").read_text(encoding="utf-8")
each_class = pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
each_estimator = pytest.mark.parametrize(
    "cls",
    [MLPClassifier, MLPRegressor, DeepEnsembleClassifier, DeepEnsembleRegressor, PackClassifier, PackRegressor],
)
each_with_examples = pytest.mark.parametrize(
    "cls", [*each_estimator.args[1], StackedGridSearchCV, StackedRandomizedSearchCV]
)
FAST = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def section(cls, title):
    """Give the entries of a section of the docstring that `help` shows: name, type and text."""
    text = re.split(r"\n(?=[A-Z][\w ]+\n-{3,}\n)", inspect.getdoc(cls))
    (found,) = (part for part in text if part.startswith(f"{title}\n"))
    entries = re.split(r"\n(?=\S)", found.split("\n", 2)[2].strip())
    for entry in entries:
        header, _, meaning = entry.partition("\n")
        name, _, kind = header.partition(" : ")
        yield name, kind, " ".join(meaning.split())


@each_estimator
def test_every_parameter_is_described_with_its_type_its_default_and_its_meaning(cls):
    described = {name: (kind, meaning) for name, kind, meaning in section(cls, "Parameters")}
    parameters = inspect.signature(cls).parameters
    assert set(described) == set(parameters)
    for name, (header, meaning) in described.items():
        kind, _, default = header.partition(", default=")
        assert kind, name
        assert ast.literal_eval(default) == parameters[name].default, name
        assert len(meaning) > 20, name
        assert meaning.endswith("."), name


@each_estimator
def test_the_docstring_needs_no_other_page(cls):
    text = inspect.getdoc(cls)
    assert "{" not in re.sub(
        r'\{"[^{}]*"\}', "", text
    )  # choices are written {"a", "b"}, and nothing is left to fill in
    assert text in pydoc.plain(pydoc.render_doc(cls)).replace("\n |  ", "\n")
    described = {name: meaning for name, _, meaning in section(cls, "Parameters")}
    if issubclass(cls, Pack):
        return  # which has neither
    assert all(f'"{name}"' in described["activation"] for name in ACTIVATIONS)
    assert all(f'"{name}"' in described["init"] for name in INITIALIZERS)


@each_class
def test_every_fitted_attribute_is_described_and_every_one_described_is_there(cls):
    draws = np.random.default_rng(0)
    X, y = draws.normal(size=(40, 2)), np.arange(40) % 2
    models = [cls(**FAST, early_stopping=stops).fit(X, y, X_val=X, y_val=y) for stops in (False, True)]
    models.append(cls(**FAST, solver="lbfgs").fit(X, y))
    there = {name for model in models for name in vars(model) if name.endswith("_") and not name.startswith("_")}
    described = {name: kind and meaning for name, kind, meaning in section(cls, "Attributes")}
    assert set(described) == there | {"feature_names_in_"}  # of frames alone
    assert all(described.values())


@each_with_examples
def test_the_examples_of_the_docstring_give_what_they_say(cls):
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(cls, cls.__name__, globs={})
    assert doctest.DocTestRunner().run(example).failed == 0


def test_the_examples_of_the_page_run_as_they_are_printed_in_a_process_where_nothing_was_prepared(tmp_path):
    missing = {"cuda:0"} | ({"torch"} if importlib.util.find_spec("torch") is None else set())
    snippets = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    run = [each for each in snippets if not any(f'"{word}"' in each or f"import {word}" in each for word in missing)]
    assert len(snippets) - len(run) <= 3
    script = tmp_path / "page.py"
    script.write_text("\n".join([*run, "print(model.fit(X_train, y_train).score(X_test, y_test))"]))
    environment = {name: value for name, value in os.environ.items() if name != "SCIPY_ARRAY_API"}
    command = [sys.executable, "-W", "ignore", str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our page
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) > 0.9


@each_class
def test_the_page_names_every_parameter_that_scikit_learn_lacks(cls):
    extra = set(cls().get_params()) - set(getattr(theirs, cls.__name__)().get_params())
    assert extra
    for name in extra:
        assert f"`{name}" in PAGE or f"{name}=" in PAGE, name
