"""Kernel ridge regression, with an intercept, and its values at samples that were left out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..base.arrays import FloatArray
from ..base.native import core
from ..kernels.complement import Complement
from .merging import MergedSamples


class Ridge:
    """Kernel and targets in which samples of weight s count s times, without their part in an intercept.

    The kernels are homogeneous, so that scaled samples give the scaled kernel. An intercept is a multiple of the
    `root` of the weights, to which the dual coefficients are orthogonal.

    Attributes
    ----------
    root : ndarray of shape (n,)
        Roots of the weights.
    K : ndarray of shape (m, m), targets : ndarray of shape (m, c)
        Of the samples, or their coordinates beside an intercept, of which there is one less.
    """

    def __init__(
        self, samples: MergedSamples, X: FloatArray, kernel: Callable[[FloatArray], FloatArray], intercept: bool
    ) -> None:
        n = X.shape[0]
        self._samples = samples
        self.root = np.ones(n) if samples.weights is None else np.sqrt(samples.weights)
        self.targets, self.K = samples.y.reshape(n, -1), kernel(self.root[:, None] * X)
        self._complement: Complement | None = None
        self._means = np.zeros(self.targets.shape[1])
        if intercept:
            # An offset of the targets, which may be large beside the rest, leaves them before anything is rounded.
            self._means = np.average(self.targets, axis=0, weights=samples.weights)
            self._mean_row = self.root @ self.K / (self.root @ self.root)
            self._complement = Complement(self.root)
            self.K = self._complement.of_symmetric(self.K)
        self.targets = self.root[:, None] * (self.targets - self._means)
        if self._complement is not None:
            self.targets = self._complement.coordinates(self.targets)

    def vectors(self, coordinates: FloatArray) -> FloatArray:
        """Return vectors (n, k) over the samples from those in the coordinates of `K`."""
        return coordinates if self._complement is None else self._complement.vectors(coordinates)

    def intercept(self, alpha: FloatArray) -> FloatArray:
        """Return the constants beside dual coefficients (n, c): means of what these leave of the targets."""
        return self._means if self._complement is None else self._means - self._mean_row @ alpha

    def solve(self, beta: float, n_threads: int, *, left_out: bool) -> tuple[FloatArray, FloatArray | None]:
        """Return the dual coefficients (n, c), and the values at samples that were left out one by one if asked for.

        The kernel is overwritten. Leaving sample j out changes its residual from beta alpha_j to
        alpha_j / [(K + beta I)^-1]_jj; with an intercept the inverse is that of the bordered matrix.
        """
        columns = self.targets
        if self._complement is not None:
            columns = np.column_stack([columns, self._complement.normal])
        self.K.flat[:: self.K.shape[0] + 1] += beta
        try:
            solution, diagonal = core.solve_spd(
                self.K, np.asfortranarray(columns), n_threads, inverse_diagonal=left_out
            )
        except ValueError:
            raise ValueError(
                f"beta = {beta:.3g} is too small: the kernel plus beta is not positive definite in floating point"
            ) from None
        alpha = self.vectors(solution[:, : self.targets.shape[1]])
        if diagonal is None:
            return alpha, None
        if self._complement is not None:
            diagonal = self._complement.inverse_diagonal(diagonal, solution[:, -1])
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # an only sample has no others
            return alpha, self._samples.y - (alpha / (self.root * diagonal)[:, None]).reshape(self._samples.y.shape)
