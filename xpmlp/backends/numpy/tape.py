"""What a function asks of NumPy, written down once and replayed: the same calls on the same memory, no Python between.

At small sizes a call of NumPy takes half a microsecond, and the Python around it as long again. `Tape.record` calls a
function with arrays that stand for those of NumPy: each operation is done, and written down with the memory of its
result. `Tape.replay` does them again. As in a graph of CUDA, nothing may depend on the values of an array.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from xpmlp.backends.rehearsal import leaves, mapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VIEWS = {np.broadcast_to, np.expand_dims, np.moveaxis, np.reshape, np.squeeze, np.swapaxes, np.transpose}
BY_KEYWORD = {np.maximum, np.minimum}  # where NumPy will not take `out` by its place, which is faster
MIN_CLEARED = 2**16  # bytes of a product from which on NumPy's `dot`, which clears them first, is the slower one
NO_ROWS = np.empty(0, dtype=np.int64)


class UnrecordableError(Exception):
    """Something that cannot be written down: a function without a rule here, or a look at an array's values."""


class Tape:
    """Calls of NumPy in their order, each with where its result goes.

    Parameters
    ----------
    rows : ndarray of int, optional
        Where the numbers of a minibatch's examples are put, which are known to be there.
    """

    def __init__(self, rows: np.ndarray = NO_ROWS) -> None:
        self.rows = rows
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._uses: list[tuple[object, list[object]]] = []  # of each call: the value it makes, and those that it reads
        self._free: defaultdict[Any, list[np.ndarray]] = defaultdict(list)

    @property
    def nbytes(self) -> int:
        """The memory that the tape holds: results, and arrays that are the same for all steps."""
        calls = [(*arguments, *getattr(function, "keywords", {}).values()) for function, arguments in self._calls]
        arrays = (x for call in calls for x in call if isinstance(x, np.ndarray))
        owners = (x if x.base is None else x.base for x in arrays)
        held = {id(x): x.nbytes for x in owners if isinstance(x, np.ndarray) and x.base is None}
        return sum(held.values())

    def replay(self) -> None:
        """Do it all again."""
        for function, arguments in self._calls:
            function(*arguments)

    def record(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, writing down what it does: its results, in the memory where each replay leaves them.

        A tape is recorded once. Its replays read and write where the arguments lie, arrays of NumPy and nests of them.
        An `UnrecordableError` comes with part of it done.
        """
        inputs = mapped(lambda x: Recorded(self, x), arguments)
        results = function(*inputs)
        self._drop_unread({x.value for x in leaves((inputs, results)) if isinstance(x, Recorded)})
        return mapped(_plain, results)

    def _drop_unread(self, read: set[object]) -> None:
        """Drop the calls whose results nobody reads: neither the caller, with the values he is given, nor a call."""
        kept = []
        for call, (made, used) in reversed(list(zip(self._calls, self._uses, strict=True))):
            if made in read:
                read.update(used)
                kept.append(call)
        self._calls = kept[::-1]
        self._uses.clear()

    def add(self, result: Recorded, inputs: Iterable[Any], function: Callable[..., Any], *arguments: Any) -> None:
        """Write a call down that makes a result of some inputs."""
        self._calls.append((function, arguments))
        self._uses.append((result.value, [x.value for x in inputs if isinstance(x, Recorded)]))

    def add_copy(self, to: np.ndarray, values: np.ndarray) -> None:
        """Write down that results are copied, once all are known."""
        self._calls.append((np.copyto, (to, values)))

    def keep(self, result: Any) -> np.ndarray:
        """Return memory with a result in it: some that is free, of its layout, or its own."""
        memory: np.ndarray = np.asarray(result)
        free = self._free[layout(memory)]
        if free:
            memory = free.pop()
            np.copyto(memory, result)
        return memory

    def give_back(self, memory: np.ndarray) -> None:
        """Let later results have memory that nothing else reads."""
        self._free[layout(memory)].append(memory)


class Recorded(NDArrayOperatorsMixin):
    """An array of NumPy whose operations are written down on a tape.

    It may be a view of the memory of a parent; where it is temporary, its memory is the tape's, and free once nobody
    refers to it.
    """

    def __init__(
        self, tape: Tape, values: np.ndarray, parent: Recorded | None = None, *, temporary: bool = False
    ) -> None:
        self._tape, self.values, self._parent, self._temporary = tape, values, parent, temporary
        self.value: object = object() if parent is None else parent.value  # a view's is that which it is a view of

    def __repr__(self) -> str:
        return f"recorded {self.values!r}"

    def __del__(self) -> None:
        if self._temporary:
            self._tape.give_back(self.values)

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    dtype = property(lambda self: self.values.dtype)
    T = property(lambda self: self._view(self.values.T))
    mT = property(lambda self: self._view(self.values.mT))  # noqa: N815 - NumPy's name

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method == "reduce" and options.keys() <= {"axis", "keepdims"} and out is None and len(inputs) <= 2:
            axis = inputs[1] if len(inputs) == 2 else options.get("axis", 0)
            x, keepdims = inputs[0].values, options.get("keepdims", False)
            result = self._made(ufunc.reduce(x, axis=axis, keepdims=keepdims))
            if x.ndim == 2 and x.shape[0] == 1 and axis in (-1, 1):  # a single row is reduced sooner with one dimension
                self._tape.add(result, inputs, ufunc.reduce, x[0], 0, None, result.values.reshape(()))
            else:
                self._tape.add(result, inputs, ufunc.reduce, x, axis, None, result.values, keepdims)
            return result
        if method != "__call__" or options or ufunc.nout != 1:
            raise UnrecordableError(f"{ufunc.__name__}.{method} with {options or 'several results'}")
        values = [_plain(x) for x in inputs]
        if out is None:
            result = self._made(ufunc(*values))
        elif isinstance(out[0], Recorded):
            result = out[0]
            ufunc(*values, out=result.values)
        else:
            raise UnrecordableError(f"{ufunc.__name__} writes to an array that is the same for all steps")
        to = result.values
        if ufunc.signature is None:
            values, to = _quick(values, to)
        if ufunc in BY_KEYWORD:
            self._tape.add(result, inputs, partial(ufunc, out=to), *values)
        else:
            self._tape.add(result, inputs, ufunc, *values, to)
        return result

    def __array_function__(self, function: Any, _: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        arrays = list(leaves((inputs, *options.values())))
        inputs, options = mapped(_plain, inputs), {name: mapped(_plain, value) for name, value in options.items()}
        made = function(*inputs, **options)
        if not isinstance(made, np.ndarray | np.generic):
            raise UnrecordableError(f"{function.__name__} gives no array")
        values = np.asarray(made)
        if function is np.dot and not options:
            result = self._made(values)
            x, y = inputs
            clears = values.nbytes > MIN_CLEARED and x.ndim == y.ndim == 2 and x.shape[1] > 1
            self._tape.add(result, arrays, np.matmul if clears else np.dot, x, y, result.values)
            return result
        for x in arrays:
            if isinstance(_plain(x), np.ndarray) and np.may_share_memory(values, _plain(x)):
                if function not in VIEWS or not isinstance(x, Recorded):
                    raise UnrecordableError(f"{function.__name__} writes to what it is given")
                return x._view(values)  # noqa: SLF001 - of this class
        result = self._made(values)
        memory = result.values
        self._tape.add(result, arrays, lambda: np.copyto(memory, function(*inputs, **options)))
        return result

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UnrecordableError("an array's values are asked for")

    __bool__ = __int__ = __float__ = __index__ = __iter__ = __len__ = __array__

    def __getitem__(self, key: Any) -> Recorded:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(part is None or part is ... or type(part) in {int, slice} for part in parts):
            raise UnrecordableError("an array is indexed by an array")
        return self._view(self.values[parts if ... in parts else (*parts, ...)])  # an array, where it is one number too

    def astype(self, dtype: Any, *, copy: bool = True) -> Recorded:
        if not copy and self.dtype == dtype:
            return self
        return self._copied(self.values.astype(dtype))

    def copy(self) -> Recorded:
        """As `ndarray.copy`: row by row, whatever the layout was."""
        return self._copied(self.values.copy())

    def take(self, indices: Recorded, *, axis: int | None = None) -> Recorded:
        rows = _plain(indices)
        result = self._made(self.values.take(rows, axis=axis))
        mode = "clip" if rows is self._tape.rows else "raise"  # which looks, and takes by way of a buffer
        self._tape.add(result, (self, indices), self.values.take, rows, axis, result.values, mode)
        return result

    def _copied(self, values: np.ndarray) -> Recorded:
        result = self._made(values)
        self._tape.add(result, (self,), np.copyto, result.values, self.values, "unsafe")
        return result

    def _made(self, values: Any) -> Recorded:
        return Recorded(self._tape, self._tape.keep(values), temporary=True)

    def _view(self, values: np.ndarray) -> Recorded:
        return Recorded(self._tape, values, parent=self)


def _plain(x: Any) -> Any:
    return x.values if isinstance(x, Recorded) else x


def layout(x: np.ndarray) -> Any:
    """Say how an array lies."""
    return x.shape, x.strides, x.dtype


def _quick(values: list[Any], result: np.ndarray) -> tuple[list[Any], np.ndarray]:
    """Give operands and result as a call takes least time with them.

    A single number is an array without dimensions, in the others' dtype, and a single row has one dimension.
    """
    dtypes = {x.dtype for x in values if isinstance(x, np.ndarray | np.generic)}
    quick: list[Any] = []
    for x in values:
        if isinstance(x, int | float) and len(dtypes) == 1:
            (dtype,) = dtypes
            weak = dtype.kind == "f" or (dtype.kind == "i" and isinstance(x, int))
            quick.append(np.asarray(x, dtype=dtype) if weak else x)
        elif isinstance(x, np.ndarray) and x.size == 1 < result.size and x.ndim <= result.ndim:
            quick.append(x.reshape(()))
        elif isinstance(x, np.ndarray) and x.ndim == 2 and result.shape[:-1] == (1,):
            quick.append(x[0])
        else:
            quick.append(x)
    return quick, result[0] if result.shape[:-1] == (1,) else result
