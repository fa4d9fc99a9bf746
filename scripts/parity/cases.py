"""A case: options drawn from a seed and a number, and the program that they make."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from parity.options import (
    AXES,
    CHANGES,
    CLASS_WEIGHTS,
    FAULTS,
    LABELS,
    MOVES,
    PARAMETERS,
    SPARSE_DTYPES,
    TARGET_FORMS,
    TARGETS,
    UNUSABLE_PARAMETERS,
    WEIGHTS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["IMPORTS", "Case", "Statement", "draw", "program", "script", "simpler"]

PLAIN_SHARE = 0.55  # of the draws of an axis that take its plain option
FAULT_SHARE = 0.2  # of the cases that have an argument or a parameter that cannot be used
ALWAYS_GIVEN = ("hidden_layer_sizes", "max_iter", "random_state")  # whose plain value is not scikit-learn's default
EVENLY_DRAWN = ("solver", "activation")

IMPORTS = {
    "check_random_state": "from sklearn.utils import check_random_state",
    "clone": "from sklearn.base import clone",
    "copy": "import copy",
    "neural_network": "from sklearn import neural_network",
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "pickle": "import pickle",
    "sparse": "from scipy import sparse",
}


class Statement(NamedTuple):
    """One statement of a program: kind "prepare", "train", "move" or "ask", and its source."""

    kind: str
    source: str


@dataclass(frozen=True)
class Case:
    """What one case is made of.

    Attributes
    ----------
    seed, number : int
        What it was drawn from; its data are too.
    estimator : str
        The name of the class.
    options : dict
        The option of each axis.
    parameters : dict
        Source of the arguments of the constructor that are not plain.
    """

    seed: int
    number: int
    estimator: str
    options: dict[str, str]
    parameters: dict[str, str]

    @property
    def target_kind(self) -> str:
        """What y holds: "classes", "labels" or "numbers"."""
        if self.estimator == "MLPRegressor":
            return "numbers"
        return "labels" if self.options["target"] in LABELS else "classes"

    @property
    def calls(self) -> list[str]:
        """The calls that train: "fit", "partial" or "validation"."""
        return AXES["entry"][self.options["entry"]].split()


def _pick(rng: np.random.Generator, options: Iterable[str], plain_share: float = PLAIN_SHARE) -> str:
    plain, *others = options
    return plain if not others or rng.random() < plain_share else others[rng.integers(len(others))]


def draw(seed: int, number: int) -> Case:
    """Draw the case of a seed and a number."""
    rng = np.random.default_rng([seed, number])
    estimator = ("MLPClassifier", "MLPRegressor")[rng.integers(2)]
    shares = {"rows": 0.8, "class": 0.95, "entry": 0.25, "asked with": 0.8}
    options = {axis: _pick(rng, table, shares.get(axis, PLAIN_SHARE)) for axis, table in AXES.items()}
    options["target"] = _pick(rng, TARGETS[estimator], 0.3)
    if rng.random() < 0.2:
        options["dtype"] = "float32"  # more often than the others: rounding is where most can go wrong
    kind = Case(seed, number, estimator, options, {}).target_kind
    options["target form"] = _pick(rng, TARGET_FORMS[kind])
    options["weights"] = _pick(rng, WEIGHTS)
    options["class weight"] = _pick(rng, CLASS_WEIGHTS[kind], 0.9)
    options["move"] = _pick(rng, MOVES)
    options["change"] = CHANGES[rng.integers(len(CHANGES))]
    options["fault"], options["faulty call"] = "none", str(rng.integers(4))
    parameters = {}
    for name, values in PARAMETERS.items():
        parameters[name] = _pick(rng, values, 1 / len(values) if name in EVENLY_DRAWN else 0.75)
    faults = [*FAULTS, *UNUSABLE_PARAMETERS]
    if rng.random() < FAULT_SHARE:
        fault = faults[rng.integers(len(faults))]
        if isinstance(fault, str):
            options["fault"] = fault
        else:
            parameters |= [fault]
    parameters = {name: value for name, value in parameters.items() if value != PARAMETERS[name][0]}
    return _possible(Case(seed, number, estimator, options, parameters))


def _possible(case: Case) -> Case:
    """Take back options that cannot be had together, or that mean another thing to scikit-learn as is documented."""
    case = _with_calls_that_fit(case)
    options, parameters = dict(case.options), dict(case.parameters)
    if "sparse" in AXES["container"][options["container"]] and options["dtype"] not in SPARSE_DTYPES:
        options["dtype"] = "float64"
    if case.estimator == "MLPClassifier":
        parameters.pop("loss", None)
    if "loss" in parameters and "counts" not in options["target"]:
        options["target"] = "counts"  # of others, negative ones among them, the loss is not a number or cancels
    if options["class"] != "itself" and options["move"] not in {"deepcopy", "clone", "set_params"}:
        options["move"] = "nothing"  # the others make an estimator with all parameters
    if "scikit-learn" in options["move"]:
        options["class weight"] = "none"  # which is left behind
        if "validation" in case.calls:
            options["move"] = "to scikit-learn and back"
    if options["move"] != "set_params" or ("solver" in parameters and "solver" in options["change"]):
        options["change"] = CHANGES[0]
    return replace(case, options=options, parameters=parameters)


def _with_calls_that_fit(case: Case) -> Case:
    """Take back what the calls that train do not take."""
    options, parameters = dict(case.options), dict(case.parameters)
    if FAULTS.get(options["fault"], ("", ""))[0] in {"X_val", "y_val"}:
        options["entry"] = "fit with validation data"  # once: what an error leaves behind is not compared
    if parameters.get("solver") == "'lbfgs'" and {"partial", "validation"} & set(case.calls):
        options["entry"] = ("fit", "fit twice")[case.number % 2]  # it has no epochs
    if "partial" in case.calls:
        parameters.pop("early_stopping", None)  # both refuse it
        if options["change"] == "early_stopping=True":
            options["change"] = CHANGES[0]
        if options["class weight"] == "balanced":
            options["class weight"] = "none"
    return replace(case, options=options, parameters=parameters)


def simpler(case: Case) -> Iterator[Case]:
    """Yield cases with one option or parameter fewer that is not plain."""
    return (each for each in map(_possible, _simpler(case)) if each != case)


def _simpler(case: Case) -> Iterator[Case]:
    kind = case.target_kind
    tables = {
        **AXES,
        "target": TARGETS[case.estimator],
        "target form": TARGET_FORMS[kind],
        "weights": WEIGHTS,
        "class weight": CLASS_WEIGHTS[kind],
        "move": MOVES,
        "fault": ("none",),
    }
    for axis, table in tables.items():
        plain = next(iter(table))
        if case.options[axis] != plain:
            options = case.options | {axis: plain}
            if replace(case, options=options).target_kind != kind:
                options |= {"target form": "integers", "class weight": "none"}
            yield replace(case, options=options)
    for name in case.parameters:
        yield replace(case, parameters={key: value for key, value in case.parameters.items() if key != name})


# From options to a program.


def program(case: Case, device: str | None = None) -> list[Statement]:
    """Return the program of a case, with a device for the estimator where one is given."""
    return [*_prepare(case, device), *_train(case), *_ask(case, device)]


def script(statements: Iterable[Statement], estimator: str) -> str:
    """Write a program as a script that can be run."""
    source = "\n".join(statement.source for statement in statements)
    needed = [line for name, line in IMPORTS.items() if re.search(rf"\b{name}\b", source)]
    ours = f"from xpmlp import {estimator}  # scikit-learn's side: from parity.reference import {estimator}"
    asked = [f"print({each.source})" if each.kind == "ask" else each.source for each in statements]
    return "\n".join([*sorted(needed), ours, "", *asked])


def _prepare(case: Case, device: str | None) -> Iterator[Statement]:
    options = case.options
    target_form = TARGET_FORMS[case.target_kind][options["target form"]]
    as_X = AXES["container"][options["container"]].format(f"({AXES['dtype'][options['dtype']]})")
    lines = [
        f"rng = np.random.default_rng([{case.seed}, {case.number}])",
        f"n = {AXES['rows'][options['rows']]}",
        "m = n - n // 4" if "validation" in case.calls else "",
        "X, Z = rng.normal(size=(n, 4)), rng.normal(size=(6, 4))",
        "X[np.abs(X) < 0.4] = 0.0",
        f"y = {TARGETS[case.estimator][options['target']]}",
        f"w = {WEIGHTS[options['weights']]}" if options["weights"] != "none" else "",
        f"as_X = lambda X: {ast.unparse(ast.parse(as_X))}",
        f"as_y = lambda y: {target_form}",
        f"{_constructor(case, device)}",
    ]
    return (Statement("prepare", line) for line in lines if line)


def _constructor(case: Case, device: str | None) -> str:
    options = case.options
    given = {name: PARAMETERS[name][0] for name in ALWAYS_GIVEN} | case.parameters
    if options["class weight"] != "none":
        given["class_weight"] = CLASS_WEIGHTS[case.target_kind][options["class weight"]]
    if device:
        given["device"] = repr(device)
    if options["class"] != "itself":
        kept = ", ".join(f"{name}={value}" for name, value in given.items() if name != "alpha")
        alpha = given.get("alpha", PARAMETERS["alpha"][0])
        head = f"class Narrow({case.estimator}):\n    def __init__(self, alpha={alpha}):\n"
        return f"{head}        super().__init__({kept}, alpha=alpha)\nmodel = Narrow()"
    name = case.estimator
    if options["move"] == "fitted by scikit-learn":
        name = f"neural_network.{name}"
        given.pop("device", None)
    return f"model = {name}({', '.join(f'{name}={value}' for name, value in given.items())})"


def _argument(case: Case, call: int, argument: str, array: str) -> str:
    """Write an argument of a call, from an array; the calls are those that train, predicting, and scoring."""
    faulty, source = FAULTS.get(case.options["fault"], ("", ""))
    if argument == faulty and call == _faulty_call(case, argument):
        name = "X" if argument.startswith("X") else "y"
        return re.sub(rf"\b{name}\b", array.replace("w", "y"), source)
    if argument == "w":
        return array if case.options["weights"] != "none" else ""
    return f"as_{argument[0]}({array})"


def _faulty_call(case: Case, argument: str) -> int:
    """Choose one of the calls that take an argument."""
    trains = len(case.calls)
    taking = {
        "X": range(trains + 2),
        "X_val": [i for i, call in enumerate(case.calls) if call == "validation"],
        "y_val": [i for i, call in enumerate(case.calls) if call == "validation"],
    }.get(argument, [*range(trains), trains + 1])
    return taking[int(case.options["faulty call"]) % len(taking)]


def _train(case: Case) -> Iterator[Statement]:
    parts = case.calls.count("partial")
    for index, call in enumerate(case.calls):
        rows = "[:m]" if call == "validation" else ""
        if call == "partial" and parts > 1:
            rows = f"[{index} * n // {parts} : {index + 1} * n // {parts}]"
        arguments = [_argument(case, index, name, name + rows) for name in ("X", "y")]
        weights = _argument(case, index, "w", f"w{rows}")
        if weights:
            arguments.append(f"sample_weight={weights}")
        if call == "validation":
            held_out = {"X_val": "X[m:]", "y_val": "y[m:]"}
            arguments += [f"{name}={_argument(case, index, name, array)}" for name, array in held_out.items()]
            if case.options["weights"] != "none":
                arguments.append("sample_weight_val=w[m:]")
        if call == "partial" and index == 0 and case.estimator == "MLPClassifier":
            labels = case.target_kind == "labels"
            arguments.append("classes=np.arange(y.shape[1])" if labels else "classes=np.unique(as_y(y))")
        yield Statement("train", f"model.{'partial_fit' if call == 'partial' else 'fit'}({', '.join(arguments)})")
        move = MOVES[case.options["move"]]
        if index == 0 and move:
            yield Statement("move", move.format(estimator=case.estimator, change=case.options["change"]))


def _ask(case: Case, device: str | None) -> Iterator[Statement]:
    predict, score = len(case.calls), len(case.calls) + 1
    asked = AXES["asked with"][case.options["asked with"]]
    Z = _argument(case, predict, "X", "Z").replace("as_X(Z)", asked.format("Z"))
    X, y, w = (_argument(case, score, name, name) for name in ("X", "y", "w"))
    lines = [f"model.predict({Z})", f"model.predict({asked.format('Z[:1]')})"]
    if case.estimator == "MLPClassifier":
        lines += [f"model.predict_proba({Z})", f"np.exp(model.predict_log_proba({Z}))"]
    lines.append(f"model.score({X}, {y})")
    if w:
        lines.append(f"model.score({X}, {y}, sample_weight={w})")
    if not (device and "scikit-learn" in case.options["move"]):  # where the device is left behind
        lines.append("repr(model)")
    lines.append("np.random.uniform()")
    if case.options["class"] == "itself":
        lines.append("check_random_state(model.random_state).uniform()")
    return (Statement("ask", line) for line in lines)
