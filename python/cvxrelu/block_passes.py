"""What a pass over the rows computes on one block of them: functions that travel to where the rows lie."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray, WordArray
from .units import row_lengths

_SLAB_BYTES = 1 << 24  # of the explicit matrix of some patterns
_SHORT = 1e-100  # of lengths, whose squares vanish not far below


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Rows as they were given.

    Attributes
    ----------
    X : ndarray of shape (m, n_features)
        The rows, finite.
    first : int
        Index of the first of them among all rows.
    """

    X: FloatArray
    first: int


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """Rows of the masked design; roots of the sample weights are folded into `X` and `Y`.

    Attributes
    ----------
    X : ndarray of shape (m, n_features), Y : ndarray of shape (m, n_outputs)
        Rows and targets.
    words : ndarray of shape (n_patterns, ceil(m / 64))
        Packed patterns of these rows.
    first : int
        Index of the first of them among all rows.
    root : ndarray of shape (m, 1), or None
        Roots of the sample weights.
    """

    X: FloatArray
    Y: FloatArray
    words: WordArray
    first: int
    root: FloatArray | None


@dataclasses.dataclass(frozen=True, eq=False)
class SparseBlocks:
    """Coefficients as their non-zero blocks: column a of `blocks` (d c, m) is vec(W_i) for i = active[a]."""

    active: npt.NDArray[np.int64]
    blocks: FloatArray


def checked_chunk(
    X: Any, index: int, first: int, n_features: int, *, offset: int = 0, ones: bool = False, seen: bool = False
) -> Chunk:
    """Return rows as float64, with ones appended if asked for, or say which chunk and which row is no good.

    `index` is that of the user's chunk, `offset` the row of it where these begin. Rows that were `seen` before are not
    looked through again.
    """
    rows = np.asarray(X)
    if rows.ndim != 2 or rows.shape[1] != n_features:
        raise ValueError(f"chunk {index} of X has shape {rows.shape}, but {n_features} features are expected")
    if rows.dtype.kind not in "biuf" or rows.dtype.itemsize > 8:
        raise TypeError(f"chunk {index} of X must be an array of real numbers, not of dtype {rows.dtype}")
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    if not seen and not np.isfinite(rows).all():
        row, column = (int(k) for k in np.argwhere(~np.isfinite(rows))[0])
        raise ValueError(
            f"X must be finite, but row {offset + row} of chunk {index}, row {first + row} of all, "
            f"has {rows[row, column]} in column {column}"
        )
    return Chunk(np.hstack([rows, np.ones((rows.shape[0], 1))]) if ones else rows, first)


def pack_chunk(chunk: Chunk, gates: FloatArray, n_threads: int) -> WordArray:
    """Return the packed patterns of gates on a chunk."""
    words: WordArray = core.pack_patterns(chunk.X, gates, n_threads)[0]
    return words


def masked_block(chunk: Chunk, targets: FloatArray, weights: FloatArray | None, words: WordArray) -> Block:
    """Return a chunk with its targets (m, c) and masks as a block of the masked design."""
    if weights is None:
        return Block(chunk.X, np.asfortranarray(targets), words, chunk.first, None)
    root = np.sqrt(weights)[:, None]
    return Block(root * chunk.X, np.asfortranarray(root * targets), words, chunk.first, root)


def residual(block: Block, coef: SparseBlocks, n_threads: int) -> FloatArray:
    """Return Y - sum_i D_i X W_i, with the roots of the weights."""
    if coef.active.size == 0:
        return block.Y
    words = np.ascontiguousarray(block.words[coef.active])
    fitted = core.masked_fitted(block.X, words, coef.blocks, block.Y.shape[1], n_threads)
    return np.asarray(block.Y - fitted, order="F")


def gradients(block: Block, coef: SparseBlocks, n_threads: int) -> tuple[FloatArray, FloatArray]:
    """Return vec(X' D_i R) for every pattern, (d c, p), and the scalars ||R||^2, <Y, R>, ||Y||^2."""
    R = residual(block, coef, n_threads)
    correlations = core.masked_correlations(block.X, block.words, R, n_threads)
    return correlations, np.array([np.vdot(R, R), np.vdot(block.Y, R), np.vdot(block.Y, block.Y)])


def dual_rows(block: Block, coef: SparseBlocks, scale: float, n_threads: int) -> FloatArray:
    """Return the block's entries of the dual point, in the units of unweighted rows."""
    R = scale * residual(block, coef, n_threads)
    return R if block.root is None else block.root * R


def gram_columns(block: Block, groups: npt.NDArray[np.int64], n_added: int) -> tuple[FloatArray]:
    """Return A' A_added, (m d, k d), for A = [D_i X] over `groups`, the last k of which are added."""
    m, d = groups.size, block.X.shape[1]
    octets = block.words[groups].astype("<u8", copy=False).view(np.uint8)
    new = (m - n_added) * d
    total = np.zeros((m * d, n_added * d))
    step = max(8, _SLAB_BYTES // (8 * m * d) // 8 * 8)
    for first in range(0, block.X.shape[0], step):
        X = block.X[first : first + step]
        bits = np.unpackbits(octets[:, first // 8 : (first + step) // 8], axis=1, bitorder="little")[:, : X.shape[0]]
        A = (bits.T[:, :, None] * X[:, None, :]).reshape(X.shape[0], m * d)
        total += A.T @ A[:, new:]
    return (total,)


def sample_rows(block: Block, share: float) -> tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]:
    """Return X, Y and masks of a pseudo-random share of the rows; smaller shares are subsets of larger ones.

    Masks are packed along patterns: (k, ceil(p / 8)).
    """
    rows = np.flatnonzero(uniform_of_rows(block.first, block.X.shape[0]) < share)
    octets = block.words.astype("<u8", copy=False).view(np.uint8)
    bits = (octets[:, rows // 8] >> (rows % 8).astype(np.uint8)) & np.uint8(1)
    return block.X[rows], block.Y[rows], np.packbits(bits, axis=0, bitorder="little").T


def uniform_of_rows(first: int, size: int) -> FloatArray:
    """Numbers in [0, 1) from the row's index alone (SplitMix64; Steele, Lea and Flood, 2014)."""
    with np.errstate(over="ignore"):
        z = np.arange(first + 1, first + size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) / 2.0**64, dtype=np.float64)


def pattern_digests(chunk: Chunk, gates: FloatArray, n_threads: int) -> tuple[Any, FloatArray, Any]:
    """Return for each gate a digest of its pattern on the chunk (p, 16), its margin, and whether it is ever active."""
    words, margin = core.pack_patterns(chunk.X, gates, n_threads)
    digests = [hashlib.blake2b(row, digest_size=16).digest() for row in words]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16), margin, words.any(axis=1)


def network_residual(block: Block, W1: FloatArray, w2: FloatArray, bias: bool, scale: float = 1.0) -> FloatArray:
    """Return the scaled residual (m, 1) of a ReLU network with one output."""
    return scale * (block.Y - (_hidden(block, W1, bias) @ w2)[:, None])


def network_sums(block: Block, W1: FloatArray, w2: FloatArray, bias: bool, n_threads: int) -> tuple[FloatArray, ...]:
    """Return what a certificate of a ReLU network sums over rows, with residual R and rows a_j = r_j x_j.

    These are vec(X' D_i R) for every pattern, sum a_j, sum a_j a_j' / ||a_j||, the scalars (||R||^2, <Y, R>, ||Y||^2,
    sum ||a_j||), and R'(X w)_+ for every neuron.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of networks so large that the sums are not finite
        hidden = _hidden(block, W1, bias)
        R = np.asarray(block.Y - (hidden @ w2)[:, None], order="F")
        correlations = np.zeros((block.X.shape[1], 0))
        if block.words.shape[0]:
            correlations = core.masked_correlations(block.X, block.words, R, n_threads)
        rows = R * (np.hstack([block.X, np.ones((block.X.shape[0], 1))]) if bias else block.X)
        lengths = np.linalg.norm(rows, axis=1)
        if not _SHORT < lengths.max(initial=0.0) < np.inf:
            lengths = row_lengths(rows)
        scaled = rows / np.sqrt(np.where(lengths > 0, lengths, 1))[:, None]
        scalars = np.array([np.vdot(R, R), np.vdot(block.Y, R), np.vdot(block.Y, block.Y), lengths.sum()])
        return correlations, rows.sum(axis=0), scaled.T @ scaled, scalars, R[:, 0] @ hidden


def _hidden(block: Block, W1: FloatArray, bias: bool) -> FloatArray:
    weights, offset = (W1[:, :-1], W1[:, -1]) if bias else (W1, 0.0)
    return np.maximum(block.X @ weights.T + offset, 0)
