"""Run a program with two pairs of estimators, and say where they differ by more than rounding."""

from __future__ import annotations

import builtins
import contextlib
import importlib.util
import io
import re
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn import neural_network

from parity import reference
from parity.cases import IMPORTS, program, script, simpler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType

    from parity.cases import Case, Statement

__all__ = ["AMPLIFICATION", "TOLERANCES", "Difference", "Result", "describe", "judge", "shrink", "signature"]

# Relative to the largest entry, by the dtype of the weights; the line search of L-BFGS amplifies rounding.
TOLERANCES = {"float64": 1e-10, "float64 with L-BFGS": 1e-7, "float32": 1e-4}
AMPLIFICATION = 100.0  # times what scikit-learn's result moves when what it computes is rounded otherwise
NUDGES = 3  # other roundings that are tried

ATTRIBUTES = (
    "n_features_in_",
    "feature_names_in_",
    "classes_",
    "n_layers_",
    "n_outputs_",
    "out_activation_",
    "n_iter_",
    "t_",
    "loss_",
    "best_loss_",
    "loss_curve_",
    "validation_scores_",
    "best_validation_score_",
    "coefs_",
    "intercepts_",
)
CONTAINERS = (np.ndarray, sparse.sparray, sparse.spmatrix)
ABSENT = "absent"

# Where ours are right to be otherwise: patterns of what differs, of ours and of scikit-learn's.
BETTER = (
    ("dtype", "float32", "float64"),  # ours keep the dtype of the fit: L-BFGS and wider X do not make it wider
    # A minibatch whose rows all weigh 0; or a share of X that early stopping holds out, behind such a minibatch.
    ("outcome", "success|ValueError: (Solver produced|Sample weights must contain)", "ZeroDivisionError"),
    ("outcome", "success", "AttributeError: 'NoneType'"),  # early stopping that is switched on before a warm start
    # Sparse targets of a regressor, of which theirs takes some: one column, Poisson's loss, scores.
    ("outcome", "success|ValueError", "TypeError: Sparse data was passed( for y)?, but dense data is required"),
    ("outcome", "success", "TypeError: ufunc 'xlogy' not supported"),
    ("outcome", "success", "ValueError: The 'y_true' parameter of r2_score"),
    # A first call of partial_fit that fails leaves half of what it has learnt behind there.
    (
        "outcome",
        "ValueError: classes must be passed on the first call",
        "AttributeError: 'LabelBinarizer'|NotFittedError|success",
    ),
    ("outcome", "ValueError: X has dtype (date|timedelta)", "TypeError: Feature names are only supported"),
    ("outcome", "ValueError: solver lbfgs has no epochs to measure X_val after", "success"),  # documented
    ("outcome", "ValueError", "TypeError: ufunc|AttributeError: 'NoneType'"),  # a clear refusal in place of an accident
    ("outcome", "ValueError: The targets have", "success"),  # another number than the network, which NumPy broadcasts
    ("outcome", "ValueError: .*must hold numbers", ""),  # what is no number, refused before anything converts it
    ("outcome", "ValueError: .*computed with in float32", ""),  # numbers beyond it
    ("outcome", "ValueError: .*negative", "success"),
    ("outcome", "ValueError: X_val is sparse, but X is not", "success"),  # documented, as is the next
    ("outcome", "ValueError: sparse examples are computed on by NumPy, but device is", "success"),
)


@dataclass
class Outcome:
    """What came of one statement.

    Attributes
    ----------
    error : Exception or None
        What it raised.
    warned : dict
        The categories of its warnings, but for those of floating point, each with a message.
    values : dict
        What is compared: the value of an expression, or the fitted attributes after training and what was printed.
    """

    error: Exception | None = None
    warned: dict[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The class of the error as Python or scikit-learn defines it for users, or "success"."""
        if self.error is None:
            return "success"
        return next(each.__name__ for each in type(self.error).__mro__ if _is_public(each))

    def __str__(self) -> str:
        return self.kind if self.error is None else f"{self.kind}: {str(self.error)[:200]}"


@dataclass(frozen=True)
class Difference:
    """Where two outcomes of a statement differ.

    Attributes
    ----------
    statement : int
        Its index in the program.
    what : str
        "outcome", "warnings", "dtype", or the name of a value.
    ours, theirs : str
        The two sides.
    distance : float
        Of numbers, relative to the largest of scikit-learn's; infinite for all else.
    """

    statement: int
    what: str
    ours: str
    theirs: str
    distance: float = np.inf

    @property
    def place(self) -> tuple[int, str]:
        """What is compared with what another rounding changes: all layers are one."""
        return self.statement, self.what.partition("[")[0]

    def __str__(self) -> str:
        return f"{self.what}: {self.ours}; scikit-learn: {self.theirs}"


@dataclass(frozen=True)
class Result:
    """What came of a case.

    Attributes
    ----------
    kind : str
        "same"; "both raise" an error of the same kind; "rounding", they differ, but scikit-learn does from itself as
        well when rounded otherwise; "different"; or "left out".
    differences : list of Difference
        Those that count.
    distance : float
        The largest distance of numbers, where nothing is different.
    reason : str
        Why the case is left out.
    """

    kind: str
    differences: list[Difference] = field(default_factory=list)
    distance: float = 0.0
    reason: str = ""


def _is_public(error: type) -> bool:
    return getattr(builtins, error.__name__, None) is error or error.__module__ == "sklearn.exceptions"


# Running.


class PreparationError(Exception):
    """The data of a case cannot be made as its options describe them."""


def _namespace(estimators: ModuleType, theirs: ModuleType) -> dict[str, Any]:
    """Return the names that a program uses; `theirs` stands for scikit-learn's module."""
    names: dict[str, Any] = {"__name__": "program"}
    for line in IMPORTS.values():
        with contextlib.suppress(ImportError):  # of pandas: a case that uses it is left out
            exec(line, names)  # noqa: S102 - our own line
    own = {name: getattr(estimators, name) for name in ("MLPClassifier", "MLPRegressor")}
    return names | own | {"neural_network": theirs}


def _play(statements: Sequence[Statement], names: dict[str, Any]) -> list[Outcome | None]:
    """Run a program. What follows an error is left out (None), up to the next call that trains."""
    kept = np.random.get_state()  # noqa: NPY002 - what `random_state=None` draws from
    np.random.seed(0)  # noqa: NPY002 - as above
    outcomes: list[Outcome | None] = []
    failed = False
    try:
        for statement in statements:
            failed = failed and statement.kind != "train"
            outcome = None if failed else _outcome(statement, names)
            outcomes.append(outcome)
            if outcome is not None and outcome.error is not None:
                if statement.kind == "prepare":
                    raise PreparationError(str(outcome)) from outcome.error
                failed = statement.kind != "ask"
    finally:
        np.random.set_state(kept)  # noqa: NPY002 - as above
    return outcomes


def _outcome(statement: Statement, names: dict[str, Any]) -> Outcome:
    outcome, printed = Outcome(), io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        try:
            if statement.kind == "ask":
                outcome.values["value"] = eval(statement.source, names)  # noqa: S307 - of a program that we wrote
            else:
                exec(statement.source, names)  # noqa: S102 - as above
        except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
            outcome.error = error
    outcome.warned = {
        each.category.__name__: str(each.message) for each in caught if not issubclass(each.category, RuntimeWarning)
    }
    if statement.kind in {"train", "move"} and outcome.error is None:
        fitted = vars(names["model"])
        outcome.values = {name: _copied(fitted.get(name, ABSENT)) for name in ATTRIBUTES}
        outcome.values["printed"] = re.sub(r"-?\d[\d.]*|nan|-?inf", "#", printed.getvalue())
    return outcome


def _copied(value: Any) -> Any:
    """Copy what further training may change in place."""
    if isinstance(value, list):
        return [_copied(each) for each in value]
    return value.copy() if isinstance(value, np.ndarray) else value


# Comparing.


def _differences(ours: Sequence[Outcome | None], theirs: Sequence[Outcome | None]) -> Iterator[Difference]:
    """Yield all that differs, numbers by however little, up to an error of one of them alone."""
    for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
        if mine is None or other is None:
            continue
        if mine.kind != other.kind:
            yield Difference(index, "outcome", str(mine), str(other))
            return  # the rest would follow from it
        if mine.error is None:
            if mine.warned.keys() != other.warned.keys():
                yield Difference(index, "warnings", str(mine.warned or "none"), str(other.warned or "none"))
            for name, value in other.values.items():
                yield from _between(index, name, mine.values[name], value)


def _between(index: int, name: str, mine: Any, other: Any) -> Iterator[Difference]:
    """Yield where two values differ: arrays of any container, numbers, lists of either, words, or None."""
    different = Difference(index, name, _brief(mine), _brief(other))
    if isinstance(other, str | None) or isinstance(mine, str | None):
        if _canonical(mine) != _canonical(other):
            yield different
    elif isinstance(other, list) != isinstance(mine, list) or (isinstance(other, list) and len(mine) != len(other)):
        yield different
    elif isinstance(other, list) and other and isinstance(other[0], np.ndarray):
        for layer, (a, b) in enumerate(zip(mine, other, strict=True)):
            yield from _between(index, f"{name}[{layer}]", a, b)
    elif any(isinstance(mine, each) != isinstance(other, each) for each in CONTAINERS):
        yield different
    else:
        yield from _between_arrays(different, mine, other)


def _between_arrays(different: Difference, mine: Any, other: Any) -> Iterator[Difference]:
    a, b = (each.toarray() if sparse.issparse(each) else np.asarray(each) for each in (mine, other))
    if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
        yield different
    elif b.dtype.kind != "f":
        if a.dtype != b.dtype or not np.array_equal(a, b):
            yield different
    else:
        if isinstance(mine, np.ndarray) and a.dtype.newbyteorder("=") != b.dtype.newbyteorder("="):
            yield Difference(different.statement, "dtype", str(a.dtype), str(b.dtype))
        distance = _distance(a, b, floor=0.0 if isinstance(mine, np.ndarray) else 1.0)
        if distance > 0:
            yield Difference(different.statement, different.what, different.ours, different.theirs, distance)


def _distance(mine: np.ndarray, other: np.ndarray, floor: float) -> float:
    """Return the largest distance of scikit-learn's finite entries, relative to the largest of them, or to `floor`.

    The floor is for losses and scores, which are differences of larger numbers. What has overflowed there need not have
    overflowed here.
    """
    finite = np.isfinite(other)
    a, b = mine[finite].astype(np.longdouble), other[finite].astype(np.longdouble)
    if not np.isfinite(a).all():
        return np.inf
    largest = np.abs(b).max(initial=max(floor, np.finfo(float).tiny))
    return float(np.abs(a - b).max(initial=0) / largest)


def _canonical(value: Any) -> Any:
    """Return words without the addresses of objects and without where lines are broken."""
    return re.sub(r"0x[0-9a-fA-F]+|\s+", "", value) if isinstance(value, str) else value


def _brief(value: Any) -> str:
    with np.printoptions(precision=8, threshold=8, edgeitems=3):
        text = re.sub(r"\s+", " ", repr(value))
    return f"{text[:150]} ..." if len(text) > 150 else text


# Judging.


def judge(case: Case, estimators: ModuleType, device: str | None = None) -> Result:
    """Run a case with the estimators of a module and with scikit-learn's, and compare.

    A difference of numbers counts where it is beyond the tolerance, and beyond `AMPLIFICATION` times what scikit-learn
    differs from itself when its initial weights, activations and gradients are moved by a rounding error. A difference
    of anything else counts, unless scikit-learn's own is another then.
    """
    statements = program(case, device)
    if any(re.search(r"\bpd\.", each.source) for each in statements) and importlib.util.find_spec("pandas") is None:
        return Result("left out", reason="pandas is not installed")
    try:
        ours = _play(statements, _namespace(estimators, neural_network))
        theirs = _play(statements, _namespace(reference, reference))
    except PreparationError as error:
        return Result("left out", reason=str(error))
    if case.parameters.get("warm_start") == "True":
        ours, theirs = _up_to_a_failed_fit(ours), _up_to_a_failed_fit(theirs)
    found = [each for each in _differences(ours, theirs) if not _is_better(each)]
    precision = _precision(case, [*ours, *theirs])
    beyond = [each for each in found if each.distance > TOLERANCES[precision]]
    if not beyond:
        last = [each for each, statement in zip(theirs, statements, strict=True) if statement.kind == "train"][-1]
        kind = "same" if last is not None and last.error is None else "both raise"
        return Result(kind, distance=max((each.distance for each in found), default=0.0))
    step = float(np.finfo(precision.partition(" ")[0]).eps)
    moves = [_moved(statements, theirs, seed, step) for seed in range(NUDGES)]
    left = [each for each in beyond if not any(each.distance <= AMPLIFICATION * m.get(each.place, 0) for m in moves)]
    moved = {each.statement for each in beyond if each.what.startswith("coefs_")} - {each.statement for each in left}
    if moved:  # predictions and scores of weights that rounding has moved may be any
        left = [each for each in left if statements[each.statement].kind != "ask" or each.statement < min(moved)]
    return Result("different", left) if left else Result("rounding")


def _up_to_a_failed_fit(outcomes: Sequence[Outcome | None]) -> list[Outcome | None]:
    """Leave out what a warm start makes of the weights that a fit has left behind that ended in an error."""
    failed = [index for index, each in enumerate(outcomes) if each is not None and each.error is not None]
    end = failed[0] + 1 if failed else len(outcomes)
    return [*outcomes[:end], *[None] * (len(outcomes) - end)]


def _is_better(difference: Difference) -> bool:
    said = difference.what, difference.ours, difference.theirs
    return any(all(map(re.match, patterns, said)) for patterns in BETTER)


def _precision(case: Case, outcomes: Sequence[Outcome | None]) -> str:
    """Name the entry of `TOLERANCES` for a case that both sides have run."""
    weights = [each.values.get("coefs_", ABSENT) for each in outcomes if each is not None]
    dtypes = {str(arrays[0].dtype) for arrays in weights if arrays != ABSENT}
    given = case.options["dtype"], case.options["weights"]  # scikit-learn sums weights in their dtype
    if "float32" in dtypes or any("float32" in each for each in given):
        return "float32"
    return "float64 with L-BFGS" if case.parameters.get("solver") == "'lbfgs'" else "float64"


def _moved(
    statements: Sequence[Statement], theirs: Sequence[Outcome | None], seed: int, step: float
) -> dict[tuple[int, str], float]:
    """Say by how much each value of scikit-learn's moves with another rounding."""
    with reference.nudged(seed, step):
        others = _play(statements, _namespace(reference, reference))
    distances: dict[tuple[int, str], float] = {}
    for each in _differences(others, theirs):
        distances[each.place] = max(each.distance, distances.get(each.place, 0.0))
        if each.what == "n_iter_":  # in which L-BFGS stops at its limit, or by itself
            distances[each.statement, "warnings"] = each.distance
    return distances


# Telling.


def signature(case: Case, result: Result, device: str | None = None) -> str:
    """Name the kind of a result's first difference: what was called, and what of it differs."""
    first = result.differences[0]
    source = program(case, device)[first.statement].source
    called = re.search(r"\b(?:model|pickle|copy)\.(\w+)\(", source)
    what = first.what.partition("[")[0]
    if what in {"outcome", "warnings"}:
        kinds = (" and ".join(re.findall(r"\w+(?:Error|Warning)\b", side)) for side in (first.ours, first.theirs))
        what = " against ".join(kind or "none" for kind in kinds)
    return f"{called[1] if called else source}: {what}"


def shrink(case: Case, result: Result, estimators: ModuleType, device: str | None = None) -> tuple[Case, Result]:
    """Take options of a case back, one after another, as long as its first difference stays of its kind."""
    kind = signature(case, result, device)
    smaller = True
    while smaller:
        smaller = False
        for candidate in simpler(case):
            tried = judge(candidate, estimators, device)
            if tried.kind == "different" and signature(candidate, tried, device) == kind:
                case, result, smaller = candidate, tried, True
                break
    return case, result


def describe(case: Case, result: Result, device: str | None = None) -> str:
    """Write the code that shows the differences of a case, and the first of them."""
    statements = program(case, device)
    last = result.differences[0].statement
    shown = [each for i, each in enumerate(statements[: last + 1]) if each.kind != "ask" or i == last]
    lines = [f"# {each}" for each in result.differences if each.statement == last][:3]
    return "\n".join([script(shown, case.estimator), *lines])
