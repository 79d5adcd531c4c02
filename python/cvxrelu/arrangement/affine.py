"""Regions of affine arrangements {u : a_j . u = b_j}, by the cone over them.

In coordinates (u, t) the hyperplanes a_j . u = b_j t and t = 0 pass through the origin, and the regions are the cells
with t > 0. A region is unbounded if and only if it meets one of the hyperplanes f . u = M and f . u = -M, for a generic
functional f and a number M beyond the values of f at all vertices; with integer rows, Hadamard's inequality gives one.
The arrangement that the rows cut out of such a hyperplane is enumerated exactly, too, and its patterns are found again
among those of the regions. Their number must be that of Zaslavsky (1975), so a functional that is not generic is seen.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, WordArray
from ..base.bits import BoolArray, merge_patterns, unpack_patterns
from ..base.native import core
from .cells import pieces
from .characteristic import whitney_numbers, without_infinity
from .exact_rows import from_rational, primitive
from .problem import Problem
from .watch import count_cells

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


def above(words: WordArray, n: int) -> tuple[npt.NDArray[np.bool_], WordArray]:
    """Return which cells of the cone have t > 0, the last of n + 1 bits, and the words of those without this bit."""
    last = np.uint64(1) << np.uint64(n % 64)
    chosen = (words[:, n // 64] & last) != 0
    kept = words[chosen, : max(1, (n + 63) // 64)]
    if n % 64:
        kept[:, n // 64] &= ~last
    return chosen, kept


def regions_of(
    problem: Problem, words: WordArray, gates: FloatArray, certificate: Any, unbounded: WordArray, threads: int
) -> Regions:
    """Turn cells of the cone into regions.

    Parameters
    ----------
    problem : Problem
        The cone: rows (a, -b), and (0, 1).
    words : ndarray of shape (2 n_regions, n_words), uint64
        Cells of it, with their antipodes.
    gates : ndarray of shape (2 n_regions, n_features + 1)
        Points inside.
    certificate : ArrangementCertificate
        Of the cells.
    unbounded : ndarray of shape (n_unbounded, ...), uint64
        What :func:`unbounded_patterns` returns.
    threads : int
        Threads.

    Returns
    -------
    Regions
    """
    n = problem.n_samples - 1
    chosen, patterns = above(words, n)
    gates = gates[chosen]
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        points = gates[:, :-1] / gates[:, -1:]
    points[~np.isfinite(points).all(axis=1)] = 0.0
    inside = _inside(problem, points, words[chosen], threads) if certificate.n_verified else np.zeros(len(points), bool)
    missing = len(points) - int(inside.sum())
    if certificate.n_verified and missing:
        warnings.warn(
            f"{missing} of {len(points)} regions are so thin or so far away that no float64 point was found inside: "
            "their patterns are right, their points are not",
            UserWarning,
            stacklevel=3,
        )
    certificate = dataclasses.replace(certificate, n_cells=len(points), n_verified=int(inside.sum()))
    bounded = core.find_patterns(unbounded, patterns) < 0
    return Regions(points, patterns, n, bounded, certificate)


def region_pieces(
    problem: Problem, cells: Any, unbounded: WordArray, chunk: int, certify: bool, threads: int
) -> Iterator[Regions]:
    """Yield the regions that are left, at most `chunk` at a time; the certificate counts those so far."""
    n_cells = n_verified = 0
    for piece in pieces(problem, cells, 2 * chunk, certify, threads):
        regions = regions_of(problem, piece.words, piece.gates, piece.certificate, unbounded, threads)
        n_cells += regions.certificate.n_cells
        n_verified += regions.certificate.n_verified
        so_far = dataclasses.replace(regions.certificate, n_cells=n_cells, n_verified=n_verified)
        yield dataclasses.replace(regions, certificate=so_far)


def _inside(problem: Problem, points: FloatArray, words: WordArray, threads: int) -> BoolArray:
    """Whether points have their patterns and lie on no hyperplane, exactly."""
    cone = np.hstack([points, np.ones((len(points), 1))])
    sums = problem.rows.sums
    patterns, margin = core.pack_patterns(sums, problem.rows.gates(cone), threads)
    inside: BoolArray = (patterns == words).all(axis=1)
    close = np.flatnonzero(inside & (margin == 0))
    if close.size:
        opposite = core.pack_patterns(-sums, problem.rows.gates(cone[close]), threads)[0]
        live = np.packbits(sums.any(axis=1), bitorder="little")
        mask = np.zeros(8 * words.shape[1], dtype=np.uint8)
        mask[: live.size] = live
        inside[close] = (((opposite & words[close]) & mask.view(np.uint64)) == 0).all(axis=1)
    return inside


def unbounded_patterns(problem: Problem, threads: int) -> WordArray:
    """Return the patterns of the regions that are unbounded (but for directions parallel to all hyperplanes)."""
    rows = [primitive(row) for row in problem.rows.rational()[:-1]]
    columns = basis_columns([row[:-1] for row in rows])
    if not columns:
        return np.zeros((0, max(1, (len(rows) + 63) // 64)), dtype=np.uint64)
    essential = [[*(row[k] for k in columns), row[-1]] for row in rows]
    cells = problem.search(False)
    count_cells(cells, threads)
    numbers = without_infinity(whitney_numbers(cells.rank, cells.counts["sets"]))
    n_unbounded = sum(map(abs, numbers)) - abs(sum(numbers))
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
    cells = Problem(from_rational(trace, "A"), "exact", 0.0).search(False)
    pairs = []
    while not cells.finished:
        words = np.empty((max(int(cells.room), 1 << 14), (len(trace) + 63) // 64), dtype=np.uint64)
        found = cells.fill(words, np.empty((0, 0)), threads)
        pairs.append(above(words[:found], len(rows))[1])
    return np.concatenate(pairs)


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
