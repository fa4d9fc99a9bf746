"""Backends by name."""

from __future__ import annotations

import functools
import importlib
import sys
from importlib.metadata import entry_points
from typing import Any

from xpmlp.backends.base import Backend, Status
from xpmlp.backends.cupy.backend import CupyBackend
from xpmlp.backends.jax.backend import JaxBackend
from xpmlp.backends.mlx import MlxBackend
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.backends.standard import StandardBackend
from xpmlp.backends.strict import StrictBackend
from xpmlp.backends.torch.backend import TorchBackend
from xpmlp.common.errors import BackendError, InputError

GROUP = "xpmlp.backends"  # of the entry points by which an installed package offers backends

# Ours, and any other one that was opened in this process.
BACKENDS: dict[str, type[Backend]] = {
    backend.name: backend
    for backend in (NumpyBackend, CupyBackend, TorchBackend, JaxBackend, MlxBackend, StrictBackend)
}


def get_backend(
    name: str = "numpy",
    device: Any = None,
    dtype: Any = "float32",
    *,
    graphs: bool = True,
    precision: str = "highest",
) -> Backend:
    """Open an array library on a device.

    Parameters
    ----------
    name : str
        What `find_backend` finds, or "auto": CuPy where a GPU is usable, else NumPy unless `device` asks for a GPU;
        `Backend.reason` says why.
    device : str or device of a library, optional
        One of its devices: "cpu", "cuda:0", "mps", ...; the library's first choice by default.
    dtype : {"float32", "float64"} or dtype of a library
        The floating dtype of every array that the backend makes.
    graphs : bool
        Whether many operations may be asked for at once: training steps captured into CUDA graphs by CuPy and torch,
        scanned over by JAX on a GPU, and recorded and replayed on NumPy. False asks for each operation of each step.
    precision : {"highest", "tf32"}
        Of products in float32: as the dtype says, or with the 10 bits of mantissa that an NVIDIA GPU's tensor cores
        read, which is faster.

    Returns
    -------
    Backend
        Tried with a small computation where it is a GPU.

    Raises
    ------
    InputError
        For an unknown name, dtype or precision, and for tf32 in float64.
    BackendError
        Where the library or the device cannot be used, saying which of these it is: not installed, libraries
        missing or mismatched, no usable GPU or driver, no GPU for tf32. Another one is never taken in its place.
    """
    backend: Backend
    if name != "auto":
        backend = find_backend(name)(device, dtype, graphs=graphs, precision=precision)
        BACKENDS.setdefault(name, type(backend))
        return backend
    if str(device) in {"cpu", "cpu:0"}:
        backend = NumpyBackend(device, dtype, graphs=graphs, precision=precision)
        backend.reason = "the device asked for is the CPU"
        return backend
    try:
        backend = CupyBackend(device, dtype, graphs=graphs, precision=precision)
        backend.reason = "a GPU is usable"
    except BackendError as error:
        if device is not None or precision != "highest":
            raise
        backend = NumpyBackend(device, dtype, graphs=graphs)
        backend.reason = f"no GPU: {error}"
    return backend


def find_backend(name: str) -> type[Backend]:
    """Find the class of a backend, and import it where it is not one of ours.

    Parameters
    ----------
    name : str
        The first of these that there is: one of ours; the name of an entry point of the group ``xpmlp.backends``, of
        an installed package; ``module:Class`` with a subclass of `Backend`; the import name of an array library that
        follows the standard, such as ``dask.array``.

    Returns
    -------
    type
        A subclass of `Backend`, whose `name` this is.

    Raises
    ------
    InputError
        For a name that means nothing of these.
    BackendError
        For a package that brings no backend.
    """
    return BACKENDS.get(name) or _imported(name)


def _imported(name: str) -> type[Backend]:
    found = _of_entry_point(name) or (_of_class(name) if ":" in name else _of_module(name))
    same = vars(found).get("name") == name
    return found if same else type(found.__name__, (found,), {"name": name})


def check_known(name: str, source: str) -> None:
    """Refuse the name of a backend that a file gives, where it would have to be imported for that.

    Known are ours, those that installed packages offer, and what the user has named or imported in this process.

    Raises
    ------
    InputError
        Saying that the name has to be given again. `source` is what names it.
    """
    is_here = name == "auto" or name in BACKENDS or name.partition(":")[0] in sys.modules
    if not is_here and not _entry_points(name):
        raise InputError(
            f"{source} names the backend {name!r}, which is neither one of xpmlp's nor an installed plug-in, and what "
            f"a file names is not imported. If you trust it, give it again: --backend {name}, or get_backend({name!r})."
        )


def _entry_points(name: str) -> Any:
    return entry_points(group=GROUP, name=name)


def _of_entry_point(name: str) -> type[Backend] | None:
    for point in _entry_points(name):
        origin = f"the plug-in {name!r} ({point.value})"
        try:
            return _checked(point.load(), origin)
        except (ImportError, AttributeError, OSError, RuntimeError) as error:
            if isinstance(error, BackendError):
                raise
            raise BackendError(f"{origin} cannot be imported: {type(error).__name__}: {error}.") from error
    return None


def _of_class(name: str) -> type[Backend]:
    module, _, title = name.partition(":")
    try:
        return _checked(getattr(importlib.import_module(module), title), f"backend {name!r}")
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"backend {name!r} cannot be imported: {type(error).__name__}: {error}.") from error


def _of_module(name: str) -> type[Backend]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not name.startswith(str(error.name)):
            raise BackendError(f"backend {name!r} cannot be imported: {error}.") from error
        raise _unknown(name) from error
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendError(f"backend {name!r} cannot be imported: {type(error).__name__}: {error}.") from error
    except (TypeError, ValueError) as error:  # of an empty or a relative name
        raise _unknown(name) from error
    return type("StandardBackend", (StandardBackend,), {"name": name, "module": name})


def _checked(found: Any, origin: str) -> type[Backend]:
    if isinstance(found, type) and issubclass(found, Backend):
        return found
    raise BackendError(f"{origin} is {type(found).__name__} {found!r}, but must be a subclass of xpmlp.Backend.")


def _unknown(name: str) -> InputError:
    others = sorted({point.name for point in entry_points(group=GROUP)} - BACKENDS.keys())
    known = ", ".join([*BACKENDS, *others, "auto"])
    return InputError(
        f"backend is {name!r}, but must be one of: {known}; or module:Class of a backend of your own; or the import "
        "name of an installed array library, such as dask.array."
    )


def split_place(place: str) -> tuple[str, str | None]:
    """Part the name of a backend from that of a device behind it: ``torch:cuda:0``, ``module:Class:device``."""
    name, _, device = place.partition(":")
    title, _, rest = device.partition(":")
    if name not in BACKENDS and title and not _entry_points(name) and _is_class(name, title):
        name, device = f"{name}:{title}", rest
    return name, device or None


def _is_class(module: str, title: str) -> bool:
    try:
        return isinstance(getattr(importlib.import_module(module), title, None), type)
    except (ImportError, ValueError):
        return False


def device_for_rank(name: str, device: str | None, local_rank: int) -> str | None:
    """Return the device, for `get_backend`, of one of several processes on a machine: they take its GPUs by turns.

    `name` and `device` are as there: a device with a number, or another one than a GPU, is taken by all of them.
    `local_rank` is which of the processes it is, from 0. Where the library is missing, a `BackendError` is raised.
    """
    if device not in (None, "cuda"):
        return device
    try:
        devices = find_backend("cupy" if name == "auto" else name).devices()
    except InputError:  # which `get_backend` says
        return device
    except BackendError:
        if name != "auto":
            raise
        return device
    cards = [each for each in devices if each.startswith("cuda")]
    takes_one = cards and (device == "cuda" or devices[0] in cards)
    return cards[local_rank % len(cards)] if takes_one else device


def backend_of(values: Any, dtype: str) -> Backend:
    """Open the backend that an array belongs to, on the array's device; an `InputError` for anything else."""
    for backend in BACKENDS.values():
        device = backend.device_of(values)
        if device is not None:
            return _opened(backend, device, dtype)
    known = ", ".join(BACKENDS)
    raise InputError(f"this is {type(values).__name__}, but must be an array of one of: {known}.")


@functools.lru_cache(maxsize=32)
def _opened(backend: type[Backend], device: str, dtype: str) -> Backend:
    return backend(device, dtype)


def statuses() -> list[Status]:
    """Say of each backend what there is of it here, or why it cannot be used."""
    return [_status(backend) for backend in BACKENDS.values()]


def _status(backend: type[Backend]) -> Status:
    try:
        return backend.status()
    except BackendError as error:
        library = sys.modules.get(backend.name)  # there, if it could be imported and only cannot compute
        return Status(backend.name, version=getattr(library, "__version__", ""), problem=str(error))
