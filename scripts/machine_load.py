"""How much of the processors other programs take while something is measured, where the system tells."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["QUIET", "Load", "Watch", "wait_until_quiet"]

QUIET = 0.05  # of a core, which others may take while we measure
STAT = Path("/proc/stat")  # Linux's
ROUNDING = 0.02  # seconds: two ticks of the clock that STAT counts in
LOOK = 0.5  # seconds of a look at the machine while nothing is measured


class Load(NamedTuple):
    """What others took for a while.

    Attributes
    ----------
    others : float or None
        The cores that other programs, and other systems on the same hardware, kept busy on average; None where the
        system does not tell.
    seconds : float
        How long they were watched.
    """

    others: float | None
    seconds: float

    @property
    def quiet(self) -> bool | None:
        """Whether others took next to nothing, so far as the clock is fine enough to tell."""
        return None if self.others is None else self.others * self.seconds <= QUIET * self.seconds + ROUNDING

    def __str__(self) -> str:
        if self.others is None:
            return "this system does not tell what other programs take of the processors"
        return f"{'quiet' if self.quiet else 'busy'}: other programs keep {self.others:.2f} cores busy"


class Watch:
    """Watches the processors from the moment when it is made.

    Time that is not idle and not ours is that of others. That it is counted so, and not by the programs that run, shows
    what short-lived programs took as well, and what a host took from a virtual machine.
    """

    def __init__(self) -> None:
        self.start, self.spent, self.idle = time.monotonic(), time.process_time(), _idle_seconds()

    def load(self, own: float = 0.0) -> Load:
        """Return what others took so far; `own` are processor seconds of our other processes in that time."""
        seconds, idle = time.monotonic() - self.start, _idle_seconds()
        if idle is None or self.idle is None:
            return Load(None, seconds)
        own += time.process_time() - self.spent
        # A core that comes or goes while we watch changes both sums; the newer count is as good as the older.
        busy = idle.cores * seconds - (idle.seconds - self.idle.seconds)
        return Load(max(0.0, busy - own) / seconds, seconds)


class _Idle(NamedTuple):
    cores: int
    seconds: float


def _idle_seconds() -> _Idle | None:
    """Return how many cores there are, and how long they were idle or waited for a disk, all together."""
    if not STAT.exists():
        return None
    rows = [line.split() for line in STAT.read_text(encoding="ascii").splitlines() if line.startswith("cpu")]
    _, _, _, _, idle, waiting, *_ = rows[0]
    return _Idle(len(rows) - 1, (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK"))


def wait_until_quiet(patience: float) -> Load:
    """Look at the machine for half a second, and again until it is quiet or so many seconds are over."""
    end = time.monotonic() + patience
    while True:
        watch = Watch()
        time.sleep(LOOK)
        load = watch.load()
        if load.quiet is not False or time.monotonic() >= end:
            return load
