"""From a table and a penalty to a certified network: what the estimators and the command line share."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, append_ones, as_scalar
from ..gated.solution import GatedPath, GatedSolution
from ..gated.solve import beta_max, gated_path, solve_gated
from ..networks.network import Network, network_from_blocks
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_patterns
from .merging import MergedSamples, merge_samples

logger = logging.getLogger("cvxrelu")


@dataclasses.dataclass(frozen=True, eq=False)
class GatedFit:
    """A trained gated network.

    Attributes
    ----------
    network : Network
        The optimum as a network.
    solution : GatedSolution
        The optimum as a solution of the gated program over the distinct samples, in the order of their first
        appearance.
    beta : float
        Penalty.
    beta_max : float
        Smallest penalty whose optimum is zero.
    unexplained : float
        What equal samples with different targets add to every objective, for the squared loss half their weighted sum
        of squares about their means. ``solution.objective + unexplained`` is the objective over all samples.
    """

    network: Network
    solution: GatedSolution
    beta: float
    beta_max: float
    unexplained: float


@dataclasses.dataclass(frozen=True, eq=False)
class GatedProblem:
    """A gated program over merged samples, ready for any penalty.

    Attributes
    ----------
    samples : MergedSamples
        The samples.
    X : ndarray
        Their features, with the ones column where there is a bias.
    patterns : ActivationPatterns
        Patterns of the gates on `X`.
    beta_max : float
        Smallest penalty whose optimum is zero.
    bias : bool
        Whether the last column of `X` is the ones column.
    loss, delta
        The loss, as in :func:`solve_gated`.
    """

    samples: MergedSamples
    X: FloatArray
    patterns: ActivationPatterns
    beta_max: float
    bias: bool
    loss: str = "squared"
    delta: float = 1.0

    def beta_of(self, ratio: Any) -> float:
        """Return a penalty relative to `beta_max`; where the targets are zero every penalty gives the zero network."""
        return as_scalar(ratio, "beta_ratio", strict=True) * (self.beta_max or 1.0)

    def fit_of(self, solution: GatedSolution) -> GatedFit:
        """Return a solution as a network, in the order in which the samples appeared."""
        logger.info(
            "gated network: %d samples, %d patterns, beta %.6g, objective %.9g, gap %.3g (relative %.3g), %d active",
            *(self.X.shape[0], len(self.patterns), solution.beta, solution.objective + self.samples.constant),
            *(solution.gap, solution.relative_gap, len(solution.active)),
        )
        network = network_from_blocks(self.patterns.gates[solution.active], solution.blocks, bias=self.bias)
        solution = dataclasses.replace(
            solution,
            patterns=self.patterns.reorder_samples(self.samples.appearance),
            dual=solution.dual[self.samples.appearance],
        )
        return GatedFit(network, solution, solution.beta, self.beta_max, self.samples.constant)


def pose_gated(
    X: FloatArray,
    y: FloatArray,
    *,
    n_gates: int | None,
    gates: str | npt.ArrayLike,
    fit_bias: bool,
    random_state: Any,
    sample_weight: FloatArray | None,
    n_threads: int | None,
    loss: str = "squared",
    delta: float = 1.0,
) -> GatedProblem:
    """Merge validated samples, draw gates, and find the largest useful penalty."""
    samples = merge_samples(X, y, sample_weight, loss)
    X = append_ones(samples.X) if fit_bias else samples.X
    patterns = sample_patterns(X, n_gates, gates=gates, random_state=random_state, n_threads=n_threads)
    return _posed(samples, X, patterns, fit_bias, n_threads, loss, delta)


def _posed(
    samples: MergedSamples,
    X: FloatArray,
    patterns: ActivationPatterns,
    bias: bool,
    n_threads: int | None,
    loss: str,
    delta: float,
) -> GatedProblem:
    largest = beta_max(
        X, samples.y, patterns, sample_weight=samples.weights, loss=loss, delta=delta, n_threads=n_threads
    )
    return GatedProblem(samples, X, patterns, largest, bias, loss, delta)


def telling_networks(
    callback: Callable[[dict[str, Any]], Any] | None, gates: FloatArray, bias: bool, unexplained: float = 0.0
) -> Callable[[dict[str, Any]], Any] | None:
    """Return a callback for the solver that tells `callback` of the network, and of the objective over all samples."""
    if callback is None:
        return None

    def told(state: dict[str, Any]) -> Any:
        network = network_from_blocks(gates[state.pop("support")], state.pop("blocks"), bias=bias)
        return callback(state | {"objective": state["objective"] + unexplained, "network": network})

    return told


def fit_gated(
    X: FloatArray,
    y: FloatArray,
    *,
    n_gates: int | None,
    gates: str | npt.ArrayLike,
    beta: float | None,
    beta_ratio: float,
    fit_bias: bool,
    tol: float,
    max_iter: int,
    random_state: Any = None,
    sample_weight: FloatArray | None = None,
    previous: GatedFit | None = None,
    n_threads: int | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    loss: str = "squared",
    delta: float = 1.0,
) -> GatedFit:
    """Train on validated arrays; `beta` None means `beta_ratio` times the smallest penalty with a zero optimum.

    With `previous` the gates of that fit are kept, and its coefficients are where the solver starts.
    """
    start = None
    if previous is None:
        problem = pose_gated(
            X,
            y,
            n_gates=n_gates,
            gates=gates,
            fit_bias=fit_bias,
            random_state=random_state,
            sample_weight=sample_weight,
            n_threads=n_threads,
            loss=loss,
            delta=delta,
        )
    else:
        samples = merge_samples(X, y, sample_weight, loss)
        X = append_ones(samples.X) if fit_bias else samples.X
        patterns, start = _restart(X, samples.y, previous, n_threads)
        problem = _posed(samples, X, patterns, fit_bias, n_threads, loss, delta)
    solution = solve_gated(
        problem.X,
        problem.samples.y,
        problem.patterns,
        problem.beta_of(beta_ratio) if beta is None else as_scalar(beta, "beta", strict=True),
        tol=tol,
        max_iter=max_iter,
        sample_weight=problem.samples.weights,
        warm_start=start,
        loss=loss,
        delta=delta,
        n_threads=n_threads,
        callback=telling_networks(callback, problem.patterns.gates, fit_bias, problem.samples.constant),
    )
    return problem.fit_of(solution)


def fit_gated_path(
    problem: GatedProblem, ratios: FloatArray, *, tol: float, max_iter: int, n_threads: int | None
) -> GatedPath:
    """Solve a problem for penalties relative to its `beta_max`, decreasing, each from the solution before."""
    return gated_path(
        problem.X,
        problem.samples.y,
        problem.patterns,
        betas=ratios * (problem.beta_max or 1.0),
        tol=tol,
        max_iter=max_iter,
        sample_weight=problem.samples.weights,
        loss=problem.loss,
        delta=problem.delta,
        n_threads=n_threads,
    )


def _restart(
    X: FloatArray, y: FloatArray, previous: GatedFit, n_threads: int | None
) -> tuple[ActivationPatterns, FloatArray | None]:
    """Patterns of the previous gates on new samples, and the previous coefficients added up over them."""
    old = previous.solution.patterns
    patterns = sample_patterns(X, gates=old.gates, n_threads=n_threads)
    coef = previous.solution.coef
    if coef.shape[1:] != (X.shape[1], *y.shape[1:]):
        return patterns, None
    kept = old.activations(X, n_threads=n_threads).any(axis=0)
    start = np.zeros((len(patterns), *coef.shape[1:]))
    assert patterns.draw_pattern is not None
    np.add.at(start, patterns.draw_pattern, coef[kept])
    return patterns, start
