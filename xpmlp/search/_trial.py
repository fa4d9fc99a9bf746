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
from xpmlp.experiments.experiment import fingerprint, prepare
from xpmlp.experiments.options import with_tuples

if TYPE_CHECKING:
    from pathlib import Path

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.options import Options

__all__ = ["Point", "Trial", "load_trial", "prepare_trial", "run_trial", "save_trial"]


class Point(NamedTuple):
    """How a network does on the validation part after an epoch."""

    epoch: int
    accuracy: float  # the share predicted rightly, 0 to 1
    nll: float  # mean negative log-likelihood of an example, in nats

    @property
    def order(self) -> tuple[float, float]:
        """What is lower for a better network: by accuracy, of equals by NLL; one that is no number is the worst."""
        return -self.accuracy, math.inf if math.isnan(self.nll) else self.nll


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
        with the lowest NLL; and after the one with the highest accuracy (of equals, with the lowest NLL). None unless
        it is finished.
    """

    number: int
    settings: dict[str, Any]
    epochs: int
    status: str
    reason: str
    seconds: float
    kept: Point | None
    peak: Point | None


def prepare_trial(options: Options, data: str) -> Experiment:
    """Prepare an experiment that does not look at its test part.

    Raises
    ------
    InputError
        For data of another fingerprint than the one that the search was begun with, and as `prepare`.
    """
    experiment = prepare(options)
    if fingerprint(experiment.dataset) != data:
        raise InputError(f"{options.dataset} is not what it was when the search was begun: restore it, or search anew.")
    return replace(experiment, sets={part: pair for part, pair in experiment.sets.items() if part != "test"})


def run_trial(number: int, settings: dict[str, Any], options: Options, data: str) -> Trial:
    """Train a candidate, and score it on the validation part after each epoch.

    Parameters
    ----------
    number : int
        Of the candidate.
    settings : dict
        What of the options varies.
    options : Options
        All of them.
    data : str
        The fingerprint of the data that the search was begun with.

    Raises
    ------
    InputError
        For other data.
    """
    start = time.perf_counter()
    points: list[Point] = []
    epochs, status, reason = options.epochs or 0, "finished", ""
    try:
        experiment = prepare_trial(options, data)
        epochs = experiment.recipe.epochs
        for record in experiment.records():
            score = record.scores["validation"]
            points.append(Point(record.epoch, score.accuracy, score.loss))
            kept = record.selected.epoch
    except (DivergenceError, MemoryError) as error:
        status = "diverged" if isinstance(error, DivergenceError) else "out of memory"
        reason = str(error) or "the system gave no details."
    seconds = time.perf_counter() - start
    if reason:
        return Trial(number, settings, epochs, status, reason, seconds, None, None)
    peak = min(points, key=lambda point: point.order)
    return Trial(number, settings, epochs, status, reason, seconds, points[kept - 1], peak)


def save_trial(trial: Trial, path: Path) -> None:
    """Write a trial, and a SHA-256 of what is written.

    Raises
    ------
    InputError
        Where it cannot be written.
    """
    content = asdict(trial)
    write_json(path, {"trial": content, "sha256": _digest(content)})


def load_trial(path: Path) -> Trial:
    """Read a trial.

    Raises
    ------
    InputError
        Where it cannot be read, or is not what was written.
    """
    return read_json(path, _trial)


def _trial(kept: dict[str, Any]) -> Trial:
    content, digest = kept["trial"], kept["sha256"]
    if _digest(content) != digest:
        raise InputError("it has changed since it was written.")
    kept_point, peak = (point and Point(*point) for point in (content["kept"], content["peak"]))
    return Trial(**(content | {"settings": with_tuples(content["settings"]), "kept": kept_point, "peak": peak}))


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
