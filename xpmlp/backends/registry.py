"""Backends by name."""

from __future__ import annotations

import functools
import sys
from typing import Any

from xpmlp.backends.base import Backend, Status
from xpmlp.backends.cupy.backend import CupyBackend
from xpmlp.backends.jax.backend import JaxBackend
from xpmlp.backends.numpy.backend import NumpyBackend
from xpmlp.backends.strict import StrictBackend
from xpmlp.backends.torch.backend import TorchBackend
from xpmlp.common.errors import BackendError, InputError
from xpmlp.common.validation import check_choice

BACKENDS: dict[str, type[Backend]] = {
    backend.name: backend for backend in (NumpyBackend, CupyBackend, TorchBackend, JaxBackend, StrictBackend)
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
        A name from `BACKENDS`, or "auto": CuPy where a GPU is usable, else NumPy unless `device` asks for a GPU;
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
    check_choice("backend", name, [*BACKENDS, "auto"])
    if name != "auto":
        return BACKENDS[name](device, dtype, graphs=graphs, precision=precision)
    backend: Backend
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


def device_for_rank(name: str, device: str | None, local_rank: int) -> str | None:
    """Return the device, for `get_backend`, of one of several processes on a machine: they take its GPUs by turns.

    `name` and `device` are as there: a device with a number, or another one than a GPU, is taken by all of them.
    `local_rank` is which of the processes it is, from 0. Where the library is missing, a `BackendError` is raised.
    """
    backend = BACKENDS.get("cupy" if name == "auto" else name)
    if backend is None or device not in (None, "cuda"):
        return device
    try:
        devices = backend.devices()
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
