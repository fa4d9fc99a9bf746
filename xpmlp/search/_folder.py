"""Search folders: what a search leaves on disk, and what it is resumed from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.files import csv_text, write_json, write_whole
from xpmlp.experiments.folders import Folder
from xpmlp.experiments.options import to_text
from xpmlp.experiments.runs import RunFolder, options_sha256, versions
from xpmlp.search._study import Study
from xpmlp.search._trial import Trial, load_trial
from xpmlp.training.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xpmlp.experiments.options import Options

LIBRARIES = ("joblib", "scipy")  # beside those of a run


@dataclass(frozen=True)
class Winner:
    """The trial that won, by its number and epochs, and its score on the test part where there is one."""

    trial: int
    epochs: int
    test: Score | None


class SearchFolder(Folder):
    """The folder of one search.

    Attributes
    ----------
    config, trials, results, figure, lock : Path
        ``search.json``, ``trials/`` with a file for each trial that has ended, ``results.csv``, ``search.png`` and
        ``.lock``.
    best : RunFolder
        The run of the winner, in ``best/``.
    """

    kind, doing, config_name, prefix = "search", "searching", "search.json", "search-"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.trials = path / "trials"
        self.results = path / "results.csv"
        self.figure = path / "search.png"
        self.best = RunFolder(path / "best")

    def _why_not_free(self) -> str:
        if not self.config.exists():
            return super()._why_not_free()
        return f"holds a search: resume it with `xpmlp search --resume {self.path}`, or choose another with --out."

    def start(self, study: Study) -> None:
        """Make the folder, and write ``search.json``."""
        found = versions(study.options.backend) | {name: version(name) for name in LIBRARIES}
        self.write_config({**study.to_json(), "versions": found})

    def study(self) -> Study:
        """Read from ``search.json`` what decides the search."""
        return self.configured(Study.from_json)

    def winner(self) -> Winner | None:
        """Read from ``search.json`` which trial won; None where its run is not finished."""
        return self.configured(_winner) if self.best.is_finished() else None

    def save_winner(self, winner: Winner) -> None:
        """Write into ``search.json`` which trial won, once its run is finished."""
        test = winner.test and {"loss": winner.test.loss, **winner.test.measures}
        values = {"trial": winner.trial, "epochs": winner.epochs, "test": test}
        write_json(self.config, self.configured(dict) | {"winner": values})

    def file_of(self, options: Options, data: str) -> Path:
        """Name the file of a trial: after what decides it, its options and the fingerprint of its data."""
        key = hashlib.sha256(f"{options_sha256(options)} {data}".encode()).hexdigest()
        return self.trials / f"{key[:16]}.json"

    def ended(self, study: Study) -> tuple[list[Trial], dict[Path, str]]:
        """Read the trials of a study that have ended; and say of files that are damaged what is wrong."""
        trials, damaged = [], {}
        for path in sorted(self.trials.glob("*.json")):
            try:
                trial = load_trial(path)
            except InputError as error:
                damaged[path] = str(error)
                continue
            known = trial.number <= len(study.candidates)
            if known and path == self.file_of(study.options_of(trial.number, trial.epochs), study.data):
                trials.append(trial)
        return trials, damaged

    def write_results(self, study: Study, ranked: Sequence[Trial]) -> None:
        """Write ``results.csv``: a row for each trial, the best one first."""
        names = [name for name in study.candidates[0] if name != "epochs"]
        loss = study.loss_name.lower()
        scores = ["kept_epoch", f"validation_{study.measure}", f"validation_{loss}"]
        scores += ["peak_epoch", f"peak_{study.measure}", f"peak_{loss}"]
        rows = [["trial", *names, "epochs", *scores, "seconds", "status", "reason"]]
        for trial in ranked:
            values = [to_text(trial.settings[name]) for name in names]
            points = [*trial.kept, *trial.peak] if trial.kept and trial.peak else []
            cells = [f"{value:.6g}" for value in points] or [""] * len(scores)
            end = [f"{trial.seconds:.3f}", trial.status, trial.reason]
            rows.append([str(trial.number), *values, str(trial.epochs), *cells, *end])
        write_whole(self.results, csv_text(rows).encode())


def _winner(config: dict[str, Any]) -> Winner | None:
    if "winner" not in config:
        return None
    won = config["winner"]
    return Winner(won["trial"], won["epochs"], won["test"] and Score(**won["test"]))
