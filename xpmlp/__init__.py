"""xpmlp: a multilayer perceptron with hand-derived gradients, written once for every array library.

The names below are loaded when they are first used, so that ``import xpmlp`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xpmlp.activations import ACTIVATIONS as ACTIVATIONS
    from xpmlp.activations import Activation as Activation
    from xpmlp.backends import BACKENDS as BACKENDS
    from xpmlp.backends import Backend as Backend
    from xpmlp.backends import get_backend as get_backend
    from xpmlp.checkpoints import load_model as load_model
    from xpmlp.checkpoints import save_model as save_model
    from xpmlp.datasets import Dataset as Dataset
    from xpmlp.datasets import load_dataset as load_dataset
    from xpmlp.datasets import split as split
    from xpmlp.errors import BackendError as BackendError
    from xpmlp.errors import CommunicatorError as CommunicatorError
    from xpmlp.errors import DivergenceError as DivergenceError
    from xpmlp.errors import InputError as InputError
    from xpmlp.errors import OutOfMemoryError as OutOfMemoryError
    from xpmlp.errors import WorkerError as WorkerError
    from xpmlp.errors import XpmlpError as XpmlpError
    from xpmlp.errors import XpmlpWarning as XpmlpWarning
    from xpmlp.estimators import MLPClassifier as MLPClassifier
    from xpmlp.estimators import MLPRegressor as MLPRegressor
    from xpmlp.exports import export_model as export_model
    from xpmlp.gradcheck import GradientCheck as GradientCheck
    from xpmlp.gradcheck import check_gradients as check_gradients
    from xpmlp.initializers import INITIALIZERS as INITIALIZERS
    from xpmlp.initializers import initialize as initialize
    from xpmlp.losses import LOSSES as LOSSES
    from xpmlp.losses import Loss as Loss
    from xpmlp.models import Model as Model
    from xpmlp.network import Layer as Layer
    from xpmlp.network import Network as Network
    from xpmlp.network import bprop as bprop
    from xpmlp.network import fprop as fprop
    from xpmlp.network import gradient_function as gradient_function
    from xpmlp.optimizers import SGD as SGD
    from xpmlp.optimizers import Adam as Adam
    from xpmlp.optimizers import AdamW as AdamW
    from xpmlp.penalties import ElasticNet as ElasticNet
    from xpmlp.preprocessing import Scaling as Scaling
    from xpmlp.preprocessing import encode as encode
    from xpmlp.schedules import Constant as Constant
    from xpmlp.schedules import Cosine as Cosine
    from xpmlp.schedules import StepDecay as StepDecay
    from xpmlp.training import Recipe as Recipe
    from xpmlp.training import Record as Record
    from xpmlp.training import train as train

_HOMES = {
    "activations": ("ACTIVATIONS", "Activation"),
    "backends": ("BACKENDS", "Backend", "get_backend"),
    "checkpoints": ("load_model", "save_model"),
    "datasets": ("Dataset", "load_dataset", "split"),
    "errors": (
        "BackendError",
        "CommunicatorError",
        "DivergenceError",
        "InputError",
        "OutOfMemoryError",
        "WorkerError",
        "XpmlpError",
        "XpmlpWarning",
    ),
    "estimators": ("MLPClassifier", "MLPRegressor"),
    "exports": ("export_model",),
    "gradcheck": ("GradientCheck", "check_gradients"),
    "initializers": ("INITIALIZERS", "initialize"),
    "losses": ("LOSSES", "Loss"),
    "models": ("Model",),
    "network": ("Layer", "Network", "bprop", "fprop", "gradient_function"),
    "optimizers": ("SGD", "Adam", "AdamW"),
    "penalties": ("ElasticNet",),
    "preprocessing": ("Scaling", "encode"),
    "schedules": ("Constant", "Cosine", "StepDecay"),
    "training": ("Recipe", "Record", "train"),
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
