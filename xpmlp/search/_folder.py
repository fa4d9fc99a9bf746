"""Search folders: what a search leaves on disk, and how to go on with it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError
from xpmlp.common.files import csv_text, write_json, write_whole
from xpmlp.experiments.folders import Folder
from xpmlp.experiments.options import written
from xpmlp.experiments.runs import RunFolder, options_sha256, versions
from xpmlp.search._study import Study
from xpmlp.search._trial import Trial, load_trial
from xpmlp.training.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from xpmlp.experiments.options import Options

__all__ = ["SearchFolder", "Winner"]

LIBRARIES = ("joblib", "scipy")  # beside those of a run
SCORES = ("kept_epoch", "validation_accuracy", "validation_nll", "peak_epoch", "peak_accuracy", "peak_nll")


@dataclass(frozen=True)
class Winner:
    """The trial that won, by its number and epochs, and its score on the test part where there is one."""

    trial: int
    epochs: int
    test: Score | None


class SearchFolder(Folder):
    """The folder of one search.

    Parameters
    ----------
    path : Path
        Where it is.

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

    def check_free(self) -> None:
        """Raise unless the folder is new or empty.

        Raises
        ------
        InputError
            For a folder that holds something, and for a path that is no folder.
        """
        self._check_is_folder()
        if self.config.exists():
            raise InputError(
                f"the output folder {self.path} holds a search: go on with `xpmlp search --resume {self.path}`, or "
                "choose another with --out."
            )
        self._check_is_empty()

    def start(self, study: Study) -> None:
        """Write ``search.json``.

        Raises
        ------
        InputError
            For a folder that cannot be made or written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the output folder {self.path} cannot be written to: {error}.") from error
        found = versions(study.options.backend) | {name: version(name) for name in LIBRARIES}
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        write_json(self.config, {"started": started, **study.to_json(), "versions": found})

    def study(self) -> Study:
        """Read from ``search.json`` what decides the search.

        Raises
        ------
        InputError
            Where it is missing or damaged.
        """
        return self.configured(Study.from_json)

    def winner(self) -> Winner | None:
        """Read from ``search.json`` which trial won; None where its run is not finished.

        Raises
        ------
        InputError
            Where it is missing or damaged.
        """
        return self.configured(_winner) if self.best.is_finished() else None

    def crown(self, winner: Winner) -> None:
        """Write into ``search.json`` which trial won, once its run is finished."""
        write_json(self.config, self.configured(dict) | {"winner": asdict(winner)})

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
            if known and path == self.file_of(study.options_of_trial(trial), study.data):
                trials.append(trial)
        return trials, damaged

    def write_results(self, study: Study, ranked: Sequence[Trial]) -> None:
        """Write ``results.csv``: a row for each trial, the best one first."""
        names = [name for name in study.candidates[0] if name != "epochs"]
        rows = [["trial", *names, "epochs", *SCORES, "seconds", "status", "reason"]]
        for trial in ranked:
            values = [written(trial.settings[name]) for name in names]
            points = [*trial.kept, *trial.peak] if trial.kept and trial.peak else []
            cells = [f"{value:.6g}" for value in points] or [""] * len(SCORES)
            end = [f"{trial.seconds:.3f}", trial.status, trial.reason]
            rows.append([str(trial.number), *values, str(trial.epochs), *cells, *end])
        write_whole(self.results, csv_text(rows).encode())


def _winner(config: dict[str, Any]) -> Winner | None:
    if "winner" not in config:
        return None
    kept = config["winner"]
    return Winner(kept["trial"], kept["epochs"], kept["test"] and Score(**kept["test"]))
