"""All that decides what a run computes, as plain values with their defaults, and how the command line offers them.

It imports neither NumPy nor typer, so that ``xpmlp --help`` answers at once.
"""

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from inspect import formatannotation
from os import PathLike, fspath
from textwrap import fill
from typing import Any, Self, get_args, get_origin

from xpmlp.common.errors import InputError
from xpmlp.common.shown import Content, Shown, line, written

DEFAULT_RATES = {"sgd": 0.1, "adam": 0.003, "adamw": 0.003}
DEFAULT_SCHEDULES = {"sgd": "constant", "adam": "cosine", "adamw": "cosine"}
TABLE = "How to read a table"  # a panel of the help, as are these
DATA, NETWORK, TRAINING, PLACE = "Data", "Network", "How to train", "Where to compute"  # panels of the help
EACH = "one for all layers, or one for each"
TABS = ("tab", "\\t")  # what may be written for that character
EARLIER_NAMES = {"graph": "graphs"}  # of options, in the files of older runs
EARLIER_VALUES = {"task": "classification"}  # of options that these lack, where they are not by default


def _option(default: Any, panel: str | None, text: str, shown: str = "", **more: Any) -> Any:
    """Return a field whose metadata are what `typer.Option` is given: `shown` stands for the default in the help."""
    about = {"rich_help_panel": panel, "help": text, "show_default": shown or not isinstance(default, bool)}
    return field(default=default, metadata=about | more)


@dataclass(frozen=True)
class Options(Shown):
    """All that decides what a run computes, as `xpmlp train` takes it and `config.json` keeps it.

    A list may be given for a tuple, and a lone value for a tuple of one: ``hidden=64``. An option that is None is
    decided with the optimizer or the data at hand.
    """

    dataset: str = _option(
        "digits",
        None,
        "digits, circles, fashion-mnist, or your own: a table (.csv, .tsv, .parquet, .feather; - for standard input) "
        "or an .npz file (X, y); or, read from disk while training, a folder of X.npy and y.npy, an .h5 file or a "
        ".zarr group.",
        metavar="DATASET",
    )
    target: str | None = _option(
        None, DATA, "The column to predict in a table: its name, or its number, from 1.", "the last one"
    )
    task: str = _option("auto", DATA, "classification, regression, or auto: what the target's values say.")
    data_dir: str | None = _option(
        None, DATA, "Where Fashion-MNIST is: a folder that holds fashion-mnist/.", "$XPMLP_DATA, or a download"
    )
    validation: float | None = _option(
        None,
        DATA,
        "Share of the examples outside the test set, held out to watch training.",
        "0.1; none of a table without --patience",
    )
    test: float = _option(0.2, DATA, "Share held out for the final score, where the data bring no test set.")
    validation_file: str | None = _option(None, DATA, "A file with the validation part, as DATASET.", "a share")
    test_file: str | None = _option(None, DATA, "A file with the test part, as DATASET.", "a share")
    split: str = _option(
        "random",
        DATA,
        "random; or last: rows are in the order of time, and the last are the test part, those before for validation.",
    )
    group: str | None = _option(
        None, DATA, "The column of a table by which rows belong together, such as a patient's: it is no feature."
    )
    scaling: str = _option(
        "auto",
        DATA,
        "none, range (to 0..1), standard, robust (tables with texts or gaps); auto: what suits the data.",
    )
    header: bool | None = _option(None, TABLE, "Whether the first line is a header.", "found in the file")
    separator: str | None = _option(None, TABLE, "What separates columns: ';' or tab.", "found in the file")
    decimal: str | None = _option(None, TABLE, "What stands before decimals: . or ,", "found in the file")
    encoding: str = _option("utf-8", TABLE, "The encoding, such as latin-1.")
    drop: tuple[str, ...] = _option((), TABLE, "Columns to leave out: id,name.", "none")
    missing: tuple[str, ...] = _option(
        (), TABLE, "What stands for a missing value, such as -99 or -,none.", "nothing, NA, NaN, null or ?"
    )
    kinds: tuple[str, ...] = _option(
        (),
        TABLE,
        "What columns hold: age=category,zip=category; number, whole number, truth value, category, date (or with its "
        "format: date:%d/%m/%Y), text, identifier or constant.",
        "found in the file",
    )
    hidden: tuple[int, ...] = _option((128,), NETWORK, "Units of each hidden layer: 50, or 512,512.")
    activation: tuple[str, ...] = _option(
        ("relu",),
        NETWORK,
        f"identity, relu, leaky_relu, elu, tanh, logistic, softplus, silu or gelu, or your own: module:name; {EACH}.",
    )
    members: int = _option(
        1, NETWORK, "Networks of an ensemble, which differ in their random draws and predict their mean."
    )
    pack: int = _option(
        0,
        NETWORK,
        "Networks of hyperparameters that are drawn, trained at once: those that predict best together are kept.",
        "none",
    )
    dropout: tuple[float, ...] = _option((0.0,), NETWORK, f"Share of the hidden units dropped in training; {EACH}.")
    input_dropout: float = _option(0.0, NETWORK, "Share of the inputs dropped in training.")
    frequencies: int = _option(
        0, NETWORK, "Cosines of each feature beside it, whose frequencies are learnt; of a table, of its numbers alone."
    )
    frequency_scale: float = _option(
        1.0, NETWORK, "Standard deviation of the frequencies at the start: the larger, the finer."
    )
    init: str = _option(
        "he_uniform", NETWORK, "Initial weights: he_uniform, he_normal, glorot_uniform, glorot_normal, report."
    )
    l1: tuple[float, ...] = _option((0.0,), NETWORK, f"Strength of the penalty on absolute weights; {EACH}.")
    l2: tuple[float, ...] = _option((0.0,), NETWORK, f"Strength of the penalty on squared weights; {EACH}.")
    optimizer: str | None = _option(None, TRAINING, "sgd, adam or adamw.", "adam; adamw for a table")
    learning_rate: float | None = _option(None, TRAINING, "The highest learning rate.", "0.003; 0.1 for sgd")
    momentum: float | None = _option(None, TRAINING, "Momentum of sgd, 0 to 1.", "0")
    nesterov: bool = _option(False, TRAINING, "Nesterov's momentum, for sgd.")
    weight_decay: float | None = _option(
        None, TRAINING, "Weight decay of adamw.", "0.01; for a table 0.5, less for many steps"
    )
    schedule: str | None = _option(
        None,
        TRAINING,
        "constant; step: a tenth after each third; cosine: 5 % warm-up, then down to 0; or your own, which gives the "
        "rates themselves: module:name.",
        "cosine; constant for sgd",
    )
    loss: str = _option(
        "auto",
        TRAINING,
        "softmax for classes; squared_error, absolute_error, huber, quantile, poisson or gaussian (a variance too) for "
        "amounts; huber:1.35 and quantile:0.9 set their number; or your own: module:name; auto: softmax or "
        "squared_error.",
    )
    class_weight: str = _option(
        "none", TRAINING, "balanced: examples of a class count the more in training the fewer there are; or none."
    )
    mode: str = _option("matrix", TRAINING, "matrix: a minibatch at once; loop: row by row, the same gradients.")
    epochs: int | None = _option(None, TRAINING, "Passes over the training examples.", "30; more for few examples")
    patience: int | None = _option(
        None,
        TRAINING,
        "Stop after so many epochs without a better validation loss, and keep the best epoch's weights.",
        "all epochs",
    )
    min_delta: float | None = _option(None, TRAINING, "A better validation loss is lower by more than this.", "0")
    batch_size: int = _option(64, TRAINING, "Examples of a minibatch.")
    seed: int = _option(0, TRAINING, "Seed of the split, the initial weights, dropout and the order of examples.")
    backend: str = _option(
        "numpy",
        PLACE,
        "Array library: numpy, cupy, torch, jax, mlx, array_api_strict, or any other by its import name; auto takes "
        "CuPy where a GPU is usable.",
    )
    device: str | None = _option(None, PLACE, "A device of the backend: cpu, cuda:0, mps; see `xpmlp info`.")
    dtype: str = _option("float32", PLACE, "float32 or float64.")
    precision: str = _option("highest", PLACE, "Of products in float32: highest, or tf32, faster on NVIDIA GPUs.")
    threads: int | None = _option(
        None, PLACE, "Threads of a CPU that products take.", "all, or fewer where that is faster beside other programs"
    )
    graphs: bool = _option(True, PLACE, "Take steps one by one: no CUDA graphs, no scans of JAX, no tape of NumPy.")

    def __post_init__(self) -> None:
        for option in fields(self):
            given, (kind, several) = getattr(self, option.name), value_type(option)
            values = tuple(given) if several and isinstance(given, list | tuple) else (given,)
            if kind is str:
                values = tuple(fspath(value) if isinstance(value, PathLike) else value for value in values)
                if not all(isinstance(value, str) or (value is option.default is None) for value in values):
                    raise InputError(f"{option.name} is {given!r}, but must be {'strings' if several else 'a string'}.")
            object.__setattr__(self, option.name, values if several else values[0])

    def __repr__(self) -> str:
        return line(self, "dataset")

    def _content(self) -> Content:
        return ("option", "value"), [(option.name, written(getattr(self, option.name))) for option in fields(self)]

    @property
    def is_ensemble(self) -> bool:
        """Whether several networks predict together."""
        return self.members > 1 or self.pack > 0

    @property
    def highest_rate(self) -> float:
        """The learning rate given, or the optimiser's own."""
        return DEFAULT_RATES.get(self.optimizer or "adam", 0.0) if self.learning_rate is None else self.learning_rate

    @property
    def chosen_schedule(self) -> str:
        """The schedule given, or the optimiser's own."""
        return DEFAULT_SCHEDULES.get(self.optimizer or "adam", "constant") if self.schedule is None else self.schedule

    @property
    def has_own_schedule(self) -> bool:
        """Whether the schedule is one of the user's own, "module:name", which gives the rates themselves."""
        return ":" in self.chosen_schedule

    @property
    def reading(self) -> dict[str, Any]:
        """Keywords of `read_table`, where they are given.

        Raises
        ------
        InputError
            For kinds that are not written as column=kind.
        """
        known = {option.name: option.default for option in fields(self) if option.metadata["rich_help_panel"] == TABLE}
        given = {name: getattr(self, name) for name in known if getattr(self, name) != known[name]}
        if "kinds" in given:
            pairs = [text.rpartition("=") for text in self.kinds]
            if not all(name and kind for name, _, kind in pairs):
                raise InputError(f"--kinds is {to_text(self.kinds)!r}, but must be like age=category,zip=category.")
            given["kinds"] = {name: kind for name, _, kind in pairs}
        if self.separator in TABS:
            given["separator"] = "\t"
        return given

    def to_json(self) -> dict[str, Any]:
        """Return plain values, learning rate and schedule resolved."""
        if self.pack:
            return asdict(self)
        rate = self.learning_rate if self.has_own_schedule else self.highest_rate
        return asdict(self) | {"learning_rate": rate, "schedule": self.chosen_schedule}

    def to_arguments(self) -> list[str]:
        """Return what `xpmlp train` is given to make these options: the data, and what is not by default."""
        arguments = [self.dataset]
        for option in fields(self)[1:]:
            value = getattr(self, option.name)
            if value != option.default:
                flag = "--no-header" if option.name == "header" and not value else flag_of(option)
                arguments += [flag] if isinstance(value, bool) else [flag, to_text(value)]
        return arguments

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Build options from what `to_json` returned, in this version or an earlier one.

        Raises
        ------
        InputError
            For names that are no options.
        """
        named = EARLIER_VALUES | {EARLIER_NAMES.get(name, name): value for name, value in values.items()}
        if unknown := set(named) - {option.name for option in fields(cls)}:
            raise InputError(f"unknown options: {', '.join(sorted(unknown))}.")
        return cls(**named)


def value_type(option: Field[Any]) -> tuple[type, bool]:
    """Return the type of an option's value, and whether the option is a tuple of such, one for each layer."""
    kind: Any = option.type
    return (get_args(kind) or (kind,))[0], get_origin(kind) is tuple  # of `float | None`, `tuple[int, ...]`


def flag_of(option: Field[Any]) -> str:
    """Return how the command line names an option: ``--learning-rate``; ``--no-graphs``, which are on by default."""
    return f"--{'no-' if option.default is True else ''}{option.name.replace('_', '-')}"


def to_text(value: Any) -> str:
    """Return the value of an option as the command line has it: "512,512" for (512, 512)."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def settings_text(settings: Mapping[str, Any]) -> str:
    """Return options with their values in a line: "hidden=512,512 learning-rate=0.01"."""
    return " ".join(f"{name.replace('_', '-')}={to_text(value)}" for name, value in settings.items())


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as they were before JSON made lists of their tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def _entry(option: Field[Any]) -> str:
    """Return the lines on an option in the docstring of `Options`."""
    about, shown = option.metadata["help"], option.metadata["show_default"]
    text = f"{about} By default: {shown}." if isinstance(shown, str) else about
    indent = " " * 8
    lines = fill(text, 112, initial_indent=indent, subsequent_indent=indent)
    return f"    {option.name} : {formatannotation(option.type)}\n{lines}\n"


Options.__doc__ = f"""{Options.__doc__}
    Attributes
    ----------
{"".join(map(_entry, fields(Options)))}
    Raises
    ------
    InputError
        For what is no string where one is needed.
    """

CIRCLES = Options("circles", hidden=(2,), init="report", batch_size=10)  # what the report checks the gradients of
