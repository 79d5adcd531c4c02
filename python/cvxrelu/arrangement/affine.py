"""Regions of affine arrangements {u : a_j . u = b_j}, by the cone over them.

In coordinates (u, t) the hyperplanes a_j . u = b_j t and t = 0 pass through the origin, and the regions are the cells
with t > 0. Far out along a direction v that lies on no hyperplane a_j . v = 0 every region has the signs of a_j . v, so
the cells of this central arrangement are the patterns of unbounded regions: of all of them, if they are as many as
Zaslavsky (1975) says, as they are in general position. Else some regions lie between parallels, say. A region is
unbounded if and only if it meets one of the hyperplanes f . u = M and f . u = -M, for a generic functional f and a
number M beyond the values of f at all vertices; with integer rows, Hadamard's inequality gives one. The arrangement
that the rows cut out of such a hyperplane is enumerated exactly, too, and again the number shows a functional that is
not generic. The patterns are found among those of the regions by hashing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, WordArray
from ..base.bits import BoolArray, merge_patterns, pack_mask, unpack_patterns
from ..base.callbacks import Callback
from ..base.native import core
from .cells import certificate_of, filled, list_cells
from .characteristic import whitney_numbers, without_infinity
from .exact_rows import from_rational, primitive
from .problem import Problem

#: 2^61 - 1, modulo which a basis of columns is found.
_PRIME = (1 << 61) - 1


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Regions:
    """Regions of an affine arrangement, with a point inside each.

    Made by :func:`enumerate_patterns` with offsets. Indexable by an integer array, a boolean mask or a slice.

    Attributes
    ----------
    points : ndarray of shape (n_regions, n_features)
        Row i lies strictly inside region i, where float64 has such a point (see `certificate`).
    words : ndarray of shape (n_regions, ceil(n_rows / 64)), uint64
        Bit j % 64 of ``words[i, j // 64]`` is 1 where ``a_j . u >= b_j`` in the region.
    n_rows : int
        Rows of the arrangement.
    bounded : ndarray of shape (n_regions,), bool
        Whether the region is bounded, but for the directions that are parallel to all hyperplanes.
    certificate : ArrangementCertificate
        How completeness and points were verified.
    """

    points: FloatArray
    words: WordArray
    n_rows: int
    bounded: BoolArray
    certificate: Any

    def __post_init__(self) -> None:
        for array in (self.points, self.words, self.bounded):
            array.flags.writeable = False

    def __len__(self) -> int:
        return int(self.words.shape[0])

    def __repr__(self) -> str:
        return f"Regions({len(self)} of {self.n_rows} rows, {int(self.bounded.sum())} of them bounded)"

    def __getitem__(self, index: Any) -> Regions:
        """Return the chosen regions."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        return dataclasses.replace(
            self, points=self.points[chosen], words=self.words[chosen], bounded=self.bounded[chosen]
        )

    def to_dense(self) -> BoolArray:
        """Return ``a_j . u >= b_j`` as a boolean array of shape (n_rows, n_regions)."""
        return unpack_patterns(self.words, self.n_rows)


def list_regions(
    problem: Problem, cells: Any, limit: int | None, certify: bool, threads: int, callback: Callback | None
) -> Regions:
    """Return all regions of a search that has not begun.

    Parameters
    ----------
    problem : Problem
        An affine one.
    cells : Arrangement of the core
        Its search.
    limit : int or None
        Raise instead of returning more regions than this.
    certify : bool
        Whether the search checks points.
    threads : int
        Threads.
    callback : callable or None
        Told of the search.

    Returns
    -------
    Regions

    Raises
    ------
    ArrangementTooLargeError
        Where there are too many, or the callback says so.
    """
    words, points = list_cells(problem, cells, limit, threads, callback=callback)
    certificate = certificate_of(cells, problem.mode, certify)
    unbounded = unbounded_patterns(problem, cells, threads)
    return Regions(points, words, problem.n_samples - 1, _bounded(words, unbounded, threads), certificate)


def region_pieces(
    problem: Problem, cells: Any, unbounded: WordArray, chunk: int, certify: bool, threads: int
) -> Iterator[Regions]:
    """Yield the regions that are left, at most `chunk` at a time; the certificate counts those so far."""
    for words, points, certificate in filled(problem, cells, chunk, certify, threads):
        yield Regions(points, words, problem.n_samples - 1, _bounded(words, unbounded, threads), certificate)


def _bounded(words: WordArray, unbounded: WordArray, threads: int) -> BoolArray:
    found: BoolArray = core.find_among(unbounded, words, threads)
    return ~found


def unbounded_patterns(problem: Problem, counted: Any, threads: int) -> WordArray:
    """Return the patterns of the regions that are unbounded (but for directions parallel to all hyperplanes).

    Parameters
    ----------
    problem : Problem
        An affine one.
    counted : Arrangement of the core
        A search of it that has come to its end.
    threads : int
        Threads.

    Returns
    -------
    ndarray of shape (n_unbounded, n_words), uint64
    """
    numbers = without_infinity(whitney_numbers(counted.rank, counted.counts["sets"]))
    n_unbounded = sum(map(abs, numbers)) - abs(sum(numbers))
    found = _at_infinity(problem, threads)
    return found if len(found) == n_unbounded else _far_away(problem, n_unbounded, threads)


def _at_infinity(problem: Problem, threads: int) -> WordArray:
    """Return the patterns of the regions whose unbounded directions have interior points."""
    rows, d = problem.rows, problem.n_features - 1
    columns = [part * (d + 1) + k for part in range(rows.parts) for k in range(d)]
    sums = np.ascontiguousarray(rows.sums[:-1, columns])
    central = dataclasses.replace(problem, rows=dataclasses.replace(rows, sums=sums), affine=False)
    cells = central.search(False)
    if cells.rank == 0:
        return np.zeros((0, cells.n_words), dtype=np.uint64)
    words, _ = list_cells(central, cells, None, threads, gates=False)
    return words & ~pack_mask(~sums.any(axis=1) & (rows.sums[:-1, d] < 0))  # 0 >= b, the same in all regions


def _far_away(problem: Problem, n_unbounded: int, threads: int) -> WordArray:
    """Return the patterns of all unbounded regions, by the hyperplanes f . u = M and f . u = -M that meet them."""
    rows = [primitive(row) for row in problem.rows.rational()[:-1]]
    columns = basis_columns([row[:-1] for row in rows])
    essential = [[*(row[k] for k in columns), row[-1]] for row in rows]
    rng = np.random.default_rng(1975)
    for _ in range(10):
        functional = [int(x) for x in rng.integers(1, 1 << 31, len(columns))]
        far = _beyond_vertices(essential, functional)
        met = np.concatenate([_met_by(essential, functional, side, threads) for side in (far, -far)])
        found = met[merge_patterns(met)[0]]
        # A region that is missed, because the functional vanishes on its rays, is seen from its antipode at infinity.
        if len(found) == n_unbounded:
            return found
    raise RuntimeError("no generic functional was found: this has a probability below 1e-80")


def _beyond_vertices(rows: list[list[int]], functional: list[int]) -> int:
    """Return a number above |f . v| for all vertices v: by Cramer's rule quotients of minors, which are integers."""
    sizes = sorted((sum(x * x for x in row).bit_length() // 2 + 1 for row in rows), reverse=True)
    bits = sum(sizes[: len(functional)]) + sum(functional).bit_length()
    return 1 << (bits + 1)


def _met_by(rows: list[list[int]], functional: list[int], level: int, threads: int) -> WordArray:
    """Return the patterns on the hyperplane f . u = level."""
    pivot = functional[0]  # u_0 is (level t - sum_k f_k u_k) / f_0
    trace = [
        [*(row[k] * pivot - row[0] * f for k, f in enumerate(functional) if k), row[-1] * pivot + row[0] * level]
        for row in rows
    ]
    trace.append([0] * (len(functional) - 1) + [1])
    cone = Problem(from_rational(trace, "A"), "exact", 0.0, affine=True)
    return np.concatenate([words for words, _, _ in filled(cone, cone.search(False), 1 << 14, False, threads)])


def basis_columns(rows: list[list[int]]) -> list[int]:
    """Return independent columns that span all, of integers: elimination modulo a prime, which a minor would have to be
    a multiple of to be missed.
    """
    left = [[x % _PRIME for x in row] for row in rows]
    columns = []
    for k in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in left if row[k]), None)
        if pivot is None:
            continue
        columns.append(k)
        left.remove(pivot)
        inverse = pow(pivot[k], -1, _PRIME)
        for i, row in enumerate(left):
            if row[k]:
                factor = row[k] * inverse % _PRIME
                left[i] = [(x - factor * y) % _PRIME for x, y in zip(row, pivot, strict=True)]
    return columns
