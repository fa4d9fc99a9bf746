"""Elementwise work as one kernel of CuPy's, by `cupy.fuse`."""

from __future__ import annotations

import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from xpmlp.backends.namespaces import replacing
from xpmlp.common.errors import XpmlpWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from types import ModuleType

    from xpmlp.common.types import Array, Namespace

__all__ = ["Fused"]


class Fused:
    """`fused` of CuPy's namespace, as `xpmlp.backends.elementwise` asks for it.

    Parameters
    ----------
    cupy : module
        The library.
    standard : namespace
        Its functions as the standard has them.

    Notes
    -----
    `cupy.fuse` calls a body once for each combination of dtypes and dimensions, with variables in place of arrays, and
    compiles what is asked of them. A variable has no shape: an array like it, full of a number, is here that number.
    What is written to an argument is written in place, and what is returned is a new array: so updated arguments are
    returned from here, and not by the kernel.

    What cannot be fused is warned of once, and computed operation by operation. So is what has settings without a hash,
    which cannot be told from others.
    """

    def __init__(self, cupy: ModuleType, standard: Namespace) -> None:
        self._fuse = cupy.fuse
        self._xp = replacing(
            standard, zeros_like=lambda _: 0.0, ones_like=lambda _: 1.0, full_like=lambda _, value: value
        )
        self._kernels: dict[Hashable, Callable[..., Any]] = {}
        self._given_up: set[Hashable] = set()

    def __call__(self, body: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``body(xp, *arrays, **settings)`` as one kernel."""
        return partial(self._compute, body)

    def _compute(self, body: Callable[..., Any], xp: Namespace, *arrays: Any, **settings: Any) -> Any:
        key = (body, *settings.items())
        if not _hashable(key) or key in self._given_up:
            return body(xp, *arrays, **settings)
        try:
            if key not in self._kernels:
                self._kernels[key] = self._fuse(kernel_name=body.__name__)(self._traceable(body, settings))
            made = self._kernels[key](*arrays)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever CuPy could not fuse, it can compute
            results = body(xp, *arrays, **settings)
            self._given_up.add(key)
            warnings.warn(
                f"{body.__name__} could not be fused into one kernel, and is computed operation by operation, which "
                f"takes longer: {type(error).__name__}: {error}",
                XpmlpWarning,
                stacklevel=2,
            )
            return results
        results = (*arrays[: vars(body)["inplace"]], *_listed(made))
        return results[0] if len(results) == 1 else results

    def _traceable(
        self, body: Callable[..., Any], settings: Mapping[str, Any]
    ) -> Callable[..., Array | tuple[Array, ...] | None]:
        def traceable(*variables: Any) -> Any:
            made = _listed(body(self._xp, *variables, **settings))[vars(body)["inplace"] :]
            return made if len(made) > 1 else made[0] if made else None

        return traceable


def _hashable(key: object) -> bool:
    """Whether it can be looked up; functions of the user's own need not."""
    try:
        hash(key)
    except TypeError:
        return False
    return True


def _listed(results: Any) -> tuple[Any, ...]:
    """Return the results of a kernel or a body, which may be one or none, as a tuple."""
    if results is None:
        return ()
    return results if isinstance(results, tuple) else (results,)
