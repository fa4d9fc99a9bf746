"""scikit-learn's callbacks: what they are told of a fit, iteration by iteration."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Task"]


class Task:
    """A fit, as callbacks see it.

    Parameters
    ----------
    estimator : estimator
        What is fitted.
    X, y, sample_weight : array
        As they were given.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> None:
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self.about = {"estimator": estimator, "X": X, "y": y, "metadata": metadata}
        self.watched = bool(getattr(estimator, "_skl_callbacks", None)) or hasattr(estimator, "_parent_callback_ctx")
        self.context = estimator._init_callback_context(max_subtasks=estimator.max_iter)  # noqa: SLF001 - the protocol's

    @contextmanager
    def running(self) -> Iterator[None]:
        """Tell of the beginning and of the end."""
        self.context.call_on_fit_task_begin(**self.about)
        yield
        self.context.call_on_fit_task_end(**self.about)

    def around(self, iteration: Callable[[], None], fitted: Callable[[], dict[str, Any]]) -> bool:
        """Do an iteration and tell of it; return whether a callback asks for an end.

        Parameters
        ----------
        iteration : callable
            What to do.
        fitted : callable
            The attributes that make the estimator a fitted one as it is then; called where a callback wants one.
        """
        if not self.watched:
            iteration()
            return False
        subtask = self.context.subcontext(task_name="iteration")
        subtask.call_on_fit_task_begin(**self.about)
        iteration()
        return bool(subtask.call_on_fit_task_end(**self.about, reconstruction_attributes=fitted))
