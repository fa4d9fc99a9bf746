"""What the project aims at, and whether a comparison meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peers.comparison import ratio, spread
from peers.contenders import CONTENDERS, FIELDS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["GPU_TARGETS", "TARGETS", "Target", "judge"]

FLOOR = "its floor"
ESTIMATOR = "xpmlp-estimator"  # on float32 examples, where the reference has 8-bit ones


@dataclass(frozen=True)
class Target:
    """A bound on how many times as much one contender takes as another.

    Attributes
    ----------
    workload : str
        Where.
    over, under : str
        The contenders that are divided; `under` may be the floor of `over`.
    at_most, at_least : float or None
        The bound: one of the two.
    quantity : {"seconds", "peak_bytes"}
        Of what.
    """

    workload: str
    over: str
    under: str
    at_most: float | None = None
    at_least: float | None = None
    quantity: str = "seconds"

    def __str__(self) -> str:
        bound = f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"
        what = "time" if self.quantity == "seconds" else "peak memory"
        return f"{self.workload}: {what} of {self.over} over that of {self.under}, {bound}"

    def measured(self, compared: Mapping[str, Any]) -> dict[str, float] | None:
        """Return the median ratio with its quartiles, or None where one of the two was not measured."""
        results = compared.get(self.workload, {}).get("results", {})
        if self.over not in results or (self.under not in results and self.under != FLOOR):
            return None
        over = results[self.over]
        if self.quantity != "seconds":
            return spread([over[self.quantity] / results[self.under][self.quantity]])
        to_floor: dict[str, float] = over["to_floor"]
        return to_floor if self.under == FLOOR else ratio(over["seconds"], results[self.under]["seconds"])

    def met(self, value: float) -> bool:
        """Whether a ratio keeps to the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


def _targets() -> Iterator[Target]:
    for ours in (REFERENCE, ESTIMATOR):
        yield Target("small", ours, FLOOR, at_most=1.30)
        yield Target("small", "scikit-learn", ours, at_least=2.0)
        yield Target("small", "torch-eager", ours, at_least=1.65)
        yield Target("tiny", "scikit-learn", ours, at_least=3.5)
    for peer, times in {"jax-jit": 1.5, "torch-loader": 4.0, "thinc": 2.8}.items():
        yield Target("small", peer, REFERENCE, at_least=times)
    yield Target("tiny", "torch-eager", REFERENCE, at_least=3.0)
    yield Target("fit", ESTIMATOR, "xpmlp-float32", at_most=1.05)
    for ours in (REFERENCE, ESTIMATOR, "xpmlp-torch"):
        yield Target("wide-sgd", ours, FLOOR, at_most=1.15)
    for ours in (REFERENCE, "xpmlp-torch"):
        yield Target("wide-adam", ours, FLOOR, at_most=1.30)
    for wide in ("wide-sgd", "wide-adam"):
        yield Target(wide, "torch-eager", "xpmlp-torch", at_least=1.0)
        yield Target(wide, "scikit-learn", REFERENCE, at_least=1.4)
    yield Target("predict-one", REFERENCE, FLOOR, at_most=2.0)
    yield Target("predict-one", "scikit-learn", ESTIMATOR, at_least=1.7)
    yield Target("predict", REFERENCE, FLOOR, at_most=1.2)
    peers = [name for name in CONTENDERS if not name.startswith("xpmlp-")]
    for workload in ("small", "wide-sgd", "wide-adam", "tiny"):
        for peer in peers:
            yield Target(workload, REFERENCE, peer, at_most=1.0, quantity="peak_bytes")


def _gpu_targets() -> Iterator[Target]:
    ours = FIELDS["cuda"].reference
    yield Target("small", "torch-eager", ours, at_least=8.0)
    for workload in ("small", "wide"):
        yield Target(workload, "torch-graphs", ours, at_least=1.0)
    yield Target("wide", ours, FLOOR, at_most=1.25)  # at least 80 % of the rate


TARGETS, GPU_TARGETS = tuple(_targets()), tuple(_gpu_targets())


def judge(compared: Mapping[str, Any], targets: Iterable[Target] = TARGETS) -> list[dict[str, Any]]:
    """Set every target beside what was measured, with its spread, and whether the median meets it.

    Both are None where it was not measured.
    """
    judged = []
    for target in targets:
        measured = target.measured(compared)
        met = None if measured is None else target.met(measured["median"])
        judged.append({"target": str(target), "measured": measured, "met": met})
    return judged
