"""Columns of a table as numbers, dates or text. What is wrong with one is said with the place of its first bad cell."""

from __future__ import annotations

import dataclasses
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

_DATE = r"(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4})(?:[T ](\d{1,2})(:\d{2}.*))?"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is wanted of a column.

    Attributes
    ----------
    kind : str or None
        "number", "exact" (as fractions), "text", or the order of year, month and day of dates; None finds out.
    gaps : bool
        Whether cells may be missing.
    fresh : bool
        Whether the texts seen are all that there are, of which too many are refused.
    optional : bool
        Whether the column can be left out.
    """

    kind: str | None = "number"
    gaps: bool = False
    fresh: bool = False
    optional: bool = True


@dataclasses.dataclass(frozen=True)
class Reading:
    """How numbers and dates are written: the decimal mark, and the order of day and month where dates do not tell."""

    decimal: str = "."
    dates: str | None = None


class BadColumn(ValueError):
    """A column that is not what was wanted."""

    def __init__(self, column: Series[Any], what: str, cells: Array | None = None) -> None:
        self.name, self.place = str(column.name), ""
        more = ""
        if cells is not None:
            self.place = f"{column.index.name} {column.index[cells[0]]}"
            more = f" ({cells.size - 1} more such cells)" if cells.size > 1 else ""
        super().__init__(f"column {self.name!r} {what}{more}")


def read_column(column: Series[Any], wanted: Wanted, reading: Reading) -> tuple[str, Array]:
    """Return the kind of a column and its values: float64 with NaN for gaps (dates in days), fractions, or text."""
    plain = "biuf" if wanted.kind == "number" else "iuf"  # a column of true and false is text unless asked for
    if column.dtype.kind in plain and wanted.kind in (None, "number", "exact"):
        _refuse(column, column.isna().to_numpy() & (not wanted.gaps), "")
        if wanted.kind == "exact":
            return "exact", column.to_numpy(dtype=object)
        return "number", _checked(column, column.to_numpy(dtype=np.float64, na_value=np.nan), reading)
    text = column.astype(object).where(column.notna(), "").map(str).str.strip()
    if wanted.gaps:
        text = text.mask(text.str.lower().isin(_MISSING), "")
    kind = wanted.kind or _kind_of(text, wanted, reading)
    empty = (text == "").to_numpy()
    if kind == "text":
        _refuse(text, empty & (not wanted.gaps), "")
        levels = text.nunique()
        if wanted.fresh and levels > max(MOST_LEVELS, len(text) // 2):
            raise BadColumn(text, f"has {levels} different texts in {len(text)} rows")
        return kind, text.to_numpy(dtype=object)
    if kind in DATE_ORDERS:
        values = days(text, kind)
        _refuse(
            text, np.isnan(values) & ~(empty & wanted.gaps), f"which is not a date ({kind} with a year of 4 digits)"
        )
        return kind, values
    fine = matches(text, (exact_pattern if kind == "exact" else number_pattern)(reading.decimal))
    _refuse(text, ~fine & ~(empty & wanted.gaps), "which is not a number", reading)
    numbers = text[fine].str.replace(reading.decimal, ".")
    if kind == "exact":
        return kind, numbers.map(Fraction).to_numpy(dtype=object)
    values = np.full(len(text), np.nan)
    values[fine] = numbers.astype(np.float64)
    _refuse(text, np.isnan(values) & ~empty, "which is no number: values must be finite")
    return kind, _checked(text, values, reading)


def number_pattern(decimal: str) -> str:
    """Return what a decimal number, or one that is not finite, looks like."""
    point = re.escape(decimal)
    return rf"[+-]?(?:(?:\d+{point}?\d*|{point}\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)"


def exact_pattern(decimal: str) -> str:
    """Return what a rational number looks like, of a size that an integer can have."""
    point = re.escape(decimal)
    return rf"[+-]?(?:\d+/0*[1-9]\d*|(?:\d+{point}?\d*|{point}\d+)(?:e[+-]?\d{{1,3}})?)"


def matches(text: Series[Any], pattern: str) -> npt.NDArray[np.bool_]:
    """Return which texts look like this, in capitals or not."""
    return np.asarray(text.str.fullmatch(pattern, case=False), dtype=bool)


def days(text: Series[Any], order: str) -> Array:
    """Return dates as days since the beginning of 1970, NaN where a text is none."""
    import pandas as pd

    parts = text.str.extract(f"^{_DATE}$")
    year, month, day = (parts[(0, 2, 3)[order.index(part)]] for part in "ymd")
    told = (year.str.len() == 4) & ((order != "mdy") | (parts[1] != "."))  # points are between day, month and year
    date = year.where(told) + "-" + month.str.zfill(2) + "-" + day.str.zfill(2)
    date += "T" + parts[4].fillna("0").str.zfill(2) + parts[5].fillna(":00")
    stamps = pd.to_datetime(date, format="ISO8601", errors="coerce", utc=True)
    return np.asarray((stamps - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(days=1), dtype=np.float64)


def _kind_of(text: Series[Any], wanted: Wanted, reading: Reading) -> str:
    """Find out what a column holds; raise BadColumn where it is numbers and text, or dates of which none is sure."""
    known = text[text != ""]
    if known.empty:
        raise BadColumn(text, "is empty")
    fine = matches(known, number_pattern(reading.decimal))
    if fine.all():
        return "number"
    if fine.any() or matches(known, number_pattern(_other(reading.decimal))).any():
        way = f"say --text {text.name}" if wanted.optional else "ask for --task classification"
        what = f"which is not a number, but others read as numbers: mend the cell, or {way}"
        bad = np.zeros(len(text), dtype=bool)
        bad[(text != "").to_numpy()] = ~fine
        _refuse(text, bad, what, reading)
    if matches(known, _DATE).all():
        orders = [order for order in DATE_ORDERS if not np.isnan(days(known, order)).any()]
        if len(orders) > 1 and reading.dates in orders:
            return str(reading.dates)
        if len(orders) > 1:
            first = f"has dates such as {known.iloc[0]!r}, which may begin with the day or the month"
            raise BadColumn(text, f"{first}: say --dates dmy or --dates mdy")
        if orders:
            return orders[0]
    return "text"


def _checked(column: Series[Any], values: Array, reading: Reading) -> Array:
    """Return values, unless one is infinite or an integer that float64 does not hold: ids must stay distinct."""
    _refuse(column, np.isinf(values), "values must be finite")
    rounded = np.zeros(values.size, dtype=bool)
    for k in np.flatnonzero(np.abs(values) >= _EXACT):
        whole, _, fraction = str(column.iloc[k]).partition(reading.decimal)
        digits = whole.lstrip("+-").isdecimal() and not fraction.strip("0")
        rounded[k] = digits and int(whole) != int(values[k])
    if rounded.any():
        held = int(values[np.argmax(rounded)])
        _refuse(column, rounded, f"an integer that float64 rounds to {held}: take an offset out of the column")
    return values


def _refuse(column: Series[Any], bad: npt.NDArray[np.bool_], what: str, reading: Reading | None = None) -> None:
    """Raise BadColumn where cells are bad."""
    cells = np.flatnonzero(bad)
    if not cells.size:
        return
    cell = column.iloc[cells[0]]
    if cell != cell or cell == "" or str(cell) == "<NA>":
        raise BadColumn(column, "is empty", cells)
    if reading is not None and re.fullmatch(number_pattern(_other(reading.decimal)), str(cell), flags=re.IGNORECASE):
        mark = {".": "point", ",": "comma"}[reading.decimal]
        what = (
            f"but the numbers of this table have a decimal {mark}, unless you say --decimal {_other(reading.decimal)}"
        )
    raise BadColumn(column, f"has {str(cell)!r}, {what}", cells)


def _other(decimal: str) -> str:
    return "," if decimal == "." else "."
