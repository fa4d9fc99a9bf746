"""NumPy's shortcuts give what the functions of the standard give, and freed memory stays with the process."""

import os
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xpmlp.backends import get_backend

PROGRAM = """
import sys
import numpy as np
from xpmlp import MLPClassifier
X = np.arange(20.0).reshape(10, 2)
for solver in ("adam", "lbfgs"):
    MLPClassifier(max_iter=2, solver=solver).fit(X, X[:, 0] > 9).to_model().predict(X)
assert "array_api_compat.numpy" not in sys.modules
"""
XP = get_backend("numpy").xp
SHAPES = st.one_of(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),  # short rows and long ones
    st.tuples(st.integers(1, 5)),
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 3)),
    st.just(()),
)
DTYPES = st.sampled_from(["float32", "float64", "int64"])
VALUES = DTYPES.flatmap(lambda dtype: arrays(dtype, SHAPES, elements={"min_value": -100, "max_value": 100}))


@settings(deadline=None)
@given(x=VALUES, data=st.data(), keepdims=st.booleans())
@pytest.mark.parametrize("name", ["sum", "max"])
def test_a_reduction_is_numpys(name, x, data, keepdims):
    axes = [None, *range(-x.ndim, x.ndim), *[(-2, -1)] * (x.ndim > 1)]
    axis = data.draw(st.sampled_from(axes))
    result = getattr(XP, name)(x, axis=axis, keepdims=keepdims)
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    tolerance = 1e-4 if x.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance if name == "sum" else 0)


OPERANDS = [((4, 3), (3, 5)), ((4, 1), (1, 5)), ((1, 3), (3, 1)), ((3,), (3, 5)), ((4, 3), (3,)), ((3,), (3,))]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize(("one", "other"), [*OPERANDS, ((2, 4, 3), (3, 5)), ((0, 3), (3, 2)), ((2, 0), (0, 2))])
def test_a_product_is_numpys(rng, dtype, one, other):
    x, y = (rng.integers(-9, 9, shape).astype(dtype) for shape in (one, other))
    for a, b in ((x, y), (x[::-1], y), (np.asfortranarray(x), y)):
        result, expected = XP.matmul(a, b), np.matmul(a, b)
        np.testing.assert_array_equal(result, expected, strict=True)


@pytest.mark.parametrize(("one", "other"), [((3,), ()), ((), (3,)), ((4, 3), (4, 3))])
def test_a_product_that_the_standard_does_not_know_is_refused(one, other):
    with pytest.raises(ValueError, match=r"matmul|shapes"):
        XP.matmul(np.ones(one), np.ones(other))


@pytest.mark.parametrize("rows", [3, 20])
def test_other_arguments_of_the_standard_are_numpys_too(rows):
    x = np.arange(rows * 4.0).reshape(rows, 4)
    assert XP.sum(x, axis=(0, 1)) == x.sum()
    assert XP.sum(np.float32(x), axis=0, dtype=np.float64).dtype == np.float64
    assert XP.max(x, axis=(0, 1)) == x.max()
    for reduction in (XP.sum, XP.max):
        with pytest.raises(np.exceptions.AxisError):
            reduction(x, axis=5)
    assert XP.zeros_like(x, dtype=np.int64).dtype == np.int64
    assert XP.take(x[:, 0], np.array([2])).tolist() == [8.0]
    assert XP.sort(x[:, 0], descending=True).tolist() == sorted(x[:, 0], reverse=True)
    assert isinstance(hash(XP), int)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_reduction_passes_on_what_is_not_finite(axis, bad):
    x = np.ones((3, 4))
    x[1, 2] = bad
    np.testing.assert_array_equal(XP.sum(x, axis=axis), x.sum(axis=axis))
    np.testing.assert_array_equal(XP.max(x, axis=-1), x.max(axis=-1))


def test_rows_are_taken_converted_and_replaced_by_zeros_as_numpy_does():
    x = np.arange(12, dtype=np.uint8).reshape(4, 3)
    np.testing.assert_array_equal(XP.take(x, np.array([2, 0]), axis=0), np.take(x, [2, 0], axis=0))
    assert XP.astype(x, np.float32).dtype == np.float32
    assert XP.zeros_like(x).tolist() == np.zeros_like(x).tolist()
    with pytest.raises(IndexError):
        XP.take(x, np.array([4]), axis=0)


FAULTS = """
import resource, sys
import numpy as np
from xpmlp.backends import get_backend
if sys.argv[1] == "kept":
    get_backend("numpy")
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    minibatch = [np.ones(2**17) for _ in range(4)]
    del minibatch
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif("linux" not in sys.platform, reason="the C library is not glibc")
def test_memory_that_a_step_frees_is_not_handed_out_by_the_system_again():
    faults = {}
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}  # Dask sets one
    for variant in ("kept", "given back"):
        command = [sys.executable, "-c", FAULTS, variant]
        faults[variant] = int(subprocess.run(command, check=True, capture_output=True, text=True, env=own).stdout)  # noqa: S603 - our own command
    if faults["given back"] < 10_000:
        pytest.skip("this C library keeps freed memory anyway")
    assert faults["kept"] < faults["given back"] / 10


def test_neither_training_nor_predicting_imports_all_of_numpy():
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=True)  # noqa: S603 - our own program


def test_other_names_of_the_standard_are_there_too_and_in_other_processes():
    x = np.array([2.0, 3.0, 1.0])
    np.testing.assert_array_equal(XP.sort(x, descending=True), [3.0, 2.0, 1.0])
    assert XP.bool is np.bool_
    assert not hasattr(XP, "no_such_function")
    function = cloudpickle.loads(cloudpickle.dumps(lambda x: XP.exp(XP.cumulative_sum(x))))
    np.testing.assert_array_equal(function(x), np.exp([2.0, 5.0, 6.0]))
