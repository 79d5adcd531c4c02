"""Multiple kernel learning in the core's terms."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ..base.arrays import FloatArray, as_design, as_scalar, as_targets, as_threads, as_weights, result_dtype
from ..base.callbacks import Callback, Stop
from ..base.columns import to_core
from ..base.native import core
from ..base.scaling import rescaled
from ..exceptions import ConvergenceWarning
from ..gated.solve import beta_max, solve_gated
from ..patterns.checks import checked_patterns
from ..patterns.patterns import ActivationPatterns
from .closed_form import require_memory
from .mkl_solution import MKLHistory, MKLSolution, block_norms


class MKLProgram:
    """The program for both forms; `beta` is the penalty of the form at hand."""

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        patterns: ActivationPatterns,
        beta: float,
        form: str,
        sample_weight: npt.ArrayLike | None,
        tol: float,
        n_threads: int | None,
    ) -> None:
        self.dtype = result_dtype(X, y)
        self.X = self.design = as_design(X)
        self.y = as_targets(y, self.X.shape[0])
        self.threads = as_threads(n_threads)
        self.patterns = checked_patterns(patterns, self.X, self.threads)
        self.root: FloatArray | None = None
        if sample_weight is not None:
            # Weights are scaled rows; the masks stay those of X.
            self.root = np.sqrt(as_weights(sample_weight, self.X.shape[0], "sample_weight"))
            self.design = self.root[:, None] * self.X
            self.y = self.root.reshape(-1, *[1] * (self.y.ndim - 1)) * self.y
        self.beta = beta
        self.form = form
        self.tol = as_scalar(tol, "tol", strict=True)
        self.at_zero = 0.5 * float(np.vdot(self.y, self.y))
        self.history = MKLHistory(np.zeros(0), np.zeros(0), np.zeros(0))

    def solution(self, coef: Any, objective: float, gap: float, dual: FloatArray) -> MKLSolution:
        if self.root is not None:
            dual = self.root.reshape(-1, *[1] * (dual.ndim - 1)) * dual
        eta = block_norms(coef)
        if self.form == "simplex":
            total = eta.sum()
            eta = eta / total if total > 0 else np.full(eta.size, 1 / eta.size)
        relative_gap = gap / self.at_zero if self.at_zero > 0 else 0.0
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
            patterns=self.patterns,
        )

    def reweight(
        self, eta: FloatArray, max_iter: int, relaxation: float, callback: Callback | None
    ) -> tuple[MKLSolution, bool]:
        if max_iter == 0:
            shape = (len(self.patterns), self.X.shape[1], *self.y.shape[1:])
            return self.certified(np.zeros(shape)), False
        require_memory(self.X.shape[0], self.X.shape[0], 2)
        # Powers of two are taken out: with X = a X', y = b y' the kernels are a^2 K', and w = (b / a) w'.
        design, a = rescaled(self.design)
        targets, b = rescaled(np.asfortranarray(self.y.reshape(self.y.shape[0], -1)))
        simplex = self.form == "simplex"
        out = core.reweight_kernels(
            design,
            self.patterns.words,
            targets,
            self.beta / (a * a) if simplex else self.beta / (a * b),
            eta / eta.sum() if simplex else eta * (a / b),
            self.tol,
            max_iter,
            simplex,
            relaxation,
            self.threads,
            shifted_callback(callback, 0, b * b),
        )
        if not out["positive_definite"]:
            raise ValueError(
                f"beta = {self.beta:.3g} is too small: K(eta) + beta I is not positive definite in floating point; "
                "raise beta, or give max_iter=0 to leave the kernels out"
            )
        self.history = MKLHistory(*(b * b * out["history"]))
        n_outputs = targets.shape[1]
        coef = (b / a) * out["coef"].T.reshape(len(self.patterns), n_outputs, -1).swapaxes(1, 2)
        coef = np.ascontiguousarray(coef[..., 0] if self.y.ndim == 1 else coef)
        return self.certified(coef.astype(self.dtype, copy=False)), bool(out["stopped"])

    def finish(self, start: MKLSolution, callback: Callback | None) -> tuple[MKLSolution, bool]:
        callback = shifted_callback(callback, len(self.history), 1.0)
        if self.form == "beta":
            # From beta_max on zero is the solution; what reweighting left could pass as one within the tolerance.
            zero = self.beta >= beta_max(self.design, self.y, self.patterns, n_threads=self.threads)
            return self.at_beta(self.beta, None if zero else self.likely_support(start), callback)
        return self.simplex_solution(start, callback)

    def at_beta(self, beta: float, warm_start: Any, callback: Callback | None) -> tuple[MKLSolution, bool]:
        """The solution of the group lasso with penalty `beta`, certified for the form at hand."""
        stop = Stop(callback)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # solve_mkl says so itself
            group = solve_gated(
                self.design.astype(self.dtype, copy=False),
                self.y.astype(self.dtype, copy=False),
                self.patterns,
                beta,
                tol=self.tol if self.form == "beta" else 0.1 * self.tol,
                max_iter=10_000,
                warm_start=warm_start,
                n_threads=self.threads,
                callback=None if callback is None else stop,
            )
        if self.form == "simplex":
            return self.certified(group.coef), stop.stopped
        return self.solution(group.coef, group.objective, group.gap, group.dual), stop.stopped

    def simplex_solution(self, start: MKLSolution, callback: Callback | None) -> tuple[MKLSolution, bool]:
        """Find the penalty b with b = beta S(b), S the sum of norms at the solution of the group lasso.

        S does not increase with b, so b and beta S(b) enclose the root from the first solution on; the gap of the
        simplex form, quadratic in their difference, tells when it is close enough.
        """
        if self.at_zero == 0 or start.penalty_sum == 0:
            largest = beta_max(self.design, self.y, self.patterns, n_threads=self.threads)
            if largest == 0:
                return start, False
            group_beta = 0.1 * largest
        else:
            group_beta = self.beta * start.penalty_sum
        low, high = 0.0, np.inf
        previous: tuple[float, float] | None = None
        solution, stopped = start, False
        for _ in range(60):
            warm_start = self.likely_support(start) if solution is start else solution.coef
            solution, stopped = self.at_beta(group_beta, warm_start, callback)
            image = self.beta * solution.penalty_sum
            if solution.converged or stopped:
                break
            excess = group_beta - image
            low, high = max(low, min(group_beta, image)), min(high, max(group_beta, image))
            step = 0.5 * (low + high)
            if previous is not None and excess != previous[1]:
                secant = group_beta - excess * (group_beta - previous[0]) / (excess - previous[1])
                if low < secant < high:
                    step = secant
            previous = group_beta, excess
            group_beta = step
        return solution, stopped

    def likely_support(self, start: MKLSolution) -> Any:
        """Coefficients of reweighting without those of patterns that are about to vanish.

        Reweighting makes no coefficient zero. It multiplies those outside the support by about
        ``||X' D_i dual|| / max`` in every iteration, which is 1 on the support.
        """
        if not self.history:
            return None
        dual = np.asfortranarray(start.dual.reshape(self.X.shape[0], -1))
        sizes = np.linalg.norm(core.masked_correlations(self.X, self.patterns.words, dual, self.threads), axis=0)
        coef = start.coef.copy()
        coef[sizes < 0.95 * sizes.max()] = 0
        return coef

    def certified(self, coef: Any) -> MKLSolution:
        """Coefficients with objective and gap of the form at hand, the gap a sum of non-negative terms."""
        targets = np.asfortranarray(self.y.reshape(self.y.shape[0], -1))
        n_outputs = targets.shape[1]
        blocks = to_core(coef.reshape(coef.shape[0], coef.shape[1], n_outputs).astype(np.float64))
        fitted = core.masked_fitted(self.design, self.patterns.words, blocks, n_outputs, self.threads)
        residual = np.asfortranarray(targets - fitted)
        correlations = core.masked_correlations(self.design, self.patterns.words, residual, self.threads)
        sizes = np.linalg.norm(correlations, axis=0)
        largest, norms = float(sizes.max()), np.linalg.norm(blocks, axis=0)
        total, square = float(norms.sum()), float(np.vdot(residual, residual))
        fit = np.einsum("ki,ki->i", blocks, correlations)
        slope = float(np.vdot(targets, residual))
        if self.form == "simplex":
            # The dual is max <y, t> - 1/2 ||t||^2 - max_i ||X' D_i t||^2 / (2 beta), here at t = scale * residual.
            objective = 0.5 * square + 0.5 * self.beta * total**2
            scale = slope / (square + largest**2 / self.beta) if square > 0 else 1.0
            off = scale * np.maximum(largest * norms - fit, 0).sum()
            off += 0.5 * self.beta * (total - scale * largest / self.beta) ** 2
        else:
            objective = 0.5 * square + self.beta * total
            scale = slope / square if square > 0 else 0.0
            if largest > 0:
                scale = float(np.clip(scale, -self.beta / largest, self.beta / largest))
            off = np.maximum(self.beta * norms - scale * fit, 0).sum()
        gap = 0.5 * square * (1 - scale) ** 2 + off
        dual = scale * residual
        return self.solution(coef, objective, float(gap), dual[:, 0] if self.y.ndim == 1 else dual)


def shifted_callback(callback: Callback | None, iterations: int, factor: float) -> Callback | None:
    """Count iterations on from those before, and bring objectives to the user's units."""
    if callback is None:
        return None

    def shifted(progress: dict[str, Any]) -> bool | None:
        scaled = {key: factor * progress[key] for key in ("objective", "gap")}
        return callback(progress | scaled | {"iteration": progress["iteration"] + iterations})

    return shifted
