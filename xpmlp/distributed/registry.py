"""Communicators by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xpmlp.common.validation import check_choice

if TYPE_CHECKING:
    from xpmlp.distributed.communicator import Communicator

__all__ = ["COMMUNICATORS", "open_communicator"]

COMMUNICATORS = ("mpi", "nccl")


def open_communicator(name: str = "mpi") -> Communicator:
    """Join the job that this process was started in by ``mpiexec``; without that, be a job of one rank.

    Parameters
    ----------
    name : {"mpi", "nccl"}
        What sums gradients: MPI, or NCCL between CuPy's GPUs, where MPI does the rest.

    Raises
    ------
    InputError
        For an unknown name.
    CommunicatorError
        Where mpi4py or an MPI library is missing.
    """
    check_choice("communicator", name, COMMUNICATORS)
    # Imported here, as MPI starts when mpi4py is imported.
    from xpmlp.distributed.mpi import MpiCommunicator, NcclCommunicator, load_mpi  # noqa: PLC0415

    return (NcclCommunicator if name == "nccl" else MpiCommunicator)(load_mpi())
