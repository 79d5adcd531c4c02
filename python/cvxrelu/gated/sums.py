"""What the gated program sums over blocks of rows: functions that travel to where the rows lie."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.native import core
from ..rows.passes import Block, uniform_of_rows

_SLAB_BYTES = 1 << 24  # of the explicit matrix of some patterns


@dataclasses.dataclass(frozen=True, eq=False)
class SparseBlocks:
    """Coefficients as their non-zero blocks: column a of `blocks` (d c, m) is vec(W_i) for i = active[a]."""

    active: npt.NDArray[np.int64]
    blocks: FloatArray


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
