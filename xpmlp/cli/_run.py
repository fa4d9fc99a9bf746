"""A training in a run folder: begun or taken up, written down epoch by epoch, saved, and how to go on with it."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from xpmlp.cli._report import check_learnt, choice, headline, line_of, point, summarise
from xpmlp.cli._terminal import INTERRUPTED, say, stopping_on_interrupt, warn
from xpmlp.common.errors import DivergenceError, InputError, OutOfMemoryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.training import Record

__all__ = ["Checkpoints", "accompany", "begin", "run", "telling_how_to_go_on"]


def begin(
    held: ExitStack, experiment: Experiment, folder: RunFolder, records: list[Record], *, new: bool, overwrite: bool
) -> Record | None:
    """Take the folder, as long as `held` holds it, for a new run or for one that goes on."""
    held.enter_context(folder.locked())
    if not new:
        return _take_up(experiment, folder, records)
    folder.check_free(overwrite=overwrite)  # again: another run may have begun there
    folder.start(experiment)
    return None


def _take_up(experiment: Experiment, folder: RunFolder, records: list[Record]) -> Record:
    """Find where an interrupted run goes on, and the records before; the last one with its weights.

    They are what is to be saved where no epoch is left, or the next one does not end well.
    """
    from xpmlp.nn.network import copy_layers

    checkpoint, passed_over = folder.resume(experiment)
    if passed_over:
        warn(f"{passed_over} The checkpoint before it is taken.")
    *before, last = checkpoint.records

    own = partial(copy_layers, experiment.backend)
    best = last.best and replace(last.best, layers=own(last.best.layers))
    records += [*before, replace(last, layers=own(last.layers), state=None, best=best)]
    return last


def run(
    experiment: Experiment,
    folder: RunFolder,
    records: list[Record],
    resumption: Record | None,
    checkpoints: Checkpoints,
    *,
    quiet: bool,
) -> int:
    """Train, save what was learnt and say how it ended: return the exit code."""
    failure: DivergenceError | OutOfMemoryError | None = None
    try:
        _follow(experiment, folder, records, resumption, checkpoints, quiet=quiet)
    except (DivergenceError, OutOfMemoryError) as error:
        failure = error
    except KeyboardInterrupt:
        _say_how_to_go_on(folder)
        raise
    except InputError:  # a full disk, or data on it that cannot be read
        with suppress(InputError):
            checkpoints.write_last(records)
        raise
    done = not failure and records[-1].complete and experiment.recipe.is_over(len(records), records[-1].best_epoch)
    _keep(experiment, folder, records, checkpoints, failure, done=done)
    if not quiet:
        summarise(experiment, folder, records)
    if failure:
        raise failure
    if not done:
        say(f"Interrupted {point(records[-1])}; what was learnt so far is saved.")
        _say_how_to_go_on(folder)
        return INTERRUPTED
    check_learnt(experiment, records)
    return 0


def _keep(
    experiment: Experiment,
    folder: RunFolder,
    records: list[Record],
    checkpoints: Checkpoints,
    failure: Exception | None,
    *,
    done: bool,
) -> None:
    """Save what was learnt, or else a checkpoint of it, and write down how the run ended."""
    try:
        if not done:
            checkpoints.write_last(records)
        _save(experiment, folder, records)
    except InputError as error:
        with suppress(InputError):
            checkpoints.write_last(records)
        raise InputError(f"{failure} And {error}" if failure else str(error)) from error
    if failure:
        with suppress(InputError):  # the failure itself is what is told
            folder.write_log(f"failed: {failure}")
    if records and records[-1].best:
        folder.write_log(f"weights {choice(records[-1].best)}")
    if done:
        folder.finish()


@contextmanager
def telling_how_to_go_on(folder: RunFolder) -> Iterator[None]:
    """Say after an error what is left to do once its cause is mended."""
    try:
        yield
    except InputError as error:
        if not folder.checkpoint.exists():
            raise
        raise InputError(f"{error} Once that is mended, go on with `xpmlp train --resume {folder.path}`.") from error


def _say_how_to_go_on(folder: RunFolder) -> None:
    if folder.checkpoint.exists():
        say(f"To go on: xpmlp train --resume {folder.path}")
    else:
        say("There is no checkpoint to go on from: one is written at the end of an epoch.")


def accompany(experiment: Experiment, resumption: Record | None) -> None:
    """Train as one of the ranks that write and say nothing."""
    with stopping_on_interrupt(quiet=True) as should_stop:
        for _ in experiment.records(should_stop, resume=resumption):
            pass


class Checkpoints:
    """Writes checkpoints: after every so many whole epochs, but no more often than so many seconds, or never for 0."""

    def __init__(self, experiment: Experiment, folder: RunFolder, every: int, seconds: float) -> None:
        self._experiment, self._folder, self._every, self._seconds = experiment, folder, every, seconds
        self._ended, self._epoch = time.monotonic(), 0

    def write_if_due(self, records: list[Record]) -> None:
        """Write one after the last record where it is time for it."""
        last, passed = records[-1], time.monotonic() - self._ended
        if self._every and last.complete and not last.epoch % self._every and passed >= self._seconds:
            self._write(records)

    def write_last(self, records: list[Record]) -> None:
        """Write one after the last whole epoch, at the end of a run that is not done."""
        whole = [record for record in records if record.complete]
        if self._every and whole and whole[-1].epoch > self._epoch and whole[-1].state is not None:
            self._write(whole)

    def _write(self, records: list[Record]) -> None:
        self._folder.save_checkpoint(self._experiment, records)
        self._ended, self._epoch = time.monotonic(), records[-1].epoch


def _follow(
    experiment: Experiment,
    folder: RunFolder,
    records: list[Record],
    resumption: Record | None,
    checkpoints: Checkpoints,
    *,
    quiet: bool,
) -> None:
    """Train, and write each epoch down as it ends."""
    n, epochs = experiment.sets["train"][0].shape[0], experiment.recipe.epochs
    folder.write_log(headline(experiment))
    with stopping_on_interrupt() as should_stop, ExitStack() as showing:
        from xpmlp.cli._progress import TrainingProgress  # here, as a Ctrl-C that interrupts an import can be lost

        if resumption is not None:
            say(f"Going on after epoch {resumption.epoch} of {epochs}.")
        progress = showing.enter_context(TrainingProgress(epochs, n, quiet=quiet))
        for record in experiment.records(should_stop, progress.advance, resumption):
            if records and record.complete:  # then its copy of the weights is enough
                records[-1] = records[-1].without_arrays()
            records.append(record)
            checkpoints.write_if_due(records)
            folder.add(record)
            line = line_of(record, epochs)
            folder.write_log(line)
            progress.show(record, line)


def _save(experiment: Experiment, folder: RunFolder, records: list[Record]) -> None:
    if not records:
        return
    from xpmlp.plots import curves_figure, save_figure

    folder.save(experiment.trained(records[-1].selected.layers))
    save_figure(curves_figure(records, headline(experiment)), folder.curves)
