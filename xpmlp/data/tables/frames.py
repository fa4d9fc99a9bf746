"""The columns of frames of pandas, Polars and other libraries, by narwhals."""

from __future__ import annotations

from typing import Any

import numpy as np

from xpmlp.common.errors import InputError


def frame_columns(source: Any) -> dict[str, np.ndarray]:
    """Return the columns of a frame as `kinds.column_of` takes them.

    Raises
    ------
    InputError
        For what is no frame, and for a column that holds neither numbers, truth values, dates nor texts.
    """
    import narwhals  # noqa: PLC0415 - slow to import, and needed for frames alone

    frame = narwhals.from_native(source, eager_only=True, pass_through=True)
    if frame is source:
        raise InputError(
            f"a table is read from the path of a file or a frame of pandas or Polars, but this is {_kind(source)}."
        )
    return {str(series.name): _values(series) for series in frame.iter_columns()}


def _values(series: Any) -> np.ndarray:
    import narwhals  # noqa: PLC0415 - as above

    dtype = series.dtype
    if dtype.is_numeric():
        return np.asarray(series.cast(narwhals.Float64).to_numpy(), np.float64)
    if dtype.is_temporal() and dtype not in {narwhals.Time, narwhals.Duration}:
        if getattr(dtype, "time_zone", None) is not None:
            series = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        return np.asarray(series.to_numpy()).astype("datetime64[us]")
    if dtype.is_nested() or dtype in {narwhals.Binary, narwhals.Duration}:
        raise InputError(f"column {series.name!r} holds {dtype}, which is no number, date or text: leave it out.")
    missing = series.is_null().to_numpy()
    # Without the spaces around them, and none for an empty one, as those of a file.
    texts = [
        None if gap else str(value).strip(" ") or None for value, gap in zip(series.to_list(), missing, strict=True)
    ]
    return np.array(texts, dtype=object)


def _kind(source: Any) -> str:
    return f"{type(source).__module__}.{type(source).__name__}".removeprefix("builtins.")
