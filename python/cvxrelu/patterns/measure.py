"""Gaussian measure of the cells of an arrangement."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import numpy as np

from ..base.arrays import FloatArray, WordArray, as_count, as_design, as_generator, as_threads
from ..base.bits import pack_mask, row_keys
from ..base.native import core

#: Patterns times n_samples^(rank - 1) that quadrature takes some seconds for.
MODEST_WORK = 2e8


@dataclasses.dataclass(frozen=True)
class ConeMeasure:
    """Probabilities that a standard Gaussian vector lies in given cells.

    Attributes
    ----------
    probabilities : ndarray of shape (n_patterns,)
        P[h in K_i], h ~ N(0, I).
    errors : ndarray of shape (n_patterns,)
        With ``method="sample"`` the standard errors. Else bounds on the rounding errors, thin cells and nearly
        dependent columns included, and with ``"quadrature"`` the estimate of the quadrature error as well.
    method : {"exact", "quadrature", "sample"}
        How they were computed.
    n_draws : int
        Gaussian vectors drawn; each also stands for its negative. 0 for the other methods.
    """

    probabilities: FloatArray
    errors: FloatArray
    method: str
    n_draws: int

    def __post_init__(self) -> None:
        self.probabilities.flags.writeable = False
        self.errors.flags.writeable = False


class Cells(Protocol):
    """Cells by their patterns, with a gate in each: what :class:`ActivationPatterns` have."""

    @property
    def gates(self) -> FloatArray: ...
    @property
    def words(self) -> WordArray: ...
    @property
    def n_samples(self) -> int: ...
    def __len__(self) -> int: ...


def measure_cells(
    X: Any, patterns: Cells, *, method: str, n_draws: int, random_state: Any, n_threads: int | None
) -> ConeMeasure:
    """Measure given cells; parameters and errors are those of :func:`cvxrelu.cone_measure`."""
    X = as_design(X, n_features=patterns.gates.shape[1])
    if X.shape[0] != patterns.n_samples:
        raise ValueError(f"X has {X.shape[0]} samples, but the patterns have {patterns.n_samples}")
    if method not in ("auto", "exact", "quadrature", "sample"):
        raise ValueError(f'method must be "auto", "exact", "quadrature" or "sample", not {method!r}')
    draws, threads = as_count(n_draws, "n_draws"), as_threads(n_threads)
    coordinates, moved = _coordinates(X)
    rank = coordinates.shape[1]
    if method == "exact" and rank > 3:
        raise ValueError(f'method="exact" needs rank 3 at most, but X has rank {rank}: use method="sample"')
    if method == "quadrature" and rank not in (4, 5):
        raise ValueError(f'method="quadrature" needs rank 4 or 5, but X has rank {rank}')
    work = len(patterns) * float(X.any(axis=1).sum()) ** max(rank - 1, 0)
    if method == "quadrature" or (method == "auto" and rank in (4, 5) and work <= MODEST_WORK):
        probabilities, errors = _by_quadrature(coordinates, patterns, threads)
        return ConeMeasure(probabilities, errors + moved, "quadrature", 0)
    if method == "sample" or rank > 3:
        return _sampled(X, patterns, draws, as_generator(random_state), threads)
    if rank < 2:
        # Two half-lines, or all of the space; what is not one of them has no part of the line, and all its measure in
        # the error.
        words = pack_mask(coordinates[:, 0] >= 0 if rank else np.ones(len(X), dtype=bool))
        flip = pack_mask(X.any(axis=1))
        one = [(patterns.words == side).all(axis=1) for side in (words, words ^ flip)]
        probabilities, errors = 0.5**rank * (one[0] | one[1]), np.zeros(len(patterns))
    else:
        probabilities, errors = core.cone_measure(coordinates, patterns.words, threads)
    return ConeMeasure(probabilities, errors + moved, "exact", 0)


def _by_quadrature(rows: FloatArray, patterns: Cells, threads: int) -> tuple[FloatArray, FloatArray]:
    """Antipodal cells have the same measure, so only one of each pair is computed."""
    live = np.asarray(rows.any(axis=1))
    antipode = patterns.words ^ pack_mask(live)
    first = int(np.flatnonzero(live)[0])
    inactive = (patterns.words[:, first // 64] >> np.uint64(first % 64)) & np.uint64(1) == 0
    representative = np.where(inactive[:, None], antipode, patterns.words)
    _, chosen, position = np.unique(row_keys(representative), return_index=True, return_inverse=True)
    words = np.ascontiguousarray(representative[chosen])
    unit = _of_norm_one(rows[live])
    octets = words.astype("<u8", copy=False).view(np.uint8)
    signs = np.where(np.unpackbits(octets, axis=1, count=len(rows), bitorder="little")[:, live] != 0, 1.0, -1.0)
    weights = np.zeros((len(words), len(rows)))
    weights[:, live] = [_nearest_to_zero(sign[:, None] * unit) for sign in signs]
    probabilities, errors = core.solid_angles(rows, words, weights, threads)
    return probabilities[position], errors[position]


def _nearest_to_zero(points: FloatArray) -> FloatArray:
    """Return weights of the point of the convex hull that is nearest to 0, or of another where that takes too long."""
    from scipy.optimize import nnls  # here: the package itself needs NumPy only

    target = np.zeros(points.shape[1] + 1)
    target[-1] = 1.0
    try:
        return np.asarray(nnls(np.vstack([points.T, np.ones(len(points))]), target, maxiter=100 * len(points))[0])
    except RuntimeError:
        return np.ones(len(points))


def _of_norm_one(rows: FloatArray) -> FloatArray:
    """Divide rows by their norms; rows that are zero stay."""
    scale = np.abs(rows).max(axis=1, keepdims=True)
    rows = np.divide(rows, scale, out=np.zeros_like(rows), where=scale > 0)
    norms: FloatArray = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1.0)
    unit: FloatArray = rows / norms
    return unit


def row_space(X: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the row space, (n_features, rank), by the numerical rank."""
    scale = np.abs(X).max(axis=1, keepdims=True)
    rows = np.divide(X, scale, out=np.zeros_like(X), where=scale > 0)
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum()) if values[0] > 0 else 0
    return np.ascontiguousarray(vectors[:rank].T)


def _coordinates(X: FloatArray) -> tuple[FloatArray, float]:
    """Return coordinates of the rows in an orthonormal basis of their span, and what that changes of a measure at most.

    A half-space whose normal turns by an angle t changes by t / (2 pi) of the Gaussian measure, on either side. So what
    rounding, and directions beyond the numerical rank, turn all rows by bounds the error of every cell. Where the span
    is the whole space the rows are their own coordinates.
    """
    basis = row_space(X)
    d, rank = basis.shape
    if rank == d:
        return X, 0.0
    unit = _of_norm_one(X)
    coordinates = unit @ basis
    skew = np.linalg.norm(basis.T @ basis - np.eye(rank)) + 2 * d * np.finfo(float).eps
    turned = np.linalg.norm(unit - coordinates @ basis.T, axis=1) + skew * X.any(axis=1)
    return coordinates, float(turned.sum() / (2 * np.pi))


def _sampled(X: FloatArray, patterns: Cells, n_draws: int, rng: np.random.Generator, threads: int) -> ConeMeasure:
    flip = pack_mask(np.asarray(X.any(axis=1)))
    antipode = patterns.words ^ flip
    keys = np.concatenate([row_keys(patterns.words), row_keys(antipode)])
    distinct, position = np.unique(keys, return_inverse=True)
    counts = np.zeros(distinct.size, dtype=np.int64)
    piece = max(1, min(n_draws, 2**20 // max(8 * X.shape[1], 1)))  # some hundredths of a second
    for first in range(0, n_draws, piece):
        gates = rng.standard_normal((min(piece, n_draws - first), X.shape[1]))
        words, _ = core.pack_patterns(X, gates, threads)
        drawn, times = np.unique(row_keys(words), return_counts=True)
        where = np.minimum(np.searchsorted(distinct, drawn), distinct.size - 1)
        hit = distinct[where] == drawn
        np.add.at(counts, where[hit], times[hit])
    both = counts[position].reshape(2, -1).sum(axis=0)
    if not flip.any():
        both = counts[position[: len(patterns)]] * 2
    p = both / (2 * n_draws)
    variance = np.maximum(p / 2 - p**2, 0)  # of (1[h in K] + 1[-h in K]) / 2, disjoint events
    return ConeMeasure(p, np.sqrt(variance / n_draws), "sample", n_draws)
