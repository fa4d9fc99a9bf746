"""How many threads the products of a library take: a number of the whole process."""

from __future__ import annotations

import functools
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLAS_VARIABLES = (
    *("OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS", "OMP_NUM_THREADS"),  # of OpenBLAS
    *("MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"),
)
SCIPY_FOLDERS = {"scipy", "scipy.libs"}  # where its packages have a BLAS of their own


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


@functools.cache
def blas_threads(*, of_scipy: bool = False) -> Threads:
    """Return the threads of NumPy's BLAS, or those of the BLAS that SciPy has for itself: none where it shares one.

    Each is looked for once, among the libraries that are loaded.
    """
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - 30 ms that most commands do without

    libraries = [
        library
        for library in ThreadpoolController().select(user_api="blas").lib_controllers
        if of_scipy != SCIPY_FOLDERS.isdisjoint(Path(library.filepath).parts)
    ]

    def put(number: int) -> None:
        for library in libraries:
            library.set_num_threads(number)

    return Threads(lambda: max((library.get_num_threads() for library in libraries), default=1), put, BLAS_VARIABLES)
