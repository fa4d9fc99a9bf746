"""The live display of a training run: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from xpmlp.cli._terminal import say
from xpmlp.common.wording import brief

if TYPE_CHECKING:
    from xpmlp.training import Record

MAX_LINES = 30  # printed of a long run where there is no terminal; its log has them all
LINE_SECONDS = 10.0  # though one more often than this where epochs are long
REFRESH_SECONDS = 0.1  # a step takes less than updating the bar
BAR_WIDTHS, TIME_WIDTH = (4, 24), len("123:45:00")


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
        if sys.stderr.isatty() and not console.is_dumb_terminal and not quiet:
            self._blocks = BarColumn()
            columns = (
                TextColumn("epoch"),
                MofNCompleteColumn(),
                self._blocks,
                TextColumn("{task.description}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=console, refresh_per_second=1 / REFRESH_SECONDS)
            self._task = self._bar.add_task(self._fit([]), total=epochs)

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
            scores = [f"{part} {value:.4f}" for part, value in reversed(firsts.items()) if part != "test"]
            loss, speed = f"loss {brief(record.scores['train'].loss)}", f"{record.examples_per_second:,.0f} examples/s"
            self._bar.update(self._task, completed=record.epoch, description=self._fit([*scores, loss], speed))
        elif not self._quiet and (self._due(record) or not record.complete):
            self._shown = time.monotonic()
            say(line)

    def _fit(self, texts: list[str], last: str = "") -> str:
        """Return in a line what fits of some texts, the first ones before all, and make the bar as wide as is left.

        The last one is there only where the bar is as wide as it can be.
        """
        room = Console(stderr=True).width - len(f"epoch {self._epochs}/{self._epochs}") - TIME_WIDTH - 3
        shown = []
        for text, beside in (*((text, BAR_WIDTHS[0]) for text in texts), (last, BAR_WIDTHS[-1])):
            if len(text) + 1 + beside <= room:
                shown.append(text)
                room -= len(text) + 1
        self._blocks.bar_width = max(1, min(BAR_WIDTHS[-1], room))
        return " ".join(shown)

    def _due(self, record: Record) -> bool:
        regular = record.epoch in {1, self._epochs} or record.epoch % self._stride == 0
        return regular or time.monotonic() - self._shown > LINE_SECONDS
