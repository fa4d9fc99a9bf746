"""Array libraries: the only part of xpmlp that knows them by name.

Everything else is given a `Backend`, asks it for arrays, and computes with its namespace `xp`. A folder for each
library holds what is its own. It imports `common` alone.
"""

from xpmlp.backends.base import Backend, Status
from xpmlp.backends.registry import (
    BACKENDS,
    backend_of,
    check_known,
    device_for_rank,
    find_backend,
    get_backend,
    split_place,
    statuses,
)
from xpmlp.backends.standard import StandardBackend

__all__ = [
    "BACKENDS",
    "Backend",
    "StandardBackend",
    "Status",
    "backend_of",
    "check_known",
    "device_for_rank",
    "find_backend",
    "get_backend",
    "split_place",
    "statuses",
]
