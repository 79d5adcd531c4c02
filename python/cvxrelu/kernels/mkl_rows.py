"""Multiple kernel learning over rows that are elsewhere."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..base.arrays import FloatArray, as_scalar
from ..base.callbacks import Callback, Stop
from ..exceptions import ConvergenceWarning
from ..gated.passes import BlockProgram
from ..patterns.patterns import ActivationPatterns
from .mkl_program import MKLProgram
from .mkl_solution import MKLHistory, MKLSolution


def solve_over_rows(
    X: Any,
    y: Any,
    patterns: ActivationPatterns,
    beta: float,
    *,
    form: str,
    sample_weight: Any,
    finish: bool,
    tol: float,
    n_threads: int | None,
    callback: Callback | None,
) -> MKLSolution:
    """As :func:`cvxrelu.solve_mkl`, in the primal form: the kernels have n^2 entries, so nothing is reweighted."""
    if form not in ("beta", "simplex"):
        raise ValueError(f'form must be "beta" or "simplex", not {form!r}')
    if not finish:
        raise ValueError("finish=False asks for reweighting alone, which needs the kernels of all rows in memory")
    program = RowMKLProgram(X, y, patterns, as_scalar(beta, "beta", strict=True), form, sample_weight, tol, n_threads)
    solution, stopped = program.finish(program.certified(program.zero), callback)
    if not (solution.converged or stopped):
        warnings.warn(
            f"the duality gap is {solution.relative_gap:.1e} relative to the objective at zero, above tol={tol:.1e}",
            ConvergenceWarning,
            stacklevel=3,
        )
    return solution


class RowMKLProgram(MKLProgram):
    """The program of MKL with rows that are elsewhere."""

    def __init__(
        self,
        X: Any,
        y: Any,
        patterns: ActivationPatterns,
        beta: float,
        form: str,
        sample_weight: Any,
        tol: float,
        n_threads: int | None,
    ) -> None:
        self.program = BlockProgram(X, y, patterns, sample_weight=sample_weight, n_threads=n_threads)
        self.X = self.design = self.program.rows  # type: ignore[assignment]
        self.y = y
        self.patterns = patterns
        self.root = None
        self.beta = beta
        self.form = form
        self.tol = as_scalar(tol, "tol", strict=True)
        self.threads = self.program.threads
        self.at_zero = self.program.at_zero
        self.history = MKLHistory(np.zeros(0), np.zeros(0), np.zeros(0))

    @property
    def zero(self) -> FloatArray:
        """Coefficients of zero."""
        outputs = () if self.program.one_output else (self.program.n_outputs,)
        return np.zeros((len(self.patterns), self.program.rows.shape[1], *outputs))

    def at_beta(self, beta: float, warm_start: Any, callback: Callback | None) -> tuple[MKLSolution, bool]:
        stop = Stop(callback)
        tol = self.tol if self.form == "beta" else 0.1 * self.tol
        start = self.program.history[-1] if self.program.history else self.program.start(warm_start)
        group = self.program.solve(beta, start, tol, 10_000, None if callback is None else stop)
        if self.form == "simplex":
            return self.certified(group.coef), stop.stopped
        return self.solution(group.coef, group.objective, group.gap, group.dual), stop.stopped

    def certified(self, coef: Any) -> MKLSolution:
        program = self.program
        at = program.start(coef)
        norms = np.linalg.norm(at.coef.blocks, axis=0)
        sizes = np.linalg.norm(at.correlations, axis=0)
        fit = np.einsum("km,km->m", at.coef.blocks, at.correlations[:, at.coef.active]) if norms.size else norms
        if self.form == "beta":
            bound = program.bound(at, self.beta)
            objective, gap, scale = bound.objective, bound.gap, bound.scale
        else:
            # The dual is max <y, t> - 1/2 ||t||^2 - max_i ||X' D_i t||^2 / (2 beta), here at t = scale * residual.
            total, largest = float(norms.sum()), float(sizes.max())
            objective = 0.5 * at.rr + 0.5 * self.beta * total**2
            scale = at.yr / (at.rr + largest**2 / self.beta) if at.rr > 0 else 1.0
            gap = 0.5 * at.rr * (1 - scale) ** 2 + scale * float(np.maximum(largest * norms - fit, 0).sum())
            gap += 0.5 * self.beta * (total - scale * largest / self.beta) ** 2
        return self.solution(coef, objective, gap, program.dual(at, scale))
