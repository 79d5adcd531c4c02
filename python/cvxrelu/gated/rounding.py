"""Coefficients in float32, certified as they are returned, for rows that no single array holds.

They are rounded once, at the end. Their own residual would be a dual point that is infeasible by as much as they are
rounded, some 1e-7 of the objective; beside the dual point of the coefficients in float64 the gap grows by the square of
the rounding only, and one more pass measures it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..base.arrays import FloatArray
from ..base.scaling import as_dtype
from ..rows.passes import RowBlock
from .sums import Bound, Iterate, SparseBlocks, gradients, group_lasso_bound, residual


def rounded(
    point: Iterate,
    bound: Bound,
    threshold: FloatArray,
    ridge: float,
    beside: Callable[[SparseBlocks, SparseBlocks, float], tuple[Iterate, float]],
) -> tuple[Iterate, Bound]:
    """Return an iterate with its coefficients in float32, and its bound by the dual point of before.

    `bound` is that of `point`, `threshold` is beta omega_i, and `beside` makes the pass of :func:`gradients_beside`.
    The scale that is returned is that of the residual of `point`.
    """
    if not point.coef.active.size:
        return point, bound
    values = as_dtype(point.coef.blocks, np.float32).astype(np.float64)
    coef = SparseBlocks(point.coef.active, np.asfortranarray(values))
    # Without squares this is the blocks' part of the gap, and the factor that makes the dual point feasible.
    correlations = np.asfortranarray(bound.scale * point.correlations)
    part = group_lasso_bound(Iterate(coef, correlations, 0.0, 0.0, 0.0), threshold, ridge)
    scale = bound.scale * part.scale
    rounded_point, apart = beside(coef, point.coef, scale)
    return rounded_point, Bound(0.5 * rounded_point.rr + part.objective, 0.5 * apart + part.gap, scale)


def gradients_beside(
    block: RowBlock, coef: SparseBlocks, other: SparseBlocks, scale: float, n_threads: int
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return what `gradients` does, and ||R - scale R'||^2 for the residual R' of other coefficients."""
    apart = residual(block, coef, n_threads) - scale * residual(block, other, n_threads)
    return *gradients(block, coef, n_threads), np.array(np.vdot(apart, apart))
