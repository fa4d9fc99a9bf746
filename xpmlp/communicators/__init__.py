"""Processes that train together: what each sees of the others. The only place that knows MPI."""

from xpmlp.communicators._base import Communicator, JointError, share_of
from xpmlp.communicators._registry import COMMUNICATORS, open_communicator

__all__ = ["COMMUNICATORS", "Communicator", "JointError", "open_communicator", "share_of"]
