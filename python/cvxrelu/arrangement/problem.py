"""What an enumeration works on: rows, and what its decisions are exact for."""

from __future__ import annotations

import dataclasses
import warnings
from fractions import Fraction
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, WordArray, as_count, as_scalar
from ..base.native import core
from ..exceptions import ArrangementTooLargeError
from .exact_rows import ExactRows, as_cone_rows, as_exact_rows

#: Rows, or directions of the data, that differ by less than this are likely to have been meant to be dependent.
_NEARLY = 1e-12


@dataclasses.dataclass(frozen=True)
class Problem:
    """The rows of an arrangement with the way of deciding.

    Attributes
    ----------
    rows : ExactRows
        Data matrix.
    mode : {"exact", "decimals", "tol"}
        What the decisions are exact for.
    tol : float
        What counts as zero where they are not exact; 0 where they are.
    affine : bool
        Whether the rows are those of the cone over an affine arrangement, infinity last. The cells are its regions
        then, with patterns that have no bit for infinity, and points instead of gates.
    """

    rows: ExactRows
    mode: str
    tol: float
    affine: bool = False

    @property
    def n_samples(self) -> int:
        """Rows of the data matrix."""
        return len(self.rows.sums)

    @property
    def n_features(self) -> int:
        """Columns of the data matrix."""
        return self.rows.n_features

    def search(self, certify: bool) -> Any:
        """Return a search for the cells."""
        try:
            return core.Arrangement(self.rows.sums, self.tol, certify, self.rows.parts, self.affine)
        except OverflowError as error:
            raise ArrangementTooLargeError(str(error)) from None

    def patterns_of(self, gates: FloatArray, threads: int) -> WordArray:
        """Return the patterns of some gates."""
        words: WordArray = core.pack_patterns(self.rows.sums, self.rows.gates(gates), threads)[0]
        return words

    def warn_if_nearly_degenerate(self, cells: Any) -> None:
        """Warn where exact decisions on rounded numbers are probably not what is wanted."""
        if self.mode != "exact" or not self.rows.as_given:
            return
        X = self.rows.rounded
        rank = numerical_rank(X)
        if rank < cells.rank:
            near = f"X has numerical rank {rank}, but the numbers given have rank {cells.rank}"
        elif (pair := _nearly_parallel(X)) is not None:
            near = f"rows {pair[0]} and {pair[1]} are parallel to {_NEARLY:g}, but not for the numbers given"
        else:
            return
        warnings.warn(
            f"{near}: exact decisions find cells that only rounding makes. If the numbers are rounded, tol=1e-9 (or "
            "decimals=...) finds the cells that were meant",
            UserWarning,
            stacklevel=4,
        )


def _of_one_norm(X: FloatArray) -> FloatArray:
    """Scale rows to norm one, but for those that are zero."""
    X = np.ldexp(X, -np.frexp(np.abs(X).max(axis=1, keepdims=True))[1])
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    unit: FloatArray = np.divide(X, norms, out=np.zeros_like(X), where=norms > 0)
    return unit


def numerical_rank(X: FloatArray) -> int:
    """Return the rank as float64 sees it, with rows and columns brought to one size."""
    unit = _of_one_norm(_of_one_norm(X.T).T)
    values = np.linalg.svd(unit, compute_uv=False)
    return int((values > values[0] * max(unit.shape) * np.finfo(float).eps).sum())


def _nearly_parallel(X: FloatArray) -> tuple[int, int] | None:
    """Return two rows that are parallel to rounding, but not exactly."""
    live = np.flatnonzero(X.any(axis=1))
    unit = _of_one_norm(X[live])
    functional = np.random.default_rng(0).standard_normal(X.shape[1])
    keys = np.abs(unit @ (functional / np.linalg.norm(functional)))
    order = np.argsort(keys, kind="stable")
    close = np.flatnonzero(np.diff(keys[order]) <= _NEARLY)
    first, second = order[close], order[close + 1]
    distance = np.minimum(
        np.abs(unit[first] - unit[second]).max(axis=1, initial=0),
        np.abs(unit[first] + unit[second]).max(axis=1, initial=0),
    )
    for i, j in zip(first[distance <= _NEARLY], second[distance <= _NEARLY], strict=True):
        a, b = ([Fraction(float(x)) for x in X[live[row]]] for row in (i, j))
        k = int(np.abs(unit[i]).argmax())
        if any(a[k] * y != b[k] * x for x, y in zip(a, b, strict=True)):
            low, high = sorted((int(live[i]), int(live[j])))
            return low, high
    return None


def prepare(X: Any, decimals: int | None, tol: float | None, offsets: Any = None) -> Problem:
    """Check what was given; with offsets the rows are those of the cone over the affine arrangement.

    Raises
    ------
    TypeError, ValueError
        As :func:`cvxrelu.enumerate_patterns` says.
    """
    affine = offsets is not None
    rows = as_cone_rows(X, offsets) if affine else as_exact_rows(X)
    if decimals is not None and tol is not None:
        raise ValueError("decimals and tol exclude each other: the first is exact, the second is not")
    if tol is not None:
        width = as_scalar(tol, "tol", strict=True)
        return Problem(ExactRows(rows.rounded, 1, rows.as_given), "tol", width, affine)
    if decimals is None:
        return Problem(rows, "exact", 0.0, affine)
    places = as_count(decimals, "decimals", minimum=0)
    if not rows.as_given:
        raise ValueError("decimals=... is for floats: fractions, decimals and large integers are taken as they are")
    data = _rounded(rows.rounded, places)
    if affine:
        data[-1, -1] = 1.0
    return Problem(ExactRows(data, 1, True), "decimals", 0.0, affine)


def _rounded(data: FloatArray, places: int) -> FloatArray:
    rounded = np.rint(data * 10.0**places)
    bad = np.argwhere(~(np.abs(rounded) < 2.0**53))
    if bad.size:
        j, k = map(int, bad[0])
        raise ValueError(f"decimals={places} needs more than 53 bits for X[{j}, {k}] = {data[j, k]}: use fewer")
    return rounded
