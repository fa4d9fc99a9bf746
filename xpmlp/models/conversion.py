"""Fitted estimators, and pipelines that end in one, as models."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.data.features import features_to_numpy
from xpmlp.data.preprocessing import Scaling
from xpmlp.models.model import Model


def as_model(trained: Any) -> Model:
    """Return what was trained as a model, which takes the raw features that `trained` takes.

    Parameters
    ----------
    trained : Model, MLPClassifier, MLPRegressor or Pipeline
        A model, a fitted estimator of xpmlp, or scikit-learn's pipeline that ends in one of these. The steps before may
        be `StandardScaler`, `MinMaxScaler`, `MaxAbsScaler` and `RobustScaler`, without ``clip``: they become the
        model's scaling.

    Returns
    -------
    Model
        Its predictions are those of `trained`, to rounding.

    Raises
    ------
    InputError
        For anything else. Of a pipeline, it names the step.
    NotFittedError
        For an estimator that is not fitted.
    """
    if isinstance(trained, Model):
        return trained
    if hasattr(trained, "to_model"):
        model: Model = trained.to_model()
        return model
    if not hasattr(trained, "steps"):
        kind = type(trained)
        raise InputError(
            f"{kind.__name__} of {kind.__module__.partition('.')[0]} is not a trained model of xpmlp: give a Model, a "
            "fitted MLPClassifier or MLPRegressor of xpmlp (from_sklearn converts scikit-learn's), or a pipeline that "
            "ends in one."
        )
    *before, (_, last) = trained.steps
    model = as_model(last)
    scalers = [(name, step) for name, step in before if step not in (None, "passthrough")]
    if not scalers:
        return model
    shift, scale = np.zeros(model.network.sizes[0]), np.ones(model.network.sizes[0])
    for own_shift, own_scale in [*(_affine(*each) for each in scalers), (model.scaling.shift, model.scaling.scale)]:
        shift, scale = shift + own_shift / scale, scale * own_scale
    names = getattr(scalers[0][1], "feature_names_in_", None)
    return replace(model, scaling=Scaling(shift, scale), feature_names=None if names is None else tuple(names.tolist()))


def _affine(name: str, scaler: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the shift and the scale of a fitted scaler, which gives (X - shift) * scale."""
    from sklearn.preprocessing import (  # noqa: PLC0415 - slow to import, and needed here alone
        MaxAbsScaler,
        MinMaxScaler,
        RobustScaler,
        StandardScaler,
    )
    from sklearn.utils.validation import check_is_fitted  # noqa: PLC0415 - as above

    kinds = (StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler)
    if type(scaler) not in kinds or getattr(scaler, "clip", False):
        what = f"a {type(scaler).__name__}" + (" that clips" if type(scaler) in kinds else "")
        raise InputError(
            f"step {name!r} of the pipeline is {what}. Only {', '.join(kind.__name__ for kind in kinds)} without clip "
            "can become a part of the model. Give the last step alone, or write the pipeline with skl2onnx."
        )
    check_is_fitted(scaler)
    if isinstance(scaler, MinMaxScaler):  # X * scale_ + min_
        scale = _on_host(scaler.scale_)
        return -_on_host(scaler.min_) / scale, scale
    shift = None
    if isinstance(scaler, RobustScaler):
        shift = scaler.center_
    elif isinstance(scaler, StandardScaler) and scaler.with_mean:
        shift = scaler.mean_
    return _on_host(shift, missing=0.0), 1.0 / _on_host(scaler.scale_, missing=1.0)


def _on_host(values: Any, missing: float = 0.0) -> np.ndarray:
    return np.array(missing) if values is None else features_to_numpy(values).astype(np.float64)
