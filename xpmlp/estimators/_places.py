"""Where an estimator computes, and where its arrays belong: moving between array libraries and devices."""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scipy import sparse
from sklearn import get_config

from xpmlp.backends import BACKENDS, backend_of, get_backend
from xpmlp.backends.numpy.sparse import SparseNumpyBackend
from xpmlp.common.errors import BackendError, InputError
from xpmlp.nn.network import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array

__all__ = ["NUMBERS", "Place", "dispatching", "float_dtype", "library_of", "move", "open_place", "place_of", "to_host"]

NUMBERS = "iuf"  # the kinds of dtype that every array library has


@dataclass(frozen=True)
class Place:
    """Where a network computes, and where what it gives belongs.

    Attributes
    ----------
    backend : Backend
        Where it computes.
    home : Backend
        The library and device of the examples that were given, in the same dtype.
    """

    backend: Backend
    home: Backend

    def bring(self, x: Any) -> Array:
        """Move an array from home to where the network computes, in its dtype."""
        if sparse.issparse(x):
            return sparse.csr_array(x, dtype=self.backend.dtype)  # an array: its * is elementwise
        return move(x, self.backend)

    def give(self, x: Array) -> Array:
        """Move a result home."""
        return x if self.home == self.backend else move(x, self.home)

    def layers(self, coefs: Sequence[Array], intercepts: Sequence[Array]) -> list[Layer]:
        """Move weights, wherever they are, to where the network computes."""
        return [Layer(move(W, self.backend), move(b, self.backend)) for W, b in zip(coefs, intercepts, strict=True)]


def dispatching() -> bool:
    """Whether scikit-learn is told to keep arrays in their library; else everything is turned into NumPy's."""
    return bool(get_config()["array_api_dispatch"])


def to_host(values: Any) -> Any:
    """Return an array of any library as NumPy's; what is none as it is."""
    for backend in BACKENDS.values():
        if backend.name != "numpy" and backend.device_of(values) is not None:
            return backend_of(values, "float32").to_numpy(values)
    return values


def move(x: Array, backend: Backend) -> Array:
    """Move an array of any library to a backend, in the backend's dtype; as it is where it is that already."""
    if backend.holds(x) and backend.on_device(x):
        return x if x.dtype == backend.float_dtype else backend.xp.astype(x, backend.float_dtype)
    return backend.asarray(to_host(x))


def place_of(X: Any, device: str | None, dtype: str) -> Place:
    """Decide where to compute on some examples.

    Parameters
    ----------
    X : array or sparse array
        The examples, validated.
    device : str, optional
        Where to send arrays of NumPy, as `open_place` takes it; by default all compute where they are.
    dtype : {"float32", "float64"}
        To compute in.

    Raises
    ------
    InputError
        For a device asked for with examples that are somewhere already, or sparse.
    BackendError
        Where the device cannot be used.
    """
    if sparse.issparse(X):
        if device not in (None, "cpu", "numpy"):
            raise InputError(
                f"sparse examples are computed on by NumPy, but device is {device!r}: make them dense with "
                "X.toarray(), or leave device out."
            )
        backend = SparseNumpyBackend(dtype=dtype)
        return Place(backend, backend)
    home = backend_of(X, dtype)
    if device is None:
        return Place(home, home)
    if home.name != "numpy":
        raise InputError(
            f"device {device!r} is for arrays of NumPy, but X is of {home.name} on {home.device_name}: leave device "
            "out, and all is computed there."
        )
    return Place(open_place(device, dtype), home)


def open_place(where: str, dtype: str) -> Backend:
    """Open a backend from a word.

    Parameters
    ----------
    where : str
        "auto" (a GPU where CuPy can use one, else the CPU), "cpu", "cuda" or "cuda:1" (through CuPy where it is
        installed, else through torch), "mps", the name of a backend, or both: "torch:cuda:0".
    dtype : {"float32", "float64"}
        To compute in.

    Raises
    ------
    InputError
        For another word.
    BackendError
        Where it cannot be used. Another place is never taken instead.
    """
    name, _, device = where.partition(":")
    if name in BACKENDS:
        return get_backend(name, device or None, dtype)
    if where == "auto":
        return get_backend("auto", dtype=dtype)
    if where == "cpu":
        return get_backend("numpy", dtype=dtype)
    if name == "cuda":
        installed = [library for library in ("cupy", "torch") if importlib.util.find_spec(library) is not None]
        if not installed:
            raise BackendError(
                f"device {where!r} needs CuPy or PyTorch, and neither is installed. Install one with: "
                "pip install 'xpmlp[cuda13]' or 'xpmlp[cuda12]' (CuPy), or pip install 'xpmlp[torch]'"
            )
        return get_backend(installed[0], where, dtype)
    if where == "mps":
        return get_backend("torch", where, dtype)
    known = "auto, cpu, cuda, cuda:0, mps, or a backend's name with or without a device, such as torch:cuda:0"
    raise InputError(f"device is {where!r}, but must be one of: {known}.")


def library_of(values: Any) -> Backend | None:
    """Return the backend of an array where it is of another library than NumPy and stays so, else None."""
    if not dispatching() or not any(backend.device_of(values) for backend in BACKENDS.values()):
        return None
    backend = backend_of(values, "float32")
    return None if backend.name == "numpy" else backend


def float_dtype(X: Any) -> str:
    """Name the floating dtype of an array or sparse array: float32, or float64 for anything wider or whole."""
    library: Any = type(X.dtype)
    return _float_dtype(library, X.dtype)


@functools.lru_cache(maxsize=64)  # NumPy takes longer to name a dtype than to pass a row through a small network
def _float_dtype(library: Any, dtype: Any) -> str:  # noqa: ARG001 - dtypes of two libraries are not to be compared
    return "float32" if str(dtype).rpartition(".")[2] == "float32" else "float64"
