"""Features as users hand them over, and their columns by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xpmlp.backends import BACKENDS, backend_of
from xpmlp.common.errors import InputError, XpmlpError
from xpmlp.common.wording import quoted
from xpmlp.data.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence


def features_to_numpy(X: Any, feature_names: Sequence[str] | None = None) -> np.ndarray:
    """Return features as an array of NumPy.

    Parameters
    ----------
    X : array, tensor, frame, Table or nested lists, (n, d)
        An array of any library that is a backend, on any of its devices; a frame of pandas, Polars or another library
        that narwhals knows; a table of numbers; nested lists, or what else has a method ``__array__``.
    feature_names : sequence of str, optional
        The columns to take from a frame or a table, in this order; others are left alone. By default, and where the
        columns have no names, all columns are taken.

    Raises
    ------
    InputError
        For anything else, and for a frame without one of these columns, or with one that does not hold numbers.
    """
    if isinstance(X, np.ndarray):
        return X
    if isinstance(X, Table):
        return _table_to_numpy(X, feature_names)
    from narwhals import from_native  # noqa: PLC0415 - slow to import, and needed for frames alone

    kind = type(X).__name__
    try:
        if any(library.device_of(X) is not None for library in BACKENDS.values()):
            return backend_of(X, "float32").to_numpy(X)
        frame = from_native(X, eager_only=True, pass_through=True)
        if frame is not X:
            return _frame_to_numpy(frame, feature_names)
        if isinstance(X, list | tuple) or hasattr(X, "__array__"):
            return np.asarray(X)
    except XpmlpError:
        raise
    except (RuntimeError, TypeError, ValueError) as error:  # such as rows of several lengths, or a dtype NumPy lacks
        cause = str(error).rstrip(".")
        raise InputError(f"X is {kind}, and cannot be converted to an array of NumPy: {cause}.") from error
    raise InputError(
        f"X is {kind}, but must be an array (n, d) of NumPy, CuPy, torch or JAX, a frame of pandas or Polars, a "
        "Table, or nested lists; a sparse matrix becomes an array with X.toarray()."
    )


def _table_to_numpy(table: Table, wanted: Sequence[str] | None) -> np.ndarray:
    columns = list(table.columns)
    if wanted is not None and table.has_header:
        columns = [columns[position] for position in positions_of(wanted, table.names, table.name)]
    for column in columns:
        if not column.is_numeric:
            raise InputError(f"column {column.name!r} of {table.name} is a {column.kind}, but must hold numbers.")
    return np.column_stack([column.values for column in columns])


def _frame_to_numpy(frame: Any, wanted: Sequence[str] | None) -> np.ndarray:
    import narwhals  # noqa: PLC0415 - as above

    names = frame.columns
    if wanted is not None and all(isinstance(name, str) for name in names):
        frame = frame.select([names[position] for position in positions_of(wanted, names, "X")])
    for name, dtype in frame.schema.items():
        if not (dtype.is_numeric() or dtype == narwhals.Boolean):
            raise InputError(f"column {name!r} of X has dtype {dtype}, but features must be numbers: encode it first.")
    values: np.ndarray = frame.select(narwhals.all().cast(narwhals.Float64)).to_numpy()
    return values


def positions_of(wanted: Sequence[str], names: Sequence[str], what: str) -> list[int]:
    """Return where the features that a model was trained on stand among the columns of other data.

    Raises
    ------
    InputError
        For columns that are not there; `what` has none of them.
    """
    positions = {name: position for position, name in enumerate(names)}
    if missing := [name for name in wanted if name not in positions]:
        raise InputError(
            f"{what} lacks the columns {quoted(missing)}, which the model was trained on: it has {quoted(names)}."
        )
    return [positions[name] for name in wanted]
