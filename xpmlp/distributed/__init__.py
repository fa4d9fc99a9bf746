"""Processes that train together: what each sees of the others. The only place that knows MPI.

It imports `common` and `backends`.
"""

from xpmlp.distributed.communicator import CollectiveError, Communicator, share_of
from xpmlp.distributed.mpi import launched_ranks, open_communicator

__all__ = ["CollectiveError", "Communicator", "launched_ranks", "open_communicator", "share_of"]
