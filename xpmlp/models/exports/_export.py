"""From a model to a file, whose ending says of which kind; plain arrays are written here."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp import __version__
from xpmlp.common.errors import InputError
from xpmlp.common.files import check_place, write_whole
from xpmlp.common.validation import check_choice
from xpmlp.data.preprocessing import Scaling
from xpmlp.models.conversion import as_model
from xpmlp.models.exports._onnx import onnx_of
from xpmlp.models.exports._skops import skops_of
from xpmlp.models.files import ENDINGS, named_arrays, own_activations
from xpmlp.nn.losses import output_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sklearn.base import BaseEstimator

    from xpmlp.models.model import Model


def export_model(
    model: Model | BaseEstimator, path: str | Path, *, to: str | None = None, overwrite: bool = False
) -> None:
    """Write a trained model for another program: raw features go in, and what `Model.predict` gives comes out.

    Parameters
    ----------
    model : Model, MLPClassifier, MLPRegressor or Pipeline
        What to write: a model, a fitted estimator, or scikit-learn's pipeline that ends in one. Its steps before may be
        `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`, without ``clip``.
    path : Path
        Where. Its ending says what: ``.onnx``; ``.npz``, plain arrays; or ``.skops``, an estimator of scikit-learn.
    to : {"onnx", "npz", "sklearn"}, optional
        The program that it is for, where the ending is to be checked against it.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    InputError
        For an ending that is none of these, a file that is there, what is no model, and what the other program cannot
        express: functions of your own are exported to ``.onnx`` alone.
    BackendError
        Where the package that writes such files is not installed.
    """
    path = Path(path)
    if to is not None:
        check_choice("to", to, ENDINGS)
    check_place(path, list(WRITERS) if to is None else [ENDINGS[to]], overwrite=overwrite)
    model = as_model(model)
    if model.preparation is not None and path.suffix.lower() != ENDINGS["onnx"]:
        raise InputError(
            "a model of a table, with columns that are prepared each in its way, is exported to .onnx alone."
        )
    if path.suffix.lower() != ENDINGS["onnx"]:
        check_functions(model)
        check_single(model)
    write_whole(path, WRITERS[path.suffix.lower()](model))


def check_functions(model: Model) -> None:
    """Raise an `InputError` for a model with a function of one's own, which plain arrays and scikit-learn lack."""
    if own := own_activations(model.network):
        raise InputError(
            f"a model with a function of your own, {own[0]!r}, is exported to .onnx alone: no other file can hold it."
        )
    output_name(model.network.loss)


def check_single(model: Model) -> None:
    """Raise an `InputError` for an ensemble."""
    if model.n_members > 1:
        raise InputError(
            f"an ensemble of {model.n_members} networks is exported to .onnx alone: for another file, export one of "
            "them, such as model.member(0)."
        )


def npz_of(model: Model) -> bytes:
    """Return an .npz file of plain arrays, such as W1, b1 and classes, with a description in JSON (docs/export.md)."""
    network = model.network
    description = {
        "xpmlp": __version__,
        "dtype": model.dtype,
        "sizes": network.sizes,
        "activations": [activation.name for activation in network.activations],
        "output": output_name(network.loss),
        "embedded": network.embedded,
        "task": model.task,
        "feature_names": model.feature_names,
        "class_names": model.class_names,
        "target_names": model.target_names,
    }
    scaling, content = model.scaling, io.BytesIO()
    if model.classes is not None:
        predicted: dict[str, Any] = {"classes": model.classes}
    else:
        m = network.n_targets
        targets = model.target_scaling or Scaling(np.zeros(m), np.ones(m))
        predicted = {"target_shift": targets.shift, "target_scale": targets.scale}
    if model.medians is not None:
        predicted["medians"] = model.medians
    np.savez(
        content,
        description=np.array(json.dumps(description)),
        shift=scaling.shift,
        scale=scaling.scale,
        **predicted,
        **named_arrays(model.layers),
    )
    return content.getvalue()


WRITERS: dict[str, Callable[[Model], bytes]] = {".onnx": onnx_of, ".npz": npz_of, ".skops": skops_of}
