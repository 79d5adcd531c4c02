"""Tables of numbers from the user's files, with complaints that say where."""

from __future__ import annotations

import csv
import dataclasses
import math
import os
from collections.abc import Sequence

import numpy as np

from ._validation import FloatArray


class TableError(ValueError):
    """A file is not the table that was asked for; the message is one line for the person at the keyboard."""


@dataclasses.dataclass(frozen=True)
class Table:
    """Text cells under column names."""

    path: str
    names: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]

    def _index(self, name: str) -> int:
        if name not in self.names:
            raise TableError(f"{self.path} has no column {name!r}; its columns are {_listing(self.names)}")
        return self.names.index(name)

    def text(self, name: str) -> list[str]:
        """Return a column as text without surrounding blanks; every cell must have some."""
        index = self._index(name)
        cells = [row[index].strip() for row in self.rows]
        for cell, line in zip(cells, self.lines, strict=True):
            if not cell:
                raise TableError(f"{self.path}, line {line}: column {name!r} is empty")
        return cells

    def numbers(self, names: Sequence[str]) -> FloatArray:
        """Return columns as finite numbers of shape (rows, len(names))."""
        index = [self._index(name) for name in names]
        values = np.empty((len(self.rows), len(names)))
        for i, row in enumerate(self.rows):
            for j, k in enumerate(index):
                values[i, j] = self._number(row[k].strip(), names[j], self.lines[i])
        return values

    def is_numeric(self, name: str) -> bool:
        """Whether every cell of a column that is not empty reads as a number."""
        index = self._index(name)
        return all(_reads_as_number(row[index]) for row in self.rows if row[index].strip())

    def _number(self, cell: str, name: str, line: int) -> float:
        where = f"{self.path}, line {line}: column {name!r}"
        if not cell:
            raise TableError(f"{where} is empty: fill missing values, or leave the column out with --ignore {name}")
        try:
            value = float(cell)
        except ValueError:
            raise TableError(
                f"{where} has {cell!r}, which is not a number: encode text as numbers, "
                f"or leave the column out with --ignore {name}"
            ) from None
        if not math.isfinite(value):
            raise TableError(f"{where} has {cell!r}: values must be finite")
        return value


def read_table(path: str | os.PathLike[str]) -> Table:
    """Read a text file with a header line and commas, semicolons or tabs between the cells."""
    path = os.fspath(path)
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
                names = _as_header(row, path)
                continue
            if len(row) != len(names):
                raise TableError(f"{path}, line {reader.line_num}: {len(row)} cells, but the header has {len(names)}")
            rows.append(row)
            lines.append(reader.line_num)
    except csv.Error as error:
        raise TableError(f"{path}, line {reader.line_num}: {error}") from None
    if not names:
        raise TableError(f"{path} is empty")
    if not rows:
        raise TableError(f"{path} has a header and no rows")
    return Table(path, names, rows, lines)


def _as_header(row: list[str], path: str) -> tuple[str, ...]:
    names = tuple(cell.strip() for cell in row)
    if all(_reads_as_number(name) for name in names):
        raise TableError(f"{path} has no header: its first line has numbers only, not the names of the columns")
    for k, name in enumerate(names):
        if not name:
            raise TableError(f"{path}: column {k + 1} has no name in the header")
        if name in names[:k]:
            raise TableError(f"{path}: the header has {name!r} twice")
    return names


def _reads_as_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _listing(names: Sequence[str], limit: int = 12) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown}, ... ({len(names)} in all)"
