"""A trial: one training run of a search, what came of it, and its file."""

from __future__ import annotations

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from xpmlp.common.errors import DivergenceError, InputError
from xpmlp.common.files import read_json, write_json
from xpmlp.common.wording import brief
from xpmlp.experiments.experiment import fingerprint, prepare
from xpmlp.experiments.options import settings_text, with_tuples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.options import Options
    from xpmlp.training import Record


class Point(NamedTuple):
    """How a network does on the validation part after an epoch."""

    epoch: int
    measure: float  # the accuracy, or R2 of a regression
    loss: float  # mean loss of an example: its negative log-likelihood in nats, for classes

    @property
    def order(self) -> tuple[float, float]:
        """What is lower for a better network: by measure, of equals by loss; one that is no number is the worst."""
        measure, loss = -self.measure, self.loss
        return math.inf if math.isnan(measure) else measure, math.inf if math.isnan(loss) else loss


@dataclass(frozen=True)
class Trial:
    """What came of one candidate.

    Attributes
    ----------
    number : int
        Of the candidate, from 1.
    settings : dict
        The options that vary, by their names in `Options`.
    epochs : int
        That it was to be trained for.
    status : {"finished", "diverged", "out of memory"}
        How it ended.
    reason : str
        Why it ended early; "" where it is finished.
    seconds : float
        That it took, with loading the data.
    kept, peak : Point or None
        Its validation scores after the epoch whose weights are kept, which is the last one, or with patience the one
        with the lowest loss; and after the one with the highest accuracy or R2 (of equals, with the lowest loss). None
        unless it is finished.
    """

    number: int
    settings: dict[str, Any]
    epochs: int
    status: str
    reason: str
    seconds: float
    kept: Point | None
    peak: Point | None

    def __repr__(self) -> str:
        kept = f" with validation loss {brief(self.kept.loss)} in epoch {self.kept.epoch}" if self.kept else ""
        return f"<Trial {self.number}: {settings_text(self.settings)}, {self.status}{kept}>"


def prepare_trial(options: Options, data: str) -> Experiment:
    """Prepare an experiment without its test part; raise an `InputError` for data with another fingerprint."""
    experiment = prepare(options)
    if fingerprint(experiment.dataset) != data:
        raise InputError(f"{options.dataset} has changed since the search began: restore it, or start another search.")
    return replace(experiment, sets={part: pair for part, pair in experiment.sets.items() if part != "test"})


def run_trial(number: int, settings: dict[str, Any], options: Options, data: str) -> Trial:
    """Train a candidate, and score it on the validation part after each epoch.

    It has a number, settings, which are the options that vary, and all its options; `data` is the fingerprint of the
    data that the search was begun with.
    """
    start, epochs = time.perf_counter(), options.epochs or 0
    try:
        experiment = prepare_trial(options, data)
        epochs, points = experiment.recipe.epochs, []
        for record in experiment.records():
            points.append(point_of(record))
            selected = record.selected.epoch
    except (DivergenceError, MemoryError) as error:
        return failed(number, settings, epochs, error, time.perf_counter() - start)
    return ended(number, settings, epochs, points, selected, time.perf_counter() - start)


def point_of(record: Record) -> Point:
    """Return how the network of a record does."""
    score = record.scores["validation"]
    return Point(record.epoch, next(iter(score.measures.values())), score.loss)


def ended(
    number: int, settings: dict[str, Any], epochs: int, points: Sequence[Point], selected: int, seconds: float
) -> Trial:
    """Return the trial of a candidate that was trained to its end, with the weights of the epoch `selected` kept."""
    peak = min(points, key=lambda point: point.order)
    return Trial(number, settings, epochs, "finished", "", seconds, points[selected - 1], peak)


def failed(number: int, settings: dict[str, Any], epochs: int, error: Exception, seconds: float) -> Trial:
    """Return the trial of a candidate whose training has failed."""
    status = "diverged" if isinstance(error, DivergenceError) else "out of memory"
    return Trial(number, settings, epochs, status, str(error) or "the system gave no details.", seconds, None, None)


def save_trial(trial: Trial, path: Path) -> None:
    """Write a trial, and a SHA-256 of what is written; raise an `InputError` where it cannot be written."""
    content = asdict(trial)
    write_json(path, {"trial": content, "sha256": _digest(content)})


def load_trial(path: Path) -> Trial:
    """Read a trial; raise an `InputError` where it cannot be read, or is not what was written."""
    return read_json(path, _trial)


def _trial(saved: dict[str, Any]) -> Trial:
    content = saved["trial"]
    if _digest(content) != saved["sha256"]:
        raise InputError("it has changed since it was written.")
    points = {name: content[name] and Point(*content[name]) for name in ("kept", "peak")}
    return Trial(**(content | points | {"settings": with_tuples(content["settings"])}))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
