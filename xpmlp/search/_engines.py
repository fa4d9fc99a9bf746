"""Engines: joblib's backends, on which trials run side by side."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from joblib import parallel_config
from threadpoolctl import threadpool_limits

from xpmlp.checks import check_choice, check_number
from xpmlp.errors import InputError
from xpmlp.packages import load_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["ENGINES", "check_engine", "running_on"]

ENGINES = ("loky", "threading", "sequential", "dask", "ray")
PACKAGES = {"dask": "dask.distributed", "ray": "ray"}


def check_engine(engine: str, jobs: int, address: str | None) -> None:
    """Raise unless trials can run on an engine.

    Raises
    ------
    InputError
        For an unknown engine, less than one job, and an address where the engine has none.
    BackendError
        Where its package is not installed.
    """
    check_choice("engine", engine, ENGINES)
    check_number("jobs", jobs, at_least=1, integer=True)
    if engine in PACKAGES:
        load_package(PACKAGES[engine])
    elif address is not None:
        raise InputError(f"a scheduler is of the engines dask and ray, but the engine is {engine}.")


@contextmanager
def running_on(engine: str, jobs: int, address: str | None = None) -> Iterator[None]:
    """Let joblib run what follows on an engine, without more BLAS threads than cores.

    joblib divides the cores among loky's processes, and Dask and Ray give those that they start one thread each. The
    threads of a process share its BLAS, which then has one.

    Parameters
    ----------
    engine : {"loky", "threading", "sequential", "dask", "ray"}
        joblib's name for it.
    jobs : int
        Trials at a time. A cluster that is there already runs as many as it has cores.
    address : str, optional
        Of a running cluster of Dask's or Ray's. By default the one that this process is connected to, or else one of
        `jobs` workers on this machine, which ends with the search.
    """
    with ExitStack() as stack:
        if engine == "threading" and jobs > 1:
            stack.enter_context(threadpool_limits(1, user_api="blas"))
        elif engine == "dask":
            stack.enter_context(_dask(jobs, address))
        elif engine == "ray":
            stack.enter_context(_ray(jobs, address))
        options = {"initializer": _end_with_parent} if engine == "loky" else {}
        stack.enter_context(parallel_config(backend=engine, n_jobs=jobs, **options))
        yield


def _end_with_parent() -> None:
    """Let this process, a worker of loky's, end when the search was killed: it may otherwise wait for work for ever."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _dask(jobs: int, address: str | None) -> AbstractContextManager[Any]:
    distributed = load_package(PACKAGES["dask"])
    if address is not None:
        return distributed.Client(address)
    try:
        return nullcontext(distributed.get_client())
    except ValueError:  # there is none
        return distributed.Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)


def _ray(jobs: int, address: str | None) -> AbstractContextManager[Any]:
    load_package("ray.util.joblib").register_ray()
    ray = load_package(PACKAGES["ray"])
    if ray.is_initialized():
        return nullcontext()
    return ray.init(address=address) if address is not None else ray.init(num_cpus=jobs, include_dashboard=False)
