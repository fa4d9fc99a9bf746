"""How sums leave the memory of a GPU, and how MPI is found: with stand-ins, as neither may be here."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from devices import Cupy, Library

from xpmlp import BackendError, CommunicatorError, get_backend
from xpmlp.backends import device_for_rank
from xpmlp.distributed import open_communicator

pytestmark = pytest.mark.torch_or_jax


class CardArray(np.ndarray):
    """An array of a GPU."""


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy with two cards."""
    cupy = Cupy().install(monkeypatch)
    monkeypatch.setattr("xpmlp.backends.cupy.backend.load_cublas", lambda _: Library())
    monkeypatch.setattr(cupy, "asnumpy", lambda x: np.array(x, subok=False))
    cupy.cuda.runtime.getDeviceCount = lambda: 2
    return cupy


class Mpi(ModuleType):
    """An MPI of two ranks that hold the same."""

    IN_PLACE, COMM_TYPE_SHARED, REQUEST_NULL = "in place", "shared", SimpleNamespace(Wait=lambda: None)
    Exception = KeyError

    def __init__(self):
        super().__init__("mpi4py.MPI")
        self.summed = []
        self.COMM_WORLD = SimpleNamespace(
            Get_rank=lambda: 1, Get_size=lambda: 2, Split_type=lambda _: self.COMM_WORLD, Allreduce=self.sum
        )

    def sum(self, where, buffer):
        assert where == self.IN_PLACE
        self.summed.append(buffer)
        buffer *= 2

    def get_vendor(self):
        return "Stand-in", (1, 2)


@pytest.fixture
def mpi(monkeypatch):
    """Put an MPI on the machine."""
    mpi, package = Mpi(), ModuleType("mpi4py")
    package.MPI = mpi
    monkeypatch.setitem(sys.modules, "mpi4py", package)
    return mpi


def test_arrays_of_a_gpu_are_summed_by_way_of_the_hosts_memory(cupy, mpi):
    add = open_communicator().allreduce(get_backend("cupy"))
    x = np.ones(3, dtype=np.float32).view(CardArray)
    assert add(x).tolist() == [2.0, 2.0, 2.0]
    assert [type(buffer) for buffer in mpi.summed] == [np.ndarray]


def test_arrays_of_the_host_are_summed_where_they_lie(mpi):
    x = np.ones(3)
    assert open_communicator().allreduce(get_backend("numpy", dtype="float64"))(x) is x
    assert mpi.summed == [x]


def test_a_communicator_says_which_rank_it_is_and_what_carries_the_messages(mpi):
    ranks = open_communicator()
    assert (ranks.rank, ranks.size, ranks.library) == (1, 2, "Stand-in 1.2")
    assert ranks.total([1.5]) == [3.0]


def test_a_sum_that_fails_is_an_error_of_ours(mpi):
    mpi.COMM_WORLD.Allreduce = lambda *_: {}["process failed"]
    with pytest.raises(CommunicatorError, match=r"'process failed'. Another rank may have ended"):
        open_communicator().total([1.0])


@pytest.mark.parametrize(("local_rank", "card"), [(0, "cuda:0"), (1, "cuda:1"), (5, "cuda:1")])
def test_processes_of_a_machine_take_its_cards_by_turns(cupy, local_rank, card):
    assert device_for_rank("cupy", None, local_rank) == card
    assert device_for_rank("cupy", "cuda", local_rank) == card
    assert device_for_rank("auto", None, local_rank) == card


def test_a_device_that_is_named_or_has_no_cards_is_taken_by_all(cupy):
    assert device_for_rank("cupy", "cuda:0", 1) == "cuda:0"
    assert device_for_rank("numpy", None, 1) is None
    assert device_for_rank("torch", "cpu", 1) == "cpu"
    assert device_for_rank("nothing", None, 1) is None  # `get_backend` says that there is no such backend


def test_torch_takes_no_card_unless_it_is_asked_to():
    pytest.importorskip("torch", reason="this is about torch")
    assert device_for_rank("torch", None, 1) is None


def test_without_cupy_auto_leaves_the_choice_and_cupy_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert device_for_rank("auto", None, 1) is None
    with pytest.raises(BackendError, match="CuPy"):
        device_for_rank("cupy", None, 1)


def test_a_missing_mpi4py_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(CommunicatorError, match=r"mpi4py is not installed.*xpmlp\[mpi\]"):
        open_communicator()


def test_a_missing_mpi_library_is_named_with_the_packages_that_bring_one(monkeypatch):
    class WithoutLibrary(ModuleType):
        def __getattr__(self, name):
            raise RuntimeError("cannot load MPI library\nlibmpi.so: no such file")

    monkeypatch.setitem(sys.modules, "mpi4py", WithoutLibrary("mpi4py"))
    with pytest.raises(CommunicatorError, match=r"cannot load MPI library libmpi.so: no .* pip install mpich"):
        open_communicator()
