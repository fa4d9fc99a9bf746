"""How messages and tables write numbers and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGE = 1e4  # from here on, decimals say nothing
MAX_QUOTED = 10


def brief(value: float) -> str:
    """Write a loss: 0.1273, or 4.2e+10 where it is large."""
    return f"{value:.1e}" if abs(value) >= LARGE else f"{value:.4f}"


def counted(n: int, noun: str) -> str:
    """Write a number of things: 1 thread, 12,000 threads."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def quoted(values: Sequence[object]) -> str:
    """Write the first ten of some values, such as names: 'a', 'b' and 3 more."""
    shown = ", ".join(map(repr, values[:MAX_QUOTED]))
    return f"{shown} and {len(values) - MAX_QUOTED:,} more" if len(values) > MAX_QUOTED else shown
