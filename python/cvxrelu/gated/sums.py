"""What the gated program sums over blocks of rows, and the certificate that these sums give.

The functions of a block travel to where the rows lie; what comes back is a number for each coefficient, and three
scalars.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.digests import digest_of
from ..base.native import core
from ..base.scaling import binary_order, row_lengths, shifted
from ..rows.passes import RowBlock, uniform_of_rows

_SLAB_BYTES = 1 << 24  # of the explicit matrix of some patterns


@dataclasses.dataclass(frozen=True, eq=False)
class SparseBlocks:
    """Coefficients as their non-zero blocks: column a of `blocks` (d c, m) is vec(W_i) for i = active[a].

    `intercept` (2, c) is added to the outputs, where the program has one: the mean of the targets, and the rest.
    """

    active: npt.NDArray[np.int64]
    blocks: FloatArray
    intercept: FloatArray | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Iterate:
    """Coefficients with what a pass over all rows says of them.

    Attributes
    ----------
    coef : SparseBlocks
        Coefficients.
    correlations : ndarray of shape (d c, p)
        vec(A_i' R) of the residual R, A_i = D_i X.
    rr, yr, yy : float
        ||R||^2, <Y, R> and ||Y||^2.
    """

    coef: SparseBlocks
    correlations: FloatArray
    rr: float
    yr: float
    yy: float

    def dense(self) -> FloatArray:
        """Coefficients of all patterns as columns (d c, p)."""
        coef = np.zeros_like(self.correlations)
        if self.coef.active.size:
            coef[:, self.coef.active] = self.coef.blocks
        return coef


@dataclasses.dataclass(frozen=True)
class Bound:
    """Objective, duality gap, and the factor s of the dual point s R."""

    objective: float
    gap: float
    scale: float


def group_lasso_bound(point: Iterate, threshold: FloatArray, ridge: float) -> Bound:
    """Objective and gap of the group lasso, a sum of non-negative terms; `threshold` is beta omega_i.

    Powers of two are taken out of what is squared, 2^a of correlations and 2^b of residuals: blocks are 2^(2 b - a),
    ridges 2^(2 (a - b)) and objectives 2^(2 b) times as large.
    """
    a = binary_order(point.correlations)
    b = binary_order(np.sqrt([point.rr, abs(point.yr)]))
    objective, gap, scale = core.group_lasso_bound(
        shifted(point.correlations, -a),
        point.coef.active.tolist(),
        shifted(point.coef.blocks, a - 2 * b),
        shifted(point.rr, -2 * b),
        shifted(point.yr, -2 * b),
        threshold=shifted(threshold, -a),
        ridge=shifted(ridge, 2 * (b - a)),
    )
    return Bound(shifted(objective, 2 * b), shifted(gap, 2 * b), scale)


def simplex_bound(point: Iterate, beta: float) -> Bound:
    """Objective and gap of ``1/2 ||R||^2 + beta/2 (sum_i ||W_i||)^2``, a sum of non-negative terms.

    The dual is max <Y, T> - 1/2 ||T||^2 - max_i ||A_i' T||^2 / (2 beta), here at T = s R with the best s.
    """
    active, blocks = point.coef.active, point.coef.blocks
    norms = row_lengths(blocks.T)
    largest = float(row_lengths(point.correlations.T).max())
    fit = np.einsum("km,km->m", blocks, point.correlations[:, active]) if active.size else norms
    total = float(norms.sum())
    # Roots of what is as large as the objective, whatever the units of X and y.
    root = float(np.sqrt(beta))
    size, correlation = root * total, largest / root
    scale = point.yr / (point.rr + correlation * correlation) if point.rr > 0 else 1.0
    gap = 0.5 * point.rr * (1 - scale) ** 2 + scale * float(np.maximum(largest * norms - fit, 0).sum())
    excess = size - scale * correlation
    # Products, which are infinite where float64 ends, and not powers, which raise.
    return Bound(0.5 * point.rr + 0.5 * (size * size), gap + 0.5 * (excess * excess), scale)


def residual(block: RowBlock, coef: SparseBlocks, n_threads: int) -> FloatArray:
    """Return Y - sum_i D_i X W_i less the intercept, with the roots of the weights."""
    targets = block.Y
    for part in () if coef.intercept is None else coef.intercept:
        targets = np.asarray(targets - block.ones * part, order="F")
    if coef.active.size == 0:
        return targets
    words = np.ascontiguousarray(block.words[coef.active])
    fitted = core.masked_fitted(block.X, words, coef.blocks, block.Y.shape[1], n_threads)
    return np.asarray(targets - fitted, order="F")


def gradients(block: RowBlock, coef: SparseBlocks, n_threads: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return vec(X' D_i R) for every pattern, (d c, p), scalars, and the sums of R (c,).

    The scalars are ||R||^2, <Y, R>, ||Y||^2 and sum |Y|. The sums are beside a column of ones, which has the roots of
    the weights.
    """
    R = residual(block, coef, n_threads)
    correlations = core.masked_correlations(block.X, block.words, R, n_threads)
    Y = block.Y
    scalars = np.array([np.vdot(R, R), np.vdot(Y, R), np.vdot(Y, Y), np.abs(Y).sum()])
    return correlations, scalars, block.ones[:, 0] @ R


def dual_rows(block: RowBlock, coef: SparseBlocks, scale: float, n_threads: int) -> FloatArray:
    """Return the block's entries of the dual point, in the units of unweighted rows."""
    R = scale * residual(block, coef, n_threads)
    return R if block.root is None else block.root * R


def digests_of_rows(block: RowBlock) -> tuple[str, str, str]:
    """Return digests of the block's weights, samples and targets."""
    weights = np.ones((block.X.shape[0], 1)) if block.root is None else block.root
    return digest_of(weights), digest_of(block.X), digest_of(block.Y)


def gram_columns(block: RowBlock, groups: npt.NDArray[np.int64], n_added: int, order: int) -> tuple[FloatArray]:
    """Return A' A_added, (m d, k d), for A = [D_i X] over `groups`, the last k of which are added, over 4^order."""
    m, d = groups.size, block.X.shape[1]
    octets = block.words[groups].astype("<u8", copy=False).view(np.uint8)
    new = (m - n_added) * d
    total = np.zeros((m * d, n_added * d))
    step = max(8, _SLAB_BYTES // (8 * m * d) // 8 * 8)
    for first in range(0, block.X.shape[0], step):
        X = shifted(block.X[first : first + step], -order)
        bits = np.unpackbits(octets[:, first // 8 : (first + step) // 8], axis=1, bitorder="little")[:, : X.shape[0]]
        A = (bits.T[:, :, None] * X[:, None, :]).reshape(X.shape[0], m * d)
        total += A.T @ A[:, new:]
    return (total,)


def subsample(block: RowBlock, share: float) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.uint8]]:
    """Return X, Y, ones and masks of a pseudo-random share of the rows; smaller shares are subsets of larger ones.

    Masks are packed along patterns: (k, ceil(p / 8)).
    """
    rows = np.flatnonzero(uniform_of_rows(block.first, block.X.shape[0]) < share)
    octets = block.words.astype("<u8", copy=False).view(np.uint8)
    bits = (octets[:, rows // 8] >> (rows % 8).astype(np.uint8)) & np.uint8(1)
    return block.X[rows], block.Y[rows], block.ones[rows], np.packbits(bits, axis=0, bitorder="little").T
