"""Gaussian measure of the cells of an arrangement."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, WordArray, as_count, as_design, as_generator, as_threads
from .row_blocks import is_dask, on_rows

if TYPE_CHECKING:
    from .patterns import ActivationPatterns


#: Patterns times n_samples^(rank - 1) that quadrature takes some seconds for.
_MODEST_WORK = 2e8


@dataclasses.dataclass(frozen=True)
class ConeMeasure:
    """Probabilities that a standard Gaussian vector lies in given cells.

    Attributes
    ----------
    probabilities : ndarray of shape (n_patterns,)
        P[h in K_i], h ~ N(0, I).
    errors : ndarray of shape (n_patterns,)
        With ``method="sample"`` the standard errors. With ``"exact"`` an estimate of the rounding error, 1e-15 for
        each (a cell thinner than float64 resolves counts as 0). With ``"quadrature"`` the estimate of quadrature and
        rounding errors.
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


def cone_measure(
    X: npt.ArrayLike,
    patterns: ActivationPatterns | None = None,
    *,
    method: str = "auto",
    n_draws: int = 1_000_000,
    random_state: Any = None,
    n_threads: int | None = None,
) -> ConeMeasure:
    """Compute P[h in K_i] for standard Gaussian h and the cells K_i = {u : 1[X u >= 0] = mask i}.

    These are the weights with which masks average to the neural tangent kernel,
    ``sum_i P[h in K_i] mask_i mask_i' * X X' = NTK``. Over all cells they sum to one, with the zero mask's share.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        The data matrix that the patterns belong to.
    patterns : ActivationPatterns, optional
        All or some of its cells, with gates inside. By default all, in the order of :func:`enumerate_patterns`; of a
        dask array they are measured on the workers that find them.
    method : {"auto", "exact", "quadrature", "sample"}
        "exact": angles for rank 2 and areas of spherical polygons for rank 3 of X; lower ranks are trivial.
        "quadrature": volumes of spherical polytopes for rank 4 and 5, by orthoschemes and adaptive quadrature, good to
        some 1e-14; time is proportional to n_samples^3 and n_samples^4 for each pattern. "sample": frequencies of
        Gaussian vectors and their negatives, for any rank. "auto": the first of these that there is for the rank, but
        "sample" where quadrature would take many seconds.
    n_draws : int
        Vectors to draw by "sample".
    random_state : None, int, numpy.random.Generator or RandomState
        Source of the draws.
    n_threads : int, optional
        Threads; by default what OpenMP would take. The result does not depend on it.

    Returns
    -------
    ConeMeasure
        Probabilities and their errors.

    Raises
    ------
    ValueError
        For shapes that do not fit, an unknown method, "exact" where the rank of X is above 3, or "quadrature" where it
        is not 4 or 5.
    """
    if is_dask(X):
        return on_rows(cone_measure, locals())
    if patterns is None:
        from .arrangement import enumerate_patterns

        patterns = enumerate_patterns(X, certify=False, n_threads=n_threads)
    X = as_design(X, n_features=patterns.n_features)
    if X.shape[0] != patterns.n_samples:
        raise ValueError(f"X has {X.shape[0]} samples, but the patterns have {patterns.n_samples}")
    if method not in ("auto", "exact", "quadrature", "sample"):
        raise ValueError(f'method must be "auto", "exact", "quadrature" or "sample", not {method!r}')
    draws, threads = as_count(n_draws, "n_draws"), as_threads(n_threads)
    basis = _span(X)
    rank = basis.shape[1]
    if method == "exact" and rank > 3:
        raise ValueError(f'method="exact" needs rank 3 at most, but X has rank {rank}: use method="sample"')
    if method == "quadrature" and rank not in (4, 5):
        raise ValueError(f'method="quadrature" needs rank 4 or 5, but X has rank {rank}')
    work = len(patterns) * float(X.any(axis=1).sum()) ** max(rank - 1, 0)
    if method == "quadrature" or (method == "auto" and rank in (4, 5) and work <= _MODEST_WORK):
        return _by_quadrature(X, patterns, basis, threads)
    if method == "sample" or rank > 3:
        return _sampled(X, patterns, draws, as_generator(random_state), threads)
    if rank < 2:
        probabilities = np.full(len(patterns), 0.5**rank)
    else:
        probabilities = core.cone_measure(
            np.ascontiguousarray(X @ basis), patterns.words, np.ascontiguousarray(patterns.gates @ basis), threads
        )
    return ConeMeasure(probabilities, np.full(len(patterns), 1e-15), "exact", 0)


def _by_quadrature(X: FloatArray, patterns: ActivationPatterns, basis: FloatArray, threads: int) -> ConeMeasure:
    """Antipodal cells have the same measure, so only one of each pair is computed."""
    live = np.asarray(X.any(axis=1))
    antipode = patterns.words ^ _as_words(live)
    first = int(np.flatnonzero(live)[0])
    inactive = (patterns.words[:, first // 64] >> np.uint64(first % 64)) & np.uint64(1) == 0
    representative = np.where(inactive[:, None], antipode, patterns.words)
    _, chosen, position = np.unique(_keys(representative), return_index=True, return_inverse=True)
    words = np.ascontiguousarray(representative[chosen])
    rows = np.ascontiguousarray(X @ basis)
    unit = rows[live] / np.linalg.norm(rows[live], axis=1, keepdims=True)
    gates = np.where(inactive[:, None], -patterns.gates, patterns.gates)[chosen] @ basis
    octets = words.astype("<u8", copy=False).view(np.uint8)
    signs = np.where(np.unpackbits(octets, axis=1, count=len(X), bitorder="little")[:, live] != 0, 1.0, -1.0)
    centers = np.array([_center(sign[:, None] * unit, gate) for sign, gate in zip(signs, gates, strict=True)])
    probabilities, errors = core.solid_angles(rows, words, centers, threads)
    return ConeMeasure(probabilities[position], errors[position], "quadrature", 0)


def _center(normals: FloatArray, gate: FloatArray) -> FloatArray:
    """Return a point of the cone {u : normals @ u >= 0} with the cone in its half-space: that of largest margin.

    It is the point of the convex hull of the normals that is nearest to 0. In cones too thin for that, which are far
    from filling a half-space, the gate serves as well.
    """
    from scipy.optimize import nnls  # here: the package itself needs NumPy only

    target = np.zeros(normals.shape[1] + 1)
    target[-1] = 1.0
    weights, _ = nnls(np.vstack([normals.T, np.ones(len(normals))]), target, maxiter=100 * len(normals))
    center = weights @ normals
    return center if (normals @ center > 1e-6 * np.linalg.norm(center)).all() else gate


def _span(X: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the row space, (n_features, rank)."""
    scale = np.abs(X).max(axis=1, keepdims=True)
    rows = np.divide(X, scale, out=np.zeros_like(X), where=scale > 0)
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum()) if values[0] > 0 else 0
    return np.ascontiguousarray(vectors[:rank].T)


def _as_words(mask: npt.NDArray[np.bool_]) -> WordArray:
    octets = np.zeros(8 * ((mask.size + 63) // 64), dtype=np.uint8)
    octets[: (mask.size + 7) // 8] = np.packbits(mask, bitorder="little")
    return octets.view("<u8").astype(np.uint64)


def _keys(words: WordArray) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(words).view(np.dtype((np.void, words.itemsize * words.shape[1])))[:, 0]


def _sampled(
    X: FloatArray, patterns: ActivationPatterns, n_draws: int, rng: np.random.Generator, threads: int
) -> ConeMeasure:
    flip = _as_words(np.asarray(X.any(axis=1)))
    antipode = patterns.words ^ flip
    keys = np.concatenate([_keys(patterns.words), _keys(antipode)])
    distinct, position = np.unique(keys, return_inverse=True)
    counts = np.zeros(distinct.size, dtype=np.int64)
    piece = max(1, min(n_draws, 2**24 // max(8 * X.shape[1], 1)))
    for first in range(0, n_draws, piece):
        gates = rng.standard_normal((min(piece, n_draws - first), X.shape[1]))
        words, _ = core.pack_patterns(X, gates, threads)
        drawn, times = np.unique(_keys(words), return_counts=True)
        where = np.minimum(np.searchsorted(distinct, drawn), distinct.size - 1)
        hit = distinct[where] == drawn
        np.add.at(counts, where[hit], times[hit])
    both = counts[position].reshape(2, -1).sum(axis=0)
    if not flip.any():
        both = counts[position[: len(patterns)]] * 2
    p = both / (2 * n_draws)
    variance = np.maximum(p / 2 - p**2, 0)  # of (1[h in K] + 1[-h in K]) / 2, disjoint events
    return ConeMeasure(p, np.sqrt(variance / n_draws), "sample", n_draws)
