"""Moving fitted estimators: between array libraries and devices, and into pickles."""

from __future__ import annotations

import warnings
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from xpmlp.backends import BACKENDS, backend_of, get_backend
from xpmlp.common.errors import BackendError, XpmlpWarning
from xpmlp.estimators._places import NUMBERS, float_dtype, move, open_place, to_host

__all__ = ["TravelMixin", "on_host"]


class TravelMixin:
    """How `BaseMLP` travels."""

    def to(self: Any, where: str) -> Any:
        """Move the fitted weights to another library or device.

        Parameters
        ----------
        where : str
            "cpu", "cuda:0", the name of a backend, or both, such as "torch:cuda:0".

        Returns
        -------
        self
            It now takes arrays of that library on that device.

        Raises
        ------
        InputError, BackendError
            For a place that is not known or cannot be used: the weights stay where they are then.
        """
        check_is_fitted(self)
        backend = open_place(where, float_dtype(self.coefs_[0]))
        self._move(backend)
        return self

    def _move(self: Any, backend: Any, *, classes: bool = True) -> None:
        coefs, intercepts = ([move(p, backend) for p in arrays] for arrays in (self.coefs_, self.intercepts_))
        self.coefs_, self.intercepts_ = coefs, intercepts
        if classes and hasattr(self, "classes_"):
            labels = to_host(self.classes_)
            stay = backend.name == "numpy" or labels.dtype.kind not in NUMBERS
            self.classes_ = labels if stay else backend.asarray(labels, dtype=None)

    def __getstate__(self: Any) -> dict[str, Any]:
        """Keep arrays as NumPy's, with the place they were in: a pickle loads where that place is missing."""
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        state.pop("_trainer", None)  # it holds compiled functions
        if "coefs_" in state:
            fitted = state["coefs_"][0]
            backend = backend_of(fitted, float_dtype(fitted))
            state["_place_of_weights"] = (backend.name, backend.device_name, backend.dtype)
            classes = state.get("classes_")
            state["_classes_were_there"] = to_host(classes) is not classes
        kept = ("coefs_", "intercepts_", "classes_", "_optimization")
        return state | {name: on_host(state[name]) for name in kept if name in state}

    def __setstate__(self: Any, state: dict[str, Any]) -> None:
        place = state.pop("_place_of_weights", None)
        classes = state.pop("_classes_were_there", True)
        BaseEstimator.__setstate__(self, state)
        if place is None or place[0] == "numpy":
            return
        try:
            self._move(get_backend(*place), classes=classes)
        except BackendError as error:
            warnings.warn(
                f"this model was fitted with {place[0]} on {place[1]}, which cannot be used here: {error} "
                "Its weights are NumPy arrays now, and it takes NumPy arrays.",
                XpmlpWarning,
                stacklevel=2,
            )


def on_host(value: Any) -> Any:
    """Copy a nest of lists, tuples and records with its arrays as NumPy's."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(on_host, value))
    if isinstance(value, list | tuple):
        return type(value)(map(on_host, value))
    if any(backend.device_of(value) for backend in BACKENDS.values()):
        return to_host(value)
    return value
