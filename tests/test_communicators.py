"""How sums leave the memory of a GPU, and how MPI is found: with stand-ins, as neither may be here."""

from __future__ import annotations

import ctypes
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from devices import Cupy, Library

from xpmlp import BackendError, CommunicatorError, InputError, get_backend
from xpmlp.backends import device_for_rank
from xpmlp.distributed import mpi as _mpi
from xpmlp.distributed import open_communicator
from xpmlp.distributed.mpi import MpiCommunicator, NcclCommunicator, is_cuda_aware


class CardArray(np.ndarray):
    """An array of a GPU, which the host reads by `get` and writes to by `set`."""

    def get(self, out):
        out[...] = self

    def set(self, host):
        self[...] = host


@pytest.fixture
def cupy(monkeypatch):
    """A CuPy with two cards, whose pinned memory is ordinary; `cupy.log`: what was asked for, in order."""
    cupy, cupy.log = Cupy().install(monkeypatch), []
    monkeypatch.setattr("xpmlp.backends.cupy.backend.load_cublas", lambda _: Library())
    stream = SimpleNamespace(ptr=7, synchronize=lambda: cupy.log.append("synchronize"))
    cupy.cuda.runtime.getDeviceCount = lambda: 2
    cupy.cuda.get_current_stream = lambda: stream
    cupy.cuda.alloc_pinned_memory = lambda size: cupy.log.append(f"pin {size}") or bytearray(size)
    return cupy


@pytest.fixture
def nccl(monkeypatch):
    """A cupyx.distributed whose processes all hold the same arrays; gives how its groups were made."""
    made = []

    def init_process_group(size, rank, *, use_mpi):
        made.append((size, rank, use_mpi))
        if size == 4:
            raise RuntimeError("Duplicate GPU detected")
        return SimpleNamespace(all_reduce=lambda source, result: np.multiply(source, size, out=result))

    distributed = ModuleType("cupyx.distributed")
    distributed.init_process_group = init_process_group
    monkeypatch.setitem(sys.modules, "cupyx", ModuleType("cupyx"))
    monkeypatch.setitem(sys.modules, "cupyx.distributed", distributed)
    return made


class Mpi(ModuleType):
    """An MPI of two ranks that hold the same."""

    IN_PLACE, COMM_TYPE_SHARED, REQUEST_NULL = "in place", "shared", SimpleNamespace(Wait=lambda: None)
    Exception = KeyError

    def __init__(self, log):
        super().__init__("mpi4py.MPI")
        self.log = log
        self.COMM_WORLD = SimpleNamespace(
            Get_rank=lambda: 1, Get_size=lambda: 2, Split_type=lambda _: self.COMM_WORLD, Allreduce=self.sum
        )

    def sum(self, where, buffer):
        assert where == self.IN_PLACE
        self.log.append(type(buffer).__name__)
        buffer *= 2

    def get_vendor(self):
        return "Stand-in", (1, 2)


@pytest.fixture
def of_two(monkeypatch):
    """Make a communicator of an MPI that is CUDA-aware, or is not."""

    def of_two(cupy, kind=MpiCommunicator, *, aware):
        monkeypatch.setattr(_mpi, "is_cuda_aware", lambda _: aware)
        return kind(Mpi(cupy.log))

    return of_two


def ones():
    return np.ones(3, dtype=np.float32).view(CardArray)


def test_arrays_of_a_gpu_are_summed_by_way_of_pinned_memory_that_is_taken_once(cupy, of_two):
    backend, ranks = get_backend("cupy"), of_two(cupy, aware=False)
    add = ranks.allreduce(backend)
    x = ones()
    assert add(x) is x
    assert add(ones()).tolist() == x.tolist() == [2.0, 2.0, 2.0]
    assert cupy.log == ["pin 12", "ndarray", "ndarray"]
    assert ranks.route(backend) == "sums go through the host's memory, as this MPI is not CUDA-aware"


def test_a_cuda_aware_mpi_is_handed_the_arrays_once_they_are_computed(cupy, of_two):
    backend, ranks = get_backend("cupy"), of_two(cupy, aware=True)
    assert ranks.allreduce(backend)(ones()).tolist() == [2.0, 2.0, 2.0]
    assert cupy.log == ["synchronize", "CardArray"]
    assert ranks.route(backend) == "sums go from GPU to GPU, as this MPI is CUDA-aware"


def test_nccl_sums_on_the_gpus_and_mpi_the_rest(cupy, of_two, nccl):
    ranks = of_two(cupy, NcclCommunicator, aware=False)
    assert ranks.allreduce(get_backend("cupy"))(ones()).tolist() == [2.0, 2.0, 2.0]
    assert nccl == [(2, 1, True)]
    assert cupy.log == []
    assert ranks.total([1.5]) == [3.0]
    assert ranks.route(get_backend("cupy")) == "sums go from GPU to GPU, by NCCL"


def test_nccl_that_fails_or_is_asked_of_another_backend_says_why(cupy, of_two, nccl):
    with pytest.raises(BackendError, match=r"NCCL cannot be used here: RuntimeError: Duplicate GPU .* a GPU for each"):
        get_backend("cupy").nccl_adder(0, 4)
    with pytest.raises(BackendError, match="backend cupy, but the backend is numpy"):
        of_two(cupy, NcclCommunicator, aware=False).allreduce(get_backend("numpy"))


def test_there_is_nothing_to_say_of_the_host(cupy, of_two):
    ranks = of_two(cupy, aware=False)
    assert ranks.route(get_backend("numpy")) == ""
    assert (ranks.rank, ranks.size, ranks.library) == (1, 2, "Stand-in 1.2")


def test_a_sum_that_fails_is_an_error_of_ours(cupy, of_two):
    ranks = of_two(cupy, aware=False)
    ranks._world.Allreduce = lambda *_: {}["process failed"]
    with pytest.raises(CommunicatorError, match=r"'process failed'. Another rank may have ended"):
        ranks.total([1.0])


@pytest.mark.parametrize(("turn", "card"), [(0, "cuda:0"), (1, "cuda:1"), (5, "cuda:1")])
def test_processes_of_a_machine_take_its_cards_by_turns(cupy, turn, card):
    assert device_for_rank("cupy", None, turn) == card
    assert device_for_rank("cupy", "cuda", turn) == card
    assert device_for_rank("auto", None, turn) == card


def test_a_device_that_is_named_or_has_no_cards_is_taken_by_all(cupy):
    assert device_for_rank("cupy", "cuda:0", 1) == "cuda:0"
    assert device_for_rank("numpy", None, 1) is None
    assert device_for_rank("torch", "cpu", 1) == "cpu"
    assert device_for_rank("torch", None, 1) is None
    assert device_for_rank("nothing", None, 1) is None  # `get_backend` says that there is no such backend


def test_without_cupy_auto_leaves_the_choice_and_cupy_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert device_for_rank("auto", None, 1) is None
    with pytest.raises(BackendError, match="CuPy"):
        device_for_rank("cupy", None, 1)


def test_an_unknown_communicator_is_refused():
    with pytest.raises(InputError, match="communicator is 'gossip', but must be one of: mpi, nccl"):
        open_communicator("gossip")


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


@pytest.mark.parametrize(
    ("library", "aware"),
    [({}, False), *(({"MPIX_Query_cuda_support": lambda answer=answer: answer}, bool(answer)) for answer in (0, 1))],
)
def test_the_mpi_library_is_asked_whether_it_reads_the_memory_of_gpus(monkeypatch, library, aware):
    monkeypatch.setattr(ctypes, "CDLL", {"libmpi.so": SimpleNamespace(**library)}.__getitem__)
    assert is_cuda_aware(SimpleNamespace(__file__="libmpi.so")) is aware
