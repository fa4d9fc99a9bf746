"""The live display of a training run: a bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from xpmlp.cli._terminal import say
from xpmlp.common.wording import brief

if TYPE_CHECKING:
    from xpmlp.training import Record

MAX_LINES = 30  # printed of a long run where there is no terminal; its log has them all
REFRESH_SECONDS = 0.1  # a step takes less than updating the bar


class TrainingProgress:
    """Shows epochs, of so many examples each, the last scores and the speed on standard error; nothing if `quiet`."""

    def __init__(self, epochs: int, examples: int, *, quiet: bool) -> None:
        self._epochs, self._examples = epochs, examples
        self._quiet = quiet
        self._stride = -(-epochs // MAX_LINES)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._seen = 0
        self._shown = 0.0
        console = Console(stderr=True)
        if console.is_terminal and not quiet:
            columns = (
                TextColumn("epoch"),
                MofNCompleteColumn(),
                BarColumn(bar_width=24),
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console, refresh_per_second=1 / REFRESH_SECONDS)
            self._task = self._bar.add_task("", total=epochs)

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def advance(self, examples: int) -> None:
        """Count the examples of a step."""
        self._seen += examples
        if self._bar and (now := time.monotonic()) - self._shown > REFRESH_SECONDS:
            self._shown = now
            self._bar.update(self._task, completed=self._seen / self._examples)

    def show(self, record: Record, line: str) -> None:
        """Show the scores of an epoch that has ended."""
        if self._bar:
            firsts = {part: next(iter(score.measures.values())) for part, score in record.scores.items()}
            scores = [f"{part} {value:.4f}" for part, value in firsts.items() if part != "test"]
            loss = f"loss {brief(record.scores['train'].loss)}"
            text = f"{loss}  {'  '.join(scores)}  {record.examples_per_second:,.0f} examples/s"
            self._bar.update(self._task, completed=record.epoch, description=text)
        elif not self._quiet and (self._due(record) or not record.complete):
            say(line)

    def _due(self, record: Record) -> bool:
        return record.epoch in {1, self._epochs} or record.epoch % self._stride == 0
