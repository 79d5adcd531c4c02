"""Columns of a table as numbers, dates or text. What is wrong with one is said with the place of its first bad cell."""

from __future__ import annotations

import dataclasses
import math
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pandas import Series

Array = npt.NDArray[Any]

MOST_LEVELS = 50  # of a text column that may have another text in most of its rows

DATE_ORDERS = ("ymd", "dmy", "mdy")

_MISSING = ("", "na", "n/a", "nan", "null", "none", "?")

_EXACT = 2.0**53  # up to here float64 has all integers

_OTHER = {".": ",", ",": "."}  # decimal mark

_DATE = r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:[T ](\d{1,2})(:\d{2}.*))?"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is wanted of a column."""

    kind: str | None = "number"  # "exact" for fractions, "text", or the order of year, month and day; None finds out
    gaps: bool = False  # whether cells may be missing
    fresh: bool = False  # whether more texts are refused than are good for features or labels
    optional: bool = True  # whether the column can be left out
    least: float = -math.inf  # the smallest number allowed


@dataclasses.dataclass(frozen=True)
class Reading:
    """How numbers and dates are written: the decimal mark, and the order of day and month where dates do not tell."""

    decimal: str = "."
    dates: str | None = None


class BadColumn(ValueError):
    """A column that is not what was wanted; `place` says where, if that is in some cells."""

    def __init__(self, column: Series[Any], what: str, cells: Array | None = None) -> None:
        self.name, self.place = str(column.name), ""
        if cells is not None:
            more = f" and {cells.size - 1} more" if cells.size > 1 else ""
            self.place = f"{column.index.name} {column.index[cells[0]]}{more}"
        super().__init__(f"column {self.name!r} {what}")


def read_column(column: Series[Any], wanted: Wanted, reading: Reading) -> tuple[str, Array]:
    """Return the kind of a column and its values: float64 with NaN for gaps (dates in days), fractions, or text."""
    plain = "biuf" if wanted.kind == "number" else "iuf"  # a column of true and false is text unless asked for
    if column.dtype.kind in plain and wanted.kind in (None, "number", "exact"):
        _refuse(column, column.isna().to_numpy() & (not wanted.gaps), "")
        if wanted.kind == "exact":
            return "exact", column.to_numpy(dtype=object)
        return "number", _checked(column, column.to_numpy(dtype=np.float64, na_value=np.nan), wanted, reading)
    text = column.astype(object).where(column.notna(), "").map(str).str.strip()
    if wanted.gaps:
        text = text.mask(text.str.lower().isin(_MISSING), "")
    kind = wanted.kind or _kind_of(text, wanted, reading)
    empty = (text == "").to_numpy()
    allowed = empty & wanted.gaps
    if kind == "text":
        _refuse(text, empty & ~allowed, "")
        levels = text.nunique()
        if wanted.fresh and levels > max(MOST_LEVELS, len(text) // 2):
            raise BadColumn(text, f"has {levels} different texts in {len(text)} rows")
        return kind, text.to_numpy(dtype=object)
    if kind in DATE_ORDERS:
        values = days(text, kind)
        _refuse(text, np.isnan(values) & ~allowed, f", which is not a date ({kind} with four digits of the year)")
        return kind, values
    fine = matches(text, number_pattern(reading.decimal, kind))
    what = ", which is not a rational number" if kind == "exact" else ", which is not a number"
    _refuse(text, ~fine & ~allowed, what, reading)
    numbers = text[fine].str.replace(reading.decimal, ".")
    if kind == "exact":
        return kind, numbers.map(Fraction).to_numpy(dtype=object)
    values = np.full(len(text), np.nan)
    values[fine] = numbers.astype(np.float64)
    _refuse(text, np.isnan(values) & ~empty, ": values must be finite")
    return kind, _checked(text, values, wanted, reading)


def number_pattern(decimal: str, kind: str = "number") -> str:
    """Return what a number looks like, or an exact one: a fraction, or a decimal with no more places than are held."""
    point = re.escape(decimal)
    digits = rf"(?:\d+{point}?\d*|{point}\d+)"
    exact = rf"\d+/0*[1-9]\d*|{digits}(?:e[+-]?\d{{1,3}})?"
    return rf"[+-]?(?:{exact})" if kind == "exact" else rf"[+-]?(?:{digits}(?:e[+-]?\d+)?|inf(?:inity)?|nan)"


def matches(text: Series[Any], pattern: str) -> npt.NDArray[np.bool_]:
    """Return which texts look like this, in capitals or not."""
    return np.asarray(text.str.fullmatch(pattern, case=False), dtype=bool)


def days(text: Series[Any], order: str) -> Array:
    """Return dates as days since the beginning of 1970, NaN where a text is none; the year may always be first."""
    import pandas as pd

    parts = text.str.extract(f"^{_DATE}$")
    year_first = parts[0].str.len() == 4
    columns = (0, 2, 3)
    year, month, day = (
        parts[columns["ymd".index(part)]].where(year_first, parts[columns[order.index(part)]]) for part in "ymd"
    )
    # Between month, day and year of this order there are no points.
    told = year_first | ((year.str.len() == 4) & ((order != "mdy") | (parts[1] != ".")))
    date = year.where(told) + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    date += "T" + parts[4].fillna("0").str.zfill(2) + parts[5].fillna(":00")
    stamps = pd.to_datetime(date, format="ISO8601", errors="coerce", utc=True)
    return np.asarray((stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), dtype=np.float64)


def _kind_of(text: Series[Any], wanted: Wanted, reading: Reading) -> str:
    """Find out what a column holds; raise BadColumn where it is numbers and text, or dates of which none is sure."""
    known = text[text != ""]
    if known.empty:
        raise BadColumn(text, "is empty")
    numbers = matches(text, number_pattern(reading.decimal))
    if numbers.any() or matches(known, number_pattern(_OTHER[reading.decimal])).any():
        way = f"say --text {text.name}" if wanted.optional else "ask for --task classification"
        what = f", which is not a number, but others read as numbers: mend the cell, or {way}"
        _refuse(text, ~numbers & (text != "").to_numpy(), what, reading)
        return "number"
    orders = [order for order in DATE_ORDERS if not np.isnan(days(known, order)).any()]
    if not orders or "ymd" in orders:
        return orders[0] if orders else "text"
    if len(orders) > 1 and reading.dates is None:
        first = f"has dates such as {known.iloc[0]!r}, which may begin with the day or the month"
        raise BadColumn(text, f"{first}: say --dates dmy or --dates mdy")
    return reading.dates if reading.dates in orders else orders[0]


def _checked(column: Series[Any], values: Array, wanted: Wanted, reading: Reading) -> Array:
    """Return values, unless one is infinite or an integer that float64 does not hold: ids must stay distinct."""
    _refuse(column, np.isinf(values), ": values must be finite")
    _refuse(column, values < wanted.least, f": values must be at least {wanted.least:g}")
    rounded = np.zeros(values.size, dtype=bool)
    for k in np.flatnonzero(np.abs(values) >= _EXACT):
        whole, _, fraction = str(column.iloc[k]).partition(reading.decimal)
        digits = whole.lstrip("+-").isdecimal() and not fraction.strip("0")
        rounded[k] = digits and int(whole) != int(values[k])
    held = int(values[np.argmax(rounded)]) if rounded.any() else 0
    _refuse(column, rounded, f", an integer that float64 rounds to {held}: take an offset out of the column")
    return values


def _refuse(column: Series[Any], bad: npt.NDArray[np.bool_], what: str, reading: Reading | None = None) -> None:
    """Raise BadColumn where cells are bad."""
    cells = np.flatnonzero(bad)
    if not cells.size:
        return
    cell = "" if column.isna().iloc[cells[0]] else str(column.iloc[cells[0]])
    if reading is not None and re.fullmatch(number_pattern(_OTHER[reading.decimal]), cell, flags=re.IGNORECASE):
        mark, other = {".": "point", ",": "comma"}[reading.decimal], _OTHER[reading.decimal]
        what = f": the numbers of this table have a decimal {mark}, unless you say --decimal {other}"
    elif reading is not None and matches(column.iloc[cells[:1]], number_pattern(reading.decimal, "exact")).all():
        what = ": only `enumerate --exact` takes fractions"
    raise BadColumn(column, f"has {cell!r}{what}" if cell else "is empty", cells)
