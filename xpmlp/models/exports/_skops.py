"""scikit-learn's own estimators, in files of skops, which hold no code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from xpmlp.common.errors import InputError
from xpmlp.common.packages import load_package
from xpmlp.nn.losses import output_name
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from xpmlp.data.preprocessing import Scaling
    from xpmlp.models.model import Model
    from xpmlp.nn.network import Network

SKLEARN_ACTIVATIONS = ("identity", "logistic", "relu", "tanh")
LOSSES = {"identity": "squared_error", "exponential": "poisson"}  # one for each output function: the weights are fixed


def skops_of(model: Model) -> bytes:
    """Return a file of skops: scikit-learn's MLP, behind a `StandardScaler` where the model scales its features."""
    skops = load_package("skops.io")
    content: bytes = skops.dumps(_estimator(model))
    return content


def _estimator(model: Model) -> BaseEstimator:
    mlp = _mlp(model)
    first = mlp if model.scaling.is_identity else _scaler(model.scaling)
    if model.feature_names is not None:
        first.feature_names_in_ = np.array(model.feature_names, dtype=object)
    return mlp if first is mlp else make_pipeline(first, mlp)


def common_activation(network: Network) -> str | None:
    """Return the activation of all hidden layers, as scikit-learn's MLP has one; None where there are no such layers.

    Raises
    ------
    InputError
        For several activations, and for one that scikit-learn lacks.
    """
    names = sorted({activation.name for activation in network.activations})
    if len(names) > 1 or not set(names) <= set(SKLEARN_ACTIVATIONS):
        raise InputError(
            f"scikit-learn has one activation for all layers, of {', '.join(SKLEARN_ACTIVATIONS)}; "
            f"this model has {', '.join(names)}."
        )
    return names[0] if names else None


def _mlp(model: Model) -> BaseEstimator:
    """Return scikit-learn's MLP with what a fit would have left."""
    sizes, layers, output = model.network.sizes, model.layers, output_name(model.network.loss)
    if model.has_variance:
        raise InputError("scikit-learn's MLP has no variances, as loss 'gaussian' has: export to .onnx or .npz.")
    if model.network.frequencies:
        raise InputError("scikit-learn's MLP has no cosines of features, as this model: export to .onnx or .npz.")
    parameters = {"hidden_layer_sizes": sizes[1:-1], "activation": common_activation(model.network) or "relu"}
    W, b = layers[-1]
    if model.classes is None:
        mlp = MLPRegressor(loss=LOSSES[output], **parameters)
        mlp.out_activation_ = "exp" if output == "exponential" else "identity"
        if model.target_scaling is not None:
            layers = [*layers[:-1], _in_units(W, b, model.target_scaling, output)]
    elif output == "softmax" or model.multilabel or sizes[-1] == 1:
        mlp = MLPClassifier(**parameters)
        mlp.out_activation_ = output
        labels = np.eye(sizes[-1], dtype=int) if model.multilabel else model.classes
        mlp._label_binarizer = LabelBinarizer().fit(labels)  # noqa: SLF001 - no public way to set the classes
        mlp.classes_ = mlp._label_binarizer.classes_  # noqa: SLF001 - as above
        if output == "softmax" and sizes[-1] == 2:  # scikit-learn has one output then: sigmoid(z[1] - z[0])
            layers = [*layers[:-1], Layer(W[:, 1:] - W[:, :1], b[1:] - b[:1])]
            mlp.out_activation_ = "logistic"
    else:
        raise InputError(
            f"scikit-learn's MLP cannot express loss {model.network.loss.name!r} with one class for each example: "
            "there, logistic outputs are labels that do not exclude each other. Export to .onnx or .npz."
        )
    mlp.coefs_, mlp.intercepts_ = [layer.W for layer in layers], [layer.b for layer in layers]
    mlp.n_features_in_, mlp.n_layers_, mlp.n_outputs_ = sizes[0], len(sizes), layers[-1].b.shape[0]
    return mlp


def _in_units(W: np.ndarray, b: np.ndarray, scaling: Scaling, output: str) -> Layer:
    """Return the last layer with its outputs in the targets' own units: z / scale + shift."""
    if output != "identity" and not scaling.is_identity:
        raise InputError(f"scikit-learn's MLP cannot scale what an {output} output gives: export to .onnx or .npz.")
    return Layer(W / scaling.scale, b / scaling.scale + scaling.shift)


def _scaler(scaling: Scaling) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = scaling.shift, 1.0 / scaling.scale
    scaler.var_ = scaler.scale_**2
    scaler.n_features_in_ = scaling.shift.shape[0]
    scaler.n_samples_seen_ = 0  # a model does not keep how many
    return scaler
