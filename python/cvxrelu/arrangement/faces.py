"""Patterns that are attained only on hyperplanes of an arrangement.

The pattern 1[X u >= 0] of a vector u is 1 on the flat Z = {j : x_j . u = 0} and that of a cell of the arrangement
restricted to {v : x_j . v = 0, j in Z} elsewhere. If some positive combination of all rows of Z vanishes, then every
vector with this pattern is orthogonal to Z, so Z is the smallest flat that gives it, and the only one of this kind.
Else, by Stiemke's theorem (1915), some v has x_j . v >= 0 for all j in Z, not always 0: moving u along v keeps the
pattern and leaves some of the hyperplanes. So every pattern has exactly one balanced flat, the empty one if it is that
of a full-dimensional cell, and the patterns sought are those of the cells of the restrictions to the balanced flats
that are not empty. None has to be remembered. Such a flat has more rows than its rank.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, WordArray
from ..base.native import core
from .cells import ArrangementCertificate
from .exact_rows import ExactRows
from .problem import Problem
from .rational import Table, dot, null_space

#: Patterns of Gaussian vectors that show most flats without positive dependence to be so.
_N_KNOWN = 4096

#: Bits of the coordinates that a point of a face is rounded to, so that it stays on its hyperplanes.
_GATE_BITS = (1, 3, 6, 10, 15, 20, 26, 32, 40, 52)

#: Gates have entries of this size at most, so that no product with a gate overflows where its row is of size one.
_LARGEST_GATE = 2.0**500


def closed_faces(rows: ExactRows, cells: Any, threads: int) -> Iterator[tuple[WordArray, FloatArray]]:
    """Find the patterns that no full-dimensional cell has, flat by flat, each once.

    Parameters
    ----------
    rows : ExactRows
        The data matrix.
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
    n, d = len(rows.sums), rows.n_features
    live = np.asarray(rows.sums.any(axis=1))
    if not live.any() or _half_space(rows.select(live)):
        return
    rng = np.random.default_rng(0)
    known, margin = core.pack_patterns(rows.sums, rows.gates(rng.standard_normal((_N_KNOWN, d))), threads)
    known = np.unique(known[margin > 0], axis=0)
    masks, bases = cells.dependent_flats(known)
    for mask, basis in zip(masks, bases, strict=True):
        flat = np.unpackbits(mask.astype("<u8").view(np.uint8), count=n, bitorder="little").astype(bool)
        if _balanced(rows.select(flat)):
            for words, gates in _pieces(core.Arrangement(cells, basis), n, d, threads):
                yield words, _onto_face(rows, basis, words, gates, threads)
    if _balanced(rows.select(live)):
        yield _patterns_of(rows, np.zeros((1, d)), 1), np.zeros((1, d))


def certified_faces(
    problem: Problem, cells: Any, certificate: ArrangementCertificate, certify: bool, threads: int
) -> Iterator[tuple[WordArray, FloatArray, ArrangementCertificate]]:
    """Yield the patterns on hyperplanes with certificates that count them as well."""
    missing = 0
    for words, gates in closed_faces(problem.rows, cells, threads):
        right = int((problem.patterns_of(gates, threads) == words).all(axis=1).sum()) if certify else 0
        missing += len(words) - right
        certificate = dataclasses.replace(
            certificate,
            n_verified=certificate.n_verified + right,
            n_on_hyperplanes=certificate.n_on_hyperplanes + len(words),
        )
        yield words, gates, certificate
    if certify and missing:
        warnings.warn(
            f"{missing} of {certificate.n_on_hyperplanes} patterns on hyperplanes have no float64 gate that was "
            "found: these patterns are right, their gates are only near",
            UserWarning,
            stacklevel=3,
        )


def _patterns_of(rows: ExactRows, gates: FloatArray, threads: int) -> WordArray:
    words: WordArray = core.pack_patterns(rows.sums, rows.gates(gates), threads)[0]
    return words


def _pieces(cells: Any, n: int, d: int, threads: int) -> Iterator[tuple[WordArray, FloatArray]]:
    while not cells.finished:
        words = np.empty((max(int(cells.room), 1 << 12), (n + 63) // 64), dtype=np.uint64)
        gates = np.empty((len(words), d))
        found = cells.fill(words, gates, threads)
        yield words[:found], gates[:found]


def _half_space(rows: ExactRows) -> bool:
    """Whether some v is seen to have rows @ v > 0 everywhere, for rows that are not zero; else there may be one."""
    unit = _of_one_size(rows.rounded)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    target = np.zeros(unit.shape[1] + 1)
    target[-1] = 1.0
    nearest = _non_negative(np.vstack([unit.T, np.ones(len(unit))]), target) @ unit  # of their convex hull to 0
    words, margin = core.pack_patterns(rows.sums, rows.gates(nearest[None]), 1)
    return bool(margin[0] > 0 and np.unpackbits(words.view(np.uint8)).sum() == len(unit))


def _balanced(matrix: ExactRows) -> bool:
    """Whether some combination of rows that are not zero, with all weights positive, vanishes; exactly."""
    rows = _of_one_size(matrix.rounded)  # what it loses to rounding or underflow makes a worse guess, no more
    sizes = [Fraction(2) ** int(e) for e in np.frexp(np.abs(matrix.rounded).max(axis=1))[1]]
    exact = [[x / size for x in row] for row, size in zip(matrix.rational(), sizes, strict=True)]
    total = [sum(column) for column in zip(*exact, strict=True)]
    if not any(total):
        return True
    # The weights are 1 + w with sum_j w_j x_j = -total, as nearly as w >= 0 can have it.
    w = _non_negative(rows.T, -np.array([float(x) for x in total]))
    support = [exact[j] for j in np.flatnonzero(w > 1e-12 * w.max())]
    normal = [[dot(a, b) for b in [*support, total]] for a in support]
    solutions = null_space(normal) if support else [[1]]
    if len(solutions) == 1 and solutions[0][-1] != 0:
        factors = [Fraction(x, solutions[0][-1]) for x in solutions[0][:-1]]
        pairs = list(zip(factors, support, strict=True))
        rest = [t + sum((f * row[k] for f, row in pairs), Fraction(0)) for k, t in enumerate(total)]
        if any(rest):
            if all(dot(row, rest) >= 0 for row in exact):
                return False
        elif all(f > -1 for f in factors):
            return True
    return _reaches(exact, [-x for x in total])


def _reaches(rows: Table, target: list[Fraction]) -> bool:
    """Whether a non-negative combination of rows is the target: simplex steps in rational numbers, by Bland's rule."""
    n = len(rows)
    table = [[row[k] * (-1 if t < 0 else 1) for row in rows] + [abs(t)] for k, t in enumerate(target)]
    basis = list(range(n, n + len(table)))  # artificial variables, whose sum is to vanish
    while True:
        artificial = [row for row, variable in zip(table, basis, strict=True) if variable >= n]
        enters = next((j for j in range(n) if sum(row[j] for row in artificial) > 0), None)
        if enters is None:
            return not any(row[n] for row in artificial)
        ratios = [(row[n] / row[enters], basis[i], i) for i, row in enumerate(table) if row[enters] > 0]
        leaves = min(ratios)[2]
        table[leaves] = [x / table[leaves][enters] for x in table[leaves]]
        for i, row in enumerate(table):
            if i != leaves and row[enters] != 0:
                table[i] = [x - row[enters] * y for x, y in zip(row, table[leaves], strict=True)]
        basis[leaves] = enters


def _of_one_size(rows: FloatArray) -> FloatArray:
    """Scale rows by powers of two."""
    scaled: FloatArray = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1, keepdims=True))[1])
    return scaled


def _non_negative(A: FloatArray, b: FloatArray) -> FloatArray:
    """Return w >= 0 that brings A @ w near to b, or zeros when that takes too many iterations."""
    from scipy.optimize import nnls  # here: the package itself needs NumPy only

    try:
        return np.asarray(nnls(A, b, maxiter=100 * A.shape[1])[0])
    except RuntimeError:
        return np.zeros(A.shape[1])


def _onto_face(rows: ExactRows, basis: list[int], words: WordArray, gates: FloatArray, threads: int) -> FloatArray:
    """Move gates near faces of a flat onto them: to small integer combinations of a basis of the subspace."""
    gates = np.nan_to_num(gates, nan=0.0, posinf=_LARGEST_GATE, neginf=-_LARGEST_GATE)
    gates = np.ldexp(gates, np.minimum(0, 500 - np.frexp(np.abs(gates).max(axis=1, keepdims=True))[1]))
    directions = null_space(rows.select(np.array(basis)).rational())
    longest = max(max(map(abs, vector)) for vector in directions).bit_length()
    shift = max(0, longest - 900)  # beyond float64 lie only points that it cannot express
    N = np.array([[float(x >> shift) for x in vector] for vector in directions])
    N = np.ldexp(N, -np.frexp(np.abs(N).max(axis=1, keepdims=True))[1])
    coordinates = np.linalg.lstsq(N.T, gates.T, rcond=None)[0].T
    coordinates /= np.maximum(np.abs(coordinates).max(axis=1, keepdims=True), np.finfo(float).tiny)
    left = np.arange(len(gates))
    for bits in _GATE_BITS:
        points = np.rint(np.ldexp(coordinates[left], bits)) @ N
        there = (_patterns_of(rows, points, threads) == words[left]).all(axis=1)
        gates[left[there]] = (
            points[there] / np.maximum(np.exp2(np.frexp(np.abs(points[there]).max(axis=1))[1]), 1)[:, None]
        )
        left = left[~there]
        if not left.size:
            break
    return gates
