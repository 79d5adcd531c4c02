"""Rows of rational numbers, as the exact sums of float64 numbers that the core takes.

A hyperplane does not change when its row is scaled, and the signs on it do not when the factor is positive. So a row of
rational numbers is as good as a row of integers without a common divisor; integers that float64 does not hold are sums
of such that it does: the number rounded, what is left rounded, and so on.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_targets

#: Rows may have entries below 2^1000 that are multiples of 2^-1074.
_TOP, _BOTTOM = 1000, -1074


@dataclasses.dataclass(frozen=True)
class ExactRows:
    """Rows, each up to a positive factor, in which every entry is a sum of floats.

    Attributes
    ----------
    sums : ndarray of shape (n_rows, parts * n_features)
        The entries rounded to float64, then what is to be added to them, in turn.
    parts : int
        How many numbers make an entry; 1 where float64 holds them all.
    as_given : bool
        Whether the entries are floats that were taken as they are.
    """

    sums: FloatArray
    parts: int
    as_given: bool

    @property
    def n_features(self) -> int:
        """Entries of a row."""
        return int(self.sums.shape[1]) // self.parts

    @property
    def rounded(self) -> FloatArray:
        """The entries as float64 numbers."""
        return np.ascontiguousarray(self.sums[:, : self.n_features])

    def gates(self, points: FloatArray) -> FloatArray:
        """Return vectors whose products with `sums` are those of `points` with the rows."""
        return np.ascontiguousarray(np.tile(points, self.parts))

    def rational(self) -> list[list[Fraction]]:
        """Return the entries as fractions."""
        d = self.n_features
        return [
            [sum((Fraction(float(x)) for x in row[k::d]), Fraction(0)) for k in range(d)] for row in self.sums.tolist()
        ]

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.intp]) -> ExactRows:
        """Return some of the rows."""
        return dataclasses.replace(self, sums=self.sums[rows])


def as_exact_rows(X: Any, name: str = "X") -> ExactRows:
    """Return a matrix of floats, or of any kinds of rational numbers, without rounding any.

    Parameters
    ----------
    X : array_like of shape (n_rows, n_features)
        Floats and integers of any size, ``fractions.Fraction``, ``decimal.Decimal``, SymPy rationals, and strings such
        as "1/3" or "0.1", which is a tenth.
    name : str
        How errors call it.

    Returns
    -------
    ExactRows

    Raises
    ------
    TypeError
        For entries that are no rational numbers, such as symbols.
    ValueError
        For bad shapes, entries that are not finite, and rows that need more than 2,074 bits.
    """
    entries = _read(X, name)
    return ExactRows(entries, 1, True) if isinstance(entries, np.ndarray) else from_rational(entries, name)


def as_cone_rows(A: Any, offsets: Any) -> ExactRows:
    """Return rows (a, -b) for the half-spaces a . u >= b, and at last (0, 1), in coordinates (u, 1).

    Parameters
    ----------
    A : array_like of shape (n_rows, n_features)
        As in :func:`as_exact_rows`.
    offsets : array_like of shape (n_rows,)
        Numbers of the same kinds.

    Returns
    -------
    ExactRows

    Raises
    ------
    TypeError, ValueError
        As :func:`as_exact_rows`, and for offsets that are not one for each row.
    """
    rows = _read(A, "A")
    b = _read_offsets(offsets, len(rows))
    if isinstance(rows, np.ndarray) and isinstance(b, np.ndarray):
        infinity = np.eye(1, rows.shape[1] + 1, rows.shape[1])
        return ExactRows(np.vstack([np.column_stack([rows, -b]), infinity]), 1, True)
    entries = [[*map(Fraction, row), -Fraction(entry)] for row, entry in zip(rows, b, strict=True)]
    return from_rational([*entries, [Fraction(0)] * len(rows[0]) + [Fraction(1)]], "A")


def _read(X: Any, name: str) -> FloatArray | list[list[Fraction]]:
    """Return a matrix of floats as they are, or of fractions."""
    array = X if isinstance(X, np.ndarray) else _as_array(X)
    if array is None or (array.dtype.kind in "bf" and array.dtype.itemsize <= 8) or _all_held(array):
        return as_design(X if array is None else array, name)
    if array.ndim == 1 and any(isinstance(row, Sequence) and not isinstance(row, (str, bytes)) for row in array):
        raise ValueError(f"{name} has rows of different lengths")
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "iufOUS":
        as_design(array, name)  # tells what is wrong
    return [[_fraction(x, f"{name}[{j}, {k}]") for k, x in enumerate(row)] for j, row in enumerate(array)]


def _read_offsets(offsets: Any, n: int) -> FloatArray | list[Fraction]:
    """Return as many offsets as there are rows, as floats as they are, or as fractions."""
    given = offsets.to_numpy() if hasattr(offsets, "to_numpy") else offsets
    array = given if isinstance(given, np.ndarray) else np.array(given, dtype=object)
    if array.shape != (n,):
        raise ValueError(f"offsets must have shape ({n},), not {array.shape}")
    if array.dtype.kind == "O" and all(type(x) is float for x in array):
        array = array.astype(np.float64)
    if (array.dtype.kind in "bf" and array.dtype.itemsize <= 8) or _all_held(array):
        return as_targets(array, n, "offsets")
    return [_fraction(x, f"offsets[{j}]") for j, x in enumerate(array)]


def _all_held(array: npt.NDArray[Any]) -> bool:
    """Whether these are integers of a machine that float64 holds."""
    return array.dtype.kind in "iu" and bool((np.abs(array.astype(np.float64)) < 2.0**53).all())


def _as_array(X: Any) -> npt.NDArray[Any] | None:
    """Return an array of what was given, before anything is rounded; None for what is no matrix of plain objects."""
    if hasattr(X, "to_numpy") and hasattr(X, "dtypes"):  # a data frame, whose columns have types of their own
        kinds = {getattr(t, "kind", "O") for t in np.atleast_1d(X.dtypes)}
        return X.to_numpy(dtype=object) if kinds - set("bf") else None
    if not isinstance(X, Sequence) or isinstance(X, (str, bytes)):
        return np.asarray(X) if hasattr(X, "__array__") else None
    if all(isinstance(row, np.ndarray) and row.dtype.kind in "bf" for row in X):
        return None
    try:
        array = np.array(X, dtype=object)
    except ValueError:  # rows of different lengths
        return None
    return None if array.ndim == 2 and all(type(x) is float for x in array.flat) else array


def _fraction(value: Any, place: str) -> Fraction:
    """Return a rational number of any type as a fraction."""
    try:
        if isinstance(value, (int, np.integer, np.bool_)):
            return Fraction(int(value))
        if isinstance(value, (str, bytes)):
            return Fraction(value.decode() if isinstance(value, bytes) else value)
        if isinstance(value, Decimal):
            return Fraction(value)
        if isinstance(value, numbers.Rational):
            return Fraction(int(value.numerator), int(value.denominator))
        return Fraction(*(int(x) for x in value.as_integer_ratio()))
    except (OverflowError, ValueError, ZeroDivisionError):
        if isinstance(value, (float, np.floating, Decimal)):
            raise ValueError(f"{place.split('[')[0]} must be finite, but {place} is {value}") from None
        raise TypeError(f"{place} is {value!r}, which is not a rational number") from None
    except (AttributeError, TypeError):
        raise TypeError(f"{place} is {value!r}, which is not a rational number") from None


def from_rational(entries: Iterable[Sequence[Fraction | int]], name: str = "X") -> ExactRows:
    """Return rows of fractions or integers: as floats where these are equal, else as integers without a common divisor.

    Raises
    ------
    ValueError
        For rows that need more than 2,074 bits.
    """
    rows, as_given = [], True
    for j, row in enumerate(entries):
        if not all(_is_float(x) for x in row):
            as_given = False
            row = primitive(row)
        rows.append([_parts(x, f"{name}[{j}, {k}]") for k, x in enumerate(_within_range(row))])
    parts = max(len(entry) for row in rows for entry in row)
    sums = [[entry[part] if part < len(entry) else 0.0 for part in range(parts) for entry in row] for row in rows]
    return ExactRows(np.array(sums), parts, as_given)


def primitive(row: Sequence[Fraction | int]) -> list[int]:
    """Return the positive multiple of a row that has integer entries without a common divisor."""
    scale = math.lcm(*(x.denominator for x in row))
    integers = [int(x * scale) for x in row]
    divisor = math.gcd(*integers) or 1
    return [x // divisor for x in integers]


def _is_float(x: Fraction | int) -> bool:
    try:
        return float(x) == x
    except OverflowError:
        return False


def _within_range(row: Sequence[Fraction | int]) -> Sequence[Fraction | int]:
    most = max(abs(x.numerator).bit_length() - x.denominator.bit_length() for x in row)
    return row if most < _TOP else [Fraction(x) / (1 << (most - _TOP + 2)) for x in row]


def _parts(x: Fraction | int, place: str) -> list[float]:
    """Return floats whose sum is x, each the rounded rest."""
    parts = [float(x)]
    rest = Fraction(x) - Fraction(parts[0])
    while rest:
        parts.append(float(rest))
        if parts[-1] == 0.0 or len(parts) > (_TOP - _BOTTOM) // 53 + 1:
            raise ValueError(f"{place} needs more than {_TOP - _BOTTOM} bits beside the other entries of its row")
        rest -= Fraction(parts[-1])
    return parts
