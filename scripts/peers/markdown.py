"""What was measured, as the tables of the pages on performance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from peers.comparison import reference_of
from peers.contenders import FIELDS, REFERENCE, UPDATE_FLOOR
from peers.tables import duration, times

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["comparison_lines", "target_lines"]

LIBRARIES = {"scikit-learn": "scikit-learn", "torch": "torch", "jax": "JAX", "thinc": "Thinc", "skorch": "skorch"}


def comparison_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Write how many times as long as xpmlp on NumPy each contender takes, a column for each workload."""
    compared = {name: each for name, each in report["workloads"].items() if not each["workload"]["only"]}
    floors = {*FIELDS["cpu"].floors} - {"floor-numpy", UPDATE_FLOOR}
    names = dict.fromkeys(name for each in compared.values() for name in each["results"])
    yield about(report)
    yield ""
    yield f"| | {' | '.join(heading(each['workload']) for each in compared.values())} |"
    yield f"| --- |{' ---: |' * len(compared)}"
    yield f"| xpmlp on NumPy | {' | '.join(_time(each) for each in compared.values())} |"
    for name in names:
        if name not in {REFERENCE, UPDATE_FLOOR, *floors}:
            found = (each["results"].get(name) for each in compared.values())
            cells = (f"{each['to_xpmlp']['median']:.2f}" if each else "" for each in found)
            yield f"| {name} | {' | '.join(cells)} |"


def target_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Write each target of times, with median, quartiles and whether it is met; then those of memory."""
    yield about(report)
    yield ""
    yield "| target | median (quartiles) | |"
    yield "| --- | ---: | --- |"
    of_memory = []
    for target in report["targets"]:
        if "memory" in target["target"]:
            of_memory.append(target["met"])
        elif target["met"] is not None:
            yield f"| {target['target']} | {times(target['measured'])} | {'met' if target['met'] else 'not met'} |"
    if of_memory:
        met = f"{sum(map(bool, of_memory))} of {len(of_memory)}"
        yield f"| peak memory of {REFERENCE} below that of each peer, on each workload | | met by {met} |"


def about(report: Mapping[str, Any]) -> str:
    """Say where, when and with which libraries it was measured, and how quiet the machine was."""
    machine, share = report["machine"], report["load"]["disturbed"]
    found = [f"{title} {report['versions'][name]}" for name, title in LIBRARIES.items() if name in report["versions"]]
    disturbed = "" if share is None else f" Other programs disturbed {share:.0%} of the repetitions."
    return (
        f"Medians with `--repetitions {report['repetitions']}`, {report['started'][:10]}, on {machine['cores']} cores "
        f"of {machine['processor']}: NumPy {report['versions']['numpy']}, {', '.join(found)}.{disturbed}"
    )


def heading(workload: Mapping[str, Any]) -> str:
    """Describe a workload in a few words."""
    if workload["rows"]:
        return "predict one" if workload["rows"] == 1 else f"predict {workload['rows']:,}"
    units = "-".join(map(str, [784, *workload["hidden"], 10]))
    return f"{units}, {workload['optimizer']}, K = {workload['batch_size']}"


def _time(comparison: Mapping[str, Any]) -> str:
    workload = comparison["workload"]
    seconds = comparison["results"][reference_of(comparison)]["time"]["median"]
    return duration(seconds) if workload["rows"] else f"{seconds / workload['epochs']:.3f} s an epoch"
