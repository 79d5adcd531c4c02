"""Columns of text and columns with missing cells as numbers: what `train --encode` does with a table."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_real
from ._tables import Table, TableError, exact_number

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})

MOST_VALUES = 50


@dataclasses.dataclass(frozen=True, eq=False)
class Encoding:
    """What becomes of each column of a table.

    Attributes
    ----------
    names : tuple of str
        The columns.
    fill : ndarray of shape (n_columns,)
        What a missing number becomes, the median of the column; NaN for columns of text.
    values : tuple of tuple of str
        Of a column of text its values, each of which becomes a column of 0 and 1; others are zero in all of them.
        Missing text is the value "".
    """

    names: tuple[str, ...]
    fill: FloatArray
    values: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, table: Table, names: Sequence[str]) -> Encoding:
        """Look at columns, and say what becomes of them."""
        fill, values = [], []
        for name in names:
            cells = _cells(table, name)
            if not any(cells):
                raise TableError(f"{table.path}: column {name!r} is empty: leave it out with --ignore {name}")
            numbers = _as_numbers(table, name, cells)
            distinct = () if numbers is not None else tuple(sorted(set(cells)))
            if len(distinct) > MOST_VALUES:
                raise TableError(
                    f"{table.path}: column {name!r} has {len(distinct)} different texts, more than {MOST_VALUES}: "
                    f"leave it out with --ignore {name}"
                )
            fill.append(math.nan if numbers is None else float(np.nanmedian(numbers)))
            values.append(distinct)
        return cls(tuple(names), np.array(fill), tuple(values))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the columns of numbers that come out."""
        return tuple(
            f"{name}={value}" if values else name
            for name, values in zip(self.names, self.values, strict=True)
            for value in (values or ("",))
        )

    def apply(self, table: Table) -> FloatArray:
        """Return the columns of a table as numbers of shape (rows, n_features)."""
        features = []
        for name, fill, values in zip(self.names, self.fill, self.values, strict=True):
            cells = _cells(table, name)
            if values:
                features += [np.array([float(cell == value) for cell in cells]) for value in values]
                continue
            numbers = _as_numbers(table, name, cells)
            if numbers is None:
                raise TableError(f"{table.path}: column {name!r} has text, but the model was trained on numbers there")
            features.append(np.where(np.isnan(numbers), fill, numbers))
        return np.stack(features, axis=1)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return plain arrays that say the same."""
        owners = [k for k, values in enumerate(self.values) for _ in values]
        flat = [value for values in self.values for value in values]
        return {
            "column_names": np.array(self.names),
            "column_fill": self.fill,
            "value_column": np.array(owners, dtype=np.int64),
            "value_text": np.array(flat, dtype=np.str_),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> Encoding:
        """Return what `to_arrays` said."""
        names = tuple(str(name) for name in arrays["column_names"])
        fill = as_real(arrays["column_fill"], "column_fill")
        owners, texts = arrays["value_column"], arrays["value_text"]
        if fill.shape != (len(names),) or owners.shape != texts.shape or owners.ndim != 1:
            raise ValueError("its columns and their values do not belong together")
        values = tuple(
            tuple(str(text) for owner, text in zip(owners, texts, strict=True) if owner == k) for k in range(len(names))
        )
        if any(math.isfinite(number) == bool(texts) for number, texts in zip(fill, values, strict=True)):
            raise ValueError("its columns must be of numbers or of text")
        return cls(names, fill, values)


def _cells(table: Table, name: str) -> list[str]:
    return ["" if cell.lower() in MISSING else cell for cell in table.cells(name)]


def _as_numbers(table: Table, name: str, cells: Sequence[str]) -> FloatArray | None:
    """Return finite numbers, NaN for missing ones; None where a cell is not one."""
    try:
        numbers = np.array([float(cell or "nan") for cell in cells])
    except ValueError:
        return None
    if not np.isfinite(numbers[[bool(cell) for cell in cells]]).all():
        return None
    for row, cell in enumerate(cells):
        exact_number(cell, float(numbers[row]), f"{table.place(row)}: column {name!r}")
    return numbers
