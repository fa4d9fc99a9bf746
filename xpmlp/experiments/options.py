"""All that decides what a run computes, as plain values with their defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from xpmlp.common.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_RATES", "DEFAULT_SCHEDULES", "Options", "with_tuples", "written"]

DEFAULT_RATES = {"sgd": 0.1, "adam": 0.003, "adamw": 0.003}
DEFAULT_SCHEDULES = {"sgd": "constant", "adam": "cosine", "adamw": "cosine"}


@dataclass(frozen=True)
class Options:
    """All that decides what a run computes, as `xpmlp train` takes it and `config.json` keeps it.

    Where a tuple is kept, a list may be given, and a lone value for a tuple of one: ``hidden=64``.

    Attributes
    ----------
    dataset : str
        A known name, or the path of a .npz or .csv file, or of data that are read from disk by rows.
    target, data_dir : str, optional
        As for `load_dataset`.
    validation, test : float
        The shares that are held out, as for `split`.
    scaling : str
        "auto" (what suits the data), "none", "range" or "standard", as for `Scaling.fit`.
    hidden : tuple of int
        Units of each hidden layer.
    activation : tuple of str
        One for all hidden layers, or one for each.
    dropout : tuple of float
        The share of the hidden units that is dropped in training; one for all hidden layers, or one for each.
    input_dropout : float
        The share of the inputs.
    init : str
        A name from `INITIALIZERS`.
    l1, l2 : tuple of float
        One strength for all layers, or one for each.
    optimizer : str
        A name from `OPTIMIZERS`.
    learning_rate : float, optional
        The highest rate; by default 0.003, and 0.1 for sgd.
    schedule : str, optional
        A name from `SCHEDULES`; by default cosine, and constant for sgd.
    momentum, weight_decay : float, optional
        Options of sgd and adamw.
    nesterov : bool
        Option of sgd.
    mode : {"matrix", "loop"}
        All rows of a minibatch at once, or row by row.
    epochs : int, optional
        Passes over the examples; by default 30, and more for few examples: enough for 1,500 steps.
    patience : int, optional
        End after so many epochs without a better loss on the validation part, and keep the best epoch's weights.
    min_delta : float, optional
        By how much more than this a better loss is lower; by default 0.
    batch_size, seed : int
        As for `Recipe`; the seed is also that of the split and of the initial weights.
    backend, device, dtype, precision : str
        As for `get_backend`.
    graph : bool
        Likewise, its `graphs`.
    """

    dataset: str = "digits"
    target: str | None = None
    data_dir: str | None = None
    validation: float = 0.1
    test: float = 0.2
    scaling: str = "auto"
    hidden: tuple[int, ...] = (128,)
    activation: tuple[str, ...] = ("relu",)
    dropout: tuple[float, ...] = (0.0,)
    input_dropout: float = 0.0
    init: str = "he_uniform"
    l1: tuple[float, ...] = (0.0,)
    l2: tuple[float, ...] = (0.0,)
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float | None = None
    schedule: str | None = None
    mode: str = "matrix"
    epochs: int | None = None
    patience: int | None = None
    min_delta: float | None = None
    batch_size: int = 64
    seed: int = 0
    backend: str = "numpy"
    device: str | None = None
    dtype: str = "float32"
    precision: str = "highest"
    graph: bool = True

    def __post_init__(self) -> None:
        for name in ("hidden", "activation", "dropout", "l1", "l2"):
            value = getattr(self, name)
            object.__setattr__(self, name, tuple(value) if isinstance(value, list | tuple) else (value,))

    @property
    def highest_rate(self) -> float:
        """The learning rate given, or the optimiser's own."""
        return DEFAULT_RATES.get(self.optimizer, 0.0) if self.learning_rate is None else self.learning_rate

    @property
    def chosen_schedule(self) -> str:
        """The schedule given, or the optimiser's own."""
        return DEFAULT_SCHEDULES.get(self.optimizer, "constant") if self.schedule is None else self.schedule

    def to_json(self) -> dict[str, Any]:
        """Return plain values, learning rate and schedule resolved."""
        return asdict(self) | {"learning_rate": self.highest_rate, "schedule": self.chosen_schedule}

    def to_arguments(self) -> list[str]:
        """Return what `xpmlp train` is given to make these options: the data, and what is not by default."""
        arguments = [self.dataset]
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            flag = "--no-graph" if field.name == "graph" else f"--{field.name.replace('_', '-')}"
            if value != field.default:
                arguments += [flag] if isinstance(value, bool) else [flag, written(value)]
        return arguments

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Options:
        """Build options from what `to_json` gave.

        Raises
        ------
        InputError
            For names that are no options.
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(values) - known:
            raise InputError(f"unknown options: {', '.join(sorted(unknown))}.")
        return cls(**with_tuples(values))


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were before JSON made lists of their tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def written(value: Any) -> str:
    """Write the value of an option as a command line has it: "512,512" for (512, 512)."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
