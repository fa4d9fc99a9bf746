"""Models and unfinished runs on disk: safetensors for the arrays, JSON in its metadata for the rest.

Loading a file never runs code. It holds a SHA-256 of all that it says, and a file that was changed since is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xpmlp.common.errors import InputError, XpmlpError
from xpmlp.common.files import write_whole
from xpmlp.common.validation import check_choice
from xpmlp.data.preprocessing import Scaling
from xpmlp.data.tables.preparation import TablePreparation
from xpmlp.models.conversion import as_model
from xpmlp.models.model import Model
from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.losses import ADJUSTABLE, LOSSES, Loss
from xpmlp.nn.network import Layer, Network, names_of
from xpmlp.nn.optimizers import AdamState, SGDState
from xpmlp.nn.own_parts import is_place, own_part
from xpmlp.training import Record, State
from xpmlp.training.many import StackState
from xpmlp.training.packs import PackState
from xpmlp.training.scoring import Score

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sklearn.base import BaseEstimator

    from xpmlp.common.types import Array

FORMAT = 1
ENDINGS = {"onnx": ".onnx", "npz": ".npz", "sklearn": ".skops"}  # of the files that `export_model` writes
STATES = {state.__name__: state for state in (SGDState, AdamState)}


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """An unfinished run, as it was after an epoch.

    Attributes
    ----------
    run : list of str
        Fingerprints of configuration and data: where one differs, the run cannot be resumed.
    records : list of Record
        Of the epochs that are done: the last one, from which `train` resumes, with weights and state in NumPy arrays,
        the others without.
    """

    run: list[str]
    records: list[Record]

    def __repr__(self) -> str:
        return f"<Checkpoint after epoch {self.records[-1].epoch}>"


def save_model(model: Model | BaseEstimator, path: str | Path) -> None:
    """Write a model, so that a reader finds the old file or the new one and never half of it.

    Parameters
    ----------
    model : Model, MLPClassifier, MLPRegressor or Pipeline
        What to write; the pipelines are those that `export_model` takes.
    path : str or Path
        Where, usually ``model.safetensors``.

    Raises
    ------
    InputError
        For an activation or a loss of your own whose name is not its place, for what is not a model, for the ending of
        another kind of file, and where the file cannot be written.
    """
    if (ending := Path(path).suffix.lower()) in ENDINGS.values():
        raise InputError(
            f"{path} cannot be written: save_model writes safetensors. Use export_model for {ending}, or a name that "
            "ends in .safetensors."
        )
    model = as_model(model)
    network = model.network
    loss = _loss_to_json(network.loss)
    nameless = [name for name in own_activations(network) if not is_place("activation", name)]
    if own := nameless + ([] if loss else [network.loss.name]):
        raise InputError(
            f"a model with a function of your own, {own[0]!r}, cannot be saved: a file holds names alone, and would be "
            "read with another function or with none. Call it by its place, such as 'module:softsign'."
        )
    # No scaling beside a preparation: earlier versions, which would leave it out, refuse such a file.
    scalings = {"scaling": None if model.preparation else model.scaling, "target_scaling": model.target_scaling}
    arrays = named_arrays(model.layers) | {
        f"{name}.{part}": getattr(scaling, part)
        for name, scaling in scalings.items()
        if scaling is not None
        for part in ("shift", "scale")
    }
    if model.medians is not None:
        arrays["medians"] = model.medians
    labels = None if model.classes is None else model.classes.tolist()
    description = {
        "kind": "model",
        "sizes": network.sizes,
        "activations": [activation.name for activation in network.activations],
        "loss": loss,
        "dropout": network.dropout,
        "frequencies": network.frequencies,
        "embedded": network.embedded,
        "classes": None if model.multilabel else labels,
        "labels": labels if model.multilabel else None,  # apart: earlier versions would take them for classes
        "feature_names": model.feature_names,
        "class_names": model.class_names,
        "target_names": model.target_names,
        "preparation": model.preparation and model.preparation.to_json(),
    }
    _write(Path(path), arrays, description)


def load_model(path: str | Path, parts: Sequence[Activation | Loss] = ()) -> Model:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    parts : sequence of Activation or Loss
        Those of your own that the file names by their places: it brings no code in.

    Returns
    -------
    Model
        Ready to predict, on any backend.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or not one of ours, and for a part that it names and is not given.
    """
    model: Model = _read(Path(path), "model", partial(_model, parts))
    return model


def record_to_json(record: Record) -> str:
    """Write all of a record but its weights and its state in a line, as a checkpoint has it."""
    names = ("epoch", "seconds", "examples", "examples_per_second", "learning_rate", "loss", "complete", "threads")
    values = {name: getattr(record, name) for name in names}
    values["scores"] = {part: _score_to_json(score) for part, score in record.scores.items()}
    values["best"] = record.best and [record.best.epoch, record.best.scores["validation"].loss]
    if record.members is not None:
        values["members"] = {part: [*map(_score_to_json, scores)] for part, scores in record.members.items()}
    return json.dumps(values)


def _score_to_json(score: Score) -> dict[str, float]:
    return {"loss": score.loss, **score.measures}


def save_checkpoint(
    run: list[str], last: Record, lines: Sequence[str], to_numpy: Callable[[Array], np.ndarray], path: Path
) -> None:
    """Write what it takes to resume a run, beside the checkpoint before, which is kept as ``previous-...``.

    Parameters
    ----------
    run : list of str
        As in `Checkpoint`.
    last : Record
        Of the epoch to resume after, with weights and state.
    lines : sequence of str
        The records of all epochs up to it, by `record_to_json`: so each is converted once in a run.
    to_numpy : callable
        `Backend.to_numpy`.
    path : Path
        Where.

    Raises
    ------
    InputError
        For a record without its state, and where the file cannot be written.
    """
    if last.state is None:
        raise InputError("the last record has no state to resume from: it was read from a file.")
    weights = named_arrays(last.layers) | named_arrays(last.best.layers if last.best else [], "best.")
    arrays = {name: to_numpy(array) for name, array in weights.items()}
    own, described = (_pack_state if isinstance(last.state, PackState) else _state)(last.state, to_numpy)
    arrays |= {f"{name}.{number}": array for name, parts in own.items() for number, array in enumerate(parts)}
    description = {"kind": "checkpoint", "run": run, **described}
    fresh = path.with_name(f"next-{path.name}")
    _write(fresh, arrays, description, "\n".join(lines))
    if path.exists():
        path.replace(previous(path))
    fresh.replace(path)


def _state(state: State, to_numpy: Callable[[Array], np.ndarray]) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    """Return the arrays of a state, on the host, and what is to be said of it."""
    own = {field: [to_numpy(p) for p in arrays] for field, arrays in state.optimizer._asdict().items()}
    steps = int(to_numpy(state.t).flat[0])  # all members of an ensemble take as many
    return own, {"steps": steps, "optimizer": type(state.optimizer).__name__}


def _pack_state(
    state: PackState, to_numpy: Callable[[Array], np.ndarray]
) -> tuple[dict[str, list[np.ndarray]], dict[str, Any]]:
    own = {f"stack_{number}": [to_numpy(p) for p in stack.arrays] for number, stack in enumerate(state.stacks)}
    lists = [[stack.numbers, stack.good] for stack in state.stacks]
    described = {"stacks": lists, "chosen": state.chosen, "value": state.value, "embedded": state.embedded}
    return own | {"chosen": state.arrays}, {"pack": described}


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint that `save_checkpoint` wrote.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or not one of ours.
    """
    checkpoint: Checkpoint = _read(path, "checkpoint", _checkpoint)
    return checkpoint


def previous(path: Path) -> Path:
    """Return where the checkpoint before the one at `path` is kept."""
    return path.with_name(f"previous-{path.name}")


def drop_checkpoints(path: Path, *, but_last: bool = False) -> None:
    """Remove the checkpoint at `path`, unless `but_last`, the one before it, and one that was not finished."""
    for prefix in ("previous-", "next-") if but_last else ("", "previous-", "next-"):
        path.with_name(f"{prefix}{path.name}").unlink(missing_ok=True)


def named_arrays(layers: Sequence[Layer], prefix: str = "") -> dict[str, Array]:
    """Name the arrays of each layer: W1, b1, W2, b2, ...; those of an embedding w and c."""
    return {
        f"{prefix}{name}": array
        for names, layer in zip(names_of(layers), layers, strict=True)
        for name, array in zip(names, layer, strict=True)
    }


def _layers(arrays: dict[str, np.ndarray], depth: int, prefix: str = "") -> list[Layer]:
    names = [("w", "c")] if f"{prefix}w" in arrays else []
    names += [(f"W{n}", f"b{n}") for n in range(1, depth + 1)]
    return [Layer(arrays[f"{prefix}{W}"], arrays[f"{prefix}{b}"]) for W, b in names]


def own_activations(network: Network) -> list[str]:
    """Name the activations that are not the library's: a file cannot hold them."""
    return [activation.name for activation in network.activations if ACTIVATIONS.get(activation.name) != activation]


def _loss_to_json(loss: Loss) -> str | list[Any] | None:
    """Return the name of a loss, with its settings where these are not the default ones, or its place; else None."""
    if loss == LOSSES.get(loss.name) or is_place("loss", loss.name):
        return loss.name
    is_ours = loss.settings and loss.name in ADJUSTABLE and loss == ADJUSTABLE[loss.name](*loss.settings)
    return [loss.name, *loss.settings] if is_ours else None


def _loss_from_json(written: str | list[Any], own: dict[str, Loss]) -> Loss:
    name, settings = (written, []) if isinstance(written, str) else (written[0], written[1:])
    if name in own:
        return own[name]
    own_part("loss", name)  # an error where it is one
    check_choice("loss", name, ADJUSTABLE if settings else LOSSES)
    return ADJUSTABLE[name](*settings) if settings else LOSSES[name]


def digest(arrays: dict[str, np.ndarray], description: dict[str, Any], records: str) -> str:
    """Return the SHA-256 of all that a file says but this itself."""
    sha256 = hashlib.sha256(json.dumps(description, sort_keys=True).encode() + records.encode())
    for name in sorted(arrays):
        sha256.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        sha256.update(arrays[name].tobytes())
    return sha256.hexdigest()


def _write(path: Path, arrays: dict[str, np.ndarray], description: dict[str, Any], records: str = "") -> None:
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    plain = json.loads(json.dumps({"format": FORMAT, **description}))  # as it will be read
    text = json.dumps({"sha256": digest(contiguous, plain, records), **plain})
    log = {"records": records} if records else {}
    write_whole(path, save(contiguous, metadata={"xpmlp": text, **log}))


def _read(path: Path, kind: str, build: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> Any:
    if path.is_dir():
        raise InputError(f"{path} is a folder, and no {kind}: in the folder of a run it is {path / kind}.safetensors.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except FileNotFoundError as error:
        raise InputError(f"there is no {kind} at {path}.") from error
    # The last three are NumPy's, for dtypes that it lacks and shapes that it cannot have.
    except (OSError, SafetensorError, AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} cannot be read as a {kind}: it is not a safetensors file, or damaged or incomplete ({error})."
        ) from error
    if "xpmlp" not in metadata:
        raise InputError(f"{path} is a safetensors file, but xpmlp did not write it: its description is missing.")
    try:
        description, records = json.loads(metadata["xpmlp"]), metadata.get("records", "")
        if description["format"] != FORMAT:
            raise InputError(f"it has format {description['format']}, but this version of xpmlp reads format {FORMAT}.")
        if description.pop("sha256") != digest(arrays, description, records):
            raise InputError("it has changed since it was written: its SHA-256 does not match.")
        if description["kind"] != kind:
            raise InputError(f"it is a {description['kind']}.")
        return build({**description, "records": records}, arrays)
    except (XpmlpError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        what = f"{error}" if isinstance(error, XpmlpError) else f"{type(error).__name__}: {error}."
        raise InputError(f"{path} does not describe a {kind}: {what}") from error


def _model(parts: Sequence[Activation | Loss], description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    own = {part.name: part for part in parts if isinstance(part, Activation)}
    losses = {part.name: part for part in parts if isinstance(part, Loss)}
    sizes, loss = description["sizes"], _loss_from_json(description["loss"], losses)
    network = Network.build(
        sizes[0],
        sizes[1:-1],
        sizes[-1] // loss.outputs_per_target,
        activation=[own.get(name, name) for name in description["activations"]],
        loss=loss,
        dropout=description["dropout"][1:],
        input_dropout=description["dropout"][0],
        frequencies=description.get("frequencies", 0),
        embedded=description.get("embedded"),
    )
    layers = _layers(arrays, len(sizes) - 1)
    columns = description.get("preparation")
    preparation = None if columns is None else TablePreparation.from_json(columns)
    if preparation is None:
        scaling = Scaling(arrays["scaling.shift"], arrays["scaling.scale"])
    else:
        scaling = Scaling.fit("none", np.empty((0, sizes[0])))
    has_targets = "target_scaling.shift" in arrays
    target_scaling = Scaling(arrays["target_scaling.shift"], arrays["target_scaling.scale"]) if has_targets else None
    labels = description.get("labels")
    classes = labels or description["classes"]
    if network.loss.correct is None:
        classes = None  # files of earlier versions name some, whatever the loss
    stack = layers[0].W.shape[:-2][:1]  # (M,) of an ensemble
    expected = [((*stack, *of_W), (*stack, *of_b)) for of_W, of_b in network.layer_shapes]
    found = [(layer.W.shape, layer.b.shape) for layer in layers]
    if found != expected:
        raise InputError(f"its weights have shapes {found}, but its sizes {sizes} need {expected}.")
    if scaling.shift.shape != (sizes[0],) or scaling.scale.shape != (sizes[0],):
        raise InputError(f"its scaling is not one of {sizes[0]} features.")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError("it holds values that are NaN or infinite.")
    names = {
        what: tuple(names) if (names := description.get(what)) else None
        for what in ("feature_names", "class_names", "target_names")
    }
    return Model(
        network,
        layers,
        None if classes is None else np.array(classes),
        scaling,
        multilabel=bool(labels),
        target_scaling=target_scaling,
        preparation=preparation,
        medians=arrays.get("medians"),
        **names,
    )


def _checkpoint(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Checkpoint:
    records: list[Record] = []
    for line in description["records"].splitlines():
        records.append(_record(json.loads(line), records))
    depth, last = sum(name[0] == "W" for name in arrays), records[-1]
    layers, best = _layers(arrays, depth), last.best and replace(last.best, layers=_layers(arrays, depth, "best."))
    state: Any
    if pack := description.get("pack"):
        stacks = [
            StackState(numbers, good, _numbered(arrays, f"stack_{place}"))
            for place, (numbers, good) in enumerate(pack["stacks"])
        ]
        state = PackState(stacks, pack["chosen"], _numbered(arrays, "chosen"), pack["value"], tuple(pack["embedded"]))
    else:
        rule = STATES[description["optimizer"]]
        if strange := sorted({name.partition(".")[0] for name in arrays if "." in name} - {"best", *rule._fields}):
            raise InputError(
                f"its {rule.__name__} has {', '.join(strange)}, where this version of xpmlp has "
                f"{', '.join(rule._fields)}: resume with the version that wrote it, or start anew."
            )
        optimizer = rule(**{field: _numbered(arrays, field) for field in rule._fields})
        stack = layers[0].W.shape[:-2]  # (M,) of an ensemble
        state = State(optimizer, *(np.full(stack, n) for n in (description["steps"], 0.0, 1.0, last.learning_rate)))
    records[-1] = replace(last, layers=layers, state=state, best=best)
    return Checkpoint(description["run"], records)


def _numbered(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    """Return the arrays ``name.0``, ``name.1``, ..."""
    return [arrays[f"{name}.{number}"] for number in range(sum(each.startswith(f"{name}.") for each in arrays))]


def _record(values: dict[str, Any], before: Sequence[Record]) -> Record:
    scores = {part: Score(**score) for part, score in values["scores"].items()}
    members = values.get("members")
    members = members and {part: [Score(**score) for score in those] for part, those in members.items()}
    record = Record(**values | {"scores": scores, "best": None, "members": members}, layers=[], state=None)
    if not values.get("best"):
        return record
    epoch, _ = values["best"]
    return replace(record, best=record if epoch == record.epoch else replace(before[epoch - 1], best=None))
