"""NumPy, on the CPU."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends.base import Backend, Evaluator, Status
from xpmlp.backends.numpy import namespace
from xpmlp.backends.numpy.memory import keep_freed_memory
from xpmlp.backends.numpy.tape_steps import CALLS_BEFORE_REPLAY, bind_on_tape, epoch_runner_on_tape
from xpmlp.backends.threads import Threads, blas_threads
from xpmlp.common.silence import silent_context
from xpmlp.common.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from xpmlp.backends.graphs import Steps


class NumpyBackend(Backend):
    """NumPy, on the CPU."""

    name = "numpy"
    integers_wrap = True
    supports_step_capture = True  # without, steps are not recorded
    rows_at_a_time = 2048  # what is computed of them stays in a core's cache
    xp = namespace

    def _open(self) -> None:
        self.device = self.device_name
        keep_freed_memory()

    @classmethod
    def devices(cls) -> Sequence[str]:
        return ("cpu",)

    @classmethod
    def status(cls) -> Status:
        """Name NumPy's version, its BLAS and the BLAS's threads."""
        from threadpoolctl import threadpool_info  # noqa: PLC0415 - 30 ms that most commands do without

        libraries = [
            f"{info['internal_api']} {info['version']}, {counted(info['num_threads'], 'thread')}"
            for info in threadpool_info()
            if info["user_api"] == "blas"
        ]
        return Status(cls.name, np.__version__, ("cpu",), "; ".join(dict.fromkeys(libraries)) or "BLAS unknown")

    @classmethod
    def device_of(cls, values: Any) -> str | None:
        return "cpu" if isinstance(values, np.ndarray | np.generic) else None

    @property
    def threads(self) -> Threads | None:
        """Those of its BLAS."""
        return blas_threads()

    def on_device(self, x: np.ndarray) -> bool:  # noqa: ARG002 - there is one device
        return True

    def to_numpy(self, x: np.ndarray) -> np.ndarray:
        return np.array(x)

    def _on_host(self, x: np.ndarray) -> np.ndarray:
        return x

    def epoch_runner(self, step: Callable[..., Any], *, compile_whole: bool = True) -> Steps:
        """Record a step and replay it, unless graphs are not wanted."""
        steps = super().epoch_runner(step, compile_whole=compile_whole)
        return epoch_runner_on_tape(step, steps) if compile_whole and self.graphs else steps

    def bind(self, function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        """Record a call and replay it, unless graphs are not wanted."""
        return bind_on_tape(function, arguments) if self.graphs else super().bind(function, *arguments)

    def evaluator(
        self, function: Callable[..., Any], fixed: Any, shape: tuple[int, ...], *, compile_whole: bool = True
    ) -> Evaluator:
        """Record the function and replay it, unless graphs are not wanted."""
        rows = np.zeros(shape, self.dtype)
        call = self.bind(function, fixed, rows) if compile_whole else partial(function, fixed, rows)
        draw, run = np.random.default_rng(0), silent_context().run
        for _ in range(CALLS_BEFORE_REPLAY):
            rows[...] = draw.normal(size=shape)
            run(call)
        return Evaluator(rows, lambda: run(call).copy())

    def _context(self) -> AbstractContextManager[Any]:
        # Overflow and NaN are silenced: the training loop looks for them itself, and says more.
        return np.errstate(over="ignore", invalid="ignore")
