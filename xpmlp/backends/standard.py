"""Any array library that follows the array API standard, as the library describes itself."""

from __future__ import annotations

import functools
import importlib
import sys
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from array_api_compat import array_namespace
from array_api_compat import device as device_of

from xpmlp.backends.base import Backend, Status, load_library
from xpmlp.backends.elementwise import replacing
from xpmlp.backends.rehearsal import leaves, mapped
from xpmlp.common.errors import BackendError, XpmlpError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from xpmlp.common.types import Array, Namespace

# Of the standard's names, those that xpmlp uses.
NAMES = (
    *("__array_namespace_info__", "abs", "all", "any", "argmax", "asarray", "astype", "bitwise_xor", "broadcast_to"),
    *("concat", "cos", "exp", "expm1", "finfo", "floor", "full_like", "isdtype", "isfinite", "log", "logaddexp"),
    *("matmul", "matrix_transpose", "max", "maximum", "mean", "min", "minimum", "ones_like", "remainder", "reshape"),
    *("sin", "sqrt", "stack", "sum", "take", "tanh", "var", "where", "zeros", "zeros_like"),
)
DTYPES = ("bool", "int32", "int64")  # beside the floating one
MAX_NAMED = 12
PACKAGE = __name__.partition(".")[0]


class StandardBackend(Backend):
    """A backend of any array library that follows the Python array API standard, 2023.12 or later.

    The library is asked for its dtypes and devices (``__array_namespace_info__``), and arrays get to it by its
    ``asarray`` and back by DLPack, or as NumPy takes them. `get_backend` makes one of the name of an importable module,
    such as ``dpnp``. A subclass is for a library that needs more than that, or for one that is to be found by a name:
    it is what a plug-in brings.

    Parameters are those of `get_backend`, and so are the errors; a `BackendError` says what a library lacks, and stands
    for the errors that it raises while it computes.

    Attributes
    ----------
    name : str
        As `get_backend` and ``--backend`` know it.
    module : str
        The library's namespace, which is imported when the backend is opened.
    install : str
        The command that installs the library.

    Examples
    --------
    >>> from xpmlp import StandardBackend
    >>> class Strict(StandardBackend):
    ...     name = "strict"
    ...     module = "array_api_strict"
    ...     install = "pip install array-api-strict"
    >>> Strict(dtype="float64")
    <xpmlp backend strict on CPU_DEVICE in float64>
    """

    module: ClassVar[str]
    install: ClassVar[str] = ""

    def _open(self) -> None:
        self.xp = self.namespace()
        self.device = self._devices()[self.device_name]
        with self._translating():
            known = self._dtypes(self.device)
        if missing := [dtype for dtype in (self.dtype, *DTYPES) if dtype not in known]:
            raise BackendError(f"backend {self.name} has no {', '.join(missing)} on {self.device_name}.")

    @classmethod
    def namespace(cls) -> Namespace:
        """Import the library and return its functions as the standard names them.

        A subclass may replace some of them, by `xpmlp.backends.elementwise.replacing`.
        """
        return _namespace(cls.module, cls.name, cls.install or f"pip install {cls.module.partition('.')[0]}")

    @classmethod
    def _dtypes(cls, device: Any) -> Mapping[str, Any]:
        """Return the dtypes that a device has, by name."""
        return cast("Mapping[str, Any]", cls.namespace().__array_namespace_info__().dtypes(device=device))

    @classmethod
    def _devices(cls) -> dict[str, Any]:
        """Return the devices, as arrays name them, by what a user calls them; the library's first choice first."""
        xp = cls.namespace()
        with _translating(cls):
            devices = [None, *xp.__array_namespace_info__().devices()]
            found = [device_of(xp.zeros((1,), dtype=xp.int32, device=device)) for device in devices]
            return {cls._title(device): device for device in found}

    @staticmethod
    def _title(device: Any) -> str:
        """Name a device as a user writes it: some libraries print ``Device('name')``."""
        text = str(device)
        return text.partition("(")[2].rstrip(")").strip("'\"") if text.endswith(")") else text

    @classmethod
    def devices(cls) -> Sequence[str]:
        return list(cls._devices())

    @classmethod
    def status(cls) -> Status:
        """Name the library's version, its devices and the edition of the standard that it says it follows."""
        devices = tuple(cls.devices())
        edition = getattr(cls.namespace(), "__array_api_version__", "of an edition that it does not name")
        return Status(cls.name, _version(cls.module), devices, f"the array API standard {edition}")

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        if cls.module not in sys.modules or not isinstance(values, _array_type(cls)):
            return None
        return cls._title(device_of(values))

    def _from_host(self, values: np.ndarray, *, copy: bool | None) -> Array:
        with self._translating():
            return self.xp.asarray(values, device=self.device, copy=copy)

    def to_numpy(self, x: Array) -> np.ndarray:
        """By DLPack where the library has it, and as NumPy takes any array where it has not."""
        with self._translating():
            try:
                return np.array(np.from_dlpack(x, device="cpu"))
            except (AttributeError, BufferError, NotImplementedError, RuntimeError, TypeError, ValueError):
                return np.array(x)

    def refill(self, x: Array, value: float) -> Array:
        """Return a new array: not every library's can be written to."""
        return self.xp.full_like(x, value)

    def settle(self, arrays: Any) -> Any:
        """Have Dask compute what it has only noted down; of other lazy libraries nothing is known."""
        noted = [x for x in leaves(arrays) if hasattr(x, "__dask_graph__")]
        if not noted:
            return arrays
        persist = importlib.import_module("dask").persist
        settled = iter(persist(*noted))
        return mapped(lambda x: next(settled) if hasattr(x, "__dask_graph__") else x, arrays)

    def translate(self, error: Exception, what: str, remedy: str) -> XpmlpError | None:
        """Return our error for one that the library raised, or that a call of ours to it did."""
        return super().translate(error, what, remedy) or _ours(type(self), error)

    def _context(self) -> AbstractContextManager[Any]:
        # Overflow and NaN are silenced as for NumPy, which many of these libraries compute with.
        return np.errstate(over="ignore", invalid="ignore")

    @contextmanager
    def _translating(self) -> Iterator[None]:
        with _translating(type(self)):
            yield


@contextmanager
def _translating(kind: type[StandardBackend]) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # what a library raises is its own affair
        if ours := _ours(kind, error):
            raise ours from error
        raise


def _ours(kind: type[StandardBackend], error: Exception) -> BackendError | None:
    """Return our error for a library's; None for one of ours, of the system, or of functions of the user's own."""
    if isinstance(error, XpmlpError | MemoryError | OSError):
        return None
    names, trace = [], error.__traceback__
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0])
        trace = trace.tb_next
    if kind.module.partition(".")[0] not in names and names[-1] != PACKAGE:
        return None
    cause = " ".join(str(error).split()).rstrip(".")
    return BackendError(
        f"{kind.name} {_version(kind.module)} cannot do what it was asked for: {type(error).__name__}: {cause}. "
        f"`xpmlp info --backend {kind.name}` tries each call by itself."
    )


@functools.cache
def _namespace(module: str, name: str, install: str) -> Namespace:
    library = load_library(module, name, install)
    try:
        xp = array_namespace(library.zeros(1))
    except Exception:  # noqa: BLE001 - whatever it cannot do: what is lacking is named below
        xp = library
    if missing := [each for each in NAMES if not hasattr(xp, each)]:
        more = f" and {len(missing) - MAX_NAMED} more" if len(missing) > MAX_NAMED else ""
        raise BackendError(
            f"{name} {_version(module)} cannot be a backend: of the array API standard it lacks "
            f"{', '.join(missing[:MAX_NAMED])}{more}."
        )
    return xp if hasattr(xp, "take_along_axis") else replacing(xp, take_along_axis=partial(_take_along_axis, xp))


def _take_along_axis(xp: Namespace, x: Array, indices: Array, /, *, axis: int) -> Array:
    """Take rows of each member of a stack, for a library older than this function, which is of 2024.12."""
    return xp.stack([xp.take(x[i, ...], indices[i, :, 0], axis=axis) for i in range(x.shape[0])])


def _version(module: str) -> str:
    parts = (module, module.partition(".")[0])
    return next((str(sys.modules[part].__version__) for part in parts if hasattr(sys.modules[part], "__version__")), "")


@functools.cache
def _array_type(kind: type[StandardBackend]) -> type:
    with _translating(kind):
        return type(kind.namespace().zeros((1,)))
