"""What ran where: the log and the report."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from pathlib import Path

LOG = logging.getLogger("xpmlp.accel")
HEAD = ("class", "method", "ran on", "calls", "seconds", "why not on xpmlp")


class Calls:
    """Keeps record of calls; `path` is that of the report's file, if any."""

    def __init__(self, path: Path | str | None) -> None:
        self.path = path
        self.said: set[str] = set()

    def warn(self, name: str, reason: str) -> None:
        """Log that a method runs on scikit-learn: as a warning the first time, for debugging from then on."""
        line = f"{name} runs on scikit-learn: {reason}"
        LOG.log(logging.DEBUG if line in self.said else logging.WARNING, line)
        self.said.add(line)

    def note(self, name: str, place: str, seconds: float, reason: str = "") -> None:
        """Append a call to the report's file; processes share it."""
        if self.path:
            with Path(self.path).open("a", encoding="utf-8") as file:
                file.write(json.dumps([*name.split("."), place, seconds, reason]) + "\n")


def table_of(path: Path) -> str:
    """Return the report: the calls in a file, by class, method, place and reason."""
    seconds_of: dict[tuple[str, ...], list[float]] = defaultdict(list)
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        kind, method, place, seconds, reason = json.loads(line)
        seconds_of[kind, method, place, reason].append(seconds)
    rows = [HEAD] + [
        (*call, f"{len(seconds):,}", f"{sum(seconds):.3f}", reason) for (*call, reason), seconds in seconds_of.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) if seconds_of else "No MLPClassifier or MLPRegressor of scikit-learn was used."
