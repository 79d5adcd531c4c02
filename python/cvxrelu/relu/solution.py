"""What the ReLU program returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, IntArray, as_design
from ..base.scaling import predictions_in, row_lengths
from ..gated.solution import unpenalised_values, with_unpenalised
from ..networks.network import Network
from ..patterns.patterns import ActivationPatterns


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ReLUSolution:
    """A two-layer ReLU network with its certificate, as :func:`solve_relu` and :func:`train_relu` return it.

    Attributes
    ----------
    beta : float
        Penalty.
    active : ndarray of shape (n_neurons,), int64
        Index of the pattern of every neuron.
    signs : ndarray of shape (n_neurons,), int64, or (n_neurons, n_outputs)
        Sign of its second layer, 1 or -1; with several outputs the direction of its second layer, a unit vector.
    blocks : ndarray of shape (n_neurons, n_features)
        Its product of layers u: the network is ``f(x) = sum_k signs[k] (x . blocks[k])_+``.
    objective : float
        Objective of the network.
    gap : float
        ``objective - dual_objective``, computed as a sum of non-negative terms.
    relative_gap : float
        The gap relative to the objective of the zero network.
    dual : ndarray of the shape of y
        The dual point t that proves it: ``|t . (X u)_+| <= beta`` for every unit vector u within the scope, with
        several outputs ``||t' (X u)_+|| <= beta``.
    scope : {"given patterns", "all patterns"}
        Which networks the certificate is about.
    converged : bool
        Whether the relative gap is within the tolerance.
    n_iter, n_newton, n_rounds, n_nodes : int
        Passes over the patterns, semismooth Newton steps, rounds of column generation, nodes of trees.
    patterns : ActivationPatterns
        The patterns that `active` counts.
    priced_by : {"given patterns", "closed form", "enumeration", "branch and bound", "subdivision"}
        How the dual point was found to be feasible: over the list, or in which of three ways over all patterns.
    dual_objective : float
        No network within the scope has an objective below it: the value of the dual point, or 0.
    loss : {"squared", "logistic", "softmax", "huber", "poisson"}
        The loss: with another one than the squared loss, values are log-odds or logarithms of means.
    unpenalised_coef : ndarray of shape (q,) or (q, n_outputs), or None
        Coefficients of the unpenalised columns, in float64 for float32 data too.
    unpenalised_map : ndarray of shape (n_features + 1, q), or None
        M such that the unpenalised columns are exactly [X, 1] M; None where one of them is neither constant nor a
        column of X.
    """

    beta: float
    active: IntArray
    signs: IntArray | FloatArray
    blocks: npt.NDArray[np.floating[Any]]
    objective: float
    gap: float
    relative_gap: float
    dual: FloatArray
    scope: str
    converged: bool
    n_iter: int
    n_newton: int
    n_rounds: int
    n_nodes: int
    patterns: ActivationPatterns
    priced_by: str = "given patterns"
    dual_objective: float = 0.0
    loss: str = "squared"
    unpenalised_coef: npt.NDArray[np.floating[Any]] | None = None
    unpenalised_map: FloatArray | None = None

    @property
    def n_neurons(self) -> int:
        """Neurons of the network."""
        return int(self.active.size)

    def predict(
        self, Z: npt.ArrayLike, *, unpenalised: npt.ArrayLike | str | None = None
    ) -> npt.NDArray[np.floating[Any]]:
        """Evaluate the network.

        Parameters
        ----------
        Z : array_like of shape (m, n_features)
            Samples.
        unpenalised : array_like of shape (m, q) or "intercept", optional
            Their unpenalised columns, if the solution has some.

        Returns
        -------
        ndarray of shape (m,) or (m, n_outputs)
            ``sum_k signs[k] (z . blocks[k])_+``, and what the unpenalised columns add: with the logistic loss
            log-odds, with the Poisson loss logarithms of means.
        """
        design = as_design(Z, "Z", self.patterns.n_features)
        values: FloatArray = np.maximum(design @ self.blocks.T.astype(np.float64), 0) @ self.signs.astype(np.float64)
        values = values + unpenalised_values(self.unpenalised_coef, unpenalised, len(design))
        return predictions_in(values, self.blocks.dtype)

    def to_network(self) -> Network:
        """Return the network with balanced layers, ``||w1_j|| = |w2_j|``: its weight decay is the penalty.

        Unpenalised columns become its output bias, where they are constant, and its skip, where they are columns of X.

        Returns
        -------
        Network

        Raises
        ------
        ValueError
            Where an unpenalised column is neither: a network knows nothing but the features of a sample.
        """
        W1, w2 = balanced_layers(self.blocks.astype(np.float64), self.signs)
        return with_unpenalised(Network(W1, w2), self.unpenalised_map, self.unpenalised_coef)

    def __repr__(self) -> str:
        return (
            f"ReLUSolution(beta={self.beta:.4g}, objective={self.objective:.8g}, relative_gap={self.relative_gap:.1e}, "
            f"{self.n_neurons} neurons, {self.scope})"
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ReLUPath(Sequence[ReLUSolution]):
    """Certified networks for decreasing penalties, made by :func:`cvxrelu.relu_path`; a sequence of them.

    Attributes
    ----------
    solutions : tuple of ReLUSolution
        One for each penalty that was finished.
    complete : bool
        False when a callback or Ctrl-C ended the path early.
    """

    solutions: tuple[ReLUSolution, ...]
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
    def n_neurons(self) -> IntArray:
        """Numbers of neurons."""
        return np.array([solution.n_neurons for solution in self.solutions], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.solutions)

    @overload
    def __getitem__(self, index: int) -> ReLUSolution: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[ReLUSolution, ...]: ...
    def __getitem__(self, index: int | slice) -> ReLUSolution | tuple[ReLUSolution, ...]:
        return self.solutions[index]

    def __repr__(self) -> str:
        if not self.solutions:
            return "ReLUPath(empty)"
        return f"ReLUPath({len(self)} penalties from {self.betas[0]:.4g} to {self.betas[-1]:.4g})"


def balanced_layers(blocks: FloatArray, signs: IntArray | FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (W1, w2) with ``w1_j ||w2_j|| = u_j`` and ``||w1_j|| = ||w2_j||``."""
    root = np.sqrt(row_lengths(blocks))
    keep = root > 0
    return blocks[keep] / root[keep, None], (root[keep] * signs[keep].astype(np.float64).T).T


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Certificate:
    """What :func:`certify` proves about a network.

    Attributes
    ----------
    beta : float
        Penalty.
    upper_bound : float
        The objective of the network; infinite where it is above what float64 holds.
    lower_bound : float
        No network within `scope`, of any width, has an objective below it: the value of the dual point, or 0.
    gap : float
        ``upper_bound - lower_bound``, computed as a sum of non-negative terms; infinite where `upper_bound` is.
    relative_gap : float
        The gap relative to the objective of the zero network, ``||y||^2 / 2`` for the squared loss.
    scope : {"all patterns", "given patterns"}
        Which networks the lower bound is about: all, or those whose neurons have one of the given patterns.
    dual : ndarray of the shape of y
        The dual point t that proves it: ``|t . (X u)_+| <= beta`` for every unit vector u within the scope, and with
        several outputs ``||t' (X u)_+|| <= beta``.
    dual_norm : float
        The upper bound on ``max_u |t . (X u)_+|`` that was found before the dual point was scaled.
    exact : bool
        Whether the bound on that maximum was brought down to what the tolerance asked for.
    n_nodes : int
        Nodes of the tree; 0 where none was grown.
    priced_by : {"closed form", "enumeration", "branch and bound", "subdivision", "given patterns"}
        How the maximum was bounded: from the lengths of the samples alone, cell by cell, by branch and bound over
        the signs of samples, by subdivision of directions, or over the patterns given.
    outlook : str
        How far a search came that a limit ended, and what more would cost; empty where it came to its end.
    """

    beta: float
    upper_bound: float
    lower_bound: float
    gap: float
    relative_gap: float
    scope: str
    dual: FloatArray
    dual_norm: float
    exact: bool
    n_nodes: int
    priced_by: str
    outlook: str = ""

    def __repr__(self) -> str:
        return (
            f"Certificate({self.lower_bound:.8g} <= optimum <= {self.upper_bound:.8g}, "
            f"relative_gap={self.relative_gap:.1e}, {self.scope})"
        )
