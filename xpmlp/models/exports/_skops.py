"""scikit-learn's own estimators, in files of skops, which hold no code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import LabelBinarizer, StandardScaler

from xpmlp.common.errors import InputError
from xpmlp.common.packages import load_package
from xpmlp.estimators import MLPClassifier, MLPRegressor
from xpmlp.nn.losses import output_name
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from xpmlp.data.preprocessing import Scaling
    from xpmlp.models.model import Model

__all__ = ["skops_of"]


def skops_of(model: Model) -> bytes:
    """Return a file of skops: scikit-learn's MLP, behind a `StandardScaler` where the model scales its features."""
    skops = load_package("skops.io")
    content: bytes = skops.dumps(_estimator(model))
    return content


def _estimator(model: Model) -> BaseEstimator:
    output = output_name(model.network.loss)
    if output == "softmax":
        mlp = _classifier(model)
    elif output in {"identity", "exponential"}:
        mlp = _regressor(model)
    else:
        raise InputError(
            f"scikit-learn's MLP cannot express loss {model.network.loss.name!r} with one class for each example: "
            "there, logistic outputs are labels that do not exclude each other. Export to .onnx or .npz."
        )
    theirs = first = mlp.to_sklearn()
    scaling = model.scaling
    scaled = scaling.shift.any() or (scaling.scale != 1).any()
    if scaled:
        first = _scaler(scaling)
    if model.feature_names is not None:
        first.feature_names_in_ = np.array(model.feature_names, dtype=object)
    return make_pipeline(first, theirs) if scaled else theirs


def _classifier(model: Model) -> Any:
    layers = model.layers
    if model.network.sizes[-1] == 2:
        W, b = layers[-1]  # scikit-learn has one logistic output then: softmax(z)[1] = sigmoid(z[1] - z[0])
        layers = [*layers[:-1], Layer(W[:, 1:] - W[:, :1], b[1:] - b[:1])]
    mlp = _fitted(MLPClassifier(**_parameters(model)), layers)
    mlp._label_binarizer = LabelBinarizer().fit(model.classes)  # noqa: SLF001 - what a fit would have left
    mlp.classes_ = model.classes
    mlp.out_activation_ = "softmax" if mlp.n_outputs_ > 1 else "logistic"
    return mlp


def _regressor(model: Model) -> Any:
    poisson = output_name(model.network.loss) == "exponential"
    loss = "poisson" if poisson else "squared_error"  # of all losses with real outputs: the weights are there already
    mlp = _fitted(MLPRegressor(loss=loss, **_parameters(model)), model.layers)
    mlp.out_activation_ = "exp" if poisson else "identity"
    return mlp


def _parameters(model: Model) -> dict[str, Any]:
    network = model.network
    names = [activation.name for activation in network.activations]
    return {"hidden_layer_sizes": network.sizes[1:-1], "activation": names or "identity"}


def _fitted(mlp: Any, layers: list[Layer]) -> Any:
    """Give an estimator of ours the weights that a fit would have left."""
    mlp.coefs_ = [layer.W for layer in layers]
    mlp.intercepts_ = [layer.b for layer in layers]
    mlp.n_features_in_ = layers[0].W.shape[0]
    mlp.n_layers_ = len(layers) + 1
    mlp.n_outputs_ = layers[-1].b.shape[0]
    return mlp


def _scaler(scaling: Scaling) -> StandardScaler:
    scaler = StandardScaler()
    scaler.mean_, scaler.scale_ = scaling.shift, 1.0 / scaling.scale
    scaler.var_ = scaler.scale_**2
    scaler.n_features_in_ = scaling.shift.shape[0]
    scaler.n_samples_seen_ = 0  # a model does not keep how many
    return scaler
