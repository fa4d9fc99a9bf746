"""What the ranks of a job offer each other: shares of the work, sums, and words."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import closing
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast

from xpmlp.common.errors import EXPECTED, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array

Value = TypeVar("Value")


def share_of(n: int, rank: int, size: int) -> range:
    """Return which of `n` rows are those of a rank: the first ranks have one more where `size` does not divide `n`.

    Parameters
    ----------
    n : int
        Rows of a minibatch, or of a set to score.
    rank, size : int
        Which of how many ranks.

    Returns
    -------
    range
        Neighbouring rows; none where there are fewer rows than ranks and none is left for this one.
    """
    each, more = divmod(n, size)
    start = rank * each + min(rank, more)
    return range(start, start + each + (rank < more))


class CollectiveError(Exception):
    """An error that every rank has been told of, and raises.

    Attributes
    ----------
    error : Exception
        What was raised.
    rank : int or None
        Where; None where all ranks raised it.
    """

    def __init__(self, error: Exception, rank: int | None) -> None:
        super().__init__(str(error))
        self.error = error
        self.rank = rank


class Communicator(ABC):
    """The processes of a job, called ranks, as one of them sees them.

    All but `share` and `abort` are for every rank to call, in the same order: each waits for the others. Where what is
    called on some rank raises one of `EXPECTED`, all ranks raise a `CollectiveError`.

    Attributes
    ----------
    rank, size : int
        The number of this one, from 0, and how many there are.
    local_rank : int
        Its number among those on this machine, from 0.
    library : str
        What carries the messages, with its version.
    """

    rank: int
    size: int
    local_rank: int
    library: str

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: rank {self.rank} of {self.size}, by {self.library}>"

    def share(self, n: int) -> range:
        """Return which of `n` rows are this rank's, as `share_of` does."""
        return share_of(n, self.rank, self.size)

    @abstractmethod
    def allreduce(self, backend: Backend) -> Callable[[Array], Array]:
        """Return a function that sums an array over all ranks.

        Parameters
        ----------
        backend : Backend
            Of the arrays.

        Returns
        -------
        callable
            ``add(x)`` gives the sum of every rank's `x`, a contiguous array of the backend and of one shape everywhere:
            the same bits on every rank. It uses up `x`.
        """

    @abstractmethod
    def total(self, numbers: Sequence[float]) -> list[float]:
        """Sum numbers of the host over all ranks, each by itself, in float64."""

    @abstractmethod
    def any_rank(self, *, flag: bool) -> bool:
        """Return whether any rank gave a true flag in the call before this one: all ranks are told the same.

        The flags of this call are told in the next one, so that nobody waits for them.
        """

    @abstractmethod
    def allgather(self, value: Value) -> list[Value]:
        """Return the values of all ranks."""

    @abstractmethod
    def broadcast(self, value: Value) -> Value:
        """Return the first rank's value."""

    @abstractmethod
    def abort(self, code: int) -> NoReturn:
        """End all ranks at once, whatever they are doing, with an exit code."""

    @abstractmethod
    def close(self) -> None:
        """Wait for what is under way, where all ranks have come to their end."""

    def run_on_all(self, call: Callable[[], Value]) -> Value:
        """Call a function on every rank; give each its own result."""
        result, error = _attempt(call)
        failed = {rank: raised for rank, raised in enumerate(self.allgather(error)) if raised is not None}
        if failed:
            rank, first = next(iter(failed.items()))
            alike = len(failed) == self.size and len({str(raised) for raised in failed.values()}) == 1
            raise CollectiveError(first, None if alike else rank)
        return cast("Value", result)

    def in_turn(self, call: Callable[[], Value]) -> Value:
        """Call a function on the first rank of each machine, then on the others; give each its own result."""
        early = self.run_on_all(lambda: None if self.local_rank else call())
        late = self.run_on_all(lambda: call() if self.local_rank else None)
        return cast("Value", late if self.local_rank else early)

    def each(self, items: Generator[Value]) -> Generator[Value]:
        """Give the items of a generator that every rank has one of, of the same length."""
        with closing(items):
            while (item := self.run_on_all(lambda: next(items, None))) is not None:
                yield item

    def first(self, call: Callable[[], Value]) -> Value:
        """Call a function on the first rank; give its result to all."""
        result, error = self.broadcast(_attempt(call) if self.rank == 0 else (None, None))
        if error is not None:
            raise CollectiveError(error, 0)
        return cast("Value", result)

    def check_same(self, what: str, value: Any) -> None:
        """Raise unless all ranks have the same value of something.

        Raises
        ------
        CollectiveError
            On all ranks, with an `InputError` that names the first rank whose value is not rank 0's.
        """
        values = self.allgather(value)
        for rank, found in enumerate(values):
            if found != values[0]:
                error = InputError(
                    f"rank {rank} has other {what} than rank 0: start all ranks with one command line, one version of "
                    "xpmlp and the same data."
                )
                raise CollectiveError(error, None)


def _attempt(call: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """Call a function: return its result and None, or None and what it raised, if that is one of `EXPECTED`."""
    try:
        return call(), None
    except EXPECTED as error:
        return None, error
