"""Tables from the user's files, by pandas, with complaints that say where."""

from __future__ import annotations

import dataclasses
import io
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..base.archives import load_arrays
from ._cells import Array, BadColumn, Reading, Wanted, matches, number_pattern, read_column

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_EXCEL = (".xlsx", ".xlsm", ".xls", ".ods")

_PARQUET = (".parquet", ".pq")


class BadTable(ValueError):
    """Columns that cannot be used: a line for each."""


@dataclasses.dataclass(frozen=True, eq=False)
class Table:
    """Columns with names.

    Attributes
    ----------
    path : str
        The file.
    frame : DataFrame
        Its columns. The index says where in the file a row is, and its name in what this counts: "line" or "row".
    reading : Reading
        How numbers and dates are written.
    """

    path: str
    frame: DataFrame
    reading: Reading

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.frame.columns)

    def column(self, name: str, option: str) -> str:
        """Return the name of a column that an option asks for; -1 is the last, unless one is called so."""
        if re.fullmatch(r"-[1-9]\d*", name) and name not in self.names and int(name[1:]) <= len(self.names):
            return self.names[int(name)]
        self.require([name], f"{option}: ")
        return name

    def require(self, names: Iterable[str], prefix: str = "") -> None:
        """Raise ValueError if there are not all of these columns."""
        missing = ", ".join(repr(name) for name in names if name not in self.names)
        if missing:
            shown = ", ".join(self.names[:12]) + (f", ... ({len(self.names)} in all)" if len(self.names) > 12 else "")
            raise ValueError(f"{prefix}{self.path} has no column {missing}; its columns are {shown}")

    def listed(self, options: list[str], option: str) -> list[str]:
        """Return the names of columns that an option lists, with commas or repeated; a name may have commas itself."""
        split = (name for names in options for name in ([names] if names in self.names else names.split(",")))
        return [self.column(name, option) for name in split]

    def read(self, wanted: Mapping[str, Wanted], hint: str | None = None) -> tuple[dict[str, str], dict[str, Array]]:
        """Return kinds and values of columns, or raise BadTable for all that cannot be used.

        A `hint`, which may be empty, is for commands with `--ignore`, which is hinted at where it helps.
        """
        kinds, values, bad = {}, {}, []
        for name, want in wanted.items():
            try:
                kinds[name], values[name] = read_column(self.frame[name], want, self.reading)
            except BadColumn as error:
                bad.append(error)
        if not bad:
            return kinds, values
        optional = ",".join(error.name for error in bad if wanted[error.name].optional)
        hint = "" if hint is None or not optional else f"{hint}--ignore {optional} leaves columns out"
        if len(bad) == 1:
            place = f", {bad[0].place}" if bad[0].place else ""
            raise BadTable(f"{self.path}{place}: {bad[0]}" + (f"; {hint}" if hint else ""))
        lines = [f"{error.place}: {error}" if error.place else str(error) for error in bad]
        raise BadTable("\n  ".join([f"{self.path} has {len(bad)} columns that cannot be used:", *lines, hint]).rstrip())


def read_table(path: str | os.PathLike[str], decimal: str | None = None, dates: str | None = None) -> Table:
    """Read a table: by the suffix arrays, Excel or Parquet, and else text."""
    path = os.fspath(path)
    suffix = Path(path).suffix.lower()
    if suffix in (".npy", ".npz", *_PARQUET):
        frame = (
            _by_pandas(path, "read_parquet", dtype_backend="numpy_nullable")
            if suffix in _PARQUET
            else _read_arrays(path)
        )
        frame = frame.set_axis(frame.columns.map(str), axis=1).reset_index(drop=True).rename_axis("row")
        return Table(path, frame, Reading(decimal or ".", dates))
    if suffix in _EXCEL:
        cells, separator = _by_pandas(path, "read_excel", header=None, dtype=object), None
        cells = cells.astype(object).where(cells.notna(), "").map(str)
        cells = cells.set_axis(np.arange(1, len(cells) + 1), axis=0).rename_axis("row")
    else:
        cells, separator = _read_text(path)
    frame = _with_header(cells.apply(lambda column: column.str.strip()), path)
    mark = decimal or ("." if separator == "," else _decimal_of(frame, path))
    return Table(path, frame, Reading(mark, dates))


def is_skops(path: str) -> bool:
    """Whether a file is an object that skops has written, which is no table and no network."""
    content = Path(path).read_bytes()
    return content.startswith(b"PK") and b"schema.json" in content


def _by_pandas(path: str, reader: str, **settings: Any) -> DataFrame:
    import pandas as pd

    try:
        with open(path, "rb") as file:
            frame: DataFrame = getattr(pd, reader)(file, **settings)
    except (OSError, ImportError, MemoryError):
        raise
    except Exception as error:  # what the libraries raise for damaged files is said nowhere
        raise ValueError(f"{path} cannot be read by pandas.{reader}: {error}") from None
    if frame.empty:
        raise ValueError(f"{path} is empty")
    return frame


def _read_arrays(path: str) -> DataFrame:
    """Read a matrix, a structured array, or an archive whose arrays are columns or several columns each."""
    import pandas as pd

    arrays = load_arrays(path, "a table")
    whole = {"": arrays} if isinstance(arrays, np.ndarray) else arrays
    frames: list[DataFrame] = []
    for name, array in whole.items():
        if array.ndim not in (1, 2) or (array.ndim == 1 and not name and array.dtype.names is None):
            raise ValueError(f"{path}: array {name!r} has shape {array.shape}: a table has rows and columns")
        frame = pd.DataFrame(array)
        if array.dtype.names is None:
            frame.columns = [name] if array.ndim == 1 else [f"{name}{k}" for k in range(array.shape[1])]
        if frames and len(frame) != len(frames[0]):
            first = frames[0].columns[0]
            raise ValueError(f"{path}: column {first!r} has {len(frames[0])} rows, but {name!r} has {len(frame)}")
        frames.append(frame)
    if not frames or frames[0].empty:
        raise ValueError(f"{path} is empty")
    return pd.concat(frames, axis=1)


def _read_text(path: str) -> tuple[DataFrame, str]:
    """Return the cells of a text file under the numbers of their lines, and what separates them."""
    import pandas as pd

    with open(path, "rb") as file:
        wide = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
    try:
        content = Path(path).read_text(encoding="utf-16" if wide else "utf-8-sig")
    except UnicodeError:
        raise ValueError(f"{path} is not a text file in UTF-8: save it as such") from None
    if "\0" in content:
        raise ValueError(f"{path} is not a text file")
    lines = content.splitlines()
    blank = next((k for k, line in enumerate(lines) if line.strip()), len(lines))
    head = re.sub(r'"[^"]*"', "", "".join(lines[blank : blank + 1]))
    separator = max(",;\t", key=head.count)
    try:
        cells = pd.read_csv(
            io.StringIO(content),
            sep=separator,
            engine="python",  # which tells cells that are missing at the end of a line from empty ones
            header=None,
            dtype=object,
            keep_default_na=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            skiprows=blank,
        )
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    breaks = cells.apply(lambda column: column.str.count("\n")).sum(axis=1)  # inside quoted cells
    first = 1 + blank + np.arange(len(cells)) + breaks.cumsum().shift(fill_value=0).to_numpy(dtype=int)
    cells = cells.set_axis(first, axis=0).rename_axis("line")
    given = cells.notna().sum(axis=1)
    short = given[(given < cells.shape[1]) & (cells.fillna("") != "").any(axis=1)]
    if not short.empty:
        raise ValueError(f"{path}, line {short.index[0]}: {short.iloc[0]} cells, but the header has {cells.shape[1]}")
    return cells.fillna(""), separator


def _with_header(cells: DataFrame, path: str) -> DataFrame:
    """Return the columns under the names in the first row that is not blank, without the blank ones."""
    cells = cells[(cells != "").any(axis=1)]
    if cells.empty:
        raise ValueError(f"{path} is empty")
    used = np.flatnonzero((cells != "").any(axis=0))  # spreadsheets write empty columns at the end
    cells = cells.iloc[:, : used[-1] + 1]
    names: Series[Any] = cells.iloc[0]
    if matches(names, number_pattern(".")).all():
        raise ValueError(f"{path} has no header: its first line has numbers only, not the names of the columns")
    if (names == "").any():
        raise ValueError(f"{path}: column {int(np.argmax(names == '')) + 1} has no name in the header")
    if names.duplicated().any():
        raise ValueError(f"{path}: the header has {names[names.duplicated()].iloc[0]!r} twice")
    if len(cells) == 1:
        raise ValueError(f"{path} has a header and no rows")
    return cells.iloc[1:].set_axis(names.tolist(), axis=1)


def _decimal_of(frame: DataFrame, path: str) -> str:
    """Return the decimal mark of a table whose cells are not separated by commas, if all its numbers have the same."""
    import pandas as pd

    cells = pd.Series(frame.to_numpy().ravel())
    commas, points = (cells[matches(cells, rf"[+-]?\d+{mark}\d+(?:e[+-]?\d+)?")] for mark in (",", r"\."))
    if commas.empty:
        return "."
    if not points.empty:
        found = f"{commas.iloc[0]!r} and {points.iloc[0]!r}"
        raise ValueError(f"{path} has {found}: say --decimal , or --decimal . for the mark of its numbers")
    if matches(commas, r"[+-]?[1-9]\d{0,2},\d{3}").all():
        found = f"{commas.iloc[0]!r}, which may be a decimal comma or one between thousands"
        raise ValueError(f"{path} has {found}: say --decimal , for the former; take out the latter")
    return ","
