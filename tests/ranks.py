"""Ranks that are threads of one process, where no processes need to be started."""

from __future__ import annotations

import threading

from xpmlp.distributed import Communicator

__all__ = ["on_ranks"]


class _Job:
    """What the threads share: a place for each one's value, and a barrier that lets them pass together."""

    def __init__(self, size):
        self.values = [None] * size
        self.barrier = threading.Barrier(size, timeout=30)


class ThreadRank(Communicator):
    library = "threads"

    def __init__(self, rank, job):
        self.rank, self.size, self.local_rank = rank, len(job.values), rank
        self._job, self._flags = job, [False]

    def allgather(self, value):
        self._job.values[self.rank] = value
        self._job.barrier.wait()
        values = list(self._job.values)
        self._job.barrier.wait()
        return values

    def broadcast(self, value):
        return self.allgather(value)[0]

    def allreduce(self, backend):
        def add(x):
            backend.synchronize(x)  # a lazy library may compute in the thread alone that has asked for it
            total, *others = self.allgather(x)
            for other in others:
                total = total + other
            return backend.copy_to_device(total)

        return add

    def total(self, numbers):
        return [sum(column) for column in zip(*self.allgather(numbers), strict=True)]

    def any_rank(self, *, flag):
        agreed, self._flags = any(self._flags), self.allgather(flag)
        return agreed

    def abort(self, code):
        raise SystemExit(code)

    def close(self):
        self.allgather(None)


def on_ranks(size, work):
    """Call ``work(communicator)`` on so many ranks: gives what each returned, or raised."""
    job, results = _Job(size), [None] * size

    def run(rank):
        try:
            results[rank] = work(ThreadRank(rank, job))
        except Exception as error:  # noqa: BLE001 - it is told; ranks that wait for this one do so in vain
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
