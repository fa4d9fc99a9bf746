"""Plain arrays with a description in JSON: `numpy.load` reads them without pickle (docs/export.md)."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp import __version__
from xpmlp.nn.losses import output_name

if TYPE_CHECKING:
    from xpmlp.models.model import Model

__all__ = ["npz_of"]


def npz_of(model: Model) -> bytes:
    """Return an .npz file: W1, b1, W2, ..., shift, scale, classes, and the description as a text."""
    network = model.network
    description = {
        "xpmlp": __version__,
        "dtype": model.dtype,
        "sizes": network.sizes,
        "activations": [activation.name for activation in network.activations],
        "output": output_name(network.loss),
        "feature_names": model.feature_names,
        "class_names": model.class_names,
    }
    arrays: dict[str, Any] = {"description": np.array(json.dumps(description)), "classes": model.classes}
    arrays |= {"shift": model.scaling.shift, "scale": model.scaling.scale}
    for number, (W, b) in enumerate(model.layers, start=1):
        arrays |= {f"W{number}": W, f"b{number}": b}
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()
