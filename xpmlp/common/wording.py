"""How messages and tables write numbers and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LARGE = 1e4  # from here on, decimals say nothing
MAX_QUOTED = 10
MEASURES = {"accuracy": "accuracy", "r2": "R2", "rmse": "RMSE", "mae": "MAE"}  # of a score, as messages call them
SHARES = ("accuracy", "r2")  # those that have no unit, and are 1 at best


def brief(value: float) -> str:
    """Write a loss: 0.1273, or 4.2e+10 where it is large."""
    return f"{value:.1e}" if abs(value) >= LARGE else f"{value:.4f}"


def loss_label(name: str) -> str:
    """Return what tables call a loss: the negative log-likelihood of classes or labels, or just a loss."""
    return "NLL" if name in {"softmax", "logistic"} else "loss"


def amount(value: float) -> str:
    """Write a number in the unit of a target, with four digits that say something: 0.01234, 53.12, 41,230."""
    return f"{value:,.0f}" if 1e3 <= abs(value) < 1e12 else f"{value:.4g}"


def measured(name: str, value: float) -> str:
    """Write a measure of a score: 0.9312 for an accuracy, 41,230 for an error."""
    return f"{value:.4f}" if name in SHARES else amount(value)


def measures_text(measures: Mapping[str, float], between: str = " ") -> str:
    """Write the measures of a score in a line: "R2 0.8312 RMSE 41,230 MAE 30,120"."""
    return between.join(f"{MEASURES[name]} {measured(name, value)}" for name, value in measures.items())


def counted(n: int, noun: str) -> str:
    """Write a number of things: 1 thread, 12,000 threads."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def escaped(text: str) -> str:
    """Write a text in Unicode: what it lacks, such as bytes of a file's name that are not UTF-8, is escaped."""
    return text.encode(errors="backslashreplace").decode()


def quoted(values: Sequence[object]) -> str:
    """Write the first ten of some values, such as names: 'a', 'b' and 3 more."""
    shown = ", ".join(map(repr, values[:MAX_QUOTED]))
    return f"{shown} and {len(values) - MAX_QUOTED:,} more" if len(values) > MAX_QUOTED else shown
