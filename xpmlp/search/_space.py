"""The space of a search: which options vary, and over what; its candidates, all of them or drawn."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

from numpy.random import RandomState
from scipy.stats import loguniform, randint, uniform
from sklearn.model_selection import ParameterGrid, ParameterSampler

from xpmlp.common.errors import InputError
from xpmlp.common.files import open_file
from xpmlp.common.rng import make_generator
from xpmlp.common.shown import Shown, written
from xpmlp.common.validation import check_choice, check_number
from xpmlp.experiments.options import TABLE, Options, value_type

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from xpmlp.common.shown import Content

    Settings = dict[str, Any]

# What names the data, parts them or places the computation is the same for all trials: so that their scores compare.
SAME = {"dataset", "target", "task", "data_dir", "validation", "test", "seed", "mode", "backend", "device", "graphs"}
SAME |= {"validation_file", "test_file", "split", "group", "threads"}
SAME |= {option.name for option in fields(Options) if option.metadata["rich_help_panel"] == TABLE}
SEARCHABLE = {option.name.replace("_", "-"): option.name for option in fields(Options) if option.name not in SAME}

DEFAULT_SPACE: dict[str, Any] = {
    "hidden": [32, 64, 128, 256, 512],
    "activation": ["relu", "tanh", "gelu"],
    "learning-rate": {"log-uniform": [1e-4, 3e-2]},
    "batch-size": [16, 32, 64, 128, 256],
    "dropout": {"uniform": [0.0, 0.5]},
    "l2": {"log-uniform": [1e-6, 1e-2]},
}

TYPES = {option.name: value_type(option) for option in fields(Options)}
WORDS = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
DIGITS = 3  # of drawn numbers: a command line that repeats a trial can be read
MAX_CANDIDATES = 10_000


@dataclass(frozen=True)
class Dimension:
    """An option that varies.

    Attributes
    ----------
    name : str
        Of the option, as `Options` has it.
    values : list or distribution
        What it may be: all values, or a frozen distribution of SciPy.
    scale : {"choice", "linear", "log"}
        How an axis shows it.
    """

    name: str
    values: Any = field(repr=False)
    scale: str

    def settle(self, value: Any) -> Any:
        """Turn what scikit-learn picked into a value of the option; a drawn fraction is rounded to three digits."""
        if self.scale == "choice":
            return value
        if isinstance(value, Integral):
            return _value(self.name, self.name, int(value))
        low, high = self.values.support()
        return _value(self.name, self.name, float(min(max(float(f"{value:.{DIGITS}g}"), low), high)))


class Space(Shown):
    """The options that a search varies.

    Parameters
    ----------
    table : mapping
        For each option, by its name on the command line ("learning-rate"), a list of values, or a table of one
        distribution: ``{"uniform": [low, high]}``, ``{"log-uniform": [low, high]}``, ``{"integers": [low, high]}``
        (both included) or ``{"choice": [...]}``, which is the list. An option that takes one value for each layer has a
        list for those: ``{"hidden": [50, [512, 512]]}``.
    source : str
        What messages call it: the file it was read from.

    Attributes
    ----------
    table, source
        As given.
    dimensions : list of Dimension
        One for each option, in the table's order.

    Raises
    ------
    InputError
        For names that are no options of `xpmlp train` or stay the same in a search, for values of a wrong type, and for
        lists without values: naming source, option and value.
    """

    def __init__(self, table: Mapping[str, Any], source: str = "the space") -> None:
        self.table, self.source = dict(table), source
        if not table:
            raise InputError(f"{source} names no option to vary.")
        self.dimensions = [self._dimension(key, given) for key, given in table.items()]

    def __repr__(self) -> str:
        return f"Space({written(self.table)}, {self.source!r})"

    def _content(self) -> Content:
        return ("option", "values", "scale"), [
            (name, written(given), dimension.scale)
            for (name, given), dimension in zip(self.table.items(), self.dimensions, strict=True)
        ]

    @classmethod
    def read(cls, path: Path) -> Space:
        """Read a space from a TOML file; raise an `InputError` where it cannot be read, and as above."""
        with open_file(path) as file:
            try:
                table = tomllib.load(file)
            except (OSError, ValueError, RecursionError) as error:
                raise InputError(f"{path} cannot be read as TOML: {error}.") from error
        return cls(table, str(path))

    @property
    def varying(self) -> list[Dimension]:
        """The dimensions with more than one value; all where there is none."""
        several = [d for d in self.dimensions if d.scale != "choice" or len(d.values) > 1]
        return several or self.dimensions

    def grid(self) -> list[Settings]:
        """Return every combination of the values; raise an `InputError` for a distribution, or more than 10,000."""
        for dimension in self.dimensions:
            if dimension.scale != "choice":
                key = dimension.name.replace("_", "-")
                raise InputError(
                    f"{self.source}: {key} has a distribution, which a grid cannot enumerate: give a list of its "
                    "values, or draw with --random."
                )
        combinations = self._combinations()
        check_number(f"the number of combinations of {self.source}", len(combinations), at_most=MAX_CANDIDATES)
        return self._settings(combinations)

    def draw(self, n: int, seed: int) -> list[Settings]:
        """Draw `n` candidates by a seed; where all options have lists, none is drawn twice.

        There are fewer where distributions of whole numbers give the same one again. An `InputError` is raised for
        fewer combinations than are to be drawn, and a negative seed.
        """
        check_number("the number of trials to draw", n, at_least=1, at_most=MAX_CANDIDATES, integer=True)
        if all(dimension.scale == "choice" for dimension in self.dimensions) and len(self._combinations()) < n:
            raise InputError(
                f"{self.source} has {len(self._combinations())} combinations, fewer than the {n} trials to draw: draw "
                "fewer, or search all of them with --grid."
            )
        # scikit-learn takes no Generator, and no seed from 2^32 on.
        draws = RandomState(make_generator(seed, "candidates").bit_generator)
        return self._settings(ParameterSampler({d.name: d.values for d in self.dimensions}, n, random_state=draws))

    def _combinations(self) -> ParameterGrid:
        return ParameterGrid({dimension.name: dimension.values for dimension in self.dimensions})

    def _settings(self, candidates: Iterable[Mapping[str, Any]]) -> list[Settings]:
        """Settle candidates of scikit-learn's, each once."""
        settled = (tuple((d.name, d.settle(found[d.name])) for d in self.dimensions) for found in candidates)
        return [dict(pairs) for pairs in dict.fromkeys(settled)]

    def _dimension(self, key: str, given: Any) -> Dimension:
        where = f"{self.source}: {key}"
        if key.replace("-", "_") in SAME:
            raise InputError(f"{where} is the same for all trials of a search: give it on the command line.")
        check_choice(f"an option of {self.source}", key, SEARCHABLE)
        name = SEARCHABLE[key]
        kind, values = _distribution(where, given)
        if kind == "choice":
            if not values:
                raise InputError(f"{where} has no values: give one at least, or leave it out.")
            return Dimension(name, list(dict.fromkeys(_value(where, name, value) for value in values)), "choice")
        low, high = _bounds(where, name, kind, values)
        if kind == "log-uniform":
            return Dimension(name, loguniform(low, high), "log")
        return Dimension(name, randint(low, high + 1) if kind == "integers" else uniform(low, high - low), "linear")


def _distribution(where: str, given: Any) -> tuple[str, list[Any]]:
    """Read ``{"uniform": [0, 1]}``, or a list, which is a choice."""
    kind, values = next(iter(given.items())) if isinstance(given, Mapping) and len(given) == 1 else ("choice", given)
    if not isinstance(values, list):
        raise InputError(
            f"{where} is {given!r}, but must be a list of values, or a table such as {{ log-uniform = [1e-4, 1e-1] }}."
        )
    check_choice(f"{where}: the distribution", kind, ["uniform", "log-uniform", "integers", "choice"])
    return kind, values


def _bounds(where: str, name: str, kind: str, values: list[Any]) -> tuple[float, float]:
    """Read the two ends of a distribution, which are values of the option; of all but integers, with a fraction."""
    if len(values) != 2:
        raise InputError(f"{where}: {kind} = {values!r} must have two numbers, the lowest and the highest.")
    wanted = int if kind == "integers" else float
    low, high = (_scalar(f"{where}: {kind}", wanted, value) for value in values)
    _value(where, name, low)
    if not low < high or (kind == "log-uniform" and low <= 0):
        above = " above 0" if kind == "log-uniform" else ""
        raise InputError(f"{where}: {kind} = {values!r} must go from a number{above} to a higher one.")
    if wanted is int:
        check_number(f"{where}: the lowest of {kind}", low, at_least=1)
        check_number(f"{where}: the highest of {kind}", high, below=2**31)
    return low, high


def _value(where: str, name: str, given: Any) -> Any:
    """Check the type of an option's value, and return the option's own: a tuple where there may be one per layer."""
    kind, several = TYPES[name]
    if several:
        return tuple(_scalar(where, kind, value) for value in (given if isinstance(given, list) else [given]))
    return _scalar(where, kind, given)


def _scalar(where: str, kind: type, given: Any) -> Any:
    fits = isinstance(given, int | float if kind is float else kind)
    if not fits or (isinstance(given, bool) and kind is not bool):
        raise InputError(f"{where}: {given!r} must be {WORDS[kind]}.")
    return check_number(where, given) if kind is float else given
