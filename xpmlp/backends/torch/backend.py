"""PyTorch, on the CPU, an NVIDIA GPU or an Apple GPU; without its autograd."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import is_torch_array

from xpmlp.backends.base import Backend, Status, device_memory, not_installed, unknown_device
from xpmlp.backends.numpy.memory import keep_freed_memory
from xpmlp.backends.staging import TorchSlot
from xpmlp.backends.torch.graphs import TorchStream, stream_of
from xpmlp.backends.torch.shortcuts import with_cpu_shortcuts, with_shortcuts
from xpmlp.common.errors import BackendError
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from xpmlp.backends.staging import Slot
    from xpmlp.common.types import Array

__all__ = ["TorchBackend"]


class TorchBackend(Backend):
    """PyTorch, on the CPU unless told otherwise."""

    name = "torch"
    memory_errors = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
    lends_cuda = True
    _capturer: TorchStream | None

    def _open(self, device: str | None) -> None:
        torch = _library()
        devices = _devices(torch)
        self.device_name = device or "cpu"
        if self.device_name == "cuda":
            self.device_name = "cuda:0"
        if self.device_name not in devices:
            raise _missing_device(torch, self.device_name, devices)
        if self.device_name == "mps" and self.dtype == "float64":
            raise BackendError("torch's device mps has no float64: use dtype float32 there, or device cpu.")
        self.device = torch.empty(0, device=self.device_name).device  # as arrays say it: "mps" becomes "mps:0"
        if self.device_name == "cpu":
            self.rows_at_a_time = 2048  # as for NumPy
            keep_freed_memory()

        import array_api_compat.torch  # noqa: PLC0415 - optional; imports torch

        self._torch = torch
        on_cpu = self.device_name == "cpu"
        xp = with_shortcuts(torch, array_api_compat.torch)
        self.xp = with_cpu_shortcuts(torch, xp) if on_cpu else xp
        self._capturer = stream_of(torch, self.device) if self.graphs and self._on_cuda else None

    @classmethod
    def status(cls) -> Status:
        """Name torch's version, its devices, CUDA and CPU threads."""
        torch = _library()
        devices = _devices(torch)
        details = [
            counted(torch.get_num_threads(), "thread"),
            f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA",
        ]
        details += [torch.cuda.get_device_name(name) for name in devices if name.startswith("cuda")]
        return Status(cls.name, torch.__version__, devices, "; ".join(details))

    @classmethod
    def cards(cls) -> Sequence[str]:
        """Name the cards that torch sees."""
        return [device for device in _devices(_library()) if device.startswith("cuda")]

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        """Return "cpu", "cuda:0", "mps" or the like for a tensor of torch."""
        return str(values.device).replace("mps:0", "mps") if is_torch_array(values) else None

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        # torch warns of read-only memory, which it could write to, and knows no negative strides: these are copied.
        host = values if values.flags.writeable and values.flags.c_contiguous else values.copy(order="C")
        return self._torch.asarray(host, device=self.device, copy=copy)

    def slot(self, shape: tuple[int, ...], dtype: Any) -> Slot:
        """On CUDA, copy from pinned memory on a stream of its own."""
        return TorchSlot(self._torch, self.device, shape, dtype) if self._on_cuda else super().slot(shape, dtype)

    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy to the host and wait."""
        return np.array(x.detach().cpu().numpy())

    def lending(self, function: Callable[[Any], None], *, to_cuda: bool = False) -> Callable[[Array], Array]:
        """Lend the tensors themselves; those of a GPU, where that is not taken, by a copy in pinned memory."""
        if not self._on_cuda:
            return super().lending(function) if self.device.type != "cpu" else self._lending_on_host(function)
        pinned: dict[Any, Array] = {}

        def lent(x: Array) -> Array:
            if to_cuda:
                self._torch.cuda.current_stream(self.device).synchronize()  # MPI does not know of streams
                function(x)
                return x
            if x.shape not in pinned:
                pinned[x.shape] = self._torch.empty_like(x, device="cpu", pin_memory=True)
            host = pinned[x.shape]
            host.copy_(x)
            function(host.numpy())
            x.copy_(host, non_blocking=True)  # the next copy to the host comes after it, on the same stream
            return x

        return lent

    def _lending_on_host(self, function: Callable[[Any], None]) -> Callable[[Array], Array]:
        def lent(x: Array) -> Array:
            function(x.numpy())  # the same memory
            return x

        return lent

    def _context(self) -> AbstractContextManager[Any]:
        """Turn autograd off: the backward pass is ours. On CUDA, also fix the precision, and make way for graphs."""
        context: AbstractContextManager[Any] = self._context_on_cuda() if self._on_cuda else self._torch.no_grad()
        return context

    @contextmanager
    def _context_on_cuda(self) -> Iterator[None]:
        stream = nullcontext() if self._capturer is None else self._capturer.current()
        with self._torch.no_grad(), _tf32(self._torch, allowed=self.precision == "tf32"), stream:
            yield

    def _memory(self) -> str:
        if self.device.type != "cuda":
            return super()._memory()
        free, total = self._torch.cuda.mem_get_info(self.device)
        return device_memory(free, total)

    def synchronize(self, results: Any) -> None:  # noqa: ARG002 - the device is all there is to wait for
        """Wait for the device."""
        if self.device.type == "cuda":
            self._torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            self._torch.mps.synchronize()


@contextmanager
def _tf32(torch: ModuleType, *, allowed: bool) -> Iterator[None]:
    """Let products in float32 use TF32 or not, for a while: torch has one switch for the process.

    It is touched where it stands otherwise alone. The older one, `allow_tf32`, cannot be read once this one was set.
    """
    products = torch.backends.cuda.matmul
    before = products.fp32_precision
    if (before == "tf32") is allowed:
        yield
        return
    products.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        products.fp32_precision = before


def _library() -> ModuleType:
    try:
        import torch  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise not_installed("PyTorch", "pip install 'xpmlp[torch]'") from error
    except (ImportError, OSError) as error:
        raise BackendError(f"PyTorch is installed, but its libraries are missing or do not match: {error}.") from error
    library: ModuleType = torch
    return library


def _devices(torch: ModuleType) -> tuple[str, ...]:
    cuda = [f"cuda:{number}" for number in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return ("cpu", *cuda, *mps)


def _missing_device(torch: ModuleType, device: str, devices: tuple[str, ...]) -> BackendError:
    if device.startswith("cuda") and torch.version.cuda is None:
        return BackendError(
            f"device {device!r} needs CUDA libraries, but this PyTorch ({torch.__version__}) was built without."
        )
    if device.startswith("cuda") and not torch.cuda.is_available():
        return BackendError(f"device {device!r}: PyTorch finds no usable NVIDIA GPU or driver. Check `nvidia-smi`.")
    return unknown_device("torch", device, devices)
