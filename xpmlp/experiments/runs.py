"""Run folders: what a training run leaves on disk, and how to find it again."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import platform
import re
import warnings
from dataclasses import fields, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from xpmlp import __version__
from xpmlp.backends import BACKENDS
from xpmlp.common.errors import InputError, XpmlpWarning
from xpmlp.common.files import append_whole, csv_text, open_file, write_json, write_whole
from xpmlp.experiments.folders import Folder, now
from xpmlp.experiments.options import EARLIER_NAMES, TABLE, Options
from xpmlp.experiments.recipes import fit_recipe
from xpmlp.models.checkpoints import drop_checkpoints, load_checkpoint, previous, record_to_json, save_checkpoint
from xpmlp.models.files import load_model, save_model
from xpmlp.nn.padding import network_of
from xpmlp.training import Recipe, Setting
from xpmlp.training.packs import PackState
from xpmlp.training.scoring import CLASS_MEASURES, REAL_MEASURES, measures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.models.checkpoints import Checkpoint
    from xpmlp.models.model import Model
    from xpmlp.nn.activations import Activation
    from xpmlp.nn.losses import Loss
    from xpmlp.training import Record
    from xpmlp.training.scoring import Score

PARTS = ("train", "validation", "test")
EPOCH_LINE = re.compile(r"\S+ epoch (\d+)/")  # in the log, after the time
EVALUATIONS = ("confusion.png", "probabilities.png", "regions.png", "residuals.png", "importance.png", "importance.csv")
PACK = "pack.csv"
LOGGED = ("events.out.tfevents.*", "mlflow.json")  # of logs for other programs
# Options that came after the first runs, with what these did.
LATER = {"members": 1, "pack": 0, "precision": "highest", "graphs": True, "patience": None, "min_delta": None}
LATER |= {option.name: option.default for option in fields(Options) if option.metadata["rich_help_panel"] == TABLE}
LATER |= {"task": "classification", "loss": "auto", "class_weight": "none"}
LATER |= {"frequencies": 0, "frequency_scale": Options.frequency_scale}
LATER |= {"validation_file": None, "test_file": None, "split": "random", "group": None, "threads": None}


class RunFolder(Folder):
    """The folder of one run.

    Attributes
    ----------
    config, metrics, model, initial, checkpoint, curves, log, lock : Path
        Its files: ``config.json``, ``metrics.csv``, ``model.safetensors``, ``initial.safetensors``,
        ``checkpoint.safetensors``, ``curves.png``, ``train.log`` and ``.lock``. The initial model is there until the
        run is finished; the weights of a checkpoint make a model of it. The checkpoint before is
        ``previous-checkpoint.safetensors``; that of the last epoch stays, for more epochs.
    """

    kind, doing, config_name = "run", "training", "config.json"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.metrics = path / "metrics.csv"
        self.model = path / "model.safetensors"
        self.initial = path / "initial.safetensors"
        self.checkpoint = path / "checkpoint.safetensors"
        self.curves = path / "curves.png"
        self.log = path / "train.log"
        self._lines: list[str] = []  # the records in the last checkpoint, as it has them: each is written out once

    @property
    def is_begun(self) -> bool:
        """Whether there is a run, or what is left of one."""
        return any(file.exists() for file in (self.config, self.metrics, self.model, self.checkpoint))

    @property
    def files(self) -> list[Path]:
        """The files of the run that exist."""
        known = [self.config, self.metrics, self.model, self.initial, self.checkpoint, self.curves, self.log]
        known += [self.path / name for name in (PACK, *EVALUATIONS)]
        return [*(file for file in known if file.exists()), *(file for name in LOGGED for file in self.path.glob(name))]

    def _is_leftover(self, file: Path) -> bool:
        return file == self.initial or super()._is_leftover(file)

    def _why_not_free(self) -> str:
        if self.initial.exists():
            return (
                f"holds an unfinished run: resume it with `xpmlp train --resume {self.path}`, choose another with "
                "--out, or give --overwrite to replace it."
            )
        holds, what = ("a run", "replace it") if self.config.exists() else ("no run", "add one to what is there")
        return f"is not empty: it holds {holds}. Choose another with --out, or give --overwrite to {what}."

    def start(self, experiment: Experiment, source: str | None = None) -> None:
        """Make the folder, without the files of an earlier run, and write the initial model and the configuration.

        That keeps the `source` of the initial weights, where they are not drawn.
        """
        with self._writing():
            for file in reversed(self.files):  # the configuration last: there is no run without it
                file.unlink()
            drop_checkpoints(self.checkpoint)
            self.path.mkdir(parents=True, exist_ok=True)
        self._lines = []
        save_model(experiment.model, self.initial)  # before the configuration, so that there is no run without it
        self.write_config(({"from": source} if source else {}) | _configuration(experiment))
        self._write_metrics(experiment, [])

    def add(self, record: Record) -> None:
        """Append the row of an epoch to ``metrics.csv``."""
        append_whole(self.metrics, csv_text([_row(record)]).encode())

    def save_checkpoint(self, experiment: Experiment, records: Sequence[Record]) -> None:
        """Write ``checkpoint.safetensors``, with all `records` since the start; the one before is kept beside it."""
        self._lines += map(record_to_json, records[len(self._lines) :])
        save_checkpoint(_run_of(experiment), records[-1], self._lines, experiment.backend.to_numpy, self.checkpoint)

    def resume(self, experiment: Experiment) -> tuple[list[Record], str]:
        """Read the records in the newest good checkpoint, and bring ``metrics.csv`` and ``train.log`` back to them.

        There are none where there is no checkpoint: then the run begins again. They come with the reason why a newer
        checkpoint was not taken; "" where there is none. Where the configuration or the data have changed since, the
        run is not resumed.
        """
        checkpoint, passed_over = self._newest_checkpoint()
        records = checkpoint.records if checkpoint else []
        lengths = [experiment.options.epochs, *self.configured(lambda config: config.get("earlier_epochs", []))]
        options = [options_sha256(replace(experiment.options, epochs=epochs)) for epochs in lengths]
        known = checkpoint.run if checkpoint else [options[0], self.data_sha256()]
        found = options, [experiment.data_sha256]
        for what, before, possible in zip(("configuration", "data"), known, found, strict=True):
            if before not in possible:
                raise InputError(
                    f"the run in {self.path} cannot be resumed: its {what} changed since its checkpoint was written. "
                    "Restore what was changed, or train anew."
                )
        if not self.initial.exists():  # from now on it is not finished
            save_model(experiment.model, self.initial)
        self._lines = [record_to_json(record) for record in records]
        self._write_metrics(experiment, records)
        self._cut_log(len(records))
        return records, passed_over

    def _newest_checkpoint(self) -> tuple[Checkpoint | None, str]:
        problem = ""
        for path in (self.checkpoint, previous(self.checkpoint)):
            if path.exists():
                try:
                    return load_checkpoint(path), problem
                except InputError as error:
                    problem = str(error)
        if problem:
            raise InputError(f"the run in {self.path} has no good checkpoint to resume from: {problem}")
        return None, problem

    def check_extensible(self, epochs: int) -> None:
        """Raise an `InputError` unless the run can go on to so many epochs."""
        recipe, last = self.configured(_ending)[0], rows[-1] if (rows := self.rows()) else None
        if last is None:
            return
        done = int(last["epoch"])
        if epochs <= done:
            raise InputError(f"epochs is {epochs}, but {done} of the run in {self.path} are done: give more.")
        anew = f"start another run from its weights with `xpmlp train ... --from {self.path}`"
        if replace(recipe, epochs=epochs).is_over(done, last["best_epoch"]):
            raise InputError(f"the run in {self.path} was ended by its patience, so there are no more epochs: {anew}.")
        if self.is_finished() and not self.checkpoint.exists():
            raise InputError(f"the run in {self.path} has no checkpoint of its last epoch to go on from: {anew}.")

    def extend(self, epochs: int) -> None:
        """Let the run have so many epochs from now on; its configuration keeps how many it had before."""
        config = self.configured(dict)
        earlier = [*config.get("earlier_epochs", []), config["options"]["epochs"]]
        options = config["options"] | {"epochs": epochs}
        write_json(self.config, config | {"options": options, "earlier_epochs": earlier})

    def is_complete(self) -> bool:
        """Whether the last row of ``metrics.csv`` is that of a last epoch, with all its examples."""
        recipe, examples = self.configured(_ending)
        last = rows[-1] if (rows := self.rows()) else None
        return last is not None and last["examples"] == examples and recipe.is_over(last["epoch"], last["best_epoch"])

    def is_finished(self) -> bool:
        """Whether the run is complete, and its model saved."""
        return self.model.exists() and not self.initial.exists() and self.is_complete()

    @property
    def state(self) -> str:
        """How far the run is: "running", "complete", "failed" (diverged, or out of memory) or "interrupted"."""
        if self.is_locked():
            return "running"
        if self.is_finished():
            return "complete"
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        ended = [line.partition(" ")[2] for line in lines[-2:]]  # after a failure, a line may say what is kept
        return "failed" if any(text.startswith("failed: ") for text in ended) else "interrupted"

    def rows(self) -> list[dict[str, Any]]:
        """Read ``metrics.csv``: a mapping for each epoch, with None for an empty cell; none where there is no file."""
        if not self.metrics.exists():
            return []
        try:
            lines = csv.DictReader(self.metrics.read_text(encoding="utf-8").splitlines(), strict=True)
            return [_numbers(row) for row in lines]
        except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
            raise InputError(f"{self.metrics} cannot be read: {type(error).__name__}: {error}.") from error

    def _write_metrics(self, experiment: Experiment, records: Sequence[Record]) -> None:
        measures = measures_of(experiment.model.network.loss)
        header = [*columns(measures), *(_columns_of_members(measures) if experiment.options.is_ensemble else [])]
        write_whole(self.metrics, csv_text([header, *map(_row, records)]).encode())

    def write_log(self, line: str) -> None:
        """Append a line to ``train.log``, with the time before it."""
        append_whole(self.log, f"{now()} {line}\n".encode(errors="backslashreplace"))

    def _cut_log(self, epoch: int) -> None:
        """Take the lines of later epochs out of ``train.log``, which are to come again."""
        if self.log.exists():
            lines = self.log.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if not (found := EPOCH_LINE.match(line)) or int(found[1]) <= epoch]
            write_whole(self.log, "".join(kept).encode())

    def save(self, model: Model) -> None:
        """Write ``model.safetensors``."""
        save_model(model, self.model)

    def save_settings(self, settings: Sequence[Setting]) -> None:
        """Write ``pack.csv``: the hyperparameters that a pack has selected, a row for each setting."""
        names = [field.name for field in fields(Setting)]
        rows = [
            ["-".join(map(str, each.hidden)), *(f"{getattr(each, name):.6g}" for name in names[1:])]
            for each in settings
        ]
        write_whole(self.path / PACK, csv_text([names, *rows]).encode())

    def finish(self) -> None:
        """Leave of a run that is complete and saved what it takes to train it for more epochs."""
        drop_checkpoints(self.checkpoint, but_last=True)
        self.initial.unlink(missing_ok=True)

    def load(self, parts: Sequence[Activation | Loss] = ()) -> Model:
        """Read the trained model.

        Of a run that is not finished it has the newest weights that are to be had, and a warning says which.
        `parts` are those of a user's own, as for `load_model`.
        """
        if self.model.exists() and not self.initial.exists():
            return load_model(self.model, parts)
        candidates = [self.model]
        if self.initial.exists():
            candidates += [self.checkpoint, previous(self.checkpoint)]
        found = [(path.stat().st_mtime_ns, path) for path in candidates if path.exists()]
        problem = None
        for _, path in sorted(found, reverse=True):
            try:
                model, weights = self._unfinished(path, parts)
            except InputError as error:
                problem = problem or error
                continue
            warnings.warn(f"the run in {self.path} is not finished: {weights} are taken.", XpmlpWarning, stacklevel=3)
            return model
        raise problem or InputError(self._lack_of_model())

    def _unfinished(self, path: Path, parts: Sequence[Activation | Loss]) -> tuple[Model, str]:
        """Read a model of a run that is not finished from its model's file or a checkpoint, and say which weights."""
        if path == self.model:
            return load_model(path, parts), f"the weights that were saved when it was last ended, in {path.name},"
        last = load_checkpoint(path).records[-1]
        model, selected = load_model(self.initial, parts), last.selected
        if isinstance(last.state, PackState):  # the architecture is that of what was selected
            network = network_of(model.network.loss, selected.layers, last.state.embedded)
            model = replace(model, network=network)
        model = replace(model, layers=[*selected.layers])
        return model, f"the weights of epoch {selected.epoch}, in {path.name},"

    def _lack_of_model(self) -> str:
        if not self.path.is_dir():
            return f"there is no run folder at {self.path}. `xpmlp train` makes one."
        if not self.config.exists():
            runs = sorted(str(file.parent) for file in self.path.glob(f"*/{self.config.name}"))
            inside = f"There are runs in it: {', '.join(runs[:5])}." if runs else "`xpmlp train` makes such folders."
            return f"{self.path} is not the folder of a run: there is no {self.model.name} in it. {inside}"
        if self.is_locked():
            return f"the run in {self.path} is in progress, and its first epoch has not ended yet: wait for it."
        return f"no epoch of the run in {self.path} was completed: resume it with `xpmlp train --resume {self.path}`."

    def source(self) -> str | None:
        """Read from ``config.json`` of which run or model the initial weights are; None where they were drawn."""
        kept: str | None = self.configured(lambda config: config.get("from"))
        return kept

    def start_model(self, parts: Sequence[Activation | Loss] = ()) -> Model | None:
        """Read the model that the run started from, in all but its weights where it is finished; None where drawn."""
        if self.source() is None:
            return None
        return load_model(self.initial if self.initial.exists() else self.model, parts)

    def options(self) -> Options:
        """Read from ``config.json`` how the run was made."""
        return self.configured(lambda config: Options.from_json(config["options"]))

    def recipe(self, schedule: str | None = None) -> Recipe:
        """Read from ``config.json`` how each step of the run was taken.

        A `schedule` of a user's own that is named there has to be given: an `OwnPart`.

        Raises
        ------
        InputError
            For another schedule, a run whose steps had weights of the examples, and a pack, whose networks had recipes
            of their own.
        """
        options = self.options()
        if schedule not in {None, options.chosen_schedule}:
            raise InputError(f"the run in {self.path} has schedule {options.chosen_schedule}, not {schedule}.")
        options = replace(options, schedule=schedule or options.schedule)
        if options.pack or options.class_weight != "none":
            what = "a pack has a recipe for each network" if options.pack else "it weighted the classes"
            raise InputError(f"the run in {self.path} has no one step to export: {what}.")
        return fit_recipe(options, self.configured(_ending)[1])

    def data_sha256(self) -> str | None:
        """Read from ``config.json`` the fingerprint of the data that the run was made from, where it is kept."""
        kept: str | None = self.configured(lambda config: config["data"].get("sha256"))
        return kept


def _ending(config: dict[str, Any]) -> tuple[Recipe, int]:
    """Read what decides when a run is over, and how many examples an epoch has."""
    options = config["options"]
    return Recipe(epochs=options["epochs"], patience=options.get("patience")), config["data"]["examples"]["train"]


def _numbers(row: dict[str, str]) -> dict[str, Any]:
    """Read a row of ``metrics.csv``: every one has an epoch, and those of older runs no best one."""
    row = {"best_epoch": "", **row}
    measures = REAL_MEASURES if f"{PARTS[0]}_{REAL_MEASURES[0]}" in row else CLASS_MEASURES
    return {name: float(row[name]) if row[name] or name == "epoch" else None for name in columns(measures)}


def model_at(path: Path, parts: Sequence[Activation | Loss] = ()) -> Model:
    """Read the model of a run folder, or a model file, as `load_model` does; an `InputError` where there is none."""
    if not path.is_file():
        return RunFolder(path).load(parts)
    with open_file(path) as file:
        is_safetensors = file.read(9)[8:] == b"{"  # after the length of the header, 8 bytes
    if not is_safetensors:
        raise InputError(f"{path} is not a model: give the folder of a run, or the model.safetensors in it.")
    return load_model(path, parts)


def _run_of(experiment: Experiment) -> list[str]:
    """Return what a run's configuration and its data come to, in a word each; data may be found in another folder."""
    return [options_sha256(experiment.options), experiment.data_sha256]


def options_sha256(options: Options) -> str:
    """Return a SHA-256 of what options decide of a run: all of them but where its data are found.

    It is what it was when the run began, whatever options have been added or renamed since.
    """
    values = {name: value for name, value in options.to_json().items() if LATER.get(name, ...) != value}
    values |= {earlier: values.pop(name) for earlier, name in EARLIER_NAMES.items() if name in values}
    values.pop("data_dir", None)
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def columns(measures: Sequence[str]) -> list[str]:
    """Return the header of ``metrics.csv``, where scores have these measures beside their loss."""
    scores = [f"{part}_{measure}" for part in PARTS for measure in ("loss", *measures)]
    return ["epoch", "seconds", "examples", "learning_rate", *scores, "best_epoch"]


def _columns_of_members(measures: Sequence[str]) -> list[str]:
    """Return what stands behind them for an ensemble: the lowest and the highest of its members' scores."""
    names = ("loss", measures[0])
    return [f"{part}_{name}_of_members_{end}" for part in PARTS for name in names for end in ("lowest", "highest")]


def _row(record: Record) -> list[Any]:
    given = {part: {"loss": score.loss, **score.measures} for part, score in record.scores.items()}
    names = next(iter(given.values()))
    values = [given[part][name] if part in given else math.nan for part in PARTS for name in names]
    cells = ("" if math.isnan(value) else f"{value:.6g}" for value in values)
    best = "" if record.best_epoch is None else record.best_epoch
    row = [record.epoch, f"{record.seconds:.3f}", record.examples, f"{record.learning_rate:.6g}", *cells, best]
    return row if record.members is None else [*row, *_ends_of_members(record.members)]


def _ends_of_members(members: Mapping[str, Sequence[Score]]) -> list[str]:
    cells = []
    for part in PARTS:
        scores = members.get(part, [])
        both = [score.loss for score in scores], [score.main for score in scores]
        cells += [f"{end(values):.6g}" if values else "" for values in both for end in (min, max)]
    return cells


def _configuration(experiment: Experiment) -> dict[str, Any]:
    backend, model, dataset = experiment.backend, experiment.model, experiment.dataset
    return {
        "options": experiment.options.to_json(),
        "backend": {"name": backend.name, "device": backend.device_name, "dtype": backend.dtype},
        "network": network_values(model),
        "data": {
            "name": dataset.name,
            "sha256": experiment.data_sha256,
            "features": model.network.sizes[0],
            "feature_names": model.feature_names,
            "columns": getattr(dataset, "columns", ()),
            "became": became_values(model),
            "preprocessing": str(model.preparation or model.scaling),
            "task": model.task,
            "classes": None if model.classes is None else model.classes.tolist(),
            "class_names": model.class_names,
            "target_names": model.target_names,
            "target_scaling": target_scaling_values(model),
            "examples": {part: int(X.shape[0]) for part, (X, _) in experiment.sets.items()},
        },
        "versions": versions(backend.name),
        "machine": {
            "system": platform.platform(),
            "processor": platform.machine(),
            "threads": backend.threads and backend.threads.number(),
        },
    }


def network_values(model: Model) -> dict[str, Any]:
    """Return what ``config.json`` says of the network of a model."""
    network = model.network
    return {
        "members": model.n_members,
        "sizes": network.sizes,
        "activations": [activation.name for activation in network.activations],
        "loss": network.loss.name,
        "dropout": network.dropout,
        "frequencies": network.frequencies,
        "embedded": len(network.embedded),
        "parameters": network.n_parameters,
    }


def became_values(model: Model) -> dict[str, str] | None:
    """Return what became of each column, where the model takes a table."""
    return None if model.preparation is None else model.preparation.became


def target_scaling_values(model: Model) -> dict[str, list[float]] | None:
    """Return the mean and the deviation that each target had in training, where it was scaled by them."""
    if (scaling := model.target_scaling) is None:
        return None
    return {"mean": scaling.shift.tolist(), "deviation": (1.0 / scaling.scale).tolist()}


def versions(backend: str) -> dict[str, str]:
    """Return the versions of Python, of this package and of the libraries that a run uses, by name."""
    libraries = ["numpy", "array-api-compat", "scikit-learn", "safetensors"]
    found = {"python": platform.python_version(), "xpmlp": __version__}
    return found | {name: version(name) for name in libraries} | {backend: BACKENDS[backend].status().version}
