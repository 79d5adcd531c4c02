"""Patterns that are attained only on hyperplanes of an arrangement.

The pattern 1[X u >= 0] of a vector u is 1 on the flat Z = {j : x_j . u = 0} and that of a cell of the arrangement
restricted to {v : x_j . v = 0, j in Z} elsewhere. It is also the pattern of a full-dimensional cell exactly when the
rows of Z lie in an open half-space (move u into it). Else some of these rows are positively dependent (Gordan, 1873),
so Z has more rows than its rank. The patterns sought are therefore those of the cells of the restrictions to all flats
that have a positive dependence, each counted once.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ._native import core
from ._validation import FloatArray, WordArray

#: Patterns of Gaussian vectors that show most flats without positive dependence to be so.
_N_KNOWN = 4096
#: Bits of the coordinates that a point of a face is rounded to, so that it stays on its hyperplanes.
_GATE_BITS = (1, 3, 6, 10, 15, 20, 26, 32, 40, 52)

Rational = list[list[Fraction]]


def closed_faces(X: FloatArray, cells: Any, threads: int) -> Iterator[tuple[WordArray, FloatArray]]:
    """Find the patterns that no full-dimensional cell has, flat by flat, each once.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Data matrix.
    cells : core.Arrangement
        Its arrangement, in exact arithmetic.
    threads : int
        Threads.

    Yields
    ------
    words : ndarray of shape (n_faces, n_words), uint64
        Patterns, in some order that does not depend on the number of threads.
    gates : ndarray of shape (n_faces, n_features)
        A point of each face where float64 numbers express one, else one near it.
    """
    live = X.any(axis=1)
    if not live.any() or _half_space(X[live]):
        return
    rng = np.random.default_rng(0)
    known, margin = core.pack_patterns(X, rng.standard_normal((_N_KNOWN, X.shape[1])), threads)
    known = np.unique(known[margin > 0], axis=0)
    masks, bases = cells.dependent_flats(known)
    seen: set[bytes] = set()
    for mask, basis in zip(masks, bases, strict=True):
        flat = np.unpackbits(mask.astype("<u8").view(np.uint8), count=len(X), bitorder="little").astype(bool)
        if _half_space(X[flat]):
            continue
        for words, gates in _pieces(core.Arrangement(cells, basis), X.shape[0], X.shape[1], threads):
            new = [row.tobytes() not in seen for row in words]
            if any(new):
                seen.update(row.tobytes() for row in words[new])
                yield words[new], _onto_face(X, basis, words[new], gates[new], threads)
    origin = np.zeros((1, X.shape[1]))
    everything, _ = core.pack_patterns(X, origin, 1)
    if everything[0].tobytes() not in seen:
        yield everything, origin


def _pieces(cells: Any, n: int, d: int, threads: int) -> Iterator[tuple[WordArray, FloatArray]]:
    while not cells.finished:
        words = np.empty((max(int(cells.room), 1 << 12), (n + 63) // 64), dtype=np.uint64)
        gates = np.empty((len(words), d))
        found = cells.fill(words, gates, threads)
        yield words[:found], gates[:found]


def _half_space(rows: FloatArray) -> bool:
    """Whether some v has rows @ v > 0 everywhere, for rows that are not zero; exactly."""
    from scipy.optimize import nnls  # here: the package itself needs NumPy only

    rows = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1])
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    target = np.zeros(rows.shape[1] + 1)
    target[-1] = 1.0
    with contextlib.suppress(RuntimeError):  # too many iterations: then the cells decide
        weights, _ = nnls(np.vstack([unit.T, np.ones(len(unit))]), target, maxiter=100 * len(unit))
        nearest = weights @ unit  # of the convex hull of the rows to 0
        words, margin = core.pack_patterns(rows, nearest[None], 1)
        if margin[0] > 0 and np.unpackbits(words.view(np.uint8)).sum() == len(rows):
            return True
        support = np.flatnonzero(weights > 1e-12 * weights.max())
        dependences = _null_space([[Fraction(float(x)) for x in column] for column in rows[support].T])
        if len(dependences) == 1 and (min(dependences[0]) >= 0 or max(dependences[0]) <= 0):
            return False
    whole = core.Arrangement(np.ascontiguousarray(rows), 0.0, False)
    n = len(rows)
    return any(
        (np.unpackbits(words.view(np.uint8), axis=1).sum(axis=1) == n).any()
        for words, _ in _pieces(whole, n, rows.shape[1], 1)
    )


def _null_space(matrix: Rational) -> list[list[int]]:
    """Return a basis of the vectors that the rows of `matrix` annihilate, as integers without a common divisor."""
    rows, pivots = [list(row) for row in matrix], list[int]()
    width = len(rows[0])
    for column in range(width):
        top = len(pivots)
        found = next((i for i in range(top, len(rows)) if rows[i][column] != 0), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column] != 0:
                factor = row[column]
                rows[i] = [x - factor * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(column)
    basis = []
    for free in (column for column in range(width) if column not in pivots):
        vector = [Fraction(0)] * width
        vector[free] = Fraction(1)
        for row, pivot in zip(rows, pivots, strict=False):
            vector[pivot] = -row[free]
        scale = math.lcm(*(x.denominator for x in vector))
        integers = [int(x * scale) for x in vector]
        divisor = math.gcd(*integers)
        basis.append([x // divisor for x in integers])
    return basis


def _onto_face(X: FloatArray, basis: list[int], words: WordArray, gates: FloatArray, threads: int) -> FloatArray:
    """Move gates near faces of a flat onto them: to small integer combinations of a basis of the subspace."""
    directions = _null_space([[Fraction(float(x)) for x in X[j]] for j in basis])
    longest = max(max(map(abs, vector)) for vector in directions).bit_length()
    shift = max(0, longest - 900)  # beyond float64 lie only points that it cannot express
    N = np.array([[float(x >> shift) for x in vector] for vector in directions])
    N = np.ldexp(N, -np.frexp(np.abs(N).max(axis=1, keepdims=True))[1])
    coordinates = np.linalg.lstsq(N.T, gates.T, rcond=None)[0].T
    coordinates /= np.maximum(np.abs(coordinates).max(axis=1, keepdims=True), np.finfo(float).tiny)
    left = np.arange(len(gates))
    for bits in _GATE_BITS:
        points = np.rint(np.ldexp(coordinates[left], bits)) @ N
        there = (core.pack_patterns(X, points, threads)[0] == words[left]).all(axis=1)
        gates[left[there]] = (
            points[there] / np.maximum(np.exp2(np.frexp(np.abs(points[there]).max(axis=1))[1]), 1)[:, None]
        )
        left = left[~there]
        if not left.size:
            break
    return gates
