"""Engines: joblib's backends, on which trials run side by side."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from joblib import parallel_config
from threadpoolctl import threadpool_limits

from xpmlp.common.errors import InputError, WorkerError
from xpmlp.common.packages import load_package
from xpmlp.common.validation import check_choice, check_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

STACK = "stack"
ENGINES = ("loky", "threading", "sequential", "dask", "ray", STACK)
PACKAGES = {"dask": "dask.distributed", "ray": "ray"}


def check_engine(engine: str, jobs: int, address: str | None) -> None:
    """Raise unless trials can run on an engine.

    Raises
    ------
    InputError
        For an unknown engine, less than one job, several for the engine "stack", and an address where the engine has
        none.
    BackendError
        Where its package is not installed.
    """
    check_choice("engine", engine, ENGINES)
    check_number("jobs", jobs, at_least=1, integer=True)
    if engine == STACK and jobs > 1:
        raise InputError(f"the engine stack trains in this process alone, but jobs is {jobs}: leave it out.")
    if engine in PACKAGES:
        load_package(PACKAGES[engine])
    elif address is not None:
        raise InputError(f"only the engines dask and ray have a scheduler, but the engine is {engine}.")


@contextmanager
def running_on(engine: str, jobs: int, address: str | None = None) -> Iterator[None]:
    """Let joblib run what follows on an engine, without more BLAS threads than cores; parameters as for `search`.

    joblib divides the cores among loky's processes, and Dask and Ray give those that they start one thread each. The
    threads of a process share its BLAS, which then has one.

    Raises
    ------
    InputError
        For an address that is none.
    WorkerError
        Where a worker is lost: killed for its memory, for example.
    """
    with ExitStack() as stack:
        if engine == "threading" and jobs > 1:
            stack.enter_context(threadpool_limits(1, user_api="blas"))
        elif engine == "dask":
            stack.enter_context(_dask(jobs, address))
        elif engine == "ray":
            stack.enter_context(_ray(jobs, address))
        options = {"initializer": _end_with, "initargs": (os.getpid(),)} if engine == "loky" else {}
        stack.enter_context(parallel_config(backend=engine, n_jobs=jobs, **options))
        try:
            yield
        except _lost_worker_errors(engine) as error:
            reason, _, _ = str(error).partition("\n")
            raise WorkerError(
                f"a worker of {engine} was lost: {type(error).__name__}: {reason} Trials that have ended are kept: "
                "resume with --resume, and with fewer --jobs if memory was short."
            ) from error


def _lost_worker_errors(engine: str) -> tuple[type[Exception], ...]:
    """Return what an engine raises where a worker is lost."""
    if engine == "dask":
        return (load_package(PACKAGES["dask"]).KilledWorker, CancelledError)
    if engine == "ray":
        return (load_package("ray.exceptions").RayError,)
    return (BrokenExecutor,)


def _end_with(parent: int) -> None:
    """Let this process, a worker of loky's, end when the search was killed: it may otherwise wait for work for ever."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.25)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _dask(jobs: int, address: str | None) -> AbstractContextManager[Any]:
    distributed = load_package(PACKAGES["dask"])
    if address is not None:
        return _connected(distributed.Client, address)
    try:
        return nullcontext(distributed.get_client())
    except ValueError:  # there is none
        client = distributed.Client(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
        client.run(_leave_interrupts)
        return client


def _leave_interrupts() -> None:
    """Let this process, a worker of Dask's, leave Ctrl-C to the search, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _ray(jobs: int, address: str | None) -> AbstractContextManager[Any]:
    load_package("ray.util.joblib").register_ray()
    ray = load_package(PACKAGES["ray"])
    if ray.is_initialized():
        return nullcontext()
    return _connected(ray.init, address) if address is not None else ray.init(num_cpus=jobs, include_dashboard=False)


def _connected(connect: Callable[[str], AbstractContextManager[Any]], address: str) -> AbstractContextManager[Any]:
    try:
        return connect(address)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the scheduler {address!r} cannot be used: {error}") from error
