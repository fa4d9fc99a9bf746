"""What X, y and weights may be: every cell of the tables of docs/estimators.md is tried, on every library there is."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse

from xpmlp import MLPClassifier, MLPRegressor
from xpmlp.backends import backend_of, get_backend
from xpmlp.common.errors import DtypeError, InputError

PAGE = (Path(__file__).parent.parent / "docs" / "estimators.md").read_text(encoding="utf-8")
FAST = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
N = 24

pytestmark = [
    pytest.mark.usefixtures("dispatch"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning"),
]


def table(first):
    """Give the cells of the table whose head begins with `first`: row, column and what the page says."""
    lines = iter(PAGE.splitlines())
    head = next(line for line in lines if line.startswith(f"| {first} |"))
    columns = [cell.strip() for cell in head.strip("|").split("|")][1:]
    next(lines)
    cells = []
    while (line := next(lines)).startswith("|"):
        row, *said = (cell.strip() for cell in line.strip("|").split("|"))
        cells += [(row, column, cell) for column, cell in zip(columns, said, strict=True) if cell]
    return cells


# Values


def whole(shape):
    """Give whole numbers of two classes in the first column, and in others what trains a network."""
    return np.arange(np.prod(shape)).reshape(shape) * 7 % 5 % 2


def floats(shape):
    return np.sin(np.arange(np.prod(shape), dtype=float)).reshape(shape) + 1.5


def bfloat16(values):
    return values.astype(pytest.importorskip("ml_dtypes").bfloat16)


DAY = dt.date(2026, 11, 28)
VALUES = {
    "float64": [floats],
    "float32": [lambda shape: floats(shape).astype(np.float32)],
    "float16": [lambda shape: floats(shape).astype(np.float16)],
    "bfloat16": [lambda shape: bfloat16(floats(shape))],
    "integers": [whole, lambda shape: whole(shape).astype(np.uint8)],
    "booleans": [lambda shape: whole(shape).astype(bool)],
    "floats: whole": [lambda shape: whole(shape).astype(float), lambda shape: whole(shape).astype(np.float16)],
    "floats: others": [floats, lambda shape: floats(shape).astype(np.float32)],
    "objects: numbers": [
        lambda shape: floats(shape).astype(object),
        lambda shape: np.vectorize(Decimal, otypes=[object])(floats(shape)),
        lambda shape: np.vectorize(Fraction, otypes=[object])(floats(shape)),
    ],
    "strings": [lambda shape: whole(shape).astype(str), lambda shape: whole(shape).astype(str).astype(object)],
    "dates": [lambda shape: np.datetime64("2026-11-28", "us") + whole(shape)],
    "durations": [lambda shape: whole(shape).astype("timedelta64[us]")],
    "complex numbers": [lambda shape: floats(shape) + 1j, lambda shape: floats(shape).astype(np.complex64)],
    "objects: others": [
        lambda shape: np.full(shape, DAY, dtype=object),
        lambda shape: np.full(shape, DtypeError, dtype=object),
    ],
}


def into(container, values):
    """Put values of NumPy into a container, or skip where it is not installed."""
    if container in {"NumPy", "lists"}:
        return values if container == "NumPy" else values.tolist() if values.dtype.kind not in "mM" else listed(values)
    if container in {"pandas", "polars"}:
        frames = pytest.importorskip(container)
        if values.ndim == 1:
            return frames.Series(values)
        return frames.DataFrame({f"x{i}": frames.Series(column) for i, column in enumerate(values.T)})
    if container.startswith("SciPy"):
        return getattr(sparse, f"{container[-3:]}_array")(values)
    backend = get_backend(container, None, "float32")
    if str(values.dtype) == "bfloat16":
        if container == "array_api_strict":
            pytest.skip("array_api_strict has no bfloat16")
        return backend.xp.astype(backend.asarray(values.astype(np.float32)), backend.xp.bfloat16)
    if values.dtype == np.float16 and container == "array_api_strict":
        pytest.skip("array_api_strict has no float16")
    return backend.asarray(values, dtype=None)


def on_host(values):
    if isinstance(values, np.ndarray | list | float):
        return np.asarray(values)
    return backend_of(values, "float32").to_numpy(values)


def listed(values):
    return [listed(row) for row in values] if values.ndim > 1 else list(values)


LIBRARIES = ["torch", "jax", "cupy", "array_api_strict"]  # the last stands in for a GPU
CONTAINERS = {
    "Polars": ["polars"],
    "SciPy sparse": ["SciPy csr", "SciPy csc", "SciPy coo"],
    "torch, JAX, CuPy": LIBRARIES,
}
CASES_OF_X = [
    (row, made, container, said)
    for row, column, said in table("X holds")
    for made in range(len(VALUES[row]))
    for container in CONTAINERS.get(column, [column])
]


@pytest.fixture
def container(request, pytestconfig):
    """Each container in turn; skip libraries that are not installed or not asked for. JAX's 64-bit mode is on."""
    if request.param in LIBRARIES and request.param not in pytestconfig.backends:
        pytest.skip(f"{request.param} is not installed, or not asked for")
    if request.param == "jax":
        get_backend("jax", None, "float64")
    return request.param


def calls_with_examples(X, fine, y):
    """Give every call that takes examples, with X in their place, of a classifier and a regressor."""
    for cls in (MLPClassifier, MLPRegressor):
        labels = {"classes": [0, 1]} if cls is MLPClassifier else {}
        fitted = cls(**FAST).fit(fine, y)
        yield lambda cls=cls: cls(**FAST).fit(X, y)
        yield lambda cls=cls: cls(**FAST, solver="lbfgs").fit(X, y)
        yield lambda cls=cls, labels=labels: cls(**FAST).partial_fit(X, y, **labels)
        yield lambda cls=cls: cls(**FAST).fit(fine, y, X_val=X, y_val=y)
        for name in ("predict", "transform", *(("predict_proba", "predict_log_proba") if labels else ())):
            yield lambda fitted=fitted, name=name: getattr(fitted, name)(X)
        yield lambda fitted=fitted: fitted.score(X, y)
        yield lambda fitted=fitted: fitted.sample_gradient_norms(X, y)


@pytest.mark.parametrize(("row", "made", "container", "said"), CASES_OF_X, indirect=["container"])
def test_examples_are_what_the_table_says(row, made, container, said):
    values = VALUES[row][made]((N, 3))
    X, y = into(container, values), whole(N)
    if said == "refused":
        fine = into(container, floats((N, 3))) if container in LIBRARIES or "SciPy" in container else floats((N, 3))
        for call in calls_with_examples(X, fine, y):
            with pytest.raises(DtypeError, match=r"X(_val)? has (dtype|values of type) .*, but must hold numbers"):
                call()
        return
    plain = values.astype(said)
    for cls, ask in ((MLPClassifier, "predict_proba"), (MLPRegressor, "predict")):
        model, expected = cls(**FAST).fit(X, y, X_val=X, y_val=y), cls(**FAST).fit(plain, y, X_val=plain, y_val=y)
        assert model.validation_loss_curve_ == pytest.approx(expected.validation_loss_curve_, rel=1e-4)
        model.partial_fit(X, y)
        expected.partial_fit(plain, y)
        results = model.coefs_[0], getattr(model, ask)(X), model.transform(X)
        wanted = expected.coefs_[0], getattr(expected, ask)(plain), expected.transform(plain)
        for mine, its in zip(results, wanted, strict=True):
            assert str(mine.dtype).rpartition(".")[2] == said == its.dtype
            np.testing.assert_allclose(on_host(mine), its, rtol=1e-8 if said == "float64" else 1e-4, atol=1e-6)
        assert model.score(X, y) == pytest.approx(expected.score(plain, y), rel=1e-4)


CASES_OF_Y = [
    (row, made, container, column, said)
    for row, column, said in table("they hold")
    for made in range(len(VALUES[row]))
    for container in ["NumPy", "lists", "pandas", "polars", *LIBRARIES]
    if container not in LIBRARIES or not re.match("strings|dates|durations|objects", row)
]


@pytest.mark.parametrize(("row", "made", "container", "column", "said"), CASES_OF_Y, indirect=["container"])
def test_targets_and_weights_are_what_the_table_says(row, made, container, column, said):
    values = VALUES[row][made](N)
    given, X = into(container, values), floats((N, 3))
    if container in LIBRARIES:
        X = into(container, X)
    cls = MLPClassifier if "classifier" in column else MLPRegressor
    y = whole(N)
    fitted = cls(**FAST).fit(X, y)
    first = {"classes": [0, 1]} if cls is MLPClassifier else {}
    if column == "weights":
        calls = {
            "fit": lambda: cls(**FAST).fit(X, y, given).coefs_[0],
            "partial_fit": lambda: cls(**FAST).partial_fit(X, y, given).coefs_[0],
            "validation": lambda: (
                cls(**FAST).fit(X, y, X_val=X, y_val=y, sample_weight_val=given).validation_loss_curve_
            ),
            "score": lambda: fitted.score(X, y, given),
        }
    else:
        calls = {
            "fit": lambda: cls(**FAST).fit(X, given).coefs_[0],
            "partial_fit": lambda: cls(**FAST).partial_fit(X, given, **first).coefs_[0],
            "validation": lambda: cls(**FAST).fit(X, y, X_val=X, y_val=given).validation_loss_curve_,
            "norms": lambda: fitted.sample_gradient_norms(X, given),
            "score": lambda: fitted.score(X, given),
        }
    if said == "refused":
        ours = InputError if cls is MLPRegressor else (ValueError, TypeError)  # scikit-learn's own, for classes
        for call in calls.values():
            with pytest.raises(ours, match=r"must hold numbers|[Uu]nknown|Complex|mix of|continuous|not supported"):
                call()
    elif said == "classes":
        model = cls(**FAST).fit(X, given)
        assert model.score(X, given) > 0
        assert on_host(model.classes_).shape == (2,)
    else:
        plain, host = values.astype(float), floats((N, 3))
        numpys = cls(**FAST).fit(host, y)
        expected = {
            "fit": cls(**FAST).fit(host, *((y, plain) if column == "weights" else (plain,))).coefs_[0],
            "score": numpys.score(host, *((y, plain) if column == "weights" else (plain,))),
        }
        for name, call in calls.items():
            result = on_host(call())
            assert np.isfinite(result).all()
            if name in expected:
                np.testing.assert_allclose(result, expected[name], rtol=1e-6, atol=1e-8)


# Numbers that are written, or laid out, otherwise


@pytest.mark.parametrize("container", ["NumPy", "pandas"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_bytes_in_the_other_order_are_computed_in_the_same_precision(container, dtype):
    native = floats((N, 3)).astype(dtype)
    X, y = into(container, native.astype(np.dtype(dtype).newbyteorder())), whole(N)
    model, expected = MLPClassifier(**FAST).fit(X, y), MLPClassifier(**FAST).fit(native, y)
    assert all(each.dtype == native.dtype and each.dtype.isnative for each in (*model.coefs_, model.predict_proba(X)))
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(native))


def test_rows_with_negative_strides_are_taken(backend_name, backend):
    X, y = floats((N, 3)), whole(N)
    model = MLPClassifier(**FAST, device=f"{backend.name}:{backend.device_name}").fit(X, y)
    for rows in (X[::-1][:1], X[:1, ::-1], X[::-1], X[::-1, ::-1][:1]):
        np.testing.assert_array_equal(model.predict_proba(rows), model.predict_proba(rows.copy()))
    weights = np.linspace(1, 2, N)
    assert model.score(X[::-1], y[::-1], weights[::-1]) == pytest.approx(model.score(X, y, weights))


# Two dtypes, one after another


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(("first", "then"), [("float32", "float64"), ("float64", "float32"), ("float32", "int64")])
def test_a_fit_that_continues_keeps_the_dtype_of_the_weights(solver, first, then):
    X, y = np.round(10 * floats((N, 3))), whole(N)
    model = MLPClassifier(**FAST, solver=solver, warm_start=True).fit(X.astype(first), y).fit(X.astype(then), y)
    if solver == "adam":
        model.partial_fit(X.astype(then), y)
    assert {each.dtype.name for each in (*model.coefs_, *model.intercepts_, model.predict_proba(X))} == {first}
    assert model.set_params(warm_start=False).fit(X, y).coefs_[0].dtype == np.float64


HUGE = 1e200


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_numbers_beyond_float32_are_refused_where_the_weights_are_float32(cls, form):
    X, y = floats((N, 3)).astype(np.float32), whole(N)
    beyond = np.where(np.arange(N) == 3, -HUGE, floats((N, 3)).T).T
    if form == "sparse":
        X, beyond = sparse.csr_array(X), sparse.csr_array(beyond)
    model = cls(**FAST).fit(X, y)
    asked = [model.predict, model.transform, *([model.predict_proba] if cls is MLPClassifier else [])]
    calls = [lambda ask=ask: ask(beyond) for ask in asked]
    calls += [lambda: model.score(beyond, y), lambda: model.sample_gradient_norms(beyond, y)]
    calls += [lambda: cls(**FAST, dtype="float32").fit(beyond, y), lambda: model.partial_fit(beyond, y)]
    for call in calls:
        with pytest.raises(
            InputError, match=r"^X holds -1e\+200, but is computed with in float32, whose numbers end at 3.4"
        ):
            call()
    with pytest.raises(InputError, match=r"^X_val holds -1e\+200"):
        cls(**FAST).fit(X, y, X_val=beyond, y_val=y)
    heavy = np.full(N, HUGE)
    with pytest.raises(InputError, match=r"^sample_weight holds 1e\+200"):
        cls(**FAST).fit(X, y, heavy)
    with pytest.raises(InputError, match=r"^sample_weight_val holds 1e\+200"):
        cls(**FAST).fit(X, y, X_val=X, y_val=y, sample_weight_val=heavy)
    if cls is MLPRegressor:
        with pytest.raises(InputError, match=r"^y holds 1e\+200"):
            cls(**FAST).fit(X, heavy)
        with pytest.raises(InputError, match=r"^y_val holds 1e\+200"):
            cls(**FAST).fit(X, y, X_val=X, y_val=heavy)
    largest = np.full((1, 3), np.float64(np.finfo(np.float32).max))
    model.transform(largest if form == "dense" else sparse.csr_array(largest), layer=0)


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="long doubles are float64 here")
@pytest.mark.parametrize(("fitted", "power", "said"), [("float32", 200, "X holds 1e.200"), ("float64", 400, "inf")])
def test_long_doubles_beyond_the_dtype_of_the_weights_are_refused(fitted, power, said):
    X, y = floats((N, 3)).astype(fitted), whole(N)
    model = MLPClassifier(**FAST).fit(X, y)
    within = floats((N, 3)).astype(np.longdouble)
    np.testing.assert_allclose(model.predict_proba(within), model.predict_proba(X), rtol=1e-5)
    beyond = np.full((2, 3), np.longdouble(10) ** power)
    for call in (model.predict, model.transform, lambda X: model.partial_fit(X, y[:2])):
        for given in (beyond, sparse.csr_array(beyond)):
            with pytest.raises(ValueError, match=said):
                call(given)


def test_numbers_beyond_float32_are_refused_in_every_library(backend, backend32):
    X, y = backend32.asarray(floats((N, 3))), whole(N)
    model = MLPClassifier(**FAST).fit(X, y)
    with pytest.raises(InputError, match=r"^X holds 1e\+200, but is computed with in float32"):
        model.predict(backend.asarray(np.full((2, 3), HUGE)))
    on_device = MLPClassifier(**FAST, device=f"{backend.name}:{backend.device_name}", dtype="float32")
    with pytest.raises(InputError, match=r"^X holds 1e\+200, but is computed with in float32"):
        on_device.fit(np.full((N, 3), HUGE), y)
