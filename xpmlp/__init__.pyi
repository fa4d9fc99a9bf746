# The public names, each with the module that it comes from: type checkers read this, and so does __init__.py.
# ruff: noqa: I001 - isort would write a line for each name

from xpmlp.accel import patch_sklearn as patch_sklearn, unpatch_sklearn as unpatch_sklearn
from xpmlp.backends import (
    BACKENDS as BACKENDS,
    Backend as Backend,
    StandardBackend as StandardBackend,
    Status as Status,
    get_backend as get_backend,
)
from xpmlp.common.errors import (
    BackendError as BackendError,
    CommunicatorError as CommunicatorError,
    DivergenceError as DivergenceError,
    InputError as InputError,
    OutOfMemoryError as OutOfMemoryError,
    WorkerError as WorkerError,
    XpmlpError as XpmlpError,
    XpmlpWarning as XpmlpWarning,
)
from xpmlp.data.datasets import Dataset as Dataset, load_dataset as load_dataset, split as split
from xpmlp.data.preprocessing import Scaling as Scaling, encode as encode
from xpmlp.data.tables import Column as Column, Table as Table, read_table as read_table
from xpmlp.data.tables.preparation import TablePreparation as TablePreparation
from xpmlp.estimators import (
    DeepEnsembleClassifier as DeepEnsembleClassifier,
    DeepEnsembleRegressor as DeepEnsembleRegressor,
    MLPClassifier as MLPClassifier,
    MLPRegressor as MLPRegressor,
    PackClassifier as PackClassifier,
    PackRegressor as PackRegressor,
    StackedGridSearchCV as StackedGridSearchCV,
    StackedRandomizedSearchCV as StackedRandomizedSearchCV,
    TablePreprocessor as TablePreprocessor,
    register_skl2onnx as register_skl2onnx,
)
from xpmlp.experiments.experiment import prepare as prepare
from xpmlp.experiments.options import Options as Options
from xpmlp.models.files import load_model as load_model, save_model as save_model
from xpmlp.models.exports import export_model as export_model
from xpmlp.models.exports import export_step as export_step
from xpmlp.models.model import Model as Model
from xpmlp.models.model import Predictor as Predictor
from xpmlp.nn.activations import ACTIVATIONS as ACTIVATIONS, Activation as Activation
from xpmlp.nn.gradcheck import GradientCheck as GradientCheck, check_gradients as check_gradients
from xpmlp.nn.initializers import INITIALIZERS as INITIALIZERS, initialize as initialize
from xpmlp.nn.losses import LOSSES as LOSSES, Loss as Loss
from xpmlp.nn.network import (
    Layer as Layer,
    Network as Network,
    bprop as bprop,
    fprop as fprop,
    gradient_function as gradient_function,
)
from xpmlp.nn.optimizers import SGD as SGD, Adam as Adam, AdamW as AdamW
from xpmlp.nn.regularization import ElasticNet as ElasticNet
from xpmlp.nn.schedules import Constant as Constant, Cosine as Cosine, StepDecay as StepDecay
from xpmlp.training import (
    Member as Member,
    Recipe as Recipe,
    Record as Record,
    Setting as Setting,
    draw_settings as draw_settings,
    train as train,
    train_many as train_many,
    train_pack as train_pack,
)

__version__: str
