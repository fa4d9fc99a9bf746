"""How many threads the products of a training take: fewer than there are where other programs need the cores."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from xpmlp.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from xpmlp.backends import Backend
    from xpmlp.backends.threads import Threads
    from xpmlp.nn.network import Network
    from xpmlp.training.recipe import Recipe

# Multiplications of a step's largest product; docs/performance-log.md has the measurements behind all of these.
MIN_SHARED = 2**18  # up to which libraries take one thread by themselves
MIN_OPEN = 2**20  # up to which a second thread gains nothing, and loses much beside other work

WINDOW = 0.1  # seconds of steps that are looked at together
SHARE = 0.9  # of the time of the cores: with less of it, threads had to wait for other programs
SETTLE, TRIAL = 0.1, 0.05  # seconds of a trial with each number of threads, before it counts and while it does
MARGIN = 1.25  # by how much fewer threads have to be faster than all
FIRST_WAIT, LONGEST_WAIT = 1.0, 80.0  # seconds until the next trial
PAUSE = 15.0  # until then at least, as a multiple of what the last one took
FAR = 2.0  # times as slow as with more threads, from where on fewer are not tried


class ThreadChoice:
    """How many threads the products of a training take: all that there are, unless fewer are faster now.

    A product that is divided among threads is done when the last of them is done. Where another program keeps a core
    busy, each waits for that one in turn, and one thread is several times as fast as two. Then the threads have less
    than all of the time of their cores, and a trial with each number of threads shows which is best. The trial is of
    copies: where all threads are best, the training has the bits that it has without trials.

    Parameters
    ----------
    backend : Backend
        Where it computes. On a GPU there is nothing to choose.
    network : Network
        The architecture.
    recipe : Recipe
        How to train. Its `threads` are taken, where given; otherwise the number that an environment variable of the
        library has set, where there is one.

    Attributes
    ----------
    number : int or None
        How many threads the steps take now; None where the library decides.

    Raises
    ------
    InputError
        For a number of threads where the backend cannot change it.
    """

    def __init__(self, backend: Backend, network: Network, recipe: Recipe) -> None:
        parameters = [fan_in * fan_out for fan_in, fan_out in pairwise(network.widths)]
        size = recipe.batch_size * max(parameters[0 if backend.divides_examples else 1 :], default=0)
        self.number = None if recipe.threads is None else int(recipe.threads)
        self._threads = backend.threads if self.number is not None or size > MIN_SHARED else None
        if self.number is not None and self._threads is None:
            raise InputError(
                f"threads is {self.number}, but backend {backend.name} decides that by itself: leave it out."
            )
        is_free = self.number is None and self._threads is not None and not self._threads.is_set()
        self.most = self._threads.number() if is_free and self._threads else 1
        self._is_open = self.most > 1 and size > MIN_OPEN
        if self.most > 1:
            self.number = self.most if self._is_open else 1
        self._next, self._wait, self._limit, self._window = 0.0, FIRST_WAIT, ExitStack(), (0.0, 0.0)
        self._steps, self._seconds_of_step = 0, 0.0

    def resume(self, number: int | None) -> None:
        """Take the number that a training had which goes on here."""
        if self._is_open and number is not None:
            self.number, self._next = min(number, self.most), time.perf_counter() + FIRST_WAIT

    @contextmanager
    def in_steps(self) -> Iterator[None]:
        """Let products take the chosen number of threads while steps are taken."""
        if self.number is None:
            yield
            return
        with self._limit:
            self._limit.enter_context(self._limited())
            self._begun = _clocks()
            yield
            self._window = self._so_far()

    def in_scores(self) -> AbstractContextManager[None]:
        """Likewise while a network is scored, whose products are not small: they have more rows than those of steps."""
        return nullcontext() if self.number == 1 < self.most and not self._is_open else self._limited()

    def _limited(self) -> AbstractContextManager[None]:
        return nullcontext() if self._threads is None or self.number is None else self._threads.limited(self.number)

    def _so_far(self) -> tuple[float, float]:
        """Return the seconds of the steps since the window began, and those of the cores that they used."""
        seconds, used = (now - begun for now, begun in zip(_clocks(), self._begun, strict=True))
        return self._window[0] + seconds, self._window[1] + used

    def is_due(self) -> bool:
        """Whether it is time for a trial, now that another step was taken."""
        self._steps += 1
        if not self._is_open or self._window[0] + time.perf_counter() - self._begun[0] < WINDOW:
            return False
        seconds, used = self._so_far()
        self._seconds_of_step = seconds / self._steps
        self._begun, self._window, self._steps = _clocks(), (0.0, 0.0), 0
        return self._begun[0] >= self._next and (used < SHARE * seconds * self.most or self.number != self.most)

    def choose(self, start: Callable[[], Iterator[Any]]) -> None:
        """Take as many threads from now on as are fastest in a trial: `start` begins endless steps that are nobody's.

        What steps take with the number that there is, the training itself has shown. With another number they have to
        settle: threads without work keep a core for a while, and those that slept are given one sooner than others.
        """
        limited = cast("Threads", self._threads).limited
        candidates = [self.most >> shift for shift in range(self.most.bit_length())]
        taken, least_of_more = {cast("int", self.number): self._seconds_of_step}, math.inf
        self._limit.close()
        begun = time.perf_counter()
        for number in candidates:
            if number != self.number:
                with limited(number):
                    taken[number] = _seconds_of_step(start())
            if taken[number] > FAR * least_of_more:
                break
            least_of_more = min(least_of_more, taken[number])
        margin = MARGIN if self.number == self.most else 1.0
        best = max(number for number, seconds in taken.items() if seconds <= margin * min(taken.values()))
        self._wait = FIRST_WAIT if best != self.number else min(2 * self._wait, LONGEST_WAIT)
        self.number = best
        self._limit.enter_context(limited(best))
        self._begun = _clocks()
        self._next = self._begun[0] + max(self._wait, PAUSE * (self._begun[0] - begun))


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _seconds_of_step(steps: Iterator[Any]) -> float:
    """Return what a step takes once they have settled."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < SETTLE:
        next(steps)
    begun, count, seconds = time.perf_counter(), 0, 0.0
    while seconds < TRIAL:
        next(steps)
        count += 1
        seconds = time.perf_counter() - begun
    return seconds / count
