"""Gaussian measure of the cells of an arrangement."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, WordArray, as_count, as_design, as_generator, as_threads

if TYPE_CHECKING:
    from .patterns import ActivationPatterns


@dataclasses.dataclass(frozen=True)
class ConeMeasure:
    """Probabilities that a standard Gaussian vector lies in given cells.

    Attributes
    ----------
    probabilities : ndarray of shape (n_patterns,)
        P[h in K_i], h ~ N(0, I).
    errors : ndarray of shape (n_patterns,)
        With ``method="sample"`` the standard errors. With ``"exact"`` an estimate of the rounding error, 1e-15 for
        each (a cell thinner than float64 resolves counts as 0).
    method : {"exact", "sample"}
        How they were computed.
    n_draws : int
        Gaussian vectors drawn; each also stands for its negative. 0 for the exact method.
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
    patterns: ActivationPatterns,
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
    patterns : ActivationPatterns
        All or some of its cells, with gates inside.
    method : {"auto", "exact", "sample"}
        "exact": angles for rank 2 and areas of spherical polygons for rank 3 of X; lower ranks are trivial. "sample":
        frequencies of Gaussian vectors and their negatives, for any rank. "auto": exact where that exists.
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
        For shapes that do not fit, an unknown method, or "exact" where the rank of X is above 3.
    """
    X = as_design(X, n_features=patterns.n_features)
    if X.shape[0] != patterns.n_samples:
        raise ValueError(f"X has {X.shape[0]} samples, but the patterns have {patterns.n_samples}")
    if method not in ("auto", "exact", "sample"):
        raise ValueError(f'method must be "auto", "exact" or "sample", not {method!r}')
    draws, threads = as_count(n_draws, "n_draws"), as_threads(n_threads)
    basis = _span(X)
    rank = basis.shape[1]
    if method == "exact" and rank > 3:
        raise ValueError(f'method="exact" needs rank 3 at most, but X has rank {rank}: use method="sample"')
    if method == "sample" or rank > 3:
        return _sampled(X, patterns, draws, as_generator(random_state), threads)
    if rank < 2:
        probabilities = np.full(len(patterns), 0.5**rank)
    else:
        probabilities = core.cone_measure(
            np.ascontiguousarray(X @ basis), patterns.words, np.ascontiguousarray(patterns.gates @ basis), threads
        )
    return ConeMeasure(probabilities, np.full(len(patterns), 1e-15), "exact", 0)


def _span(X: FloatArray) -> FloatArray:
    """Return an orthonormal basis of the row space, (n_features, rank)."""
    scale = np.abs(X).max(axis=1, keepdims=True)
    rows = np.divide(X, scale, out=np.zeros_like(X), where=scale > 0)
    _, values, vectors = np.linalg.svd(rows, full_matrices=False)
    rank = int((values > values[0] * max(X.shape) * np.finfo(float).eps).sum()) if values[0] > 0 else 0
    return np.ascontiguousarray(vectors[:rank].T)


def _keys(words: WordArray) -> npt.NDArray[np.void]:
    return np.ascontiguousarray(words).view(np.dtype((np.void, words.itemsize * words.shape[1])))[:, 0]


def _sampled(
    X: FloatArray, patterns: ActivationPatterns, n_draws: int, rng: np.random.Generator, threads: int
) -> ConeMeasure:
    zero = ~X.any(axis=1)
    live = np.packbits(~zero, bitorder="little")
    flip = np.zeros(8 * patterns.words.shape[1], dtype=np.uint8)
    flip[: live.size] = live
    antipode = patterns.words ^ flip.view("<u8").astype(np.uint64)
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
