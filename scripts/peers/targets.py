"""What the project aims at, and whether a comparison meets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from peers.comparison import ratio
from peers.contenders import CONTENDERS, FIELDS, REFERENCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["GPU_TARGETS", "TARGETS", "Target", "judge"]

FLOOR = "its floor"


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

    def value(self, compared: Mapping[str, Any]) -> float | None:
        """Return the median ratio, or None where one of the two was not measured."""
        results = compared.get(self.workload, {}).get("results", {})
        if self.over not in results or (self.under not in results and self.under != FLOOR):
            return None
        over = results[self.over]
        if self.under == FLOOR:
            value: float = over["to_floor"]["median"]
        elif self.quantity == "seconds":
            value = ratio(over["seconds"], results[self.under]["seconds"])["median"]
        else:
            value = over[self.quantity] / results[self.under][self.quantity]
        return value

    def met(self, value: float) -> bool:
        """Whether a ratio keeps to the bound."""
        return value <= self.at_most if self.at_most is not None else value >= (self.at_least or 0.0)


def _targets() -> Iterator[Target]:
    yield Target("small", REFERENCE, FLOOR, at_most=1.20)
    faster = {"scikit-learn": 2.2, "torch-eager": 1.65, "jax-jit": 1.5, "torch-loader": 4.0, "thinc": 2.8}
    for peer, times in faster.items():
        yield Target("small", peer, REFERENCE, at_least=times)
    yield Target("fit", "xpmlp-estimator", "xpmlp-float32", at_most=1.05)
    for ours in (REFERENCE, "xpmlp-torch"):
        yield Target("wide-sgd", ours, FLOOR, at_most=1.20)
    for ours in (REFERENCE, "xpmlp-torch"):
        yield Target("wide-adam", ours, FLOOR, at_most=1.30)
    for wide in ("wide-sgd", "wide-adam"):
        yield Target(wide, "torch-eager", "xpmlp-torch", at_least=1.0)
        yield Target(wide, "scikit-learn", REFERENCE, at_least=1.4)
    for peer in ("scikit-learn", "torch-eager"):
        yield Target("tiny", peer, REFERENCE, at_least=3.0)
    yield Target("predict-one", REFERENCE, FLOOR, at_most=2.0)
    yield Target("predict-one", "scikit-learn", "xpmlp-estimator", at_least=1.7)
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
    """Set every target beside what was measured: its value and whether it is met, None where it was not measured."""
    judged = []
    for target in targets:
        value = target.value(compared)
        judged.append({"target": str(target), "value": value, "met": None if value is None else target.met(value)})
    return judged
