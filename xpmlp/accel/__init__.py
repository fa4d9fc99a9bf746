"""scikit-learn's MLPs computed by this package, without a change of code.

It imports `common` and `estimators`.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import joblib
import numpy as np
from joblib.parallel import BACKENDS
from sklearn import neural_network
from sklearn.utils.metaestimators import available_if

from xpmlp import MLPClassifier, MLPRegressor
from xpmlp.accel._calls import LOG, Calls
from xpmlp.accel._runner import Runner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["load_ipython_extension", "patch_sklearn", "unload_ipython_extension", "unpatch_sklearn"]

METHODS = ("fit", "partial_fit", "predict", "predict_proba")  # the other public methods call these
ENGINES = ("loky", "multiprocessing")  # joblib's, whose workers are processes

_undo: list[Callable[[], None]] = []


def patch_sklearn(device: str | None = None, report: Path | str | None = None) -> None:
    """Let xpmlp compute for scikit-learn's `MLPClassifier` and `MLPRegressor`.

    The classes stay scikit-learn's own, also where they are imported already. Only their methods `fit`, `partial_fit`,
    `predict` and `predict_proba` change: an `xpmlp.MLPClassifier` or `xpmlp.MLPRegressor` computes. Where it cannot,
    scikit-learn does, and the logger "xpmlp.accel" warns. joblib's worker processes are patched too. A second call
    replaces the arguments of the first.

    Parameters
    ----------
    device : str, optional
        Where to compute, as `xpmlp.MLPClassifier` takes it: "cuda", "torch:cuda:0", ...; the CPU by default.
    report : path, optional
        A file to which each call appends a line of JSON: class, method, where it ran, seconds, and why
        scikit-learn computed, if it did.

    Raises
    ------
    InputError, BackendError
        For a device that is not known or cannot be used.

    Examples
    --------
    >>> import xpmlp
    >>> from sklearn.neural_network import MLPClassifier
    >>> xpmlp.patch_sklearn()
    >>> model = MLPClassifier(solver="lbfgs", random_state=0).fit([[0.0], [1.0]], [0, 1])  # xpmlp computes
    >>> xpmlp.unpatch_sklearn()
    >>> model.predict([[0.9]])  # scikit-learn computes
    array([1])
    """
    if device is not None:  # a step of a small network shows whether it can be used
        MLPRegressor(hidden_layer_sizes=1, random_state=0, device=device).partial_fit(np.ones((1, 1), "float32"), [1.0])
    unpatch_sklearn()
    calls = Calls(report)
    for kind, own in ((neural_network.MLPClassifier, MLPClassifier), (neural_network.MLPRegressor, MLPRegressor)):
        runner = Runner(kind, own, device, calls)
        for name in METHODS:
            if hasattr(kind, name):
                _replace(kind, name, runner)
    for name in BACKENDS.keys() & ENGINES:
        start = functools.partial(BACKENDS[name], initializer=patch_sklearn, initargs=(device, report))
        _undo.append(functools.partial(joblib.register_parallel_backend, name, BACKENDS[name]))
        joblib.register_parallel_backend(name, start)
    LOG.info("scikit-learn's MLPClassifier and MLPRegressor run on xpmlp, device %s", device or "cpu")


def unpatch_sklearn() -> None:
    """Undo `patch_sklearn`. Fitted estimators stay fitted."""
    while _undo:
        _undo.pop()()


def load_ipython_extension(ipython: object) -> None:  # noqa: ARG001 - IPython hands itself over
    """Do what ``%load_ext xpmlp.accel`` asks for."""
    patch_sklearn()


def unload_ipython_extension(ipython: object) -> None:  # noqa: ARG001 - as above
    """Do what ``%unload_ext xpmlp.accel`` asks for."""
    unpatch_sklearn()


def _replace(kind: Any, name: str, runner: Runner) -> None:
    original, public = inspect.getattr_static(kind, name), getattr(kind, name)
    signature = inspect.signature(public)

    @functools.wraps(public)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        theirs = original.__get__(self, type(self))
        try:
            signature.bind(self, *args, **kwargs)
        except TypeError:  # ours takes more arguments
            return theirs(*args, **kwargs)
        return runner.run(self, name, theirs, args, kwargs)

    if not inspect.isfunction(original):  # available for some parameters only, as `partial_fit`
        method = available_if(lambda estimator: original.__get__(estimator, type(estimator)))(method)
    inherited = name not in vars(kind)
    _undo.append(
        functools.partial(delattr, kind, name) if inherited else functools.partial(setattr, kind, name, original)
    )
    setattr(kind, name, method)
