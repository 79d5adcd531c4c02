"""What multiple kernel learning returns: kernel weights with the coefficients that belong to them."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_threads
from ..base.columns import columns_of
from ..base.native import core
from ..base.scaling import predictions_in, row_lengths
from ..gated.solution import unpenalised_values, with_unpenalised
from ..networks.network import Network, network_from_blocks
from ..patterns.patterns import ActivationPatterns
from ..rows.predict import predict_rows
from ..rows.rows import is_rows
from .gates import evaluation_gates
from .kernels import masking_kernel


@dataclasses.dataclass(frozen=True, eq=False)
class MKLHistory:
    """What the reweighting did, one entry for each iteration.

    Attributes
    ----------
    objective : ndarray of shape (n_iter,)
        Objective of the coefficients. Those of iteration 1 are kernel ridge regression with the initial weights.
    kernel_objective : ndarray of shape (n_iter,)
        Objective of the weights, as :func:`solve_mkl` states it; at least `objective`, and never increasing.
    gap : ndarray of shape (n_iter,)
        Duality gap of `objective`.
    """

    objective: FloatArray
    kernel_objective: FloatArray
    gap: FloatArray

    def __len__(self) -> int:
        return int(self.objective.size)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class MKLSolution:
    """Learned kernel weights with the coefficients that belong to them, as :func:`solve_mkl` states the program.

    Attributes
    ----------
    eta : ndarray of shape (n_patterns,)
        Weights of the masking kernels: ||w_i||, and in the simplex form divided by their sum.
    coef : ndarray of shape (n_patterns, n_features) or (n_patterns, n_features, n_outputs)
        Coefficients w_i.
    beta : float
        Penalty.
    form : str
        "beta" or "simplex".
    objective : float
        Objective of the coefficients.
    gap : float
        Duality gap: no weights and no coefficients have an objective below ``objective - gap``.
    relative_gap : float
        The gap relative to the objective of zero coefficients.
    dual : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The dual point t that proves it. With penalty b = group_beta, ``||X' D_i t|| <= b`` for every pattern in the
        form "beta".
    converged : bool
        Whether the relative gap is within the tolerance.
    history : MKLHistory
        The iterations of the reweighting.
    X : ndarray of shape (n_samples, n_features), or Rows
        The training samples, which :meth:`kernel` needs.
    patterns : ActivationPatterns
        The patterns that were given.
    unpenalised_coef : ndarray of shape (q,) or (q, n_outputs), or None
        Coefficients of the unpenalised columns.
    unpenalised_map : ndarray of shape (n_features + 1, q), or None
        Those columns in terms of samples and ones, as in :class:`GatedSolution`.
    """

    eta: FloatArray
    coef: npt.NDArray[np.floating[Any]]
    beta: float
    form: str
    objective: float
    gap: float
    relative_gap: float
    dual: FloatArray
    converged: bool
    history: MKLHistory
    X: Any
    patterns: ActivationPatterns
    unpenalised_coef: npt.NDArray[np.floating[Any]] | None = None
    unpenalised_map: FloatArray | None = None

    @property
    def dual_objective(self) -> float:
        """A bound from below on the objective of every solution: ``objective - gap``."""
        return self.objective - self.gap

    @property
    def n_iter(self) -> int:
        """Iterations of the reweighting."""
        return len(self.history)

    @property
    def active(self) -> npt.NDArray[np.int64]:
        """Indices of the patterns with non-zero coefficients."""
        return np.flatnonzero(self.coef.reshape(len(self.patterns), -1).any(axis=1))

    @property
    def penalty_sum(self) -> float:
        """S = sum_i ||w_i||."""
        return float(block_norms(self.coef).sum())

    @property
    def group_beta(self) -> float:
        """The penalty of :func:`solve_gated` with this solution: ``beta``, and in the simplex form ``beta * S``."""
        return self.beta if self.form == "beta" else self.beta * self.penalty_sum

    @property
    def simplex_beta(self) -> float:
        """The penalty of the simplex form with this solution: ``group_beta / S``; infinite where S is 0."""
        total = self.penalty_sum
        if self.form == "simplex":
            return self.beta
        return self.beta / total if total > 0 else float("inf")

    def predict(
        self,
        Z: npt.ArrayLike,
        *,
        at: str = "representative",
        unpenalised: npt.ArrayLike | str | None = None,
        n_threads: int | None = None,
    ) -> Any:
        """Evaluate sum_i m_i(z) z' w_i.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.
        at : {"representative", "cell-average", "refined"}
            What stands for the mask m_i of pattern i at z, see :func:`masking_kernel`. "representative" is the gated
            network itself.
        unpenalised : array_like of shape (m, q) or "intercept", optional
            Their unpenalised columns, if the solution has some. Not for rows in chunks or dask collections, for which
            they are computed as by the network that :meth:`to_network` returns.
        n_threads : int, optional
            Threads; by default what OpenMP would take.

        Returns
        -------
        ndarray of shape (m,) or (m, n_outputs)
            Predictions.
        """
        if is_rows(Z) and at == "representative":
            return predict_rows(Z, self.to_network())
        design = as_design(Z, "Z", self.patterns.n_features)
        values = masked_values(self.patterns, self.coef, self.X, design, at, n_threads)
        return values + unpenalised_values(self.unpenalised_coef, unpenalised, len(design)).astype(values.dtype)

    def kernel(
        self,
        Z: npt.ArrayLike | None = None,
        *,
        at: str = "representative",
        block: str = "cross",
        n_threads: int | None = None,
    ) -> npt.NDArray[Any]:
        """Return the learned kernel of the training samples, or of `Z` with them, or of `Z` with itself.

        Parameters
        ----------
        Z, at, block, n_threads
            As in :func:`masking_kernel`.

        Returns
        -------
        ndarray of shape (n_samples, n_samples), (m, n_samples) or (m, m)
            K(eta).
        """
        return masking_kernel(self.X, self.patterns, self.eta, Z, at=at, block=block, n_threads=n_threads)

    def to_network(self, *, at: str = "representative") -> Network:
        """Return the gated network with the same values as ``predict`` at every point.

        Unpenalised columns become its output bias or its skip, as by :meth:`GatedSolution.to_network`.

        Parameters
        ----------
        at : {"representative", "cell-average"}
            As in :meth:`predict`. The average has a gate for every draw in the cells of active patterns. "refined" is
            no network: its gates depend on the samples.

        Returns
        -------
        Network
        """
        if at == "refined":
            raise ValueError('at="refined" is no network: its gates depend on the samples; take "cell-average"')
        nonzero = np.zeros(len(self.patterns))
        nonzero[self.active] = 1
        nowhere = np.empty((0, self.patterns.n_features))
        gates, pattern, shares = evaluation_gates(self.patterns, nonzero, at, nowhere, nowhere)
        blocks = np.asarray(self.coef[pattern], dtype=np.float64)
        network = network_from_blocks(gates, blocks * shares.reshape(-1, *[1] * (blocks.ndim - 1)))
        return with_unpenalised(network, self.unpenalised_map, self.unpenalised_coef)

    def __repr__(self) -> str:
        return (
            f'MKLSolution(form="{self.form}", beta={self.beta:.4g}, objective={self.objective:.8g}, '
            f"relative_gap={self.relative_gap:.1e}, {self.active.size} of {len(self.patterns)} kernels active)"
        )


def masked_values(
    patterns: ActivationPatterns,
    coef: npt.NDArray[np.floating[Any]],
    X: FloatArray,
    Z: FloatArray,
    at: str,
    n_threads: int | None,
) -> npt.NDArray[np.floating[Any]]:
    """Evaluate sum_i m_i(z) z' w_i at validated samples, the masks as for :func:`masking_kernel`."""
    threads = as_threads(n_threads)
    n_outputs = 1 if coef.ndim == 2 else coef.shape[2]
    nonzero = np.asarray(coef.reshape(coef.shape[0], -1).any(axis=1), dtype=np.float64)
    gates, pattern, shares = evaluation_gates(patterns, nonzero, at, X, Z)
    if pattern.size == 0:
        values = np.zeros((Z.shape[0], n_outputs))
    else:
        blocks = coef.reshape(*coef.shape[:2], n_outputs)[pattern] * shares[:, None, None]
        words, _ = core.pack_patterns(Z, gates, threads)
        values = core.masked_fitted(Z, words, columns_of(blocks), n_outputs, threads)
    return predictions_in(values[:, 0] if coef.ndim == 2 else values, coef.dtype)


def block_norms(coef: npt.NDArray[np.floating[Any]]) -> FloatArray:
    """Norms of the blocks of coefficients, over features and outputs together."""
    return row_lengths(np.asarray(coef.reshape(coef.shape[0], -1), dtype=np.float64))
