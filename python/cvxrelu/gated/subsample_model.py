"""A subsample of the rows as a model of the program over all of them.

The program over a subsample of n_S of n rows, its penalties shrunk by n_S / n, has nearly the curvature of the whole
one. Its gradient is off by the sampling error l at the point where the model is built, which a linear term takes out:
then every solution of the whole program is that of the model built at it, and models built one after the other at
their predecessors' solutions converge at a rate that depends on m d / n_S, m non-zero blocks, however many rows there
are (Shamir, Srebro and Zhang, "Communication-efficient distributed optimization using an approximate Newton-type
method", ICML 2014, with a subsample in the place of a machine's own rows).

The linear term is rows like others, so that any solver of the program solves the model: for block i the d rows
e I, which pattern i alone has, with targets e V_i + l_i / e, V the point. They add e^2/2 ||W_i - V_i||^2 - <l_i, W_i>
and a constant. The first of these keeps steps short where the subsample has too little curvature.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, WordArray
from ..base.columns import blocks_of, columns_of
from ..base.native import core
from ..base.scaling import binary_order, shifted
from ..patterns.patterns import ActivationPatterns
from .problem import GatedData, Penalty, Stopping
from .program import ExactProgram
from .solution import GatedSolution
from .sums import SparseBlocks

_DAMPING = 0.03  # e^2 relative to the mean curvature of a block


class SubsampleModel:
    """The program over a subsample of the rows.

    Parameters
    ----------
    rows : (X, Y, masks)
        Sampled rows (n_S, n_features) with the weights folded in, their targets (n_S, n_outputs), and their masks
        (n_S, ceil(n_patterns / 8)), uint8, packed along patterns.
    share : float
        n_S / n.
    gates : ndarray of shape (n_patterns, n_features)
        Gates of the patterns.
    threads : int
        Threads.
    ones : ndarray of shape (n_S, 1), optional
        The column of an intercept on the sampled rows; without there is none.

    Attributes
    ----------
    order : int
        Power of two of the rows, 0 where their squares need none.
    """

    def __init__(
        self,
        rows: tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]],
        share: float,
        gates: FloatArray,
        threads: int,
        ones: FloatArray | None = None,
    ) -> None:
        X, Y, masks = rows
        self.n_rows = X.shape[0]
        self.share = share
        self._gates = gates
        self._threads = threads
        p, d = gates.shape
        # Padded with rows of zeros, so that others can follow from a whole word of masks on.
        padding = -self.n_rows % 64
        self._X = np.vstack([X, np.zeros((padding, d))])
        self._Y = np.asfortranarray(np.vstack([Y, np.zeros((padding, Y.shape[1]))]))
        self._free = None if ones is None else np.vstack([ones, np.zeros((padding, 1))])
        octets = np.zeros((p, self._X.shape[0] // 8), dtype=np.uint8)
        for column, byte in enumerate(masks.T):
            bits = np.unpackbits(byte[:, None], axis=1, bitorder="little")[:, : p - 8 * column]
            octets[8 * column : 8 * column + 8, : -(-self.n_rows // 8)] = np.packbits(bits.T, axis=1, bitorder="little")
        self._words = octets.view("<u8").astype(np.uint64, copy=False)
        # Half of a block's rows are active, more or less.
        self.order = binary_order(X)
        scaled = shifted(X, -self.order)
        self._unit = shifted(float(np.sqrt(_DAMPING * 0.5 * np.vdot(scaled, scaled) / d)), self.order) or 1.0

    def solve(
        self,
        centre: FloatArray,
        gradient: FloatArray | None,
        beta: float,
        penalty: Penalty,
        gap: float,
        *,
        groups: npt.NDArray[np.int64] | None = None,
    ) -> tuple[SparseBlocks, GatedSolution]:
        """Solve the model over some groups or all, to a gap in the units of the whole program.

        Columns of `centre` and `gradient` (d c, m) are vec(W_i) and vec(A_i' R) of the groups at the point where the
        model's gradient is to be that of all rows; without `gradient` it is the subsample as it is.
        """
        groups = np.arange(len(self._words)) if groups is None else groups
        X, Y, words = self._X, self._Y, np.ascontiguousarray(self._words[groups])
        n_outputs, d = Y.shape[1], X.shape[1]
        start, free = blocks_of(centre, n_outputs), self._free
        if gradient is not None:
            residual = Y - core.masked_fitted(X, words, np.asfortranarray(centre), n_outputs, self._threads)
            if free is not None:
                residual = residual - free * ((free.T @ residual) / (free.T @ free))
                free = np.vstack([free, np.zeros((groups.size * d, 1))])
            sampled = core.masked_correlations(X, words, np.asfortranarray(residual), self._threads)
            shift = blocks_of(self.share * gradient - sampled, n_outputs)
            X = np.vstack([X, np.tile(self._unit * np.eye(d), (groups.size, 1))])
            Y = np.vstack([Y, (self._unit * start + shift / self._unit).reshape(-1, n_outputs)])
            words = np.hstack([words, _own_rows(groups.size, d)])
        at_zero = 0.5 * float(np.vdot(Y, Y))
        patterns = ActivationPatterns(gates=self._gates[groups], words=words, n_samples=X.shape[0])
        # Not the kind that takes a subsample, of this one, where rows are many.
        data = GatedData(X, Y, patterns, None, self._threads, own_patterns=True)
        omega = penalty.omega(len(self._words))[groups]
        program = ExactProgram(data, Penalty(omega, self.share * penalty.ridge, unpenalised=free))
        tol = max(self.share * gap / at_zero, 1e-13) if at_zero > 0 else 1.0
        (solution,), _ = program.path(np.array([self.share * beta]), start, Stopping(tol))
        return SparseBlocks(groups[solution.active], columns_of(solution.blocks)), solution


def _own_rows(n_groups: int, d: int) -> WordArray:
    """Masks of n_groups * d rows, the first d of which pattern 0 alone has, the next d pattern 1, and so on."""
    octets = np.zeros((n_groups, 8 * -(-n_groups * d // 64)), dtype=np.uint8)
    bits = np.repeat(np.eye(n_groups, dtype=bool), d, axis=1)
    octets[:, : -(-n_groups * d // 8)] = np.packbits(bits, axis=1, bitorder="little")
    return octets.view("<u8").astype(np.uint64, copy=False)
