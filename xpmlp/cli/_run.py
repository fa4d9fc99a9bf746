"""A training in a run folder: begun or resumed, written down epoch by epoch, and saved however it ends."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from xpmlp.cli._options import naming_again
from xpmlp.cli._report import check_learnt, choice, epoch_line, point, summarise
from xpmlp.cli._terminal import INTERRUPTED, say, stopping_on_interrupt, warn
from xpmlp.common.errors import DivergenceError, InputError, OutOfMemoryError
from xpmlp.common.wording import counted, loss_label

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from xpmlp.experiments.experiment import Experiment
    from xpmlp.experiments.options import Options
    from xpmlp.experiments.runs import RunFolder
    from xpmlp.training import Record


class Run:
    """A training in a run folder, as the process that writes and speaks has it.

    Checkpoints are written after `every` epochs, but no more often than once in so many `seconds`; 0 epochs for none.
    `logs` are those of other programs that it keeps, by name. The initial weights are those of a `source`, or drawn.
    """

    def __init__(
        self,
        experiment: Experiment,
        folder: RunFolder,
        *,
        every: int,
        seconds: float,
        quiet: bool,
        logs: Sequence[str] = (),
        source: str | None = None,
    ) -> None:
        self.experiment, self.folder, self.quiet = experiment, folder, quiet
        self._logs, self._source = logs, source
        self.records: list[Record] = []  # of all epochs; the last one alone has its weights
        self._every, self._seconds, self._resumed = every, seconds, ""
        self._checkpoint_time, self._checkpoint_epoch = time.monotonic(), 0

    def open(self, held: ExitStack, *, resume: bool, overwrite: bool) -> Record | None:
        """Lock the folder for as long as `held` does; begin a new run in it, or find where to resume the one there."""
        held.enter_context(self.folder.locked())
        if resume:
            return self._resume()
        self.folder.check_free(overwrite=overwrite)  # again: another run may have begun there
        self.folder.start(self.experiment, self._source)
        self.folder.write_log(str(self.experiment))
        return None

    def _resume(self) -> Record | None:
        """Read the last checkpoint, and the records up to it, the last one with its weights; None without checkpoint.

        These are to be saved where no epoch is left, or the next one does not end well.
        """
        from xpmlp.nn.network import copy_layers

        epochs = self.experiment.recipe.epochs
        if is_longer := self.folder.options().epochs != epochs:
            self.folder.extend(epochs)
        records, passed_over = self.folder.resume(self.experiment)
        if passed_over:
            warn(f"{passed_over} The checkpoint before it is taken.")
        if not records:
            self._resumed = "Beginning again, as there is no checkpoint of an epoch."
            self.folder.write_log(f"resumed at the start: {self.experiment}")
            return None
        *before, last = records
        own = partial(copy_layers, self.experiment.backend)
        best = last.best and replace(last.best, layers=own(last.best.layers))
        self.records = [*before, replace(last, layers=own(last.layers), state=None, best=best)]
        more = f" {self._rates_after(last)}" if is_longer else ""
        self._resumed = f"Resuming after epoch {last.epoch} of {epochs}.{more}"
        self.folder.write_log(f"resumed after epoch {last.epoch}: {self.experiment}.{more}")
        return last

    def _rates_after(self, last: Record) -> str:
        """Say what another number of epochs does to the schedule."""
        from xpmlp.training import steps_per_epoch

        experiment, recipe = self.experiment, self.experiment.recipe
        steps = last.epoch * steps_per_epoch(experiment.sets["train"][0].shape[0], recipe.batch_size)
        rate = float(recipe.schedule(experiment.backend.xp, experiment.backend.asarray(steps)))
        if experiment.options.has_own_schedule:
            return f"The learning rate, {last.learning_rate:g} at last, goes on from {rate:g}."
        if experiment.options.chosen_schedule == "constant":
            return f"The learning rate stays {rate:g}."
        return (
            f"The {experiment.options.chosen_schedule} schedule is now that of {recipe.epochs} epochs: the learning "
            f"rate, {last.learning_rate:g} at last, goes on from {rate:g}. A run of {recipe.epochs} epochs from its "
            "start would have had other rates before."
        )

    def train(self, resume: Record | None) -> int:
        """Train, save what was learnt and say how it ended: return the exit code."""
        failure: DivergenceError | OutOfMemoryError | None = None
        try:
            self._follow(resume)
        except (DivergenceError, OutOfMemoryError) as error:
            failure = error
        except KeyboardInterrupt:
            self._say_how_to_resume()
            raise
        except InputError:  # a full disk, or data on it that cannot be read
            self._write_last_checkpoint(quietly=True)
            raise
        records, recipe = self.records, self.experiment.recipe
        done = not failure and records[-1].complete and recipe.is_over(len(records), records[-1].best_epoch)
        self._save(failure, done=done)
        if not self.quiet:
            summarise(self.experiment, self.folder, records)
        if failure:
            raise failure
        if not done:
            say(f"Interrupted {point(records[-1])}; what was learnt so far is saved.")
            self._say_how_to_resume()
            return INTERRUPTED
        check_learnt(self.experiment, records)
        return 0

    def _follow(self, resume: Record | None) -> None:
        """Train, and write each epoch down as it ends."""
        experiment, folder, records = self.experiment, self.folder, self.records
        epochs = experiment.recipe.epochs
        with stopping_on_interrupt() as should_stop, ExitStack() as showing:
            from xpmlp.cli._progress import TrainingProgress  # here, as a Ctrl-C that interrupts an import can be lost
            from xpmlp.experiments.loggers import open_logs

            log = showing.enter_context(open_logs(self._logs, folder, experiment, records))
            if self._resumed:
                say(self._resumed)
            n = experiment.sets["train"][0].shape[0]
            progress = showing.enter_context(TrainingProgress(epochs, n, quiet=self.quiet))
            for record in experiment.records(should_stop, progress.advance, resume):
                if records and record.complete:  # then its copy of the weights is enough
                    records[-1] = records[-1].without_arrays()
                if record.threads and record.threads != (records[-1].threads if records else None):
                    folder.write_log(f"products take {counted(record.threads, 'thread')}")
                records.append(record)
                line = epoch_line(record, epochs)
                folder.write_log(line)  # before the checkpoint, from which the epoch is not done again
                passed = time.monotonic() - self._checkpoint_time
                has_state = record.complete and record.state is not None
                if self._every and has_state and not record.epoch % self._every and passed >= self._seconds:
                    self._write_checkpoint(records)
                folder.add(record)
                log(record)
                progress.show(record, line)

    def _save(self, failure: Exception | None, *, done: bool) -> None:
        """Save what was learnt, or else a checkpoint of it, and write down how the run ended."""
        experiment, folder, records = self.experiment, self.folder, self.records
        try:
            if not done:
                self._write_last_checkpoint()
            if records:
                from xpmlp.plots import curves_figure, save_figure
                from xpmlp.training.packs import PackState

                folder.save(experiment.trained(records[-1].selected.layers))
                if isinstance(state := records[-1].state, PackState):
                    folder.save_settings([experiment.settings[number] for number in state.chosen])
                is_likelihood = loss_label(experiment.model.network.loss.name) == "NLL"
                save_figure(curves_figure(records, str(experiment), is_likelihood=is_likelihood), folder.curves)
        except InputError as error:
            self._write_last_checkpoint(quietly=True)
            raise InputError(f"{failure} And {error}" if failure else str(error)) from error
        if failure:
            with suppress(InputError):  # the failure itself is what is told
                folder.write_log(f"failed: {failure}")
        if records and records[-1].best:
            folder.write_log(f"weights {choice(records[-1].best)}")
        if done:
            self._write_last_checkpoint(quietly=True)  # for more epochs: the run is complete without it
            folder.finish()

    def _write_last_checkpoint(self, *, quietly: bool = False) -> None:
        """Write a checkpoint of the last whole epoch, at the end of a run that is not done."""
        whole = [record for record in self.records if record.complete]
        if self._every and whole and whole[-1].epoch > self._checkpoint_epoch and whole[-1].state is not None:
            with suppress(InputError) if quietly else ExitStack():
                self._write_checkpoint(whole)

    def _write_checkpoint(self, records: list[Record]) -> None:
        self.folder.save_checkpoint(self.experiment, records)
        self._checkpoint_time, self._checkpoint_epoch = time.monotonic(), records[-1].epoch

    def _say_how_to_resume(self) -> None:
        again = "resume" if self.folder.checkpoint.exists() else "begin it again, as no checkpoint was written"
        say(f"To {again}: xpmlp train --resume {self.folder.path}{naming_again(self.experiment.options)}")


def named_folder(out: Path | None, resume: Path | None, *, go_on: bool, overwrite: bool = False) -> Path | None:
    """Return the folder that is named; raise an `InputError` for what cannot be given with ``--continue``."""
    if go_on and (resume or overwrite):
        raise InputError(f"--continue needs no {'--resume' if resume else '--overwrite'}: leave one of them out.")
    if go_on and out is None:
        raise InputError("--continue goes on in the folder that --out names: give --out too.")
    return resume or out


def check_same(asked: Options, kept: Options, place: str) -> None:
    """Refuse options of ``--continue`` that are not those that what goes on was begun with."""
    from xpmlp.experiments.recipes import differences

    if found := differences(asked, kept):
        listed = ", ".join(f"{flag} is {given}, where it was begun with {before}" for flag, given, before in found)
        raise InputError(
            f"--continue goes on in {place} as that was begun, but {listed}: give the same options, or another --out."
        )


def accompany(experiment: Experiment, resume: Record | None) -> None:
    """Train as one of the ranks that write and say nothing."""
    with stopping_on_interrupt(quiet=True) as should_stop:
        for _ in experiment.records(should_stop, resume=resume):
            pass


@contextmanager
def telling_how_to_resume(folder: RunFolder) -> Iterator[None]:
    """Say after an error what is left to do once its cause is mended."""
    try:
        yield
    except InputError as error:
        if not folder.checkpoint.exists():
            raise
        raise InputError(
            f"{error} Once that is mended, resume it with `xpmlp train --resume {folder.path}`."
        ) from error
