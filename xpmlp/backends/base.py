"""What every backend offers: arrays on a device in one floating dtype, and ways to move and compile."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

import numpy as np
from array_api_compat import device as device_of

from xpmlp.backends.graphs import Captured, epoch_runner_in_graphs
from xpmlp.backends.rehearsal import rehearse
from xpmlp.backends.staging import StagingBuffer
from xpmlp.common.errors import BackendError, InputError, OutOfMemoryError, XpmlpError
from xpmlp.common.validation import check_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType, TracebackType

    from xpmlp.backends.graphs import Capturer, Steps, Taken
    from xpmlp.backends.threads import Threads
    from xpmlp.common.types import Array, Namespace

DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "tf32")
DEVICES = {"cpu:0": "cpu", "cuda": "cuda:0", "mps:0": "mps"}  # as libraries print them, and as they are called here
HOLDERS = {"cuda": ("cupy", "torch", "jax"), "mps": ("torch",)}  # backends that can have a kind of device
REMEDY = "fewer hidden units where the weights are large, a smaller batch size where the activations of a minibatch are"

STACK_ARRAYS = 3  # like its parameters and its activations, that a training step works on

Function = TypeVar("Function", bound="Callable[..., Any]")


@dataclass(frozen=True)
class Status:
    """What `xpmlp info` says of a backend."""

    name: str
    version: str = ""  # of its library; "" where that is not installed
    devices: tuple[str, ...] = ()  # what `device` may be
    details: str = ""  # BLAS or CUDA, threads, the name of the card
    problem: str = ""  # why it cannot be used here, with what to do; "" where it can


class Evaluator(NamedTuple):
    """A function of rows that is evaluated again and again, on memory of its own: what `Backend.evaluator` makes."""

    rows: np.ndarray  # on the host, to be filled before each call
    evaluate: Callable[[], np.ndarray]  # what the function gives for them, in new memory of the host


class Backend(ABC):
    """An array library, a device of it and a floating dtype: where a network lives and computes.

    Parameters are those of `get_backend`, and so are the errors.

    Attributes
    ----------
    xp : namespace
        The library's functions, through array-api-compat; some of them by a faster way.
    device : object
        The device, as the library's functions take it.
    device_name : str
        The device, as a user writes it.
    float_dtype : object
        The dtype, as the library's functions take it.
    reason : str
        Why ``get_backend("auto")`` chose it; else "".
    capturer : Capturer or None
        What captures work into graphs, where there are any.
    """

    name: ClassVar[str]  # as `get_backend` knows it
    integers_wrap: ClassVar[bool] = False  # whether int32 overflows modulo 2**32: the standard leaves it open
    arrays_are_standard: ClassVar[bool] = True  # whether `__array_namespace__` gives the standard's functions
    memory_errors: ClassVar[tuple[str, ...]] = ()  # what the library's errors say, beside `MemoryError`
    stack_bytes: int = 2**21  # that a step of a stack of networks works on, on a CPU
    max_stack: int = 1024  # networks that are trained as one
    divides_examples: bool = True  # among `threads`, where it multiplies them
    rows_at_a_time: int = 8192  # that an evaluation or a prediction takes, which bounds its memory
    xp: Namespace
    device: Any
    device_name: str
    reason: str = ""
    capturer: Capturer | None = None

    def __init__(
        self, device: Any = None, dtype: Any = "float32", *, graphs: bool = True, precision: str = "highest"
    ) -> None:
        name = str(getattr(dtype, "__name__", None) or getattr(dtype, "name", dtype)).rpartition(".")[2]
        check_choice("dtype", name, DTYPES)
        check_choice("precision", precision, PRECISIONS)
        if precision == "tf32" and name != "float32":
            raise InputError(f"precision tf32 is of products in float32, but dtype is {name}: leave one of them out.")
        self.dtype, self.graphs, self.precision = name, graphs, precision
        self.device_name = self._choose(device)
        self._open()
        if precision == "tf32" and not self._on_cuda:
            raise BackendError(
                f"precision tf32 is of NVIDIA GPUs, but backend {self.name} computes on {self.device_name}: "
                "leave it out, or choose another backend or device."
            )
        self.float_dtype = getattr(self.xp, self.dtype)

    def __repr__(self) -> str:
        graphs = "" if self.graphs else ", without graphs"
        precision = "" if self.precision == "highest" else f", precision {self.precision}"
        return f"<xpmlp backend {self.name} on {self.device_name} in {self.dtype}{graphs}{precision}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Backend) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return type(self), self.device_name, self.dtype, self.graphs, self.precision

    def stack_size(self, sizes: Sequence[int], batch_size: int) -> int:
        """Return how many networks of these units a layer are best trained as one, in minibatches of a size.

        Where a CPU computes, what a step reads and writes has to stay in its cache.
        """
        if self.device_name != "cpu":
            return self.max_stack
        parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
        numbers = STACK_ARRAYS * (parameters + batch_size * sum(sizes))
        return max(1, min(self.max_stack, self.stack_bytes // (numbers * np.dtype(self.dtype).itemsize)))

    @property
    def supports_step_capture(self) -> bool:
        """Whether `graphs` makes a difference here."""
        return self._on_cuda

    @property
    def threads(self) -> Threads | None:
        """How many threads of the CPU products take; None where that cannot be changed."""
        return None

    @property
    def widest_dtype(self) -> str:
        """The widest floating dtype that there is here: of a network for whole numbers."""
        return "float64"

    @property
    def _on_cuda(self) -> bool:
        return self.device_name.startswith("cuda")

    def _choose(self, device: Any) -> str:
        """Return the name of a device, which the library may print otherwise; for None, of the first choice."""
        devices = self.devices()
        name = devices[0] if device is None else self._name_of(device)
        if name not in devices:
            raise self._unknown(device, devices)
        return name

    @staticmethod
    def _name_of(device: Any) -> str:
        return DEVICES.get(str(device), str(device))

    @classmethod
    def _unknown(cls, device: Any, devices: Sequence[str]) -> BackendError:
        others = [name for name in HOLDERS.get(cls._name_of(device).partition(":")[0], ()) if name != cls.name]
        elsewhere = f"Backends that can have such a device: {', '.join(others)} (--backend). " if others else ""
        return BackendError(
            f"backend {cls.name} has no device {str(device)!r} here. It has: {', '.join(devices)}. {elsewhere}"
            "See `xpmlp info` for what each backend can use on this machine."
        )

    @abstractmethod
    def _open(self) -> None:
        """Set `xp` and `device`, given `device_name`, or raise a `BackendError`."""

    @classmethod
    @abstractmethod
    def devices(cls) -> Sequence[str]:
        """Name the devices that there are here, the first choice first; raise a `BackendError` without the library."""

    @classmethod
    @abstractmethod
    def status(cls) -> Status:
        """Say what there is of this backend here; raise a `BackendError` where it cannot be used."""

    @classmethod
    @abstractmethod
    def device_of(cls, values: Any) -> str | None:
        """Name the device of an array of this library, as a user writes it; None for anything else."""

    def asarray(self, values: Any, *, dtype: str | None = "floating") -> Array:
        """Move host values (numbers of any shape) to the device, to an array that is not to be written to.

        Parameters
        ----------
        values : array_like
            On the host.
        dtype : {"floating", None}
            "floating" for the backend's own dtype, in memory that may be shared with the host; None for the dtype of
            the values, which are copied.
        """
        values = _detached(values)
        host = np.array(values) if dtype is None else np.asarray(values, dtype=self.dtype)
        return self._from_host(host, copy=None)

    def asindex(self, values: Any) -> Array:
        """Move host integers (row numbers, counters) to the device, as integers."""
        return self._from_host(np.array(values, dtype=np.int64), copy=None)

    def copy_to_device(self, values: Any) -> Array:
        """Copy host values, or an array of this backend, to an array that may be written to."""
        values = _detached(values)
        if self.holds(values):
            return self.xp.asarray(values, dtype=self.float_dtype, copy=True)
        return self._from_host(np.asarray(values, dtype=self.dtype), copy=True)

    def staging_buffer(self, shape: tuple[int, ...], dtype: Any) -> StagingBuffer:
        """Make memory of the host that is filled and sent to the device again and again, beside the work there.

        It is used by one thread at a time, which need not be the one that computes.
        """
        host = np.empty(shape, dtype)
        return StagingBuffer(host, lambda n: self._from_host(host[:n], copy=None))

    def holds(self, values: Any) -> bool:
        """Whether `values` is an array of this backend's library."""
        return self.device_of(values) is not None

    def on_device(self, x: Array) -> bool:
        """Whether an array of this backend's library lies on this backend's device."""
        return bool(device_of(x) == self.device)

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        return self.xp.asarray(values, device=self.device, copy=copy)

    @abstractmethod
    def to_numpy(self, x: Array) -> np.ndarray:
        """Copy an array of this backend to the host, waiting for it to be computed."""

    def readable(self, x: Array) -> Array:
        """Return a user's array as all functions take it: in float32 where it is in half precision."""
        return self.xp.astype(x, self.xp.float32) if str(x.dtype).endswith("float16") else x

    def minibatches(self, order: np.ndarray, size: int) -> Sequence[Array]:
        """Move an order of rows to the device at once, and cut it into minibatches of `size`; the last may be less.

        It is (n,), or (M, n), with an order for each member of a stack.
        """
        rows, n = self.asindex(order), order.shape[-1]
        return [rows[..., start : min(start + size, n)] for start in range(0, n, size)]

    def compile(self, function: Function, *, donate: tuple[int, ...] = ()) -> Function:  # noqa: ARG002 - for subclasses
        """Make a function of arrays fast, in the library's own way; as it is where it has none.

        Parameters
        ----------
        function : callable
            Takes and gives arrays, and lists and named tuples of them. It uses the array API alone, without
            synchronising with the host and without deciding anything by the value of an array.
        donate : tuple of int
            Positions of the arguments that the caller will not use again.
        """
        return function

    def capture(self, function: Function) -> Function:
        """Make a function of compiled parts a graph where there are graphs; as it is where there are none.

        It is one that is called again and again on the same buffers, and writes to none of them. Its results may be
        overwritten by the next call of a captured function.
        """
        return function if self.capturer is None else cast("Function", Captured(function, self.capturer, self.rehearse))

    def bind(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Give a function its arguments, NumPy's arrays among them that the caller writes to between the calls.

        The function is pure (`is_pure`) and writes to none of them; its results may be overwritten by the next call.
        """
        return partial(function, *arguments)

    def epoch_runner(self, step: Callable[..., Any], *, compile_whole: bool = True) -> Steps:
        """Make the steps of an epoch fast.

        What is recorded, captured or compiled of a step has the numbers in it that Python computed on the way, and
        lasts as long as the result: for a step that is not known to be pure (`is_pure`), make it anew for each epoch.

        Parameters
        ----------
        step : callable
            ``step(layers, state, examples, rows)`` gives ``(layers, state)``, and uses up what it was given of these.
            As for `compile`; ``examples`` is a named tuple of arrays with a row for each example, or None.
        compile_whole : bool
            Whether to compile the step as one; False where its parts are compiled already.

        Returns
        -------
        callable
            ``steps(layers, state, examples, order, size)`` takes the rows in an order, an array of the host, (n,), or
            (M, n) for the members of a stack, and yields ``(layers, state, rows)``, with the number of rows, after each
            piece of work that is under way: a step, or many.
        """
        if compile_whole and self.capturer is not None:
            return epoch_runner_in_graphs(step, self.capturer, self.rehearse, self.asindex)
        step = self.compile(step, donate=(0, 1)) if compile_whole else step

        def steps(layers: Any, state: Any, examples: Any, order: np.ndarray, size: int) -> Taken:
            for rows in self.minibatches(order, size):
                layers, state = self.settle(step(layers, state, examples, rows))
                yield layers, state, rows.shape[-1]

        return steps

    def evaluator(
        self,
        function: Callable[..., Any],
        fixed: Any,
        shape: tuple[int, ...],
        *,
        compile_whole: bool = True,
    ) -> Evaluator:
        """Make a function of rows fast that is called often, with few rows each time: by `compile`.

        It is used by one thread at a time.

        Parameters
        ----------
        function : callable
            ``function(fixed, rows)`` gives an array. As for `compile`.
        fixed : nest of arrays
            What it is always given, such as the layers of a network.
        shape : tuple of int
            The shape of the rows.
        compile_whole : bool
            Whether to compile or to record it; False where it is not known to be pure (`is_pure`).
        """
        function, rows = self.compile(function) if compile_whole else function, np.zeros(shape, self.dtype)

        def evaluate() -> np.ndarray:
            with self.computing():
                return self.to_numpy(function(fixed, self.asarray(rows)))

        return Evaluator(rows, evaluate)

    def settle(self, arrays: Any) -> Any:
        """Return the arrays of a nest computed, for a library that only notes down what is asked for.

        They are those of each step, and the weights that a record keeps.

        Its notes would grow from step to step. Others return what they are given.
        """
        return arrays

    @property
    def rehearse(self) -> Callable[..., tuple[Any, bool]]:
        """`rehearsal.rehearse`, for arrays of this backend."""
        return partial(rehearse, copy=partial(self.xp.asarray, copy=True), to_numpy=self.to_numpy)

    def with_host_buffer(self, function: Callable[[np.ndarray], None]) -> Callable[[Array], Array]:
        """Let a function of another library, such as MPI's sum, work on arrays by way of the host's memory.

        ``function(buffer)`` leaves its results in its argument, an array of NumPy. What is returned takes a contiguous
        array in the backend's dtype, uses it up, and gives those results: where it lies on the host, it is the buffer
        itself; else it is copied there and back.
        """

        def wrapped(x: Array) -> Array:
            own = self._on_host(x)
            buffer = self.to_numpy(x) if own is None else own
            function(buffer)
            return self.asarray(buffer) if own is None else x

        return wrapped

    def _on_host(self, x: Array) -> np.ndarray | None:  # noqa: ARG002 - for subclasses
        """Return the memory of an array that lies on the host, as NumPy has it."""
        return None

    def refill(self, x: Array, value: float) -> Array:
        """Give every entry of an array a value: in place where the library can."""
        x[...] = value
        return x

    def computing(self, what: str = "", remedy: str = REMEDY) -> AbstractContextManager[Any]:
        """Compute in the library's own context, and within its memory, as `within_memory` does."""
        return _WithinMemory(self, what, remedy, self._context())

    def _context(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def within_memory(self, what: str = "", remedy: str = REMEDY) -> AbstractContextManager[Any]:
        """Raise an `OutOfMemoryError` where the memory of the device, or of the machine, does not suffice.

        `what` it is to suffice for, with the sizes, and `remedy`, what to take in its place, are parts of its message.
        """
        return _WithinMemory(self, what, remedy, nullcontext())

    @classmethod
    def is_memory_error(cls, error: Exception) -> bool:
        """Whether an error says that memory does not suffice: the library has types of its own for some."""
        told = isinstance(error, RuntimeError | ValueError) and any(words in str(error) for words in cls.memory_errors)
        return isinstance(error, MemoryError) or told

    def translate(self, error: Exception, what: str, remedy: str) -> XpmlpError | None:
        """Return our error for one of the library's, raised in `computing`; None where its own says enough."""
        return self._out_of_memory(what, remedy, error) if self.is_memory_error(error) else None

    def _out_of_memory(self, what: str, remedy: str, error: Exception) -> OutOfMemoryError:
        if isinstance(error, MemoryError) and type(error).__module__.partition(".")[0] in {"builtins", "numpy"}:
            place, has = "the machine", host_memory()
        else:
            place, has = f"{self.name} on {self.device_name}", self._memory()
        doing = f" for {what}, in {self.dtype}" if what else ""
        cause = str(error).strip().rstrip(".") or "no details are given"
        dtype = "dtype float32, " if self.dtype == "float64" else ""
        return OutOfMemoryError(
            f"{place} has run out of memory{doing}: {cause}. {has}Take {remedy}, {dtype}or another device."
        )

    def _memory(self) -> str:
        """Say what memory the device has, in a sentence; "" where this is not known."""
        return host_memory() if self.device_name == "cpu" else ""

    def synchronize(self, results: Any) -> None:  # noqa: B027 - nothing to wait for where a call computes at once
        """Wait until `results`, an array or a nest of them, and all work before them, are computed."""


def host_memory() -> str:
    """Say what memory the machine has, in a sentence; "" where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return ""
    return f"It has {total / 2**30:.1f} GiB. "


def device_memory(free: int, total: int) -> str:
    """Say what memory a device has, in a sentence."""
    return f"It has {total / 2**30:.1f} GiB, of which {free / 2**30:.1f} are free. "


class _WithinMemory:
    """A context with our error in place of the library's: a class, as `contextmanager` takes longer to enter."""

    def __init__(self, backend: Backend, what: str, remedy: str, context: AbstractContextManager[Any]) -> None:
        self._backend, self._what, self._remedy, self._context = backend, what, remedy, context

    def __enter__(self) -> None:
        self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.__exit__(kind, error, trace)
        if isinstance(error, Exception) and not isinstance(error, XpmlpError):
            ours = self._backend.translate(error, self._what, self._remedy)
            if ours is not None:
                raise ours from error


def load_library(
    module: str, title: str, install: str, unfit: Callable[[object], BackendError] | None = None
) -> ModuleType:
    """Import an array library, or raise a `BackendError`: that it is not installed, or lacks libraries of its own.

    `title` is what it calls itself, `install` the command that installs it, and `unfit` makes the second error.
    """
    try:
        return importlib.import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name in {module, module.partition(".")[0]}:
            raise BackendError(f"{title} is not installed. Install it with: {install}") from error
        message = f"{title} is installed, but its libraries are missing or do not match: {error}."
        raise (unfit(error) if unfit else BackendError(message)) from error


def _detached(values: Any) -> Any:
    """Return a tensor of torch outside its autograd, and anything else as it is."""
    return values.detach() if getattr(values, "requires_grad", False) else values
