"""A training step on NumPy, written down once and replayed: the same calls on the same memory, without Python between.

At small sizes a call of NumPy takes half a microsecond, and the Python around it as long again. `Tape.record` calls a
function with arrays that stand for those of NumPy: each operation is done, and written down with the memory of its
result. `Tape.replay` does them again. As in a graph of CUDA, nothing may depend on the values of an array.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Steps = Callable[..., Iterator[tuple[Any, Any, int]]]

__all__ = ["Tape", "UnrecordableError", "stepping_on_tape"]

FEWEST = 8  # minibatches of one size in an epoch that a tape is worth
BY_KEYWORD = {np.maximum, np.minimum}  # where NumPy will not take `out` by its place, which is faster
MOST_TAPES = 4  # that are kept for the next epoch; the one that was not used for longest makes room
MOST_BYTES = 2**24  # of results on a tape that is kept: to record a step of larger ones again costs little beside it


class UnrecordableError(Exception):
    """Something that cannot be written down: a function without a rule here, or a look at an array's values."""


class Tape:
    """Calls of NumPy in their order, each with where its result goes."""

    def __init__(self) -> None:
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._free: defaultdict[Any, list[np.ndarray]] = defaultdict(list)
        self.nbytes = 0  # of the results' memory

    def replay(self) -> None:
        """Do it all again."""
        for function, arguments in self._calls:
            function(*arguments)

    def record(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, writing down what it does: its results, in the memory where each replay leaves them.

        Parameters
        ----------
        function : callable
            As for `Backend.compile`.
        *arguments
            Arrays of NumPy, and lists and named tuples of them. A replay reads and writes where these lie.

        Raises
        ------
        UnrecordableError
            With part of it done.
        """
        return unwrapped(function(*(_mapped(lambda x: Recorded(self, x), argument) for argument in arguments)))

    def add(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Write a call down."""
        self._calls.append((function, arguments))

    def keep(self, result: Any) -> np.ndarray:
        """Return memory with a result in it: some that is free, of its layout, or its own."""
        memory: np.ndarray = np.asarray(result)
        free = self._free[_layout(memory)]
        if free:
            memory = free.pop()
            np.copyto(memory, result)
        else:
            self.nbytes += memory.nbytes
        return memory

    def give_back(self, memory: np.ndarray) -> None:
        """Let later results have memory that nothing else reads."""
        self._free[_layout(memory)].append(memory)


class Recorded(NDArrayOperatorsMixin):
    """An array of NumPy whose operations are written down.

    Parameters
    ----------
    tape : Tape
        Where.
    values : ndarray
        The array.
    parent : Recorded, optional
        The one whose memory it is a view of.
    temporary : bool
        Whether the memory is the tape's, and free once nobody refers to this.
    """

    def __init__(
        self, tape: Tape, values: np.ndarray, parent: Recorded | None = None, *, temporary: bool = False
    ) -> None:
        self._tape, self.values, self._parent, self._temporary = tape, values, parent, temporary

    def __repr__(self) -> str:
        return f"recorded {self.values!r}"

    def __del__(self) -> None:
        if self._temporary:
            self._tape.give_back(self.values)

    shape = property(lambda self: self.values.shape)
    ndim = property(lambda self: self.values.ndim)
    size = property(lambda self: self.values.size)
    dtype = property(lambda self: self.values.dtype)
    T = property(lambda self: self._view(self.values.T))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any) -> Any:
        if method == "reduce" and options.keys() <= {"axis", "keepdims"} and out is None and len(inputs) <= 2:
            axis = inputs[1] if len(inputs) == 2 else options.get("axis", 0)
            x, keepdims = inputs[0].values, options.get("keepdims", False)
            result = self._made(ufunc.reduce(x, axis=axis, keepdims=keepdims))
            self._tape.add(ufunc.reduce, x, axis, None, result.values, keepdims)
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
        if ufunc.signature is None:
            values = list(_quick(values, result.values))
        if ufunc in BY_KEYWORD:
            self._tape.add(partial(ufunc, out=result.values), *values)
        else:
            self._tape.add(ufunc, *values, result.values)
        return result

    def __array_function__(self, function: Any, _: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        arrays = [x for x in _leaves((inputs, *options.values())) if isinstance(x, Recorded)]
        inputs, options = _mapped(_plain, inputs), {name: _mapped(_plain, value) for name, value in options.items()}
        made = function(*inputs, **options)
        if not isinstance(made, np.ndarray | np.generic):
            raise UnrecordableError(f"{function.__name__} gives no array")
        values = np.asarray(made)
        for array in arrays:
            if np.may_share_memory(values, array.values):
                return array._view(values)  # noqa: SLF001 - of this class
        result = self._made(values)
        memory = result.values
        self._tape.add(lambda: np.copyto(memory, function(*inputs, **options)))
        return result

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise UnrecordableError("an array's values are asked for")

    __bool__ = __int__ = __float__ = __index__ = __iter__ = __len__ = __array__

    def __getitem__(self, key: Any) -> Recorded:
        parts = key if isinstance(key, tuple) else (key,)
        if not all(part is None or part is ... or isinstance(part, int | slice) for part in parts):
            raise UnrecordableError("an array is indexed by an array")
        return self._view(self.values[(*parts, ...)])

    def astype(self, dtype: Any, *, copy: bool = True) -> Recorded:
        """As `ndarray.astype`."""
        if not copy and self.dtype == dtype:
            return self
        return self._copied(self.values.astype(dtype))

    def copy(self) -> Recorded:
        """As `ndarray.copy`: row by row, whatever the layout was."""
        return self._copied(self.values.copy())

    def reshape(self, *shape: Any, **options: Any) -> Recorded:
        """As `ndarray.reshape`, where that needs no copy."""
        values = self.values.reshape(*shape, **options)
        if not np.may_share_memory(values, self.values):
            raise UnrecordableError("an array of this layout is copied to be given another shape")
        return self._view(values)

    def take(self, indices: Recorded, *, axis: int | None = None) -> Recorded:
        """As `ndarray.take`, of indices that are there."""
        rows = _plain(indices)
        result = self._made(self.values.take(rows, axis=axis))
        self._tape.add(self.values.take, rows, axis, result.values, "clip")  # else it takes by way of a buffer
        return result

    def _copied(self, values: np.ndarray) -> Recorded:
        result = self._made(values)
        self._tape.add(np.copyto, result.values, self.values, "unsafe")
        return result

    def _made(self, values: Any) -> Recorded:
        return Recorded(self._tape, self._tape.keep(values), temporary=True)

    def _view(self, values: np.ndarray) -> Recorded:
        return Recorded(self._tape, values, parent=self)


def unwrapped(nest: Any) -> Any:
    """Return the arrays themselves, in the same lists and named tuples."""
    return _mapped(_plain, nest)


def _plain(x: Any) -> Any:
    return x.values if isinstance(x, Recorded) else x


def _mapped(function: Callable[[Any], Any], nest: Any) -> Any:
    if isinstance(nest, tuple | list):
        parts = [_mapped(function, part) for part in nest]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    return None if nest is None else function(nest)


def _leaves(nest: Any) -> Iterator[Any]:
    if isinstance(nest, tuple | list):
        for part in nest:
            yield from _leaves(part)
    elif nest is not None:
        yield nest


def _layout(x: np.ndarray) -> Any:
    return x.shape, x.strides, x.dtype


def _quick(values: Sequence[Any], result: np.ndarray) -> Iterator[Any]:
    """Give what a call takes least time with: a single number as an array without dimensions, in the others' dtype."""
    dtypes = {x.dtype for x in values if isinstance(x, np.ndarray | np.generic)}
    for x in values:
        if isinstance(x, int | float) and len(dtypes) == 1:
            (dtype,) = dtypes
            weak = dtype.kind == "f" or (dtype.kind == "i" and isinstance(x, int))
            yield np.asarray(x, dtype=dtype) if weak else x
        elif isinstance(x, np.ndarray) and x.size == 1 < result.size and x.ndim <= result.ndim:
            yield x.reshape(())
        else:
            yield x


def stepping_on_tape(step: Callable[..., Any], steps: Steps) -> Steps:
    """As `Backend.stepping`, for NumPy: the steps of whole minibatches are replayed.

    Parameters
    ----------
    step : callable
        As there.
    steps : callable
        The steps as they are, for what a tape is not worth, and for what cannot be recorded.
    """
    tapes: OrderedDict[Any, tuple[Tape, np.ndarray]] = OrderedDict()
    recordable: bool | None = None  # once it was tried

    def taped_steps(
        layers: Any, state: Any, X: Any, T: Any, order: np.ndarray, size: int, weights: Any
    ) -> Iterator[tuple[Any, Any, int]]:
        nonlocal recordable
        whole, arguments = order.shape[0] // size, (layers, state, X, T, weights)
        worth = whole >= FEWEST and all(type(x) is np.ndarray for x in _leaves(arguments))
        worth = worth and order.min() >= 0 and order.max() < X.shape[0]  # a replay does not look
        if worth and recordable is None:
            recordable = _rehearse(step, arguments, order[:size])
        if not worth or not recordable:
            yield from steps(*arguments[:4], order, size, weights)
            return
        key = (size, *map(_address, _leaves(arguments)))
        found = tapes.pop(key, None)
        tape, rows = found or (Tape(), np.empty(size, dtype=np.int64))
        for start in range(0, whole * size, size):
            rows[:] = order[start : start + size]
            if found or start:
                tape.replay()
            else:
                _record(tape, step, _mapped(_alias, arguments), rows)
            yield layers, state, size
        if tape.nbytes <= MOST_BYTES:
            tapes[key] = tape, rows
            if len(tapes) > MOST_TAPES:
                tapes.popitem(last=False)
        if whole * size < order.shape[0]:
            yield from steps(*arguments[:4], order[whole * size :], size, weights)

    return taped_steps


def _rehearse(step: Callable[..., Any], arguments: tuple[Any, ...], rows: np.ndarray) -> bool:
    """Return whether a step can be recorded, on copies of what it would change."""
    carried = _mapped(np.array, arguments[:2])
    try:
        _record(Tape(), step, (*carried, *arguments[2:]), rows)
    except Exception:  # noqa: BLE001 - what cannot be recorded can be computed, or then says what is wrong
        return False
    return True


def _record(tape: Tape, step: Callable[..., Any], arguments: tuple[Any, ...], rows: np.ndarray) -> None:
    """Record a step that leaves layers and state where they lay."""
    layers, state, X, T, weights = arguments
    carried = list(_leaves((layers, state)))
    results = list(_leaves(tape.record(step, layers, state, X, T, rows, weights)))
    for before, after in zip(carried, results, strict=True):
        if _address(before) == _address(after):
            continue
        if any(np.may_share_memory(after, each) for each in carried):
            raise UnrecordableError("a step gives back its arrays in another order")
        np.copyto(before, after)
        tape.add(np.copyto, before, after)


def _alias(x: np.ndarray) -> np.ndarray:
    """Return an array on the memory of another without keeping that alive: a tape is replayed where it lives alone."""
    return np.asarray(SimpleNamespace(__array_interface__=x.__array_interface__))


def _address(x: np.ndarray) -> Any:
    return x.__array_interface__["data"][0], _layout(x)
