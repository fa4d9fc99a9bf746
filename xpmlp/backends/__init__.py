"""Array libraries: the only part of xpmlp that knows them by name.

Everything else is given a `Backend`, asks it for arrays, and computes with its namespace `xp`. A folder for each
library holds what is its own. It imports `common` alone.
"""

from xpmlp.backends.base import Backend, Status
from xpmlp.backends.registry import BACKENDS, backend_of, device_for_rank, get_backend, statuses

__all__ = ["BACKENDS", "Backend", "Status", "backend_of", "device_for_rank", "get_backend", "statuses"]
