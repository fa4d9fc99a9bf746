"""Where an estimator computes, and where its caller's arrays are: moving between array libraries and devices."""

from __future__ import annotations

import importlib.util
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import sparse
from sklearn import get_config

from xpmlp.backends import BACKENDS, backend_of, check_known, get_backend, split_place
from xpmlp.backends.numpy.sparse import SparseNumpyBackend
from xpmlp.common.errors import BackendError, InputError, XpmlpWarning
from xpmlp.common.validation import beyond_range
from xpmlp.data.examples import Examples
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array

SINGLE = 4  # bytes of a float32
DEVICES = {"auto", "cpu", "cuda", "mps"}  # that are no backend's name
REPLACED_DTYPES = {"bfloat16": np.float32, "float96": np.float64, "float128": np.float64}


class PlacedExamples(NamedTuple):
    """Examples where the network computes, and their targets and weights on the host too, as they were given."""

    examples: Examples
    T: Any  # (n, m), of NumPy
    weights: Any  # (n, 1), of NumPy; or None

    def take(self, backend: Backend, rows: np.ndarray) -> PlacedExamples:
        """Return some of the rows."""
        indices = backend.asindex(rows)
        taken = (None if array is None else backend.xp.take(array, indices, axis=0) for array in self.examples)
        return PlacedExamples(Examples(*taken), self.T[rows], None if self.weights is None else self.weights[rows])


@dataclass(frozen=True)
class Placement:
    """Where a network computes, and where its results go."""

    backend: Backend  # where it computes
    caller: Backend  # the library and device of the examples that were given, in the same dtype

    def to_compute(self, x: Any, name: str = "X") -> Array:
        """Move an array of the caller to where the network computes, in its dtype; refuse numbers beyond that."""
        self._check_range(x.data if sparse.issparse(x) else x, name)
        if sparse.issparse(x):
            return sparse.csr_array(x, dtype=self.backend.dtype)  # an array: its * is elementwise
        return move(x, self.backend)

    def _check_range(self, x: Any, name: str) -> None:
        if self.backend.dtype == "float32" and str(x.dtype).endswith("float64") and math.prod(x.shape):
            library = self.caller if self.caller.holds(x) else get_backend("numpy")
            low, high = (float(library.to_numpy(end(x))) for end in (library.xp.min, library.xp.max))
            with np.errstate(over="ignore"):
                if not np.isfinite(np.array([low, high], np.float32)).all():
                    raise beyond_range(name, low, high, "float32")

    def to_caller(self, x: Array) -> Array:
        """Move a result to the caller's library and device."""
        return x if self.caller == self.backend else move(x, self.caller)

    def is_callers(self, x: Any) -> bool:
        """Whether an array is of the caller's library, on the caller's device."""
        return self.caller.holds(x) and self.caller.on_device(x)

    def examples(self, checked: Examples, suffix: str = "") -> PlacedExamples:
        """Move examples of the caller, with targets and weights on the host, to where the network computes.

        Messages call them X, y and sample_weight, with a suffix.
        """
        X, *host = checked
        if not self.is_callers(X):  # then it is X_val: the caller is where X is
            raise ValueError(
                "X_val must use the same namespace and the same device as X, which is an array of "
                f"{self.caller.name} on {self.caller.device_name}."
            )
        with self.backend.within_memory(f"{X.shape[0]:,} examples of {X.shape[1]:,} features", "fewer examples"):
            for array, name in zip(host, ("y", "sample_weight"), strict=True):
                if array is not None:
                    self._check_range(array, name + suffix)
            # Real targets in float64 stay so, with the weights: float32 may round away what tells losses apart.
            T, weights = np.asarray(checked.T), checked.weights
            wide = T.dtype == np.float64 and self.backend.widest_dtype == "float64"
            host = [T, weights if weights is None or not wide else weights.astype(float, copy=False)]
            dtype = None if wide else "floating"
            arrays = (None if array is None else self.backend.asarray(array, dtype=dtype) for array in host)
            placed = Examples(self.to_compute(X, f"X{suffix}"), *arrays)
            return PlacedExamples(placed, T, weights)

    def layers(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> list[Layer]:
        """Move fitted weights, wherever they are, to where the network computes."""
        return [Layer(move(W, self.backend), move(b, self.backend)) for W, b in zip(coefs, intercepts, strict=True)]

    def fitted(self, layers: Sequence[Layer]) -> dict[str, Any]:
        """Return the attributes of a fitted estimator that hold these weights, in the caller's library."""
        coefs, intercepts = ([self.to_caller(p) for p in arrays] for arrays in zip(*layers, strict=True))
        return {"coefs_": coefs, "intercepts_": intercepts}


def place(X: Any, device: str | None, dtype: str) -> Placement:
    """Decide where to compute on checked examples: on the device that is named, or else where X is.

    A device is for dense arrays of NumPy alone: for others, an `InputError` is raised.
    """
    if sparse.issparse(X):
        if device not in (None, "cpu", "numpy"):
            raise InputError(
                f"sparse examples can be used on the CPU only, but device is {device!r}: make them dense with "
                "X.toarray(), or leave device out."
            )
        backend = SparseNumpyBackend(dtype=dtype)
        return Placement(backend, backend)
    caller = backend_of(X, dtype)
    if device is None:
        return Placement(caller, caller)
    if caller.name != "numpy":
        raise InputError(
            f"device {device!r} is for NumPy arrays, but X is an array of {caller.name} on {caller.device_name}: leave "
            "device out, and the network computes there."
        )
    return Placement(open_device(device, dtype), caller)


def open_device(name: str, dtype: str) -> Backend:
    """Open the backend that the name of a device means; raise an error, and take no other, where it cannot be used."""
    if name in {"auto", "cpu"}:
        return get_backend("auto", None if name == "auto" else name, dtype)
    if name == "mps":
        return get_backend("torch", name, dtype)
    if name.partition(":")[0] == "cuda":
        installed = [library for library in ("cupy", "torch") if importlib.util.find_spec(library) is not None]
        if installed:
            return get_backend(installed[0], name, dtype)
        raise BackendError(
            f"device {name!r} needs CuPy or PyTorch, and neither is installed. Install one with: "
            "pip install 'xpmlp[cuda13]' or 'xpmlp[cuda12]' (CuPy), or pip install 'xpmlp[torch]'"
        )
    library, device = split_place(name)
    try:
        return get_backend(library, device, dtype)
    except InputError as error:
        if "must be one of" not in str(error):
            raise
        known = "auto, cpu, cuda, cuda:0, mps, or a backend's name with or without a device, such as torch:cuda:0"
        raise InputError(f"device is {name!r}, but must be one of: {known}. As that, {error}") from error


class Pickle:
    """The mark of a pickle, which imports what it names in any case. A file of skops cannot hold it unless trusted."""


class DeviceMixin:
    """An estimator with a parameter `device`: for what a file names there, nothing is imported."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        reduced: Any = super().__reduce_ex__(protocol)
        make, arguments, state, *others = reduced
        return make, arguments, state | {"_loaded_by": Pickle}, *others

    def __setstate__(self, state: dict[str, Any]) -> None:
        if state.pop("_loaded_by", None) is not Pickle and "device" in state:
            state["device"] = _known_device(state["device"])
        super().__setstate__(state)  # type: ignore[misc]  # it is scikit-learn's BaseEstimator's


def _known_device(name: str | None) -> str | None:
    library = (name or "cpu").partition(":")[0]
    if library not in DEVICES:
        try:
            check_known(library, "the file")
        except InputError:
            warnings.warn(
                f"the file names the device {name!r}, whose backend is neither ours nor a plug-in's, and what "
                "a file names is not imported. device is None now: if you trust it, set_params(device=...).",
                XpmlpWarning,
                stacklevel=5,
            )
            return None
    return name


def move(x: Array, backend: Backend) -> Array:
    """Move an array of any library to a backend, in the backend's dtype; as it is where it is that already."""
    if backend.holds(x) and backend.on_device(x):
        return x if x.dtype == backend.float_dtype else backend.xp.astype(x, backend.float_dtype)
    return backend.asarray(to_host(x))


def to_host(values: Any) -> Any:
    """Return an array of any library as NumPy's; anything else as it is."""
    library = library_of(values)
    return values if library is None else library.to_numpy(library.readable(values))


def readable(values: Any) -> Any:
    """Return an array of any library detached, in a dtype that is computed with; anything else as it is.

    Half precision becomes float32, and NumPy's long doubles float64, infinite where that has no such number. NumPy's
    float16 stays: it is computed in float64, as scikit-learn does. NumPy itself has no bfloat16.
    """
    library = library_of(values)
    if library is not None:
        if dispatching() and not library.arrays_are_standard:
            raise InputError(
                f"scikit-learn cannot check arrays of {library.name}, whose functions do not follow the array API "
                f"standard: give arrays of NumPy, and device={library.name!r}."
            )
        return library.readable(values)
    dtype = REPLACED_DTYPES.get(str(getattr(values, "dtype", None)))
    if dtype is None:
        return values
    with np.errstate(over="ignore"):  # what is infinite then is refused as such
        return values.astype(dtype)


def library_of(values: Any) -> Backend | None:
    """Return the backend of an array of another library than NumPy; None for anything else."""
    if isinstance(values, np.ndarray):
        return None
    others = (backend for backend in BACKENDS.values() if backend.name != "numpy")
    return backend_of(values, "float32") if any(backend.device_of(values) for backend in others) else None


def labels_in(backend: Backend | None, labels: np.ndarray) -> Any:
    """Return labels as an array of a backend; those that are not numbers stay NumPy's, as all do without a backend."""
    if backend is None or backend.name == "numpy" or labels.dtype.kind not in "iuf":
        return labels
    return backend.asarray(labels, dtype=None)


def dispatching() -> bool:
    """Whether scikit-learn's `array_api_dispatch` keeps arrays in their library; else all become NumPy's."""
    return bool(get_config()["array_api_dispatch"])


def float_dtype(X: Any) -> str:
    """Name the floating dtype to compute with: float32 for an array of float32, else float64."""
    dtype = X.dtype  # naming one of NumPy's takes longer than passing a row through a small network
    if isinstance(dtype, np.dtype):
        single = dtype.kind == "f" and dtype.itemsize == SINGLE  # in either order of bytes
    else:
        single = str(dtype).endswith(".float32")
    return "float32" if single else "float64"
