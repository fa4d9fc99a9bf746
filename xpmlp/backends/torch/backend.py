"""PyTorch, on the CPU, an NVIDIA GPU or an Apple GPU; without its autograd."""

from __future__ import annotations

import functools
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from array_api_compat import is_torch_array

from xpmlp.backends.base import Backend, Status, device_memory, load_library
from xpmlp.backends.numpy.memory import keep_freed_memory
from xpmlp.backends.staging import StagingBuffer
from xpmlp.backends.threads import Threads
from xpmlp.backends.torch.graphs import stream_of
from xpmlp.backends.torch.shortcuts import with_cpu_shortcuts, with_shortcuts
from xpmlp.common.errors import BackendError, InputError
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType

    from xpmlp.common.types import Array


class TorchBackend(Backend):
    """PyTorch, on the CPU unless told otherwise."""

    name = "torch"
    integers_wrap = True
    memory_errors = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")

    def _open(self) -> None:
        torch = _library()
        if self.device_name == "mps" and self.dtype == "float64":
            raise BackendError("torch's device mps has no float64: use dtype float32 there, or device cpu.")
        self.device = torch.empty(0, device=self.device_name).device  # as arrays say it: "mps" becomes "mps:0"
        if self.device_name == "cpu":
            self.rows_at_a_time = 2048  # as for NumPy
            keep_freed_memory()

        import array_api_compat.torch  # noqa: PLC0415 - optional; imports torch

        self._torch = torch
        xp = with_shortcuts(torch, array_api_compat.torch)
        self.xp = with_cpu_shortcuts(torch, xp) if self.device_name == "cpu" else xp
        self.capturer = stream_of(torch, self.device) if self.graphs and self._on_cuda else None

    @property
    def threads(self) -> Threads | None:
        """Those of its operations on the CPU."""
        return _threads() if self.device_name == "cpu" else None

    @property
    def widest_dtype(self) -> str:
        """float32 on an Apple GPU, which has no float64."""
        return "float32" if self.device_name == "mps" else "float64"

    @classmethod
    def status(cls) -> Status:
        """Name torch's version, its devices, CUDA and CPU threads."""
        torch = _library()
        devices = tuple(cls.devices())
        cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
        cards = [torch.cuda.get_device_name(name) for name in devices if name.startswith("cuda")]
        details = "; ".join([counted(torch.get_num_threads(), "thread"), cuda, *cards])
        return Status(cls.name, torch.__version__, devices, details)

    @classmethod
    def devices(cls) -> Sequence[str]:
        torch = _library()
        n_cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
        return ["cpu", *(f"cuda:{number}" for number in range(n_cards)), *["mps"] * torch.backends.mps.is_available()]

    @classmethod
    def _unknown(cls, device: Any, devices: Sequence[str]) -> BackendError:
        torch, name = _library(), cls._name_of(device)
        if name.startswith("cuda") and torch.version.cuda is None:
            return BackendError(
                f"device {name!r} needs CUDA libraries, but this PyTorch ({torch.__version__}) was built without. "
                "Install CuPy: pip install 'xpmlp[cuda13]' or 'xpmlp[cuda12]'; or a PyTorch that is built with CUDA: "
                "see https://pytorch.org/get-started/locally."
            )
        if name.startswith("cuda") and not torch.cuda.is_available():
            return BackendError(f"device {name!r}: PyTorch finds no usable NVIDIA GPU or driver. Check `nvidia-smi`.")
        return super()._unknown(device, devices)

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        return str(values.device).replace("mps:0", "mps") if is_torch_array(values) else None

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        # torch warns of read-only memory, which it could write to, and knows no negative strides: these are copied.
        # NumPy calls a single row contiguous whatever its stride.
        fit = values.flags.writeable and values.flags.c_contiguous and min(values.strides, default=0) >= 0
        host = values if fit else values.copy(order="C")
        return self._torch.asarray(host, device=self.device, copy=copy)

    def staging_buffer(self, shape: tuple[int, ...], dtype: Any) -> StagingBuffer:
        """On CUDA, copy from pinned memory on a stream of its own, beside the work of other streams."""
        if not self._on_cuda:
            return super().staging_buffer(shape, dtype)
        torch, own_dtype = self._torch, getattr(self._torch, np.dtype(dtype).name)
        pinned, stream = torch.empty(shape, dtype=own_dtype, pin_memory=True), torch.cuda.Stream(self.device)
        with torch.cuda.stream(stream):
            array = torch.empty(shape, dtype=own_dtype, device=self.device)

        def send(n: int) -> Array:
            with torch.cuda.stream(stream):
                array[:n].copy_(pinned[:n], non_blocking=True)
            stream.synchronize()
            return array[:n]

        return StagingBuffer(pinned.numpy(), send)

    def readable(self, x: Array) -> Array:
        """Return it without its autograd, too; an `InputError` for a sparse tensor."""
        if x.layout is not self._torch.strided:
            raise InputError(
                f"a sparse tensor of torch ({x.layout}) cannot be used: make it dense with .to_dense(), or give a "
                "sparse array of SciPy."
            )
        return super().readable(x.detach())

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.array(x.detach().cpu().numpy())

    def _on_host(self, x: Array) -> np.ndarray | None:
        return x.numpy() if self.device_name == "cpu" else None  # the same memory

    def _context(self) -> AbstractContextManager[Any]:
        """Turn autograd off: the backward pass is ours. On CUDA, also fix the precision, and make way for graphs."""
        return cast("AbstractContextManager[Any]", self._context_on_cuda() if self._on_cuda else self._torch.no_grad())

    @contextmanager
    def _context_on_cuda(self) -> Iterator[None]:
        stream = nullcontext() if self.capturer is None else self.capturer.current()
        with self._torch.no_grad(), _tf32(self._torch, allowed=self.precision == "tf32"), stream:
            yield

    def _memory(self) -> str:
        if self.device.type != "cuda":
            return super()._memory()
        return device_memory(*self._torch.cuda.mem_get_info(self.device))

    def synchronize(self, results: Any) -> None:  # noqa: ARG002 - the device is all there is to wait for
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


@functools.cache
def _threads() -> Threads:
    torch = _library()
    return Threads(torch.get_num_threads, torch.set_num_threads, ("OMP_NUM_THREADS", "MKL_NUM_THREADS"))


def _library() -> ModuleType:
    return load_library("torch", "PyTorch", "pip install 'xpmlp[torch]'")
