"""Models on disk: safetensors for the arrays, JSON in its metadata for the rest. Loading one never runs code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xpmlp.errors import InputError, XpmlpError
from xpmlp.files import write_whole
from xpmlp.models import Model
from xpmlp.network import Layer, Network
from xpmlp.preprocessing import Scaling

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["load_model", "save_model"]

FORMAT = 1


def save_model(model: Model, path: Path) -> None:
    """Write a model, so that a reader finds the old file or the new one and never half of it.

    Parameters
    ----------
    model : Model
        What to write.
    path : Path
        Where, usually ``model.safetensors``.
    """
    arrays = {"scaling.shift": model.scaling.shift, "scaling.scale": model.scaling.scale}
    for number, layer in enumerate(model.layers, start=1):
        arrays |= {f"W{number}": layer.W, f"b{number}": layer.b}
    description = {
        "format": FORMAT,
        "sizes": model.network.sizes,
        "activations": [activation.name for activation in model.network.activations],
        "loss": model.network.loss.name,
        "dropout": model.network.dropout,
        "classes": model.classes.tolist(),
        "feature_names": model.feature_names,
        "class_names": model.class_names,
    }
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    write_whole(path, save(contiguous, metadata={"xpmlp": json.dumps(description)}))


def load_model(path: Path) -> Model:
    """Read a model that `save_model` wrote.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Model
        Ready to predict, on any backend.

    Raises
    ------
    InputError
        For a file that is missing, damaged, or not one of ours.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except FileNotFoundError as error:
        raise InputError(f"there is no model at {path}.") from error
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read as a model: {error}. It may be damaged or half written.") from error
    if "xpmlp" not in metadata:
        raise InputError(f"{path} is a safetensors file, but xpmlp did not write it: its description is missing.")
    try:
        return _model(json.loads(metadata["xpmlp"]), arrays)
    except XpmlpError as error:
        raise InputError(f"{path} does not describe a model: {error}") from error
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InputError(f"{path} does not describe a model: {type(error).__name__}: {error}.") from error


def _model(description: dict[str, Any], arrays: dict[str, np.ndarray]) -> Model:
    if description["format"] != FORMAT:
        raise InputError(f"it has format {description['format']}, but this version of xpmlp reads format {FORMAT}.")
    sizes = description["sizes"]
    network = Network.build(
        sizes[0],
        sizes[1:-1],
        sizes[-1],
        activation=description["activations"],
        loss=description["loss"],
        dropout=description["dropout"][1:],
        input_dropout=description["dropout"][0],
    )
    layers = [Layer(arrays[f"W{n}"], arrays[f"b{n}"]) for n in range(1, len(sizes))]
    scaling = Scaling(arrays["scaling.shift"], arrays["scaling.scale"])
    classes = np.array(description["classes"])
    expected = [*((shape, (shape[1],)) for shape in network.shapes)]
    found = [(layer.W.shape, layer.b.shape) for layer in layers]
    if found != expected:
        raise InputError(f"its weights have shapes {found}, but its sizes {sizes} need {expected}.")
    if scaling.shift.shape != (sizes[0],) or scaling.scale.shape != (sizes[0],):
        raise InputError(f"its scaling is not one of {sizes[0]} features.")
    if classes.shape != (sizes[-1],):
        raise InputError(f"it names {classes.size} classes for {sizes[-1]} outputs.")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise InputError("it holds values that are NaN or infinite.")
    names, class_names = description["feature_names"], description["class_names"]
    return Model(
        network,
        layers,
        classes,
        scaling,
        feature_names=tuple(names) if names else None,
        class_names=tuple(class_names) if class_names else None,
    )
