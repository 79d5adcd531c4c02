"""A sample of the rows as a model of the program over all of them.

The program over a sample of n_S of n rows, its penalties shrunk by n_S / n, has nearly the curvature of the whole
one. Its gradient is off by the sampling error, which is taken out: targets y_S + v with ``A_S' v = l`` shift the
gradient by l, so that at a given point it is exactly that of all rows. Then every solution of the whole program is
one of the model built at it, and models built one after the other at their predecessors' solutions converge at a rate
of about sqrt(m d / n_S), m non-zero blocks, however many rows there are. (The idea of Shamir, Srebro and Zhang,
"Communication-efficient distributed optimization using an approximate Newton-type method", ICML 2014, with a sample
in the place of the machine's own rows and, instead of a linear term, the targets, so that any solver of the program
solves the model.)

v is the sum of A_S z over the models so far, z by conjugate gradients on ``A_S' A_S z = l - A_S' v``: l changes ever
less, so a few digits of z suffice each time.
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import FloatArray
from .block_passes import SparseBlocks
from .exceptions import ConvergenceWarning
from .group_lasso import GatedSolution, solve_gated
from .patterns import ActivationPatterns

_MATCHED = 0.03  # of the change of the gradient's error is left in the model
_MOST_ITERATIONS = 60


class SampleModel:
    """The program over sampled rows.

    Parameters
    ----------
    X, Y : ndarray of shape (n_S, n_features) and (n_S, n_outputs)
        Sampled rows with the weights folded in.
    masks : ndarray of shape (n_S, n_patterns), bool
        Their masks.
    share : float
        n_S / n.
    """

    def __init__(
        self, X: FloatArray, Y: FloatArray, masks: npt.NDArray[np.bool_], share: float, gates: FloatArray, threads: int
    ) -> None:
        self.X = np.ascontiguousarray(X)
        self.Y = np.asfortranarray(Y)
        self.share = share
        self._gates = gates
        self._threads = threads
        packed = np.zeros((masks.shape[1], 8 * -(-masks.shape[0] // 64)), dtype=np.uint8)
        octets = np.packbits(masks.T, axis=1, bitorder="little")
        packed[:, : octets.shape[1]] = octets
        self._words = packed.view(np.uint64)

    @property
    def n_rows(self) -> int:
        """Sampled rows."""
        return int(self.X.shape[0])

    def match(self, centre: FloatArray, gradient: FloatArray, groups: npt.NDArray[np.int64]) -> None:
        """Make ``A_i' R`` of the model equal to its share of `gradient` at `centre`, for the groups i given.

        Columns of `centre` and `gradient` are vec(W_i) and vec(A_i' R) of the groups.
        """
        error = self.share * gradient - self._correlations(self.Y - self._fitted(centre, groups), groups)
        direction, squared = error.copy(), float(np.vdot(error, error))
        target = _MATCHED**2 * squared
        for _ in range(_MOST_ITERATIONS):
            if squared <= target or squared == 0:
                break
            image = self._fitted(direction, groups)
            step = squared / float(np.vdot(image, image))
            self.Y = self.Y + step * image
            error = error - step * self._correlations(image, groups)
            squared, previous = float(np.vdot(error, error)), squared
            direction = error + (squared / previous) * direction

    def solve(
        self,
        start: FloatArray,
        groups: npt.NDArray[np.int64],
        beta: float,
        omega: FloatArray,
        ridge: float,
        gap: float,
    ) -> tuple[SparseBlocks, GatedSolution]:
        """Solve the model over some groups from `start` (d c, m), to a gap in the units of the whole program."""
        n_outputs, d = self.Y.shape[1], self.X.shape[1]
        at_zero = 0.5 * float(np.vdot(self.Y, self.Y))
        patterns = ActivationPatterns(
            gates=self._gates[groups], words=np.ascontiguousarray(self._words[groups]), n_samples=self.n_rows
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            solution = solve_gated(
                self.X,
                self.Y,
                patterns,
                self.share * beta,
                group_weights=omega[groups],
                ridge=self.share * ridge,
                warm_start=start.T.reshape(-1, n_outputs, d).swapaxes(1, 2),
                tol=max(self.share * gap / at_zero, 1e-13) if at_zero > 0 else 1.0,
                n_threads=self._threads,
            )
        blocks = solution.blocks.swapaxes(1, 2).reshape(solution.active.size, -1).T
        return SparseBlocks(groups[solution.active], np.asfortranarray(blocks)), solution

    def _fitted(self, coef: FloatArray, groups: npt.NDArray[np.int64]) -> FloatArray:
        words = np.ascontiguousarray(self._words[groups])
        fitted: FloatArray = core.masked_fitted(self.X, words, np.asfortranarray(coef), self.Y.shape[1], self._threads)
        return fitted

    def _correlations(self, R: FloatArray, groups: npt.NDArray[np.int64]) -> FloatArray:
        words = np.ascontiguousarray(self._words[groups])
        out: FloatArray = core.masked_correlations(self.X, words, np.asfortranarray(R), self._threads)
        return out
