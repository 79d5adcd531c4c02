"""From a table and a penalty to a certified network: what the estimators and the command line share."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Callable, Sequence
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
from ..networks.network import Network, mean_network, network_from_blocks
from ..patterns.patterns import ActivationPatterns
from ..patterns.sampling import sample_of_design
from ..patterns.sampling_rows import sample_of_rows
from ..rows.rows import Rows
from .certificate import TrainingCertificate, mean_certificate
from .draws import GateDraw
from .merging import MergedSamples, merge_samples

logger = logging.getLogger("cvxrelu")

Listener = Callable[[dict[str, Any]], Any]


@dataclasses.dataclass(frozen=True, eq=False)
class GatedFit:
    """A trained gated network.

    Attributes
    ----------
    network : Network
        The optimum as a network; with several draws of gates the mean of their optima.
    solutions : tuple of GatedSolution
        The optimum of each draw as a solution of the gated program over the distinct samples, in the order of their
        first appearance.
    beta : float
        Penalty.
    beta_max : float
        Smallest penalty whose optimum is zero, for every draw.
    unexplained : float
        What equal samples with different targets add to every objective, for the squared loss half their weighted sum
        of squares about their means. ``solution.objective + unexplained`` is the objective over all samples.
    """

    network: Network
    solutions: tuple[GatedSolution, ...]
    beta: float
    beta_max: float
    unexplained: float

    @property
    def certificate(self) -> TrainingCertificate:
        """What is proved about the objective over all samples, the mean over the draws."""
        return mean_certificate(self.solutions, self.unexplained)


@dataclasses.dataclass(frozen=True, eq=False)
class GatedProblem:
    """A gated program for each draw of gates, posed once and ready for any penalty.

    Attributes
    ----------
    programs : list of Program
        The programs.
    bias : bool
        Whether the last feature is the ones column.
    loss : Loss
        The loss.
    samples : MergedSamples or None
        The samples; None where rows are elsewhere, which are not merged.
    """

    programs: list[Program]
    bias: bool
    loss: Loss
    samples: MergedSamples | None = None

    @functools.cached_property
    def beta_max(self) -> float:
        """Smallest penalty whose optimum is zero, for every draw."""
        return max(program.beta_max() for program in self.programs)

    @property
    def unexplained(self) -> float:
        """The part of the loss over all samples that no network changes."""
        return 0.0 if self.samples is None else self.samples.constant

    def beta_of(self, ratio: Any) -> float:
        """Return a penalty relative to `beta_max`; where the targets are zero every penalty gives the zero network."""
        return as_scalar(ratio, "beta_ratio", strict=True) * (self.beta_max or 1.0)

    def network_of(self, solutions: Sequence[GatedSolution]) -> Network:
        """Return a solution for each draw as one network, which predicts their mean."""
        return mean_network([self._network(s.patterns, s.active, s.blocks, s.unpenalised_coef) for s in solutions])

    def fit(self, beta: float, stopping: Stopping, starts: Sequence[FloatArray | None] | None = None) -> GatedFit:
        """Solve for one penalty, draw after draw.

        The callback hears of the network of a draw, and of its objective over all samples. Draws after one that it
        stops are left out.
        """
        solutions: list[GatedSolution] = []
        for k, program in enumerate(self.programs):
            telling, stops = self._telling(stopping.callback, program.patterns, k)
            own = dataclasses.replace(stopping, callback=telling)
            found, _ = program.path(np.array([beta]), None if starts is None else starts[k], own)
            warn_of_gaps(found, stopping)
            solutions += found
            if stops:
                break
        return self.fit_of(solutions)

    def paths(self, ratios: FloatArray, stopping: Stopping) -> tuple[GatedPath, ...]:
        """Solve for penalties relative to `beta_max`, decreasing, each from the solution before; a path for a draw."""
        paths = []
        for program in self.programs:
            solutions, _ = program.path(ratios * (self.beta_max or 1.0), None, stopping)
            warn_of_gaps(solutions, stopping)
            paths.append(GatedPath(tuple(solutions), complete=len(solutions) == ratios.size))
        return tuple(paths)

    def fit_of(self, solutions: Sequence[GatedSolution]) -> GatedFit:
        """Return solutions as a network, and in the order in which the samples appeared."""
        for solution in solutions:
            patterns = solution.patterns
            logger.info(
                "gated network: %d samples, %d patterns, beta %.6g, objective %.9g, gap %.3g (relative %.3g), "
                "%d active",
                *(patterns.n_samples, len(patterns), solution.beta, solution.objective + self.unexplained),
                *(solution.gap, solution.relative_gap, len(solution.active)),
            )
        network = self.network_of(solutions)
        ordered = tuple(self._in_order(solution) for solution in solutions)
        return GatedFit(network, ordered, solutions[0].beta, self.beta_max, self.unexplained)

    def _in_order(self, solution: GatedSolution) -> GatedSolution:
        if self.samples is None:
            return solution
        order = self.samples.appearance
        return dataclasses.replace(
            solution, patterns=solution.patterns.reorder_samples(order), dual=solution.dual[order]
        )

    def _network(
        self,
        patterns: ActivationPatterns,
        active: npt.NDArray[np.int64],
        blocks: npt.NDArray[np.floating[Any]],
        intercept: npt.NDArray[np.floating[Any]] | None,
    ) -> Network:
        """Return blocks behind the gates of the active patterns as a network, beside the coefficient of the ones."""
        network = network_from_blocks(patterns.gates[active], blocks, bias=self.bias)
        return network if intercept is None else dataclasses.replace(network, output_bias=intercept[0])

    def _telling(
        self, callback: Listener | None, patterns: ActivationPatterns, draw: int
    ) -> tuple[Listener | None, list[bool]]:
        """Return a callback in the terms of the estimators, and a list that is not empty once it stopped."""
        stops: list[bool] = []
        if callback is None:
            return None, stops

        def told(state: dict[str, Any]) -> bool:
            parts = state.pop("support"), state.pop("blocks"), state.pop("unpenalised_coef", None)
            own = {"draw": draw, "objective": state["objective"] + self.unexplained}
            stop = bool(callback(state | own | {"network": self._network(patterns, *parts)}))
            stops.extend([True] * stop)
            return stop

        return told, stops


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
    """Merge validated samples and draw gates."""
    loss = Squared() if loss is None else loss
    samples = merge_samples(X, y, sample_weight, loss, bias=draw.bias)
    threads = as_threads(n_threads)
    patterns = draw.patterns(lambda rng: sample_of_design(samples.X, draw.n_gates, draw.gates, rng, threads))
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
) -> tuple[GatedProblem, list[FloatArray | None]]:
    """Pose the problem of new samples with the gates of a fit; also return its coefficients to start from."""
    loss = Squared() if loss is None else loss
    bias = previous.network.bias
    samples = merge_samples(X, y, sample_weight, loss, bias=bias)
    threads = as_threads(n_threads)
    patterns, starts = zip(*(_restart(samples, old, threads) for old in previous.solutions), strict=True)
    return _posed(samples, list(patterns), bias, threads, loss, _penalty(intercept)), list(starts)


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
    drawn = draw.patterns(lambda rng: sample_of_rows(design, draw.n_gates, draw.gates, rng))
    penalty, loss = _penalty(intercept), Squared()
    data = [GatedData.checked(design, y, patterns, sample_weight, n_threads) for patterns in drawn]
    return GatedProblem([pose(one, penalty, loss) for one in data], draw.bias, loss)


def _penalty(intercept: bool) -> Penalty:
    return Penalty(unpenalised="intercept" if intercept else None)


def _posed(
    samples: MergedSamples,
    drawn: list[ActivationPatterns],
    bias: bool,
    threads: int,
    loss: Loss,
    penalty: Penalty,
) -> GatedProblem:
    data = [GatedData(samples.X, samples.y, own, samples.weights, threads, own_patterns=True) for own in drawn]
    return GatedProblem([pose(one, penalty, loss) for one in data], bias, loss, samples)


def _restart(
    samples: MergedSamples, previous: GatedSolution, threads: int
) -> tuple[ActivationPatterns, FloatArray | None]:
    """Patterns of the previous gates on new samples, and the previous coefficients added up over them."""
    old = previous.patterns
    patterns = sample_of_design(samples.X, None, old.gates, None, threads)
    coef = previous.coef
    if coef.shape[1:] != (samples.X.shape[1], *samples.y.shape[1:]):
        return patterns, None
    kept = old.activations(samples.X, n_threads=threads).any(axis=0)
    start = np.zeros((len(patterns), *coef.shape[1:]))
    assert patterns.draw_pattern is not None
    np.add.at(start, patterns.draw_pattern, coef[kept])
    return patterns, start
