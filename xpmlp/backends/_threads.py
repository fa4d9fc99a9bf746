"""One thread of BLAS for products that are too small for more."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SMALL", "one_thread"]

SMALL = 2**21  # multiplications of a product: for so few, waking a second thread costs what it does, or more

_taken = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let BLAS have one thread, and then as many as before.

    Their number is the whole process's: where trainings run side by side, the first alone sets it, for as long as its
    epoch takes, and the others go on with what they find. So nobody sets back what another has set.
    """
    if not _taken.acquire(blocking=False):
        yield
        return
    try:
        from threadpoolctl import get_cached_controller  # noqa: PLC0415 - 30 ms that most commands do without

        with get_cached_controller().limit(limits=1, user_api="blas"):
            yield
    finally:
        _taken.release()
