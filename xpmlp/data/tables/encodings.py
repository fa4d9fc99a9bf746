"""How one column of a table becomes features: what is learnt of it from the training part, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from xpmlp.common.errors import InputError
from xpmlp.common.validation import check_choice, check_number
from xpmlp.common.wording import counted
from xpmlp.data.tables.categories import CategoryEncoding, TargetEncoding, fit_categories
from xpmlp.data.tables.dates import check_date_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xpmlp.data.tables.table import Column

SCALINGS = ("standard", "robust", "range", "none")
CLIP = 3.0  # what clipped features stay within
MAX_SCALED = 1e100  # beyond, squares overflow, and clipped features are CLIP
DAY = 86_400_000_000  # microseconds
DATE_PARTS = ("year", "month", "weekday", "hour", "days")
REASONS = {
    "text": "text that is no category",
    "identifier": "each row has its own value",
    "constant": "all rows have the same value",
}


@dataclass(frozen=True)
class Part:
    """A number taken from a column: gaps become `fill`, and then x becomes (x - center) * factor."""

    name: str  # "" for the value itself, or one of DATE_PARTS
    fill: float
    center: float
    factor: float

    def __post_init__(self) -> None:
        check_choice("the part of a column", self.name, ("", *DATE_PARTS))
        check_number("fill", self.fill)
        check_number("center", self.center)
        check_number("factor", self.factor, above=0)


@dataclass(frozen=True)
class NumberEncoding:
    """A column of numbers, truth values or dates: its parts, scaled, and a mark for its gaps.

    Attributes
    ----------
    name, kind : str
        Of the column.
    parts : tuple of Part
        Those that differ among the training examples. Of a date: year, month, weekday (Monday is 0), hour, and days
        since 1970, with a fraction.
    clip : bool
        Whether a scaled part z becomes z / sqrt(1 + (z / 3)^2), as in RealMLP (Holzmüller, Grinsztajn and Steinwart,
        2024, "Better by Default").
    gap : bool
        Whether there is a feature that is 1 for a gap: where the training part has gaps.
    date_format : str
        How dates are written in text, "ISO" or as `datetime.strptime` has it; "" where that is not known.
    """

    name: str
    kind: str
    parts: tuple[Part, ...]
    clip: bool
    gap: bool
    date_format: str = ""

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("number", "whole number", "truth value", "date"))
        names = [part.name for part in self.parts]
        if len(set(names)) < len(names) or any((name != "") != (self.kind == "date") for name in names):
            raise InputError(f"column {self.name!r} of kind {self.kind!r} cannot have the parts {names}.")
        if self.date_format:
            check_choice("the kind of a column with a format of dates", self.kind, ("date",))
            check_date_format(self.date_format)

    @classmethod
    def fit(cls, column: Column, scaling: str) -> NumberEncoding:
        """Learn the parts, and whether there are gaps."""
        scaling = "none" if column.kind == "truth value" else scaling
        present = ~column.missing
        values = ((name, x[present]) for name, x in _parts_of(column).items() if present.any())
        parts = tuple(_fit_part(column.name, name, x, scaling) for name, x in values if x.min() < x.max())
        gap = bool(0 < present.sum() < len(column))
        date_format = column.date_formats[0] if column.date_formats else ""
        return cls(column.name, column.kind, parts, clip=scaling == "robust", gap=gap, date_format=date_format)

    @property
    def features(self) -> list[str]:
        """The names of the features."""
        return [f"{self.name} {part.name}".rstrip() for part in self.parts] + [f"{self.name} missing"] * self.gap

    @property
    def became(self) -> str:
        """What became of the column, in words."""
        of_date = ", ".join(part.name for part in self.parts)
        how = {"date": of_date, "truth value": "0 and 1"}.get(self.kind, "a number") if self.parts else ""
        marked = "gaps filled and marked" if self.parts else "gaps marked: its values are the same"
        return "; ".join(filter(None, [how, marked if self.gap else ""]))

    def apply(self, column: Column) -> np.ndarray:
        """Return the features of a column, (n, k), float64."""
        features, values = np.empty((len(column), len(self.features))), _parts_of(column)
        features[:, len(self.parts) :] = column.missing[:, None]
        for position, part in enumerate(self.parts):
            z = (np.where(column.missing, part.fill, values[part.name]) - part.center) * part.factor
            features[:, position] = _clipped(z) if self.clip else z
        return features

    def unseen(self, column: Column) -> str:
        """Say which gaps there are where training had none; "" for none."""
        if self.gap or not (gaps := int(column.missing.sum())):
            return ""
        fill = "the medians of its parts" if self.kind == "date" else f"{self.parts[0].fill:g}"
        return gaps_filled(gaps, fill)


@dataclass(frozen=True)
class LeftOut:
    """A column that becomes no feature."""

    name: str
    kind: str
    reason: str

    @property
    def features(self) -> list[str]:
        """None."""
        return []

    @property
    def became(self) -> str:
        """That it was left out, and why."""
        return f"left out: {self.reason}"


Encoding: TypeAlias = NumberEncoding | CategoryEncoding | TargetEncoding | LeftOut


def fit_encoding(column: Column, scaling: str, targets: np.ndarray | None = None) -> Encoding:
    """Learn how a column becomes features, or why it becomes none."""
    if column.kind in REASONS:
        return LeftOut(column.name, column.kind, REASONS[column.kind])
    is_category = column.kind == "category"
    encoding = fit_categories(column, targets) if is_category else NumberEncoding.fit(column, scaling)
    if encoding.features:
        return encoding
    return LeftOut(column.name, column.kind, "all rows of the training part have the same value")


def gaps_filled(n: int, fill: str) -> str:
    """Say how many gaps there are where training had none, and what they are filled by."""
    return f"{counted(n, 'gap')}, where training had none: filled by {fill}"


def encoding_from_json(values: Mapping[str, Any]) -> Encoding:
    """Build an encoding from plain values, as `dataclasses.asdict` gives them.

    Raises
    ------
    InputError, TypeError, LookupError
        For values that describe none.
    """
    for name, kind in (
        ("name", str),
        ("kind", str),
        ("reason", str),
        ("clip", bool),
        ("gap", bool),
        ("date_format", str),
    ):
        if not isinstance(values.get(name, kind()), kind):
            raise InputError(f"{name} of a column is {values[name]!r}, but must be {kind.__name__}.")
    if "reason" in values:
        return LeftOut(**values)
    plain: dict[str, Any] = {name: tuple(each) if isinstance(each, list) else each for name, each in values.items()}
    if "own" in values:
        return CategoryEncoding(**plain)
    if "means" in values:
        return TargetEncoding(**plain | {"means": tuple(map(tuple, values["means"]))})
    return NumberEncoding(**plain | {"parts": tuple(Part(**part) for part in values["parts"])})


def date_parts(dates: np.ndarray) -> dict[str, np.ndarray]:
    """Return the parts of dates, (n,), datetime64, as float64, with NaN for gaps; `NumberEncoding` says which."""
    years, months, microseconds = (dates.astype(f"M8[{unit}]").astype(np.int64) for unit in ("Y", "M", "us"))
    days = microseconds / DAY
    weekday = np.floor(days + 3) % 7  # 1970 began on a Thursday
    values = (years + 1970, months % 12 + 1, weekday, days % 1 * 24, days)
    gaps = np.isnat(dates)
    return {name: np.where(gaps, np.nan, value) for name, value in zip(DATE_PARTS, values, strict=True)}


def _parts_of(column: Column) -> dict[str, np.ndarray]:
    if column.kind == "date":
        return date_parts(column.values)
    if (infinite := np.isinf(column.values)).any():
        count = counted(int(infinite.sum()), "infinite value")  # not where: the rows may have been drawn
        raise InputError(f"column {column.name!r} holds {count}: remove or replace such values.")
    return {"": column.values}


def _fit_part(column: str, name: str, x: np.ndarray, scaling: str) -> Part:
    """Learn the scaling of a part, (n,), without gaps, that differs among the examples."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        median, half_range = np.median(x), (x.max() - x.min()) / 2
        if scaling == "robust":
            middle = np.subtract(*np.quantile(x, (0.75, 0.25)))
            center, factor = median, 1.0 / (middle or half_range)
        elif scaling == "standard":
            center, factor = x.mean(), 1.0 / x.std()
        else:
            center, factor = 0.0, 1.0 / np.abs(x).max() if scaling == "range" else 1.0
    if not (np.isfinite(center) and 0 < factor < np.inf):
        raise InputError(
            f"column {column!r} cannot be scaled: its values, {x.min():g} to {x.max():g}, are too far apart or close."
        )
    return Part(name, float(median), float(center), float(factor))


def _clipped(z: np.ndarray) -> np.ndarray:
    z = np.clip(z, -MAX_SCALED, MAX_SCALED)
    clipped: np.ndarray = z / np.sqrt(1.0 + (z / CLIP) ** 2)
    return clipped
