"""What the gated-ReLU program returns: a certified solution, and a path of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_unpenalised
from ..base.bounds import bound_below
from ..networks.network import Network, network_from_blocks
from ..patterns.patterns import ActivationPatterns
from ..rows.predict import predict_rows
from ..rows.rows import is_rows

_MOST_GATES = 2**24  # values of gates that a prediction holds at a time


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GatedSolution:
    """A certified solution of the gated-ReLU program, as :func:`cvxrelu.solve_gated` states it.

    Attributes
    ----------
    beta : float
        Penalty.
    active : ndarray of shape (n_active,), int64
        Indices of the patterns with non-zero coefficients.
    blocks : ndarray of shape (n_active, n_features) or (n_active, n_features, n_outputs)
        Their coefficients.
    objective : float
        Value of the objective.
    gap : float
        Duality gap: no coefficients over these patterns have an objective below ``objective - gap``.
    relative_gap : float
        The gap relative to the objective of the zero solution.
    dual : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The dual point t that proves it: ``||X' D_i t|| <= beta * group_weights[i]`` for every pattern, in the spectral
        norm where blocks are under the nuclear norm.
    converged : bool
        Whether the relative gap is within the tolerance.
    n_iter, n_sweeps, n_newton, n_cg, n_direct : int
        Passes over all patterns, sweeps of block-coordinate descent, Newton steps, conjugate-gradient iterations in
        them, and Newton steps that factorised a matrix in sample space instead. All count what larger penalties on the
        way from a start at zero took, too, and passes count a last one over patterns that were screened out; `max_iter`
        limits the passes at one penalty, so that `n_iter` may exceed it.
    solver : str
        The inner solver that was asked for.
    loss : str
        The loss.
    block_norm : str
        The norm of a block.
    unpenalised_coef : ndarray of shape (q,) or (q, n_outputs), or None
        Coefficients of the unpenalised columns, in float64 for float32 data too: an offset may be large beside the fit.
    patterns : ActivationPatterns
        The patterns that were given.
    inner_solvers : tuple of str
        What ended each working set, in their order: "newton", "dual" or "bcd"; for steps between passes over many rows
        "sample" or "gram" (a subsample of the rows, or Gram statistics of all). Where `solver` is "auto" this is what
        was chosen.
    n_subsampled : int
        Rows of the last subsample that steps were taken on, with the squared loss; 0 where there was none.
    unpenalised_map : ndarray of shape (n_features + 1, q), or None
        M such that the unpenalised columns are exactly [X, 1] M; None where one of them is neither constant nor a
        column of X.
    """

    beta: float
    active: npt.NDArray[np.int64]
    blocks: npt.NDArray[np.floating[Any]]
    objective: float
    gap: float
    relative_gap: float
    dual: FloatArray
    converged: bool
    n_iter: int
    n_sweeps: int
    n_newton: int
    n_cg: int
    n_direct: int
    solver: str
    unpenalised_coef: npt.NDArray[np.floating[Any]] | None
    patterns: ActivationPatterns
    loss: str = "squared"
    inner_solvers: tuple[str, ...] = ()
    block_norm: str = "frobenius"
    n_subsampled: int = 0
    unpenalised_map: FloatArray | None = None

    @property
    def dual_objective(self) -> float:
        """A bound from below on the objective of every solution: ``objective - gap`` less rounding, or 0."""
        return bound_below(self.objective, self.gap)

    @property
    def coef(self) -> npt.NDArray[np.floating[Any]]:
        """Coefficients of all patterns, of shape (n_patterns, n_features) or (n_patterns, n_features, n_outputs)."""
        coef = np.zeros((len(self.patterns), *self.blocks.shape[1:]), dtype=self.blocks.dtype)
        coef[self.active] = self.blocks
        return coef

    def predict(
        self, Z: npt.ArrayLike, *, unpenalised: npt.ArrayLike | str | None = None
    ) -> npt.NDArray[np.floating[Any]]:
        """Evaluate sum_i 1[z . g_i >= 0] z' w_i.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.
        unpenalised : array_like of shape (m, q) or "intercept", optional
            Their unpenalised columns, if the solution has some. Not for rows in chunks or dask collections, for which
            they are computed as by the network that :meth:`to_network` returns.

        Returns
        -------
        ndarray of shape (m,) or (m, n_outputs)
            Values of the gated network: with another loss than the squared one log-odds, scores before the softmax, or
            logarithms of means.
        """
        if is_rows(Z):
            if unpenalised is not None:
                raise ValueError("unpenalised columns of rows in chunks cannot be given: leave them out")
            return predict_rows(Z, self.to_network())  # the patterns may hold bits of all training rows
        design = as_design(Z, "Z", self.patterns.n_features)
        patterns = self.patterns[self.active]
        values = np.empty((len(design), *self.blocks.shape[2:]))
        step = max(1, _MOST_GATES // max(1, self.active.size, self.blocks[:1].size))
        for rows in (slice(k, k + step) for k in range(0, len(design), step)):
            gates = patterns.activations(design[rows]).astype(np.float64)
            # Open blocks are added up first: no sample meets a closed one, whose product might overflow.
            values[rows] = np.einsum("md,md...->m...", design[rows], np.tensordot(gates, self.blocks, 1))
        values = values + unpenalised_values(self.unpenalised_coef, unpenalised, len(design))
        return np.asarray(values, dtype=self.blocks.dtype)

    def to_network(self) -> Network:
        """Return the gated network with the same values at every point.

        Unpenalised columns become its output bias, where they are constant, and its skip, where they are columns of X.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            Where an unpenalised column is neither: a network knows nothing but the features of a sample.
        """
        network = network_from_blocks(self.patterns.gates[self.active], self.blocks)
        return with_unpenalised(network, self.unpenalised_map, self.unpenalised_coef)

    def __repr__(self) -> str:
        return (
            f"GatedSolution(beta={self.beta:.4g}, objective={self.objective:.8g}, "
            f"relative_gap={self.relative_gap:.1e}, {self.active.size} of {len(self.patterns)} patterns active)"
        )


def unpenalised_values(
    coef: npt.NDArray[np.floating[Any]] | None, columns: npt.ArrayLike | str | None, n_samples: int
) -> FloatArray:
    """Return what the unpenalised columns of samples Z add to a solution's values."""
    if coef is None:
        return np.zeros(())
    if columns is None:
        raise ValueError("this solution has unpenalised columns: predict needs those of Z too")
    return np.asarray(as_unpenalised(columns, n_samples, coef.shape[0], "Z") @ coef)


def linear_map_of(X: FloatArray, columns: FloatArray) -> FloatArray | None:
    """Return M with [X, 1] M equal to columns that are constant or columns of X; None where one is neither."""
    mapped = np.zeros((X.shape[1] + 1, columns.shape[1]))
    for column, weights in zip(columns.T, mapped.T, strict=True):
        if (column == column[0]).all():
            weights[-1] = column[0]
            continue
        like = [k for k in np.flatnonzero(X[0] == column[0]) if np.array_equal(X[:, k], column)]
        if not like:
            return None
        weights[like[0]] = 1
    return mapped


def with_unpenalised(
    network: Network, mapped: FloatArray | None, coef: npt.NDArray[np.floating[Any]] | None
) -> Network:
    """Return a network with unpenalised columns, [X, 1] `mapped`, as its output bias and its skip."""
    if coef is None:
        return network
    if mapped is None:
        raise ValueError(
            "an unpenalised column is neither constant nor a column of X: a network, which knows nothing but the "
            "features of a sample, cannot compute it"
        )
    *skip, bias = mapped
    return dataclasses.replace(
        network,
        skip=np.array(skip) @ coef if np.any(skip) else None,
        output_bias=bias @ coef if bias.any() else None,
    )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class GatedPath(Sequence[GatedSolution]):
    """Certified solutions for decreasing penalties, made by :func:`cvxrelu.gated_path`; a sequence of them.

    Attributes
    ----------
    solutions : tuple of GatedSolution
        One for each penalty that was finished.
    complete : bool
        False when a callback or Ctrl-C ended the path early.
    """

    solutions: tuple[GatedSolution, ...]
    complete: bool

    @property
    def betas(self) -> FloatArray:
        """Penalties."""
        return np.array([solution.beta for solution in self.solutions])

    @property
    def objectives(self) -> FloatArray:
        """Objectives."""
        return np.array([solution.objective for solution in self.solutions])

    @property
    def relative_gaps(self) -> FloatArray:
        """Relative duality gaps."""
        return np.array([solution.relative_gap for solution in self.solutions])

    @property
    def n_active(self) -> npt.NDArray[np.int64]:
        """Numbers of patterns with non-zero coefficients."""
        return np.array([solution.active.size for solution in self.solutions])

    def __len__(self) -> int:
        return len(self.solutions)

    @overload
    def __getitem__(self, index: int) -> GatedSolution: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[GatedSolution, ...]: ...
    def __getitem__(self, index: int | slice) -> GatedSolution | tuple[GatedSolution, ...]:
        return self.solutions[index]

    def __repr__(self) -> str:
        if not self.solutions:
            return "GatedPath(empty)"
        return f"GatedPath({len(self)} penalties from {self.betas[0]:.4g} to {self.betas[-1]:.4g})"
