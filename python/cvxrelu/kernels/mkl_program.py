"""Multiple kernel learning in the terms of the gated program, whose solution it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.callbacks import Callback, Stop, shifted_callback
from ..base.scaling import row_lengths
from ..gated.problem import GatedData, Stopping
from ..gated.program import Program
from ..gated.sums import group_lasso_bound, simplex_bound
from .mkl_solution import MKLHistory, MKLSolution, block_norms

_MOST_PASSES = 10_000
_MOST_PENALTIES = 60  # of the group lasso, in the search for the one of the simplex form
_MOST_FAILURES = 5  # of those, solutions that rounding kept from their tolerance


class MKLProgram:
    """The program for both forms, over arrays or rows that are elsewhere; `beta` is the penalty of the form at hand."""

    def __init__(self, data: GatedData, program: Program, beta: float, form: str, tol: float) -> None:
        self.data = data
        self.beta = beta
        self.form = form
        self.tol = tol
        self.program = program
        # Solutions have samples of their own: their kernels must not change with the caller's array.
        self.X = data.X.copy() if isinstance(data.X, np.ndarray) else data.X
        self.history = MKLHistory(np.zeros(0), np.zeros(0), np.zeros(0))

    def at(self, coef: npt.NDArray[np.floating[Any]] | None) -> MKLSolution:
        """Return coefficients, by default of zero, with objective and gap of the form at hand."""
        if coef is None:
            outputs = np.shape(self.data.y)[1:] if not hasattr(self.data.y, "shape") else self.data.y.shape[1:]
            coef = np.zeros((*self.data.patterns.gates.shape, *outputs), dtype=self.data.dtype)
        point = self.program.iterate(coef)
        if self.form == "beta":
            bound = group_lasso_bound(point, np.full(len(self.data.patterns), self.beta), 0.0)
        else:
            bound = simplex_bound(point, self.beta)
        extra = self.program.unpenalised_coef(point)
        return self._solution(coef, bound.objective, bound.gap, self.program.dual(point, bound.scale), extra)

    def _solution(
        self,
        coef: npt.NDArray[np.floating[Any]],
        objective: float,
        gap: float,
        dual: Any,
        extra: npt.NDArray[np.floating[Any]] | None,
    ) -> MKLSolution:
        eta = block_norms(coef)
        if self.form == "simplex":
            total = eta.sum()
            eta = eta / total if total > 0 else np.full(eta.size, 1 / eta.size)
        at_zero = self.program.at_zero
        relative_gap = gap / at_zero if at_zero > 0 else 0.0
        return MKLSolution(
            eta=eta,
            coef=coef,
            beta=self.beta,
            form=self.form,
            objective=objective,
            gap=gap,
            relative_gap=relative_gap,
            dual=dual,
            converged=relative_gap <= self.tol,
            history=self.history,
            X=self.X,
            patterns=self.data.patterns,
            unpenalised_coef=extra,
            unpenalised_map=self.program.unpenalised_map,
        )

    def finish(self, start: MKLSolution, callback: Callback | None) -> tuple[MKLSolution, bool]:
        """Go on from a start to the optimum; also say whether the callback asked to stop."""
        callback = shifted_callback(callback, len(self.history))
        if self.form == "beta":
            # From beta_max on zero is the solution; what reweighting left could pass as one within the tolerance.
            zero = self.beta >= self.program.beta_max()
            return self._at_penalty(self.beta, None if zero else self._likely_support(start), callback)[:2]
        return self._simplex_solution(start, callback)

    def _at_penalty(self, beta: float, start: Any, callback: Callback | None) -> tuple[MKLSolution, bool, bool]:
        """The solution of the group lasso with a penalty, certified for the form at hand.

        Also whether the callback asked to stop, and whether the group lasso reached its tolerance.
        """
        stop = Stop(callback)
        tol = self.tol if self.form == "beta" else 0.1 * self.tol
        stopping = Stopping(tol, _MOST_PASSES, callback=None if callback is None else stop)
        (group,), _ = self.program.path(np.array([beta]), start, stopping)
        if self.form == "simplex":
            return self.at(group.coef), stop.stopped, group.converged
        solution = self._solution(group.coef, group.objective, group.gap, group.dual, group.unpenalised_coef)
        return solution, stop.stopped, group.converged

    def _simplex_solution(self, start: MKLSolution, callback: Callback | None) -> tuple[MKLSolution, bool]:
        """Find the penalty b with b = beta S(b), S the sum of norms at the solution of the group lasso.

        S does not increase with b, so b and beta S(b) enclose the root from the first solution on; the gap of the
        simplex form, quadratic in their difference, tells when it is close enough.
        """
        if self.program.at_zero == 0 or start.penalty_sum == 0:
            largest = self.program.beta_max()
            if largest == 0:
                return start, False
            group_beta = 0.1 * largest
        else:
            group_beta = self.beta * start.penalty_sum
        low, high = 0.0, np.inf
        previous: tuple[float, float] | None = None
        best, solution, stopped, failures = start, start, False, 0
        for _ in range(_MOST_PENALTIES):
            warm_start = self._likely_support(start) if solution is start else solution.coef
            solution, stopped, reached = self._at_penalty(group_beta, warm_start, callback)
            best = min(best, solution, key=lambda found: found.gap)
            failures += not reached
            if solution.converged or stopped or failures == _MOST_FAILURES:
                break
            image = self.beta * solution.penalty_sum
            excess = group_beta - image
            low, high = max(low, min(group_beta, image)), min(high, max(group_beta, image))
            step = 0.5 * (low + high)
            if previous is not None and excess != previous[1]:
                secant = group_beta - excess * (group_beta - previous[0]) / (excess - previous[1])
                if low < secant < high:
                    step = secant
            previous = group_beta, excess
            group_beta = step
        return best, stopped

    def _likely_support(self, start: MKLSolution) -> Any:
        """Coefficients of reweighting without those of patterns that are about to vanish.

        Reweighting makes no coefficient zero. It multiplies those outside the support by about
        ``||X' D_i dual|| / max`` in every iteration, which is 1 on the support.
        """
        if not self.history:
            return None
        # At any multiple of the dual point: only the sizes beside each other count.
        sizes = row_lengths(self.program.iterate(start.coef).correlations.T)
        coef = start.coef.copy()
        coef[sizes < 0.95 * sizes.max()] = 0
        return coef
