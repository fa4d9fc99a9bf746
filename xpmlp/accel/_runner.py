"""One call of a method of scikit-learn's: on an estimator of ours, or on scikit-learn where that cannot."""

from __future__ import annotations

import inspect
import time
import types
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context
from sklearn.utils import check_random_state

from xpmlp.common.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Callable

    from xpmlp.accel._calls import Calls


class Refusal(Exception):  # noqa: N818 - no error where scikit-learn takes what was refused
    """Ours refused something before it trained."""


class Runner:
    """Runs the methods of a class of scikit-learn's, `kind`, on our class `own` with a `device`."""

    def __init__(self, kind: Any, own: Any, device: str | None, calls: Calls) -> None:
        self.kind, self.own, self.device, self.calls = kind, own, device, calls
        known, theirs = inspect.signature(own).parameters, inspect.signature(kind).parameters
        self.shared = [name for name in theirs if name in known]
        self.unknown = [name for name in theirs if name not in known]
        bases = [base for base in kind.__mro__ if base.__module__ == kind.__module__]
        self.internals = {
            name
            for base in bases
            for name, value in vars(base).items()
            if callable(value) and name.startswith("_") and not name.startswith("__")
        }
        self.counterparts: dict[int, tuple[weakref.ref[Any], Any, dict[str, Any]]] = {}
        # Ours attributes its warnings to the module that calls it, and scripts filter them by module="sklearn".
        self.call = types.FunctionType(_call.__code__, vars(inspect.getmodule(kind)))

    def run(self, estimator: Any, method: str, theirs: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Return what ``theirs(*args, **kwargs)`` returns, the method of scikit-learn's."""
        name, place = f"{type(estimator).__name__}.{method}", f"xpmlp, {self.device or 'cpu'}"
        started = time.perf_counter()
        reason = self._obstacle(estimator)
        if reason:
            self.calls.warn(name, reason)
        else:
            try:
                result = self._compute(estimator, method, args, kwargs)
            except Refusal as refusal:
                reason = str(refusal)
        if reason:
            result, place = theirs(*args, **kwargs), "scikit-learn"  # what both refuse is an error of scikit-learn's
            self.calls.warn(name, reason)
        self.calls.note(name, place, time.perf_counter() - started, reason)
        return result

    def _obstacle(self, estimator: Any) -> str:
        """Say why an estimator has to run on scikit-learn, whatever it is given; nothing if it has not."""
        kind, module = type(estimator), self.kind.__module__
        own = {name for name in self.internals if getattr(getattr(kind, name), "__module__", None) != module}
        own |= self.internals & vars(estimator).keys()
        if own:
            return f"{kind.__name__} has its own {', '.join(sorted(own))}"
        return f"xpmlp has no parameter {', '.join(self.unknown)}" if self.unknown else ""

    def _compute(self, estimator: Any, method: str, args: Any, kwargs: Any) -> Any:
        ours = draws = None
        try:
            if method == "fit" or not hasattr(estimator, "coefs_"):
                estimator._validate_params()  # noqa: SLF001 - values of ours alone are errors
            if method.endswith("fit"):
                draws = check_random_state(estimator.random_state)
                before = draws.get_state()
            ours = self._counterpart(estimator, anew=method == "fit" and not estimator.warm_start)
            ours.n_iter_ = 0
            with config_context(array_api_dispatch=False):  # scikit-learn's MLP computes with NumPy alone
                result = self.call(getattr(ours, method), args, kwargs)
        except Exception as error:
            self.counterparts.pop(id(estimator), None)  # theirs is as it was, but ours may have changed
            if isinstance(error, BackendError | MemoryError) or (ours is not None and ours.n_iter_ > 0):
                raise  # it has trained, or cannot on this device
            if draws:
                draws.set_state(before)
            raise Refusal(f"{type(error).__name__}: {error}") from error
        if not method.endswith("fit"):
            return result
        fitted = vars(ours.to_sklearn())
        for name in fitted.keys() - self.shared:
            setattr(estimator, name, _as_theirs(name, fitted[name]))
        if "feature_names_in_" not in fitted:
            vars(estimator).pop("feature_names_in_", None)
        self._keep(estimator, ours)
        return estimator

    def _counterpart(self, estimator: Any, *, anew: bool) -> Any:
        """Return the estimator of ours with the same parameters, and the same weights unless it is fitted anew."""
        if anew or not hasattr(estimator, "coefs_"):
            return self.own(**{name: getattr(estimator, name) for name in self.shared}, device=self.device)
        of, ours, state = self.counterparts.get(id(estimator), (None, None, {}))
        now = vars(estimator)
        changed = now.keys() != state.keys() or any(value is not state[name] for name, value in now.items())
        if of is None or of() is not estimator or changed:
            plain = object.__new__(self.kind)  # without what a subclass adds
            vars(plain).update(now)
            ours = self.own.from_sklearn(plain).set_params(device=self.device)
            self._keep(estimator, ours)
        return ours

    def _keep(self, estimator: Any, ours: Any) -> None:
        """Keep ours as long as theirs lives and is not changed; the weights are the same arrays, to be written to."""
        ours.coefs_, ours.intercepts_ = estimator.coefs_, estimator.intercepts_
        key = id(estimator)
        of = weakref.ref(estimator, lambda _: self.counterparts.pop(key, None))
        self.counterparts[key] = of, ours, dict(vars(estimator))


def _as_theirs(name: str, value: Any) -> Any:
    """Return losses as numbers of NumPy's, as scikit-learn does: they have `round` and `item`."""
    if name in {"loss_", "best_loss_"} and value is not None:
        return np.float64(value)
    return list(np.array(value)) if name == "loss_curve_" else value


def _call(method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    return method(*args, **kwargs)
