"""Functions of torch by a faster way, most of them on the CPU: what each saves is in docs/performance-log.md."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from xpmlp.backends.elementwise import replacing

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from xpmlp.common.types import Array, Namespace


def with_shortcuts(torch: ModuleType, standard: Namespace) -> Namespace:
    """Return torch's functions, but that `take` knows no negative numbers, which cost array-api-compat three calls."""

    def take(x: Array, indices: Array, /, *, axis: int) -> Array:
        return torch.index_select(x, axis, indices)

    return replacing(standard, take=take)


def with_cpu_shortcuts(torch: ModuleType, standard: Namespace) -> Namespace:
    """Return torch's functions, some of them by a way that is faster on a CPU.

    In work by elements, as `xpmlp.backends.elementwise` marks it, an array of zeros is one zero that is seen as many:
    none is filled, and nobody writes to it there.
    """

    def astype(x: Array, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Array:
        if x.dtype == torch.bool:
            x = x.view(torch.uint8)  # of integers torch converts many at a time, of truth values one by one
        return standard.astype(x, dtype, copy=copy, device=device)

    @functools.cache
    def zero(dtype: Any) -> Array:
        return torch.zeros((), dtype=dtype)

    def add_scaled(x: Array, factor: Array | float, y: Array) -> Array:
        return x.addcmul_(y, factor) if isinstance(factor, torch.Tensor) else x.add_(y, alpha=factor)

    def subtract_scaled(x: Array, factor: Array | float, y: Array) -> Array:
        return x.addcmul_(y, factor, value=-1) if isinstance(factor, torch.Tensor) else x.sub_(y, alpha=factor)

    def positives(x: Array) -> Array:
        return torch.gt(x, 0, out=torch.empty_like(x))  # truth values would be compared one by one

    within = replacing(
        standard,
        add_scaled=add_scaled,
        astype=astype,
        positives=positives,
        subtract_scaled=subtract_scaled,
        zeros_like=lambda x: zero(x.dtype).expand(x.shape),
    )

    @functools.cache
    def fused(body: Callable[..., Any]) -> Callable[..., Any]:
        return lambda _, *arrays, **settings: body(within, *arrays, **settings)

    return replacing(standard, astype=astype, fused=fused)
