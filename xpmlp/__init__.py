"""xpmlp: a multilayer perceptron with hand-derived gradients, written once for every array library.

The names below are loaded when they are first used, so that ``import xpmlp`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpmlp.accel import patch_sklearn as patch_sklearn
    from xpmlp.accel import unpatch_sklearn as unpatch_sklearn
    from xpmlp.backends import BACKENDS as BACKENDS
    from xpmlp.backends import Backend as Backend
    from xpmlp.backends import get_backend as get_backend
    from xpmlp.common.errors import BackendError as BackendError
    from xpmlp.common.errors import CommunicatorError as CommunicatorError
    from xpmlp.common.errors import DivergenceError as DivergenceError
    from xpmlp.common.errors import InputError as InputError
    from xpmlp.common.errors import OutOfMemoryError as OutOfMemoryError
    from xpmlp.common.errors import WorkerError as WorkerError
    from xpmlp.common.errors import XpmlpError as XpmlpError
    from xpmlp.common.errors import XpmlpWarning as XpmlpWarning
    from xpmlp.data.datasets import Dataset as Dataset
    from xpmlp.data.datasets import load_dataset as load_dataset
    from xpmlp.data.datasets import split as split
    from xpmlp.data.preprocessing import Scaling as Scaling
    from xpmlp.data.preprocessing import encode as encode
    from xpmlp.estimators import MLPClassifier as MLPClassifier
    from xpmlp.estimators import MLPRegressor as MLPRegressor
    from xpmlp.experiments.experiment import prepare as prepare
    from xpmlp.experiments.options import Options as Options
    from xpmlp.models.checkpoints import load_model as load_model
    from xpmlp.models.checkpoints import save_model as save_model
    from xpmlp.models.exports import export_model as export_model
    from xpmlp.models.model import Model as Model
    from xpmlp.nn.activations import ACTIVATIONS as ACTIVATIONS
    from xpmlp.nn.activations import Activation as Activation
    from xpmlp.nn.gradcheck import GradientCheck as GradientCheck
    from xpmlp.nn.gradcheck import check_gradients as check_gradients
    from xpmlp.nn.initializers import INITIALIZERS as INITIALIZERS
    from xpmlp.nn.initializers import initialize as initialize
    from xpmlp.nn.losses import LOSSES as LOSSES
    from xpmlp.nn.losses import Loss as Loss
    from xpmlp.nn.network import Layer as Layer
    from xpmlp.nn.network import Network as Network
    from xpmlp.nn.network import bprop as bprop
    from xpmlp.nn.network import fprop as fprop
    from xpmlp.nn.network import gradient_function as gradient_function
    from xpmlp.nn.optimizers import SGD as SGD
    from xpmlp.nn.optimizers import Adam as Adam
    from xpmlp.nn.optimizers import AdamW as AdamW
    from xpmlp.nn.regularization import ElasticNet as ElasticNet
    from xpmlp.nn.schedules import Constant as Constant
    from xpmlp.nn.schedules import Cosine as Cosine
    from xpmlp.nn.schedules import StepDecay as StepDecay
    from xpmlp.training import Recipe as Recipe
    from xpmlp.training import Record as Record
    from xpmlp.training import train as train

_HOMES = {
    "accel": (
        "patch_sklearn",
        "unpatch_sklearn",
    ),
    "backends": (
        "BACKENDS",
        "Backend",
        "get_backend",
    ),
    "common.errors": (
        "BackendError",
        "CommunicatorError",
        "DivergenceError",
        "InputError",
        "OutOfMemoryError",
        "WorkerError",
        "XpmlpError",
        "XpmlpWarning",
    ),
    "data.datasets": (
        "Dataset",
        "load_dataset",
        "split",
    ),
    "data.preprocessing": (
        "Scaling",
        "encode",
    ),
    "estimators": (
        "MLPClassifier",
        "MLPRegressor",
    ),
    "experiments.experiment": ("prepare",),
    "experiments.options": ("Options",),
    "models.checkpoints": (
        "load_model",
        "save_model",
    ),
    "models.exports": ("export_model",),
    "models.model": ("Model",),
    "nn.activations": (
        "ACTIVATIONS",
        "Activation",
    ),
    "nn.gradcheck": (
        "GradientCheck",
        "check_gradients",
    ),
    "nn.initializers": (
        "INITIALIZERS",
        "initialize",
    ),
    "nn.losses": (
        "LOSSES",
        "Loss",
    ),
    "nn.network": (
        "Layer",
        "Network",
        "bprop",
        "fprop",
        "gradient_function",
    ),
    "nn.optimizers": (
        "Adam",
        "AdamW",
        "SGD",
    ),
    "nn.regularization": ("ElasticNet",),
    "nn.schedules": (
        "Constant",
        "Cosine",
        "StepDecay",
    ),
    "training": (
        "Recipe",
        "Record",
        "train",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604 - the names are strings, from the table above


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
