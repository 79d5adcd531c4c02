"""From a table and a penalty to a certified network: what the estimators and the command line share."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_scalar, as_threads
from ..gated.losses import Loss, Squared
from ..gated.pose import pose
from ..gated.problem import GatedData, Penalty, Stopping
from ..gated.program import Program
from ..gated.solution import GatedPath, GatedSolution
from ..gated.solve import warn_of_gaps
from ..networks.network import Network, network_from_blocks
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_of_design
from ..patterns.sampling_rows import sample_of_rows
from ..rows.rows import Rows
from .merging import MergedSamples, merge_samples

logger = logging.getLogger("cvxrelu")

Listener = Callable[[dict[str, Any]], Any]


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
class GateDraw:
    """How gates are drawn.

    Attributes
    ----------
    n_gates : int or None
        Draws; None where `gates` is an array.
    gates : str or array_like
        Law of the gates, or the gates.
    random_state : Generator or int
        Source of the draws.
    bias : bool
        Whether a column of ones is appended to the samples.
    """

    n_gates: int | None
    gates: str | npt.ArrayLike
    random_state: Any = None
    bias: bool = True


@dataclasses.dataclass(frozen=True, eq=False)
class GatedProblem:
    """A gated program, posed once and ready for any penalty.

    Attributes
    ----------
    program : Program
        The program.
    beta_max : float
        Smallest penalty whose optimum is zero.
    bias : bool
        Whether the last feature is the ones column.
    loss : Loss
        The loss.
    samples : MergedSamples or None
        The samples; None where rows are elsewhere, which are not merged.
    """

    program: Program
    beta_max: float
    bias: bool
    loss: Loss
    samples: MergedSamples | None = None

    @property
    def unexplained(self) -> float:
        """The part of the loss over all samples that no network changes."""
        return 0.0 if self.samples is None else self.samples.constant

    def beta_of(self, ratio: Any) -> float:
        """Return a penalty relative to `beta_max`; where the targets are zero every penalty gives the zero network."""
        return as_scalar(ratio, "beta_ratio", strict=True) * (self.beta_max or 1.0)

    def network_of(
        self,
        active: npt.NDArray[np.int64],
        blocks: npt.NDArray[np.floating[Any]],
        intercept: npt.NDArray[np.floating[Any]] | None,
    ) -> Network:
        """Return blocks behind the gates of the active patterns as a network, beside the coefficient of the ones."""
        network = network_from_blocks(self.program.patterns.gates[active], blocks, bias=self.bias)
        return network if intercept is None else dataclasses.replace(network, output_bias=intercept[0])

    def fit(self, beta: float, stopping: Stopping, start: FloatArray | None = None) -> GatedFit:
        """Solve for one penalty. The callback hears of the network, and of the objective over all samples."""
        telling = dataclasses.replace(stopping, callback=self._telling(stopping.callback))
        solutions, _ = self.program.path(np.array([beta]), start, telling)
        warn_of_gaps(solutions, stopping)
        return self.fit_of(solutions[0])

    def path(self, ratios: FloatArray, stopping: Stopping) -> GatedPath:
        """Solve for penalties relative to `beta_max`, decreasing, each from the solution before."""
        solutions, _ = self.program.path(ratios * (self.beta_max or 1.0), None, stopping)
        warn_of_gaps(solutions, stopping)
        return GatedPath(tuple(solutions), complete=len(solutions) == ratios.size)

    def fit_of(self, solution: GatedSolution) -> GatedFit:
        """Return a solution as a network, in the order in which the samples appeared."""
        patterns = self.program.patterns
        logger.info(
            "gated network: %d samples, %d patterns, beta %.6g, objective %.9g, gap %.3g (relative %.3g), %d active",
            *(patterns.n_samples, len(patterns), solution.beta, solution.objective + self.unexplained),
            *(solution.gap, solution.relative_gap, len(solution.active)),
        )
        network = self.network_of(solution.active, solution.blocks, solution.unpenalised_coef)
        if self.samples is not None:
            order = self.samples.appearance
            reordered = patterns.reorder_samples(order)
            solution = dataclasses.replace(solution, patterns=reordered, dual=solution.dual[order])
        return GatedFit(network, solution, solution.beta, self.beta_max, self.unexplained)

    def _telling(self, callback: Listener | None) -> Listener | None:
        if callback is None:
            return None

        def told(state: dict[str, Any]) -> Any:
            network = self.network_of(state.pop("support"), state.pop("blocks"), state.pop("unpenalised_coef", None))
            return callback(state | {"objective": state["objective"] + self.unexplained, "network": network})

        return told


def pose_gated(
    X: FloatArray,
    y: FloatArray,
    draw: GateDraw,
    *,
    sample_weight: FloatArray | None = None,
    n_threads: int | None = None,
    loss: Loss | None = None,
    intercept: bool = False,
) -> GatedProblem:
    """Merge validated samples, draw gates, and find the largest useful penalty."""
    loss = Squared() if loss is None else loss
    samples = merge_samples(X, y, sample_weight, loss, bias=draw.bias)
    threads = as_threads(n_threads)
    patterns = sample_of_design(samples.X, draw.n_gates, draw.gates, draw.random_state, threads)
    return _posed(samples, patterns, draw.bias, threads, loss, _penalty(intercept))


def pose_again(
    previous: GatedFit,
    X: FloatArray,
    y: FloatArray,
    *,
    sample_weight: FloatArray | None = None,
    n_threads: int | None = None,
    loss: Loss | None = None,
    intercept: bool = False,
) -> tuple[GatedProblem, FloatArray | None]:
    """Pose the problem of new samples with the gates of a fit; also return its coefficients to start from."""
    loss = Squared() if loss is None else loss
    samples = merge_samples(X, y, sample_weight, loss, bias=previous.network.bias)
    threads = as_threads(n_threads)
    patterns, start = _restart(samples, previous, threads)
    return _posed(samples, patterns, previous.network.bias, threads, loss, _penalty(intercept)), start


def pose_rows(
    rows: Rows,
    y: Any,
    draw: GateDraw,
    *,
    sample_weight: Any = None,
    n_threads: int | None,
    intercept: bool = False,
) -> GatedProblem:
    """As :func:`pose_gated`, for rows that are elsewhere, whose equal samples are not merged."""
    design = rows.with_ones() if draw.bias else rows
    patterns = sample_of_rows(design, draw.n_gates, draw.gates, draw.random_state)
    data = GatedData.checked(design, y, patterns, sample_weight, n_threads)
    program = pose(data, _penalty(intercept), Squared())
    return GatedProblem(program, program.beta_max(), draw.bias, Squared())


def _penalty(intercept: bool) -> Penalty:
    return Penalty(unpenalised="intercept" if intercept else None)


def _posed(
    samples: MergedSamples, patterns: ActivationPatterns, bias: bool, threads: int, loss: Loss, penalty: Penalty
) -> GatedProblem:
    data = GatedData(samples.X, samples.y, patterns, samples.weights, threads, own_patterns=True)
    program = pose(data, penalty, loss)
    return GatedProblem(program, program.beta_max(), bias, loss, samples)


def _restart(samples: MergedSamples, previous: GatedFit, threads: int) -> tuple[ActivationPatterns, FloatArray | None]:
    """Patterns of the previous gates on new samples, and the previous coefficients added up over them."""
    old = previous.solution.patterns
    patterns = sample_of_design(samples.X, None, old.gates, None, threads)
    coef = previous.solution.coef
    if coef.shape[1:] != (samples.X.shape[1], *samples.y.shape[1:]):
        return patterns, None
    kept = old.activations(samples.X, n_threads=threads).any(axis=0)
    start = np.zeros((len(patterns), *coef.shape[1:]))
    assert patterns.draw_pattern is not None
    np.add.at(start, patterns.draw_pattern, coef[kept])
    return patterns, start
