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
    from collections.abc import Callable, Iterator

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
    tapes: OrderedDict[Any, Tape] = OrderedDict()
    taken: Counter[Any] = Counter()  # minibatches, for each kind of arguments on each memory
    rehearsed: dict[Any, bool] = {}  # whether a step can be recorded, for each kind of arguments

    def taped_steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Taken:
        arguments, n = (layers, state, examples), order.shape[-1] // size
        if n == 0 or not _can_be_replayed(arguments, order):
            yield from steps(layers, state, examples, order, size)
            return
        key = order.shape[:-1], size, *map(_address, leaves(arguments))
        whole, found = order[..., : n * size], tapes.pop(key, None)
        taken[key] += n
        worth = n >= MIN_MINIBATCHES or taken[key] >= MIN_TAKEN
        if found or (worth and _can_be_recorded(step, arguments, whole, size, rehearsed)):
            tape = found or Tape(np.empty((*order.shape[:-1], size), dtype=np.int64))
            for start in range(0, n * size, size):
                tape.rows[:] = order[..., start : start + size]
                if found or start:
                    tape.replay()
                else:
                    _record(tape, step, mapped(_alias, arguments))
                yield layers, state, size
            tapes[key] = tape
            while not found and (len(tapes) > MAX_TAPES or sum(each.nbytes for each in tapes.values()) > MAX_BYTES):
                tapes.popitem(last=False)
        else:
            for piece in steps(layers, state, examples, whole, size):
                yield piece
                layers, state, _ = piece
        if len(taken) > MAX_COUNTS:
            taken.clear()
        rest = order[..., n * size :]
        if rest.shape[-1]:
            yield from taped_steps(layers, state, examples, rest, rest.shape[-1])

    return taped_steps


def bind_on_tape(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    """As `Backend.bind`, for NumPy: what is called three times, and can be recorded, is replayed."""
    arrays = list(leaves(arguments))
    if not all(type(x) is np.ndarray for x in arrays) or sum(x.nbytes for x in arrays) > MAX_BYTES:
        return partial(function, *arguments)
    return partial(next, _calls(function, arguments))


def _calls(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Iterator[Any]:
    """Give the results of one call after the other: the second is recorded, and the third rehearses the replay."""
    plain = partial(function, *arguments)
    yield plain()
    replay, results = _recorded(function, arguments)
    yield results
    if replay is not None:
        results, same = rehearse(replay, plain, (), 0, copy=np.array)
        yield results
        while same:
            yield replay()
    while True:
        yield plain()


def _recorded(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Callable[[], Any] | None, Any]:
    """Call a function: return what replays that, if anything does, and the results."""
    tape = Tape()
    try:
        results = tape.record(function, *arguments)
    except Exception:  # noqa: BLE001 - as in `_rehearse`
        return None, function(*arguments)

    def replay() -> Any:
        tape.replay()
        return results

    return replay if tape.nbytes <= MAX_BYTES else None, results


def _can_be_replayed(arguments: tuple[Any, ...], order: np.ndarray) -> bool:
    """Return whether these are arrays that a replay can read without a look at the rows."""
    return bool(
        all(type(x) is np.ndarray for x in leaves(arguments))
        and order.min() >= 0
        and order.max() < min(x.shape[-2] for x in arguments[2] if x is not None)
    )


def _can_be_recorded(
    step: Callable[..., Any], arguments: tuple[Any, ...], order: np.ndarray, size: int, rehearsed: dict[Any, bool]
) -> bool:
    """Return whether a rehearsal with arguments of this kind went well, now or before."""
    carried = map(layout, leaves(arguments[:2]))
    examples = ((x.shape[1:], x.strides, x.dtype) for x in leaves(arguments[2]))
    kind = order.shape[:-1], size, *(x is None for x in arguments[2]), *carried, *examples
    if kind not in rehearsed:
        rehearsed[kind] = _rehearse(step, arguments, order[..., :size], order[..., ::-1][..., :size])
    return rehearsed[kind]


def _rehearse(step: Callable[..., Any], arguments: tuple[Any, ...], first: np.ndarray, second: np.ndarray) -> bool:
    """Return whether two minibatches, recorded and replayed, leave the bytes that two steps do; on copies."""
    if sum(x.nbytes for x in leaves(arguments[:2])) > MAX_BYTES:
        return False
    tape = Tape(np.array(first, dtype=np.int64))

    def on_tape(layers: Any, state: Any, examples: Any) -> Any:
        _record(tape, step, (*mapped(_alias, (layers, state)), examples))
        tape.rows[:] = second
        tape.replay()
        return layers, state

    def plain(layers: Any, state: Any, examples: Any) -> Any:
        for rows in (first, second):
            layers, state = step(layers, state, examples, rows)
        return layers, state

    try:
        _, same = rehearse(on_tape, plain, (*mapped(np.array, arguments[:2]), arguments[2]), 2, copy=np.array)
    except Exception:  # noqa: BLE001 - what cannot be recorded can be computed, or then says what is wrong
        return False
    return same and tape.nbytes <= MAX_BYTES


def _record(tape: Tape, step: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Record a step on the rows of a tape that leaves layers and state where they lay."""
    layers, state, examples = arguments
    carried = list(leaves((layers, state)))
    results = list(leaves(tape.record(step, layers, state, examples, tape.rows)))
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
