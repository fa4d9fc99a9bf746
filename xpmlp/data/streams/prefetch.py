"""A thread that fills memory while what it filled before is worked on."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

__all__ = ["READER", "prefetch"]

READER = "xpmlp-reader"  # what the thread's name begins with

Memory = TypeVar("Memory")
Task = TypeVar("Task")
Result = TypeVar("Result")


def prefetch(
    fill: Callable[[Memory, Task], Result], tasks: Iterable[Task], memories: Sequence[Memory]
) -> Generator[Result]:
    """Give the results of tasks in their order, each computed by a thread while the ones before are worked on.

    The thread ends with the generator, however that ends; it finishes the task at hand first.

    Parameters
    ----------
    fill : callable
        ``fill(memory, task)``: does a task in the thread. What it raises is raised here, in place of its result.
    tasks : iterable
        What to do. The caller's thread asks for them.
    memories : sequence
        What tasks are done in, in turn: that of a result is filled again once the next one is asked for.
    """
    left = iter(tasks)
    with ThreadPoolExecutor(1, READER) as reader:
        try:
            pending = deque((memory, reader.submit(fill, memory, task)) for memory, task in zip(memories, left))  # noqa: B905 - as many as there are of both
            while pending:
                memory, future = pending.popleft()
                yield future.result()
                for task in islice(left, 1):
                    pending.append((memory, reader.submit(fill, memory, task)))
        finally:
            reader.shutdown(wait=False, cancel_futures=True)
