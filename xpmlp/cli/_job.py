"""The processes that a command runs in: this one alone, or the ranks of a job, of which the first one speaks."""

from __future__ import annotations

import traceback
import warnings
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

import typer

from xpmlp.cli._terminal import FAILED, INTERRUPTED, explain, say
from xpmlp.common.errors import EXPECTED, DivergenceError, XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.distributed import Communicator

Value = TypeVar("Value")


class Job:
    """A context in which an error on one rank ends all, with one message; without a communicator, nothing at all.

    The first rank is the one process that prints and writes, and shows warnings.
    """

    def __init__(self, communicator: Communicator | None = None) -> None:
        self.communicator = communicator
        self.is_first = communicator is None or communicator.rank == 0

    def __enter__(self) -> Self:
        if not self.is_first:
            warnings.simplefilter("ignore", XpmlpWarning)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        ranks = self.communicator
        if ranks is None:
            return
        from xpmlp.distributed import CollectiveError

        if error is None:
            ranks.close()
        elif isinstance(error, CollectiveError | DivergenceError):  # all ranks have it: their weights are the same
            cause, rank = (error.error, error.rank) if isinstance(error, CollectiveError) else (error, None)
            code = self._say(cause, rank) if self.is_first else explain(cause)[1]
            ranks.close()
            raise typer.Exit(code)
        elif isinstance(error, EXPECTED):
            ranks.abort(self._say(error, ranks.rank))
        elif isinstance(error, KeyboardInterrupt):  # the second Ctrl-C
            ranks.abort(INTERRUPTED)
        else:
            traceback.print_exception(error)
            ranks.abort(FAILED)

    def _say(self, error: Exception, rank: int | None) -> int:
        """Say an error, and where it came: return the exit code."""
        message, code = explain(error)
        size = 1 if self.communicator is None else self.communicator.size
        say(f"Error{'' if rank is None or size == 1 else f' on rank {rank} of {size}'}: {message}")
        return code

    def alike(self, what: str, call: Callable[[], Value]) -> Value:
        """Call a function on every rank; an error on one, or a result that is not the same on all, ends the job."""
        if self.communicator is None:
            return call()
        value = self.communicator.run_on_all(call)
        self.communicator.check_same(what, value)
        return value

    def in_turn(self, call: Callable[[], Value]) -> Value:
        """Call a function on the first rank of each machine, then on the others."""
        return call() if self.communicator is None else self.communicator.in_turn(call)

    def first(self, call: Callable[[], Value]) -> Value:
        """Call a function on the first rank, and give its result, or its error, to all."""
        return call() if self.communicator is None else self.communicator.first(call)

    def lead(self, call: Callable[[], Value], *, others: Callable[[], Any]) -> Value:
        """Call a function on the first rank and another on the others; give the first one's result to all.

        Its errors end the job, unless they are known to all.
        """
        if self.communicator is None:
            return call()
        return cast("Value", self.communicator.broadcast(call() if self.is_first else others()))
