"""ONNX graphs of what is written against the array API standard: values that record what is done with them.

`XP` is NumPy's namespace, with functions in place of those that meet such a value: what is constant, NumPy computes at
once.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, cast

import numpy as np

from xpmlp.backends.elementwise import replacing
from xpmlp.nn.network import naming_own_functions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from xpmlp.models.exports._onnx_graph import Graph
    from xpmlp.nn.network import Network

    Values = Any  # a Traced, an array of NumPy or a number

COMPARISONS = ("Greater", "Less", "Equal", "GreaterOrEqual", "LessOrEqual", "And", "Or")
NEUTRAL = {"Add": 0, "Sub": 0, "Mul": 1, "Div": 1}  # on the right


def _binary(operator: str, *, reflected: bool = False) -> Any:
    def method(self: Traced, other: Values) -> Traced:
        return _elementwise(operator, *((other, self) if reflected else (self, other)))

    return method


class Traced:
    """A value of a graph, which records what is done with it, as an array of the standard.

    A length that the graph leaves free is in `shape` as it was given: a string, or the 0-d value that holds it.
    """

    __slots__ = ("cut", "dtype", "graph", "name", "shape")
    __array_ufunc__ = None  # so that arrays of NumPy leave what is done with both to this class
    __hash__ = None  # type: ignore[assignment]  # as arrays have none

    def __init__(self, graph: Graph, name: str, dtype: Any, shape: Sequence[Any]) -> None:
        self.graph, self.name, self.dtype, self.shape = graph, name, np.dtype(dtype), tuple(shape)
        self.cut: tuple[Traced, int, range] | None = None  # of which value, along which axis, which part it is

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("an ONNX graph is made, for which this function of NumPy is not known")

    def __bool__(self) -> NoReturn:
        raise TypeError("an ONNX graph is made, in which no value is known yet")

    __add__, __radd__ = _binary("Add"), _binary("Add", reflected=True)
    __sub__, __rsub__ = _binary("Sub"), _binary("Sub", reflected=True)
    __mul__, __rmul__ = _binary("Mul"), _binary("Mul", reflected=True)
    __truediv__, __rtruediv__ = _binary("Div"), _binary("Div", reflected=True)
    __pow__, __rpow__ = _binary("Pow"), _binary("Pow", reflected=True)
    __gt__, __lt__ = _binary("Greater"), _binary("Less")
    __ge__, __le__ = _binary("GreaterOrEqual"), _binary("LessOrEqual")
    __eq__, __and__, __or__ = _binary("Equal"), _binary("And"), _binary("Or")

    def __ne__(self, other: Values) -> Traced:  # type: ignore[override]  # an array compares by element
        return operator("Not", self == other)

    def __invert__(self) -> Traced:
        return operator("Not", self)

    def __neg__(self) -> Traced:
        return _elementwise("Neg", self)

    def __getitem__(self, key: Any) -> Traced:
        return _item(self, key if isinstance(key, tuple) else (key,))


@contextmanager
def recording(network: Network) -> Iterator[None]:
    """Name the functions of the user's own that ask for what a graph or its values do not have, as an `InputError`."""
    with naming_own_functions(network):
        try:
            yield
        except (AttributeError, IndexError, ValueError) as error:
            raise TypeError(f"an ONNX graph is made: {error}") from error


def operator(name: str, x: Traced, dtype: Any = None, shape: Any = None, **attributes: Any) -> Traced:
    """Record an operator of ONNX on one value, whose dtype and shape the result has unless others are given."""
    made = x.graph.add(name, x.name, **attributes)
    return Traced(x.graph, made, x.dtype if dtype is None else dtype, x.shape if shape is None else shape)


def _elementwise(name: str, *values: Values) -> Traced:
    """Record an operator of elements, on values of a common dtype."""
    graph = next(value.graph for value in values if isinstance(value, Traced))
    dtype = np.result_type(*(value.dtype if isinstance(value, Traced) else value for value in values))
    x, last = values[0], values[-1]
    if isinstance(x, Traced) and x.dtype == dtype and name in NEUTRAL and _is(last, NEUTRAL[name]):
        return x
    names = [_named(graph, value, dtype) for value in values]
    shape = _broadcast(*(np.shape(value) if not isinstance(value, Traced) else value.shape for value in values))
    return Traced(graph, graph.add(name, *names), bool if name in COMPARISONS else dtype, shape)


def _is(value: Values, number: float) -> bool:
    """Whether a value is a number, so that it is known."""
    return not isinstance(value, Traced) and np.ndim(value) == 0 and bool(value == number)


def _named(graph: Graph, value: Values, dtype: Any) -> str:
    """Return the name of a value in a dtype."""
    if not isinstance(value, Traced):
        return graph.unnamed(np.asarray(value, dtype))
    return value.name if value.dtype == dtype else graph.cast(value.name, dtype)


def _broadcast(*shapes: Sequence[Any]) -> tuple[Any, ...]:
    """Return the common shape."""
    most = max(map(len, shapes))
    axes = zip(*((1,) * (most - len(shape)) + tuple(shape) for shape in shapes), strict=True)
    return tuple(next((n for n in lengths if not (isinstance(n, int) and n == 1)), 1) for lengths in axes)


def _item(x: Traced, key: tuple[Any, ...]) -> Traced:
    """Record slices and new axes."""
    at = next((i for i, part in enumerate(key) if part is ...), len(key))
    rest = x.ndim - sum(isinstance(part, slice) for part in key)
    parts = [*key[:at], *(slice(None),) * rest, *key[at + 1 :]]
    if not all(part is None or (isinstance(part, slice) and part.step in {None, 1}) for part in parts):
        raise TypeError("an ONNX graph is made, in which slices of neighbours and new axes are the only indices")
    shape, spans = list(x.shape), []
    for axis, span in enumerate(part for part in parts if part is not None):
        if span != slice(None):
            start, stop, _ = span.indices(shape[axis])
            if (start, stop) != (0, shape[axis]):
                spans.append((start, stop, axis))
                shape[axis] = stop - start
    name = x.name
    if spans:
        name = x.graph.add("Slice", name, *(x.graph.unnamed(np.array(part)) for part in zip(*spans, strict=True)))
    if new := [axis for axis, part in enumerate(parts) if part is None]:
        name = x.graph.add("Unsqueeze", name, x.graph.unnamed(np.array(new)))
        for axis in new:
            shape.insert(axis, 1)
    item = Traced(x.graph, name, x.dtype, shape)
    if not new:
        start, stop, axis = spans[0] if len(spans) == 1 else (0, shape[-1], x.ndim - 1)
        item.cut = (x, axis, range(start, stop)) if len(spans) < 2 and isinstance(stop, int) else None
    return item


def _where(condition: Values, x: Values, y: Values) -> Traced:
    graph = next(value.graph for value in (condition, x, y) if isinstance(value, Traced))
    dtype = np.result_type(*(value.dtype if isinstance(value, Traced) else value for value in (x, y)))
    names = _named(graph, condition, bool), _named(graph, x, dtype), _named(graph, y, dtype)
    shape = _broadcast(*(getattr(value, "shape", ()) for value in (condition, x, y)))
    return Traced(graph, graph.add("Where", *names), dtype, shape)


def _maximum(x: Values, y: Values) -> Traced:
    return operator("Relu", x) if _is(y, 0) else _elementwise("Max", x, y)


def _logaddexp(x: Values, y: Values) -> Traced:
    return cast("Traced", XP.maximum(x, y) + XP.log(1.0 + XP.exp(-XP.abs(x - y))))


def _expm1(x: Traced) -> Traced:
    """e^x - 1, with all its digits near 0: tanh(x / 2) (e^x + 1)."""
    return cast("Traced", XP.tanh(0.5 * x) * (XP.exp(x) + 1.0))


def _log1p(x: Traced) -> Traced:
    """ln(1 + x), with all its digits near 0 (Goldberg, 1991)."""
    above = 1.0 + x
    exact = above == 1.0
    return _where(exact, x, x * XP.log(above) / _where(exact, 1.0, above - 1.0))


def _matmul(x: Values, y: Values) -> Traced:
    graph = next(value.graph for value in (x, y) if isinstance(value, Traced))
    dtype = np.result_type(x.dtype, y.dtype)
    name = graph.add("MatMul", _named(graph, x, dtype), _named(graph, y, dtype))
    shape = *_broadcast(x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1]
    return Traced(graph, name, dtype, shape)


def _matrix_transpose(x: Traced) -> Traced:
    *axes, i, j = range(x.ndim)
    return operator("Transpose", x, shape=(*x.shape[:-2], x.shape[-1], x.shape[-2]), perm=[*axes, j, i])


def _concat(values: Sequence[Values], *, axis: int = 0) -> Traced:
    graph = next(value.graph for value in values if isinstance(value, Traced))
    dtype = np.result_type(*(value.dtype for value in values))
    shape = list(values[0].shape)
    shape[axis] = sum(value.shape[axis] for value in values)
    cuts = [cut for value in values if (cut := getattr(value, "cut", None)) and cut[1] == axis % len(shape)]
    if len(cuts) == len(values) and all(cut[0] is cuts[0][0] for cut in cuts):  # parts of one value
        places = np.concatenate([cut[2] for cut in cuts])
        made = graph.add("Gather", cuts[0][0].name, graph.unnamed(places), axis=axis)
        return Traced(graph, made, dtype, shape)
    return Traced(
        graph, graph.add("Concat", *(_named(graph, value, dtype) for value in values), axis=axis), dtype, shape
    )


def _reshape(x: Traced, shape: Sequence[Any]) -> Traced:
    """Record another shape; lengths that the graph leaves free stay where they are."""
    _check_free(shape, x.shape)
    free = [n if isinstance(n, int) else 0 for n in shape]
    known = math.prod(n for n in x.shape if isinstance(n, int)) // math.prod(n for n in free if n > 0)
    name = x.graph.add("Reshape", x.name, x.graph.unnamed(np.array(free, np.int64)))
    return Traced(x.graph, name, x.dtype, [known if isinstance(n, int) and n == -1 else n for n in shape])


def _broadcast_to(x: Traced, shape: Sequence[Any]) -> Traced:
    own = (1,) * (len(shape) - x.ndim) + x.shape
    _check_free(shape, own)
    if own == tuple(shape):
        return x
    lengths = np.array([n if isinstance(n, int) else 1 for n in shape])
    return Traced(x.graph, x.graph.add("Expand", x.name, x.graph.unnamed(lengths)), x.dtype, shape)


def _check_free(shape: Sequence[Any], own: Sequence[Any]) -> None:
    """Raise where a length that the graph leaves free is asked for in a place that has another one."""
    for i, n in enumerate(shape):
        if not isinstance(n, int) and (i >= len(own) or own[i] is not n):
            raise TypeError("an ONNX graph is made, in which the number of rows is asked for in its own place alone")


def _reduce(name: str, x: Traced, /, *, axis: Any = None, keepdims: bool = False) -> Traced:
    given = range(x.ndim) if axis is None else np.atleast_1d(axis).tolist()
    axes = sorted(each % x.ndim for each in given)
    kept = [n if i not in axes else 1 for i, n in enumerate(x.shape) if keepdims or i not in axes]
    if not axes:
        return x
    if name == "ReduceSum":  # the only one whose axes are an input
        graph = x.graph
        made = graph.add(name, x.name, graph.unnamed(np.array(axes)), keepdims=int(keepdims))
        return Traced(graph, made, x.dtype, kept)
    return operator(name, x, shape=kept, axes=axes, keepdims=int(keepdims))


def _argmax(x: Traced, *, axis: int) -> Traced:
    kept = [n for i, n in enumerate(x.shape) if i != axis % x.ndim]
    return operator("ArgMax", x, np.int64, kept, axis=axis, keepdims=0)


def _var(x: Traced, *, axis: Any) -> Traced:
    apart = x - XP.mean(x, axis=axis, keepdims=True)
    return cast("Traced", XP.mean(apart * apart, axis=axis))


def _astype(x: Traced, dtype: Any, *, copy: bool = True) -> Traced:  # noqa: ARG001 - the standard's
    return x if x.dtype == dtype else operator("Cast", x, dtype, to=x.graph.type_of(dtype))


def _full_like(x: Traced, value: float) -> np.generic:
    """Return a number in the dtype of a value: as all that it meets is broadcast, it needs no shape."""
    return cast("np.generic", x.dtype.type(value))


def _recording(name: str, function: Any) -> Any:
    """Return a function of values, which is NumPy's own where none is traced."""
    of_numpy = getattr(np, name)

    def either(*values: Values, **options: Any) -> Any:
        parts = values[0] if isinstance(values[0], list | tuple) else values
        is_traced = any(isinstance(value, Traced) for value in parts)
        return (function if is_traced else of_numpy)(*values, **options)

    return either


# What onnxruntime computes in float32 and float64 alike.
SAME_NAMES = ("abs", "ceil", "cos", "exp", "floor", "log", "sign", "sin", "sqrt", "tanh", "greater", "less")
OPERATORS = {name: name.title() for name in SAME_NAMES}
OPERATORS |= {"add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "pow": "Pow", "negative": "Neg"}
OPERATORS |= {"minimum": "Min", "greater_equal": "GreaterOrEqual", "less_equal": "LessOrEqual", "equal": "Equal"}
OPERATORS |= {"logical_and": "And", "logical_or": "Or"}
FUNCTIONS: dict[str, Any] = {
    **{name: partial(_elementwise, each) for name, each in OPERATORS.items()},
    **{name: partial(_reduce, f"Reduce{name.title()}") for name in ("sum", "mean", "max", "min")},
    "argmax": _argmax,
    "astype": _astype,
    "broadcast_to": _broadcast_to,
    "concat": _concat,
    "expm1": _expm1,
    "full_like": _full_like,
    "isnan": lambda x: operator("IsNaN", x, bool),
    "log1p": _log1p,
    "logaddexp": _logaddexp,
    "logical_not": lambda x: operator("Not", x),
    "matmul": _matmul,
    "matrix_transpose": _matrix_transpose,
    "maximum": _maximum,
    "ones_like": lambda x: _full_like(x, 1.0),
    "reshape": _reshape,
    "square": lambda x: x * x,
    "var": _var,
    "where": _where,
    "zeros_like": lambda x: _full_like(x, 0.0),
}
XP = replacing(np, **{name: _recording(name, function) for name, function in FUNCTIONS.items()})
