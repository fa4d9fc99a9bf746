"""Contenders as processes that take turns, so that a slow minute of the machine falls on all of them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from threading import TIMEOUT_MAX, Timer
from typing import TYPE_CHECKING, Any, Self

from machine_load import Watch, wait_until_quiet
from xpmlp import XpmlpError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from peers.task import Workload

__all__ = ["SHARED_GPU", "ContenderError", "take_turns"]

SCRIPTS = Path(__file__).resolve().parent.parent
PAUSE = 0.1  # seconds between two turns, in which the threads of the last one stop spinning
OF_EACH_TURN = ("seconds", "cores", "loss", "others", "disturbed")
WAIT = 10.0  # seconds at most that a machine is given to become quiet, before a repetition is made again
POOLS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NPROC",  # XLA's
)
SHARED_GPU = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # by default JAX takes most of a GPU's memory


class ContenderError(XpmlpError):
    """A contender that failed, or whose process ended; `name` says which."""

    def __init__(self, name: str, how: str) -> None:
        super().__init__(f"contender {name} {how}")
        self.name = name


class Worker:
    """A contender's process, from its start to the end of the workload; ended where it lets us wait for too long."""

    def __init__(self, name: str, workload: Workload, folder: Path, threads: int, patience: float) -> None:
        self.name = name
        self.patience = patience
        command = [sys.executable, "-m", "peers.worker", name, str(folder), json.dumps(asdict(workload))]
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command, env=environment(threads, workload.device), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def answer(self) -> dict[str, Any]:
        """Wait for a line of its output."""
        start = time.monotonic()
        end = Timer(self.patience, self.process.kill)
        end.start()
        try:
            line = self.process.stdout.readline() if self.process.stdout else ""
        finally:
            end.cancel()
        if not line and time.monotonic() - start >= self.patience:
            raise ContenderError(self.name, f"had no answer within {self.patience:g} s, and was ended.")
        if not line:
            raise ContenderError(self.name, f"ended with exit code {self.process.wait()} and without a word.")
        found: dict[str, Any] = json.loads(line)
        if "error" in found:
            raise ContenderError(self.name, f"failed: {found['error']}. Leave it out with --contender.")
        return found

    def begin(self) -> None:
        """Let it do one repetition; one that has ended already says why by its answer."""
        with suppress(BrokenPipeError):
            print(file=self.process.stdin, flush=True)

    def turn(self) -> dict[str, Any]:
        """Let it do one repetition, and wait for its answer."""
        self.begin()
        return self.answer()

    def quiet_turn(self, retries: int, end: float) -> dict[str, Any]:
        """Let it do one repetition, again where others took the processors, and give the least disturbed one."""
        tries: list[dict[str, Any]] = []
        while True:
            watch = Watch()
            answered = self.turn()
            load = watch.load(own=answered["cpu_seconds"])
            disturbed = None if load.quiet is None else not load.quiet
            tries.append(answered | {"others": load.others, "disturbed": disturbed})
            if not disturbed or len(tries) > retries or time.monotonic() > end:
                return min(tries, key=lambda each: each["others"] or 0.0)
            wait_until_quiet(WAIT)


def environment(threads: int, device: str = "cpu") -> dict[str, str]:
    """Return our environment with what libraries read when they are loaded: the sizes of thread pools, JAX's choices.

    JAX sees a GPU only where one is asked for, takes no more of its memory than it needs, and computes in float32.
    """
    path = os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")]))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={'true' if threads > 1 else 'false'}"
    sizes = dict.fromkeys(POOLS, str(threads))
    on_device = {"cpu": {"JAX_PLATFORMS": "cpu"}, "cuda": SHARED_GPU | {"JAX_DEFAULT_MATMUL_PRECISION": "highest"}}
    return {**os.environ, **sizes, "PYTHONPATH": path, "XLA_FLAGS": flags.strip(), **on_device[device]}


def take_turns(
    workload: Workload,
    names: Sequence[str],
    folder: Path,
    *,
    threads: int,
    repetitions: int,
    retries: int = 0,
    patience: float = TIMEOUT_MAX,
    may_fail: Collection[str] = (),
    end: float = math.inf,
    fuse: bool = False,
) -> tuple[dict[str, dict[str, Any]], list[ContenderError]]:
    """Run a workload with every contender in turn, after a round that only warms up.

    Parameters
    ----------
    workload : Workload
        What to do.
    names : sequence of str
        The contenders.
    folder : Path
        Of the arrays.
    threads, repetitions : int
        Of each.
    retries : int
        How often a repetition is made again while other programs take the processors.
    patience : float
        Seconds that one may take to start, or for a turn.
    may_fail : collection of str
        Contenders without whom the others go on.
    end : float
        When no other round begins, by `time.monotonic`; one is measured in any case.
    fuse : bool
        Whether all warm up at once: on a GPU they then compile side by side, on a CPU they would wait for cores.

    Returns
    -------
    found : dict
        Of each contender: the memory in use before it was made and its peak in the first round, ``base_bytes`` and
        ``peak_bytes``; its thread ``pools``; and of every other round the ``seconds``, the ``cores`` that were busy,
        the ``losses``, the cores that ``others`` kept busy, and whether it was ``disturbed`` by that; the last two are
        None where the system does not tell.
    failed : list of ContenderError
        Of those that may fail, and did.

    Raises
    ------
    ContenderError
        Where another one fails, or its process ends.
    """
    failed: list[ContenderError] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(name, workload, folder, threads, patience)) for name in names]
        found = {worker.name: first for worker, first in _answers(workers, Worker.answer, may_fail, failed)}
        for worker in workers if fuse else ():
            worker.begin()
        for worker, answered in _answers(workers, Worker.answer if fuse else Worker.turn, may_fail, failed):
            found[worker.name] |= {"peak_bytes": answered["peak_bytes"], "pools": answered["pools"]}
        time.sleep(PAUSE)
        for turn in range(1, repetitions + 1):
            for worker, answered in _answers(workers, lambda worker: worker.quiet_turn(retries, end), may_fail, failed):
                if sys.stderr.isatty():
                    print(f"\r{workload.name} {turn}/{repetitions}: {worker.name:20}", end="", file=sys.stderr)
                time.sleep(PAUSE)
                for each in OF_EACH_TURN:
                    found[worker.name].setdefault("losses" if each == "loss" else each, []).append(answered[each])
            if time.monotonic() > end:
                break
        if sys.stderr.isatty():
            print("\r", end="", file=sys.stderr)
        return {worker.name: found[worker.name] for worker in workers}, failed


def _answers(
    workers: list[Worker],
    ask: Callable[[Worker], dict[str, Any]],
    may_fail: Collection[str],
    failed: list[ContenderError],
) -> Iterator[tuple[Worker, dict[str, Any]]]:
    """Ask one worker after the other; one that fails, and may, is taken from them to the failed."""
    for worker in list(workers):
        try:
            answered = ask(worker)
        except ContenderError as error:
            if worker.name not in may_fail:
                raise
            workers.remove(worker)
            failed.append(error)
        else:
            yield worker, answered
