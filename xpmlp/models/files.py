"""Models on disk: safetensors for the arrays, JSON in its metadata for the rest.

Loading a file never runs code. It holds a SHA-256 of all that it says, and a file that was changed since is refused.
"""

from __future__ import annotations

import hashlib
import json
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
from xpmlp.nn.own_parts import is_place, own_part

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sklearn.base import BaseEstimator

    from xpmlp.common.types import Array

FORMAT = 1
ENDINGS = {"onnx": ".onnx", "npz": ".npz", "sklearn": ".skops"}  # of the files that `export_model` writes


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
    write_file(Path(path), arrays, description)


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
    model: Model = read_file(Path(path), "model", partial(_model, parts))
    return model


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
    layers = layers_in(arrays, len(sizes) - 1)
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


def named_arrays(layers: Sequence[Layer], prefix: str = "") -> dict[str, Array]:
    """Name the arrays of each layer: W1, b1, W2, b2, ...; those of an embedding w and c."""
    return {
        f"{prefix}{name}": array
        for names, layer in zip(names_of(layers), layers, strict=True)
        for name, array in zip(names, layer, strict=True)
    }


def layers_in(arrays: dict[str, np.ndarray], depth: int, prefix: str = "") -> list[Layer]:
    names = [("w", "c")] if f"{prefix}w" in arrays else []
    names += [(f"W{n}", f"b{n}") for n in range(1, depth + 1)]
    return [Layer(arrays[f"{prefix}{W}"], arrays[f"{prefix}{b}"]) for W, b in names]


def digest(arrays: dict[str, np.ndarray], description: dict[str, Any], records: str) -> str:
    """Return the SHA-256 of all that a file says but this itself."""
    sha256 = hashlib.sha256(json.dumps(description, sort_keys=True).encode() + records.encode())
    for name in sorted(arrays):
        sha256.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        sha256.update(arrays[name].tobytes())
    return sha256.hexdigest()


def write_file(path: Path, arrays: dict[str, np.ndarray], description: dict[str, Any], records: str = "") -> None:
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    plain = json.loads(json.dumps({"format": FORMAT, **description}))  # as it will be read
    text = json.dumps({"sha256": digest(contiguous, plain, records), **plain})
    log = {"records": records} if records else {}
    write_whole(path, save(contiguous, metadata={"xpmlp": text, **log}))


def read_file(path: Path, kind: str, build: Callable[[dict[str, Any], dict[str, np.ndarray]], Any]) -> Any:
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
