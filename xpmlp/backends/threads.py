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
        if hasattr(os, "register_at_fork"):  # whoever asked does not go on in the child
            os.register_at_fork(after_in_child=self._forget)

    def number(self) -> int:
        """Return the number now, but for what `limited` does to it."""
        with self._lock:
            return self._before if self._asked else self._get()

    def is_set(self) -> bool:
        """Whether the user has set the number by an environment variable."""
        return any(os.environ.get(name) for name in self._variables)

    @contextmanager
    def limited(self, number: int) -> Iterator[None]:
        """Let products take so many threads within the context."""
        with self._lock:
            if not self._asked:
                self._before = self._get()
            self._asked.append(number)
        try:
            self._apply()
            yield
        finally:
            with self._lock:
                self._asked.remove(number)
            self._apply()

    def _apply(self) -> None:
        with self._lock:
            self._put(min(self._asked, default=self._before))

    def _forget(self) -> None:
        self._lock = threading.Lock()
        if self._asked:
            self._asked.clear()
            self._put(self._before)


@functools.cache
def blas_threads(*, of_scipy: bool = False) -> Threads | None:
    """Return the threads of NumPy's BLAS, or of the one that SciPy's package brings; None where none is known.

    It is looked for once, among the libraries that are loaded. A BLAS that both share is NumPy's.
    """
    from threadpoolctl import ThreadpoolController  # noqa: PLC0415 - 30 ms that most commands do without

    libraries = ThreadpoolController().select(user_api="blas").lib_controllers
    brought = {_package(Path(library.filepath).parent): library for library in reversed(libraries)}
    library = brought.get("scipy") if of_scipy else brought.get("numpy", brought.get(None))
    return library and Threads(library.get_num_threads, library.set_num_threads, BLAS_VARIABLES)


def _package(folder: Path) -> str | None:
    """Return which package brings the libraries in a folder, such as ``numpy.libs`` or ``numpy/.dylibs``."""
    name = folder.parent.name if folder.name == ".dylibs" else folder.name.removesuffix(".libs")
    return name if name in {"numpy", "scipy"} else None
