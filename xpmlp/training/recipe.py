"""How to train."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from xpmlp.common.errors import InputError
from xpmlp.common.shown import line
from xpmlp.common.validation import check_choice, check_number
from xpmlp.nn.members import PerMember, check_own
from xpmlp.nn.network import MODES
from xpmlp.nn.optimizers import Adam
from xpmlp.nn.regularization import ElasticNet
from xpmlp.nn.schedules import Constant

if TYPE_CHECKING:
    from xpmlp.nn.optimizers import Optimizer
    from xpmlp.nn.schedules import Schedule

MAX_THREADS = 1024  # more than a BLAS can have


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes
    ----------
    optimizer : Optimizer
        The update rule.
    schedule : Schedule
        Its learning rate at each step.
    penalty : ElasticNet
        On the weights.
    mode : {"matrix", "loop"}
        All rows of a minibatch at once, or row by row with the gradients averaged: the same gradients.
    batch_size : int
        Examples of a minibatch; the last of an epoch is smaller where this does not divide their number.
    epochs : int
        Passes over the examples, each in an order of its own.
    seed : int or PerMember
        Of these orders and of dropout's masks: the same ones on every backend.
    penalised : bool
        Whether the loss that is summed over an epoch has the penalty in it, as scikit-learn's has.
    patience : int, optional
        End after so many epochs without a better loss on the set "validation", which `Record.best` then tells of; by
        default, only after all epochs. A loss that is no finite number is never the better one: where there is no
        other, the last weights are kept.
    min_delta : float
        By how much more than this a better loss is lower than the best one before.
    threads : int, optional
        That products take on a CPU; by default all, or fewer where that is faster beside other programs.

    Raises
    ------
    InputError
        For a value out of bounds.
    """

    OWN: ClassVar = ("optimizer", "schedule", "penalty", "seed")

    optimizer: Optimizer = field(default_factory=Adam)
    schedule: Schedule = Constant(1e-3)  # noqa: RUF009 - it is immutable
    penalty: ElasticNet = field(default_factory=ElasticNet)
    mode: str = "matrix"
    batch_size: int = 64
    epochs: int = 20
    seed: int | PerMember = 0
    penalised: bool = False
    patience: int | None = None
    min_delta: float = 0.0
    threads: int | None = None

    def __repr__(self) -> str:
        return line(self, "optimizer", "schedule", "batch_size", "epochs", "seed")

    def __post_init__(self) -> None:
        if not (hasattr(self.optimizer, "init") and hasattr(self.optimizer, "update")):
            raise InputError(f"optimizer is {self.optimizer!r}, but must be an update rule, such as Adam().")
        if not callable(self.schedule):
            raise InputError(f"schedule is {self.schedule!r}, but must be a schedule, such as Constant(3e-3).")
        check_choice("mode", self.mode, MODES)
        check_number("batch size", self.batch_size, at_least=1, integer=True)
        check_number("epochs", self.epochs, at_least=1, integer=True)
        check_own("seed", self.seed, at_least=0, integer=True)
        if self.patience is not None:
            check_number("patience", self.patience, at_least=1, integer=True)
        check_number("min_delta", self.min_delta, at_least=0)
        if self.threads is not None:
            check_number("threads", self.threads, at_least=1, at_most=MAX_THREADS, integer=True)

    def is_over(self, epoch: int, best_epoch: int | None) -> bool:
        """Whether no epoch follows this one: it is the last, or the best one, if any, is too long ago."""
        return epoch >= self.epochs or (self.patience is not None and epoch - (best_epoch or 0) >= self.patience)


EPOCHS, MIN_STEPS = 30, 1500  # of a training, where its length is left open
MIN_STEPS_OF_CLASSES = 500  # for a table: of few rows, probabilities are soon too sure, and amounts are not


def default_epochs(n: int, batch_size: int, least: int = MIN_STEPS) -> int:
    """Return 30 epochs, or as many as it takes for at least so many steps with `n` examples."""
    return max(EPOCHS, -(-least // steps_per_epoch(n, batch_size)))


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Return the number of minibatches of `n` examples, the smaller last one included (3.1.6)."""
    return -(-n // min(batch_size, n))
