"""Multiple kernel learning over masking kernels: from the neural tangent kernel to the optimal one."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from ._native import core
from ._validation import (
    FloatArray,
    as_callback,
    as_count,
    as_design,
    as_scalar,
    as_targets,
    as_threads,
    as_weights,
    checked_patterns,
    result_dtype,
)
from .exceptions import ConvergenceWarning
from .gated_program import to_core
from .group_lasso import Callback, beta_max, solve_gated
from .kernels import ntk_weights, require_memory
from .mkl_solution import MKLHistory, MKLSolution, block_norms
from .patterns import ActivationPatterns
from .row_blocks import is_rows, on_rows
from .units import rescaled


def solve_mkl(
    X: npt.ArrayLike,
    y: npt.ArrayLike,
    patterns: ActivationPatterns,
    beta: float,
    *,
    form: str = "beta",
    sample_weight: npt.ArrayLike | None = None,
    init: str | npt.ArrayLike = "ntk",
    max_iter: int = 10,
    relaxation: float = 0.75,
    finish: bool = True,
    tol: float = 1e-6,
    n_threads: int | None = None,
    callback: Callback | None = None,
) -> MKLSolution:
    r"""Learn the weights of masking kernels K_i = D_i X X' D_i to a certified global optimum.

    With :math:`K(\eta) = \sum_i \eta_i K_i` solves

    - ``form="beta"``: :math:`\min_{\eta \ge 0} \tfrac\beta2 \big[ y^\top (K(\eta) + \beta I)^{-1} y + \sum \eta_i \big]
      = \min_w \tfrac12 \| y - \sum D_i X w_i \|^2 + \beta \sum \|w_i\|`, the program of :func:`solve_gated`;
    - ``form="simplex"``: :math:`\min_{\eta \in \Delta} \tfrac\beta2 y^\top (K(\eta) + \beta I)^{-1} y
      = \min_w \tfrac12 \| y - \sum D_i X w_i \|^2 + \tfrac\beta2 \big( \sum \|w_i\| \big)^2`, the textbook's.

    Both have the same solutions where the penalty of the first is S times that of the second, S = sum ||w_i||
    (``group_beta`` and ``simplex_beta`` of the result convert). Several outputs share the weights.

    From the weights of the neural tangent kernel, whose ridge regression is iteration 1, iterative reweighting
    ``eta_i <- ||w_i||`` lowers the objective in every iteration, but takes thousands for the last digits. So after
    `max_iter` of them :func:`solve_gated` finishes, and certifies.

    Parameters
    ----------
    X : array_like of shape (n_samples, n_features)
        Data matrix. For a bias append a column of ones.
    y : array_like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.
    patterns : ActivationPatterns
        Patterns of `X`.
    beta : float
        Penalty, positive.
    form : {"beta", "simplex"}
        The program.
    sample_weight : array_like of shape (n_samples,), optional
        Weights of the samples in the square loss; k counts as k copies.
    init : {"ntk", "uniform"} or array_like of shape (n_patterns,)
        Weights to start from: P[h in K_i] for h ~ N(0, I) (for drawn patterns the shares of the draws), all equal
        with the sum 1, or given. A weight of zero stays zero in the reweighting, not in the solution.
    max_iter : int
        Iterations of the reweighting; 0 goes to the solution directly.
    relaxation : float in [0.5, 1]
        Exponent a of ``eta_i <- eta_i kappa_i^a``, where ``||w_i|| = eta_i kappa_i^0.5``. 0.5 is plain reweighting;
        up to 1 is faster the more weights have still to vanish. An iteration that would raise the kernel objective
        is done with 0.5 instead.
    finish : bool
        Whether to go on to the optimum after the reweighting. If not, it ends where the gap is within `tol`, or after
        `max_iter` iterations.
    tol : float
        Duality gap to reach, relative to the objective of zero coefficients.
    n_threads : int, optional
        Threads; by default what OpenMP would take.
    callback : callable, optional
        Called after every iteration of the reweighting, and every pass of the finish, with a dict of iteration,
        objective, gap, relative_gap and active; returning True stops with the best certified result so far.

    Returns
    -------
    MKLSolution
        Weights, coefficients, duality gap, and the history of the reweighting.

    Raises
    ------
    ValueError
        For bad shapes, entries that are not finite, patterns of other data, bad weights, a penalty that is not
        positive, or one so small that K(eta) + beta I is not positive definite in floating point.
    TypeError
        For arguments of other kinds, such as a `callback` that cannot be called.

    Warns
    -----
    ConvergenceWarning
        When `tol` is not reached.

    References
    ----------
    .. [1] R. V. Dwaraknath, T. Ergen, M. Pilanci, Fixing the NTK: from neural network linearizations to exact convex
       programs, 2023.
    .. [2] F. Bach, R. Jenatton, J. Mairal, G. Obozinski, Optimization with sparsity-inducing penalties, 2012.

    Examples
    --------
    >>> import numpy as np, cvxrelu
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((100, 3))
    >>> y = np.abs(X[:, 0])
    >>> patterns = cvxrelu.sample_patterns(X, 50, random_state=0)
    >>> solution = cvxrelu.solve_mkl(X, y, patterns, 0.1 * cvxrelu.beta_max(X, y, patterns))
    >>> bool(solution.history.objective[0] > solution.objective)
    True
    """
    as_callback(callback)
    if is_rows(X):
        return on_rows(solve_mkl, locals())
    if form not in ("beta", "simplex"):
        raise ValueError(f'form must be "beta" or "simplex", not {form!r}')
    program = _Program(X, y, patterns, as_scalar(beta, "beta", strict=True), form, sample_weight, tol, n_threads)
    eta = _initial_weights(init, program.X, patterns)
    max_iter = as_count(max_iter, "max_iter", minimum=0)
    relaxation = as_scalar(relaxation, "relaxation", minimum=0.5)
    if relaxation > 1:
        raise ValueError(f"relaxation must be at most 1, not {relaxation}")
    if max_iter == 0 and not finish:
        raise ValueError("max_iter is 0 and finish is False: nothing would be done")
    solution, stopped = program.reweight(eta, max_iter, relaxation, callback)
    if finish and not stopped:
        solution, stopped = program.finish(solution, callback)
    if not (solution.converged or stopped):
        warnings.warn(
            f"the duality gap is {solution.relative_gap:.1e} relative to the objective at zero, above tol={tol:.1e}: "
            + ("raise tol" if finish else "raise max_iter, or leave finish=True"),
            ConvergenceWarning,
            stacklevel=2,
        )
    return solution


def _initial_weights(init: str | npt.ArrayLike, X: npt.ArrayLike, patterns: ActivationPatterns) -> FloatArray:
    if not isinstance(init, str):
        return as_weights(init, len(patterns), "init")
    if init == "ntk":
        return ntk_weights(X, patterns, random_state=0)
    if init == "uniform":
        return np.full(len(patterns), 1 / len(patterns))
    raise ValueError(f'init must be "ntk", "uniform" or an array, not {init!r}')


class _Program:
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
            _shifted(callback, 0, b * b),
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
        callback = _shifted(callback, len(self.history), 1.0)
        if self.form == "beta":
            # From beta_max on zero is the solution; what reweighting left could pass as one within the tolerance.
            zero = self.beta >= beta_max(self.design, self.y, self.patterns, n_threads=self.threads)
            return self.at_beta(self.beta, None if zero else self.likely_support(start), callback)
        return self.simplex_solution(start, callback)

    def at_beta(self, beta: float, warm_start: Any, callback: Callback | None) -> tuple[MKLSolution, bool]:
        """The solution of the group lasso with penalty `beta`, certified for the form at hand."""
        stop = _Stop(callback)
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


class _Stop:
    """A callback that remembers whether it has stopped the solver."""

    def __init__(self, callback: Callback | None) -> None:
        self.callback = callback
        self.stopped = False

    def __call__(self, progress: dict[str, Any]) -> bool:
        self.stopped = self.callback is not None and bool(self.callback(progress))
        return self.stopped


def _shifted(callback: Callback | None, iterations: int, factor: float) -> Callback | None:
    """Count iterations on from those before, and bring objectives to the user's units."""
    if callback is None:
        return None

    def shifted(progress: dict[str, Any]) -> bool | None:
        scaled = {key: factor * progress[key] for key in ("objective", "gap")}
        return callback(progress | scaled | {"iteration": progress["iteration"] + iterations})

    return shifted
