"""What a run tells other programs of its epochs: logs for TensorBoard and MLflow. ``metrics.csv`` stays the source."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.common.files import read_json, write_json
from xpmlp.common.packages import load_package
from xpmlp.common.validation import check_choice
from xpmlp.experiments.options import to_text
from xpmlp.training.scoring import measures_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.training import Record


class Log(Protocol):
    """A log of one run, which has the epochs so far in it once it is made.

    Attributes
    ----------
    pattern : str
        Of the files in the run's folder that say that the run has such a log.
    """

    pattern: ClassVar[str]

    def __init__(self, folder: RunFolder, experiment: Experiment, records: Sequence[Record]) -> None: ...

    @staticmethod
    def load() -> Any:
        """Import the package that it needs; raise a `BackendError` where that cannot be done."""

    def add(self, record: Record) -> None:
        """Log an epoch that was completed."""

    def close(self, status: str) -> None:
        """End it: "FINISHED", "KILLED" where epochs are left, or "FAILED"."""


class TensorBoardLog:
    """An event file in the run's folder. A resumed run writes it anew, with the epochs that count alone."""

    pattern: ClassVar[str] = "events.out.tfevents.*"

    def __init__(self, folder: RunFolder, experiment: Experiment, records: Sequence[Record]) -> None:
        self._summary = self.load()
        for file in folder.path.glob(self.pattern):
            file.unlink()
        # Not the package's SummaryWriter: the thread that it writes in says nothing of a full disk, and then waits.
        writer = load_package("tensorboardX.event_file_writer", "tensorboard")
        self._event = load_package("tensorboardX.proto.event_pb2", "tensorboard").Event
        self._began = time.time() - (records[-1].seconds if records else 0.0)
        self._writer = writer.EventsWriter(str(folder.path.absolute() / "events"))
        measures = ("loss", *measures_of(experiment.model.network.loss))
        scores = [f"{measure}/{part}" for part in experiment.sets for measure in measures]
        *begin, self._end = self._summary.hparams(_settings(experiment), dict.fromkeys(scores))
        for summary in begin:
            self._write(summary, 0, 0.0)
        for record in records:
            self.add(record)

    @staticmethod
    def load() -> Any:
        return load_package("tensorboardX.summary", "tensorboard")

    def add(self, record: Record) -> None:
        for name, value in _values(record).items():
            self._write(self._summary.scalar(name, value), record.epoch, record.seconds)
        self._writer.flush()

    def close(self, status: str) -> None:
        if status == "FINISHED":
            self._write(self._end, 0, time.time() - self._began)
        self._writer.close()

    def _write(self, summary: Any, step: int, seconds: float) -> None:
        self._writer.write_event(self._event(summary=summary, step=step, wall_time=self._began + seconds))


class MLflowLog:
    """A run in MLflow's store: where $MLFLOW_TRACKING_URI says, or MLflow's own default in the current folder.

    A resumed run goes on in the same one, and leaves out the epochs that it has.
    """

    pattern: ClassVar[str] = "mlflow.json"

    def __init__(self, folder: RunFolder, experiment: Experiment, records: Sequence[Record]) -> None:
        self._mlflow = self.load()
        file, name = folder.path / self.pattern, folder.path.resolve().name
        self._began = time.time() - (records[-1].seconds if records else 0.0)
        self._last = 0
        if file.exists():
            run_id, place = read_json(file, lambda kept: (kept["run_id"], kept["tracking_uri"]))
            if place is not None:
                self._mlflow.set_tracking_uri(place)
            self._mlflow.start_run(run_id, log_system_metrics=False)
            history = self._mlflow.MlflowClient().get_metric_history(run_id, "loss/train")
            self._last = max((metric.step for metric in history), default=0)
        else:
            tags = {"folder": str(folder.path.resolve())}
            run = self._mlflow.start_run(run_name=name, tags=tags, log_system_metrics=False)
            is_default = "MLFLOW_TRACKING_URI" not in os.environ  # which may hold a password
            place = self._mlflow.get_tracking_uri() if is_default else None
            write_json(file, {"run_id": run.info.run_id, "tracking_uri": place})
            self._mlflow.log_params(_settings(experiment))
        for record in records:
            self.add(record)

    @staticmethod
    def load() -> Any:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nobody is told of a run but whom the user names
        return load_package("mlflow")

    def add(self, record: Record) -> None:
        if record.epoch > self._last:
            moment = int(1000 * (self._began + record.seconds))
            self._mlflow.log_metrics(_values(record), step=record.epoch, timestamp=moment)

    def close(self, status: str) -> None:
        self._mlflow.end_run(status)


LOGS: dict[str, type[Log]] = {"tensorboard": TensorBoardLog, "mlflow": MLflowLog}


def choose_logs(names: Collection[str], resumed: Path | None = None) -> list[str]:
    """Return the logs that a run is to have: those named, and those that a run that is resumed has.

    Raises
    ------
    InputError
        For a name that is none of "tensorboard" and "mlflow".
    BackendError
        Where the package of one is missing, with the extra that installs it.
    """
    for name in names:
        check_choice("log", name, LOGS)
    chosen = [name for name, log in LOGS.items() if name in names or (resumed and any(resumed.glob(log.pattern)))]
    for name in chosen:
        LOGS[name].load()
    return chosen


@contextmanager
def open_logs(
    names: Sequence[str], folder: RunFolder, experiment: Experiment, records: Sequence[Record]
) -> Iterator[Callable[[Record], None]]:
    """Log a run, with `records` of the epochs before, up to the end of the context; give what logs an epoch.

    A log that fails while the run is trained is warned of and left alone: the training goes on.

    Raises
    ------
    InputError
        Where a log cannot be begun.
    """
    logs = {name: _begin(name, folder, experiment, records) for name in names}
    last = records[-1] if records else None

    def attempt(name: str, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - packages raise what they like, and the run is worth more than its log
            del logs[name]
            warnings.warn(f"the log for {name} ended early: {error}", XpmlpWarning, stacklevel=2)

    def add(record: Record) -> None:
        nonlocal last
        last = record
        for name, log in list(logs.items()):
            if record.complete:
                attempt(name, partial(log.add, record))

    status = "FAILED"
    try:
        yield add
        done = last is not None and last.complete and experiment.recipe.is_over(last.epoch, last.best_epoch)
        status = "FINISHED" if done else "KILLED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        for name, log in list(logs.items()):
            attempt(name, partial(log.close, status))


def _begin(name: str, folder: RunFolder, experiment: Experiment, records: Sequence[Record]) -> Log:
    try:
        return LOGS[name](folder, experiment, records)
    except InputError:
        raise
    except Exception as error:  # packages raise what they like
        raise InputError(f"the log for {name} cannot be begun: {error}") from error


def _settings(experiment: Experiment) -> dict[str, Any]:
    """Return the options of a run as plain values: texts for those of layers, nothing for those that are None."""
    options = experiment.options.to_json()
    return {name: to_text(v) if isinstance(v, tuple) else v for name, v in options.items() if v is not None}


def _values(record: Record) -> dict[str, float]:
    """Return what is logged of an epoch, by names that group the same measure of all parts."""
    values = {"learning_rate": record.learning_rate}
    for part, score in record.scores.items():
        values |= {f"{name}/{part}": value for name, value in {"loss": score.loss, **score.measures}.items()}
    return values
