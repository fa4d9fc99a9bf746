"""How the dates of a column are written: in ISO 8601, or in a format as `datetime.strptime` has it."""

from __future__ import annotations

import re
from datetime import datetime

import numpy as np

from xpmlp.common.errors import InputError

ISO = "ISO"  # year, month and day, with or without a time
_TIMES = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_ORDERS = ("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%y/%m/%d")
# In the order of preference, where all values of a column can be read in several.
DATE_FORMATS = (
    ISO,
    *(order.replace("/", mark) + time for mark in "/-." for order in _ORDERS for time in _TIMES),
    *("%Y.%m.%d", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y"),
    *("%Y-%m", "%m/%Y", "%Y %b", "%b %Y", "%Y %B", "%B %Y"),
)
_FORMAT = re.compile(r"([^%]|%[bBdHImMpSyY])*%[yY]([^%]|%[bBdHImMpSyY])*")  # what DuckDB and Python read alike
_ISO_DATE = re.compile(r"([0-9]{4})[-/ ]([0-9]{1,2})[-/ ]([0-9]{1,2})(?![0-9])")
# DuckDB takes fewer digits for a year too: 10-12 would be December of the year 10.
_ISO_START, _FOUR_DIGITS = "^[0-9]{4}[-/ ]", "(^|[^0-9])[0-9]{4}([^0-9]|$)"
_YEAR_AMONG_DIGITS = re.compile(r"%Y%|%[^bBp]%Y")  # as in %Y%m%d


def check_date_format(date_format: str) -> None:
    """Raise an `InputError` for what is neither "ISO" nor a format of dates."""
    if date_format == ISO:
        return
    try:
        written = datetime(2000, 1, 1).strftime(date_format)  # noqa: DTZ001 - dates of tables have no time zone
        if _FORMAT.fullmatch(date_format) and parse_date(written, date_format):
            return
    except ValueError:
        pass
    raise InputError(
        f"the format of a date is {date_format!r}, but must be {ISO} or be written with %Y or %y (year), %m, %b or %B "
        "(month), %d, %H or %I with %p, %M and %S: such as %d/%m/%Y."
    )


def parse_date(text: str, date_format: str) -> np.datetime64:
    """Return a date; raises ValueError for a text that is not written so."""
    if date_format != ISO:
        return np.datetime64(datetime.strptime(text, date_format), "us")  # noqa: DTZ007 - as above
    if not re.match(_ISO_START, text):  # NumPy takes 20150213 for a year, and "today" for today
        raise ValueError(text)
    padded = _ISO_DATE.sub(lambda found: f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}", text, count=1)
    return np.datetime64(padded, "us")


def date_sql(date_format: str) -> str:
    """Return DuckDB's SQL that reads a text v as a date, NULL where it is not written so."""
    if date_format == ISO:
        return f"CASE WHEN regexp_matches(v, '{_ISO_START}') THEN try_cast(v AS TIMESTAMP) END"
    escaped = date_format.replace("'", "''")
    parsed = f"try_strptime(v, '{escaped}')"
    if "%Y" not in date_format or _YEAR_AMONG_DIGITS.search(date_format):
        return parsed
    return f"CASE WHEN regexp_matches(v, '{_FOUR_DIGITS}') THEN {parsed} END"
