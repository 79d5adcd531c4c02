"""The program over few patterns from their Gram statistics: exact for all rows, at the price of one gathering of them.

With G = A'A of the patterns of a working set, A_i = D_i X, and the correlations A_i'R at one point V, the objective at
every W is known up to a constant,

    1/2 <W - V, G (W - V)> - <A'R, W - V> + sum_i beta omega_i ||W_i|| + ridge/2 sum_i ||W_i||^2,

so that no further pass over rows is needed until the working set changes. Solved by sweeps of exact block updates and
Newton steps on the non-zero blocks. Memory: (m d)^2 numbers for m patterns, as much on the way from each block of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.scaling import shifted
from .sums import Iterate, SparseBlocks, group_lasso_bound

_MAX_STEPS = 100


class GramModel:
    """Gram statistics of a set of patterns over all rows.

    Attributes
    ----------
    groups : ndarray of shape (m,), int64
        The patterns.
    gram : ndarray of shape (m d, m d)
        Blocks ``A_i' A_j``, of rows in units of ``2**order``.
    order : int
        That power of two.
    """

    def __init__(self, groups: npt.NDArray[np.int64], gram: FloatArray, order: int = 0) -> None:
        self.groups = groups
        self.gram = gram
        self.order = order

    def extended(self, added: npt.NDArray[np.int64], columns: FloatArray) -> GramModel:
        """Return the model with further patterns, `columns` being A' A_added for the old patterns and then the new."""
        old = self.gram.shape[0]
        gram = np.block([[self.gram, columns[:old]], [columns[:old].T, columns[old:]]])
        return GramModel(np.concatenate([self.groups, added]), gram, self.order)

    def solve(
        self,
        centre: FloatArray,
        correlations: FloatArray,
        squares: float,
        threshold: FloatArray,
        ridge: float,
        gap: float,
    ) -> SparseBlocks:
        """Solve to about a gap, from correlations at a point.

        Columns of `centre` and `correlations` (d c, m) are vec(V_i) and vec(A_i'R), in the order of `groups`; `squares`
        is ||R||^2, roughly, and `threshold` is beta omega_i.
        """
        m, k = self.groups.size, self.order
        d = self.gram.shape[0] // m
        centre, correlations = shifted(centre, k), shifted(correlations, -k)
        threshold, ridge = shifted(threshold, -k), shifted(ridge, -2 * k)
        # One output after the other: the same Gram matrix for each, (m, c d, m, c d).
        c = centre.shape[0] // d
        blocks = self.gram.reshape(m, d, m, d)
        H = np.einsum("idje,ab->iadjbe", blocks, np.eye(c)).reshape(m * c * d, m * c * d)
        program = _Quadratic(H, centre.T.copy(), correlations.T.copy(), threshold, ridge)
        for _ in range(_MAX_STEPS):
            program.sweep()
            if program.gap(squares) <= gap or not program.newton():
                break
        used = np.flatnonzero(program.W.any(axis=1))
        # Sums over patterns are taken in this order: the same bits whichever model proposed the blocks.
        used = used[np.argsort(self.groups[used])]
        return SparseBlocks(self.groups[used], np.asfortranarray(shifted(program.W[used].T, -k)))


class _Quadratic:
    """min 1/2 <W - V, H (W - V)> - <C, W - V> + penalties, with W (m, k) and C kept at the correlations at W."""

    def __init__(self, H: FloatArray, W: FloatArray, C: FloatArray, threshold: FloatArray, ridge: float) -> None:
        self.H, self.W, self.C, self.threshold, self.ridge = H, W, C, threshold, ridge
        m, k = W.shape
        diagonal = H.reshape(m, k, m, k)[np.arange(m), :, np.arange(m)]
        self.diagonal = diagonal
        self.values, self.vectors = np.linalg.eigh(diagonal)
        self.values = np.maximum(self.values, 0) + ridge

    def move(self, change: FloatArray) -> None:
        self.W += change
        self.C -= (self.H @ change.ravel()).reshape(self.C.shape)

    def sweep(self) -> None:
        """Minimise over one block after the other."""
        k = self.W.shape[1]
        for i in range(self.W.shape[0]):
            right = self.C[i] + self.diagonal[i] @ self.W[i]
            new = np.zeros(k)
            if np.linalg.norm(right) > self.threshold[i]:
                rotated = self.vectors[i].T @ right
                new = self.vectors[i] @ _block_minimum(self.values[i], rotated, self.threshold[i])
            change = new - self.W[i]
            if change.any():
                self.W[i] = new
                self.C -= (self.H[:, i * k : (i + 1) * k] @ change).reshape(self.C.shape)

    def newton(self) -> bool:
        """Take a step on the non-zero blocks, where the objective is smooth; tells whether it went down."""
        used = np.flatnonzero(self.W.any(axis=1))
        if used.size == 0:
            return False
        m, k = self.W.shape
        W, lengths = self.W[used], np.linalg.norm(self.W[used], axis=1)
        units, curvature = W / lengths[:, None], self.threshold[used] / lengths
        index = (used[:, None] * k + np.arange(k)).ravel()
        hessian = self.H[np.ix_(index, index)].reshape(used.size, k, used.size, k)
        own = np.arange(used.size)
        hessian[own, :, own] += (curvature + self.ridge)[:, None, None] * np.eye(k)
        hessian[own, :, own] -= curvature[:, None, None] * units[:, :, None] * units[:, None, :]
        gradient = self.threshold[used, None] * units + self.ridge * W - self.C[used]
        matrix = hessian.reshape(index.size, index.size)
        matrix.flat[:: index.size + 1] += 1e-13 * np.trace(matrix) / index.size
        direction = -np.linalg.solve(matrix, gradient.ravel()).reshape(W.shape)
        for step in 0.5 ** np.arange(30):
            moved = W + step * direction
            moved[np.einsum("ik,ik->i", moved, W) <= 0] = 0  # a block that crosses the origin stops there
            change = np.zeros((m, k))
            change[used] = moved - W
            if self.descent(change) < 0:
                self.move(change)
                return True
        return False

    def descent(self, change: FloatArray) -> float:
        """Return the change of the objective."""
        before, after = np.linalg.norm(self.W, axis=1), np.linalg.norm(self.W + change, axis=1)
        smooth = 0.5 * change.ravel() @ self.H @ change.ravel() - np.vdot(self.C, change)
        penalties = self.threshold @ (after - before) + 0.5 * self.ridge * (after**2 - before**2).sum()
        return float(smooth + penalties)

    def gap(self, squares: float) -> float:
        """Return the duality gap over these blocks, with ||R||^2 as given, at the largest feasible part of R."""
        coef = SparseBlocks(np.arange(len(self.W)), np.asfortranarray(self.W.T))
        point = Iterate(coef, np.asfortranarray(self.C.T), squares, squares, squares)
        return group_lasso_bound(point, self.threshold, self.ridge).gap


def _block_minimum(values: FloatArray, right: FloatArray, threshold: float) -> FloatArray:
    """Return the minimum of 1/2 <u, diag(values) u> - <right, u> + threshold ||u||, for ||right|| > threshold.

    It is right / (values + threshold / t) with t its length, the root of sum_k (right_k / (values_k t + threshold))^2
    = 1. The root's reciprocal square root is concave in t, so that Newton's method from 0 goes up to it (Moré and
    Sorensen, 1983); t = 0 is below it.
    """
    t = 0.0
    for _ in range(100):
        denominator = values * t + threshold
        terms = (right / denominator) ** 2
        total = terms.sum()
        slope = (terms * values / denominator).sum() / total**1.5
        if slope <= 0:
            break
        step = (1 - 1 / np.sqrt(total)) / slope
        t += step
        if step <= 1e-15 * t:
            break
    return np.asarray(right * t / (values * t + threshold), dtype=np.float64)
