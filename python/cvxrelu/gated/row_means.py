"""An intercept over rows that no single array holds, without a centred copy of them.

With s the roots of the weights, the best intercept beside coefficients is the mean of what they leave of the targets,

    b = (s'Y - sum_i (s'A_i) W_i) / s's,    A_i = D_i X,

so that the sums s'A_i, one vector for each pattern, tell it before a pass, and the residual of a pass is that of the
program with the intercept. It is kept as the mean of the targets, which leaves them first, and the rest: so no large
number is cancelled, whatever the offset of the targets. What rounding leaves of the residual in s is taken out of the
sums after the pass.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray
from ..base.native import core
from ..base.scaling import shifted
from ..rows.passes import RowBlock
from ..rows.rows import Parts
from .sums import Iterate, SparseBlocks


class RowMeans:
    """Sums over all rows that belong to an intercept.

    Parameters
    ----------
    blocks : Parts of RowBlock
        The rows.
    n_threads : int
        Threads for the kernels on one block.
    """

    def __init__(self, blocks: Parts[RowBlock], n_threads: int) -> None:
        self._rows, targets, total = blocks.sum(_sums, n_threads)  # (d, p), (c,)
        self._total = float(total)
        self._mean = targets / self._total
        self._left = np.zeros_like(targets)  # s'(Y - s mean), which rounding makes

    def complete(self, coef: SparseBlocks) -> SparseBlocks:
        """Return coefficients with the best intercept beside them."""
        left = self._left
        if coef.active.size:
            blocks = coef.blocks.reshape(left.size, -1, coef.active.size)
            left = left - np.einsum("cdm,dm->c", blocks, self._rows[:, coef.active])
        return dataclasses.replace(coef, intercept=np.stack([self._mean, left / self._total]))

    def iterate(
        self, coef: SparseBlocks, correlations: FloatArray, scalars: FloatArray, rest: FloatArray, yy: float | None
    ) -> Iterate:
        """Return what a pass says of completed coefficients; `rest` is s'R, and `yy` is None at zero.

        <Y, R> and ||Y||^2 are those of the targets without their mean.
        """
        assert coef.intercept is not None
        if yy is None:
            self._left = rest
        mean = rest / self._total
        correlations = np.asfortranarray(correlations - np.kron(mean[:, None], self._rows))
        rr = max(float(scalars[0]) - self._total * float(mean @ mean), 0.0)
        if yy is None and rr <= (16 * np.finfo(float).eps) ** 2 * float(scalars[2]):
            # What rounding leaves of targets that are all alike is nothing to fit.
            rr, correlations = 0.0, np.zeros_like(correlations)
        fitted = float(np.vdot(coef.blocks, correlations[:, coef.active])) if coef.active.size else 0.0
        coef = dataclasses.replace(coef, intercept=coef.intercept + np.stack([0 * mean, mean]))
        return Iterate(coef, correlations, rr, rr + fitted, rr if yy is None else yy)

    def centred(
        self, columns: FloatArray, groups: npt.NDArray[np.int64], added: npt.NDArray[np.int64], order: int
    ) -> FloatArray:
        """Return what `gram_columns` does of patterns without their part in the intercept."""
        means, new = (shifted(self._rows[:, chosen].T.reshape(-1), -order) for chosen in (groups, added))
        return np.asarray(columns - np.outer(means, new) / self._total)


def _sums(block: RowBlock, n_threads: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    ones = np.asfortranarray(block.ones)
    rows = core.masked_correlations(block.X, block.words, ones, n_threads)
    return rows, ones[:, 0] @ block.Y, np.array(np.vdot(ones, ones))
