"""Search folders: what a search leaves on disk, and how to go on with it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from xpmlp.errors import InputError
from xpmlp.files import write_whole
from xpmlp.options import written
from xpmlp.runs import RunFolder, options_sha256, versions
from xpmlp.scoring import Score
from xpmlp.search._study import Study
from xpmlp.search._trial import Trial, load_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from xpmlp.options import Options

__all__ = ["SearchFolder", "Winner"]

Value = TypeVar("Value")

LIBRARIES = ("joblib", "scipy")  # beside those of a run


@dataclass(frozen=True)
class Winner:
    """The trial that won, by its number and epochs, and its score on the test part where there is one."""

    trial: int
    epochs: int
    test: Score | None


class SearchFolder:
    """The folder of one search.

    Parameters
    ----------
    path : Path
        Where it is.

    Attributes
    ----------
    config, trials, results, figure : Path
        ``search.json``, ``trials/`` with a file for each trial that has ended, ``results.csv`` and ``search.png``.
    best : RunFolder
        The run of the winner, in ``best/``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "search.json"
        self.trials = path / "trials"
        self.results = path / "results.csv"
        self.figure = path / "search.png"
        self.best = RunFolder(path / "best")
        self._run = RunFolder(path)

    @classmethod
    def default(cls, dataset: str, now: datetime) -> SearchFolder:
        """Name a folder after the data and the time, under ``runs/``."""
        return cls(RunFolder.default(f"search-{Path(dataset).stem}", now).path)

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes from searching in the folder; as `RunFolder.locked`."""
        return self._run.locked()

    def check_free(self) -> None:
        """Raise unless the folder is new or empty.

        Raises
        ------
        InputError
            For a folder that holds something, and for a path that is no folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"the output folder {self.path} exists and is a file: choose another with --out.")
        if self.config.exists():
            raise InputError(
                f"the output folder {self.path} holds a search: go on with `xpmlp search --resume {self.path}`, or "
                "choose another with --out."
            )
        if self.path.is_dir() and any(file != self._run.lock for file in self.path.iterdir()):
            raise InputError(f"the output folder {self.path} is not empty: choose another with --out.")

    def start(self, study: Study) -> None:
        """Write ``search.json``.

        Raises
        ------
        InputError
            For a folder that cannot be made or written to.
        """
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"the output folder {self.path} cannot be written to: {error}.") from error
        found = versions(study.options.backend) | {name: version(name) for name in LIBRARIES}
        started = datetime.now().astimezone().isoformat(timespec="seconds")
        self._write_config({"started": started, **study.to_json(), "versions": found})

    def study(self) -> Study:
        """Read from ``search.json`` what decides the search.

        Raises
        ------
        InputError
            Where it is missing or damaged.
        """
        return self._configured(Study.from_json)

    def winner(self) -> Winner | None:
        """Read from ``search.json`` which trial won; None where its run is not finished.

        Raises
        ------
        InputError
            Where it is missing or damaged.
        """
        return self._configured(_winner) if self.best.is_finished() else None

    def crown(self, winner: Winner) -> None:
        """Write into ``search.json`` which trial won, once its run is finished."""
        self._write_config(self._configured(dict) | {"winner": asdict(winner)})

    def file_of(self, options: Options, data: str) -> Path:
        """Name the file of a trial: after what decides it, its options and the fingerprint of its data."""
        key = hashlib.sha256(f"{options_sha256(options)} {data}".encode()).hexdigest()
        return self.trials / f"{key[:16]}.json"

    def ended(self) -> tuple[list[Trial], dict[Path, str]]:
        """Read the trials that have ended, by their numbers; and say of files that are damaged what is wrong."""
        trials, damaged = [], {}
        for path in sorted(self.trials.glob("*.json")):
            try:
                trials.append(load_trial(path))
            except InputError as error:
                damaged[path] = str(error)
        return sorted(trials, key=lambda trial: (trial.number, trial.epochs)), damaged

    def write_results(self, study: Study, ranked: Sequence[Trial]) -> None:
        """Write ``results.csv``: a row for each trial, the best one first."""
        names = [name for name in study.candidates[0] if name != "epochs"]
        text = io.StringIO(newline="")
        table = csv.writer(text)
        scores = ("validation_accuracy", "validation_nll", "best_epoch", "best_accuracy", "best_nll")
        table.writerow(["trial", *names, "epochs", *scores, "seconds", "status", "reason"])
        for trial in ranked:
            values = [written(trial.settings[name]) for name in names]
            points = [*trial.last[1:], *trial.best] if trial.last and trial.best else []
            cells = [f"{value:.6g}" for value in points] or [""] * len(scores)
            seconds = f"{trial.seconds:.3f}"
            table.writerow([trial.number, *values, trial.epochs, *cells, seconds, trial.status, trial.reason])
        write_whole(self.results, text.getvalue().encode())

    def _write_config(self, config: dict[str, Any]) -> None:
        write_whole(self.config, (json.dumps(config, indent=2) + "\n").encode())

    def _configured(self, read: Callable[[dict[str, Any]], Value]) -> Value:
        try:
            return read(json.loads(self.config.read_text(encoding="utf-8")))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"there is no {self.config}: is {self.path} the folder of a search?") from error
        except (OSError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise InputError(f"{self.config} cannot be read: {type(error).__name__}: {error}.") from error


def _winner(config: dict[str, Any]) -> Winner | None:
    if "winner" not in config:
        return None
    kept = config["winner"]
    return Winner(kept["trial"], kept["epochs"], kept["test"] and Score(**kept["test"]))
