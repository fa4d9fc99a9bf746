"""How messages and tables write numbers."""

from __future__ import annotations

__all__ = ["brief", "counted"]

LARGE = 1e4  # from here on, decimals say nothing


def brief(value: float) -> str:
    """Write a loss: 0.1273, or 4.2e+10 where it is large."""
    return f"{value:.1e}" if abs(value) >= LARGE else f"{value:.4f}"


def counted(n: int, noun: str) -> str:
    """Write a number of things: 1 thread, 12,000 threads."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
