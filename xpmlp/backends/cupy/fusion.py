"""Elementwise work as one kernel of CuPy's, by `cupy.fuse`."""

from __future__ import annotations

import functools
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from xpmlp.backends.elementwise import replacing
from xpmlp.backends.purity import is_pure
from xpmlp.backends.rehearsal import rehearse
from xpmlp.common.errors import XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from types import ModuleType

    from xpmlp.common.types import Namespace

MAX_KERNELS = 256  # that are kept; the one that was not used for longest makes room
ROUNDINGS = 1000  # by which a kernel may differ: it rounds numbers to the arrays' dtype, and some products not at all


class Fused:
    """`fused` of CuPy's namespace, as `xpmlp.backends.elementwise` asks for it.

    A kernel has in it what Python computed while it was traced. So numbers are its arguments, and functions that are
    not known to be pure are computed operation by operation. The first call for each combination of dtypes and
    dimensions is compared with that. What cannot be fused, or gives something else, is warned of once, and computed
    operation by operation from then on; errors of memory pass.
    """

    def __init__(self, cupy: ModuleType, standard: Namespace, is_memory_error: Callable[[Exception], bool]) -> None:
        self._kernels = functools.lru_cache(MAX_KERNELS)(partial(_Kernel, cupy, standard))
        self._is_memory_error = is_memory_error
        self._rehearse = partial(rehearse, copy=cupy.copy, to_numpy=cupy.asnumpy, roundings=ROUNDINGS)

    def __call__(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``body(xp, *arguments, **functions)`` as one kernel."""
        return partial(self._compute, body)

    def _compute(self, body: Callable[..., Any], xp: Namespace, *arguments: Any, **functions: Any) -> Any:
        plain = partial(body, xp, **functions)
        if not is_pure(tuple(functions.values())):
            return plain(*arguments)
        kernel = self._kernels(body, *functions.items())
        if kernel.failed:
            return plain(*arguments)
        kind = tuple((x.dtype, x.ndim) if hasattr(x, "ndim") else type(x) for x in arguments)
        try:
            if kind in kernel.rehearsed:
                return kernel(*arguments)
            results, same = self._rehearse(kernel, plain, arguments, len(arguments))  # it may use up any of these
        except Exception as error:
            if self._is_memory_error(error):
                raise
            results = plain(*arguments)  # whatever CuPy cannot fuse, it can compute
            kernel.give_up("could not be fused into one kernel", f": {type(error).__name__}: {error}")
            return results
        if same:
            kernel.rehearsed.add(kind)
        else:
            kernel.give_up("gives other results as one kernel")
        return results


class _Kernel:
    """A body with its functions as one kernel: what it writes to in place is returned with what it makes anew."""

    def __init__(self, cupy: ModuleType, standard: Namespace, body: Callable[..., Any], *functions: Any) -> None:
        self._name, self._fused = body.__name__, fused_kernel(cupy, standard, body, dict(functions))
        self.inplace: int = vars(body)["inplace"]
        self.rehearsed: set[Hashable] = set()
        self.failed = False

    def __call__(self, *arguments: Any) -> Any:
        results = (*arguments[: self.inplace], *_listed(self._fused(*numbers_in_dtype(arguments))))
        return results[0] if len(results) == 1 else results

    def give_up(self, problem: str, cause: str = "") -> None:
        """Compute operation by operation from now on."""
        self.failed = True
        message = f"{self._name} {problem}, and is computed operation by operation, which takes longer{cause}"
        warnings.warn(message, XpmlpWarning, stacklevel=3)


def fused_kernel(
    cupy: ModuleType, standard: Namespace, body: Callable[..., Any], functions: dict[str, Any]
) -> Callable[..., Any]:
    """Let `cupy.fuse` make a kernel that gives what a body makes anew, and writes to its first arguments in place.

    It calls the body once for each combination of dtypes and dimensions, with variables in place of arrays and numbers,
    and compiles what is asked of them. A variable has no shape: an array like it, full of a number, is here that
    number.
    """
    xp = replacing(standard, zeros_like=lambda _: 0.0, ones_like=lambda _: 1.0, full_like=lambda _, value: value)

    def traced(*variables: Any) -> Any:
        made = _listed(body(xp, *variables, **functions))[vars(body)["inplace"] :]
        return made if len(made) > 1 else made[0] if made else None

    return cast("Callable[..., Any]", cupy.fuse(kernel_name=body.__name__)(traced))


def numbers_in_dtype(arguments: Sequence[Any]) -> list[Any]:
    """Return arguments with Python's numbers in the dtype of floating arrays: CuPy computes two numbers in 16 bits."""
    dtypes = [x.dtype for x in arguments if hasattr(x, "dtype") and x.dtype.kind == "f"]
    return [dtypes[0].type(x) if dtypes and type(x) in {int, float} else x for x in arguments]


def _listed(results: Any) -> tuple[Any, ...]:
    """Return the results of a kernel or a body, which may be one or none, as a tuple."""
    if results is None:
        return ()
    return results if isinstance(results, tuple) else (results,)
