"""The parameters that both estimators have: their defaults, what they may be, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

from xpmlp.estimators._compat import THEIR_CONSTRAINTS, Interval, StrOptions
from xpmlp.nn.activations import ACTIVATIONS, Activation
from xpmlp.nn.initializers import INITIALIZERS
from xpmlp.nn.schedules import SCHEDULES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

MINIBATCH_SOLVERS = ("sgd", "adam", "adamw")

_not_negative = Interval(Real, 0, None, closed="left")
_share = Interval(Real, 0, 1, closed="left")

CONSTRAINTS: dict[str, list[Any]] = THEIR_CONSTRAINTS | {
    "activation": [StrOptions(set(ACTIVATIONS)), Activation, list, tuple],
    "solver": [StrOptions({"lbfgs", *MINIBATCH_SOLVERS})],
    "l1": [_not_negative, "array-like"],
    "l2": [_not_negative, "array-like"],
    "dropout": [_share, "array-like"],
    "input_dropout": [_share],
    "weight_decay": [_not_negative],
    "schedule": [StrOptions(set(SCHEDULES)), None],
    "init": [StrOptions({"auto", *INITIALIZERS})],
    "scoring": [str, callable, None],
    "stratify_validation": ["boolean"],
    "dtype": [StrOptions({"float32", "float64"}), None],
    "device": [str, None],
}


@dataclass(kw_only=True, eq=False, repr=False)  # scikit-learn compares estimators by identity, and prints them itself
class Parameters:
    """The parameters that both estimators have. The first two are positional, and so declared by each of them.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer. An empty sequence makes a linear model.
    activation : str, Activation or sequence of these, default="relu"
        The function of the hidden units: "identity", "relu", "leaky_relu", "elu", "tanh", "logistic", "softplus",
        "silu" or "gelu", an `xpmlp.Activation` of your own, or a sequence with one for each hidden layer.
    solver : {"lbfgs", "sgd", "adam", "adamw"}, default="adam"
        L-BFGS on all examples at once; or gradient descent, Adam, or Adam with decoupled weight decay on minibatches.
    alpha : float, default=0.0001
        L2 penalty: ``alpha / 2 |W|^2``, divided by the examples of the minibatch, is added to the mean loss.
    batch_size : int or "auto", default="auto"
        Examples in a minibatch; "auto" is 200, or all of them where they are fewer. "lbfgs" does not use it.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        How the rate of "sgd" changes between epochs. "constant": not at all. "invscaling": it is
        ``learning_rate_init / (t + 1) ** power_t`` after t examples. "adaptive": it is divided by 5 where training
        would stop (see `n_iter_no_change`), until it is below 1e-6.
    learning_rate_init : float, default=0.001
        The first learning rate of "sgd", "adam" and "adamw".
    power_t : float, default=0.5
        The exponent of "invscaling".
    max_iter : int, default=200
        The largest number of epochs; for "lbfgs", of iterations.
    shuffle : bool, default=True
        Whether each epoch takes the examples in a new random order. "lbfgs" does not use it.
    random_state : int, RandomState or None, default=None
        Seed or generator of the initial weights, the orders, the dropout masks and the validation split. An integer
        makes every fit the same; None uses NumPy's global generator.
    tol : float, default=0.0001
        The least improvement of the loss or score that counts; for "lbfgs", the largest gradient to stop at.
    verbose : bool or int, default=False
        Whether to print the loss after every epoch.
    warm_start : bool, default=False
        Whether `fit` continues from the weights of the last fit. If False, it draws new ones.
    momentum : float, default=0.9
        The share of the last update, in [0, 1], that "sgd" adds to the next.
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's momentum.
    early_stopping : bool, default=False
        Whether a validation set decides when to stop, and which epoch's weights are kept: the best one's. It is X_val
        of `fit`, or else `validation_fraction` of X. If False, the training loss decides. "lbfgs" does not use it.
    validation_fraction : float, default=0.1
        The share of X, in [0, 1), that `early_stopping` holds out where there is no X_val.
    beta_1 : float, default=0.9
        The share of the running mean of the gradients, in [0, 1), that "adam" and "adamw" keep at each step.
    beta_2 : float, default=0.999
        As `beta_1`, of the running mean of their squares.
    epsilon : float, default=1e-8
        Added to the root of that mean, by which "adam" and "adamw" divide.
    n_iter_no_change : int or inf, default=10
        Training stops after more than so many epochs in a row without an improvement.
    max_fun : int, default=15000
        The largest number of times that "lbfgs" evaluates the loss.
    l1 : float or sequence of float, default=0.0
        L1 penalty: ``l1 |W|`` is added to the mean loss. One strength, or one for each layer with the output layer.
    l2 : float or sequence of float, default=0.0
        L2 penalty: ``l2 |W|^2`` is added to the mean loss, whatever the size of the minibatch. As `l1`.
    dropout : float or sequence of float, default=0.0
        The share of the hidden units, in [0, 1), that each training step drops: one, or one for each hidden layer.
    input_dropout : float, default=0.0
        The share of the features, in [0, 1), that each training step drops.
    weight_decay : float, default=0.01
        "adamw" takes the rate times this share of every weight away at each step.
    schedule : {"constant", "step", "cosine"} or None, default=None
        How the learning rate changes over all `max_iter` epochs: divided by 10 after each third, or a warm-up followed
        by half a cosine down to 0. It multiplies what `learning_rate` says.
    init : str, default="auto"
        How initial weights are drawn: "auto" is scikit-learn's way (uniform, after Glorot and Bengio); else "report",
        "glorot_uniform", "glorot_normal", "he_uniform" or "he_normal".
    scoring : str, callable or None, default=None
        What `early_stopping` watches on the validation set: a scorer, as `sklearn.metrics.check_scoring` takes it, or
        "loss", the mean loss. None: the accuracy of a classifier, or a regressor's coefficient of determination.
    stratify_validation : bool, default=False
        Whether the examples that `early_stopping` holds out have the classes in the proportions of y. If False, they do
        where there are two classes, but not where there are more, as in scikit-learn. A regressor does not use it.
    dtype : {"float32", "float64"} or None, default=None
        What to compute in. None: float32 where X is float32, else float64.
    device : str or None, default=None
        Where to compute on NumPy arrays: "cpu", "cuda", "cuda:1", "mps", "auto" (a GPU if CuPy can use one), or a
        backend with or without a device, such as "torch:cuda:0". Results are NumPy arrays. None: where X is, which is
        the only choice for arrays of other libraries.
    """

    solver: str = "adam"
    alpha: float = 0.0001
    batch_size: int | str = "auto"
    learning_rate: str = "constant"
    learning_rate_init: float = 0.001
    power_t: float = 0.5
    max_iter: int = 200
    shuffle: bool = True
    random_state: int | np.random.RandomState | None = None
    tol: float = 1e-4
    verbose: bool | int = False
    warm_start: bool = False
    momentum: float = 0.9
    nesterovs_momentum: bool = True
    early_stopping: bool = False
    validation_fraction: float = 0.1
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    n_iter_no_change: float = 10
    max_fun: int = 15000
    l1: float | Sequence[float] = 0.0
    l2: float | Sequence[float] = 0.0
    dropout: float | Sequence[float] = 0.0
    input_dropout: float = 0.0
    weight_decay: float = 0.01
    schedule: str | None = None
    init: str = "auto"
    scoring: str | Callable[..., float] | None = None
    stratify_validation: bool = False
    dtype: str | None = None
    device: str | None = None

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return list(cls._cached_names())

    @classmethod
    @cache  # reading the signature each time would take most of the time of `clone`
    def _cached_names(cls) -> tuple[str, ...]:
        return tuple(super()._get_param_names())  # type: ignore[misc] # of scikit-learn's `BaseEstimator`

    if TYPE_CHECKING:  # scikit-learn's `BaseEstimator`, which has them, has no types

        def get_params(self, deep: bool = True) -> dict[str, Any]: ...  # noqa: FBT001, FBT002 - its signature
        def set_params(self, **params: Any) -> Self: ...
