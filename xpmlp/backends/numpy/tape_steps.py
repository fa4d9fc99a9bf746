"""What is replayed from a tape: training steps, recorded on one minibatch, and calls on the same memory."""

from __future__ import annotations

from collections import Counter, OrderedDict
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends.numpy.tape import Tape, UnrecordableError, layout
from xpmlp.backends.rehearsal import leaves, mapped, rehearse

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.backends.graphs import Steps, Taken

MIN_MINIBATCHES = 8  # of one size in an epoch that a tape is worth
MIN_TAKEN = 32  # of one size in all epochs so far, likewise: it takes as long as so many gain
MAX_COUNTS = 64  # of minibatches on some memory, from which on they are counted anew
MAX_TAPES = 4  # that are kept for the next epoch; the one that was not used for longest makes room
MAX_BYTES = 2**24  # on tapes that are kept, and of parameters: beside larger ones, Python's part is small
CALLS_BEFORE_REPLAY = 3  # of what is bound: plain, recorded, rehearsed


def epoch_runner_on_tape(step: Callable[..., Any], steps: Steps) -> Steps:
    """As `Backend.epoch_runner`, for NumPy: steps that are taken often are replayed.

    `steps` takes them as they are: for what a tape is not worth, and for what cannot be recorded.
    """
    tapes, kinds = _Tapes(), dict[Any, _Kind]()
    taken: Counter[Any] = Counter()  # minibatches, for each kind of arguments on each memory

    def taped_steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Taken:
        arguments, n = (layers, state, examples), order.shape[-1] // size
        arrays = leaves(arguments)
        if n == 0 or not _can_be_replayed(arrays, examples, order):
            yield from steps(layers, state, examples, order, size)
            return
        key = order.shape[:-1], size, *map(_address, arrays)
        taken[key] += n
        if len(taken) > MAX_COUNTS:
            taken.clear()
        taped, start, whole = tapes.get(key), 0, n * size
        if taped is None and (n >= MIN_MINIBATCHES or taken[key] >= MIN_TAKEN):
            kind = kinds.setdefault(_kind(arguments, order.shape[:-1], size), _Kind(arguments))
            taped = _TapedStep(step, (*order.shape[:-1], size), kind)
        while taped and taped.kind.is_good and start < whole:
            layers, state = taped.take(layers, state, examples, order[..., start : start + size])
            start += size
            yield layers, state, size
        if taped and taped.kind.is_good:
            tapes.put(key, taped)
        else:
            for piece in steps(layers, state, examples, order[..., start:whole], size):
                yield piece
                layers, state, _ = piece
        rest = order[..., whole:]
        if rest.shape[-1]:
            yield from taped_steps(layers, state, examples, rest, rest.shape[-1])

    return taped_steps


class _Tapes:
    """Tapes for the next epoch, by the memory that they are for; those that were not used for longest make room."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Any, _TapedStep] = OrderedDict()

    def get(self, key: Any) -> _TapedStep | None:
        return self._kept.get(key)

    def put(self, key: Any, taped: _TapedStep) -> None:
        is_new = key not in self._kept
        self._kept[key] = taped
        self._kept.move_to_end(key)
        while is_new and (len(self._kept) > MAX_TAPES or sum(each.nbytes for each in self._kept.values()) > MAX_BYTES):
            self._kept.popitem(last=False)


class _Kind:
    """What is known of steps on arrays of some shapes: whether they may be recorded and replayed.

    The first recording and the first replay are rehearsed: each has to leave the bytes that a plain step leaves.
    """

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        self.is_good = sum(x.nbytes for x in leaves(arguments[:2])) <= MAX_BYTES
        self.rehearsed: set[bool] = set()  # whether of what had been recorded before


class _TapedStep:
    """A step on some memory: recorded when it is first taken, and replayed from then on."""

    def __init__(self, step: Callable[..., Any], shape: tuple[int, ...], kind: _Kind) -> None:
        self.tape, self.kind = Tape(np.empty(shape, dtype=np.int64)), kind
        self._step, self._is_recorded, self.nbytes = step, False, 0

    def take(self, layers: Any, state: Any, examples: Any, rows: np.ndarray) -> Any:
        """Take a step with some rows; if its kind is not good afterwards, the next one has to be a plain one."""
        self.tape.rows[:] = rows
        arguments, kind, was_recorded = (layers, state, examples), self.kind, self._is_recorded
        if was_recorded in kind.rehearsed:
            return self._take(*arguments)
        plain = partial(self._plain, self.tape.rows)
        results, same = rehearse(self._try, plain, arguments, 2, copy=np.array)
        kind.is_good = kind.is_good and same and self.nbytes <= MAX_BYTES
        kind.rehearsed.add(was_recorded)
        return results

    def _take(self, layers: Any, state: Any, examples: Any) -> tuple[Any, Any]:
        if self._is_recorded:
            self.tape.replay()
        else:
            _record(self.tape, self._step, mapped(_alias, (layers, state, examples)))
            self._is_recorded, self.nbytes = True, self.tape.nbytes
        return layers, state

    def _try(self, *arguments: Any) -> tuple[Any, Any]:
        try:
            return self._take(*arguments)
        except Exception:  # noqa: BLE001 - what cannot be recorded can be computed, or then says what is wrong
            self.kind.is_good = False
            return arguments[:2]

    def _plain(self, rows: np.ndarray, *arguments: Any) -> Any:
        return self._step(*arguments, rows)


def bind_on_tape(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    """As `Backend.bind`, for NumPy: what is called often, and can be recorded, is replayed."""
    arrays = leaves(arguments)
    if not all(type(x) is np.ndarray for x in arrays) or sum(x.nbytes for x in arrays) > MAX_BYTES:
        return partial(function, *arguments)
    return _BoundCall(function, arguments)


class _BoundCall:
    """A function with its arguments: called plainly once, then recorded, then replayed.

    The recording and the first replay are rehearsed. An error leaves the call as it was before.
    """

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._plain, self._function, self._arguments = partial(function, *arguments), function, arguments
        self._call: Callable[[], Any] = self._first

    def __call__(self) -> Any:
        return self._call()

    def _first(self) -> Any:
        results = self._plain()
        self._call = self._second
        return results

    def _second(self) -> Any:
        tape = Tape()
        try:
            results = tape.record(self._function, *self._arguments)
        except Exception:  # noqa: BLE001 - as in `_TapedStep._try`
            results = self._plain()
            self._call = self._plain
            return results

        def replay() -> Any:
            tape.replay()
            return results

        found, same = rehearse(lambda: results, self._plain, (), 0, copy=np.array)
        self._call = partial(self._third, replay) if same and tape.nbytes <= MAX_BYTES else self._plain
        return found

    def _third(self, replay: Callable[[], Any]) -> Any:
        results, same = rehearse(replay, self._plain, (), 0, copy=np.array)
        self._call = replay if same else self._plain
        return results


def _can_be_replayed(arrays: list[Any], examples: Any, order: np.ndarray) -> bool:
    """Return whether these are arrays that a replay can read without a look at the rows."""
    return bool(
        all(type(x) is np.ndarray for x in arrays)
        and order.min() >= 0
        and order.max() < min(x.shape[-2] for x in examples if x is not None)
    )


def _kind(arguments: tuple[Any, ...], stack: tuple[int, ...], size: int) -> Any:
    """Return what steps have in common that are recorded alike, wherever their arrays lie."""
    carried = map(layout, leaves(arguments[:2]))
    examples = ((x.shape[1:], x.strides, x.dtype) for x in leaves(arguments[2]))
    return stack, size, *(x is None for x in arguments[2]), *carried, *examples


def _record(tape: Tape, step: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Record a step on the rows of a tape that leaves layers and state where they lay."""
    layers, state, examples = arguments
    carried = leaves((layers, state))
    results = leaves(tape.record(step, layers, state, examples, tape.rows))
    for before, after in zip(carried, results, strict=True):
        if _address(before) == _address(after):
            continue
        if (before.shape, before.dtype) != (after.shape, after.dtype):
            raise UnrecordableError("a step gives back other shapes or dtypes than it was given")
        if any(np.may_share_memory(after, each) for each in carried):
            raise UnrecordableError("a step gives back its arrays in another order")
        np.copyto(before, after)
        tape.add_copy(before, after)


def _alias(x: np.ndarray) -> np.ndarray:
    """Return an array on the memory of another without keeping that alive: a tape is replayed where it lives alone."""
    return np.asarray(SimpleNamespace(__array_interface__=x.__array_interface__))


def _address(x: np.ndarray) -> Any:
    return x.__array_interface__["data"][0], layout(x)
