"""The columns of a table as inputs of an ONNX graph, and what becomes of them before the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from xpmlp.data.tables.encodings import CLIP, MAX_SCALED, NumberEncoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from xpmlp.data.tables.categories import CategoryEncoding, TargetEncoding
    from xpmlp.data.tables.preparation import TablePreparation
    from xpmlp.models.exports._onnx_graph import Graph

ML, ML_OPSET = "ai.onnx.ml", 2  # of 2019: the operator set with LabelEncoder


def add_preparation(graph: Graph, preparation: TablePreparation) -> str:
    """Add an input for each column, and what `TablePreparation.apply` does to them.

    Returns
    -------
    str
        The name of the features, (n, d), in the dtype of the graph.

    Notes
    -----
    Each input is (n, 1). Categories are strings, "" for a gap. All else is float64, NaN for a gap: numbers, truth
    values as 0 and 1, and dates as days since 1970.
    """
    dtypes = {"category": "object"}
    values = {each.name: graph.input(each.name, dtypes.get(each.kind, "float64")) for each in preparation.used}
    numbers = [each for each in preparation.used if isinstance(each, NumberEncoding)]
    categories = [each for each in preparation.used if not isinstance(each, NumberEncoding)]
    blocks = [_number_features(graph, numbers, values)] if numbers else []
    blocks += [_category_features(graph, each, values[each.name]) for each in categories]
    features = graph.add("Concat", *blocks, axis=1)
    # The numbers of all columns come first, then their marks, then the categories: to the order of training.
    places = [(each.name, position) for each in numbers for position in range(len(each.parts))]
    places += [(each.name, len(each.parts)) for each in numbers if each.gap]
    places += [(each.name, position) for each in categories for position in range(len(each.features))]
    found = {place: at for at, place in enumerate(places)}
    order = [found[each.name, at] for each in preparation.used for at in range(len(each.features))]
    features = graph.add("Gather", features, graph.constant("feature_order", np.array(order)), axis=1)
    return features if graph.dtype == "float64" else graph.cast(features, graph.dtype)


def _category_features(graph: Graph, encoding: CategoryEncoding | TargetEncoding, x: str) -> str:
    """Add the features of a column of strings, (n, k): rows of a table, which a lookup finds."""
    rows = {"": encoding.unseen_row + 1} | {category: row for row, category in enumerate(encoding.categories)}
    found = graph.add(
        "LabelEncoder",
        graph.add("Squeeze", x, graph.constant("second_axis", np.array([1]))),
        domain=ML,
        keys_strings=list(rows),
        values_int64s=list(rows.values()),
        default_int64=encoding.unseen_row,
    )
    return graph.add("Gather", graph.constant(f"features of {encoding.name}", encoding.table), found)


def _number_features(graph: Graph, encodings: Sequence[NumberEncoding], values: dict[str, str]) -> str:
    """Add the parts of all columns of numbers, scaled, and then the marks of their gaps, (n, k)."""
    parts = [part for each in encodings for part in each.parts]
    raw = [x for each in encodings for x in _parts(graph, each, values[each.name])]
    blocks = []
    if parts:
        x = graph.add("Concat", *raw, axis=1)
        fill, center, factor = np.array([(part.fill, part.center, part.factor) for part in parts]).T
        z = graph.add("Where", graph.add("IsNaN", x), graph.constant("fill", fill), x)
        z = graph.add("Sub", z, graph.constant("center", center))
        z = graph.add("Mul", z, graph.constant("factor", factor))
        clip = np.array([each.clip for each in encodings for _ in each.parts])
        blocks = [graph.add("Where", graph.constant("clip", clip), _clipped(graph, z), z)]
    blocks += [graph.cast(graph.add("IsNaN", values[each.name]), "float64") for each in encodings if each.gap]
    return graph.add("Concat", *blocks, axis=1)


def _clipped(graph: Graph, z: str) -> str:
    far = graph.constant("far", np.array(MAX_SCALED))
    z = graph.add("Max", graph.add("Min", z, far), graph.add("Neg", far))
    square = graph.add("Div", z, graph.constant("clip_at", np.array(CLIP)))
    square = graph.add("Mul", square, square)
    return graph.add("Div", z, graph.add("Sqrt", graph.add("Add", square, graph.constant("one", np.array(1.0)))))


def _parts(graph: Graph, encoding: NumberEncoding, x: str) -> list[str]:
    """Add the parts of a column, each (n, 1)."""
    if encoding.kind != "date":
        return [x] * len(encoding.parts)
    parts = _date_parts(graph, x)
    return [parts[part.name] for part in encoding.parts]


def _date_parts(graph: Graph, days: str) -> dict[str, str]:
    """Add what `encodings.date_parts` takes from days since 1970, after Hinnant's ``civil_from_days`` (2014).

    Eras have 400 years, and years begin in March, so that a leap day is the last day of one.
    """

    def number(value: float) -> str:
        return graph.constant(f"date_{value:g}", np.array(float(value)))

    def quotient(x: str, divisor: float) -> str:
        return graph.add("Floor", graph.add("Div", x, number(divisor)))

    def plus(x: str, *terms: tuple[float, str]) -> str:
        for factor, term in terms:
            x = graph.add("Add", x, graph.add("Mul", number(factor), term))
        return x

    one, day = number(1), graph.add("Floor", days)
    z = plus(day, (719468, one))
    era = quotient(z, 146097)
    of_era = plus(z, (-146097, era))
    year = quotient(
        plus(of_era, (-1, quotient(of_era, 1460)), (1, quotient(of_era, 36524)), (-1, quotient(of_era, 146096))), 365
    )
    of_year = plus(of_era, (-365, year), (-1, quotient(year, 4)), (1, quotient(year, 100)))
    month = quotient(plus(number(2), (5, of_year)), 153)  # from 0 for March
    next_year = quotient(month, 10)
    week = plus(day, (3, one))
    return {
        "year": plus(year, (400, era), (1, next_year)),
        "month": plus(month, (3, one), (-12, next_year)),
        "weekday": plus(week, (-7, quotient(week, 7))),
        "hour": graph.add("Mul", plus(days, (-1, day)), number(24)),
        "days": days,
    }
