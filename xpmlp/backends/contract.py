"""What the maths asks of an array library, call by call: each as it is made there, beside what NumPy gives.

`xpmlp info --backend NAME` tries them all. A library that passes computes what NumPy does; one that does not is told
which of its functions to look at.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xpmlp.backends.base import DTYPES
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.backends.rehearsal import leaves
from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xpmlp.backends.base import Backend
    from xpmlp.common.types import Array, Namespace

TOLERANCE = 32  # roundings of the dtype, of the largest number that is expected


class Given(NamedTuple):
    """What a call may use: arrays of the backend, but `order`, of the host."""

    backend: Backend
    X: Array  # (6, 4), with zeros, and numbers that exp takes to the ends of the dtype
    P: Array  # (6, 4), positive, as all that follows but `b`: no sum loses digits
    W: Array  # (4, 3)
    b: Array  # (3,)
    S: Array  # (2, 4, 3): the weights of a stack of two
    Y: Array  # (2, 6, 4): examples of its members
    rate: Array  # 0-d
    rows: Array  # (6,), integers: a full permutation
    few: Array  # (2, 3), integers: rows of each member
    bits: Array  # (6,), int32, whose products overflow


def _given(backend: Backend) -> Given:
    draw = np.random.default_rng(0).normal
    X = np.vstack([draw(size=(4, 4)), [[0.0, -0.0, 30.0, -30.0], [1e-4, -1e-4, 85.0, -80.0]]])
    bits = backend.xp.astype(backend.asindex([0, 1, -1, 2**31 - 1, -(2**31), 12345]), backend.xp.int32)
    return Given(
        backend,
        X=backend.asarray(X),
        P=backend.asarray(np.exp(draw(size=(6, 4)))),
        W=backend.asarray(np.exp(draw(size=(4, 3)))),
        b=backend.asarray(draw(size=3)),
        S=backend.asarray(np.exp(draw(size=(2, 4, 3)))),
        Y=backend.asarray(np.exp(draw(size=(2, 6, 4)))),
        rate=backend.asarray(0.3),
        rows=backend.asindex([3, 0, 5, 1, 4, 2]),
        few=backend.asindex([[5, 0, 5], [2, 1, 0]]),
        bits=bits,
    )


def _in_place(_: Namespace, g: Given) -> Any:
    x = g.backend.copy_to_device(g.X)
    x += g.P
    x -= 0.5 * g.P
    x *= g.rate
    x /= 2.0
    return x, g.X


def _copies(xp: Namespace, g: Given) -> Any:
    x = g.backend.copy_to_device(g.X)
    y = xp.asarray(x, copy=True)
    y += 1.0
    return x, y


def _counter(xp: Namespace, g: Given) -> Any:
    t = xp.asarray(g.backend.asindex(3), copy=True)
    t += 1
    return t, xp.astype(t, g.rate.dtype) * g.rate


def _products(xp: Namespace, g: Given) -> Any:
    """Multiply integers of 32 bits as dropout's hash does: in 64 bits where they are not known to wrap around."""
    factor = 0xED5AD4BB - 2**32
    if not g.backend.integers_wrap:
        product = xp.astype(g.bits, xp.int64) * factor
        return xp.astype(xp.remainder(product + 2**31, 2**32) - 2**31, xp.int32)
    x = xp.asarray(g.bits, copy=True)
    x *= factor
    return x


def _refilled(_: Namespace, g: Given) -> Any:
    return g.backend.refill(g.backend.copy_to_device(g.X), 2.0)


def _compiled(xp: Namespace, g: Given) -> Any:
    def step(values: Any, x: Array) -> Any:
        return [p - 0.1 * xp.matmul(xp.matrix_transpose(x), xp.matmul(x, p)) for p in values]

    return g.backend.compile(step, donate=(0,))([g.backend.copy_to_device(g.W)], g.P)


def _tie(xp: Namespace, g: Given) -> Any:
    return xp.argmax(xp.zeros_like(g.X), axis=-1)


# In the words of the standard; what is long is a function above.
CALLS: dict[str, Callable[[Namespace, Given], Any]] = {
    "matmul of matrices": lambda xp, g: xp.matmul(g.P, g.W),
    "matmul with a transposed matrix": lambda xp, g: xp.matmul(xp.matrix_transpose(g.P), g.P),
    "matmul of a stack and shared examples": lambda xp, g: xp.matmul(g.P, g.S),
    "matmul of two stacks": lambda xp, g: xp.matmul(g.Y, g.S),
    "exp, then matmul": lambda xp, g: xp.matmul(xp.exp(-g.P), g.W),
    "matmul of a row and a column": lambda xp, g: xp.matmul(xp.reshape(g.W, (1, -1)), xp.reshape(g.W, (-1, 1))),
    "matrix_transpose of a stack": lambda xp, g: xp.matrix_transpose(g.S),
    "bias added to rows": lambda xp, g: xp.matmul(g.P, g.W) + g.b[..., None, :],
    "numbers and arrays in operators": lambda _, g: (1.0 - g.X, 2.0 * g.X, 1.0 / g.P, g.X / 3.0, -g.X, g.X + 1.0),
    "a 0-d array times a matrix": lambda _, g: (g.rate * g.X, g.X - g.rate),
    "comparisons": lambda _, g: (g.X > 0, g.X < g.P, g.rows >= 3, g.X == 0, (g.X > 0) == (g.P > 1.0)),
    "broadcasting (6, 1) with (1, 4)": lambda _, g: g.X[:, 0:1] * g.P[0:1, :],
    "broadcasting (2, 1, 1) with (2, 4, 3)": lambda xp, g: xp.reshape(g.b[0:2], (2, 1, 1)) * g.S,
    "exp": lambda xp, g: xp.exp(g.X),
    "exp of very negative numbers": lambda xp, g: xp.exp(g.X * 100.0 - 9000.0),
    "expm1 near zero": lambda xp, g: (xp.expm1(xp.minimum(g.X, xp.zeros_like(g.X))), xp.expm1(g.X * 1e-6)),
    "log": lambda xp, g: xp.log(g.P),
    "logaddexp": lambda xp, g: xp.logaddexp(g.X, xp.zeros_like(g.X)),
    "tanh": lambda xp, g: xp.tanh(g.X),
    "sqrt": lambda xp, g: xp.sqrt(g.P),
    "cos of many numbers": lambda xp, g: (xp.cos(math.pi * g.rate), xp.cos(g.P)),
    "sin": lambda xp, g: (xp.sin(g.P), xp.sin(g.X[:4, ...])),
    "abs": lambda xp, g: xp.abs(g.X),
    "floor": lambda xp, g: xp.floor(g.X * 10.0),
    "maximum and minimum": lambda xp, g: (xp.maximum(g.X, xp.zeros_like(g.X)), xp.minimum(g.X, g.P)),
    "maximum with NaN": lambda xp, g: xp.isfinite(xp.maximum(g.X * math.nan, g.P)),
    "where": lambda xp, g: (xp.where(g.X > 0, g.X, 0.01 * g.X), xp.where(g.X == 0, xp.ones_like(g.X), g.X)),
    "isfinite": lambda xp, g: xp.isfinite(g.X / xp.abs(g.X)),
    "sum of all": lambda xp, g: xp.sum(g.P, axis=(-2, -1)),
    "sum over rows, and over columns kept": lambda xp, g: (xp.sum(g.P, axis=-2), xp.sum(g.P, axis=-1, keepdims=True)),
    "sum of a stack": lambda xp, g: (xp.sum(xp.abs(g.S), axis=(-2, -1)), xp.sum(g.S * g.S, axis=-2)),
    "max over columns kept": lambda xp, g: xp.max(g.X, axis=-1, keepdims=True),
    "max and min of all": lambda xp, g: (xp.max(g.X), xp.min(g.X)),
    "mean and var over rows": lambda xp, g: (xp.mean(g.P, axis=0), xp.var(g.P, axis=0)),
    "argmax over columns": lambda xp, g: xp.argmax(g.X, axis=-1),
    "argmax of equal numbers is the first": _tie,
    "all and any over an axis": lambda xp, g: (
        xp.all(g.P > 0, axis=(-2, -1)),
        xp.all(g.X > 0, axis=-1),
        xp.any(g.X > 1.0, axis=0),
    ),
    "take of a full permutation": lambda xp, g: xp.take(g.X, g.rows, axis=-2),
    "take of some rows, one twice": lambda xp, g: xp.take(g.X, g.few[0, ...], axis=0),
    "take along the rows of a stack": lambda xp, g: xp.take_along_axis(g.Y, g.few[..., None], axis=-2),
    "slices": lambda _, g: (g.X[2:5, ...], g.X[..., 1:2, :], g.X[:, ::2], g.S[1, ...], g.rows[..., 2:4]),
    "broadcast_to a stack": lambda xp, g: xp.broadcast_to(g.X, (2, 6, 4)),
    "reshape": lambda xp, g: (xp.reshape(g.S, (-1,)), xp.reshape(g.X, (3, 2, 4)), xp.reshape(g.b[0:1], ())),
    "concat": lambda xp, g: (xp.concat([g.X, g.P], axis=-1), xp.concat([g.b, g.b], axis=0)),
    "stack": lambda xp, g: (xp.stack([g.X, g.P]), xp.stack([g.rate, xp.sum(g.P)], axis=-1)),
    "zeros_like, ones_like, full_like": lambda xp, g: (xp.zeros_like(g.X), xp.ones_like(g.b), xp.full_like(g.X, 0.5)),
    "astype of booleans and integers": lambda xp, g: (
        xp.astype(g.X > 0, g.X.dtype),
        xp.astype(g.rows, g.X.dtype),
        xp.astype(g.rows, xp.int32),
    ),
    "astype to float32": lambda xp, g: xp.astype(g.X, xp.float32),
    "sum keeps the dtype": lambda xp, g: xp.sum(xp.astype(g.X > 0, g.X.dtype)),
    "shifts, & and ^ of int32": lambda xp, g: (xp.bitwise_xor(g.bits, (g.bits >> 11) & (2**21 - 1)), g.bits ^ 77),
    "products of int32, modulo 2**32": _products,
    "int32 reaches its ends": lambda _, g: g.bits >= -(2**31),
    "isdtype and finfo": lambda xp, g: (
        g.X * float(xp.finfo(g.X.dtype).eps),
        g.X * (2.0 if xp.isdtype(g.rows.dtype, "integral") else 1.0),
    ),
    "+=, -=, *= and /= write to a copy alone": _in_place,
    "asarray with copy=True": _copies,
    "a counter of steps": _counter,
    "refill": _refilled,
    "a compiled step": _compiled,
}


class Verdict(NamedTuple):
    """What became of a call in a dtype."""

    call: str
    dtype: str
    problem: str  # "" where it gives what NumPy gives


def try_calls(kind: type[Backend], device: Any = None) -> Iterator[Verdict]:
    """Try every call in both dtypes, those alone that there are on the device.

    Parameters
    ----------
    kind : type
        The class of a backend, as `find_backend` gives it.
    device : str, optional
        As for `get_backend`.

    Yields
    ------
    Verdict
        Of each call.

    Raises
    ------
    BackendError
        Where the backend cannot be opened in either dtype.
    """
    opened, refused = [], None
    for dtype in DTYPES:
        try:
            opened.append(kind(device, dtype))
        except BackendError as error:
            refused = error
    if refused is not None and not opened:
        raise refused
    for backend in opened:
        reference = NumpyBackend(dtype=backend.dtype)
        for name, call in CALLS.items():
            with warnings.catch_warnings(action="ignore"):  # of infinities and the like, from whatever thread
                expected = list(leaves(call(reference.xp, _given(reference))))
                problem = _problem(backend, call, expected)
            yield Verdict(name, backend.dtype, problem)
    if refused is not None:
        yield Verdict("opening", next(d for d in DTYPES if d != opened[0].dtype), str(refused))


def _problem(backend: Backend, call: Callable[[Namespace, Given], Any], expected: list[np.ndarray]) -> str:
    try:
        with backend.computing():
            found = list(leaves(call(backend.xp, _given(backend))))
            kept = all(backend.holds(x) and backend.on_device(x) for x in found)
            host = [backend.to_numpy(x) for x in found]
    except Exception as error:  # noqa: BLE001 - what a library raises is what is looked for
        cause = error.__cause__ or error
        return f"raises {type(cause).__name__}: {' '.join(str(cause).split())}"
    if not kept:
        return "gives what is not an array of the library on its device"
    return next(filter(None, map(_difference, host, expected)), "")


def _difference(found: np.ndarray, expected: Any) -> str:
    """Say how far a result is from NumPy's; "" where it is as near as rounding allows."""
    expected = np.asarray(expected)
    if found.shape != expected.shape:
        return f"has shape {found.shape}, but must have {expected.shape}"
    if found.dtype != expected.dtype and not {found.dtype.kind, expected.dtype.kind} <= {"i", "u"}:
        return f"has dtype {found.dtype}, but must have {expected.dtype}"
    if expected.dtype.kind != "f":
        wrong = int(np.count_nonzero(found != expected))
        return f"{wrong} of {expected.size} numbers are wrong" if wrong else ""
    same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(all="ignore"):
        error = np.abs(found - expected) / np.maximum(np.abs(expected), np.finfo(expected.dtype).smallest_normal)
    off = np.where(same, 0.0, np.where(np.isfinite(error), error, np.inf))
    worst = float(off.max(initial=0.0))
    return f"is off by {worst:.1e}, relatively" if worst > TOLERANCE * np.finfo(expected.dtype).eps else ""
