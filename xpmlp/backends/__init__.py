"""Array libraries: the only part of xpmlp that knows them by name.

Everything else is given a `Backend`, asks it for arrays, and computes with its namespace `xp`.
"""

from xpmlp.backends._base import Backend, Status
from xpmlp.backends._registry import BACKENDS, backend_of, device_in_turn, get_backend, statuses

__all__ = ["BACKENDS", "Backend", "Status", "backend_of", "device_in_turn", "get_backend", "statuses"]
