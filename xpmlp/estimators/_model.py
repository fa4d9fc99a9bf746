"""Fitted estimators as models, which files and other programs hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils.validation import check_is_fitted

from xpmlp.common.errors import InputError
from xpmlp.data.preprocessing import Scaling
from xpmlp.estimators._placement import to_host
from xpmlp.models.model import Model
from xpmlp.nn.losses import LOSSES, Loss
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from xpmlp.estimators._fitted import FittedMLP

AS_SCIKIT_LEARN = {"softmax", "logistic", "squared"}  # losses of variants that have the same outputs


def to_model(self: FittedMLP) -> Model:
    """Return the fitted network as an `xpmlp.Model`, which predicts the same; `save_model` and `export_model` write it.

    What is needed for training alone is left behind. A model takes arrays of any library, and returns NumPy's.

    Raises
    ------
    InputError
        For a classifier that was fitted to a single class.
    """
    check_is_fitted(self)
    network, fitted, d = self._fitted_network(), vars(self), self.n_features_in_
    if not isinstance(fitted.get("loss"), Loss) and network.loss.name in AS_SCIKIT_LEARN:
        network = replace(network, loss=LOSSES[network.loss.name])
    pairs = zip(self.coefs_, self.intercepts_, strict=True)
    layers = [Layer(np.array(to_host(W)), np.array(to_host(b))) for W, b in pairs]
    scaling = Scaling(np.zeros(d), np.ones(d))
    names = tuple(fitted["feature_names_in_"].tolist()) if "feature_names_in_" in fitted else None
    if "_label_binarizer" not in fitted:
        return Model(network, layers, None, scaling, names)
    labels = fitted["_label_binarizer"]
    classes = np.array(labels.classes_.tolist())  # strings in an array of objects become an array of strings
    if classes.size == 1:
        raise InputError(f"the classifier knows a single class, {classes[0].item()!r}: there is nothing to tell apart.")
    return Model(network, layers, classes, scaling, names, multilabel=labels.y_type_.startswith("multilabel"))
