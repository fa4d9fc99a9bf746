"""How many threads the products of a library take: a number of the whole process."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Threads:
    """The threads of a library's products, of which there may be fewer for a while.

    Parameters
    ----------
    get, put : callable
        The library's own: ``get()`` returns the number and ``put(number)`` changes it.
    variables : sequence of str
        The environment variables by which a user sets it. Where one is set, the number is his.

    Notes
    -----
    Several may ask for a number at once, each in a thread of its own: the smallest holds for all, as the others are
    work beside it. Once nobody asks, the number is what it was before.
    """

    def __init__(self, get: Callable[[], int], put: Callable[[int], object], variables: Sequence[str]) -> None:
        self._get, self._put, self._variables = get, put, variables
        self._lock, self._asked, self._before = threading.Lock(), list[int](), 0

    def number(self) -> int:
        """Return the number now, but for what `limited` does to it."""
        with self._lock:
            return self._before if self._asked else self._get()

    def is_set(self) -> bool:
        """Whether the user has set the number by an environment variable."""
        return any(name in os.environ for name in self._variables)

    @contextmanager
    def limited(self, number: int) -> Iterator[None]:
        """Let products take so many threads within the context."""
        with self._lock:
            if not self._asked:
                self._before = self._get()
            self._asked.append(number)
            self._put(min(self._asked))
        try:
            yield
        finally:
            with self._lock:
                self._asked.remove(number)
                self._put(min(self._asked, default=self._before))
