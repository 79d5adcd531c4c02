"""Tables from the user's files, with complaints that say where: text tables and files of arrays."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np

from ..base.archives import Array, load_arrays
from ..base.arrays import FloatArray

_EXACT = 2.0**53  # up to here float64 has all integers


class TableError(ValueError):
    """A file is not the table that was asked for; the message is one line for the person at the keyboard."""


class Table(Protocol):
    """Columns with names."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""

    def column(self, name: str, option: str | None = None) -> str:
        """Return the name of a column that somebody asked for, with an option of the command line."""

    def cells(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks."""

    def text(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks; every cell must have some."""

    def numbers(self, names: Sequence[str]) -> FloatArray:
        """Return columns as finite numbers of shape (rows, len(names))."""

    def rationals(self, names: Sequence[str]) -> list[list[Fraction]]:
        """Return columns as the rational numbers that are written there."""

    def place(self, row: int) -> str:
        """Say where a row is, for an error."""

    def is_numeric(self, name: str) -> bool:
        """Whether a column is of numbers, rather than of text; raise TableError where it has both."""


@dataclasses.dataclass(frozen=True)
class TextTable:
    """Text cells under column names."""

    path: str
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str, option: str | None = None) -> str:
        """Return the name, if there is such a column."""
        if name not in self.names:
            raise _no_column(self, name, option)
        return name

    def _index(self, name: str) -> int:
        return self.names.index(self.column(name))

    def cells(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks."""
        index = self._index(name)
        return [row[index].strip() for row in self.rows]

    def text(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks; every cell must have some."""
        cells = self.cells(name)
        for row, cell in enumerate(cells):
            if not cell:
                raise TableError(f"{self.place(int(row))}: column {name!r} is empty")
        return cells

    def numbers(self, names: Sequence[str]) -> FloatArray:
        """Return columns as finite numbers of shape (rows, len(names))."""
        index = [self._index(name) for name in names]
        values = np.empty((len(self.rows), len(names)))
        for i, row in enumerate(self.rows):
            for j, k in enumerate(index):
                values[i, j] = self._number(row[k].strip(), names[j], i)
        return values

    def rationals(self, names: Sequence[str]) -> list[list[Fraction]]:
        """Return columns as the rational numbers that are written there."""
        return _rational(self, names)

    def place(self, row: int) -> str:
        """Say where a row is, for an error."""
        return f"{self.path}, line {self.lines[row]}"

    def is_numeric(self, name: str) -> bool:
        """Whether a column is of numbers, rather than of text; raise TableError where it has both."""
        cells = self.cells(name)
        texts = [row for row, cell in enumerate(cells) if cell and not _reads_as_number(cell)]
        # Also where all numbers have a comma.
        if texts and any(_reads_as_number(cell.replace(",", ".")) for cell in cells):
            raise TableError(
                f"{self.place(texts[0])}: column {name!r} has {cells[texts[0]]!r}, which is not a number, but others "
                "read as numbers: mend the cell, or ask for --task classification"
            )
        return not texts

    def _number(self, cell: str, name: str, row: int) -> float:
        where = f"{self.place(int(row))}: column {name!r}"
        if not cell:
            raise TableError(
                f"{where} is empty: fill missing values (`train --encode` does), or leave it out with --ignore {name}"
            )
        try:
            value = float(cell)
        except ValueError:
            if _reads_as_number(cell.replace(",", ".")):
                raise TableError(f"{where} has {cell!r}: numbers need a decimal point, not a comma") from None
            if "/" in cell:
                raise TableError(f"{where} has {cell!r}: only `enumerate --exact` takes fractions") from None
            raise TableError(
                f"{where} has {cell!r}, which is not a number: encode text as numbers (`train --encode` does), "
                f"or leave the column out with --ignore {name}"
            ) from None
        if not math.isfinite(value):
            raise TableError(f"{where} has {cell!r}: values must be finite")
        return exact_number(cell, value, where)


@dataclasses.dataclass(frozen=True, eq=False)
class ArrayTable:
    """Columns of arrays under names; of a matrix they are 0, 1, ..., and -1 is the last."""

    path: str
    columns: dict[str, Array]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.columns)

    def column(self, name: str, option: str | None = None) -> str:
        """Return the name of a column, also where it was counted from the end."""
        if name in self.columns:
            return name
        digits = name.removeprefix("-")
        if digits.isdecimal() and digits != name and 1 <= int(digits) <= len(self.columns):
            return self.names[-int(digits)]
        raise _no_column(self, name, option)

    def cells(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks."""
        return [str(value).strip() for value in self.columns[self.column(name)]]

    def text(self, name: str) -> list[str]:
        """Return a column as text; every cell must have some."""
        cells = self.cells(name)
        for row, cell in enumerate(cells):
            if not cell or cell == "nan":
                raise TableError(f"{self.place(int(row))}: column {name!r} is empty")
        return cells

    def numbers(self, names: Sequence[str]) -> FloatArray:
        """Return columns as finite numbers of shape (rows, len(names))."""
        return np.stack([self._numbers(self.column(name)) for name in names], axis=1)

    def rationals(self, names: Sequence[str]) -> list[list[Fraction]]:
        """Return columns as the rational numbers that their texts are, or as the floats that they hold."""
        kinds = {name: self.columns[self.column(name)].dtype.kind for name in names}
        return _rational(self, names, frozenset(name for name, kind in kinds.items() if kind == "f"))

    def place(self, row: int) -> str:
        """Say where a row is, for an error."""
        return f"{self.path}, row {row}"

    def is_numeric(self, name: str) -> bool:
        """Whether the column is of numbers."""
        return self.columns[self.column(name)].dtype.kind in "biuf"

    def _numbers(self, name: str) -> FloatArray:
        column = self.columns[name]
        if column.dtype.kind not in "biuf":
            raise TableError(
                f"{self.path}: column {name!r} has values of type {column.dtype}, which are no real numbers: "
                f"leave it out with --ignore {name}"
            )
        values = column.astype(np.float64)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise TableError(f"{self.place(int(bad[0]))}: column {name!r} has {values[bad[0]]}: values must be finite")
        if column.dtype.kind in "iu":
            for row in np.flatnonzero(np.abs(values) >= _EXACT):
                exact_number(str(column[row]), float(values[row]), f"{self.place(int(row))}: column {name!r}")
        return values


def _rational(table: Table, names: Sequence[str], floats: frozenset[str] = frozenset()) -> list[list[Fraction]]:
    columns = []
    for name in names:
        column = []
        for row, cell in enumerate(table.text(name)):
            try:
                column.append(Fraction(float(cell)) if name in floats else Fraction(cell))
            except (ValueError, OverflowError, ZeroDivisionError):
                raise TableError(
                    f"{table.place(row)}: column {name!r} has {cell!r}, which is not a rational number"
                ) from None
        columns.append(column)
    return [list(row) for row in zip(*columns, strict=True)]


def exact_number(cell: str, value: float, where: str) -> float:
    """Return the value of a cell, unless the cell is an integer that float64 does not hold: ids must stay distinct."""
    whole, _, fraction = cell.partition(".")
    if abs(value) >= _EXACT and whole.lstrip("+-").isdecimal() and not fraction.strip("0") and int(whole) != int(value):
        raise TableError(
            f"{where} has {cell}, an integer that float64 rounds to {int(value)}: take an offset out of the column, or "
            "leave it out"
        )
    return value


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a table: an .npy or .npz file, or else a text file."""
    path = os.fspath(path)
    return _read_arrays(path) if Path(path).suffix in (".npy", ".npz") else _read_text(path)


def _read_arrays(path: str) -> ArrayTable:
    """Read a matrix, a structured array, or an archive whose arrays are columns or several columns each."""
    arrays = load_arrays(path, "a table")
    columns: dict[str, Array] = {}
    if isinstance(arrays, dict):
        for name, array in arrays.items():
            if array.ndim == 1:
                columns[name] = array
            elif array.ndim == 2:
                columns |= {f"{name}{k}": array[:, k] for k in range(array.shape[1])}
            else:
                raise TableError(f"{path}: array {name!r} has shape {array.shape}: a column has one dimension")
    elif arrays.dtype.names is not None and arrays.ndim == 1:
        columns = {name: arrays[name] for name in arrays.dtype.names}
    elif arrays.ndim == 2:
        columns = {str(k): arrays[:, k] for k in range(arrays.shape[1])}
    else:
        raise TableError(f"{path} has an array of shape {arrays.shape}: a table has rows and columns")
    if not columns or not min(column.shape[0] for column in columns.values()):
        raise TableError(f"{path} is empty")
    lengths = {name: column.shape[0] for name, column in columns.items()}
    (first, rows), *others = lengths.items()
    for name, length in others:
        if length != rows:
            raise TableError(f"{path}: column {first!r} has {rows} rows, but {name!r} has {length}")
    return ArrayTable(path, columns)


def _read_text(path: str) -> TextTable:
    """Read a text file with a header line and commas, semicolons or tabs between the cells."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            content = file.read()
    except UnicodeDecodeError:
        raise TableError(f"{path} is not a text file in UTF-8") from None
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}") from None
    if "\0" in content:
        raise TableError(f"{path} is not a text file")
    head = content.partition("\n")[0]
    reader = csv.reader(content.splitlines(), delimiter=max(",;\t", key=head.count), strict=True)
    names: tuple[str, ...] = ()
    rows, lines = [], []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not names:
                names = tuple(cell.strip() for cell in row)
                continue
            if len(row) != len(names):
                raise TableError(f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(names)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num}: {error}") from None
    if not names:
        raise TableError(f"{path} is empty")
    while len(names) > 1 and not names[-1] and not any(row[-1].strip() for row in rows):
        # Spreadsheets write empty columns at the end.
        names, rows = names[:-1], [row[:-1] for row in rows]
    _check_header(names, path)
    if not rows:
        raise TableError(f"{path} has a header and no rows")
    return TextTable(path, names, rows, lines)


def _check_header(names: tuple[str, ...], path: str) -> None:
    if all(_reads_as_number(name) for name in names):
        raise TableError(f"{path} has no header: its first line has numbers only, not the names of the columns")
    for k, name in enumerate(names):
        if not name:
            raise TableError(f"{path}: column {k + 1} has no name in the header")
        if name in names[:k]:
            raise TableError(f"{path}: the header has {name!r} twice")


def _reads_as_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _no_column(table: Table, name: str, option: str | None) -> TableError:
    asked = f"{option}: " if option else ""
    return TableError(f"{asked}{table.path} has no column {name!r}; its columns are {_listing(table.names)}")


def _listing(names: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"
